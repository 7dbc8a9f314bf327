/*
 * shm.posix, the locks on files and memory objects.
 */
#include "bind/bind.h"

#include <sys/file.h>

static const char *const LOCKS[] = {"read", "write", NULL};
static const short LOCK_TYPES[] = {F_RDLCK, F_WRLCK};

/***
Locks a file, or some bytes of it, for the open file behind the descriptor: it holds until
it is unlocked, or the last descriptor of that open file is closed. The kernel drops it if
the holder dies. It binds who asks for a lock, and nobody else. Circles
of those that wait are not looked for.
@function shm.posix.lock
@tparam int|shm.posix.descriptor|file fd whatever has a descriptor
@string kind "read" (others may read, too) or "write" (nobody else)
@int[opt=0] offset where the bytes begin
@int[opt=0] n how many, 0 for up to the end, wherever that comes to be
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EBADF (not open for that), EOVERFLOW …
@see fcntl(2), F_OFD_SETLKW
*/
static int file_lock(lua_State *L)
{
    bind_arity(L, 5);
    lua_settop(L, 5);
    short type = LOCK_TYPES[bind_option(L, 2, "kind", false, LOCKS)];
    off_t offset = (off_t)bind_opt_range(L, 3, "offset", 0, 0, LUA_MAXINTEGER);
    off_t n = (off_t)bind_opt_range(L, 4, "n", 0, 0, LUA_MAXINTEGER);
    int64_t deadline = bind_deadline(L, 5);
    return bind_done(L, os_lock_range(bind_fd(L, 1, "fd"), type, offset, n, deadline),
                     "posix.lock");
}

/***
Drops what lock took, or a part of it.
@function shm.posix.unlock
@tparam int|shm.posix.descriptor|file fd whatever has a descriptor
@int[opt=0] offset where the bytes begin
@int[opt=0] n how many, 0 for up to the end
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADF, EINVAL
@see fcntl(2), F_OFD_SETLK
*/
static int file_unlock(lua_State *L)
{
    bind_arity(L, 3);
    lua_settop(L, 3);
    off_t offset = (off_t)bind_opt_range(L, 2, "offset", 0, 0, LUA_MAXINTEGER);
    off_t n = (off_t)bind_opt_range(L, 3, "n", 0, 0, LUA_MAXINTEGER);
    return bind_done(L, os_lock_range(bind_fd(L, 1, "fd"), F_UNLCK, offset, n, 0),
                     "posix.unlock");
}

/***
Tells whether another open file's lock is in the way of one.
@function shm.posix.locked
@tparam int|shm.posix.descriptor|file fd whatever has a descriptor
@string kind "read" or "write", of the lock that one would like
@int[opt=0] offset where the bytes begin
@int[opt=0] n how many, 0 for up to the end
@treturn string|boolean "read" or "write", what is in the way, or false
@treturn ?int where that begins
@treturn ?int how many bytes it is about, 0 for up to the end
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADF, EINVAL
@see fcntl(2), F_OFD_GETLK
*/
static int file_locked(lua_State *L)
{
    bind_arity(L, 4);
    lua_settop(L, 4);
    struct flock range = {.l_type = LOCK_TYPES[bind_option(L, 2, "kind", false, LOCKS)]};
    range.l_start = (off_t)bind_opt_range(L, 3, "offset", 0, 0, LUA_MAXINTEGER);
    range.l_len = (off_t)bind_opt_range(L, 4, "n", 0, 0, LUA_MAXINTEGER);
    int error = os_lock_query(bind_fd(L, 1, "fd"), &range);
    if (error)
        return bind_fail(L, error, "posix.locked");
    if (range.l_type == F_UNLCK) {
        lua_pushboolean(L, false);
        return 1;
    }
    lua_pushstring(L, range.l_type == F_RDLCK ? "read" : "write");
    lua_pushinteger(L, range.l_start);
    lua_pushinteger(L, range.l_len);
    return 3;
}

/***
Locks what a descriptor is open on as a whole, for the open file behind it, be that a
directory, which the descriptor need not be able to write to. Neither this kind of lock
nor that of `lock` knows of the other.
@function shm.posix.flock
@tparam int|shm.posix.descriptor|file fd whatever has a descriptor
@string kind "read" (others may read, too), "write" (nobody else) or "none" to drop it
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EBADF …
@see flock(2)
*/
static int file_flock(lua_State *L)
{
    static const char *const kinds[] = {"read", "write", "none", NULL};
    static const int operations[] = {LOCK_SH, LOCK_EX, LOCK_UN};
    bind_arity(L, 3);
    lua_settop(L, 3);
    int operation = operations[bind_option(L, 2, "kind", false, kinds)];
    int64_t deadline = bind_deadline(L, 3);
    return bind_done(L, os_lock_whole(bind_fd(L, 1, "fd"), operation, deadline),
                     "posix.flock");
}

void bind_lock_add(lua_State *L)
{
    static const luaL_Reg functions[] = {{"lock", file_lock},
                                         {"unlock", file_unlock},
                                         {"locked", file_locked},
                                         {"flock", file_flock},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
