/*
 * Numbers as MessagePack: the shortest form of each, and all forms back.
 */
#include "bind/bind.h"

#include <endian.h>
#include <string.h>

uint8_t *bind_number_put_integer(uint8_t *at, lua_Integer value)
{
    uint64_t bits = (uint64_t)value;
    if (value >= -32 && value < 128) {
        *at = (uint8_t)bits;
        return at + 1;
    }
    if (value >= 0) {
        if (bits <= UINT8_MAX)
            return bind_number_put(at, 0xcc, bits, 1);
        if (bits <= UINT16_MAX)
            return bind_number_put(at, 0xcd, bits, 2);
        if (bits <= UINT32_MAX)
            return bind_number_put(at, 0xce, bits, 4);
        return bind_number_put(at, 0xcf, bits, 8);
    }
    if (value >= INT8_MIN)
        return bind_number_put(at, 0xd0, bits, 1);
    if (value >= INT16_MIN)
        return bind_number_put(at, 0xd1, bits, 2);
    if (value >= INT32_MIN)
        return bind_number_put(at, 0xd2, bits, 4);
    return bind_number_put(at, 0xd3, bits, 8);
}

uint8_t *bind_number_put_float(uint8_t *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bind_number_put(at, 0xcb, bits, 8);
}

static bool get(const uint8_t *bytes, size_t size, size_t width, uint64_t *bits)
{
    *bits = 0;
    if (size != width + 1)
        return false;
    memcpy(bits, bytes + 1, width);
    *bits = be64toh(*bits) >> (64 - 8 * width);
    return true;
}

static bool get_float(const uint8_t *bytes, size_t size, bind_number *number)
{
    uint64_t bits;
    bool wide = *bytes == 0xcb;
    if (!get(bytes, size, wide ? 8 : 4, &bits))
        return false;
    uint32_t low = (uint32_t)bits;
    float narrow;
    memcpy(&narrow, &low, sizeof narrow);
    memcpy(&number->f, &bits, sizeof number->f);
    if (!wide)
        number->f = (lua_Number)narrow;
    number->floats = true;
    return true;
}

/* The number that bytes stand for, or false when they stand for something else. */
bool bind_number_get(const uint8_t *bytes, size_t size, bind_number *number)
{
    uint64_t bits;
    uint8_t first = size ? *bytes : 0xc0;
    *number = (bind_number){.floats = false};
    if (first < 0x80 || first >= 0xe0) {
        number->n = (int8_t)first;
        return size == 1;
    }
    if (first == 0xca || first == 0xcb)
        return get_float(bytes, size, number);
    if (first < 0xcc || first > 0xd3)
        return false;
    unsigned width = 1u << (first & 3), unused = 64 - 8 * width;
    if (!get(bytes, size, width, &bits))
        return false;
    if (first == 0xcf && bits > INT64_MAX)
        *number = (bind_number){.floats = true, .f = (lua_Number)bits};
    else
        number->n =
            first >= 0xd0 ? (lua_Integer)(bits << unused) >> unused : (lua_Integer)bits;
    return true;
}
