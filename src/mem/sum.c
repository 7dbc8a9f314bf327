/*
 * A number by which bytes are known again: those that were lost, exchanged or cut off
 * give another one. It says nothing about who wrote them.
 *
 * Multiplications that fold, in four lanes of eight bytes each, so that summing takes no
 * longer than reading. The number goes to disk: change the algorithm, change the version
 * of what holds it.
 */
#include "mem/mem.h"

#include <string.h>

#define LANES 4

static const uint64_t odd[LANES] = {
    UINT64_C(0xa0761d6478bd642f),
    UINT64_C(0xe7037ed1a0b428db),
    UINT64_C(0x8ebc6af09c88c6e3),
    UINT64_C(0x589965cc75374cc3),
};

static uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A word that is the lane's own must not blot out what came before it. */
static void add(uint64_t lane[LANES], const uint8_t *bytes)
{
    uint64_t words[LANES];
    memcpy(words, bytes, sizeof words);
    for (int i = 0; i < LANES; i++)
        lane[i] = (lane[i] << 29 | lane[i] >> 35) + fold(words[i] ^ odd[i], lane[i] | 1);
}

uint64_t mem_sum(const uint8_t *bytes, size_t n)
{
    uint64_t lane[LANES], last[LANES] = {0};
    for (int i = 0; i < LANES; i++)
        lane[i] = odd[LANES - 1 - i] ^ n;
    size_t rest = n % sizeof last;
    for (const uint8_t *end = bytes + (n - rest); bytes < end; bytes += sizeof last)
        add(lane, bytes);
    if (rest)
        memcpy(last, bytes, rest);
    add(lane, (const uint8_t *)last);
    uint64_t sum = n;
    for (int i = 0; i < LANES; i++)
        sum = fold(sum ^ lane[i], odd[i]) + lane[i];
    return sum;
}
