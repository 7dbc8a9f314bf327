/*
 * Values in the formats of string.pack and string.unpack, in and out of a region.
 */
#include "bind/bind.h"

#include <lualib.h>
#include <string.h>

#define MOST_TRIES 1000 /* to read what others change meanwhile */

/***
Writes values in a format of string.pack, whose alignment counts from offset.
@function shm.region:pack
@int offset where to, in bytes from 0
@string format as for string.pack
@param ... the values
@treturn int the offset behind what was written
@raise when the values do not fit the format or reach outside the region
*/
static int region_pack(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_region_writable(L, region);
    bind_region_at(L, region, 2, 0);
    bind_string(L, 3, "format", NULL);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 3);
    if (lua_pcall(L, lua_gettop(L) - 3, 1, 0)) /* its errors do not say where */
        return luaL_error(L, "region.pack: %s", lua_tostring(L, -1));
    size_t n;
    const char *data = lua_tolstring(L, 3, &n);
    uint8_t *bytes = bind_region_change(L, region, 2, n);
    memcpy(bytes, data, n);
    bind_region_check(L, region);
    lua_pushinteger(L, bytes - region->base + (lua_Integer)n);
    return 1;
}

/*
 * Pushes the bytes that string.unpack will read for the format. Another process may write
 * between the look at how far that goes and the copy, so that a string's end is no longer
 * there: then it is looked at again.
 */
static void push_reach(lua_State *L, bind_region *region, const char *format)
{
    for (int tries = 1; tries <= MOST_TRIES; tries++) {
        const uint8_t *bytes = bind_region_at(L, region, 2, 0);
        size_t left = region->size - (size_t)(bytes - region->base), n, reach;
        bool inside = bind_format_reach(format, bytes, left, &n);
        bind_region_check(L, region);
        if (!inside)
            bind_misuse(L, 2, "offset",
                        "what '%s' reads at %I is not within the %I bytes of %s", format,
                        lua_tointeger(L, 2), (lua_Integer)region->size,
                        region->mapping->label);
        bind_region_push_bytes(L, region, bytes, n);
        const uint8_t *copy = (const uint8_t *)lua_tostring(L, -1);
        if (bind_format_reach(format, copy, n, &reach))
            return;
        lua_pop(L, 1);
    }
    luaL_argerror(L, 1, "the bytes do not stop changing");
}

/***
Reads values in a format of string.unpack, whose alignment counts from offset. No more is
looked at than the values take.
@function shm.region:unpack
@int offset where from, in bytes from 0
@string format as for string.unpack
@return the values, and then the offset behind them
@raise when the format is none, or the values reach outside the region
*/
static int region_unpack(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 3);
    const char *format = bind_word(L, 3, "format");
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 3);
    if (region->mapping) /* first: it may be shorter by now */
        bind_region_follow(region);
    push_reach(L, region, format);
    if (lua_pcall(L, 2, LUA_MULTRET, 0)) /* as above */
        return luaL_error(L, "region.unpack: %s", lua_tostring(L, -1));
    lua_pushinteger(L, lua_tointeger(L, 2) + lua_tointeger(L, -1) - 1);
    lua_replace(L, -2);
    return lua_gettop(L) - 3;
}

void bind_pack_register(lua_State *L)
{
    /* These call string.pack and string.unpack as they were when the module was opened.
     */
    static const luaL_Reg packers[] = {{"pack", region_pack}, {"unpack", region_unpack}};
    luaL_getmetatable(L, BIND_REGION);
    lua_getfield(L, -1, "__index");
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
        lua_pushvalue(L, -3);
        lua_getfield(L, -2, packers[i].name);
        lua_pushcclosure(L, packers[i].func, 2);
        lua_setfield(L, -3, packers[i].name);
    }
    lua_pop(L, 3);
}
