/*
 * Words that processes race on: atomic, aligned, sequentially consistent, and a
 * place to sleep until one changes.
 *
 * The forms that end in 32 work on 32-bit words. Those read as signed numbers,
 * and take either reading, so that a flag in the top bit can be written as it is.
 */
#include "bind/bind.h"
#include "mem/atomic.h"

#include <limits.h>

static void *aligned(lua_State *L, bind_region *region, size_t size)
{
    uint8_t *word = bind_region_at(L, region, 2, size);
    if ((uintptr_t)word % size)
        bind_misuse(L, 2, "offset", "%I is not a multiple of %d", lua_tointeger(L, 2),
                    (int)size);
    return word;
}

/* The word that the method may read, or, with the other one, change. */
static void *readable(lua_State *L, int arity, size_t size)
{
    return aligned(L, bind_region_exactly(L, arity), size);
}

static void *changeable(lua_State *L, int arity, size_t size)
{
    bind_region *region = bind_region_exactly(L, arity);
    bind_region_writable(L, region);
    void *word = aligned(L, region, size);
    if (__builtin_expect(region->look, 0))
        bind_region_save(L, region, word, size);
    return word;
}

static uint64_t value64(lua_State *L, int arg, const char *name)
{
    return (uint64_t)bind_integer(L, arg, name);
}

static uint32_t value32(lua_State *L, int arg, const char *name)
{
    return (uint32_t)bind_range(L, arg, name, INT32_MIN, UINT32_MAX);
}

/* After the access: its result, or that the memory was not there. */
static int done(lua_State *L)
{
    bind_region_check(L, lua_touserdata(L, 1));
    return 0;
}

static int push64(lua_State *L, uint64_t value)
{
    done(L);
    lua_pushinteger(L, (lua_Integer)value);
    return 1;
}

static int push32(lua_State *L, uint32_t value)
{
    done(L);
    lua_pushinteger(L, (int32_t)value);
    return 1;
}

/***
Reads a 64-bit word.
@function shm.region:load
@int offset in bytes from 0, a multiple of 8
@treturn int the value
@raise when offset is misaligned or reaches outside
*/
static int word_load(lua_State *L)
{
    return push64(L, mem_atomic_load64(readable(L, 2, sizeof(uint64_t))));
}

/***
Writes a 64-bit word.
@function shm.region:store
@int offset in bytes from 0, a multiple of 8
@int value what to write
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_store(lua_State *L)
{
    uint64_t *word = changeable(L, 3, sizeof *word);
    mem_atomic_store64(word, value64(L, 3, "value"));
    return done(L);
}

/***
Adds to a 64-bit word, in one step.
@function shm.region:add
@int offset in bytes from 0, a multiple of 8
@int value what to add
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_add(lua_State *L)
{
    uint64_t *word = changeable(L, 3, sizeof *word);
    return push64(L, mem_atomic_add64(word, value64(L, 3, "value")));
}

/***
Replaces a 64-bit word, in one step.
@function shm.region:swap
@int offset in bytes from 0, a multiple of 8
@int value the new value
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_swap(lua_State *L)
{
    uint64_t *word = changeable(L, 3, sizeof *word);
    return push64(L, mem_atomic_swap64(word, value64(L, 3, "value")));
}

/***
Clears bits in a 64-bit word, in one step.
@function shm.region:band
@int offset in bytes from 0, a multiple of 8
@int value the bits to keep
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_band(lua_State *L)
{
    uint64_t *word = changeable(L, 3, sizeof *word);
    return push64(L, mem_atomic_and64(word, value64(L, 3, "value")));
}

/***
Sets bits in a 64-bit word, in one step.
@function shm.region:bor
@int offset in bytes from 0, a multiple of 8
@int value the bits to set
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_bor(lua_State *L)
{
    uint64_t *word = changeable(L, 3, sizeof *word);
    return push64(L, mem_atomic_or64(word, value64(L, 3, "value")));
}

/***
Flips bits in a 64-bit word, in one step.
@function shm.region:bxor
@int offset in bytes from 0, a multiple of 8
@int value the bits to flip
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_bxor(lua_State *L)
{
    uint64_t *word = changeable(L, 3, sizeof *word);
    return push64(L, mem_atomic_xor64(word, value64(L, 3, "value")));
}

/***
Compares a 64-bit word and, if it holds what is expected, replaces it, in one step.
@function shm.region:cas
@int offset in bytes from 0, a multiple of 8
@int expected what it must hold
@int value what it shall hold
@treturn boolean whether it was replaced
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_cas(lua_State *L)
{
    uint64_t *word = changeable(L, 4, sizeof *word), held = value64(L, 3, "expected");
    lua_pushboolean(L, mem_atomic_cas64(word, &held, value64(L, 4, "value")));
    return 1 + push64(L, held);
}

/***
Reads a 32-bit word.
@function shm.region:load32
@int offset in bytes from 0, a multiple of 4
@treturn int the value
@raise when offset is misaligned or reaches outside
*/
static int word_load32(lua_State *L)
{
    return push32(L, mem_atomic_load32(readable(L, 2, sizeof(uint32_t))));
}

/***
Writes a 32-bit word.
@function shm.region:store32
@int offset in bytes from 0, a multiple of 4
@int value what to write
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_store32(lua_State *L)
{
    uint32_t *word = changeable(L, 3, sizeof *word);
    mem_atomic_store32(word, value32(L, 3, "value"));
    return done(L);
}

/***
Adds to a 32-bit word, in one step.
@function shm.region:add32
@int offset in bytes from 0, a multiple of 4
@int value what to add
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_add32(lua_State *L)
{
    uint32_t *word = changeable(L, 3, sizeof *word);
    return push32(L, mem_atomic_add32(word, value32(L, 3, "value")));
}

/***
Replaces a 32-bit word, in one step.
@function shm.region:swap32
@int offset in bytes from 0, a multiple of 4
@int value the new value
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_swap32(lua_State *L)
{
    uint32_t *word = changeable(L, 3, sizeof *word);
    return push32(L, mem_atomic_swap32(word, value32(L, 3, "value")));
}

/***
Clears bits in a 32-bit word, in one step.
@function shm.region:band32
@int offset in bytes from 0, a multiple of 4
@int value the bits to keep
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_band32(lua_State *L)
{
    uint32_t *word = changeable(L, 3, sizeof *word);
    return push32(L, mem_atomic_and32(word, value32(L, 3, "value")));
}

/***
Sets bits in a 32-bit word, in one step.
@function shm.region:bor32
@int offset in bytes from 0, a multiple of 4
@int value the bits to set
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_bor32(lua_State *L)
{
    uint32_t *word = changeable(L, 3, sizeof *word);
    return push32(L, mem_atomic_or32(word, value32(L, 3, "value")));
}

/***
Flips bits in a 32-bit word, in one step.
@function shm.region:bxor32
@int offset in bytes from 0, a multiple of 4
@int value the bits to flip
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_bxor32(lua_State *L)
{
    uint32_t *word = changeable(L, 3, sizeof *word);
    return push32(L, mem_atomic_xor32(word, value32(L, 3, "value")));
}

/***
Compares a 32-bit word and, if it holds what is expected, replaces it, in one step.
@function shm.region:cas32
@int offset in bytes from 0, a multiple of 4
@int expected what it must hold
@int value what it shall hold
@treturn boolean whether it was replaced
@treturn int what the word held before
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int word_cas32(lua_State *L)
{
    uint32_t *word = changeable(L, 4, sizeof *word), held = value32(L, 3, "expected");
    lua_pushboolean(L, mem_atomic_cas32(word, &held, value32(L, 4, "value")));
    return 1 + push32(L, held);
}

/***
Sleeps until a 32-bit word no longer holds what is expected. It may be woken in vain and
looks again: who wakes it must have changed the word first.
@function shm.region:wait
@int offset in bytes from 0, a multiple of 4
@int expected returns at once if the word holds anything else
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, or EINTR after a signal
@raise when offset is misaligned or reaches outside
@see futex(2)
*/
static int word_wait(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 4);
    uint32_t expected = value32(L, 3, "expected");
    int64_t deadline = bind_deadline(L, 4);
    const uint32_t *word = aligned(L, region, sizeof *word);
    int error = mem_word_wait(region->mapping, word, expected, deadline);
    done(L);
    return bind_done(L, error, "region.wait");
}

/***
Wakes processes that sleep on a 32-bit word. Change the word first.
@function shm.region:wake
@int offset in bytes from 0, a multiple of 4
@int[opt] n how many at most, absent for all
@treturn int how many were woken
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EFAULT (memory behind the region is gone)
@raise when offset is misaligned or reaches outside
@see futex(2)
*/
static int word_wake(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 3);
    int n = (int)bind_opt_range(L, 3, "n", INT_MAX, 0, INT_MAX);
    int woken = os_futex_wake(aligned(L, region, sizeof(uint32_t)), n);
    if (woken < 0)
        return bind_fail(L, woken, "region.wake");
    lua_pushinteger(L, woken);
    return 1;
}

/***
Orders what this process does to shared memory: all reads and writes before the fence come
before all after it, as every other process sees them. Between a plain `set_` and a plain
`get_` of another word, which a processor may exchange, nothing less does that; `load`,
`store` and their kin need no fence.
@function shm.fence
*/
static int word_fence(lua_State *L)
{
    bind_arity(L, 0);
    mem_atomic_fence();
    return 0;
}

void bind_word_open(lua_State *L)
{
    lua_pushcfunction(L, word_fence);
}

void bind_word_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"load", word_load},
        {"store", word_store},
        {"add", word_add},
        {"swap", word_swap},
        {"band", word_band},
        {"bor", word_bor},
        {"bxor", word_bxor},
        {"cas", word_cas},
        {"load32", word_load32},
        {"store32", word_store32},
        {"add32", word_add32},
        {"swap32", word_swap32},
        {"band32", word_band32},
        {"bor32", word_bor32},
        {"bxor32", word_bxor32},
        {"cas32", word_cas32},
        {"wait", word_wait},
        {"wake", word_wake},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_REGION, methods);
}
