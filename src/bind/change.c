/*
 * Changes of a map's keys.
 *
 * A value is encoded first, into private memory; whether and how it is put is decided
 * inside the arena's guard, by functions of this file that call nothing of Lua's.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

#define SECONDS_MOST 1e9

static int if_absent(ds_map_change *change, const ds_map_old *old)
{
    (void)change;
    return old->entry ? -EEXIST : 0;
}

static int if_present(ds_map_change *change, const ds_map_old *old)
{
    (void)change;
    return old->entry ? 0 : -ENOENT;
}

static int delete_it(ds_map_change *change, const ds_map_old *old)
{
    (void)change;
    return old->entry ? DS_MAP_DELETE : -ENOENT;
}

static int if_version(ds_map_change *change, const ds_map_old *old)
{
    const uint64_t *expected = change->context;
    return old->version == *expected ? 0 : -EAGAIN;
}

/* When a value's time is up that is an optional argument, in seconds. */
uint64_t bind_map_expiry(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return 0;
    lua_Number seconds = bind_seconds(L, arg, "ttl");
    if (!(seconds > 0) || seconds > SECONDS_MOST)
        bind_misuse(L, arg, "ttl", "more than 0 and at most %d seconds expected",
                    (int)SECONDS_MOST);
    return (uint64_t)os_clock_now() + (uint64_t)(seconds * 1e9) + 1;
}

/* A value that is none, or is too long. */
int bind_map_no_value(lua_State *L, const bind_map *self, int arg, int error)
{
    if (!error)
        return bind_misuse(L, arg, "value", "nil is an absent key: see delete");
    if (error == -EMSGSIZE)
        return self->map.limit ? -EDQUOT : -ENOSPC;
    return error;
}

static int put(lua_State *L, const char *what,
               int (*decide)(ds_map_change *, const ds_map_old *))
{
    int n = lua_gettop(L);
    bool timed = n > 3;
    if (n < 3)
        lua_settop(L, 3); /* no value is nil */
    bind_map *self = bind_map_exactly(L, timed ? 4 : 3);
    int64_t number;
    ds_map_change change;
    change.key = bind_map_key(L, 2, &self->map, &number);
    ds_map_change_begin(&change, decide, NULL, timed ? bind_map_expiry(L, 4) : 0);
    int error = bind_map_encode(L, self, 3, &change);
    error = error ? error : ds_map_apply(&self->map, &change, 1, OS_CLOCK_FOREVER);
    if (error)
        return bind_map_fail(L, self, error, what);
    bind_map_check(L, self);
    lua_pushboolean(L, 1);
    return 1;
}

/***
Gives a key a value, whether it had one or not.
@function shm.map:set
@tparam string|int|boolean key of less than 1 MiB
@param value boolean, integer, float, string or a table of these; not nil
@number[opt] ttl after how many seconds it goes, up to 10^9; absent for never
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC (the arena or the map is full), EBUSY (a process that is stopped
holds the arena's guard), EBADMSG
*/
static int map_set(lua_State *L)
{
    return put(L, "map.set", NULL);
}

/***
Gives a key a value that has none.
@function shm.map:add
@tparam string|int|boolean key
@param value
@number[opt] ttl
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST, ENOSPC, EBUSY, EBADMSG
*/
static int map_add(lua_State *L)
{
    return put(L, "map.add", if_absent);
}

/***
Gives a key a value that has one.
@function shm.map:replace
@tparam string|int|boolean key
@param value
@number[opt] ttl
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, ENOSPC, EBUSY, EBADMSG
*/
static int map_replace(lua_State *L)
{
    return put(L, "map.replace", if_present);
}

/***
Takes a key away.
@function shm.map:delete
@tparam string|int|boolean key
@treturn boolean whether it was there
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY, EBADMSG
*/
static int map_delete(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 2);
    int64_t number;
    ds_map_change change = {.decide = delete_it};
    change.key = bind_map_key(L, 2, &self->map, &number);
    int error = ds_map_apply(&self->map, &change, 1, OS_CLOCK_FOREVER);
    if (error && error != -ENOENT)
        return bind_map_fail(L, self, error, "map.delete");
    bind_map_check(L, self);
    lua_pushboolean(L, !error);
    return 1;
}

static int delete_if(ds_map_change *change, const ds_map_old *old)
{
    int error = if_version(change, old);
    return error ? error : old->entry ? DS_MAP_DELETE : -ENOENT;
}

/***
Gives a key a value if its version is still the one that is known, or takes it away.
@function shm.map:set_if
@tparam string|int|boolean key
@int version as of `lookup`; 0 for an absent key
@param value nil to take the key away
@number[opt] ttl absent for the one that it has
@treturn boolean whether it was
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC, EBUSY, EBADMSG
*/
static int map_set_if(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 5);
    int64_t number;
    uint64_t version = (uint64_t)bind_range(L, 3, "version", 0, LUA_MAXINTEGER);
    bool deletes = lua_isnoneornil(L, 4);
    ds_map_change change = {.decide = deletes ? delete_if : if_version,
                            .context = &version,
                            .expires = DS_MAP_KEEP};
    change.key = bind_map_key(L, 2, &self->map, &number);
    if (!lua_isnoneornil(L, 5))
        change.expires = bind_map_expiry(L, 5);
    int error = deletes ? 0 : bind_map_encode(L, self, 4, &change);
    error = error ? error : ds_map_apply(&self->map, &change, 1, OS_CLOCK_FOREVER);
    if (error == -ENOENT)
        error = 0; /* absent it was to be, and is */
    if (error && error != -EAGAIN)
        return bind_map_fail(L, self, error, "map.set_if");
    bind_map_check(L, self);
    lua_pushboolean(L, !error);
    return 1;
}

/* A value as it is expected: its bytes in one piece. */
typedef struct expected {
    const uint8_t *bytes;
    size_t size;
    bool absent, deletes;
} expected;

static int if_same(ds_map_change *change, const ds_map_old *old)
{
    const expected *wanted = change->context;
    bool same = wanted->absent ? !old->entry
                               : old->entry && old->size == wanted->size &&
                                     memcmp(old->value, wanted->bytes, old->size) == 0;
    if (!same)
        return -EAGAIN;
    return !wanted->deletes ? 0 : old->entry ? DS_MAP_DELETE : -ENOENT;
}

/***
Gives a key a value if the one that it has is what is expected, byte for byte as
MessagePack has it: 1 is not 1.0, and for tables `set_if` is the better choice.
@function shm.map:cas
@tparam string|int|boolean key
@param old nil for an absent key
@param new nil to take the key away
@number[opt] ttl absent for the one that it has
@treturn boolean whether it was
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC, EBUSY, EBADMSG
*/
static int map_cas(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 5);
    int64_t number;
    ds_bytes old;
    expected wanted = {.absent = lua_isnil(L, 3), .deletes = lua_isnoneornil(L, 4)};
    ds_map_change change = {
        .decide = if_same, .context = &wanted, .expires = DS_MAP_KEEP};
    if (!lua_isnoneornil(L, 5))
        change.expires = bind_map_expiry(L, 5);
    int error = 0;
    if (!wanted.absent) { /* a copy: there is one scratch for two values */
        error = bind_value_encode(L, 3, "value", UINT32_MAX / 2, &old);
        wanted.size = error ? 0 : ds_bytes_size(&old);
        uint8_t *copy = lua_newuserdatauv(L, wanted.size, 0);
        error = error ? error : bind_value_encode(L, 3, "old", SIZE_MAX, &old);
        if (error == -EMSGSIZE || ds_bytes_size(&old) != wanted.size)
            error = -EAGAIN; /* no value is so long; or a finalizer changed the table */
        if (!error)
            ds_bytes_put(copy, &old);
        wanted.bytes = copy;
        self = bind_map_self(L);
    }
    if (!error && !wanted.deletes)
        error = bind_map_encode(L, self, 4, &change);
    change.key = bind_map_key(L, 2, &self->map, &number);
    error = error ? error : ds_map_apply(&self->map, &change, 1, OS_CLOCK_FOREVER);
    if (error == -ENOENT)
        error = 0; /* absent it was to be, and is */
    if (error && error != -EAGAIN)
        return bind_map_fail(L, self, error, "map.cas");
    bind_map_check(L, self);
    lua_pushboolean(L, !error);
    return 1;
}

void bind_change_add(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"set", map_set},       {"add", map_add}, {"replace", map_replace},
        {"delete", map_delete}, {"cas", map_cas}, {"set_if", map_set_if},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_MAP, methods);
}
