/*
 * Shared bytes as Lua sees them: the handle, and bytes in and out.
 *
 * A region is only as long as its mapping; the mapping goes with its last
 * share. Offsets count bytes from 0.
 */
#include "bind/bind.h"

#include <string.h>

/* Up to here Lua interns strings: it hashes the bytes first and copies them later. */
#define LONGEST_INTERNED 40

/* Pushes a closed region. The caller fills it in; __gc undoes what is filled in by then.
 */
bind_region *bind_region_push(lua_State *L)
{
    bind_region *region = lua_newuserdatauv(L, sizeof *region, 0);
    memset(region, 0, sizeof *region);
    luaL_setmetatable(L, BIND_REGION);
    return region;
}

/* Opens it: size bytes from offset on, with the share of the mapping that the caller had.
 */
void bind_region_fill(bind_region *region, mem_mapping *mapping, size_t offset,
                      size_t size)
{
    region->mapping = mapping;
    region->base = mapping->base + offset;
    region->size = size;
    region->look =
        (mapping->readonly ? BIND_READONLY : 0) | (mapping->journal ? BIND_JOURNALED : 0);
    region->previous = NULL;
    region->next = mapping->regions;
    if (region->next)
        region->next->previous = region;
    mapping->regions = region;
}

/* The handle is closed from here on; its share is the caller's, and that of the object
 * where it is a loan's. */
void bind_region_forget(bind_region *region)
{
    if (region->previous)
        region->previous->next = region->next;
    else if (region->mapping)
        region->mapping->regions = region->next;
    if (region->next)
        region->next->previous = region->previous;
    if (!region->lent)
        ds_object_close(&region->object);
    *region = (bind_region){.lent = region->lent, .object = region->object};
}

/* A region that is an argument, and open. */
bind_region *bind_region_open(lua_State *L, int arg, const char *name)
{
    bind_region *region = luaL_testudata(L, arg, BIND_REGION);
    if (!region)
        bind_misuse(L, arg, name, BIND_REGION " expected, got %s", luaL_typename(L, arg));
    else if (!region->mapping)
        bind_misuse(L, arg, name, "region is closed");
    return region;
}

int bind_region_refuses(lua_State *L, const bind_region *region)
{
    bind_handle_bad(L, 1, region->mapping ? "region is read-only" : "region is closed");
    return 0;
}

/* Takes over what size the object has by now, where the mapping has room for it. */
void bind_region_follow(bind_region *region)
{
    if (region->mapping->grows && !region->part)
        region->size = mem_object_size(region->mapping);
}

/* Where bytes lie that the region did not have when last asked: others may have made it
 * grow. */
uint8_t *bind_region_beyond(lua_State *L, bind_region *region, int arg, const char *name,
                            lua_Integer offset, size_t n)
{
    if (!region->mapping)
        bind_region_refuses(L, region);
    bind_region_follow(region);
    if (!mem_inside(region->size, (uint64_t)offset, n))
        bind_misuse(
            L, arg, name, "%I, and %I bytes from there, is not within the %I bytes of %s",
            offset, (lua_Integer)n, (lua_Integer)region->size, region->mapping->label);
    return region->base + offset;
}

static void report(lua_State *L, const bind_region *region, int signo)
{
    if (signo == SIGBUS)
        bind_handle_bad(L, 1, "memory behind this region is gone, or could not be had");
    else if (signo)
        bind_handle_bad(L, 1, "memory behind this region is protected");
    else if (!region->mapping) /* a finalizer closed it meanwhile */
        bind_region_refuses(L, region);
}

/* Some access to shared memory ended in a signal: was it the one to this region? */
void bind_region_faulted(lua_State *L, const bind_region *region)
{
    report(L, region, mem_fault_end(region->mapping));
}

/* Both end before either is an error, or what one moved aside would stay there. */
void bind_region_faulted_both(lua_State *L, const bind_region *region,
                              const bind_region *other)
{
    int first = mem_fault_end(region->mapping);
    int second = mem_fault_end(other->mapping);
    report(L, region, first ? first : second);
}

static bind_region *writable_self(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_region_writable(L, region);
    return region;
}

/*
 * A finalizer that runs when the string is made may touch the same region, and with it
 * take the mark of a fault; then it is read again.
 */
static void push_long(lua_State *L, const bind_region *region, size_t offset, size_t n)
{
    for (;;) {
        const mem_mapping *mapping = region->mapping;
        uint32_t times = mapping->fault.times;
        lua_pushlstring(L, (const char *)region->base + offset, n);
        bind_region_check(L, region);
        if (region->mapping != mapping)
            luaL_argerror(L, 1, "a finalizer closed or resized the region");
        if (mapping->fault.times == times)
            return;
        lua_pop(L, 1);
        if (!mem_inside(region->size, offset, n))
            luaL_argerror(L, 1, "a finalizer resized the region");
    }
}

/* Another process may write meanwhile, and a torn string would stay interned: a short one
 * is copied first. */
void bind_region_push_bytes(lua_State *L, const bind_region *region, const uint8_t *bytes,
                            size_t n)
{
    if (n > LONGEST_INTERNED) {
        push_long(L, region, (size_t)(bytes - region->base), n);
        return;
    }
    char copy[LONGEST_INTERNED];
    memcpy(copy, bytes, n);
    bind_region_check(L, region);
    lua_pushlstring(L, copy, n);
}

/***
Reads bytes.
@function shm.region:read
@int offset where from, in bytes from 0
@int n how many bytes
@treturn string the n bytes
@raise when offset and n reach outside the region
*/
static int region_read(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 3);
    size_t n = bind_count(L, 3, "n");
    bind_region_push_bytes(L, region, bind_region_at(L, region, 2, n), n);
    return 1;
}

/***
Writes bytes.
@function shm.region:write
@int offset where to, in bytes from 0
@string data what to write
@raise when data reaches outside the region, or the region is read-only
*/
static int region_write(lua_State *L)
{
    bind_region *region = writable_self(L);
    bind_arity(L, 3);
    size_t n;
    const char *data = bind_string(L, 3, "data", &n);
    memcpy(bind_region_change(L, region, 2, n), data, n);
    bind_region_check(L, region);
    return 0;
}

/***
Writes one byte value over and over.
@function shm.region:fill
@int offset where from, in bytes from 0
@int n how many bytes
@int[opt=0] byte the value, 0 to 255
@raise when offset and n reach outside the region, or the region is read-only
*/
static int region_fill(lua_State *L)
{
    bind_region *region = writable_self(L);
    bind_arity(L, 4);
    size_t n = bind_count(L, 3, "n");
    int byte = (int)bind_opt_range(L, 4, "byte", 0, 0, UINT8_MAX);
    memset(bind_region_change(L, region, 2, n), byte, n);
    bind_region_check(L, region);
    return 0;
}

/***
Copies bytes from another region, or from elsewhere in this one (the two may overlap).
@function shm.region:copy
@int offset where to, in bytes from 0
@tparam shm.region source where from
@int source_offset where from in source, in bytes from 0
@int n how many bytes
@raise when either side reaches outside its region, or this one is read-only
*/
static int region_copy(lua_State *L)
{
    bind_region *region = writable_self(L);
    bind_arity(L, 5);
    bind_region *source = bind_region_open(L, 3, "source");
    lua_Integer from = bind_integer(L, 4, "source_offset");
    size_t n = bind_count(L, 5, "n");
    if (!mem_inside(source->size, (uint64_t)from, n))
        bind_region_beyond(L, source, 4, "source_offset", from, n);
    memmove(bind_region_change(L, region, 2, n), source->base + from, n);
    bind_region_check_both(L, region, source);
    return 0;
}

/***
A part of the region as a region of its own. It keeps the memory attached for itself:
closing one does not close the other.
@function shm.region:view
@int offset where it begins, in bytes from 0
@int n how many bytes it has
@treturn shm.region the part
@raise when offset and n reach outside the region
*/
static int region_view(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 3);
    size_t n = bind_count(L, 3, "n");
    bind_region *view = bind_region_push(L);
    const uint8_t *bytes = bind_region_at(L, region, 2, n);
    mem_mapping_retain(region->mapping);
    bind_region_fill(view, region->mapping, (size_t)(bytes - region->mapping->base), n);
    view->part = true;
    view->look |= region->look & BIND_READONLY;
    ds_object_share(&region->object, &view->object);
    return 1;
}

/***
The address at which the region lies in this process; other processes have their own.
@function shm.region:address
@treturn int the address
*/
static int region_address(lua_State *L)
{
    const bind_region *region = bind_region_self(L);
    bind_arity(L, 1);
    if (!region->mapping)
        return bind_region_refuses(L, region);
    lua_pushinteger(L, (lua_Integer)(uintptr_t)region->base);
    return 1;
}

/***
Lets the memory go; what it shows remains for others. Closing twice is harmless.
@function shm.region:close
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int errno
@raise when this thread holds a lock that lies in it
@see shmdt(2)
*/
static int region_close(lua_State *L)
{
    return bind_region_close(L, bind_region_self(L));
}

/* A lock that is held there keeps the memory, by its handle or until the process ends. */
static int region_collect(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    mem_mapping *mapping = region->mapping;
    bind_region_forget(region);
    if (mapping)
        mem_mapping_release(mapping);
    return 0;
}

int bind_region_close(lua_State *L, bind_region *region)
{
    mem_mapping *mapping = region->mapping;
    if (mapping && !region->part && sync_mapping_held(mapping))
        luaL_argerror(L, 1, "a lock in it is held by this thread: unlock it first");
    bind_region_forget(region);
    return bind_done(L, mapping ? mem_mapping_release(mapping) : 0, "region.close");
}

static int region_length(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    if (!region->mapping)
        return bind_region_refuses(L, region);
    bind_region_follow(region);
    lua_pushinteger(L, (lua_Integer)region->size);
    return 1;
}

static int region_tostring(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    if (region->mapping) {
        bind_region_follow(region);
        lua_pushfstring(L, BIND_REGION " (%s, %I bytes)", region->mapping->label,
                        (lua_Integer)region->size);
    } else
        lua_pushliteral(L, BIND_REGION " (closed)");
    return 1;
}

void bind_region_register(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", region_collect},
        {"__close", region_close},
        {"__len", region_length},
        {"__tostring", region_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"read", region_read},   {"write", region_write},
        {"fill", region_fill},   {"copy", region_copy},
        {"view", region_view},   {"address", region_address},
        {"close", region_close}, {NULL, NULL},
    };
    bind_handle_type(L, BIND_REGION, metamethods, methods);

    bind_pack_register(L);
    bind_scalar_register(L);
    bind_word_register(L);
    bind_getter_register(L);
    bind_setter_register(L);
    bind_boundword_register(L);
    bind_search_register(L);
    bind_behind_register(L);
    bind_transaction_register(L);
}
