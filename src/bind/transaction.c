/*
 * Transactions: what a function writes into a region stays only if the function returns.
 *
 * While one goes on, every handle of the mapping is marked, so that whoever changes bytes
 * by it saves them first, in the journal of the lock that is held meanwhile. If the
 * function throws, they are put back here; if the process dies, whoever gets the lock
 * next puts them back. What is written by other means is not known here: by libc's
 * semaphores, by other objects of this module, or by another mapping of the same memory.
 */
#include "bind/bind.h"

#include <errno.h>

static void mark(const mem_mapping *mapping, bool on)
{
    for (bind_region *one = mapping->regions; one; one = one->next)
        one->look =
            (uint8_t)(on ? one->look | BIND_JOURNALED : one->look & ~BIND_JOURNALED);
}

/* The journal is this thread's: a child that was forked meanwhile has none. */
void bind_region_save(lua_State *L, const bind_region *region, const uint8_t *bytes,
                      size_t n)
{
    const mem_mapping *mapping = region->mapping;
    if (!(region->look & BIND_JOURNALED) || n == 0 ||
        mapping->journalist != os_thread_self())
        return;
    if (mem_journal_save(mapping->journal, mapping->room, bytes, bytes, n))
        luaL_error(L, "the journal of %d bytes is full: make the lock with a larger one",
                   (int)mapping->room);
    bind_region_check(L, region);
}

static bind_sync *lock_of(lua_State *L, int arg)
{
    bind_sync *lock = luaL_testudata(L, arg, "shm.mutex");
    if (!lock)
        lock = luaL_testudata(L, arg, "shm.rwlock");
    if (!lock)
        bind_misuse(L, arg, "lock", "shm.mutex or shm.rwlock expected, got %s",
                    luaL_typename(L, arg));
    else if (!lock->handle.mapping)
        bind_misuse(L, arg, "lock", "it is closed");
    return lock;
}

/***
Runs a function with a lock held, for writing, as a transaction: what it writes through
this region, its views, records and bound functions is undone if it throws, or if the
process dies before it has returned.
@function shm.region:transaction
@tparam shm.mutex|shm.rwlock lock one that lies in the same memory, and was made with a
journal: which takes, for each write, the bytes it replaces, rounded up to 8, and 16 more
@func f what to run; it must not yield, and can not let go of the lock
@param ... arguments for f
@return what f returns; use lock where you have to know that the last holder died
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EINTR after a signal, EDEADLK, ENOMEM, ENOTSUP: as lock; f was not run
@raise what f throws, also that the journal is full
*/
static int region_transaction(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_region_writable(L, region);
    if (!region->mapping)
        return bind_region_refuses(L, region);
    const bind_sync *lock = lock_of(L, 2);
    luaL_argexpected(L, lua_isfunction(L, 3), 3, "f: function");
    mem_mapping *mapping = region->mapping;
    size_t room;
    mem_journal *journal = sync_handle_journal(&lock->handle, &room);
    if (lock->handle.mapping != mapping)
        bind_misuse(L, 2, "lock", "it lies in other memory");
    if (!journal)
        bind_misuse(L, 2, "lock", "it was made without a journal");
    if (mapping->journal && mapping->journalist == os_thread_self())
        luaL_argerror(L, 1, "a transaction goes on in it already");
    sync_outcome outcome = {0};
    int result = bind_hold_acquire(&lock->handle, OS_CLOCK_FOREVER, &outcome);
    if (result < 0)
        return bind_sync_answer(L, lock, result, "region.transaction", &outcome);
    bind_sync_check(L, lock);    /* as in hold.c */
    mem_mapping_retain(mapping); /* f may close the region, where it is a view */
    mem_journal_clear(journal);
    mapping->journal = journal;
    mapping->room = room;
    mapping->journalist = os_thread_self();
    mark(mapping, true);
    int status = lua_pcall(L, lua_gettop(L) - 3, LUA_MULTRET, 0);
    mark(mapping, false);
    mapping->journal = NULL;
    if (status) {
        mem_journal_undo(journal, room, mapping->base, mapping->size);
        if (mem_fault_seen()) /* what is gone has nothing to be put back into */
            mem_fault_end(mapping);
    } else
        mem_journal_clear(journal);
    if (lock->handle.mapping)
        bind_hold_release(&lock->handle);
    mem_mapping_release(mapping);
    if (status)
        return lua_error(L);
    return lua_gettop(L) - 2;
}

void bind_transaction_register(lua_State *L)
{
    static const luaL_Reg methods[] = {{"transaction", region_transaction}, {NULL, NULL}};
    bind_handle_methods(L, BIND_REGION, methods);
}
