/*
 * Objects of an arena, found or made by their names.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

#define BYTES_MOST ((lua_Integer)1 << 34)
#define BYTES_FEW ((size_t)1 << 16) /* that are cleared while others wait */

typedef struct recipe { /* of an object to take turns by */
    sync_kind kind;
    uint32_t extra;
    uint64_t value;
} recipe;

static void make_sync(ds_arena *arena, void *at, const void *context)
{
    const recipe *of = context;
    (void)arena;
    sync_make(at, of->kind, of->extra, of->value);
}

static int64_t patience(void)
{
    return os_clock_deadline(BIND_PLACE_PATIENCE);
}

/* Finds or makes the object that is wanted, with the handle on top; then made or not. */
static int answer(lua_State *L, const ds_arena *arena, int error, const char *what,
                  const ds_wanted *wanted, bool made)
{
    if (error)
        return bind_arena_fail(L, arena, error, what, wanted->name);
    bind_arena_check(L, arena);
    lua_pushboolean(L, made);
    return 2;
}

static int sync_named(lua_State *L, sync_kind kind, const char *what)
{
    const bind_sync_kind *type = bind_sync_kind_of(kind);
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 2 + type->most);
    recipe of = {.kind = kind};
    of.extra = type->arguments(L, 3, &of.value);
    ds_wanted wanted = {.kind = (uint16_t)kind,
                        .layout = SYNC_VERSION,
                        .size = sync_size(kind, of.extra),
                        .make = make_sync,
                        .context = &of};
    bind_arena_name(L, 2, &wanted);
    bind_sync *self = bind_sync_push(L, type);
    arena = bind_arena_self(L);
    bool made = false;
    int error = ds_object_open(arena, &wanted, patience(), &self->object, &made);
    if (!error)
        error = sync_handle_attach(&self->handle, arena->mapping, self->object.at,
                                   self->object.size, kind, patience());
    return answer(L, arena, error, what, &wanted, made);
}

/***
The mutex of a name, which is made if there is none. What follows the name counts only
then: as create of the kind takes it, behind the offset.
@function shm.arena:mutex
@string name 1 to 255 bytes
@tparam[opt] table options as for shm.mutex.create
@treturn shm.mutex the mutex
@treturn boolean whether it was made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC (the arena is full), ENOTEMPTY (the name is something else's), EBUSY
(a process that is stopped holds the arena's guard)
*/
static int named_mutex(lua_State *L)
{
    return sync_named(L, SYNC_MUTEX, "arena.mutex");
}

/***
The same for a readers-writer lock.
@function shm.arena:rwlock
@string name 1 to 255 bytes
@tparam[opt] table options as for shm.rwlock.create
@treturn shm.rwlock it, or nil, and the rest as of arena:mutex
*/
static int named_rwlock(lua_State *L)
{
    return sync_named(L, SYNC_RWLOCK, "arena.rwlock");
}

/***
The same for a semaphore.
@function shm.arena:semaphore
@string name 1 to 255 bytes
@int[opt=0] value what it begins with
@treturn shm.semaphore it, or nil, and the rest as of arena:mutex
*/
static int named_semaphore(lua_State *L)
{
    return sync_named(L, SYNC_SEMAPHORE, "arena.semaphore");
}

/***
The same for an event.
@function shm.arena:event
@string name 1 to 255 bytes
@tparam[opt] table options as for shm.event.create
@treturn shm.event it, or nil, and the rest as of arena:mutex
*/
static int named_event(lua_State *L)
{
    return sync_named(L, SYNC_EVENT, "arena.event");
}

/***
The same for a condition.
@function shm.arena:condition
@string name 1 to 255 bytes
@treturn shm.condition it, or nil, and the rest as of arena:mutex
*/
static int named_condition(lua_State *L)
{
    return sync_named(L, SYNC_CONDITION, "arena.condition");
}

/***
The same for a barrier.
@function shm.arena:barrier
@string name 1 to 255 bytes
@int parties 1 to 64
@treturn shm.barrier it, or nil, and the rest as of arena:mutex
*/
static int named_barrier(lua_State *L)
{
    return sync_named(L, SYNC_BARRIER, "arena.barrier");
}

/***
The same for a counter.
@function shm.arena:counter
@string name 1 to 255 bytes
@int[opt=0] value what it begins with
@treturn shm.counter it, or nil, and the rest as of arena:mutex
*/
static int named_counter(lua_State *L)
{
    return sync_named(L, SYNC_COUNTER, "arena.counter");
}

static void make_bytes(ds_arena *arena, void *at, const void *context)
{
    (void)arena;
    memset(at, 0, *(const size_t *)context);
}

/*
 * Finds or makes bytes. Many of them are cleared before they have a name, without the
 * guard: others would take who clears gigabytes for one that was stopped.
 */
static int open_bytes(ds_arena *arena, ds_wanted *wanted, ds_object *object, bool *made)
{
    uint64_t size = wanted->size;
    if (size > BYTES_FEW) {
        wanted->size = 0;
        int error = ds_object_open(arena, wanted, patience(), object, made);
        wanted->size = size;
        if (error != -ENOENT)
            return error;
        error = ds_private_take(arena, size + DS_LINE, patience(), &wanted->made);
        if (error && error != -EAGAIN) /* too many are private just now */
            return error;
    }
    void *at = wanted->made ? ds_arena_at(arena, ds_place_of(wanted->made), size) : NULL;
    if (at)
        memset(at, 0, size);
    int error = ds_object_open(arena, wanted, patience(), object, made);
    if (wanted->made && (error || !*made))
        ds_private_give(arena, wanted->made, OS_CLOCK_FOREVER);
    return error;
}

/* Opens a region that shows bytes within a mapping. */
void bind_region_within(bind_region *region, mem_mapping *mapping, const void *at,
                        size_t size)
{
    mem_mapping_retain(mapping);
    bind_region_fill(region, mapping, (size_t)((const uint8_t *)at - mapping->base),
                     size);
    region->part = true;
}

/***
Bytes of a name, which are made if there are none: all of them zero, and at a multiple of
64 from the region's begin.
@function shm.arena:bytes
@string name 1 to 255 bytes
@int[opt] size in bytes; absent where they must exist; else they must have as many
@int[opt=0] layout a number that says what they mean: who asks with another is refused
@treturn shm.region the bytes
@treturn boolean whether they were made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC, ENOENT, ENOTEMPTY, EPROTO (they have another layout), ERANGE (they
have another size), EBUSY
*/
static int named_bytes(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 4);
    size_t size = (size_t)bind_opt_range(L, 3, "size", 0, 1, BYTES_MOST);
    uint32_t layout = (uint32_t)bind_opt_range(L, 4, "layout", 0, 0, UINT32_MAX);
    ds_wanted wanted = {.kind = DS_BYTES,
                        .layout = layout,
                        .size = size,
                        .make = make_bytes,
                        .context = &size};
    bind_arena_name(L, 2, &wanted);
    bind_region *region = bind_region_push(L);
    arena = bind_arena_self(L);
    bool made = false;
    ds_object *object = &region->object; /* its close, and that of all its views */
    int error = open_bytes(arena, &wanted, object, &made);
    if (!error && size && object->size != size)
        error = -ERANGE;
    if (error)
        ds_object_close(object);
    else
        bind_region_within(region, arena->mapping, object->at, object->size);
    return answer(L, arena, error, "arena.bytes", &wanted, made);
}

void bind_named_add(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"mutex", named_mutex},
        {"rwlock", named_rwlock},
        {"semaphore", named_semaphore},
        {"event", named_event},
        {"condition", named_condition},
        {"barrier", named_barrier},
        {"counter", named_counter},
        {"bytes", named_bytes},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_ARENA, methods);
}
