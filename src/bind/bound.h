/*
 * Accessors bound to one place of a region, for those who count nanoseconds: a closure
 * that knows its region and offset has neither to look up nor to check the handle.
 *
 * The bounds are looked at in each call, as the region may be closed or become shorter.
 */
#ifndef LSHM_BIND_BOUND_H
#define LSHM_BIND_BOUND_H

#include "bind/bind.h"

static inline const bind_bound *bind_bound_self(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* Whether it may be read and changed as it is, which nearly always is so. */
static inline bool bind_bound_plain(const bind_bound *bound)
{
    const bind_region *region = bound->region;
    return __builtin_expect(bound->end <= region->size && !region->look, 1);
}

static inline uint8_t *bind_bound_at(lua_State *L, const bind_bound *bound, size_t size)
{
    const bind_region *region = bound->region;
    if (bound->end > region->size)
        return bind_bound_beyond(L, bound, size);
    return region->base + bound->offset;
}

/* The same for one that changes what lies there. */
static inline uint8_t *bind_bound_change(lua_State *L, const bind_bound *bound,
                                         size_t size)
{
    uint8_t *bytes = bind_bound_at(L, bound, size);
    if (__builtin_expect(bound->region->look, 0))
        bind_region_save(L, bound->region, bytes, size);
    return bytes;
}

/* After each access. It is told nothing, so that nothing has to be kept for it. */
static inline void bind_bound_check(lua_State *L)
{
    if (mem_fault_seen())
        bind_bound_faulted(L);
}

#endif
