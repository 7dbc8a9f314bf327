/*
 * shm.sysv: what all System V objects share, and the parts put together.
 */
#include "bind/bind.h"

/***
Makes a key from an existing file and a number. The same path gives the same key only as
long as the file is the same; of the number the low 8 bits count.
@function shm.sysv.ftok
@string path an existing file or directory
@int id any number whose low 8 bits are not 0: POSIX leaves open what 0 gives
@treturn int the key
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES …
@see ftok(3)
*/
static int sysv_ftok(lua_State *L)
{
    bind_arity(L, 2);
    const char *path = bind_word(L, 1, "path");
    int number = (int)bind_range(L, 2, "id", INT32_MIN, UINT32_MAX);
    key_t key;
    int error = os_sysv_key(path, number, &key);
    if (error)
        return bind_fail(L, error, "sysv.ftok '%s'", path);
    lua_pushinteger(L, key);
    return 1;
}

void bind_sysv_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"ftok", sysv_ftok}, {NULL, NULL}};
    static const bind_constant constants[] = {
        {"IPC_PRIVATE", IPC_PRIVATE}, {"IPC_CREAT", IPC_CREAT}, {"IPC_EXCL", IPC_EXCL},
        {"IPC_NOWAIT", IPC_NOWAIT},   {"IPC_STAT", IPC_STAT},   {"IPC_SET", IPC_SET},
        {"IPC_RMID", IPC_RMID},       {"IPC_INFO", IPC_INFO},   {NULL, 0},
    };
    luaL_newlib(L, functions);
    bind_constants(L, constants);
    bind_sysvshm_add(L);
    bind_sysvsem_add(L);
    bind_sysvmsg_add(L);
}
