/*
 * shm.process: this process and others by their pid, and the parts put together.
 */
#include "bind/bind.h"

#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

/***
The pid of this process.
@function shm.process.pid
@treturn int the pid
@see getpid(2)
*/
static int process_pid(lua_State *L)
{
    bind_arity(L, 0);
    lua_pushinteger(L, getpid());
    return 1;
}

/***
Sends a signal to a process. By the time it arrives the pid may belong to another one;
a handle's kill reaches the very process or none.
@function shm.process.kill
@int pid a process; 0 and negative numbers are groups of them, as in kill(2)
@tparam string|int signal its name, with or without SIG, or its number; 0 only asks
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ESRCH (no such process), EPERM (somebody else's)
@see kill(2)
*/
static int process_kill(lua_State *L)
{
    bind_arity(L, 2);
    pid_t pid = (pid_t)bind_range(L, 1, "pid", INT_MIN + 1, INT_MAX);
    bool ask = lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) == 0;
    int error = os_process_kill(pid, ask ? 0 : bind_signo(L, 2, "signal"));
    return error ? bind_fail(L, error, "process.kill %d", (int)pid) : bind_done(L, 0, "");
}

/***
Sleeps. A signal ends the sleep.
@function shm.process.sleep
@number seconds how long
@treturn boolean true when the time is up
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EINTR after a signal
@see clock_nanosleep(2)
*/
static int process_sleep(lua_State *L)
{
    bind_arity(L, 1);
    int64_t deadline = os_clock_deadline(bind_seconds(L, 1, "seconds"));
    return bind_done(L, os_clock_sleep(deadline), "process.sleep");
}

/***
Lets others run that wait for this cpu, if there are any, and goes on: for who waits for
one of them and does not want to sleep.
@function shm.process.yield
@see sched_yield(2)
*/
static int process_yield(lua_State *L)
{
    bind_arity(L, 0);
    os_wait_yield();
    return 0;
}

/***
The time on a clock that nobody sets: for time-outs and durations.
@function shm.process.monotonic
@treturn number seconds since some point in the past
@see clock_gettime(2)
*/
static int process_monotonic(lua_State *L)
{
    bind_arity(L, 0);
    lua_pushnumber(L, (lua_Number)os_clock_now() / 1e9);
    return 1;
}

/***
Ends this process at once, after writing out buffered output. No finalizer runs and no
state is closed, so a child leaves what it has from its parent as it is.
@function shm.process.exit
@int[opt=0] code 0 to 255
@see _exit(2)
*/
static int process_exit(lua_State *L)
{
    bind_arity(L, 1);
    os_process_exit((int)bind_opt_range(L, 1, "code", 0, 0, UINT8_MAX));
}

/***
Closes all descriptors from first to last, those that are not open included. For a child
that is to keep nothing of its parent's. Handles that own one of them must be closed
before: theirs would hit whatever gets the number next.
@function shm.process.close_range
@int first the lowest
@int[opt] last the highest, absent for all above first
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int errno
@raise when last is below first
@see close_range(2)
*/
static int process_close_range(lua_State *L)
{
    bind_arity(L, 2);
    lua_Integer first = bind_range(L, 1, "first", 0, INT_MAX);
    lua_Integer last = bind_opt_range(L, 2, "last", INT_MAX, first, INT_MAX);
    return bind_done(L, os_process_close_range((unsigned)first, (unsigned)last),
                     "process.close_range");
}

/***
Sets an option of a socket that another library opened.
@function shm.process.setsockopt
@int fd the socket's descriptor
@int level SOL_SOCKET, or another level's number
@int option SO_SNDBUF, SO_RCVBUF, or another option's number
@int value what to set it to
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADF, ENOTSOCK, ENOPROTOOPT, EINVAL
@see setsockopt(2)
*/
static int process_setsockopt(lua_State *L)
{
    bind_arity(L, 4);
    int fd = (int)bind_range(L, 1, "fd", 0, INT_MAX);
    int level = (int)bind_range(L, 2, "level", 0, INT_MAX);
    int option = (int)bind_range(L, 3, "option", 0, INT_MAX);
    int value = (int)bind_range(L, 4, "value", INT_MIN, INT_MAX);
    return bind_done(L, os_fd_setsockopt(fd, level, option, value), "process.setsockopt");
}

void bind_process_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"pid", process_pid},
        {"kill", process_kill},
        {"sleep", process_sleep},
        {"yield", process_yield},
        {"exit", process_exit},
        {"close_range", process_close_range},
        {"setsockopt", process_setsockopt},
        {"monotonic", process_monotonic},
        {NULL, NULL},
    };
    static const bind_constant constants[] = {
        {"SOL_SOCKET", SOL_SOCKET},
        {"SO_SNDBUF", SO_SNDBUF},
        {"SO_RCVBUF", SO_RCVBUF},
        {NULL, 0},
    };
    luaL_newlib(L, functions);
    bind_constants(L, constants);
    bind_child_add(L);
    bind_signals_add(L);
    bind_channel_add(L);
}
