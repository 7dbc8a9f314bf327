/*
 * Where in a region an object lies that begins with a stamp, and why it is refused.
 */
#include "bind/bind.h"

#include <errno.h>

/* Refuses what is no region or no offset, before anything is pushed: where they are
 * missing it would lie in their places. */
void bind_place_given(lua_State *L)
{
    bind_region_open(L, 1, "region");
    bind_integer(L, 2, "offset");
}

/* The region at 1 and the offset at 2, with room for so much. */
bind_place bind_place_of(lua_State *L, size_t size, unsigned align)
{
    bind_place found = {.region = bind_region_open(L, 1, "region")};
    if (mem_inside(found.region->size, (uint64_t)bind_integer(L, 2, "offset"), size))
        found.at = found.region->base + lua_tointeger(L, 2);
    else
        found.at =
            bind_region_beyond(L, found.region, 2, "offset", lua_tointeger(L, 2), size);
    if (found.region->look & BIND_READONLY)
        bind_misuse(L, 1, "region", "region is read-only");
    if (found.region->mapping->own)
        bind_misuse(L, 1, "region", "what is written there stays this process's");
    if ((uintptr_t)found.at % align)
        bind_misuse(L, 2, "offset", "%I is not a multiple of %d", lua_tointeger(L, 2),
                    (int)align);
    found.room = found.region->size - (size_t)(found.at - found.region->base);
    return found;
}

/* The message says what is in the way, where the error's own words would not. */
int bind_place_refused(lua_State *L, const char *name, const char *verb, int error)
{
    const char *why = error == -ENOENT      ? "there is none, "
                      : error == -ENOTEMPTY ? "there is something else, "
                      : error == -EPROTO    ? "it is another version's, "
                      : error == -EXDEV     ? "it is another pid namespace's, "
                                              "where thread ids mean others, "
                                            : "";
    bind_fail(L, error, "%s.%s at %I", name, verb, lua_tointeger(L, 2));
    if (*why) {
        lua_pop(L, 2);
        lua_pushfstring(L, "%s.%s at %I: %sso it is refused", name, verb,
                        lua_tointeger(L, 2), why);
        lua_pushinteger(L, -error);
    }
    return 3;
}
