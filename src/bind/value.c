/*
 * shm.value: Lua values as the bytes that they are in shared memory, which is
 * MessagePack.
 */
#include "bind/bind.h"

/***
What a value is in shared memory: MessagePack, which other languages read. A string is
`str` if it is UTF-8, else `bin`; a table whose keys are 1 to n is an array, any other a
map, the empty one an array. Metatables are not looked at.
@function shm.value.encode
@param value nil, boolean, integer, float, string or a table of these
@treturn string the bytes
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EMSGSIZE, for a string or table that MessagePack has no form for: of 4 GiB
@raise when there is something else in it, which the message names; when a table is in
itself, or nested deeper than 100
*/
static int value_encode(lua_State *L)
{
    bind_arity(L, 1);
    ds_bytes bytes;
    int error = bind_value_encode(L, 1, "value", SIZE_MAX, &bytes);
    if (error)
        return bind_fail(L, error, "value.encode");
    if (bytes.body_size == 0) { /* copied before a finalizer can run */
        lua_pushlstring(L, bytes.head, bytes.head_size);
        return 1;
    }
    luaL_Buffer all;
    size_t size = ds_bytes_size(&bytes);
    ds_bytes_put((uint8_t *)luaL_buffinitsize(L, &all, size), &bytes);
    luaL_pushresultsize(&all, size);
    return 1;
}

/***
The value that bytes stand for. All of MessagePack is understood, but for its extension
types; integers above `math.maxinteger` become floats.
@function shm.value.decode
@string bytes what `encode` gave, here or in another language
@return the value
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADMSG, if it is no such value, or more than one, or nested deeper than 100
*/
static int value_decode(lua_State *L)
{
    bind_arity(L, 1);
    size_t size;
    const char *bytes = bind_string(L, 1, "bytes", &size);
    int error = bind_value_decode(L, (const uint8_t *)bytes, size);
    return error ? bind_fail(L, error, "value.decode") : 1;
}

void bind_value_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", value_encode},
        {"decode", value_decode},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
