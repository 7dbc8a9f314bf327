/*
 * A map's keys: what they are looked up by.
 *
 * The hash of a key's kind and bytes, with a seed that the map got when it was made, so
 * that nobody who does not know it can choose keys that share a bucket. Pure functions of
 * private memory: anybody may call, and dying here changes nothing.
 */
#include "ds/ds.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiplications that fold, over eight bytes at a time, the last of which may overlap
 * those before. Part of the layout. */
static uint32_t hash_of(uint64_t seed, const uint8_t *bytes, size_t n, uint32_t kind)
{
    uint64_t hash = mix(seed ^ UINT64_C(0x9e3779b97f4a7c15), (n << 2 | kind) + seed);
    const uint8_t *end = bytes + n;
    for (; end - bytes > 8; bytes += 8)
        hash = mix(hash ^ ds_few_word(bytes), UINT64_C(0xd6e8feb86659fd93));
    uint64_t last = n > 8 ? ds_few_word(end - 8) : ds_few_load(bytes, n);
    hash = mix(hash ^ last, UINT64_C(0xa0761d6478bd642f));
    return (uint32_t)(hash ^ hash >> 32);
}

ds_key ds_map_key(const ds_map *map, ds_key_kind kind, const void *bytes, size_t size)
{
    return (ds_key){
        .hash = hash_of(map->seed, bytes, size, kind),
        .word = (uint32_t)kind << 30 | (uint32_t)size,
        .bytes = bytes,
    };
}
