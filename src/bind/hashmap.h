/*
 * What the rooms of shm.map share: reading, changing, computing once, and steps of
 * several changes.
 */
#ifndef LSHM_BIND_HASHMAP_H
#define LSHM_BIND_HASHMAP_H

#define BIND_MAP "shm.map"
#define BIND_MAP_STACK 2048 /* bytes; values that are longer lie in a userdata */

typedef struct bind_map {
    bind_sync base; /* its eventcount, for event loops and wait_any */
    ds_map map;
    uint64_t seen; /* the version up to which changes were asked for */
} bind_map;

bind_map *bind_map_self(lua_State *L);
void bind_map_check(lua_State *L, const bind_map *self);
ds_key bind_map_key(lua_State *L, int arg, const ds_map *map, int64_t *number);
int bind_map_fail(lua_State *L, bind_map *self, int error, const char *what);
uint64_t bind_map_expiry(lua_State *L, int arg);
LSHM_RARE int bind_map_no_value(lua_State *L, const bind_map *self, int arg, int error);
void bind_change_add(lua_State *L);
void bind_incr_add(lua_State *L);
void bind_next_add(lua_State *L);
void bind_claim_add(lua_State *L);
void bind_apply_add(lua_State *L);

/* The map of a method that takes so many arguments, itself included, and none less. What
 * comes to lie behind them is of no use to anybody. */
static inline bind_map *bind_map_exactly(lua_State *L, int arguments)
{
    bind_map *self = bind_handle_exactly(L, arguments);
    if (!self || !self->base.handle.mapping) {
        self = bind_map_self(L);
        bind_arity(L, arguments);
    }
    return self;
}

/* The value at an argument, encoded; -EDQUOT where the map has no room for it. */
static inline int bind_map_encode(lua_State *L, const bind_map *self, int arg,
                                  ds_map_change *change)
{
    uint64_t limit = self->map.limit; /* private: a finalizer may have closed the map */
    uint64_t most = limit == 0 || limit > UINT32_MAX / 2 ? UINT32_MAX / 2 : limit;
    int error = bind_value_encode(L, arg, "value", most, &change->value);
    if (error || *(const uint8_t *)change->value.head == BIND_VALUE_NIL)
        return bind_map_no_value(L, self, arg, error);
    return 0;
}

#endif
