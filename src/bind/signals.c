/*
 * shm.process, the signals: read in turn instead of interrupting.
 */
#include "bind/bind.h"

#define SIGNALS "shm.process.signals"

static os_signals *signals_self(lua_State *L)
{
    os_signals *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, SIGNALS " expected");
    return self;
}

/* Signals that can not be blocked, or that a fault in this very thread raises. */
static bool can_be_read(int signo)
{
    static const int never[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (never[i] == signo)
            return false;
    }
    return true;
}

/***
Takes signals to be read. From here on they interrupt nothing and are kept until they are
read, in this process and in the children it forks. Standard signals do not queue: the
same one sent twice before it is read comes once.

Closing the handle gives the signals back; one that is still unread then does what it
would have done without the handle.
@function shm.process.signals
@tparam string|int ... signals by name, with or without SIG, or by number
@treturn shm.process.signals the handle
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EMFILE, ENFILE
@raise when a signal can not be read: KILL, STOP, SEGV, BUS, FPE, ILL
@see signalfd(2)
*/
static int signals_open(lua_State *L)
{
    int count = lua_gettop(L);
    luaL_argcheck(L, count > 0, 1, "signal: at least one expected");
    sigset_t set;
    sigemptyset(&set);
    for (int arg = 1; arg <= count; arg++) {
        int signo = bind_signo(L, arg, "signal");
        if (!can_be_read(signo) || sigaddset(&set, signo))
            bind_misuse(L, arg, "signal", "signal %d can not be read", signo);
    }
    os_signals *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (os_signals){.fd = -1, .set = set};
    luaL_setmetatable(L, SIGNALS);
    int error = os_signal_open(self);
    return error ? bind_fail(L, error, "process.signals") : 1;
}

/***
Waits for the next signal.
@function shm.process.signals:wait
@number[opt] timeout in seconds, absent for ever
@treturn string the signal's name without SIG
@treturn int the pid of its sender, for CHLD of the child, 0 if the kernel sent it
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal that is not read here
*/
static int signals_wait(lua_State *L)
{
    os_signals *self = signals_self(L);
    bind_arity(L, 2);
    int64_t deadline = bind_deadline(L, 2);
    if (self->fd < 0)
        bind_handle_bad(L, 1, "handle is closed");
    int signo;
    pid_t sender;
    int error = os_signal_next(self, deadline, &signo, &sender);
    if (error)
        return bind_fail(L, error, "signals.wait");
    char name[OS_SIGNAL_NAME];
    lua_pushstring(L, os_signal_name(signo, name));
    lua_pushinteger(L, sender);
    return 2;
}

/***
Gives the signals back.
@function shm.process.signals:close
@treturn boolean true
*/
static int signals_close(lua_State *L)
{
    os_signal_close(signals_self(L));
    lua_pushboolean(L, 1);
    return 1;
}

static int signals_tostring(lua_State *L)
{
    const os_signals *self = signals_self(L);
    if (self->fd < 0) {
        lua_pushliteral(L, SIGNALS " (closed)");
        return 1;
    }
    luaL_Buffer names;
    luaL_buffinit(L, &names);
    const char *separator = SIGNALS " (";
    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        if (sigismember(&self->set, signo) != 1)
            continue;
        char name[OS_SIGNAL_NAME];
        luaL_addstring(&names, separator);
        luaL_addstring(&names, os_signal_name(signo, name));
        separator = " ";
    }
    luaL_addstring(&names, ")");
    luaL_pushresult(&names);
    return 1;
}

/***
Sets what a signal does to this process when nobody reads it. Who is signalled by peers
ignores the signal, so that one that comes late does not end the process.
@function shm.process.signal
@tparam string|int signal by name, with or without SIG, or by number
@string action "ignore", "default" for what the kernel does, or "count" for a handler that
does nothing but count, see `handled`: what waits answers EINTR then, but for what the
kernel resumes by itself, which are mq_send, mq_receive and posix.lock without a timeout
@treturn boolean true
@raise when the signal's action can not be set: KILL, STOP, nor BUS and SEGV, by which
memory that goes away is noticed
@see sigaction(2)
*/
static int signals_dispose(lua_State *L)
{
    static const char *const actions[] = {"default", "ignore", "count", NULL};
    bind_arity(L, 2);
    int signo = bind_signo(L, 1, "signal");
    int action = bind_option(L, 2, "action", false, actions);
    bool ours = signo == SIGBUS || signo == SIGSEGV; /* memory that goes tells by these */
    if (ours || (action == 2 ? os_signal_count(signo) : os_signal_dispose(signo, action)))
        bind_misuse(L, 1, "signal", "the action of signal %d can not be set", signo);
    lua_pushboolean(L, 1);
    return 1;
}

/***
How many of a signal have been handled, in this process and in those that it is forked
from, where its action is "count".
@function shm.process.handled
@tparam string|int signal by name, with or without SIG, or by number
@treturn int how many
@see sigaction(2)
*/
static int signals_handled(lua_State *L)
{
    bind_arity(L, 1);
    lua_pushinteger(L, os_signal_counted(bind_signo(L, 1, "signal")));
    return 1;
}

/***
Sleeps until a handler has run. A signal that comes before it sleeps does not wake it: who
looks first and pauses then can sleep for ever. For study; signals:wait loses none.
@function shm.process.pause
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT
@see pause(2)
*/
static int signals_pause(lua_State *L)
{
    bind_arity(L, 1);
    return bind_done(L, os_signal_pause(bind_deadline(L, 1)), "process.pause");
}

void bind_signals_add(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", signals_close},
        {"__close", signals_close},
        {"__tostring", signals_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"wait", signals_wait},
        {"close", signals_close},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"signals", signals_open},
        {"signal", signals_dispose},
        {"handled", signals_handled},
        {"pause", signals_pause},
        {NULL, NULL},
    };
    bind_handle_type(L, SIGNALS, metamethods, methods);
    bind_pollable_methods(L, SIGNALS);
    luaL_setfuncs(L, functions, 0);
}
