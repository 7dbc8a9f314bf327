/*
 * shm.arena: memory that holds named objects, as Lua sees it.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

#define NAMES_FIRST 4096 /* bytes for the list of names, to begin with */
#define JOURNAL_MOST (1 << 30)

static const struct {
    uint16_t kind;
    const char *name;
} kinds[] = {
    {SYNC_MUTEX, "mutex"},         {SYNC_RWLOCK, "rwlock"},
    {SYNC_SEMAPHORE, "semaphore"}, {SYNC_EVENT, "event"},
    {SYNC_CONDITION, "condition"}, {SYNC_BARRIER, "barrier"},
    {SYNC_COUNTER, "counter"},     {DS_QUEUE, "queue"},
    {DS_TOPIC, "topic"},           {DS_MAP, "map"},
    {DS_BYTES, "bytes"},
};

static const char *kind_name(uint16_t kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].kind == kind)
            return kinds[i].name;
    }
    return "unknown";
}

ds_arena *bind_arena_self(lua_State *L)
{
    const bind_arena *self = bind_handle_self(L);
    if (!self || !self->arena)
        bind_handle_bad(L, 1, self ? "arena is closed" : BIND_ARENA " expected");
    return self ? self->arena : NULL;
}

/* After each access to the arena. */
void bind_arena_check(lua_State *L, const ds_arena *arena)
{
    if (mem_fault_seen() && mem_fault_end(arena->mapping))
        luaL_error(L, "memory behind this arena is gone, or could not be had");
}

/* An object's name, which is an argument. */
void bind_arena_name(lua_State *L, int arg, ds_wanted *wanted)
{
    wanted->name = bind_string(L, arg, "name", &wanted->name_size);
    if (wanted->name_size == 0 || wanted->name_size > DS_NAME)
        bind_misuse(L, arg, "name", "1 to %d bytes expected, not %I", DS_NAME,
                    (lua_Integer)wanted->name_size);
}

/***
Finds the arena that a region begins with, or makes it there. See shm.arena.
@function core.arena.open
@tparam shm.region region the whole of it is the arena's, if it is made
@tparam[opt] table options max: bytes that it may grow to, as far as that is mapped;
journal: bytes, absent for a sixteenth of the size, from 4 KiB to 64 KiB; processes: how
many can be attached at once, absent for 128, rounded up to a multiple of 64
@treturn shm.arena the arena
@treturn boolean whether it was made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC (the region is too small), ERANGE (the arena may grow beyond what
the region maps), ENOTEMPTY (something else is there), EPROTO (another version's), EXDEV
(another pid namespace's), EUSERS (as many processes as it has room for are attached),
ETIMEDOUT (somebody is making it, and was stopped), EBUSY (a process that is stopped holds
its guard), EBADMSG (what lies there makes no sense)
*/
static int arena_open(lua_State *L)
{
    static const char *const known[] = {"max", "journal", "processes", NULL};
    bind_arity(L, 2);
    lua_settop(L, 2);
    bind_region *region = bind_region_open(L, 1, "region");
    lua_Integer max = 0, journal = 0, processes = 0;
    if (bind_fields(L, 2, "options", true, known)) {
        bind_field_integer(L, 2, "max", 1, DS_ARENA_MOST, &max);
        bind_field_integer(L, 2, "journal", 2048, JOURNAL_MOST, &journal);
        bind_field_integer(L, 2, "processes", 1, DS_ARENA_PROCESSES_MOST, &processes);
    }
    if (region->look & BIND_READONLY || region->mapping->own)
        bind_misuse(L, 1, "region", "what is written there must be shared");
    if ((uintptr_t)region->base % DS_LINE)
        bind_misuse(L, 1, "region", "it does not begin at a multiple of %d bytes",
                    DS_LINE);
    ds_arena_options options = {
        .max = (uint64_t)max,
        .journal = (uint32_t)journal,
        .processes = (uint32_t)processes,
    };
    bind_arena *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->arena = NULL;
    luaL_setmetatable(L, BIND_ARENA);
    region = bind_region_open(L, 1, "region"); /* not closed by a finalizer just now */
    mem_mapping *mapping = region->mapping;
    size_t begin = (size_t)(region->base - mapping->base);
    size_t reach = region->part ? region->size : mapping->size - begin;
    bool made = false;
    int error =
        ds_arena_open(mapping, region->base, region->size, reach, &options,
                      os_clock_deadline(BIND_PLACE_PATIENCE), &self->arena, &made);
    if (!error)
        ds_object_share(&region->object, &self->arena->within);
    bind_region_check(L, region);
    if (error)
        return bind_arena_not_opened(L, mapping->label, region->size, error);
    lua_pushboolean(L, made);
    return 2;
}

/***
How far the arena that a region begins with may grow: for who attaches, and is to map as
much.
@function core.arena.reach
@tparam shm.region region where the arena lies
@treturn int bytes; 0 when there is no arena
*/
static int arena_reach(lua_State *L)
{
    bind_arity(L, 1);
    const bind_region *region = bind_region_open(L, 1, "region");
    uint64_t max = 0;
    if (region->size >= sizeof(ds_arena_memory)) {
        const ds_arena_memory *at = (const ds_arena_memory *)region->base;
        int error = mem_stamp_check(&at->stamp, DS_ARENA, DS_VERSION,
                                    os_clock_deadline(BIND_PLACE_PATIENCE));
        if (!error || error == -EXDEV) /* opening it says so */
            max = mem_atomic_load64(&at->max);
    }
    bind_region_check(L, region);
    lua_pushinteger(L, max <= DS_ARENA_MOST ? (lua_Integer)max : 0);
    return 1;
}

/***
Whether so many bytes are enough for a new arena, with its journal.
@function core.arena.fits
@int size bytes
@int[opt=0] journal bytes, 0 for as many as the size asks for
@int[opt=0] processes how many can be attached at once, 0 for as many as usual
@treturn boolean whether they are
*/
static int arena_fits(lua_State *L)
{
    bind_arity(L, 3);
    lua_Integer size = bind_range(L, 1, "size", 1, LUA_MAXINTEGER);
    lua_Integer journal = bind_opt_range(L, 2, "journal", 0, 0, JOURNAL_MOST);
    lua_Integer processes =
        bind_opt_range(L, 3, "processes", 0, 0, DS_ARENA_PROCESSES_MOST);
    ds_arena_options options = {.journal = (uint32_t)journal,
                                .processes = (uint32_t)processes};
    lua_pushboolean(L, ds_arena_fits(&options, (size_t)size));
    return 1;
}

/***
Lets go of the arena; what was opened through it stays open. Closing twice is harmless.
@function shm.arena:close
@treturn boolean true
*/
static int arena_close(lua_State *L)
{
    bind_arena *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_ARENA " expected");
    else if (self->arena)
        ds_arena_release(self->arena);
    if (self)
        self->arena = NULL;
    lua_pushboolean(L, 1);
    return 1;
}

static int arena_tostring(lua_State *L)
{
    const bind_arena *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_ARENA " expected");
    else if (!self->arena)
        lua_pushliteral(L, BIND_ARENA " (closed)");
    else
        lua_pushfstring(L, BIND_ARENA " (%s)", self->arena->mapping->label);
    return 1;
}

/***
The objects that have names.
@function shm.arena:names
@treturn table the kind of each, by its name: "mutex", "queue", "map", "bytes" …
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY, when a process that is stopped holds the arena's guard
*/
static int arena_names(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 1);
    ds_buffer buffer = {.size = NAMES_FIRST};
    int error = -ENOBUFS;
    while (error == -ENOBUFS) {
        buffer.room = buffer.size * 2;
        buffer.bytes = lua_newuserdatauv(L, buffer.room, 0);
        arena = bind_arena_self(L);
        error = ds_directory_list(arena, &buffer, OS_CLOCK_FOREVER);
    }
    if (error)
        return bind_arena_fail(L, arena, error, "arena.names", arena->mapping->label);
    bind_arena_check(L, arena);
    lua_newtable(L);
    for (size_t at = 0; at < buffer.size;) {
        uint16_t head[2];
        memcpy(head, buffer.bytes + at, sizeof head);
        lua_pushlstring(L, (const char *)buffer.bytes + at + sizeof head, head[1]);
        lua_pushstring(L, kind_name(head[0]));
        lua_rawset(L, -3);
        at += sizeof head + head[1];
    }
    return 1;
}

/***
Takes an object's name away. Its memory is given back once nobody has it open, nor a
subscriber, a loan or view of it, a view of its bytes or what was made in them.
@function shm.arena:drop
@string name the object's
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EBUSY
*/
static int arena_drop(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 2);
    ds_wanted wanted;
    bind_arena_name(L, 2, &wanted);
    int error = ds_directory_drop(arena, wanted.name, wanted.name_size, OS_CLOCK_FOREVER);
    if (error)
        return bind_arena_fail(L, arena, error, "arena.drop", wanted.name);
    bind_arena_check(L, arena);
    return bind_done(L, 0, "");
}

static void set_number(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

/***
How much memory there is. All that is not the arena's own is used or free.
@function shm.arena:stat
@treturn table size: bytes it has now; max: bytes it may grow to; used: bytes in blocks
that are taken; free: bytes in others; objects: how many have names
*/
static int arena_stat(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 1);
    const ds_arena_memory *at = arena->at;
    uint64_t used = (uint64_t)mem_atomic_load32(&at->heap.used) * DS_UNIT;
    uint64_t whole = (uint64_t)(mem_atomic_load32(&at->heap.end) -
                                mem_atomic_load32(&at->heap.start)) *
                     DS_UNIT;
    uint64_t size = mem_atomic_load64(&at->size), max = mem_atomic_load64(&at->max);
    uint32_t objects = mem_atomic_load32(&at->objects);
    bind_arena_check(L, arena);
    lua_createtable(L, 0, 5);
    set_number(L, "size", size);
    set_number(L, "max", max);
    set_number(L, "used", used);
    set_number(L, "free", whole > used ? whole - used : 0);
    set_number(L, "objects", objects);
    return 1;
}

/***
The processes that have the arena attached. The dead are taken off the list first.
@function shm.arena:attached
@treturn {table,...} for each its pid, and since: seconds since 1970, as `os.time` counts
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY
*/
static int arena_attached(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 1);
    int error = ds_arena_reap(arena, OS_CLOCK_FOREVER), n = 0;
    if (error)
        return bind_arena_fail(L, arena, error, "arena.attached", arena->mapping->label);
    size_t room = (size_t)arena->processes * sizeof(uint64_t);
    uint64_t *who = lua_newuserdatauv(L, room, 0);
    uint64_t *since = lua_newuserdatauv(L, room, 0);
    arena = bind_arena_self(L);
    for (int i = 0; i < arena->processes; i++) {
        who[n] = mem_atomic_load64(&arena->process[i].who);
        since[n] = mem_atomic_load64(&arena->process[i].since);
        bool new = who[n] != 0 && !(since[n] & DS_PROCESS_UNCLAIMED);
        for (int j = 0; j < n && new; j++) /* who opened it twice has two slots */
            new = who[j] != who[n];
        n += new;
    }
    bind_arena_check(L, arena);
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_createtable(L, 0, 2);
        set_number(L, "pid", who[i] & OS_THREAD_TID);
        lua_pushnumber(L, (lua_Number)since[i] / 1e9);
        lua_setfield(L, -2, "since");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/***
Whether the heap is whole: all blocks side by side, each in use or found as free. It looks
at all of them, while others wait.
@function shm.arena:check
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADMSG, as only scribble leaves it; EBUSY
*/
static int arena_check(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 1);
    int error = ds_arena_enter(arena, OS_CLOCK_FOREVER);
    if (!error) {
        int found = ds_heap_check(arena);
        error = ds_arena_leave(arena);
        error = found ? found : error;
    }
    if (error)
        return bind_arena_fail(L, arena, error, "arena.check", arena->mapping->label);
    bind_arena_check(L, arena);
    return bind_done(L, 0, "");
}

void bind_arena_open(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", arena_close},
        {"__close", arena_close},
        {"__tostring", arena_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"close", arena_close}, {"names", arena_names}, {"drop", arena_drop},
        {"stat", arena_stat},   {"check", arena_check}, {"attached", arena_attached},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"open", arena_open},
        {"reach", arena_reach},
        {"fits", arena_fits},
        {NULL, NULL},
    };
    bind_handle_type(L, BIND_ARENA, metamethods, methods);
    bind_named_add(L);
    bind_furnished_add(L);
    bind_block_add(L);
    luaL_newlib(L, functions);
    luaL_getmetatable(L, BIND_ARENA);
    lua_getfield(L, -1, "__index");
    lua_setfield(L, -3, "methods"); /* to which shm.arena adds those written in Lua */
    lua_pop(L, 1);
}
