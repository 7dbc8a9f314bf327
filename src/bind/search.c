/*
 * Looking through a region: what differs, and where something is.
 *
 * Other processes may write meanwhile. Then the answer is about bytes that were there at
 * some time; it never comes from outside the region.
 */
#include "bind/bind.h"

#include <string.h>

#define STRIDE 4096

/* Where the first difference lies, or n; what was read there is in *a and *b. */
static size_t differ(const uint8_t *one, const uint8_t *other, size_t n, uint8_t *a,
                     uint8_t *b)
{
    for (size_t at = 0; at < n;) {
        size_t end = n - at < STRIDE ? n : at + STRIDE;
        if (memcmp(one + at, other + at, end - at) == 0) {
            at = end;
            continue;
        }
        for (; at < end; at++) {
            *a = *(const volatile uint8_t *)(one + at);
            *b = *(const volatile uint8_t *)(other + at);
            if (*a != *b)
                return at;
        }
    }
    return n;
}

/***
Compares bytes with those of another region, or of a string.
@function shm.region:compare
@int offset where from, in bytes from 0
@tparam shm.region|string other what with
@int other_offset where from in other, in bytes from 0
@int n how many bytes
@treturn int 0 when they are the same; else -1 or 1, as the first byte that differs is
lower here or higher
@treturn ?int where that is, in bytes from offset
@raise when either side reaches outside
*/
static int region_compare(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 5);
    size_t length = 0;
    bool is_string = lua_type(L, 3) == LUA_TSTRING;
    bind_region *other = is_string ? NULL : bind_region_open(L, 3, "other");
    const char *text = is_string ? lua_tolstring(L, 3, &length) : NULL;
    lua_Integer from = bind_integer(L, 4, "other_offset");
    size_t n = bind_count(L, 5, "n");
    if (is_string && !mem_inside(length, (uint64_t)from, n))
        bind_misuse(L, 4, "other_offset",
                    "%I, and %I bytes from there, is not within the string's %I bytes",
                    from, (lua_Integer)n, (lua_Integer)length);
    if (other && !mem_inside(other->size, (uint64_t)from, n))
        bind_region_beyond(L, other, 4, "other_offset", from, n);
    const uint8_t *here = bind_region_at(L, region, 2, n);
    const uint8_t *there = (other ? other->base : (const uint8_t *)text) + from;
    uint8_t a = 0, b = 0;
    size_t at = differ(here, there, n, &a, &b);
    bind_region_check_both(L, region, other ? other : region);
    lua_pushinteger(L, at == n ? 0 : a < b ? -1 : 1);
    if (at == n)
        return 1;
    lua_pushinteger(L, (lua_Integer)at);
    return 2;
}

/***
Looks for bytes.
@function shm.region:find
@int offset where to begin, in bytes from 0
@string data what to look for, at least one byte
@int[opt] n how many bytes to look through, absent for all behind offset
@treturn ?int where the first such bytes begin, in bytes from 0; nil if they are not there
@raise when offset and n reach outside the region
*/
static int region_find(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 4);
    size_t length;
    const char *data = bind_string(L, 3, "data", &length);
    if (length == 0)
        bind_misuse(L, 3, "data", "at least one byte expected");
    bool rest = lua_isnoneornil(L, 4);
    size_t n = rest ? 0 : bind_count(L, 4, "n");
    if (rest && region->mapping)
        bind_region_follow(region);
    const uint8_t *bytes = bind_region_at(L, region, 2, n);
    if (rest)
        n = region->size - (size_t)(bytes - region->base);
    const uint8_t *found = memmem(bytes, n, data, length);
    bind_region_check(L, region);
    if (found)
        lua_pushinteger(L, found - region->base);
    else
        lua_pushnil(L);
    return 1;
}

void bind_search_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"compare", region_compare}, {"find", region_find}, {NULL, NULL}};
    bind_handle_methods(L, BIND_REGION, methods);
}
