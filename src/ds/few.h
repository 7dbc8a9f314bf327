/*
 * Few bytes, without a call: keys and values are short mostly. More go to libc.
 */
#ifndef LSHM_DS_FEW_H
#define LSHM_DS_FEW_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t ds_few_word(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Up to eight bytes, each of which counts. */
static inline uint64_t ds_few_load(const uint8_t *bytes, size_t n)
{
    uint32_t low, high;
    if (n < 4)
        return n ? (uint64_t)bytes[0] << 16 | (uint64_t)bytes[n / 2] << 8 | bytes[n - 1]
                 : 0;
    memcpy(&low, bytes, sizeof low);
    memcpy(&high, bytes + n - sizeof high, sizeof high);
    return (uint64_t)high << 32 | low;
}

/* Up to eight bytes as they lie in a word, with zeros behind them. */
static inline uint64_t ds_few_pack(const uint8_t *bytes, size_t n)
{
    uint32_t low, high;
    if (n >= 8)
        return ds_few_word(bytes);
    if (n < 4)
        return n ? htole64(bytes[0] | (uint64_t)bytes[n / 2] << 8 * (n / 2) |
                           (uint64_t)bytes[n - 1] << 8 * (n - 1))
                 : 0;
    memcpy(&low, bytes, sizeof low);
    memcpy(&high, bytes + n - sizeof high, sizeof high);
    return htole64(le32toh(low) | (uint64_t)le32toh(high) << 8 * (n - 4));
}

/* Whether n bytes are the same. Keys are short mostly, and calling takes longer then. */
static inline bool ds_few_same(const uint8_t *one, const uint8_t *other, size_t n)
{
    if (n > 16)
        return memcmp(one, other, n) == 0;
    if (n >= 8)
        return ds_few_word(one) == ds_few_word(other) &&
               ds_few_word(one + n - 8) == ds_few_word(other + n - 8);
    return ds_few_load(one, n) == ds_few_load(other, n);
}

/* Few bytes without a call, by two loads and stores that may overlap: what is read next
 * is mostly what the last one wrote. */
static inline void ds_few_copy(uint8_t *to, const uint8_t *from, size_t n)
{
    uint64_t first, last;
    uint32_t one, other;
    uint16_t begin, end;
    if (n > 16)
        memcpy(to, from, n);
    else if (n >= 8) {
        memcpy(&first, from, 8);
        memcpy(&last, from + n - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + n - 8, &last, 8);
    } else if (n >= 4) {
        memcpy(&one, from, 4);
        memcpy(&other, from + n - 4, 4);
        memcpy(to, &one, 4);
        memcpy(to + n - 4, &other, 4);
    } else if (n >= 2) {
        memcpy(&begin, from, 2);
        memcpy(&end, from + n - 2, 2);
        memcpy(to, &begin, 2);
        memcpy(to + n - 2, &end, 2);
    } else if (n)
        *to = *from;
}

#endif
