/*
 * shm.sysv, the semaphore part: semget, semop, semctl.
 */
#include "bind/bind.h"

#include <string.h>

#define MOST_OPS 4096 /* far above SEMOPM: the kernel says E2BIG before */

static int semaphores_stat(lua_State *L);
static int semaphores_remove(lua_State *L);

static const bind_ipcid_kind SEMAPHORES = {
    "shm.sysv.semaphores",
    {{"stat", semaphores_stat}, {"remove", semaphores_remove}, {NULL, NULL}},
    "semget",
    os_sysvsem_get,
    INT32_MAX,
};

static int failed(lua_State *L, int error, const char *function, int id)
{
    return bind_fail(L, error, "sysv.%s %d", function, id);
}

static int answer(lua_State *L, int error, const char *function, int id)
{
    return error < 0 ? failed(L, error, function, id) : bind_done(L, 0, function);
}

/***
Creates a set of semaphores, or finds an existing one. A new set's values are 0.
@function shm.sysv.semget
@int key from ftok, IPC_PRIVATE for a new one without a name, or any number
@int count how many semaphores; 0 when the set must exist already
@int[opt=0] flags IPC_CREAT, IPC_EXCL and the mode bits, which are 0600 if none are given
@treturn shm.sysv.semaphores the set; its number is the field id
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST, ENOENT, EINVAL, ENOSPC …
@see semget(2)
*/
static int sem_get(lua_State *L)
{
    return bind_ipcid_get(L, &SEMAPHORES, "count");
}

/* The list of values at arg, as userdata on top. */
static unsigned short *take_values(lua_State *L, int arg, size_t count)
{
    unsigned short *values = lua_newuserdatauv(L, count * sizeof *values, 0);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, arg, (lua_Integer)i + 1);
        lua_Integer value = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
        if (value < 0 || value > UINT16_MAX)
            bind_misuse(L, arg, "values", "value %I is not an integer from 0 to %d",
                        (lua_Integer)i + 1, UINT16_MAX);
        values[i] = (unsigned short)value;
        lua_pop(L, 1);
    }
    return values;
}

static size_t list_length(lua_State *L, int arg)
{
    if (lua_type(L, arg) != LUA_TTABLE)
        bind_misuse(L, arg, "values", "list expected, got %s", luaL_typename(L, arg));
    return lua_rawlen(L, arg);
}

/***
Creates a set of semaphores with values, or finds it: nobody gets a set whose values are
not in place yet, and a maker that is killed on the way is stood in for. What other
programs make of the key is waited for, by sem_otime, for up to a second.
@function shm.sysv.seminit
@int key from ftok, or any number; with IPC_PRIVATE the set is always a new one
@tparam table values a list, whose item 1 is the value of semaphore 0
@int[opt=0] flags IPC_EXCL, and the mode bits, which are 0600 if none are given
@number[opt] timeout in seconds, absent for ever
@treturn shm.sysv.semaphores the set
@treturn boolean whether its values were set here
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST with IPC_EXCL, EINVAL (it has fewer semaphores), ERANGE, ETIMEDOUT,
EINTR after a signal, ENOENT (no /proc) …
@see semget(2)
*/
static int sem_init_set(lua_State *L)
{
    bind_arity(L, 4);
    lua_settop(L, 4);
    key_t key = (key_t)bind_range(L, 1, "key", INT32_MIN, UINT32_MAX);
    size_t count = list_length(L, 2);
    if (count < 1 || count > INT16_MAX)
        bind_misuse(L, 2, "values", "1 to %d values expected, got %I", INT16_MAX,
                    (lua_Integer)count);
    int flags = (int)bind_opt_range(L, 3, "flags", 0, 0, INT32_MAX);
    int64_t deadline = bind_deadline(L, 4);
    unsigned short *values = take_values(L, 2, count);
    bind_ipcid *handle = bind_ipcid_push(L, &SEMAPHORES);
    bool made;
    int error = os_sysvsem_make(key, count, flags & 0777 ? flags : flags | 0600, values,
                                deadline, &handle->id, &made);
    if (error)
        return bind_fail(L, error, "sysv.seminit key %d", (int)key);
    handle->open = true;
    lua_pushboolean(L, made);
    return 2;
}

/* Operation i, on top of the stack, has no field that is not known. */
static void check_op(lua_State *L, size_t i, const char *const known[])
{
    const char *unknown = bind_unknown_field(L, -1, known);
    if (unknown)
        bind_misuse(L, 2, "ops", "operation %I: unknown field '%s'", (lua_Integer)i,
                    unknown);
}

/* The field of operation i, on top of the stack. */
static lua_Integer op_field(lua_State *L, size_t i, const char *name, lua_Integer least,
                            lua_Integer most, bool required)
{
    lua_getfield(L, -1, name);
    if (lua_isnil(L, -1) && !required) {
        lua_pop(L, 1);
        return 0;
    }
    int whole;
    lua_Integer value = lua_tointegerx(L, -1, &whole);
    if (!whole || lua_type(L, -1) != LUA_TNUMBER || value < least || value > most)
        bind_misuse(L, 2, "ops", "operation %I: %s: integer from %I to %I expected",
                    (lua_Integer)i, name, least, most);
    lua_pop(L, 1);
    return value;
}

/***
Does several operations on a set, all of them in one step or none.
@function shm.sysv.semop
@tparam shm.sysv.semaphores|int id the set or its number
@tparam table ops a list of {num=, op=, flg=}: semaphore num, from 0, is raised by a
positive op, lowered by a negative one once it is large enough, and waited for to be 0 by
op 0; flg is 0, IPC_NOWAIT, SEM_UNDO or both
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EAGAIN with IPC_NOWAIT, EIDRM when the
set was removed meanwhile, EFBIG (no semaphore num), ERANGE …
@see semtimedop(2)
*/
static int sem_op(lua_State *L)
{
    bind_arity(L, 3);
    lua_settop(L, 3); /* what is pushed below must not pass for an absent time-out */
    int id = bind_ipcid_number(L, 1, &SEMAPHORES);
    if (lua_type(L, 2) != LUA_TTABLE)
        bind_misuse(L, 2, "ops", "list of operations expected, got %s",
                    luaL_typename(L, 2));
    size_t count = lua_rawlen(L, 2);
    if (count < 1 || count > MOST_OPS)
        bind_misuse(L, 2, "ops", "1 to %d operations expected, got %I", MOST_OPS,
                    (lua_Integer)count);
    static const char *const known[] = {"num", "op", "flg", NULL};
    struct sembuf *ops = lua_newuserdatauv(L, count * sizeof *ops, 0);
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TTABLE)
            bind_misuse(L, 2, "ops", "operation %I: table expected, got %s",
                        (lua_Integer)i + 1, luaL_typename(L, -1));
        check_op(L, i + 1, known);
        ops[i].sem_num = (unsigned short)op_field(L, i + 1, "num", 0, UINT16_MAX, true);
        ops[i].sem_op = (short)op_field(L, i + 1, "op", INT16_MIN, INT16_MAX, true);
        ops[i].sem_flg = (short)op_field(L, i + 1, "flg", 0, INT16_MAX, false);
        lua_pop(L, 1);
    }
    return answer(L, os_sysvsem_op(id, ops, count, bind_deadline(L, 3)), "semop", id);
}

/* By id, or by index; then the id is a field. */
static int push_stat(lua_State *L, int id, int command)
{
    struct semid_ds stat = {0};
    int found = os_sysvsem_stat(id, command, &stat);
    if (found < 0)
        return failed(L, found, "semctl", id);
    lua_createtable(L, 0, 11);
    bind_ipcperm_push(L, &stat.sem_perm);
    const bind_constant fields[] = {
        {"id", command == IPC_STAT ? id : found},
        {"otime", stat.sem_otime},
        {"ctime", stat.sem_ctime},
        {"nsems", (lua_Integer)stat.sem_nsems},
        {NULL, 0},
    };
    bind_constants(L, fields);
    return 1;
}

static int push_info(lua_State *L, int command)
{
    struct seminfo info = {0};
    int highest = os_sysvsem_info(command, &info);
    if (highest < 0)
        return bind_fail(L, highest, "sysv.semctl");
    const bind_constant limits[] = {
        {"index", highest},      {"semmni", info.semmni},
        {"semmns", info.semmns}, {"semmsl", info.semmsl},
        {"semopm", info.semopm}, {"semvmx", info.semvmx},
        {"semaem", info.semaem}, {NULL, 0},
    };
    const bind_constant usage[] = {
        {"index", highest},
        {"sets", info.semusz},
        {"semaphores", info.semaem},
        {NULL, 0},
    };
    lua_createtable(L, 0, 7);
    bind_constants(L, command == IPC_INFO ? limits : usage);
    return 1;
}

static int set_stat(lua_State *L, int id, int values)
{
    struct semid_ds stat = {0};
    bind_ipcperm perm = bind_ipcperm_read(L, values, NULL);
    int error = bind_ipcperm_whole(&perm) ? 0 : os_sysvsem_stat(id, IPC_STAT, &stat);
    bind_ipcperm_apply(&perm, &stat.sem_perm);
    return answer(L, error ? error : os_sysvsem_set(id, &stat), "semctl", id);
}

static int push_all(lua_State *L, int id)
{
    struct semid_ds stat = {0};
    int error = os_sysvsem_stat(id, IPC_STAT, &stat);
    if (error)
        return failed(L, error, "semctl", id);
    unsigned short *values = lua_newuserdatauv(L, stat.sem_nsems * sizeof *values, 0);
    error = os_sysvsem_get_all(id, values);
    if (error < 0)
        return failed(L, error, "semctl", id);
    lua_createtable(L, (int)stat.sem_nsems, 0);
    for (size_t i = 0; i < stat.sem_nsems; i++) {
        lua_pushinteger(L, values[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int set_all(lua_State *L, int id, int list)
{
    size_t count = list_length(L, list);
    struct semid_ds stat = {0};
    int error = os_sysvsem_stat(id, IPC_STAT, &stat);
    if (error)
        return failed(L, error, "semctl", id);
    if (count != stat.sem_nsems)
        bind_misuse(L, list, "values", "%d values expected, got %I", (int)stat.sem_nsems,
                    (lua_Integer)count);
    unsigned short *values = take_values(L, list, count);
    return answer(L, os_sysvsem_set_all(id, values), "semctl", id);
}

/***
Asks about a set, changes it, or removes it.

GETVAL, GETPID (who did the last semop), GETNCNT and GETZCNT (how many wait for more, and
for 0) give a number for semaphore num; SETVAL sets its value. GETALL gives, and SETALL
takes, the list of all values, whose item 1 is semaphore 0. IPC_STAT gives a table of key,
uid, gid, cuid, cgid, mode, seq, otime (last semop, 0 for never), ctime, nsems and id;
IPC_SET takes one with uid, gid and mode; IPC_RMID removes the set at once and wakes who
waits for it.

About all sets: SEM_STAT and SEM_STAT_ANY take an index instead of an id; IPC_INFO gives
the limits semmni, semmns, semmsl, semopm, semvmx and semaem, and SEM_INFO how many sets
and semaphores there are. Both have the field index, the highest one in use.
@function shm.sysv.semctl
@tparam shm.sysv.semaphores|int id the set or its number
@int num which semaphore, from 0; any number where the command is about the set
@int command one of those above
@param[opt] argument the value for SETVAL, the list for SETALL, the table for IPC_SET
@return the number, list or table asked for, or true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EACCES, EPERM, EINVAL (no such set or semaphore), EIDRM, ERANGE
@see semctl(2)
*/
static int sem_control(lua_State *L)
{
    int id = bind_ipcid_number(L, 1, &SEMAPHORES);
    int num = (int)bind_range(L, 2, "num", 0, UINT16_MAX);
    int command = (int)bind_range(L, 3, "command", 0, INT32_MAX);
    bind_arity(L, command == SETVAL || command == SETALL || command == IPC_SET ? 4 : 3);
    switch (command) {
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT: {
        int value = os_sysvsem_query(id, num, command);
        if (value < 0)
            return failed(L, value, "semctl", id);
        lua_pushinteger(L, value);
        return 1;
    }
    case SETVAL: {
        int value = (int)bind_range(L, 4, "argument", 0, UINT16_MAX);
        return answer(L, os_sysvsem_set_value(id, num, value), "semctl", id);
    }
    case GETALL:
        return push_all(L, id);
    case SETALL:
        return set_all(L, id, 4);
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY:
        return push_stat(L, id, command);
    case IPC_INFO:
    case SEM_INFO:
        return push_info(L, command);
    case IPC_SET:
        return set_stat(L, id, 4);
    case IPC_RMID:
        return answer(L, os_sysvsem_remove(id), "semctl", id);
    default:
        return bind_misuse(L, 3, "command", "%d is not a command of semctl", command);
    }
}

/***
What semctl gives with IPC_STAT.
@function shm.sysv.semaphores:stat
@treturn table the fields of struct semid_ds
*/
static int semaphores_stat(lua_State *L)
{
    bind_arity(L, 1);
    return push_stat(L, bind_ipcid_number(L, 1, &SEMAPHORES), IPC_STAT);
}

/***
What semctl does with IPC_RMID.
@function shm.sysv.semaphores:remove
@treturn boolean true
*/
static int semaphores_remove(lua_State *L)
{
    bind_arity(L, 1);
    int id = bind_ipcid_number(L, 1, &SEMAPHORES);
    return answer(L, os_sysvsem_remove(id), "semctl", id);
}

void bind_sysvsem_add(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"semget", sem_get},       {"semop", sem_op}, {"semctl", sem_control},
        {"seminit", sem_init_set}, {NULL, NULL},
    };
    static const bind_constant constants[] = {
        {"SEM_UNDO", SEM_UNDO},
        {"GETVAL", GETVAL},
        {"SETVAL", SETVAL},
        {"GETPID", GETPID},
        {"GETNCNT", GETNCNT},
        {"GETZCNT", GETZCNT},
        {"GETALL", GETALL},
        {"SETALL", SETALL},
        {"SEM_STAT", SEM_STAT},
        {"SEM_INFO", SEM_INFO},
        {"SEM_STAT_ANY", SEM_STAT_ANY},
        {NULL, 0},
    };
    bind_ipcid_register(L, &SEMAPHORES);
    luaL_setfuncs(L, functions, 0);
    bind_constants(L, constants);
}
