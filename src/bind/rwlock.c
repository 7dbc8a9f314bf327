/*
 * shm.rwlock: a readers-writer lock in a region. lock is for writing, and its kin; those
 * that end in shared are for reading.
 */
#include "bind/bind.h"

/***
Makes a readers-writer lock in a region. 31 can read at once.
@function shm.rwlock.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 8
@tparam[opt] table options journal: bytes that are set aside for region.transaction
@treturn shm.rwlock the lock
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else), ETIMEDOUT
(somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static uint32_t arguments(lua_State *L, int arg, uint64_t *value)
{
    static const char *const known[] = {"journal", NULL};
    *value = 0;
    return bind_fields(L, arg, "options", true, known) ? bind_sync_room(L, arg) : 0;
}

/***
Locks it for writing: waits until nobody writes and nobody reads. Readers that come later
wait.
@function shm.rwlock:lock
@number[opt] timeout in seconds, absent for ever
@treturn boolean true, and as mutex.lock
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EDEADLK when waiting would close a circle,
or this thread writes or reads already; ENOMEM, ENOTSUP as of mutex.lock
*/
static int rwlock_lock(lua_State *L)
{
    return bind_hold_lock(L, sync_rwlock_write, "rwlock.lock");
}

/***
Locks it for reading: waits until nobody writes nor waits to, and fewer than 31 read. Who
reads may do so again, and does not wait for who wants to write.
@function shm.rwlock:lock_shared
@number[opt] timeout in seconds, absent for ever
@treturn boolean true, and as mutex.lock
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EDEADLK when waiting would close a circle,
or this thread writes, or reads 31 times; ENOMEM, ENOTSUP as of mutex.lock
*/
static int rwlock_lock_shared(lua_State *L)
{
    return bind_hold_lock(L, sync_rwlock_read, "rwlock.lock_shared");
}

/***
lock with a time-out of 0.
@function shm.rwlock:try
@treturn boolean true, and as lock
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT; EDEADLK when this thread writes or reads already
*/
static int rwlock_try(lua_State *L)
{
    return bind_hold_try(L, sync_rwlock_write, "rwlock.try");
}

/***
lock_shared with a time-out of 0.
@function shm.rwlock:try_shared
@treturn boolean true, and as lock_shared
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT; EDEADLK when this thread writes, or reads 31 times
*/
static int rwlock_try_shared(lua_State *L)
{
    return bind_hold_try(L, sync_rwlock_read, "rwlock.try_shared");
}

/***
Leaves it, from writing or from reading, whichever this thread does.
@function shm.rwlock:unlock
@raise when this thread does neither, or its transaction goes on under it
*/
static int rwlock_unlock(lua_State *L)
{
    return bind_hold_unlock(L);
}

/***
Runs a function while this thread writes: as mutex.with.
@function shm.rwlock:with
@tparam function f what to run
@param ... its arguments
*/
static int rwlock_with(lua_State *L)
{
    return bind_hold_with(L, sync_rwlock_write, "rwlock.with");
}

/***
Runs a function while this thread reads: as mutex.with.
@function shm.rwlock:with_shared
@tparam function f what to run
@param ... its arguments
*/
static int rwlock_with_shared(lua_State *L)
{
    return bind_hold_with(L, sync_rwlock_read, "rwlock.with_shared");
}

/***
Locks it for writing for as long as a variable lives: as mutex.hold.
@function shm.rwlock:hold
@number[opt] timeout in seconds, absent for ever
*/
static int rwlock_hold(lua_State *L)
{
    return bind_hold_hold(L, sync_rwlock_write, "rwlock.hold");
}

/***
Locks it for reading for as long as a variable lives: as mutex.hold.
@function shm.rwlock:hold_shared
@number[opt] timeout in seconds, absent for ever
*/
static int rwlock_hold_shared(lua_State *L)
{
    return bind_hold_hold(L, sync_rwlock_read, "rwlock.hold_shared");
}

/***
Who writes, or waits for the last readers to leave.
@function shm.rwlock:holder
@treturn ?int the pid, or nothing when nobody does
@treturn ?number since when it does the one or the other, on the clock of
process.monotonic
*/
static int rwlock_holder(lua_State *L)
{
    const sync_rwlock *rwlock = bind_sync_self(L)->handle.rwlock;
    bind_arity(L, 1);
    return bind_hold_holder(L, mem_atomic_load64(&rwlock->writer.who), rwlock->since);
}

/***
Who reads.
@function shm.rwlock:readers
@treturn table pids; one that reads twice is there twice
*/
static int rwlock_readers(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    lua_newtable(L);
    for (int i = 0, n = 0; i < SYNC_READERS; i++) {
        uint64_t who = sync_who(mem_atomic_load64(&self->handle.rwlock->reader[i].who));
        if (who == 0)
            continue;
        lua_pushinteger(L, os_thread_process(who));
        lua_rawseti(L, -2, ++n);
    }
    bind_sync_check(L, self);
    return 1;
}

void bind_rwlock_add(lua_State *L)
{
    static const bind_sync_kind kind = {SYNC_RWLOCK, "shm.rwlock", "rwlock", arguments,
                                        1};
    static const luaL_Reg methods[] = {
        {"lock", rwlock_lock},
        {"lock_shared", rwlock_lock_shared},
        {"try", rwlock_try},
        {"try_shared", rwlock_try_shared},
        {"unlock", rwlock_unlock},
        {"with", rwlock_with},
        {"with_shared", rwlock_with_shared},
        {"hold", rwlock_hold},
        {"hold_shared", rwlock_hold_shared},
        {"holder", rwlock_holder},
        {"readers", rwlock_readers},
        {NULL, NULL},
    };
    bind_sync_type(L, &kind, methods);
}
