/*
 * shm.sysv, the shared memory part: shmget, shmat, shmdt, shmctl.
 */
#include "bind/bind.h"

#include <stdio.h>

static int segment_stat(lua_State *L);
static int segment_remove(lua_State *L);

static const bind_ipcid_kind SEGMENT = {
    "shm.sysv.segment",
    {{"stat", segment_stat}, {"remove", segment_remove}, {NULL, NULL}},
    "shmget",
    os_sysvshm_get,
    LUA_MAXINTEGER,
};

/***
Creates a segment or finds an existing one.
@function shmget
@int key from ftok, IPC_PRIVATE for a new one without a name, or any number
@int size in bytes; the kernel keeps whole pages; 0 when it must exist already
@int[opt=0] flags IPC_CREAT, IPC_EXCL and the mode bits, which are 0600 if none are given
@treturn shm.sysv.segment the segment; its number is the field id
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST, ENOENT, EINVAL (larger than the segment or SHMMAX), ENOSPC …
@see shmget(2)
*/
static int shm_get(lua_State *L)
{
    return bind_ipcid_get(L, &SEGMENT, "size");
}

/***
Attaches a segment. The region detaches when it is closed or collected.
@function shmat
@tparam shm.sysv.segment|int id the segment or its number
@int[opt] address where to attach it, absent for where the kernel likes
@int[opt=0] flags SHM_RDONLY, SHM_RND (round address down to a multiple of SHMLBA)
@treturn shm.region the segment's bytes, as many as shmget was asked for
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EACCES, EINVAL (no such segment, a bad or occupied address), EIDRM …
@see shmat(2)
*/
static int shm_attach(lua_State *L)
{
    bind_arity(L, 3);
    int id = bind_ipcid_number(L, 1, &SEGMENT);
    void *address =
        (void *)(uintptr_t)bind_opt_range(L, 2, "address", 0, 0, LUA_MAXINTEGER);
    int flags = (int)bind_opt_range(L, 3, "flags", 0, 0, INT32_MAX);
    if (flags & SHM_REMAP) /* it would pull memory from under this process */
        bind_misuse(L, 3, "flags", "SHM_REMAP is not supported");
    if (flags & SHM_RND && address && (uintptr_t)address < (uintptr_t)SHMLBA)
        bind_misuse(L, 2, "address", "%I rounds down to 0", lua_tointeger(L, 2));

    bind_region *region = bind_region_push(L);
    void *base;
    size_t size;
    int error = os_sysvshm_attach(id, address, flags, &base, &size);
    if (error)
        return bind_fail(L, error, "sysv.shmat %d", id);
    char label[MEM_MAPPING_LABEL];
    snprintf(label, sizeof label, "sysv %d", id);
    bool readonly = flags & SHM_RDONLY;
    region->mapping = mem_mapping_new(base, size, readonly, os_sysvshm_detach, label);
    if (!region->mapping) {
        os_sysvshm_detach(base, size);
        return luaL_error(L, "not enough memory");
    }
    region->base = base;
    region->size = size;
    region->readonly = readonly;
    return 1;
}

/***
Detaches a region, as its close does.
@function shmdt
@tparam shm.region region what shmat gave
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int errno
@see shmdt(2)
*/
static int shm_detach(lua_State *L)
{
    bind_arity(L, 1);
    return bind_region_close(L, bind_region_open(L, 1, "region"));
}

static int push_stat(lua_State *L, int id)
{
    struct shmid_ds stat;
    int error = os_sysvshm_stat(id, &stat);
    if (error)
        return bind_fail(L, error, "sysv.shmctl %d", id);
    lua_createtable(L, 0, 14);
    bind_ipcperm_push(L, &stat.shm_perm);
    const bind_constant fields[] = {
        {"segsz", (lua_Integer)stat.shm_segsz},
        {"atime", stat.shm_atime},
        {"dtime", stat.shm_dtime},
        {"ctime", stat.shm_ctime},
        {"cpid", stat.shm_cpid},
        {"lpid", stat.shm_lpid},
        {"nattch", (lua_Integer)stat.shm_nattch},
        {NULL, 0},
    };
    bind_constants(L, fields);
    return 1;
}

static int set_stat(lua_State *L, int id, int values)
{
    struct shmid_ds stat = {0};
    bind_ipcperm perm = bind_ipcperm_read(L, values);
    int error = bind_ipcperm_whole(&perm) ? 0 : os_sysvshm_stat(id, &stat);
    bind_ipcperm_apply(&perm, &stat.shm_perm);
    if (!error)
        error = os_sysvshm_set(id, &stat);
    return error ? bind_fail(L, error, "sysv.shmctl %d", id) : bind_done(L, 0, "");
}

static int remove_segment(lua_State *L, int id)
{
    int error = os_sysvshm_remove(id);
    return error ? bind_fail(L, error, "sysv.shmctl %d", id) : bind_done(L, 0, "");
}

/***
Asks about a segment, changes it, or marks it for removal.

IPC_STAT gives a table of the fields of struct shmid_ds without their prefix: key, uid,
gid, cuid, cgid, mode (SHM_DEST and SHM_LOCKED included), seq, segsz (bytes), atime,
dtime, ctime (seconds since 1970, 0 for never), cpid, lpid, nattch. IPC_SET takes a table
with uid, gid and mode; what is absent stays, and is asked for first. IPC_RMID removes the
segment once the last process has detached it; its key is free at once.
@function shmctl
@tparam shm.sysv.segment|int id the segment or its number
@int command IPC_STAT, IPC_SET or IPC_RMID
@tparam[opt] table values for IPC_SET
@return the table, or true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EACCES, EPERM, EINVAL (no such segment), EIDRM
@see shmctl(2)
*/
static int shm_control(lua_State *L)
{
    int id = bind_ipcid_number(L, 1, &SEGMENT);
    lua_Integer command = bind_integer(L, 2, "command");
    bind_arity(L, command == IPC_SET ? 3 : 2);
    switch (command) {
    case IPC_STAT:
        return push_stat(L, id);
    case IPC_SET:
        return set_stat(L, id, 3);
    case IPC_RMID:
        return remove_segment(L, id);
    default:
        return bind_misuse(L, 2, "command", "IPC_STAT, IPC_SET or IPC_RMID expected");
    }
}

/***
What shmctl gives with IPC_STAT.
@function segment:stat
@treturn table the fields of struct shmid_ds
*/
static int segment_stat(lua_State *L)
{
    bind_arity(L, 1);
    return push_stat(L, bind_ipcid_number(L, 1, &SEGMENT));
}

/***
What shmctl does with IPC_RMID.
@function segment:remove
@treturn boolean true
*/
static int segment_remove(lua_State *L)
{
    bind_arity(L, 1);
    return remove_segment(L, bind_ipcid_number(L, 1, &SEGMENT));
}

void bind_sysvshm_add(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"shmget", shm_get},     {"shmat", shm_attach}, {"shmdt", shm_detach},
        {"shmctl", shm_control}, {NULL, NULL},
    };
    const bind_constant constants[] = {
        {"SHM_RDONLY", SHM_RDONLY}, {"SHM_RND", SHM_RND},       {"SHMLBA", SHMLBA},
        {"SHM_DEST", SHM_DEST},     {"SHM_LOCKED", SHM_LOCKED}, {NULL, 0},
    };
    bind_ipcid_register(L, &SEGMENT);
    luaL_setfuncs(L, functions, 0);
    bind_constants(L, constants);
}
