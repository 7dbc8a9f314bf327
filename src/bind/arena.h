/*
 * Memory with named objects, as Lua sees it. Part of bind.h, which includes it.
 */
#ifndef LSHM_BIND_ARENA_H
#define LSHM_BIND_ARENA_H

/* arena.c: memory with named objects */
#define BIND_ARENA "shm.arena"

typedef struct bind_arena {
    ds_arena *arena; /* a share of it; NULL when closed */
} bind_arena;

ds_arena *bind_arena_self(lua_State *L);
int bind_arena_not_opened(lua_State *L, const char *label, size_t size, int error);
int bind_arena_fail(lua_State *L, const ds_arena *arena, int error, const char *what,
                    const char *name);
void bind_arena_check(lua_State *L, const ds_arena *arena);
void bind_arena_name(lua_State *L, int arg, ds_wanted *wanted);
void bind_region_within(bind_region *region, mem_mapping *mapping, const void *at,
                        size_t size);
void bind_arena_open(lua_State *L);
void bind_hashmap_open(lua_State *L);
void bind_image_open(lua_State *L);
void bind_named_add(lua_State *L);
void bind_furnished_add(lua_State *L);
void bind_block_add(lua_State *L);

#endif
