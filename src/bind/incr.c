/*
 * A map's numbers and times, changed in place: read and written in one step.
 */
#include "bind/bind.h"

#include <errno.h>
#include <math.h>
#include <string.h>

typedef struct sum { /* integers while both are, as in Lua */
    bool adds_float, begins, floats;
    lua_Integer n, result;
    lua_Number f, fresult;
    lua_Integer begin_n;
} sum;

static void encode_sum(sum *of, ds_map_change *change)
{
    ds_bytes *value = &change->value;
    const uint8_t *end = of->floats ? bind_number_put_float(value->small, of->fresult)
                                    : bind_number_put_integer(value->small, of->result);
    value->head = value->body = value->small;
    value->head_size = (size_t)(end - value->small);
}

static int add_to(ds_map_change *change, const ds_map_old *old)
{
    sum *of = change->context;
    bind_number value = {.n = 0};
    if (!old->entry && !of->begins)
        return -ENOENT;
    if (!old->entry)
        value.n = of->begin_n;
    else if (!bind_number_get(old->value, old->size, &value))
        return -EINVAL;
    of->floats = of->adds_float || value.floats;
    of->result = (lua_Integer)((lua_Unsigned)value.n + (lua_Unsigned)of->n);
    of->fresult = (value.floats ? value.f : (lua_Number)value.n) + of->f;
    encode_sum(of, change);
    return 0;
}

/***
Adds to a key's number, in one step. Integers wrap around; with a float it becomes one.
@function shm.map:incr
@tparam string|int|boolean key
@tparam[opt=1] number n what to add
@int[opt] init what an absent key begins with; else it is an error
@number[opt] ttl of a key that begins; one that is there keeps its own
@treturn number the sum
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EINVAL (the value is no number), ENOSPC, EBUSY, EBADMSG
*/
static int map_incr(lua_State *L)
{
    int n = lua_gettop(L);
    bind_map *self = bind_map_exactly(L, n < 2 ? 2 : n > 5 ? 5 : n);
    int64_t number;
    sum of = {.n = 1, .f = 1};
    if (n > 2 && !lua_isnil(L, 3)) {
        if (lua_type(L, 3) != LUA_TNUMBER)
            bind_misuse(L, 3, "n", "number expected, got %s", luaL_typename(L, 3));
        of.adds_float = !lua_isinteger(L, 3);
        of.n = of.adds_float ? 0 : lua_tointeger(L, 3);
        of.f = of.adds_float ? lua_tonumber(L, 3) : (lua_Number)of.n;
    }
    of.begins = n > 3 && !lua_isnil(L, 4);
    if (of.begins)
        of.begin_n = bind_integer(L, 4, "init");
    ds_map_change change;
    ds_map_change_begin(&change, add_to, &of, DS_MAP_KEEP);
    change.key = bind_map_key(L, 2, &self->map, &number);
    change.fresh = n > 4 ? bind_map_expiry(L, 5) : 0;
    int error = ds_map_apply(&self->map, &change, 1, OS_CLOCK_FOREVER);
    if (error == -EINVAL) {
        lua_pushnil(L);
        lua_pushliteral(L, "map.incr: the value is no number");
        lua_pushinteger(L, EINVAL);
        return 3;
    }
    if (error)
        return bind_map_fail(L, self, error, "map.incr");
    bind_map_check(L, self);
    if (of.floats)
        lua_pushnumber(L, of.fresult);
    else
        lua_pushinteger(L, of.result);
    return 1;
}

/* The value stays, for another time. */
static int keep_value(ds_map_change *change, const ds_map_old *old)
{
    if (!old->entry)
        return -ENOENT;
    change->value = (ds_bytes){.head = old->value, .head_size = old->size};
    return 0;
}

/***
How long a key has, or from now on shall have.
@function shm.map:ttl
@tparam string|int|boolean key
@number[opt] seconds from now on, up to 10^9; `math.huge` for no end; absent to ask
@treturn number seconds, `math.huge` without an end; nil when the key is absent
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY, ENOSPC, EBADMSG
*/
static int map_ttl(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 3);
    int64_t number;
    ds_map_found found = {0};
    ds_map_change change = {.decide = keep_value};
    bool asks = lua_isnoneornil(L, 3);
    if (!asks && !(lua_type(L, 3) == LUA_TNUMBER && lua_tonumber(L, 3) == HUGE_VAL))
        change.expires = bind_map_expiry(L, 3);
    change.key = bind_map_key(L, 2, &self->map, &number);
    int error = asks ? ds_map_get(&self->map, &change.key, OS_CLOCK_FOREVER, NULL, &found)
                     : ds_map_apply(&self->map, &change, 1, OS_CLOCK_FOREVER);
    if (error && error != -ENOENT)
        return bind_map_fail(L, self, error, "map.ttl");
    bind_map_check(L, self);
    uint64_t expires = asks ? found.expires : change.expires;
    int64_t left = (int64_t)expires - os_clock_now();
    if (error)
        lua_pushnil(L);
    else if (expires == 0)
        lua_pushnumber(L, HUGE_VAL);
    else
        lua_pushnumber(L, left > 0 ? (lua_Number)left / 1e9 : 0);
    return 1;
}

void bind_incr_add(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"incr", map_incr},
        {"ttl", map_ttl},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_MAP, methods);
}
