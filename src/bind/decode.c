/*
 * MessagePack as Lua values: the way back into Lua from what encode.c wrote, or others.
 *
 * The bytes may be anybody's scribble, but they are this process's own by now and stay as
 * they are. Whatever they say, nothing is read behind them, and nothing is made for items
 * that they can not hold: each value takes a byte of its own, so that all counts together
 * are no more than there are bytes.
 */
#include "bind/bind.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define MOST_AHEAD (1 << 26) /* items that a table is made for; Lua refuses too many */

typedef struct reader {
    lua_State *L;
    const uint8_t *at, *end;
    uint64_t unclaimed; /* bytes that no value was announced for */
    int depth;
} reader;

static int read_value(reader *r);

/* Each width has loads of its own: bytes that are put together in memory are waited for
 * when they are read as one word. */
static bool get(reader *r, size_t width, uint64_t *value)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    if ((size_t)(r->end - r->at) < width)
        return false;
    if (width == 1)
        *value = *r->at;
    else if (width == 2) {
        memcpy(&two, r->at, sizeof two);
        *value = be16toh(two);
    } else if (width == 4) {
        memcpy(&four, r->at, sizeof four);
        *value = be32toh(four);
    } else {
        memcpy(&eight, r->at, sizeof eight);
        *value = be64toh(eight);
    }
    r->at += width;
    return true;
}

static int read_unsigned(reader *r, size_t width)
{
    uint64_t value;
    if (!get(r, width, &value))
        return -EBADMSG;
    if (value > INT64_MAX)
        lua_pushnumber(r->L, (lua_Number)value);
    else
        lua_pushinteger(r->L, (lua_Integer)value);
    return 0;
}

static int read_signed(reader *r, size_t width)
{
    uint64_t value;
    if (!get(r, width, &value))
        return -EBADMSG;
    unsigned unused = 64 - 8 * (unsigned)width;
    lua_pushinteger(r->L, (lua_Integer)(value << unused) >> unused);
    return 0;
}

static int read_float(reader *r, size_t width)
{
    uint64_t value;
    if (!get(r, width, &value))
        return -EBADMSG;
    if (width == 4) {
        uint32_t bits = (uint32_t)value;
        float number;
        memcpy(&number, &bits, sizeof number);
        lua_pushnumber(r->L, (lua_Number)number);
    } else {
        double number;
        memcpy(&number, &value, sizeof number);
        lua_pushnumber(r->L, number);
    }
    return 0;
}

static int read_string(reader *r, uint64_t size)
{
    if ((size_t)(r->end - r->at) < size)
        return -EBADMSG;
    lua_pushlstring(r->L, (const char *)r->at, (size_t)size);
    r->at += size;
    return 0;
}

/* A table for so many items, whose keys or values are so many values; or not. */
static int begin_table(reader *r, uint64_t list, uint64_t map)
{
    uint64_t values = list + 2 * map;
    if (values > r->unclaimed || r->depth == BIND_VALUE_DEPTH)
        return -EBADMSG;
    r->unclaimed -= values;
    r->depth++;
    luaL_checkstack(r->L, LUA_MINSTACK, NULL);
    lua_createtable(r->L, (int)(list < MOST_AHEAD ? list : MOST_AHEAD),
                    (int)(map < MOST_AHEAD ? map : MOST_AHEAD));
    return 0;
}

static int read_list(reader *r, uint64_t count)
{
    int error = begin_table(r, count, 0);
    for (uint64_t i = 1; !error && i <= count; i++) {
        error = read_value(r);
        if (!error)
            lua_rawseti(r->L, -2, (lua_Integer)i);
    }
    r->depth--;
    return error;
}

/* Lua has no such key. */
static bool is_key(lua_State *L)
{
    return !lua_isnil(L, -1) && lua_rawequal(L, -1, -1); /* NaN is not itself */
}

static int read_map(reader *r, uint64_t count)
{
    int error = begin_table(r, 0, count);
    for (; !error && count > 0; count--) {
        error = read_value(r);
        if (!error)
            error = is_key(r->L) ? read_value(r) : -EBADMSG;
        if (!error)
            lua_rawset(r->L, -3);
    }
    r->depth--;
    return error;
}

/* What is as long as the number of that width says. */
static int read_counted(reader *r, size_t width, int (*read)(reader *, uint64_t))
{
    uint64_t count;
    return get(r, width, &count) ? read(r, count) : -EBADMSG;
}

static int read_other(reader *r, uint8_t first)
{
    size_t width = (size_t)1 << (first & 3); /* of most numbers */
    switch (first) {
    case 0xc0:
        lua_pushnil(r->L);
        return 0;
    case 0xc2:
    case 0xc3:
        lua_pushboolean(r->L, first & 1);
        return 0;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return read_counted(r, width, read_string);
    case 0xca:
        return read_float(r, 4);
    case 0xcb:
        return read_float(r, 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return read_unsigned(r, width);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return read_signed(r, width);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return read_counted(r, width / 2, read_string);
    case 0xdc:
        return read_counted(r, 2, read_list);
    case 0xdd:
        return read_counted(r, 4, read_list);
    case 0xde:
        return read_counted(r, 2, read_map);
    case 0xdf:
        return read_counted(r, 4, read_map);
    default: /* extensions, and what never means anything */
        return -EBADMSG;
    }
}

/* Pushes it, or fails with anything on the stack. */
static int read_value(reader *r)
{
    if (r->at == r->end)
        return -EBADMSG;
    uint8_t first = *r->at++;
    if (first < 0x80 || first >= 0xe0) {
        lua_pushinteger(r->L, (int8_t)first);
        return 0;
    }
    if (first < 0x90)
        return read_map(r, first & 0xf);
    if (first < 0xa0)
        return read_list(r, first & 0xf);
    if (first < 0xc0)
        return read_string(r, first & 0x1f);
    return read_other(r, first);
}

/* Pushes what most values are: a small integer, one of a few bytes that is not negative,
 * or a short text. False for all else. */
static inline bool push_short(lua_State *L, const uint8_t *bytes, size_t size)
{
    uint8_t first = bytes[0];
    if (size == 1 && (first < 0x80 || first >= 0xe0)) {
        lua_pushinteger(L, (int8_t)first);
        return true;
    }
    if ((first & 0xe0) == 0xa0 && size - 1 == (first & 31u)) {
        lua_pushlstring(L, (const char *)bytes + 1, size - 1);
        return true;
    }
    uint32_t four;
    uint16_t two;
    if (size == 5 && first == 0xce) {
        memcpy(&four, bytes + 1, sizeof four);
        lua_pushinteger(L, be32toh(four));
        return true;
    }
    if (size == 3 && first == 0xcd) {
        memcpy(&two, bytes + 1, sizeof two);
        lua_pushinteger(L, be16toh(two));
        return true;
    }
    return false;
}

/* Pushes the value; or -EBADMSG, and pushes nothing. A finalizer may run meanwhile, and
 * the bytes must outlast that. */
int bind_value_decode(lua_State *L, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return -EBADMSG;
    if (push_short(L, bytes, size))
        return 0;
    if (size >= 2 && (bytes[0] == 0xd9 || bytes[0] == 0xc4) && bytes[1] == size - 2) {
        lua_pushlstring(L, (const char *)bytes + 2, size - 2); /* most messages */
        return 0;
    }
    int top = lua_gettop(L);
    reader r = {L, bytes, bytes + size, size - 1, 0};
    int error = read_value(&r);
    if (!error && r.at != r.end)
        error = -EBADMSG;
    if (error)
        lua_settop(L, top);
    return error;
}
