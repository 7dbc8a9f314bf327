/*
 * Whether bytes are UTF-8: as strict as other languages are who read them as text.
 *
 * No longer forms than needed, no surrogates, nothing past U+10FFFF. Most strings are
 * ASCII and short, so that it must cost next to nothing for these.
 */
#include "bind/bind.h"

#include <string.h>

#define WORD sizeof(uint64_t)
#define BLOCK (8 * WORD)
#define HIGH UINT64_C(0x8080808080808080)

static uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, WORD);
    return word;
}

/* Past the ASCII bytes that come first, or at least all but the last few of them. */
static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end)
{
    while ((size_t)(end - at) >= BLOCK) {
        uint64_t all = word_at(at) | word_at(at + WORD) | word_at(at + 2 * WORD) |
                       word_at(at + 3 * WORD) | word_at(at + 4 * WORD) |
                       word_at(at + 5 * WORD) | word_at(at + 6 * WORD) |
                       word_at(at + 7 * WORD);
        if (all & HIGH)
            break;
        at += BLOCK;
    }
    while ((size_t)(end - at) >= WORD && !(word_at(at) & HIGH))
        at += WORD;
    while (at < end && *at < 0x80)
        at++;
    return at;
}

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* How long the character there is, or 0 if it is none. It is not ASCII. */
static size_t character(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    if (first < 0xc2 || first > 0xf4 || left < 2 || !continues(at[1]))
        return 0;
    if (first < 0xe0)
        return 2;
    if (left < 3 || !continues(at[2]))
        return 0;
    unsigned begin = (unsigned)first << 8 | at[1];
    if (first < 0xf0)
        return begin < 0xe0a0 || (begin >= 0xeda0 && begin < 0xee80) ? 0 : 3;
    if (left < 4 || !continues(at[3]))
        return 0;
    return begin < 0xf090 || begin > 0xf48f ? 0 : 4;
}

bool bind_utf8(const char *bytes, size_t size)
{
    const uint8_t *at = (const uint8_t *)bytes, *end = at + size;
    while ((at = skip_ascii(at, end)) < end) {
        do {
            size_t n = character(at, (size_t)(end - at));
            if (n == 0)
                return false;
            at += n;
        } while (at < end && *at >= 0x80);
    }
    return true;
}
