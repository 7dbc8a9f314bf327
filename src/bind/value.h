/*
 * Lua values as the bytes that they are in shared memory. Part of bind.h, which includes
 * it.
 */
#ifndef LSHM_BIND_VALUE_H
#define LSHM_BIND_VALUE_H

#include <endian.h>
#include <string.h>

/* encode.c, decode.c: Lua values as MessagePack */
#define BIND_VALUE_NIL 0xc0  /* which nothing else begins with */
#define BIND_VALUE_DEPTH 100 /* of tables in tables */

int bind_value_string(lua_State *L, int arg, size_t most, ds_bytes *value);
int bind_value_other(lua_State *L, int arg, int type, const char *name, size_t most,
                     ds_bytes *value);

/* The body is the Lua string's, if it is one; a table's head lies in the scratch, until
 * code can run again. -EMSGSIZE if it takes more than `most` bytes. */
static inline int bind_value_encode(lua_State *L, int arg, const char *name, size_t most,
                                    ds_bytes *value)
{
    int type = lua_type(L, arg);
    return type == LUA_TSTRING ? bind_value_string(L, arg, most, value)
                               : bind_value_other(L, arg, type, name, most, value);
}

int bind_value_decode(lua_State *L, const uint8_t *bytes, size_t size);

/* number.c: numbers, by themselves */
typedef struct bind_number {
    bool floats;
    lua_Integer n; /* or else */
    lua_Number f;
} bind_number;

/* A form's first byte, and an integer so many bytes wide. Eight bytes are written at
 * least: there is room for them; and these by one store, as who reads two bytes that two
 * stores wrote waits until both are in the cache. */
static inline uint8_t *bind_number_put(uint8_t *at, uint8_t first, uint64_t value,
                                       size_t width)
{
    uint64_t word = htobe64((uint64_t)first << 56 | value << (64 - 8 * width) >> 8);
    memcpy(at, &word, sizeof word);
    if (width == 8)
        at[8] = (uint8_t)value;
    return at + 1 + width;
}

uint8_t *bind_number_put_integer(uint8_t *at, lua_Integer value);
uint8_t *bind_number_put_float(uint8_t *at, double value);
bool bind_number_get(const uint8_t *bytes, size_t size, bind_number *number);

bool bind_utf8(const char *bytes, size_t size);

/* scratch.c: memory to write to, which is there again the next time */
typedef struct bind_scratch {
    uint8_t *bytes;
    size_t size, used;
    unsigned idle; /* how often most of it was not needed */
    bool gone;
} bind_scratch;

bind_scratch *bind_scratch_take(lua_State *L);
LSHM_RARE void bind_scratch_grow(lua_State *L, bind_scratch *scratch, size_t size);
void bind_scratch_register(lua_State *L);

#endif
