/*
 * shm.mutex: a mutex in a region, which outlives its holder.
 */
#include "bind/bind.h"

/***
Makes a mutex in a region.
@function shm.mutex.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 8
@tparam[opt] table options recursive: its holder may lock it again; journal: bytes that
are set aside for region.transaction
@treturn shm.mutex the mutex
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else), ETIMEDOUT
(somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static uint32_t arguments(lua_State *L, int arg, uint64_t *value)
{
    static const char *const known[] = {"recursive", "journal", NULL};
    bool recursive = false;
    *value = 0;
    if (!bind_fields(L, arg, "options", true, known))
        return 0;
    bind_field_boolean(L, arg, "recursive", &recursive);
    return bind_sync_room(L, arg) | (recursive ? SYNC_RECURSIVE : 0);
}

/***
Locks it: waits until nobody holds it.
@function shm.mutex:lock
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn ?string "recovered" when its last holder died with it; what a transaction had
begun is undone
@treturn ?int that one's pid
@treturn[2] nil
@treturn[2] string message; "deadlock: 4711 -> 4712 -> 4711" names who waits for whom
@treturn[2] int ETIMEDOUT, EINTR after a signal, EDEADLK when waiting would close a circle,
or this thread holds it and it is not recursive; ENOMEM when a
dead holder's transaction is to be undone in what is not mapped here, and can not be,
ENOTSUP where that is what posix.mmap gave: it stays for others to undo
@see futex(2)
*/
static int mutex_lock(lua_State *L)
{
    const bind_sync *self = lua_gettop(L) == 1 ? bind_handle_self(L) : NULL;
    if (self && self->handle.mapping && sync_mutex_take(self->handle.mutex)) {
        bind_sync_check(L, self);
        lua_pushboolean(L, 1);
        return 1;
    }
    return bind_hold_lock(L, bind_hold_acquire, "mutex.lock");
}

/***
Locks it if nobody holds it: lock with a time-out of 0.
@function shm.mutex:try
@treturn boolean true, and as lock
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT; EDEADLK when this thread holds it and it is not recursive
*/
static int mutex_try(lua_State *L)
{
    return bind_hold_try(L, bind_hold_acquire, "mutex.try");
}

/***
Leaves it to the next one.
@function shm.mutex:unlock
@raise when this thread does not hold it, or its transaction goes on under it
*/
static int mutex_unlock(lua_State *L)
{
    const bind_sync *self = lua_gettop(L) == 1 ? bind_handle_self(L) : NULL;
    if (self && self->handle.mapping && !self->handle.mapping->journal &&
        sync_mutex_give(self->handle.mutex)) {
        bind_sync_check(L, self);
        return 0;
    }
    return bind_hold_unlock(L);
}

/***
Runs a function with the mutex locked, and unlocks it also when that throws. Whether a
holder had died before is not told: where that matters, use hold. The function may yield.
@function shm.mutex:with
@func f what to run
@param ... arguments for f
@return what f returns
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EINTR after a signal, EDEADLK: as lock; f was not run
*/
static int mutex_with(lua_State *L)
{
    return bind_hold_with(L, bind_hold_acquire, "mutex.with");
}

/***
Locks it for as long as a variable lives: local held <close> = m:hold(). What is collected
and was not closed stays locked.
@function shm.mutex:hold
@number[opt] timeout in seconds, absent for ever
@treturn shm.held what unlocks when it is closed
@treturn ?string "recovered", as lock
@treturn ?int pid
@treturn[2] nil
@treturn[2] string message
@treturn[2] int as lock
*/
static int mutex_hold(lua_State *L)
{
    return bind_hold_hold(L, bind_hold_acquire, "mutex.hold");
}

/***
Who holds it.
@function shm.mutex:holder
@treturn ?int the pid, or nothing when nobody does; it may be a dead one's
@treturn ?number since when, on the clock of process.monotonic, to a few milliseconds
*/
static int mutex_holder(lua_State *L)
{
    const sync_mutex *mutex = bind_sync_self(L)->handle.mutex;
    bind_arity(L, 1);
    return bind_hold_holder(L, mem_atomic_load64(&mutex->owner.who), mutex->since);
}

void bind_mutex_add(lua_State *L)
{
    static const bind_sync_kind kind = {SYNC_MUTEX, "shm.mutex", "mutex", arguments, 1};
    static const luaL_Reg methods[] = {
        {"lock", mutex_lock}, {"try", mutex_try},   {"unlock", mutex_unlock},
        {"with", mutex_with}, {"hold", mutex_hold}, {"holder", mutex_holder},
        {NULL, NULL},
    };
    bind_sync_type(L, &kind, methods);
}
