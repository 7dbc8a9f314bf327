/*
 * shm.map: keys and their values in an arena, as Lua sees them.
 *
 * Whoever reads copies the value into private memory first: on the stack, or in a
 * userdata where it is longer, as decoding it can run finalizers that read maps, too.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

bind_map *bind_map_self(lua_State *L)
{
    bind_map *self = bind_handle_self(L);
    if (!self || !self->base.handle.mapping)
        bind_handle_bad(L, 1, self ? "map is closed" : BIND_MAP " expected");
    return self;
}

void bind_map_check(lua_State *L, const bind_map *self)
{
    if (mem_fault_seen())
        bind_sync_faulted(L, &self->base);
}

/* A key that is an argument; the bytes of one that is no string come to lie in number. */
ds_key bind_map_key(lua_State *L, int arg, const ds_map *map, int64_t *number)
{
    size_t size;
    int isint;
    switch (lua_type(L, arg)) {
    case LUA_TSTRING: {
        const char *bytes = lua_tolstring(L, arg, &size);
        if (size > DS_KEY_MOST)
            bind_misuse(L, arg, "key", "it is longer than %d bytes", (int)DS_KEY_MOST);
        return ds_map_key(map, DS_KEY_STRING, bytes, size);
    }
    case LUA_TNUMBER:
        *number = lua_tointegerx(L, arg, &isint);
        if (isint)
            return ds_map_key(map, DS_KEY_INTEGER, number, sizeof *number);
        break;
    case LUA_TBOOLEAN:
        *(uint8_t *)number = (uint8_t)lua_toboolean(L, arg);
        return ds_map_key(map, DS_KEY_BOOLEAN, number, 1);
    default:
        break;
    }
    bind_misuse(L, arg, "key", "string, integer or boolean expected, got %s",
                luaL_typename(L, arg));
    return (ds_key){0};
}

int bind_map_fail(lua_State *L, bind_map *self, int error, const char *what)
{
    if (!self->base.handle.mapping)
        bind_handle_bad(L, 1, "a finalizer closed the map");
    bind_map_check(L, self);
    if (error == -EEXIST || error == -ENOENT) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: %s", what,
                        error == -ENOENT ? "there is no such key" : "the key is there");
        lua_pushinteger(L, -error);
        return 3;
    }
    const char *name = ds_object_name(&self->base.object);
    return bind_arena_fail(L, self->map.arena, error, what, name ? name : "");
}

/* Copies a value, and leaves in the buffer where it is: on top of the stack, maybe. */
static int fetch(lua_State *L, bind_map *self, const ds_key *key, int64_t deadline,
                 ds_buffer *buffer, ds_map_found *found)
{
    int error = ds_map_get(&self->map, key, deadline, buffer, found);
    while (error == -ENOBUFS) {
        buffer->room = buffer->size;
        buffer->bytes = lua_newuserdatauv(L, buffer->room, 0);
        if (!self->base.handle.mapping)
            bind_handle_bad(L, 1, "a finalizer closed the map");
        error = ds_map_get(&self->map, key, deadline, buffer, found);
    }
    return error;
}

/* Pushes the value of the key at 2, or nil and version 0. Returns 0, or how many results
 * the failure has. */
static inline int push_value(lua_State *L, bind_map *self, const char *what,
                             int64_t deadline, uint64_t *version)
{
    int64_t number;
    uint8_t bytes[BIND_MAP_STACK];
    ds_buffer buffer = {.bytes = bytes, .room = sizeof bytes};
    ds_map_found found;
    ds_key key = bind_map_key(L, 2, &self->map, &number);
    int error = fetch(L, self, &key, deadline, &buffer, &found);
    bind_map_check(L, self);
    *version = error ? 0 : found.version;
    if (error == -ENOENT) {
        lua_pushnil(L);
        return 0;
    }
    if (!error)
        error = bind_value_decode(L, buffer.bytes, found.size);
    return error ? bind_map_fail(L, self, error, what) : 0;
}

/***
A key's value. No lock is taken, and nobody waits for who reads.
@function shm.map:get
@tparam string|int|boolean key
@return its value, or nil when the key is absent
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADMSG (what lies there makes no sense), EBUSY
*/
static int map_get(lua_State *L)
{
    uint64_t version;
    int failed =
        push_value(L, bind_map_exactly(L, 2), "map.get", OS_CLOCK_FOREVER, &version);
    return failed ? failed : 1;
}

/***
A key's value and its version, which each change of the key makes another.
@function shm.map:lookup
@tparam string|int|boolean key
@number[opt] timeout in seconds, for who was stopped in the middle of changing it; or a second
@return its value, or nil when the key is absent
@treturn int its version, 0 when the key is absent
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADMSG, EBUSY
*/
static int map_lookup(lua_State *L)
{
    uint64_t version;
    bool timed = lua_gettop(L) > 2;
    bind_map *self = bind_map_exactly(L, timed ? 3 : 2);
    int64_t deadline = timed ? bind_deadline(L, 3) : OS_CLOCK_FOREVER;
    int failed = push_value(L, self, "map.lookup", deadline, &version);
    if (failed)
        return failed;
    lua_pushinteger(L, (lua_Integer)version);
    return 2;
}

/***
A key's version, which each change of it makes another. It is never reused in this map.
@function shm.map:version
@tparam string|int|boolean key
@treturn int the version, 0 when the key is absent
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADMSG, EBUSY
*/
static int map_version(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 2);
    int64_t number;
    ds_map_found found;
    ds_key key = bind_map_key(L, 2, &self->map, &number);
    int error = ds_map_get(&self->map, &key, OS_CLOCK_FOREVER, NULL, &found);
    if (error && error != -ENOENT)
        return bind_map_fail(L, self, error, "map.version");
    bind_map_check(L, self);
    lua_pushinteger(L, error ? 0 : (lua_Integer)found.version);
    return 1;
}

static int map_len(lua_State *L)
{
    const bind_map *self = bind_map_self(L);
    uint64_t count = mem_atomic_load64(&self->map.at->totals.count);
    bind_map_check(L, self);
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

static void set_number(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

/***
How much there is.
@function shm.map:stat
@treturn table count: keys, with those that expired and are not swept yet; used: bytes of
their entries; capacity: bytes that they may take, 0 for as many as there is room for;
buckets
*/
static int map_stat(lua_State *L)
{
    const bind_map *self = bind_map_self(L);
    bind_arity(L, 1);
    uint64_t count = mem_atomic_load64(&self->map.at->totals.count);
    uint64_t used = mem_atomic_load64(&self->map.at->totals.used);
    uint32_t buckets = mem_atomic_load32(&self->map.at->buckets);
    bind_map_check(L, self);
    lua_createtable(L, 0, 4);
    set_number(L, "count", count);
    set_number(L, "used", used);
    set_number(L, "buckets", buckets);
    set_number(L, "capacity", self->map.limit);
    return 1;
}

typedef struct watched {
    ds_map *map;
    const ds_key *key;
    uint64_t version, *now; /* the one that is known, and what was found */
    int64_t deadline;
    int *error;
} watched;

static bool has_changed(const sync_handle *handle)
{
    const watched *of = handle->context;
    ds_map_found found = {0};
    int error = ds_map_get(of->map, of->key, of->deadline, NULL, &found);
    *of->now = error ? 0 : found.version;
    *of->error = error == -ENOENT ? 0 : error;
    return *of->error || *of->now != of->version;
}

/***
Waits until a key's version is another.
@function shm.map:wait
@tparam string|int|boolean key
@int version the one that is known, 0 for an absent key
@number[opt] timeout in seconds, absent for ever
@treturn int the version now, 0 when the key is absent
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal; EBUSY (who changes it was stopped in the
middle, for as long as the time-out is, or a second), EBADMSG
@see futex(2)
*/
static int map_wait(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 4);
    int64_t number, deadline = bind_deadline(L, 4);
    uint64_t now = 0;
    int failed = 0;
    ds_key key = bind_map_key(L, 2, &self->map, &number);
    watched of = {.map = &self->map,
                  .key = &key,
                  .version = (uint64_t)bind_range(L, 3, "version", 0, LUA_MAXINTEGER),
                  .now = &now,
                  .deadline = deadline,
                  .error = &failed};
    sync_handle handle;
    sync_handle_watch(&handle, self->base.handle.mapping,
                      &self->map.at->changed[key.hash % DS_MAP_STRIPES], has_changed,
                      &of);
    int error = sync_eventcount_wait(&handle, deadline);
    sync_handle_close(&handle);
    error = error ? error : failed;
    if (error)
        return bind_map_fail(L, self, error, "map.wait");
    bind_map_check(L, self);
    lua_pushinteger(L, (lua_Integer)now);
    return 1;
}

/* Whether anything changed since the last time that it was asked. */
static bool any_changed(const sync_handle *handle)
{
    const bind_map *self = handle->context;
    return mem_atomic_load64(&self->map.at->totals.version) !=
           mem_atomic_load64(&self->seen);
}

/***
How many changes there were since the last time: more than 0 is what its descriptor tells
event loops of.
@function shm.map:changes
@treturn int how many
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY (who changes it was stopped in the middle)
*/
static int map_changes(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    bind_arity(L, 1);
    uint64_t now, seen = self->seen;
    int error = ds_map_version(&self->map, &now, OS_CLOCK_FOREVER);
    if (error)
        return bind_map_fail(L, self, error, "map.changes");
    bind_map_check(L, self);
    mem_atomic_store64(&self->seen, now);
    if (self->base.notice)
        sync_notice_ask(self->base.notice, 0);
    lua_pushinteger(L, (lua_Integer)(now - seen));
    return 1;
}

/***
Lets go of the map. Closing twice is harmless.
@function shm.map:close
@treturn boolean true
*/
static int map_close(lua_State *L)
{
    bind_map *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_MAP " expected");
    else
        bind_sync_let_go(&self->base);
    lua_pushboolean(L, 1);
    return 1;
}

static int map_tostring(lua_State *L)
{
    const bind_map *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_MAP " expected");
    bind_sync_print(L, &self->base, BIND_MAP, self->base.handle.at);
    return 1;
}

/***
The map of a name, which is made if there is none.
@function shm.arena:map
@string name 1 to 255 bytes
@tparam[opt] table options evict: true where keys that were not used for longest go when
it is full; capacity: bytes that its entries may take, absent for as many as there is room
for. They count when it is made
@treturn shm.map the map
@treturn boolean whether it was made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC (the arena is full), ENOTEMPTY (the name is something else's), EBUSY
*/
static int named_map(lua_State *L)
{
    static const char *const known[] = {"evict", "capacity", NULL};
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 3);
    ds_map_options options = {.evicts = false};
    lua_Integer limit = 0;
    if (bind_fields(L, 3, "options", true, known)) {
        bind_field_boolean(L, 3, "evict", &options.evicts);
        bind_field_integer(L, 3, "capacity", 1, (lua_Integer)DS_ARENA_MOST, &limit);
    }
    options.limit = (uint64_t)limit;
    ds_wanted wanted = {.kind = DS_MAP,
                        .layout = DS_VERSION,
                        .size = sizeof(ds_map_memory),
                        .make = ds_map_make,
                        .context = &options};
    bind_arena_name(L, 2, &wanted);
    bind_map *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (bind_map){.seen = 0};
    luaL_setmetatable(L, BIND_MAP);
    arena = bind_arena_self(L);
    bool made = false;
    int error = ds_object_open(arena, &wanted, os_clock_deadline(BIND_PLACE_PATIENCE),
                               &self->base.object, &made);
    error = error ? error : ds_map_open(&self->base.object, &self->map);
    error = error ? error : ds_map_version(&self->map, &self->seen, OS_CLOCK_FOREVER);
    if (error)
        return bind_arena_fail(L, arena, error, "arena.map", wanted.name);
    sync_handle_watch(&self->base.handle, arena->mapping, &self->map.at->any, any_changed,
                      self);
    bind_arena_check(L, arena);
    lua_pushboolean(L, made);
    return 2;
}

/* Leaves the table of methods, to which shm.map adds those that are written in Lua. */
void bind_hashmap_open(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", map_close}, {"__close", map_close}, {"__tostring", map_tostring},
        {"__len", map_len},  {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"get", map_get},     {"lookup", map_lookup}, {"version", map_version},
        {"stat", map_stat},   {"wait", map_wait},     {"changes", map_changes},
        {"close", map_close}, {NULL, NULL},
    };
    static const luaL_Reg of_arena[] = {{"map", named_map}, {NULL, NULL}};
    bind_handle_type(L, BIND_MAP, metamethods, methods);
    bind_change_add(L);
    bind_incr_add(L);
    bind_next_add(L);
    bind_claim_add(L);
    bind_apply_add(L);
    bind_notice_methods(L, BIND_MAP);
    bind_handle_methods(L, BIND_ARENA, of_arena);
    luaL_getmetatable(L, BIND_MAP);
    lua_getfield(L, -1, "__index");
    lua_remove(L, -2);
}
