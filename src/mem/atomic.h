/*
 * Atomic words, and the only place that names memory orders.
 *
 * The unmarked operations are sequentially consistent: all processes see them
 * in one order, so "store mine, then load yours" on both sides can not miss
 * each other. Weaker ones say so in their name, and their callers say why.
 */
#ifndef LSHM_MEM_ATOMIC_H
#define LSHM_MEM_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

_Static_assert(__atomic_always_lock_free(sizeof(uint64_t), 0),
               "words in shared memory need atomics that use no lock of this process");

static inline uint32_t mem_atomic_load32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void mem_atomic_store32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t mem_atomic_add32(uint32_t *word, uint32_t value)
{
    return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t mem_atomic_and32(uint32_t *word, uint32_t value)
{
    return __atomic_fetch_and(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t mem_atomic_or32(uint32_t *word, uint32_t value)
{
    return __atomic_fetch_or(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t mem_atomic_xor32(uint32_t *word, uint32_t value)
{
    return __atomic_fetch_xor(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t mem_atomic_swap32(uint32_t *word, uint32_t value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

/* On failure *old becomes what the word held. */
static inline bool mem_atomic_cas32(uint32_t *word, uint32_t *old, uint32_t value)
{
    return __atomic_compare_exchange_n(word, old, value, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static inline uint64_t mem_atomic_load64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void mem_atomic_store64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline uint64_t mem_atomic_add64(uint64_t *word, uint64_t value)
{
    return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}

static inline uint64_t mem_atomic_and64(uint64_t *word, uint64_t value)
{
    return __atomic_fetch_and(word, value, __ATOMIC_SEQ_CST);
}

static inline uint64_t mem_atomic_or64(uint64_t *word, uint64_t value)
{
    return __atomic_fetch_or(word, value, __ATOMIC_SEQ_CST);
}

static inline uint64_t mem_atomic_xor64(uint64_t *word, uint64_t value)
{
    return __atomic_fetch_xor(word, value, __ATOMIC_SEQ_CST);
}

static inline uint64_t mem_atomic_swap64(uint64_t *word, uint64_t value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

static inline bool mem_atomic_cas64(uint64_t *word, uint64_t *old, uint64_t value)
{
    return __atomic_compare_exchange_n(word, old, value, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/* Everything before comes before everything after, also a store before a load, which
 * nothing weaker orders: for who uses plain words to take turns by. */
static inline void mem_atomic_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Program order as a signal handler in this thread sees it: it costs no instruction. */
static inline void mem_atomic_order_signal(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* What was written before is written when this is: who finds the value finds that, too.
 * What comes after in the program comes after. */
static inline void mem_atomic_publish64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/*
 * For who overwrites what others read without a lock: what comes next is written after
 * this is. Who reads copies first and then looks here: its fence pairs with this one, so
 * that whoever has copied any of what was written next finds the value.
 */
static inline void mem_atomic_warn64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline uint64_t mem_atomic_heed64(const uint64_t *word)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* A number for people, or a hint: no other memory depends on it. */
static inline void mem_atomic_note32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void mem_atomic_note64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* What another may change meanwhile, where finding the old or the new will do. */
static inline uint32_t mem_atomic_see32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t mem_atomic_see64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* All loads before come before all after: for who reads something, and then whether it
 * changed meanwhile. Pairs with mem_atomic_order_stores of who changes it. */
static inline void mem_atomic_order_loads(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/* All stores before come before all after: for who says that something changes, and then
 * changes it. */
static inline void mem_atomic_order_stores(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* A lock of this process, for a few instructions. The swap's acquire pairs with the
 * release of whoever held it before. */
static inline void mem_atomic_spin_lock(uint32_t *word)
{
    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE))
        continue;
}

static inline void mem_atomic_spin_unlock(uint32_t *word)
{
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

/* Counting users of something private to this process. */
static inline void mem_atomic_count_up(uint32_t *users)
{
    __atomic_fetch_add(users, 1,
                       __ATOMIC_RELAXED); /* who counts up already holds a share */
}

/* True for the last user: its acquire pairs with the releases of all earlier ones. */
static inline bool mem_atomic_count_down(uint32_t *users)
{
    return __atomic_sub_fetch(users, 1, __ATOMIC_ACQ_REL) == 0;
}

#endif
