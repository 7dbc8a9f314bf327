/*
 * How far a format of string.unpack reads from some bytes on.
 *
 * string.unpack wants a string. This tells which bytes it will look at, so that no more
 * of a region is copied into one, and a length that a peer wrote is compared with the
 * region before anything is. What string.unpack itself refuses is left for it to refuse.
 */
#include "bind/bind.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* What string.pack takes for the machine's alignment, as it measures it. */
struct aligned {
    char before;
    union {
        LUAI_MAXALIGN;
    } most;
};

#define NATIVE_ALIGNMENT offsetof(struct aligned, most)

typedef struct walk {
    const char *format;
    size_t largest; /* alignment, as "!" sets it; 1 is none */
    bool big_endian;
} walk;

/* One option: bytes that it takes itself, and what they are. */
typedef struct option {
    char kind;
    size_t size;
} option;

static bool native_is_big(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 0;
}

static size_t number(walk *w, size_t absent)
{
    if (!isdigit((unsigned char)*w->format))
        return absent;
    size_t n = 0;
    while (isdigit((unsigned char)*w->format) && n < SIZE_MAX / 16)
        n = n * 10 + (size_t)(*w->format++ - '0');
    return n;
}

static option next_option(walk *w)
{
    option o = {.kind = *w->format++};
    switch (o.kind) {
    case 'b':
    case 'B':
    case 'x':
        o.size = 1;
        break;
    case 'h':
    case 'H':
        o.size = sizeof(short);
        break;
    case 'l':
    case 'L':
        o.size = sizeof(long);
        break;
    case 'i':
    case 'I':
        o.size = number(w, sizeof(int));
        break;
    case 'j':
    case 'J':
        o.size = sizeof(lua_Integer);
        break;
    case 'T':
        o.size = sizeof(size_t);
        break;
    case 'f':
        o.size = sizeof(float);
        break;
    case 'd':
        o.size = sizeof(double);
        break;
    case 'n':
        o.size = sizeof(lua_Number);
        break;
    case 's':
        o.size = number(w, sizeof(size_t));
        break;
    case 'c':
        o.size = number(w, 0);
        break;
    case '!':
        w->largest = number(w, NATIVE_ALIGNMENT);
        break;
    case '<':
    case '>':
        w->big_endian = o.kind == '>';
        break;
    case '=':
        w->big_endian = native_is_big();
        break;
    }
    return o;
}

/* The bytes of padding that come before an option at this place. */
static size_t padding(walk *w, option o, size_t at)
{
    size_t align = o.size;
    if (o.kind == 'X')
        align = *w->format ? next_option(w).size : 0;
    if (align > w->largest)
        align = w->largest;
    if (o.kind == 'c' || align < 2 || align & (align - 1))
        return 0;
    return (align - at % align) % align;
}

/* A length as "s" writes it, read once; what does not fit 64 bits string.unpack refuses.
 */
static uint64_t length(const volatile uint8_t *bytes, size_t size, bool big_endian)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size && i < sizeof n; i++)
        n |= (uint64_t)bytes[big_endian ? size - 1 - i : i] << 8 * i;
    return n;
}

/* False when it reaches beyond size bytes. */
bool bind_format_reach(const char *format, const uint8_t *bytes, size_t size,
                       size_t *reach)
{
    walk w = {.format = format, .largest = 1, .big_endian = native_is_big()};
    size_t at = 0;
    while (*w.format) {
        option o = next_option(&w);
        size_t skipped = padding(&w, o, at);
        if (!mem_inside(size, at, skipped) || !mem_inside(size, at + skipped, o.size))
            return false;
        at += skipped;
        if (o.kind == 's') {
            uint64_t n = length(bytes + at, o.size, w.big_endian);
            if (!mem_inside(size - o.size, at, n))
                return false;
            at += n;
        } else if (o.kind == 'z') {
            const uint8_t *end = memchr(bytes + at, 0, size - at);
            if (!end)
                return false;
            at = (size_t)(end + 1 - bytes);
        }
        at += o.size;
    }
    *reach = at;
    return true;
}
