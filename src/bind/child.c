/*
 * shm.process, the handles: a child by fork, any other process by its pid.
 */
#include "bind/bind.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define HANDLE "shm.process.handle"

typedef struct handle {
    os_process process; /* whose first member is the descriptor */
    bool open;
    bool reaped;
    os_status status; /* once reaped */
} handle;

static handle *handle_self(lua_State *L)
{
    handle *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, HANDLE " expected");
    return self;
}

static handle *handle_open(lua_State *L)
{
    handle *self = handle_self(L);
    if (!self->open)
        bind_handle_bad(L, 1, "handle is closed");
    return self;
}

static handle *push_handle(lua_State *L)
{
    handle *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (handle){.process.fd = -1};
    luaL_setmetatable(L, HANDLE);
    return self;
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* Runs the function below the arguments, and never returns to what the parent was doing.
 */
static _Noreturn void run_child(lua_State *L, int arguments)
{
    lua_pushcfunction(L, traceback);
    lua_insert(L, -arguments - 2);
    int handler = lua_gettop(L) - arguments - 1;
    if (lua_pcall(L, arguments, 0, handler) == LUA_OK)
        os_process_exit(0);
    fprintf(stderr, "lua: %s\n", lua_tostring(L, -1));
    os_process_exit(1);
}

/***
Forks. The child runs f, and leaves with exit code 0 when it returns, or with 1 and the
error on stderr when it throws. It has every handle that the parent had, and the parent's
signal mask.

Fork outside of coroutines that an event loop runs: the child has a copy of the loop and
must not return to it.
@function shm.process.fork
@func f what the child does
@param ... arguments for f
@treturn shm.process.handle the child, to the parent; its pid is the field pid
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EAGAIN (too many processes), ENOMEM, EMFILE
@see fork(2)
*/
static int child_fork(lua_State *L)
{
    luaL_argexpected(L, lua_isfunction(L, 1), 1, "f: function");
    handle *self = push_handle(L);
    int error = os_process_fork(&self->process);
    if (error)
        return bind_fail(L, error, "process.fork");
    self->open = true;
    if (self->process.pid == 0) {
        lua_pop(L, 1);
        run_child(L, lua_gettop(L) - 1);
    }
    return 1;
}

/***
Holds on to a process that is not a child of this one: the handle stands for that very
process, even when its pid is given to another one later.
@function shm.process.open
@int pid the process
@treturn shm.process.handle the process
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ESRCH when there is no such process, EMFILE
@see pidfd_open(2)
*/
static int other_open(lua_State *L)
{
    bind_arity(L, 1);
    pid_t pid = (pid_t)bind_range(L, 1, "pid", 1, INT_MAX);
    handle *self = push_handle(L);
    int error = os_process_open(pid, &self->process);
    if (error)
        return bind_fail(L, error, "process.open %d", (int)pid);
    self->open = true;
    return 1;
}

/***
Whether a process lives. One that has exited and waits to be reaped does not, unless there
is no descriptor left to look closer by.
@function shm.process.alive
@int pid the process
@treturn boolean whether it lives
@see pidfd_open(2)
*/
static int other_alive(lua_State *L)
{
    bind_arity(L, 1);
    pid_t pid = (pid_t)bind_range(L, 1, "pid", 1, INT_MAX);
    os_process process;
    int error = os_process_open(pid, &process);
    os_process_close(&process);
    lua_pushboolean(L, !error || (error != -ESRCH && os_thread_alive((uint64_t)pid)));
    return 1;
}

/***
Whether the process lives. One that has exited and waits to be reaped does not.
@function shm.process.handle:alive
@treturn boolean whether it lives
*/
static int handle_alive(lua_State *L)
{
    const handle *self = handle_open(L);
    bind_arity(L, 1);
    lua_pushboolean(L, !self->reaped && os_process_alive(&self->process));
    return 1;
}

static int push_status(lua_State *L, const os_status *status)
{
    if (status->killed) {
        char name[OS_SIGNAL_NAME];
        lua_pushliteral(L, "signal");
        lua_pushstring(L, os_signal_name(status->code, name));
    } else {
        lua_pushliteral(L, "exit");
        lua_pushinteger(L, status->code);
    }
    return 2;
}

/***
Waits for a child's end and reaps it. Later calls answer the same at once, also when the
handle is closed.
@function shm.process.handle:wait
@number[opt] timeout in seconds, absent for ever
@treturn string "exit" or "signal"
@treturn int|string the exit code, or the signal's name without SIG
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, ECHILD at once when it is no child of this
process, as one's own sibling is not, or somebody else has reaped it
@see waitid(2)
*/
static int handle_wait(lua_State *L)
{
    handle *self = handle_self(L);
    bind_arity(L, 2);
    int64_t deadline = bind_deadline(L, 2);
    if (!self->reaped) {
        handle_open(L);
        int error = os_process_wait(&self->process, deadline, &self->status);
        if (error)
            return bind_fail(L, error, "process.wait %d", (int)self->process.pid);
        self->reaped = true;
    }
    return push_status(L, &self->status);
}

/***
Sends the process a signal. It never reaches another process that has got its pid.
@function shm.process.handle:kill
@tparam string|int signal its name, with or without SIG, or its number
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ESRCH when it has ended, reaped or not, EPERM when it is somebody else's
@see pidfd_send_signal(2)
*/
static int handle_kill(lua_State *L)
{
    const handle *self = handle_open(L);
    bind_arity(L, 2);
    int signo = bind_signo(L, 2, "signal");
    int error = self->reaped ? -ESRCH : os_process_signal(&self->process, signo);
    if (error)
        return bind_fail(L, error, "process.kill %d", (int)self->process.pid);
    return bind_done(L, 0, "");
}

/***
Lets go of the process, which goes on. A child that has ended is reaped; one that has not
leaves a zombie when it does, until this process ends: wait for your children.
@function shm.process.handle:close
@treturn boolean true
*/
static int handle_close(lua_State *L)
{
    handle *self = handle_self(L);
    if (self->open && !self->reaped)
        self->reaped = os_process_wait(&self->process, 0, &self->status) == 0;
    os_process_close(&self->process);
    self->open = false;
    lua_pushboolean(L, 1);
    return 1;
}

static int handle_tostring(lua_State *L)
{
    const handle *self = handle_self(L);
    lua_pushfstring(L, self->open ? HANDLE " (%d)" : HANDLE " (closed)",
                    (int)self->process.pid);
    return 1;
}

static int handle_pid(lua_State *L)
{
    const handle *self = lua_touserdata(L, 1);
    lua_pushinteger(L, self->process.pid);
    return 1;
}

void bind_child_add(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", handle_close},
        {"__close", handle_close},
        {"__tostring", handle_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"alive", handle_alive}, {"wait", handle_wait}, {"kill", handle_kill},
        {"close", handle_close}, {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"fork", child_fork},
        {"open", other_open},
        {"alive", other_alive},
        {NULL, NULL},
    };
    bind_handle_type(L, HANDLE, metamethods, methods);
    bind_pollable_methods(L, HANDLE);
    bind_handle_field(L, HANDLE, "pid", handle_pid);
    luaL_setfuncs(L, functions, 0);
}
