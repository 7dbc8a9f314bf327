/*
 * A key's value that one process computes while others wait for it: what get_or of
 * shm.map consists of.
 *
 * The claim is an entry that readers do not see, with the identity of whose it is. One
 * whose owner died is anybody's.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

typedef struct claim {
    ds_map *map;
    const ds_key *key;
    uint64_t owner; /* who has it */
    uint64_t dead;  /* of whom it is known that it does not live */
    int64_t deadline;
} claim;

static int if_free(ds_map_change *change, const ds_map_old *old)
{
    claim *of = change->context;
    of->owner = old->owner;
    if (old->entry)
        return -EEXIST;
    return old->owner && old->owner != of->dead ? -EAGAIN : 0;
}

static int if_mine(ds_map_change *change, const ds_map_old *old)
{
    (void)change;
    return old->owner == os_thread_self() ? 0 : -EAGAIN;
}

static int drop_mine(ds_map_change *change, const ds_map_old *old)
{
    int error = if_mine(change, old);
    return error ? error : DS_MAP_DELETE;
}

static bool is_settled(const sync_handle *handle)
{
    const claim *of = handle->context;
    uint64_t owner = 0;
    ds_buffer buffer = {.bytes = (uint8_t *)&owner, .room = sizeof owner};
    ds_map_found found;
    int error = ds_map_get(of->map, of->key, of->deadline, &buffer, &found);
    return error != -ENOENT || !found.pending || owner != of->owner ||
           !os_thread_alive(owner);
}

static int wait_for(bind_map *self, claim *of)
{
    sync_handle handle;
    if (of->owner == os_thread_self())
        return -EDEADLK;
    sync_handle_watch(&handle, self->base.handle.mapping,
                      &self->map.at->changed[of->key->hash % DS_MAP_STRIPES], is_settled,
                      of);
    int error = sync_eventcount_wait(&handle, of->deadline);
    sync_handle_close(&handle);
    of->dead = os_thread_alive(of->owner) ? 0 : of->owner;
    return error;
}

/***
Says that this thread computes a key's value, which is absent, or waits for who does.
@function shm.map:claim
@tparam string|int|boolean key
@number[opt] timeout in seconds, absent for ever
@treturn boolean true: fulfil or abandon it; false: there is a value by now
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EDEADLK (this thread has claimed it
already), ENOSPC, EBUSY, EBADMSG
*/
static int map_claim(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 3);
    int64_t number, deadline = bind_deadline(L, 3);
    uint64_t me = os_thread_self();
    ds_key key = bind_map_key(L, 2, &self->map, &number);
    claim of = {.map = &self->map, .key = &key, .deadline = deadline};
    ds_map_change change = {.key = key,
                            .value = {.head = &me, .head_size = sizeof me},
                            .pending = true,
                            .decide = if_free,
                            .context = &of};
    int error = -EAGAIN;
    while (error == -EAGAIN) {
        error = ds_map_apply(&self->map, &change, 1, deadline);
        int waited = error == -EAGAIN ? wait_for(self, &of) : 0;
        error = waited ? waited : error;
    }
    if (error && error != -EEXIST)
        return bind_map_fail(L, self, error, "map.claim");
    bind_map_check(L, self);
    lua_pushboolean(L, !error);
    return 1;
}

/***
Gives the key a value that this thread has claimed.
@function shm.map:fulfil
@tparam string|int|boolean key
@param value
@number[opt] ttl
@treturn boolean whether the claim was still there: somebody may have set the key
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC, EBUSY, EBADMSG
*/
static int map_fulfil(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 4);
    int64_t number;
    ds_map_change change = {.decide = if_mine};
    change.key = bind_map_key(L, 2, &self->map, &number);
    change.expires = bind_map_expiry(L, 4);
    int error = bind_map_encode(L, self, 3, &change);
    error = error ? error : ds_map_apply(&self->map, &change, 1, OS_CLOCK_FOREVER);
    if (error && error != -EAGAIN)
        return bind_map_fail(L, self, error, "map.fulfil");
    bind_map_check(L, self);
    lua_pushboolean(L, !error);
    return 1;
}

/***
Takes back a claim of this thread's.
@function shm.map:abandon
@tparam string|int|boolean key
@treturn boolean whether there was one
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY, EBADMSG
*/
static int map_abandon(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 2);
    int64_t number;
    ds_map_change change = {.decide = drop_mine};
    change.key = bind_map_key(L, 2, &self->map, &number);
    int error = ds_map_apply(&self->map, &change, 1, OS_CLOCK_FOREVER);
    if (error && error != -EAGAIN)
        return bind_map_fail(L, self, error, "map.abandon");
    bind_map_check(L, self);
    lua_pushboolean(L, !error);
    return 1;
}

void bind_claim_add(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"claim", map_claim},
        {"fulfil", map_fulfil},
        {"abandon", map_abandon},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_MAP, methods);
}
