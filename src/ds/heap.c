/*
 * The heap: blocks of an arena's memory, taken and given back.
 *
 * Layout: blocks of units of 16 bytes lie side by side from start to end, where an empty
 * one that is in use stands as a fence. Each begins with 8 bytes: how many units it has
 * and whether it is in use, and how many the one before it has, so that neighbours which
 * are free become one. The rest is the owner's; in a free block its first 8 bytes link
 * the blocks of one class. There are eight classes to each power of two, and a bit for
 * each that is not empty, so that a fitting block is found without search.
 *
 * Who may call: whoever is in the arena's guard. Every word is saved to the guard's
 * journal before it changes: who dies inside, or finds no room, has changed nothing. What
 * a fresh block contains is its taker's, and not saved but for the links that it had.
 *
 * A neighbour or link that makes no sense is scribble, and ends the call with -EBADMSG.
 */
#include "ds/ds.h"

#include <errno.h>
#include <string.h>

#define USED 0x80000000u
#define TRIES 8 /* blocks of the class below that may be large enough, too */

typedef struct block {
    uint32_t size;           /* in units, and USED */
    uint32_t before;         /* the size of the block in front */
    uint32_t next, previous; /* of the same class, while it is free */
} block;

_Static_assert(sizeof(block) == DS_UNIT, "the smallest block");

typedef struct class
{
    unsigned row, column;
} class;

static block *at(ds_arena *arena, uint32_t ref)
{
    block *found = ds_arena_at(arena, (uint64_t)ref * DS_UNIT, sizeof *found);
    if (!found)
        arena->error = -EBADMSG;
    return found;
}

static uint32_t size_of(const block *one)
{
    return mem_atomic_see32(&one->size) & ~USED;
}

static bool is_free(const block *one)
{
    return !(mem_atomic_see32(&one->size) & USED);
}

/* The class whose blocks have so many units, or more but too few for the next. */
static class class_of(uint32_t size)
{
    if (size < 8)
        return (class){.row = 0, .column = size};
    unsigned log = 31 - (unsigned)__builtin_clz(size);
    return (class){.row = log - 2, .column = (size >> (log - 3)) & 7};
}

static void unlink_free(ds_arena *arena, uint32_t ref, block *one)
{
    ds_heap *heap = &arena->at->heap;
    class in = class_of(size_of(one));
    uint32_t next = mem_atomic_see32(&one->next);
    uint32_t previous = mem_atomic_see32(&one->previous);
    if (next) {
        block *other = at(arena, next);
        if (other)
            ds_put32(arena, &other->previous, previous);
    }
    if (previous) {
        block *other = at(arena, previous);
        if (other && mem_atomic_see32(&other->next) != ref)
            arena->error = -EBADMSG;
        else if (other)
            ds_put32(arena, &other->next, next);
        return;
    }
    ds_put32(arena, &heap->bin[in.row][in.column], next);
    if (next)
        return;
    uint32_t columns = mem_atomic_see32(&heap->columns[in.row]) & ~(1u << in.column);
    ds_put32(arena, &heap->columns[in.row], columns);
    if (!columns)
        ds_put32(arena, &heap->rows, mem_atomic_see32(&heap->rows) & ~(1u << in.row));
}

static void link_free(ds_arena *arena, uint32_t ref, uint32_t size, uint32_t before)
{
    ds_heap *heap = &arena->at->heap;
    class in = class_of(size);
    block *one = at(arena, ref);
    if (!one)
        return;
    uint32_t *bin = &heap->bin[in.row][in.column], next = mem_atomic_see32(bin);
    block whole = {.size = size, .before = before, .next = next};
    ds_arena_put(arena, one, &whole, sizeof whole);
    if (next) {
        block *other = at(arena, next);
        if (other)
            ds_put32(arena, &other->previous, ref);
    } else {
        uint32_t rows = mem_atomic_see32(&heap->rows);
        ds_put32(arena, &heap->columns[in.row],
                 mem_atomic_see32(&heap->columns[in.row]) | 1u << in.column);
        if (!(rows & 1u << in.row))
            ds_put32(arena, &heap->rows, rows | 1u << in.row);
    }
    ds_put32(arena, bin, ref);
}

/* The first block of the first class from this one on, in which all are large enough. */
static uint32_t find_from(const ds_heap *heap, class in)
{
    uint32_t columns = mem_atomic_see32(&heap->columns[in.row]) & ~0u << in.column & 255;
    if (!columns) {
        uint32_t rows = in.row < 31 ? mem_atomic_see32(&heap->rows) & ~1u << in.row : 0;
        rows &= (1u << DS_HEAP_ROWS) - 1;
        if (!rows)
            return 0;
        in.row = (unsigned)__builtin_ctz(rows);
        columns = mem_atomic_see32(&heap->columns[in.row]) & 255;
        if (!columns)
            return 0;
    }
    return mem_atomic_see32(&heap->bin[in.row][__builtin_ctz(columns)]);
}

static uint32_t find(ds_arena *arena, uint32_t size)
{
    const ds_heap *heap = &arena->at->heap;
    class own = class_of(size);
    uint32_t rounded = size;
    if (size >= 8)
        rounded += (1u << (31 - __builtin_clz(size) - 3)) - 1;
    uint32_t ref = find_from(heap, class_of(rounded));
    if (ref || rounded == size)
        return ref;
    ref = mem_atomic_see32(&heap->bin[own.row][own.column]);
    for (int i = 0; i < TRIES && ref; i++) {
        const block *one = at(arena, ref);
        if (!one || size_of(one) >= size)
            return one ? ref : 0;
        ref = mem_atomic_see32(&one->next);
    }
    return 0;
}

/* Tells the block behind how large the one in front of it is now. */
static void set_before(ds_arena *arena, uint32_t ref, uint32_t before)
{
    block *one = at(arena, ref);
    if (one)
        ds_put32(arena, &one->before, before);
}

/* Whether a block, as long as it says, is of this heap and within reach. */
static bool lies_inside(const ds_arena *arena, uint32_t ref, uint32_t size)
{
    return (uint64_t)ref + size <= mem_atomic_see32(&arena->at->heap.end) &&
           ds_arena_at(arena, (uint64_t)ref * DS_UNIT, (size_t)size * DS_UNIT);
}

/*
 * A block for so many bytes, or 0 and the arena's error: -ENOSPC when there is none that
 * is large enough.
 */
uint32_t ds_heap_take(ds_arena *arena, size_t bytes)
{
    ds_heap *heap = &arena->at->heap;
    if (arena->error || bytes > DS_HEAP_LARGEST) {
        arena->error = arena->error ? arena->error : -ENOSPC;
        return 0;
    }
    uint32_t size = (uint32_t)((bytes + DS_HEAP_HEADER + DS_UNIT - 1) / DS_UNIT);
    uint32_t ref = find(arena, size);
    if (!ref) {
        arena->error = arena->error ? arena->error : -ENOSPC;
        return 0;
    }
    block *one = at(arena, ref);
    uint32_t found = one && is_free(one) ? size_of(one) : 0, rest = found - size;
    if (found < size || !lies_inside(arena, ref, found)) {
        arena->error = -EBADMSG;
        return 0;
    }
    unlink_free(arena, ref, one);
    if (rest) {
        link_free(arena, ref + size, rest, size);
        set_before(arena, ref + found, rest);
    }
    /* With its links, over which the taker may write before the guard is left. */
    if (ds_save(arena, one, sizeof *one))
        mem_atomic_note32(&one->size, size | USED);
    ds_put32(arena, &heap->used, mem_atomic_see32(&heap->used) + size);
    return arena->error ? 0 : ref;
}

/* A block that is in use, with its neighbours. */
static block *taken(ds_arena *arena, uint32_t ref, uint32_t *size)
{
    const ds_heap *heap = &arena->at->heap;
    bool inside =
        ref >= mem_atomic_see32(&heap->start) && ref < mem_atomic_see32(&heap->end);
    block *one = inside ? at(arena, ref) : NULL; /* behind it nothing may be mapped yet */
    if (!one || is_free(one))
        return NULL;
    *size = size_of(one);
    block *behind = at(arena, ref + *size);
    return *size > 0 && behind && mem_atomic_see32(&behind->before) == *size ? one : NULL;
}

void ds_heap_give(ds_arena *arena, uint32_t ref)
{
    ds_heap *heap = &arena->at->heap;
    uint32_t size;
    block *one = arena->error ? NULL : taken(arena, ref, &size);
    if (!one) {
        arena->error = arena->error ? arena->error : -EBADMSG;
        return;
    }
    uint32_t begin = ref, before = mem_atomic_see32(&one->before), end = ref + size;
    ds_put32(arena, &heap->used, mem_atomic_see32(&heap->used) - size);
    block *front = before && before < ref ? at(arena, ref - before) : NULL;
    if (front && is_free(front) && size_of(front) == before) {
        begin = ref - before;
        before = mem_atomic_see32(&front->before);
        unlink_free(arena, begin, front);
    }
    block *behind = at(arena, end);
    if (behind && is_free(behind) && size_of(behind) > 0) {
        uint32_t more = size_of(behind);
        unlink_free(arena, end, behind);
        end += more;
    }
    link_free(arena, begin, end - begin, before);
    set_before(arena, end, end - begin);
}

/* How many bytes a block that is in use has for its owner; 0 for what is none. */
size_t ds_heap_size(ds_arena *arena, uint32_t ref)
{
    uint32_t size;
    int error = arena->error;
    const block *one = taken(arena, ref, &size);
    arena->error = error;
    return one ? (size_t)size * DS_UNIT - DS_HEAP_HEADER : 0;
}

/* The first time: all from start to end is free. In units; nobody else has it yet. */
void ds_heap_make(ds_arena *arena, uint32_t start, uint32_t end)
{
    ds_heap *heap = &arena->at->heap;
    uint32_t size = end - 1 - start;
    memset(heap, 0, sizeof *heap);
    heap->start = start;
    heap->end = end - 1;
    class in = class_of(size);
    heap->rows = 1u << in.row;
    heap->columns[in.row] = 1u << in.column;
    heap->bin[in.row][in.column] = start;
    *at(arena, start) = (block){.size = size};
    *at(arena, end - 1) = (block){.size = USED, .before = size};
}

/* More memory behind the fence, which becomes a block that is free. */
void ds_heap_extend(ds_arena *arena, uint32_t end)
{
    ds_heap *heap = &arena->at->heap;
    uint32_t old = mem_atomic_see32(&heap->end);
    if (end - 1 <= old || end <= old)
        return;
    block *fence = at(arena, old), *next = at(arena, end - 1);
    if (!fence || !next)
        return;
    block standing = {.size = USED, .before = end - 1 - old};
    ds_arena_put(arena, next, &standing, sizeof standing);
    ds_put32(arena, &heap->end, end - 1);
    /* As if it had been in use: giving it back joins it with what is free in front. */
    ds_put32(arena, &fence->size, (end - 1 - old) | USED);
    ds_put32(arena, &heap->used, mem_atomic_see32(&heap->used) + (end - 1 - old));
    ds_heap_give(arena, old);
}

/*
 * Whether all blocks lie side by side and all that are free are found by their class, and
 * no two neighbours are free: for tests, as it looks at everything. Inside the guard.
 */
int ds_heap_check(ds_arena *arena)
{
    const ds_heap *heap = &arena->at->heap;
    uint32_t ref = heap->start, before = 0, used = 0, free = 0, listed = 0;
    bool was_free = false;
    while (ref < heap->end) {
        const block *one = at(arena, ref);
        if (!one || size_of(one) == 0 || one->before != before ||
            (was_free && is_free(one)))
            return -EBADMSG;
        was_free = is_free(one);
        *(was_free ? &free : &used) += size_of(one);
        before = size_of(one);
        ref += before;
    }
    for (unsigned i = 0; i < DS_HEAP_ROWS * 8; i++) {
        uint32_t next = heap->bin[i / 8][i % 8], previous = 0;
        if ((next != 0) != (heap->columns[i / 8] >> i % 8 & 1))
            return -EBADMSG;
        for (; next && listed <= free; next = at(arena, next)->next) {
            const block *one = at(arena, next);
            class in = one ? class_of(size_of(one)) : (class){0, 0};
            if (!one || size_of(one) == 0 || in.row * 8 + in.column != i ||
                one->previous != previous)
                return -EBADMSG;
            listed += size_of(one);
            previous = next;
        }
    }
    return ref == heap->end && used == heap->used && listed == free ? 0 : -EBADMSG;
}
