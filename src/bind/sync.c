/*
 * Objects to take turns by, as Lua sees them: what all kinds share.
 *
 * Each kind is a module with create, attach, open and size, and a type with methods of
 * its own beside close, remove and waiters. A handle has a share of the region's mapping,
 * and of an arena's bytes that the region shows: the region may be closed before it, and
 * the bytes lose their name. While a thread holds a lock, the lock's handle can not be
 * closed, nor the region; if they are collected, the memory stays until the process ends.
 */
#include "bind/bind.h"

#include <errno.h>

static const bind_sync_kind *kind_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* The kinds there are, as each added itself: constants, the same for every Lua state. */
static const bind_sync_kind *kinds[SYNC_COUNTER + 1];

const bind_sync_kind *bind_sync_kind_of(sync_kind kind)
{
    return kinds[kind];
}

/* Pushes a closed handle. */
bind_sync *bind_sync_push(lua_State *L, const bind_sync_kind *kind)
{
    bind_sync *self = lua_newuserdatauv(L, sizeof *self, 1);
    *self = (bind_sync){.handle.mapping = NULL};
    luaL_setmetatable(L, kind->type);
    return self;
}

void bind_sync_bad(lua_State *L, const bind_sync *self)
{
    if (self)
        bind_handle_bad(L, 1, "it is closed");
    bind_handle_stranger(L);
}

/* Also for -EFAULT: the kernel has seen it then, and we have not. */
int bind_sync_gone(lua_State *L)
{
    return luaL_error(L, "memory behind this object is gone, or protected");
}

void bind_sync_faulted(lua_State *L, const bind_sync *self)
{
    if (mem_fault_end(self->handle.mapping))
        bind_sync_gone(L);
}

/* In the region; or 0, if a finalizer closed the handle. */
static lua_Integer offset_of(const bind_sync *self, const void *at)
{
    const mem_mapping *mapping = self->handle.mapping;
    if (!mapping)
        return 0;
    return (const uint8_t *)at - mapping->base - (lua_Integer)mapping->slack;
}

/* The object's name; or NULL where it has none, and if it lies in bytes that do. */
const char *bind_sync_name(const bind_sync *self)
{
    return self->object.kind == DS_BYTES ? NULL : ds_object_name(&self->object);
}

/* What errors call the object that lies there, pushed: by its name, or where it is. */
const char *bind_sync_known(lua_State *L, const bind_sync *self, const void *at)
{
    const char *name = bind_sync_name(self);
    return name ? lua_pushfstring(L, "'%s'", name)
                : lua_pushfstring(L, "at %I", offset_of(self, at));
}

/* Pushes what __tostring answers. */
void bind_sync_print(lua_State *L, const bind_sync *self, const char *type,
                     const void *at)
{
    const mem_mapping *mapping = self->handle.mapping;
    const char *name = bind_sync_name(self);
    if (!mapping)
        lua_pushfstring(L, "%s (closed)", type);
    else if (name)
        lua_pushfstring(L, "%s (%s)", type, name);
    else
        lua_pushfstring(L, "%s (%s at %I)", type, mapping->label, offset_of(self, at));
}

static void push_path(lua_State *L, const sync_path *path)
{
    luaL_Buffer words;
    luaL_buffinit(L, &words);
    lua_pushfstring(L, "deadlock: %d", (int)os_thread_process(os_thread_self()));
    luaL_addvalue(&words);
    for (int i = 0; i < path->n; i++) {
        lua_pushfstring(L, " -> %d", (int)os_thread_process(path->step[i].who));
        luaL_addvalue(&words);
    }
    luaL_pushresult(&words);
}

/* What a wait answers: true; true, "recovered", pid; or nil, message, errno. No outcome
 * is for what has no holder. */
int bind_sync_answer(lua_State *L, const bind_sync *self, int result, const char *what,
                     const sync_outcome *outcome)
{
    bind_sync_check(L, self);
    if (result == 0)
        return bind_done(L, 0, "");
    if (result == -EFAULT)
        return bind_sync_gone(L);
    if (result == 1) {
        lua_pushboolean(L, 1);
        lua_pushliteral(L, "recovered");
        lua_pushinteger(L, (lua_Integer)(outcome->dead & OS_THREAD_TID));
        return 3;
    }
    if (result == -EDEADLK) {
        lua_pushnil(L);
        push_path(L, &outcome->path);
        lua_pushinteger(L, EDEADLK);
        return 3;
    }
    if (result == -ETIMEDOUT && self->notice)
        sync_notice_ask(self->notice, self->seen);
    const char *known = bind_sync_known(L, self, self->handle.at);
    if (result == -EBUSY)
        return bind_fail(L, result, "%s %s: its guard is held by %d", what, known,
                         (int)outcome->holder);
    if (outcome && outcome->unreachable)
        return bind_fail(L, result, "%s %s" BIND_SYNC_UNREACHABLE, what, known);
    return bind_fail(L, result, "%s %s", what, known);
}

/* The field journal of a lock's options: bytes, as many as all that a transaction
 * changes. */
uint32_t bind_sync_room(lua_State *L, int table)
{
    lua_Integer room = 0;
    bind_field_integer(L, table, "journal", 0, INT32_MAX - 7, &room);
    return (uint32_t)((room + 7) / 8 * 8);
}

/* Makes or finds it: EEXIST is an answer where either will do. */
static int obtain(lua_State *L, bool create, bool attach, const char *verb)
{
    const bind_sync_kind *kind = kind_of(L);
    bind_arity(L, 2 + (create ? kind->most : 0));
    bind_place_given(L);
    uint64_t value = 0;
    uint32_t extra = create ? kind->arguments(L, 3, &value) : 0;
    bind_sync *self = bind_sync_push(L, kind);
    int64_t deadline = os_clock_deadline(BIND_PLACE_PATIENCE);
    bind_place where =
        bind_place_of(L, create ? sync_size(kind->kind, extra) : sizeof(sync_object), 8);
    mem_mapping *mapping = where.region->mapping;
    int error = create ? sync_handle_create(&self->handle, mapping, where.at, kind->kind,
                                            extra, value, deadline)
                       : -EEXIST;
    bool made = !error;
    if (error == -EEXIST && attach)
        error = sync_handle_attach(&self->handle, mapping, where.at, where.room,
                                   kind->kind, deadline);
    if (!error)
        ds_object_share(&where.region->object, &self->object);
    bind_region_check(L, where.region);
    if (error)
        return bind_place_refused(L, kind->name, verb, error);
    if (create && attach) {
        lua_pushboolean(L, made);
        return 2;
    }
    return 1;
}

/***
Makes the object in a region, where there must be none: see create of its kind.
@function shm.object.create
*/
static int sync_create(lua_State *L)
{
    return obtain(L, true, false, "create");
}

/***
Finds the object that another process or handle made.
@function shm.object.attach
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 8
@treturn userdata the object
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT (there is none), EPROTO (another version's), EXDEV (another pid
namespace's), ETIMEDOUT (somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int sync_attach(lua_State *L)
{
    return obtain(L, false, true, "attach");
}

/***
Finds the object or else makes it, with the arguments of create, which count only then.
@function shm.object.open
@treturn userdata the object
@treturn boolean whether it was made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOTEMPTY (there is something else, or another version's), EXDEV, ETIMEDOUT
*/
static int sync_open(lua_State *L)
{
    return obtain(L, true, true, "open");
}

/***
How many bytes the object takes.
@function shm.object.size
@param ... what create takes behind the offset
@treturn int bytes
*/
static int sync_size_of(lua_State *L)
{
    const bind_sync_kind *kind = kind_of(L);
    uint64_t value;
    bind_arity(L, kind->most);
    lua_pushinteger(L, (lua_Integer)sync_size(kind->kind, kind->arguments(L, 1, &value)));
    return 1;
}

/* Ends the notice first, whose thread looks at the object. */
void bind_sync_let_go(bind_sync *self)
{
    if (self->notice)
        sync_notice_close(self->notice);
    self->notice = NULL;
    sync_handle_close(&self->handle);
    ds_object_close(&self->object);
}

/***
Lets go of the object, which stays in the region. Closing twice is harmless.
@function shm.object:close
@treturn boolean true
@raise when this thread holds it
*/
static int sync_close(lua_State *L)
{
    bind_sync *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, self);
    else if (self->handle.mapping && sync_handle_held(&self->handle))
        bind_handle_bad(L, 1, "it is held by this thread: unlock it first");
    else
        bind_sync_let_go(self);
    lua_pushboolean(L, 1);
    return 1;
}

/* What is held by nobody's handle any more stays held, and so does its memory. */
static int sync_collect(lua_State *L)
{
    bind_sync *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, self);
    else if (self->handle.mapping && sync_handle_held(&self->handle)) {
        mem_mapping_retain(self->handle.mapping);
        self->object.arena = NULL; /* and the object stays open until then */
        bind_sync_let_go(self);
    } else
        bind_sync_let_go(self);
    return 0;
}

/***
Removes the object from the region, for good: who has it must not use it any more, and
another one can be made there. The handle is closed.
@function shm.object:remove
@treturn boolean true
@raise when this thread holds it, or it has a name in an arena: see drop there
*/
static int sync_remove(lua_State *L)
{
    bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    if (sync_handle_held(&self->handle))
        bind_handle_bad(L, 1, "it is held by this thread: unlock it first");
    if (bind_sync_name(self))
        bind_handle_bad(L, 1, "it has a name: see drop of its arena");
    if (self->notice)
        sync_notice_close(self->notice);
    self->notice = NULL;
    sync_handle_remove(&self->handle);
    ds_object_close(&self->object);
    lua_pushboolean(L, 1);
    return 1;
}

/***
Who sleeps there. One that spins does not count yet; the thread behind a descriptor of
fileno's does.
@function shm.object:waiters
@treturn int how many there are
@treturn table their pids, in no order; of the first 31 at most
*/
static int sync_waiting(lua_State *L)
{
    bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    uint64_t who[SYNC_SLOTS];
    uint32_t more;
    int n = sync_waiters_list(&self->handle.object->waiters, who, &more);
    bind_sync_check(L, self);
    lua_pushinteger(L, n + (lua_Integer)more);
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushinteger(L, os_thread_process(who[i]));
        lua_rawseti(L, -2, i + 1);
    }
    return 2;
}

static int sync_tostring(lua_State *L)
{
    const bind_sync *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, self);
    luaL_getmetafield(L, 1, "__name");
    bind_sync_print(L, self, lua_tostring(L, -1), self->handle.at);
    return 1;
}

bind_sync *bind_sync_argument(lua_State *L, int arg, const char *name, const char *type)
{
    bind_sync *self = luaL_testudata(L, arg, type);
    if (!self)
        bind_misuse(L, arg, name, "%s expected, got %s", type, luaL_typename(L, arg));
    else if (!self->handle.mapping)
        bind_misuse(L, arg, name, "it is closed");
    return self;
}

/* Adds the kind's type, and its module to the table on top of the stack. */
void bind_sync_type(lua_State *L, const bind_sync_kind *kind, const luaL_Reg *methods)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", sync_collect},
        {"__close", sync_close},
        {"__tostring", sync_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg shared[] = {
        {"close", sync_close},
        {"remove", sync_remove},
        {"waiters", sync_waiting},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"create", sync_create},
        {"attach", sync_attach},
        {"open", sync_open},
        {"size", sync_size_of},
        {NULL, NULL},
    };
    kinds[kind->kind] = kind;
    bind_handle_type(L, kind->type, metamethods, methods);
    bind_handle_methods(L, kind->type, shared);
    if (kind->kind != SYNC_BARRIER && kind->kind != SYNC_CONDITION)
        bind_notice_methods(L, kind->type); /* those take part by waiting */
    lua_newtable(L);
    lua_pushlightuserdata(L, (void *)kind);
    luaL_setfuncs(L, functions, 1);
    lua_setfield(L, -2, kind->name);
}

void bind_sync_open(lua_State *L)
{
    bind_hold_register(L);
    lua_newtable(L);
    bind_mutex_add(L);
    bind_rwlock_add(L);
    bind_semaphore_add(L);
    bind_event_add(L);
    bind_counter_add(L);
    bind_condition_add(L);
    bind_barrier_add(L);
    bind_several_add(L);
    bind_topic_add(L);
    bind_queue_add(L);
}
