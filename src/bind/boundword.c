/*
 * Atomic words that are bound to one place of a region.
 *
 * What is seldom has functions of its own that are called last, so that the others keep
 * nothing for them: a locked add waits until what was kept is written.
 */
#include "bind/bound.h"
#include "mem/atomic.h"

static int bind_to_word(lua_State *L, int arity, size_t size, bool changes,
                        lua_CFunction access, int64_t amount)
{
    bind_bound *bound = bind_bound_push(L, arity, size, changes, access);
    if ((uintptr_t)(bound->region->base + bound->offset) % size)
        bind_misuse(L, 2, "offset", "%I is not a multiple of %d", lua_tointeger(L, 2),
                    (int)size);
    bound->amount = amount;
    return 1;
}

static int64_t value32(lua_State *L, int arg)
{
    return bind_range(L, arg, "value", INT32_MIN, UINT32_MAX);
}

LSHM_RARE static __attribute__((noinline)) int answer_faulted(lua_State *L,
                                                              lua_Integer held)
{
    bind_bound_faulted(L);
    lua_pushinteger(L, held);
    return 1;
}

static inline int answer(lua_State *L, lua_Integer held)
{
    if (mem_fault_seen())
        return answer_faulted(L, held);
    lua_pushinteger(L, held);
    return 1;
}

static inline int answer64(lua_State *L, uint64_t held)
{
    return answer(L, (lua_Integer)held);
}

static int bound_load(lua_State *L)
{
    const bind_bound *bound = bind_bound_self(L);
    const void *word = bind_bound_at(L, bound, sizeof(uint64_t));
    return answer64(L, mem_atomic_load64(word));
}

static int bound_store(lua_State *L)
{
    const bind_bound *bound = bind_bound_self(L);
    bind_arity(L, 1);
    uint64_t value = (uint64_t)bind_integer(L, 1, "value");
    mem_atomic_store64((void *)bind_bound_change(L, bound, sizeof value), value);
    bind_bound_check(L);
    return 0;
}

LSHM_RARE static int add_slowly(lua_State *L, const bind_bound *bound, uint64_t value)
{
    void *word = bind_bound_change(L, bound, sizeof value);
    return answer64(L, mem_atomic_add64(word, value));
}

static inline int add(lua_State *L, const bind_bound *bound, uint64_t value)
{
    if (!bind_bound_plain(bound))
        return add_slowly(L, bound, value);
    void *word = bound->region->base + bound->offset;
    return answer64(L, mem_atomic_add64(word, value));
}

static int bound_add(lua_State *L)
{
    const bind_bound *bound = bind_bound_self(L);
    bind_arity(L, 1);
    return add(L, bound, (uint64_t)bind_integer(L, 1, "value"));
}

static int bound_add_amount(lua_State *L)
{
    const bind_bound *bound = bind_bound_self(L);
    return add(L, bound, (uint64_t)bound->amount);
}

/***
Binds load to an offset.
@function shm.region:loader
@int offset in bytes from 0, a multiple of 8
@treturn function without arguments, giving the word's value
@raise when offset is misaligned or reaches outside
*/
static int word_loader(lua_State *L)
{
    return bind_to_word(L, 2, sizeof(uint64_t), false, bound_load, 0);
}

/***
Binds store to an offset.
@function shm.region:storer
@int offset in bytes from 0, a multiple of 8
@treturn function of the value to write
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_storer(lua_State *L)
{
    return bind_to_word(L, 2, sizeof(uint64_t), true, bound_store, 0);
}

/***
Binds add to an offset.
@function shm.region:adder
@int offset in bytes from 0, a multiple of 8
@int[opt] value what to add; absent for a function that is told each time
@treturn function giving what the word held before: of the value to add, or without
arguments
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_adder(lua_State *L)
{
    if (lua_isnoneornil(L, 3))
        return bind_to_word(L, 3, sizeof(uint64_t), true, bound_add, 0);
    return bind_to_word(L, 3, sizeof(uint64_t), true, bound_add_amount,
                        bind_integer(L, 3, "value"));
}

static inline int answer32(lua_State *L, uint32_t held)
{
    return answer(L, (int32_t)held);
}

static int bound_load32(lua_State *L)
{
    const bind_bound *bound = bind_bound_self(L);
    const void *word = bind_bound_at(L, bound, sizeof(uint32_t));
    return answer32(L, mem_atomic_load32(word));
}

static int bound_store32(lua_State *L)
{
    const bind_bound *bound = bind_bound_self(L);
    bind_arity(L, 1);
    uint32_t value = (uint32_t)value32(L, 1);
    mem_atomic_store32((void *)bind_bound_change(L, bound, sizeof value), value);
    bind_bound_check(L);
    return 0;
}

LSHM_RARE static int add32_slowly(lua_State *L, const bind_bound *bound, uint32_t value)
{
    void *word = bind_bound_change(L, bound, sizeof value);
    return answer32(L, mem_atomic_add32(word, value));
}

static inline int add32(lua_State *L, const bind_bound *bound, uint32_t value)
{
    if (!bind_bound_plain(bound))
        return add32_slowly(L, bound, value);
    void *word = bound->region->base + bound->offset;
    return answer32(L, mem_atomic_add32(word, value));
}

static int bound_add32(lua_State *L)
{
    const bind_bound *bound = bind_bound_self(L);
    bind_arity(L, 1);
    return add32(L, bound, (uint32_t)value32(L, 1));
}

static int bound_add_amount32(lua_State *L)
{
    const bind_bound *bound = bind_bound_self(L);
    return add32(L, bound, (uint32_t)bound->amount);
}

/***
Binds load32 to an offset.
@function shm.region:loader32
@int offset in bytes from 0, a multiple of 4
@treturn function without arguments, giving the word's value
@raise when offset is misaligned or reaches outside
*/
static int word_loader32(lua_State *L)
{
    return bind_to_word(L, 2, sizeof(uint32_t), false, bound_load32, 0);
}

/***
Binds store32 to an offset.
@function shm.region:storer32
@int offset in bytes from 0, a multiple of 4
@treturn function of the value to write
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_storer32(lua_State *L)
{
    return bind_to_word(L, 2, sizeof(uint32_t), true, bound_store32, 0);
}

/***
Binds add32 to an offset.
@function shm.region:adder32
@int offset in bytes from 0, a multiple of 4
@int[opt] value what to add; absent for a function that is told each time
@treturn function giving what the word held before: of the value to add, or without
arguments
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_adder32(lua_State *L)
{
    if (lua_isnoneornil(L, 3))
        return bind_to_word(L, 3, sizeof(uint32_t), true, bound_add32, 0);
    return bind_to_word(L, 3, sizeof(uint32_t), true, bound_add_amount32, value32(L, 3));
}

void bind_boundword_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"loader", word_loader},
        {"storer", word_storer},
        {"adder", word_adder},
        {"loader32", word_loader32},
        {"storer32", word_storer32},
        {"adder32", word_adder32},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_REGION, methods);
}
