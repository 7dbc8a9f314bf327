/*
 * shm.core.image: what shm.durable needs of an arena's bytes.
 */
#include "bind/bind.h"

#include <errno.h>

#define MOST_SECONDS 1e9

/***
Copies all of an arena, as it is between two steps.
@function core.image.take
@tparam shm.arena arena the arena
@tparam shm.region region where to
@int offset in the region
@treturn int how many bytes
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOBUFS (the region is too small), EBUSY, EBADMSG
@raise when this thread is in a transaction in the arena: half of that would be copied
*/
static int image_take(lua_State *L)
{
    bind_arity(L, 3);
    const bind_arena *handle = luaL_checkudata(L, 1, BIND_ARENA);
    ds_arena *arena = handle->arena;
    luaL_argcheck(L, arena, 1, "arena is closed");
    bind_region *region = bind_region_open(L, 2, "region");
    bind_region_writable(L, region);
    size_t offset = (size_t)bind_range(L, 3, "offset", 0, (lua_Integer)region->size);
    size_t size = region->size - offset;
    if (arena->mapping->journal && arena->mapping->journalist == os_thread_self())
        luaL_error(L, "a transaction goes on in the arena");
    int error = ds_image_take(arena, region->base + offset, &size, OS_CLOCK_FOREVER);
    if (error)
        return bind_arena_fail(L, arena, error, "image.take", arena->mapping->label);
    bind_arena_check(L, arena);
    bind_region_check(L, region);
    lua_pushinteger(L, (lua_Integer)size);
    return 1;
}

/***
Makes an arena that was taken, perhaps on another day, one of this process's machine and
pid namespace. Nobody else may have the region yet.
@function core.image.adopt
@tparam shm.region region that begins with it
@int max bytes that it may grow to, where that is more than it was
@number later in seconds, how far the monotonic clock is ahead of that of then
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT (no arena), EPROTO (another version's), EBADMSG, ERANGE
*/
static int image_adopt(lua_State *L)
{
    bind_arity(L, 3);
    bind_region *region = bind_region_open(L, 1, "region");
    bind_region_writable(L, region);
    uint64_t max = (uint64_t)bind_range(L, 2, "max", 0, LUA_MAXINTEGER);
    lua_Number later = luaL_checknumber(L, 3);
    luaL_argcheck(L, later >= -MOST_SECONDS && later <= MOST_SECONDS, 3, "later");
    mem_mapping *mapping = region->mapping;
    size_t begin = (size_t)(region->base - mapping->base);
    int error = ds_image_adopt(mapping, region->base, region->size, mapping->size - begin,
                               max, (int64_t)(later * 1e9));
    bind_region_check(L, region);
    return bind_done(L, error, "image.adopt");
}

/***
A number by which bytes are known again.
@function core.image.sum
@tparam shm.region|string bytes what to sum
@int[opt=0] offset where to begin
@int[opt] n how many bytes, absent for all behind offset
@treturn int the number
*/
static int image_sum(lua_State *L)
{
    bind_arity(L, 3);
    size_t size;
    const uint8_t *bytes;
    const bind_region *region = NULL;
    if (lua_type(L, 1) == LUA_TSTRING)
        bytes = (const uint8_t *)lua_tolstring(L, 1, &size);
    else {
        region = bind_region_open(L, 1, "bytes");
        bytes = region->base;
        size = region->size;
    }
    lua_Integer offset = bind_opt_range(L, 2, "offset", 0, 0, (lua_Integer)size);
    lua_Integer left = (lua_Integer)size - offset;
    lua_Integer n = bind_opt_range(L, 3, "n", left, 0, left);
    uint64_t sum = mem_sum(bytes + offset, (size_t)n);
    if (region)
        bind_region_check(L, region);
    lua_pushinteger(L, (lua_Integer)sum);
    return 1;
}

void bind_image_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"take", image_take},
        {"adopt", image_adopt},
        {"sum", image_sum},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
