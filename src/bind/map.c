/*
 * shm.posix, the mapping part: mmap and what can be done with mapped memory.
 *
 * It works on regions, wherever they come from. What would take memory from under other
 * parts of this process is refused.
 */
#include "bind/bind.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define ALL_PROTECTIONS (PROT_READ | PROT_WRITE | PROT_EXEC)

/***
Maps a file, a memory object or new memory.
@function shm.posix.mmap
@tparam ?int address where it should lie, nil for wherever there is room
@int size in bytes; whole pages, of PAGE_SIZE bytes, are mapped
@int protection PROT_NONE, or any of PROT_READ, PROT_WRITE, PROT_EXEC
@int flags MAP_SHARED or MAP_PRIVATE, and MAP_ANONYMOUS, MAP_POPULATE, MAP_LOCKED,
MAP_NORESERVE, MAP_HUGETLB, MAP_FIXED_NOREPLACE …
@tparam[opt] int|shm.posix.descriptor|file fd whatever has a descriptor; nil with
MAP_ANONYMOUS
@int[opt=0] offset where in the file, a multiple of the page size
@treturn shm.region the mapped bytes; it unmaps when it is closed or collected
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EACCES, EINVAL, ENODEV, ENOMEM, EPERM …
@see mmap(2)
*/
static int map_new(lua_State *L)
{
    bind_arity(L, 6);
    lua_settop(L, 6);
    os_map map = {
        .address =
            (void *)(uintptr_t)bind_opt_range(L, 1, "address", 0, 0, LUA_MAXINTEGER),
        .size = (size_t)bind_range(L, 2, "size", 1, LUA_MAXINTEGER),
        .protection = (int)bind_range(L, 3, "protection", 0, ALL_PROTECTIONS),
        .flags = (int)bind_range(L, 4, "flags", 0, INT32_MAX),
        .offset = (off_t)bind_opt_range(L, 6, "offset", 0, 0, LUA_MAXINTEGER),
        .fd = -1,
    };
    if (map.flags & MAP_FIXED)
        bind_misuse(L, 4, "flags", "MAP_FIXED is not supported, MAP_FIXED_NOREPLACE is");
    bind_region *region = bind_region_push(L);
    if (!lua_isnil(L, 5))
        map.fd = bind_fd(L, 5, "fd");
    char label[MEM_MAPPING_LABEL];
    if (map.fd < 0)
        snprintf(label, sizeof label, "mmap");
    else
        snprintf(label, sizeof label, "mmap of %d", map.fd);
    void *base;
    int error = os_map_new(&map, &base);
    if (error)
        return bind_fail(L, error, "posix.mmap");
    mem_mapping *mapping = mem_mapping_new(base, map.size, !(map.protection & PROT_WRITE),
                                           os_map_free, label);
    if (!mapping) {
        os_map_free(base, map.size);
        return luaL_error(L, "not enough memory");
    }
    mapping->part = map.fd >= 0 && !(map.flags & (MAP_PRIVATE | MAP_ANONYMOUS));
    bind_region_fill(region, mapping, 0, map.size);
    return 1;
}

/***
Unmaps a region, as its close does.
@function shm.posix.munmap
@tparam shm.region region what mmap gave
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int errno
@see munmap(2)
*/
static int map_free(lua_State *L)
{
    bind_arity(L, 1);
    return bind_region_close(L, bind_region_open(L, 1, "region"));
}

/* The part that optional arguments offset and n, from arg on, name: the whole without. */
static uint8_t *take_part(lua_State *L, int arg, size_t *n)
{
    bind_region *region = bind_region_open(L, 1, "region");
    bind_region_follow(region);
    lua_Integer offset = bind_opt_range(L, arg, "offset", 0, 0, LUA_MAXINTEGER);
    bool rest = lua_isnoneornil(L, arg + 1);
    *n = rest ? 0 : bind_count(L, arg + 1, "n");
    if (!mem_inside(region->size, (uint64_t)offset, *n))
        bind_region_beyond(L, region, arg, "offset", offset, *n);
    if (rest)
        *n = region->size - (size_t)offset;
    return region->base + offset;
}

/***
Writes what was changed to the file behind a region.
@function shm.posix.msync
@tparam shm.region region any
@int[opt=MS_SYNC] flags MS_SYNC (wait until it is on disk) or MS_ASYNC (begin), and
MS_INVALIDATE
@int[opt=0] offset where, a multiple of the page size
@int[opt] n how many bytes, absent for all behind offset
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EINVAL, EIO, EBUSY
@see msync(2)
*/
static int map_sync(lua_State *L)
{
    bind_arity(L, 4);
    int flags = (int)bind_opt_range(L, 2, "flags", MS_SYNC, 0, INT32_MAX);
    size_t n;
    uint8_t *bytes = take_part(L, 3, &n);
    return bind_done(L, os_map_sync(bytes, n, flags), "posix.msync");
}

/***
Forbids or allows access to a region, or to pages of it. Where the whole region is
protected from writing, its methods refuse to write; what touches a protected page is an
error.
@function shm.posix.mprotect
@tparam shm.region region any
@int protection PROT_NONE, or any of PROT_READ, PROT_WRITE, PROT_EXEC
@int[opt=0] offset where, a multiple of the page size
@int[opt] n how many bytes, absent for all behind offset
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EACCES (the file is not open for that), EINVAL, ENOMEM
@see mprotect(2)
*/
static int map_protect(lua_State *L)
{
    bind_arity(L, 4);
    int protection = (int)bind_range(L, 2, "protection", 0, ALL_PROTECTIONS);
    size_t n;
    uint8_t *bytes = take_part(L, 3, &n);
    mem_chaos_lift(false);
    int error = os_map_protect(bytes, n, protection);
    mem_chaos_again();
    bind_region *region = lua_touserdata(L, 1);
    if (!error && n == region->size)
        region->look = (uint8_t)((region->look & BIND_JOURNALED) |
                                 (protection & PROT_WRITE ? 0 : BIND_READONLY));
    return bind_done(L, error, "posix.mprotect");
}

/***
Tells the kernel how a region will be used.
@function shm.posix.madvise
@tparam shm.region region any
@int advice MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP,
MADV_REMOVE, MADV_POPULATE_READ, MADV_POPULATE_WRITE
@int[opt=0] offset where, a multiple of the page size
@int[opt] n how many bytes, absent for all behind offset
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EINVAL, ENOMEM, EFAULT …
@see madvise(2)
*/
static int map_advise(lua_State *L)
{
    bind_arity(L, 4);
    int advice = (int)bind_range(L, 2, "advice", 0, INT32_MAX);
    if (advice == MADV_DONTFORK) /* another thing would come to lie there in the child */
        bind_misuse(L, 2, "advice", "a region is the child's as well");
    size_t n;
    uint8_t *bytes = take_part(L, 3, &n);
    mem_chaos_lift(advice == MADV_REMOVE);
    int error = os_map_advise(bytes, n, advice);
    mem_chaos_again();
    return bind_done(L, error, "posix.madvise");
}

/***
Keeps a region's pages in memory.
@function shm.posix.mlock
@tparam shm.region region any
@int[opt=0] offset where
@int[opt] n how many bytes, absent for all behind offset
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOMEM (more than this process may lock, or nothing is there), EPERM
@see mlock(2)
*/
static int map_lock(lua_State *L)
{
    bind_arity(L, 3);
    size_t n;
    uint8_t *bytes = take_part(L, 2, &n);
    return bind_done(L, os_map_lock(bytes, n), "posix.mlock");
}

/***
Takes mlock back.
@function shm.posix.munlock
@tparam shm.region region any
@int[opt=0] offset where
@int[opt] n how many bytes, absent for all behind offset
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOMEM, EINVAL
@see munlock(2)
*/
static int map_unlock(lua_State *L)
{
    bind_arity(L, 3);
    size_t n;
    uint8_t *bytes = take_part(L, 2, &n);
    return bind_done(L, os_map_unlock(bytes, n), "posix.munlock");
}

void bind_map_add(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"mmap", map_new},       {"munmap", map_free},
        {"msync", map_sync},     {"mprotect", map_protect},
        {"madvise", map_advise}, {"mlock", map_lock},
        {"munlock", map_unlock}, {NULL, NULL},
    };
    const bind_constant constants[] = {
        {"PAGE_SIZE", (lua_Integer)os_map_page()},
        {"PROT_NONE", PROT_NONE},
        {"PROT_READ", PROT_READ},
        {"PROT_WRITE", PROT_WRITE},
        {"PROT_EXEC", PROT_EXEC},
        {"MAP_SHARED", MAP_SHARED},
        {"MAP_PRIVATE", MAP_PRIVATE},
        {"MAP_ANONYMOUS", MAP_ANONYMOUS},
        {"MAP_POPULATE", MAP_POPULATE},
        {"MAP_LOCKED", MAP_LOCKED},
        {"MAP_NORESERVE", MAP_NORESERVE},
        {"MAP_HUGETLB", MAP_HUGETLB},
        {"MAP_FIXED_NOREPLACE", MAP_FIXED_NOREPLACE},
        {"MS_SYNC", MS_SYNC},
        {"MS_ASYNC", MS_ASYNC},
        {"MS_INVALIDATE", MS_INVALIDATE},
        {"MADV_NORMAL", MADV_NORMAL},
        {"MADV_RANDOM", MADV_RANDOM},
        {"MADV_SEQUENTIAL", MADV_SEQUENTIAL},
        {"MADV_WILLNEED", MADV_WILLNEED},
        {"MADV_DONTNEED", MADV_DONTNEED},
        {"MADV_HUGEPAGE", MADV_HUGEPAGE},
        {"MADV_NOHUGEPAGE", MADV_NOHUGEPAGE},
        {"MADV_DONTDUMP", MADV_DONTDUMP},
        {"MADV_DODUMP", MADV_DODUMP},
        {"MADV_REMOVE", MADV_REMOVE},
        {"MADV_POPULATE_READ", MADV_POPULATE_READ},
        {"MADV_POPULATE_WRITE", MADV_POPULATE_WRITE},
        {NULL, 0},
    };
    luaL_setfuncs(L, functions, 0);
    bind_constants(L, constants);
}
