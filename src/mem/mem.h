/*
 * Floor 1: bytes, wherever they came from.
 *
 * Plain C over floor 0. Nothing here knows what the bytes mean.
 */
#ifndef LSHM_MEM_H
#define LSHM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/*
 * Whether n bytes at offset lie inside size bytes. Offsets come from callers
 * and from other processes: no sum is formed that could overflow.
 */
static inline bool mem_inside(size_t size, uint64_t offset, uint64_t n)
{
    return n <= size && offset <= size - n;
}

/* mapping.c: shared bytes in this process's address space, with their count of users */
#define MEM_MAPPING_LABEL 32

typedef int (*mem_mapping_free)(void *base, size_t size);

typedef struct mem_mapping {
    uint8_t *base;
    size_t size;
    bool readonly;
    uint32_t users;
    mem_mapping_free free;
    char label[MEM_MAPPING_LABEL]; /* for people: "sysv 32769" */
} mem_mapping;

mem_mapping *mem_mapping_new(void *base, size_t size, bool readonly,
                             mem_mapping_free free, const char *label);
void mem_mapping_retain(mem_mapping *mapping);
int mem_mapping_release(mem_mapping *mapping);

/* word.c: a 32-bit word to sleep on */
int mem_word_wait(const uint32_t *word, uint32_t expected, int64_t deadline);

#pragma GCC visibility pop

#endif
