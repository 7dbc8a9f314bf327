/*
 * Lua values as MessagePack: the way out of Lua; decode.c is the way back.
 *
 * Values are nil, booleans, integers, floats, strings and tables of these. A string is
 * `str` if it is UTF-8 and `bin` if not, so that other languages get what they take. A
 * table whose keys are 1 to n is an array, and any other a map; the empty one is an
 * array.
 *
 * Of a string that is no table's, no byte is copied. Tables are written to the scratch,
 * and nothing of Lua's runs while that is done, as all access is raw: no finalizer can
 * change a table between its count and its items, or encode another into the same
 * scratch.
 */
#include "bind/bind.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define HEAD 9   /* the most that a value takes, but for what a string or table holds */
#define SHOWN 40 /* bytes of a key, in an error */

typedef struct writer {
    lua_State *L;
    bind_scratch *scratch;
    size_t size, most; /* written, and to be written */
    int arg;
    const char *name;
} writer;

typedef struct place { /* a table that is being written */
    const struct place *outer;
    const void *table;
    int stack;         /* where it lies; its key and value come behind */
    lua_Integer index; /* or 0, if it is a map */
} place;

/* What comes before a string's bytes. */
static inline uint8_t *put_string(uint8_t *at, const char *bytes, size_t size)
{
    bool text = bind_utf8(bytes, size);
    if (text && size < 32) {
        *at = (uint8_t)(0xa0 | size);
        return at + 1;
    }
    if (size <= UINT8_MAX)
        return bind_number_put(at, text ? 0xd9 : 0xc4, size, 1);
    if (size <= UINT16_MAX)
        return bind_number_put(at, text ? 0xda : 0xc5, size, 2);
    return bind_number_put(at, text ? 0xdb : 0xc6, size, 4);
}

/* What is neither string nor table; NULL for what can not be encoded. */
static inline uint8_t *put_scalar(uint8_t *at, lua_State *L, int index, int type)
{
    switch (type) {
    case LUA_TNIL:
        *at = BIND_VALUE_NIL;
        return at + 1;
    case LUA_TBOOLEAN:
        *at = lua_toboolean(L, index) ? 0xc3 : 0xc2;
        return at + 1;
    case LUA_TNUMBER:
        return lua_isinteger(L, index)
                   ? bind_number_put_integer(at, lua_tointeger(L, index))
                   : bind_number_put_float(at, lua_tonumber(L, index));
    default:
        return NULL;
    }
}

/* .name, or ["what is no name"], as much of it as an error needs. */
LSHM_RARE static void add_name(luaL_Buffer *path, int key)
{
    size_t size, n = 0;
    const char *bytes = lua_tolstring(path->L, key, &size);
    while (n < size && (isalnum((unsigned char)bytes[n]) || bytes[n] == '_'))
        n++;
    bool name = n == size && n > 0 && n <= SHOWN;
    luaL_addstring(path, name ? "." : "[\"");
    for (n = 0; n < size && n < SHOWN; n++)
        luaL_addchar(path, bytes[n] ? bytes[n] : '?');
    luaL_addstring(path, name ? "" : size > SHOWN ? "...\"]" : "\"]");
}

/* ".name", "[3]" and so on for each table from the outermost to this one. */
LSHM_RARE static void add_path(luaL_Buffer *path, const place *at)
{
    if (!at)
        return;
    add_path(path, at->outer);
    lua_State *L = path->L;
    int key = at->stack + 1;
    if (at->index)
        lua_pushfstring(L, "[%I]", at->index);
    else if (lua_isinteger(L, key))
        lua_pushfstring(L, "[%I]", lua_tointeger(L, key));
    else if (lua_type(L, key) == LUA_TNUMBER)
        lua_pushfstring(L, "[%f]", lua_tonumber(L, key));
    else if (lua_type(L, key) == LUA_TBOOLEAN)
        lua_pushfstring(L, "[%s]", lua_toboolean(L, key) ? "true" : "false");
    else {
        add_name(path, key);
        return;
    }
    luaL_addvalue(path);
}

LSHM_RARE static int refuse(const writer *w, const place *at, const char *format,
                            const char *what)
{
    luaL_Buffer path;
    luaL_buffinit(w->L, &path);
    luaL_addstring(&path, w->name);
    add_path(&path, at);
    luaL_pushresult(&path);
    return bind_misuse(w->L, w->arg, lua_tostring(w->L, -1), format, what);
}

/* Where the next n bytes go. */
static uint8_t *reserve(writer *w, size_t n)
{
    if (w->scratch->size - w->size < n)
        bind_scratch_grow(w->L, w->scratch, w->size + n);
    return w->scratch->bytes + w->size;
}

/* The bytes up to there are written. */
static int wrote(writer *w, const uint8_t *end)
{
    w->size = (size_t)(end - w->scratch->bytes);
    return w->size > w->most ? -EMSGSIZE : 0;
}

static int write_string(writer *w, int index)
{
    size_t size;
    const char *bytes = lua_tolstring(w->L, index, &size);
    if (size > w->most - w->size || size > UINT32_MAX)
        return -EMSGSIZE;
    uint8_t *at = put_string(reserve(w, HEAD + size), bytes, size);
    memcpy(at, bytes, size);
    return wrote(w, at + size);
}

static int write_table(writer *w, const place *outer);

/* The value on top of the stack, which lies at that place. */
static int write_value(writer *w, const place *at)
{
    int type = lua_type(w->L, -1);
    if (type == LUA_TSTRING)
        return write_string(w, -1);
    if (type == LUA_TTABLE)
        return write_table(w, at);
    uint8_t *end = put_scalar(reserve(w, HEAD), w->L, -1, type);
    if (!end)
        return refuse(w, at, "a %s can not be shared", lua_typename(w->L, type));
    return wrote(w, end);
}

static int write_key(writer *w, const place *at, int index)
{
    int type = lua_type(w->L, index);
    if (type == LUA_TSTRING)
        return write_string(w, index);
    uint8_t *end = put_scalar(reserve(w, HEAD), w->L, index, type);
    if (!end)
        return refuse(w, at->outer, "a %s can not be shared as a key",
                      lua_typename(w->L, type));
    return wrote(w, end);
}

/* Whether the keys are 1 to n: so many of them, and each one of these. */
static bool is_list(lua_State *L, int table, lua_Integer n)
{
    lua_Integer count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
        if (key < 1 || key > n) {
            lua_pop(L, 2);
            return false;
        }
        count++;
    }
    return count == n;
}

static int write_list(writer *w, place *at, lua_Integer n)
{
    if (n > UINT32_MAX)
        return -EMSGSIZE;
    uint8_t *head = reserve(w, HEAD);
    if (n < 16)
        *head++ = (uint8_t)(0x90 | n);
    else if (n <= UINT16_MAX)
        head = bind_number_put(head, 0xdc, (uint64_t)n, 2);
    else
        head = bind_number_put(head, 0xdd, (uint64_t)n, 4);
    int error = wrote(w, head);
    for (at->index = 1; !error && at->index <= n; at->index++) {
        lua_rawgeti(w->L, at->stack, at->index);
        error = write_value(w, at);
        lua_pop(w->L, 1);
    }
    return error;
}

/* How many there are is known at the end only, and mostly needs no more than the one byte
 * that is left for it. */
static int finish_map(writer *w, size_t begin, uint64_t count)
{
    uint8_t *head = reserve(w, HEAD) - w->size + begin;
    if (count < 16) {
        *head = (uint8_t)(count ? 0x80 | count : 0x90);
        return 0;
    }
    if (count > UINT32_MAX)
        return -EMSGSIZE;
    size_t width = count <= UINT16_MAX ? 2 : 4;
    memmove(head + 1 + width, head + 1, w->size - begin - 1);
    uint64_t number = htobe64(count << (64 - 8 * width));
    *head = width == 2 ? 0xde : 0xdf;
    memcpy(head + 1, &number, width);
    return wrote(w, w->scratch->bytes + w->size + width);
}

static int write_map(writer *w, const place *at)
{
    size_t begin = w->size;
    int error = wrote(w, reserve(w, HEAD) + 1);
    uint64_t count = 0;
    lua_pushnil(w->L);
    while (!error && lua_next(w->L, at->stack)) {
        error = write_key(w, at, at->stack + 1);
        if (!error)
            error = write_value(w, at);
        lua_pop(w->L, 1);
        count++;
    }
    return error ? error : finish_map(w, begin, count);
}

/* On error it leaves the stack as it is. */
static int write_table(writer *w, const place *outer)
{
    lua_State *L = w->L;
    place here = {outer, lua_topointer(L, -1), lua_gettop(L), 0};
    int depth = 1;
    for (const place *at = outer; at; at = at->outer, depth++) {
        if (at->table == here.table)
            refuse(w, outer, "a table inside itself can not be shared", NULL);
    }
    if (depth > BIND_VALUE_DEPTH)
        refuse(w, outer, "nested deeper than 100", NULL);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_Integer n = (lua_Integer)lua_rawlen(L, here.stack);
    return n > 0 && is_list(L, here.stack, n) ? write_list(w, &here, n)
                                              : write_map(w, &here);
}

static int encode_table(writer *w, ds_bytes *value)
{
    lua_State *L = w->L;
    int top = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    w->scratch = bind_scratch_take(L);
    lua_pushvalue(L, w->arg);
    int error = write_table(w, NULL);
    lua_settop(L, top);
    value->head = w->scratch->bytes;
    value->head_size = w->scratch->used = w->size;
    return error;
}

/* A string: of most messages, and so what costs the least. */
int bind_value_string(lua_State *L, int arg, size_t most, ds_bytes *value)
{
    value->body = lua_tolstring(L, arg, &value->body_size);
    if (value->body_size > most || value->body_size > UINT32_MAX)
        return -EMSGSIZE;
    value->head = value->small;
    value->head_size =
        (size_t)(put_string(value->small, value->body, value->body_size) - value->small);
    return value->head_size > most - value->body_size ? -EMSGSIZE : 0;
}

/* What is of another type. */
int bind_value_other(lua_State *L, int arg, int type, const char *name, size_t most,
                     ds_bytes *value)
{
    uint8_t *small = value->small, *end = put_scalar(small, L, arg, type);
    value->head = value->body = small; /* memcpy is given no NULL */
    value->head_size = end ? (size_t)(end - small) : 0;
    value->body_size = 0;
    if (end)
        return value->head_size > most ? -EMSGSIZE : 0;
    writer w = {L, NULL, 0, most, arg, name};
    if (type == LUA_TTABLE)
        return encode_table(&w, value);
    if (type == LUA_TNONE)
        return bind_misuse(L, arg, name, "value expected, got no value");
    return refuse(&w, NULL, "a %s can not be shared", lua_typename(L, type));
}
