/*
 * Queues and topics of an arena, found or made by their names.
 */
#include "bind/bind.h"

static void make_queue(ds_arena *arena, void *at, const void *options)
{
    (void)arena;
    ds_queue_make(at, options);
}

static void make_topic(ds_arena *arena, void *at, const void *options)
{
    (void)arena;
    ds_topic_make(at, options);
}

#define KEEPER "shm.arena.keeper"

/* Keeps an object open until there is a handle that does. */
static int keeper_close(lua_State *L)
{
    ds_object *object = bind_handle_self(L);
    if (object)
        ds_object_close(object);
    return 0;
}

static ds_object *push_keeper(lua_State *L)
{
    ds_object *object = lua_newuserdatauv(L, sizeof *object, 0);
    object->arena = NULL;
    luaL_setmetatable(L, KEEPER);
    return object;
}

/* The handle that attach pushes begins with what keeps the object open. */
static int furnish(lua_State *L, ds_wanted *wanted, const char *what,
                   int (*attach)(lua_State *, mem_mapping *, void *, size_t))
{
    bind_arena_name(L, 2, wanted);
    ds_object *object = push_keeper(L);
    ds_arena *arena = bind_arena_self(L);
    bool made = false;
    int error = ds_object_open(arena, wanted, os_clock_deadline(BIND_PLACE_PATIENCE),
                               object, &made);
    if (!error)
        error = attach(L, arena->mapping, object->at, object->size);
    if (error)
        return bind_arena_fail(L, arena, error, what, wanted->name);
    ((bind_sync *)lua_touserdata(L, -1))->object = *object;
    object->arena = NULL;
    bind_arena_check(L, arena);
    lua_pushboolean(L, made);
    return 2;
}

/***
The queue of a name, which is made if there is none.
@function shm.arena:queue
@string name 1 to 255 bytes
@tparam[opt] table options as for shm.queue.create; they count when it is made
@treturn shm.queue the queue
@treturn boolean whether it was made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC (the arena is full), ENOTEMPTY (the name is something else's), EBUSY
*/
static int arena_queue(lua_State *L)
{
    ds_queue_options options;
    bind_arena_self(L);
    bind_arity(L, 3);
    bind_queue_options(L, 3, &options);
    ds_wanted wanted = {.kind = DS_QUEUE,
                        .layout = DS_VERSION,
                        .size = ds_queue_size(&options),
                        .make = make_queue,
                        .context = &options};
    return furnish(L, &wanted, "arena.queue", bind_queue_attach);
}

/***
The topic of a name, which is made if there is none.
@function shm.arena:topic
@string name 1 to 255 bytes
@tparam[opt] table options as for shm.topic.create; they count when it is made
@treturn shm.topic the topic
@treturn boolean whether it was made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC (the arena is full), ENOTEMPTY (the name is something else's), EBUSY
*/
static int arena_topic(lua_State *L)
{
    ds_topic_options options;
    bind_arena_self(L);
    bind_arity(L, 3);
    bind_topic_options(L, 3, &options);
    ds_wanted wanted = {.kind = DS_TOPIC,
                        .layout = DS_VERSION,
                        .size = ds_topic_size(&options),
                        .make = make_topic,
                        .context = &options};
    return furnish(L, &wanted, "arena.topic", bind_topic_attach);
}

void bind_furnished_add(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"queue", arena_queue},
        {"topic", arena_topic},
        {NULL, NULL},
    };
    static const luaL_Reg keeper[] = {{"__gc", keeper_close}, {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    bind_handle_type(L, KEEPER, keeper, none);
    bind_handle_methods(L, BIND_ARENA, methods);
}
