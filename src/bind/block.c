/*
 * Blocks of an arena's memory without a name: its maker's until they are kept.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

#define BIND_BLOCK "shm.block"
#define TAG UINT64_C(0x5f6b636f6c625f5f) /* in front of the bytes: it is such a block */

typedef struct bind_block {
    ds_arena *arena; /* a share of it; NULL when closed */
    uint64_t owner;  /* the process that took it: a child only uses it */
    uint32_t ref;
} bind_block;

static uint64_t tag_of(uint32_t ref)
{
    return TAG ^ (uint64_t)ref << 8;
}

static bind_block *self_of(lua_State *L)
{
    bind_block *self = bind_handle_self(L);
    if (!self || !self->arena)
        bind_handle_bad(L, 1, self ? "block is closed" : BIND_BLOCK " expected");
    return self;
}

static int let_go(bind_block *self, bool give)
{
    ds_arena *arena = self->arena;
    int error = 0;
    self->arena = NULL;
    if (arena && give && self->owner == os_thread_leader())
        error = ds_private_give(arena, self->ref, OS_CLOCK_FOREVER);
    if (arena)
        ds_arena_release(arena);
    return error == -ENOENT ? 0 : error;
}

/* The bytes behind the tag, from the arena's begin. */
static lua_Integer offset_of(uint32_t ref)
{
    return (lua_Integer)ref * DS_UNIT + DS_HEAP_HEADER + (lua_Integer)sizeof(uint64_t);
}

/***
Takes memory. It is this process's until it is kept: if the process dies, or the block is
closed, it is free again.
@function shm.arena:allocate
@int size in bytes, at least 1
@treturn shm.block the block
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC (the arena is full), EAGAIN (64 blocks are not kept yet), EBUSY
*/
static int block_allocate(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 2);
    size_t size = (size_t)bind_range(L, 2, "size", 1, (lua_Integer)1 << 34);
    bind_block *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (bind_block){.arena = NULL};
    luaL_setmetatable(L, BIND_BLOCK);
    arena = bind_arena_self(L);
    size_t whole = size + sizeof(uint64_t);
    int error = ds_private_take(arena, whole, OS_CLOCK_FOREVER, &self->ref);
    if (error)
        return bind_arena_fail(L, arena, error, "arena.allocate", arena->mapping->label);
    self->arena = arena;
    self->owner = os_thread_leader();
    ds_arena_retain(arena);
    uint64_t tag = tag_of(self->ref);
    uint8_t *at = ds_heap_at(arena, self->ref, whole);
    memcpy(at, &tag, sizeof tag);
    memset(at + sizeof tag, 0, size);
    bind_arena_check(L, arena);
    return 1;
}

/***
Where its bytes are, from the arena's begin: a multiple of 16.
@function shm.block:offset
@treturn int bytes
*/
static int block_offset(lua_State *L)
{
    const bind_block *self = self_of(L);
    bind_arity(L, 1);
    lua_pushinteger(L, offset_of(self->ref));
    return 1;
}

/***
Keeps it: from here on it is everybody's who knows the offset, until `free`. The handle is
closed.
@function shm.block:keep
@treturn int the offset
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT (its process has given it back, or died), EBUSY
*/
static int block_keep(lua_State *L)
{
    bind_block *self = self_of(L);
    bind_arity(L, 1);
    ds_arena *arena = self->arena;
    int error = ds_arena_enter(arena, OS_CLOCK_FOREVER);
    if (!error) {
        if (ds_private_owner(arena, self->ref) == self->owner)
            ds_private_publish(arena, self->ref);
        else
            arena->error = -ENOENT;
        error = ds_arena_leave(arena);
    }
    if (error)
        return bind_arena_fail(L, arena, error, "block.keep", arena->mapping->label);
    bind_arena_check(L, arena);
    lua_pushinteger(L, offset_of(self->ref));
    let_go(self, false);
    return 1;
}

/***
Gives the memory back, unless it was kept, or is a parent's: what a child closes is the
child's handle. Closing twice is harmless.
@function shm.block:close
@treturn boolean true
*/
static int block_close(lua_State *L)
{
    bind_block *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_BLOCK " expected");
    else
        let_go(self, true);
    lua_pushboolean(L, 1);
    return 1;
}

static int block_tostring(lua_State *L)
{
    const bind_block *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_BLOCK " expected");
    else if (!self->arena)
        lua_pushliteral(L, BIND_BLOCK " (closed)");
    else
        lua_pushfstring(L, BIND_BLOCK " (%s at %I)", self->arena->mapping->label,
                        offset_of(self->ref));
    return 1;
}

/* The block that an offset is of, or 0: one that allocate made. Inside the guard. */
static uint32_t block_at(ds_arena *arena, lua_Integer offset, size_t *size)
{
    uint64_t begin = (uint64_t)offset - DS_HEAP_HEADER - sizeof(uint64_t), tag;
    if (offset < (lua_Integer)sizeof(ds_arena_memory) || begin % DS_UNIT ||
        begin / DS_UNIT > UINT32_MAX)
        return 0;
    uint32_t ref = (uint32_t)(begin / DS_UNIT);
    *size = ds_heap_size(arena, ref);
    const void *at = ds_heap_at(arena, ref, *size);
    if (*size < sizeof tag || !at)
        return 0;
    memcpy(&tag, at, sizeof tag);
    *size -= sizeof tag;
    return tag == tag_of(ref) ? ref : 0;
}

/***
Gives a block back that was kept; one that was not yet is its process's to close.
@function shm.arena:free
@int offset what keep gave
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT (there is no such block), EBUSY
*/
static int block_free(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 2);
    lua_Integer offset = bind_integer(L, 2, "offset");
    int error = ds_arena_enter(arena, OS_CLOCK_FOREVER);
    if (!error) {
        size_t size = 0;
        uint32_t ref = block_at(arena, offset, &size);
        bool kept = ref && !ds_private_owner(arena, ref);
        uint64_t *tag = kept ? ds_heap_at(arena, ref, sizeof *tag) : NULL;
        if (tag) {
            ds_put64(arena, tag, 0); /* or it could be given back twice */
            ds_heap_give(arena, ref);
        } else
            arena->error = -ENOENT;
        error = ds_arena_leave(arena);
    }
    if (error)
        return bind_arena_fail(L, arena, error, "arena.free", arena->mapping->label);
    bind_arena_check(L, arena);
    return bind_done(L, 0, "");
}

/***
The bytes of a block, as many as it has; they may be some more than were asked for.
@function shm.arena:view
@int offset a block's
@treturn shm.region the bytes
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT (there is no such block), EBUSY
*/
static int block_view(lua_State *L)
{
    ds_arena *arena = bind_arena_self(L);
    bind_arity(L, 2);
    lua_Integer offset = bind_integer(L, 2, "offset");
    bind_region *region = bind_region_push(L);
    arena = bind_arena_self(L);
    size_t size = 0;
    int error = ds_arena_enter(arena, OS_CLOCK_FOREVER);
    if (!error) {
        arena->error = block_at(arena, offset, &size) ? 0 : -ENOENT;
        error = ds_arena_leave(arena);
    }
    if (error)
        return bind_arena_fail(L, arena, error, "arena.view", arena->mapping->label);
    bind_arena_check(L, arena);
    bind_region_within(region, arena->mapping, (uint8_t *)arena->at + offset, size);
    return 1;
}

void bind_block_add(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", block_close},
        {"__close", block_close},
        {"__tostring", block_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"offset", block_offset},
        {"keep", block_keep},
        {"close", block_close},
        {NULL, NULL},
    };
    static const luaL_Reg of_arena[] = {
        {"allocate", block_allocate},
        {"free", block_free},
        {"view", block_view},
        {NULL, NULL},
    };
    bind_handle_type(L, BIND_BLOCK, metamethods, methods);
    bind_handle_methods(L, BIND_ARENA, of_arena);
}
