/*
 * Going through all keys of a map.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

/* The key in front of the value that ds_map_next copied. */
static const uint8_t *push_key(lua_State *L, const uint8_t *bytes, uint32_t word)
{
    size_t size = ds_key_size(word);
    int64_t number = 0;
    memcpy(&number, bytes, size < sizeof number ? size : sizeof number);
    switch (word >> 30) {
    case DS_KEY_STRING:
        lua_pushlstring(L, (const char *)bytes, size);
        break;
    case DS_KEY_INTEGER:
        lua_pushinteger(L, number);
        break;
    default:
        lua_pushboolean(L, number != 0);
    }
    return bytes + size;
}

/***
The key behind another one, and its value: in no order that means something, but one that
stays while others change the map. A key that is there all the time is seen once.
@function shm.map:next
@tparam[opt] string|int|boolean key absent or nil for the first one
@return the next key, or nil behind the last one
@return its value
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADMSG, EBUSY
*/
static int map_next(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 2);
    int64_t number;
    uint8_t bytes[BIND_MAP_STACK];
    ds_buffer buffer = {.bytes = bytes, .room = sizeof bytes};
    ds_map_found found;
    ds_key key = {0};
    bool begin = lua_isnoneornil(L, 2);
    if (!begin)
        key = bind_map_key(L, 2, &self->map, &number);
    int error = ds_map_next(&self->map, begin ? NULL : &key, &buffer, &found);
    while (error == -ENOBUFS) {
        buffer.room = buffer.size;
        buffer.bytes = lua_newuserdatauv(L, buffer.room, 0);
        self = bind_map_self(L);
        error = ds_map_next(&self->map, begin ? NULL : &key, &buffer, &found);
    }
    bind_map_check(L, self);
    if (error == -ENOENT) {
        lua_pushnil(L);
        return 1;
    }
    if (!error) {
        const uint8_t *value = push_key(L, buffer.bytes, found.key);
        error = bind_value_decode(L, value, found.size);
    }
    return error ? bind_map_fail(L, self, error, "map.next") : 2;
}

/* What an iterator calls: what ends it by error throws, as nothing would see it else. */
static int iterate(lua_State *L)
{
    int n = map_next(L);
    if (n == 3)
        luaL_error(L, "%s", lua_tostring(L, -2));
    return n;
}

/***
For loops over all keys: `for key, value in map:pairs() do`. Nobody waits for it, and it
waits for nobody; it may change the map, as may others.
@function shm.map:pairs
@treturn function
@treturn shm.map
@raise in the loop, where `next` fails
*/
static int map_pairs(lua_State *L)
{
    bind_map_self(L);
    bind_arity(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, iterate, 1);
    lua_pushvalue(L, 1);
    return 2;
}

void bind_next_add(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"next", map_next},
        {"pairs", map_pairs},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_MAP, methods);
    luaL_getmetatable(L, BIND_MAP);
    lua_getfield(L, -1, "__index");
    lua_getfield(L, -1, "pairs");
    lua_setfield(L, -3, "__pairs");
    lua_pop(L, 2);
}
