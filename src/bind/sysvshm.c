/*
 * shm.sysv, the shared memory part: shmget, shmat, shmdt, shmctl.
 */
#include "bind/bind.h"

#include <asm-generic/hugetlb_encode.h>
#include <errno.h>
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
@function shm.sysv.shmget
@int key from ftok, IPC_PRIVATE for a new one without a name, or any number
@int size in bytes; the kernel keeps whole pages; 0 when it must exist already
@int[opt=0] flags IPC_CREAT, IPC_EXCL, SHM_NORESERVE, SHM_HUGETLB with or without
SHM_HUGE_2MB or SHM_HUGE_1GB, and the mode bits, which are 0600 if none are given
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

static int attached(lua_State *L, bind_region *region, void *base, size_t size, int id,
                    int flags)
{
    char label[MEM_MAPPING_LABEL];
    snprintf(label, sizeof label, "sysv %d", id);
    mem_mapping *mapping =
        mem_mapping_new(base, size, flags & SHM_RDONLY, os_sysvshm_detach, label);
    if (!mapping) {
        os_sysvshm_detach(base, size);
        return luaL_error(L, "not enough memory");
    }
    bind_region_fill(region, mapping, 0, size);
    return 1;
}

/* With SHM_REMAP: what lay there goes, and so must the region that showed it. */
static int attach_over(lua_State *L, int id, int flags)
{
    bind_region_open(L, 2, "address");
    bind_region *region = bind_region_push(L);
    bind_region *place = bind_region_open(L, 2, "address");
    if (place->part || place->base != place->mapping->base || place->mapping->users > 1)
        bind_misuse(L, 2, "address", "the region is a view, or has views");
    void *base = place->base;
    size_t size;
    mem_fault_end(place->mapping); /* or what lies aside would be put back over it */
    int error = os_sysvshm_replace(id, flags, base, place->mapping->size, &size);
    if (error)
        return bind_fail(L, error, "sysv.shmat %d", id);
    mem_mapping *replaced = place->mapping;
    bind_region_forget(place);
    mem_mapping_yield(replaced, size);
    return attached(L, region, base, size, id, flags);
}

/***
Attaches a segment. The region detaches when it is closed or collected.

With SHM_REMAP it takes the place of another region, which it must fit into and which has
no views; that region is closed. A segment of huge pages can not.
@function shm.sysv.shmat
@tparam shm.sysv.segment|int id the segment or its number
@tparam[opt] int|shm.region address where to attach it, absent for where the kernel likes
@int[opt=0] flags SHM_RDONLY, SHM_EXEC, SHM_RND (round address down to a multiple of
SHMLBA), SHM_REMAP
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
    int flags = (int)bind_opt_range(L, 3, "flags", 0, 0, INT32_MAX);
    if (flags & SHM_REMAP) /* a bare address could be anything of this process's */
        return attach_over(L, id, flags);
    void *address =
        (void *)(uintptr_t)bind_opt_range(L, 2, "address", 0, 0, LUA_MAXINTEGER);
    if (flags & SHM_RND && address && (uintptr_t)address < (uintptr_t)SHMLBA)
        bind_misuse(L, 2, "address", "%I rounds down to 0", lua_tointeger(L, 2));

    bind_region *region = bind_region_push(L);
    void *base;
    size_t size;
    int error = os_sysvshm_attach(id, address, flags, &base, &size);
    return error ? bind_fail(L, error, "sysv.shmat %d", id)
                 : attached(L, region, base, size, id, flags);
}

/***
Detaches a region, as its close does.
@function shm.sysv.shmdt
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

/* By id, or by index; then the id is a field. */
static int push_stat(lua_State *L, int id, int command)
{
    struct shmid_ds stat = {0};
    int found = os_sysvshm_stat(id, command, &stat);
    if (found < 0)
        return bind_fail(L, found, "sysv.shmctl %d", id);
    lua_createtable(L, 0, 15);
    bind_ipcperm_push(L, &stat.shm_perm);
    const bind_constant fields[] = {
        {"id", command == IPC_STAT ? id : found},
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

/* An unlimited limit is more than Lua's integers have. */
static lua_Integer clipped(unsigned long value)
{
    return value > (unsigned long)LUA_MAXINTEGER ? LUA_MAXINTEGER : (lua_Integer)value;
}

static int push_limits(lua_State *L)
{
    struct shminfo info = {0};
    int highest = os_sysvshm_limits(&info);
    if (highest < 0)
        return bind_fail(L, highest, "sysv.shmctl");
    const bind_constant fields[] = {
        {"index", highest},
        {"shmmax", clipped(info.shmmax)},
        {"shmmin", clipped(info.shmmin)},
        {"shmmni", clipped(info.shmmni)},
        {"shmall", clipped(info.shmall)},
        {NULL, 0},
    };
    lua_createtable(L, 0, 5);
    bind_constants(L, fields);
    return 1;
}

static int push_usage(lua_State *L)
{
    struct shm_info info = {0};
    int highest = os_sysvshm_usage(&info);
    if (highest < 0)
        return bind_fail(L, highest, "sysv.shmctl");
    const bind_constant fields[] = {
        {"index", highest},
        {"used_ids", info.used_ids},
        {"tot", (lua_Integer)info.shm_tot},
        {"rss", (lua_Integer)info.shm_rss},
        {"swp", (lua_Integer)info.shm_swp},
        {NULL, 0},
    };
    lua_createtable(L, 0, 5);
    bind_constants(L, fields);
    return 1;
}

static int lock_segment(lua_State *L, int id, bool lock)
{
    int error = os_sysvshm_lock(id, lock);
    return error ? bind_fail(L, error, "sysv.shmctl %d", id) : bind_done(L, 0, "");
}

static int set_stat(lua_State *L, int id, int values)
{
    struct shmid_ds stat = {0};
    bind_ipcperm perm = bind_ipcperm_read(L, values, NULL);
    int error = bind_ipcperm_whole(&perm) ? 0 : os_sysvshm_stat(id, IPC_STAT, &stat);
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
dtime, ctime (seconds since 1970, 0 for never), cpid, lpid, nattch, and id. IPC_SET takes
a table with uid, gid and mode; what is absent stays, and is asked for first. IPC_RMID
removes the segment once the last process has detached it; its key is free at once.
SHM_LOCK keeps its pages in memory, until SHM_UNLOCK.

About all segments: SHM_STAT and SHM_STAT_ANY take an index instead of an id; IPC_INFO
gives the limits shmmax and shmmin (bytes), shmmni (segments) and shmall (pages), where
math.maxinteger stands for more than that; SHM_INFO gives used_ids (segments) and in pages
tot, rss (in memory) and swp. Both have the field index, the highest one in use.
@function shm.sysv.shmctl
@tparam shm.sysv.segment|int id the segment or its number; 0 or any other for IPC_INFO,
SHM_INFO
@int command one of those above
@tparam[opt] table values for IPC_SET
@return the table, or true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EACCES, EPERM, EINVAL (no such segment), EIDRM (another has its place by
now), ENOMEM (more than this process may lock)
@see shmctl(2)
*/
static int shm_control(lua_State *L)
{
    int id = bind_ipcid_number(L, 1, &SEGMENT);
    lua_Integer command = bind_integer(L, 2, "command");
    bind_arity(L, command == IPC_SET ? 3 : 2);
    switch (command) {
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
        return push_stat(L, id, (int)command);
    case IPC_INFO:
        return push_limits(L);
    case SHM_INFO:
        return push_usage(L);
    case SHM_LOCK:
    case SHM_UNLOCK:
        return lock_segment(L, id, command == SHM_LOCK);
    case IPC_SET:
        return set_stat(L, id, 3);
    case IPC_RMID:
        return remove_segment(L, id);
    default:
        return bind_misuse(L, 2, "command", "%I is not a command of shmctl", command);
    }
}

/***
What shmctl gives with IPC_STAT.
@function shm.sysv.segment:stat
@treturn table the fields of struct shmid_ds
*/
static int segment_stat(lua_State *L)
{
    bind_arity(L, 1);
    return push_stat(L, bind_ipcid_number(L, 1, &SEGMENT), IPC_STAT);
}

/***
What shmctl does with IPC_RMID.
@function shm.sysv.segment:remove
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
        {"SHM_RDONLY", SHM_RDONLY},
        {"SHM_RND", SHM_RND},
        {"SHMLBA", SHMLBA},
        {"SHM_DEST", SHM_DEST},
        {"SHM_LOCKED", SHM_LOCKED},
        {"SHM_EXEC", SHM_EXEC},
        {"SHM_REMAP", SHM_REMAP},
        {"SHM_HUGETLB", SHM_HUGETLB},
        {"SHM_NORESERVE", SHM_NORESERVE},
        {"SHM_HUGE_2MB", HUGETLB_FLAG_ENCODE_2MB},
        {"SHM_HUGE_1GB", (lua_Integer)(unsigned)HUGETLB_FLAG_ENCODE_1GB},
        {"SHM_LOCK", SHM_LOCK},
        {"SHM_UNLOCK", SHM_UNLOCK},
        {"SHM_STAT", SHM_STAT},
        {"SHM_STAT_ANY", SHM_STAT_ANY},
        {"SHM_INFO", SHM_INFO},
        {NULL, 0},
    };
    bind_ipcid_register(L, &SEGMENT);
    luaL_setfuncs(L, functions, 0);
    bind_constants(L, constants);
}
