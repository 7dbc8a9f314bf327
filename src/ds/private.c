/*
 * Blocks that are only their process's yet: taken in one step, filled without the guard,
 * and published in another, or given back.
 *
 * Between the two steps the arena has them on a list with their owner. If that dies, they
 * are free again once somebody reaps it: a block is nobody's at no instant.
 */
#include "ds/ds.h"

#include <errno.h>

static int slot_of(const ds_arena *arena, uint32_t ref)
{
    for (int i = 0; i < DS_ARENA_PRIVATE; i++) {
        if (mem_atomic_see32(&arena->at->private[i].ref) == ref)
            return i;
    }
    return -1;
}

/* Inside the guard: whose a block is that nobody else knows yet, or 0. */
uint64_t ds_private_owner(const ds_arena *arena, uint32_t ref)
{
    int slot = ref ? slot_of(arena, ref) : -1;
    return slot < 0 ? 0 : mem_atomic_see64(&arena->at->private[slot].owner);
}

static int try_take(ds_arena *arena, size_t bytes, int64_t deadline, uint32_t *ref)
{
    int error = ds_arena_enter(arena, deadline);
    if (error)
        return error;
    int slot = slot_of(arena, 0);
    *ref = ds_heap_take(arena, bytes);
    if (slot < 0)
        arena->error = -EAGAIN;
    else {
        ds_put64(arena, &arena->at->private[slot].owner, os_thread_leader());
        ds_put32(arena, &arena->at->private[slot].ref, *ref);
    }
    return ds_arena_leave(arena);
}

/* -EAGAIN when there are too many such blocks just now, -ENOSPC when memory is full. */
int ds_private_take(ds_arena *arena, size_t bytes, int64_t deadline, uint32_t *ref)
{
    bool reaped = false;
    for (;;) { /* who takes what this one made it grow by has done the work for others */
        int error = try_take(arena, bytes, deadline, ref), more = 0;
        if (error == -ENOSPC)
            more = ds_arena_more(arena, bytes, deadline, &reaped);
        else if (error == -EAGAIN && !reaped) {
            reaped = true;
            more = ds_arena_reap(arena, deadline);
        } else
            return error;
        if (more)
            return more;
    }
}

/*
 * Inside the guard: a block on the list is free. Its first word goes, which tells blocks
 * that may be given back (bind/block.c): where it is joined with what is free in front of
 * it, all else stays as it was.
 */
void ds_private_free(ds_arena *arena, int slot)
{
    uint32_t ref = mem_atomic_see32(&arena->at->private[slot].ref);
    uint64_t *first =
        ds_heap_size(arena, ref) ? ds_heap_at(arena, ref, sizeof *first) : NULL;
    ds_put32(arena, &arena->at->private[slot].ref, 0);
    if (first)
        ds_put64(arena, first, 0);
    ds_heap_give(arena, ref);
}

/* Inside the guard, with what makes it known: it is everybody's. */
void ds_private_publish(ds_arena *arena, uint32_t ref)
{
    int slot = ref ? slot_of(arena, ref) : -1;
    if (slot >= 0)
        ds_put32(arena, &arena->at->private[slot].ref, 0);
}

/* -ENOENT when it is no private block of this process's. */
int ds_private_give(ds_arena *arena, uint32_t ref, int64_t deadline)
{
    int error = ds_arena_enter(arena, deadline);
    if (error)
        return error;
    if (ds_private_owner(arena, ref) == os_thread_leader())
        ds_private_free(arena, slot_of(arena, ref));
    else
        arena->error = -ENOENT;
    return ds_arena_leave(arena);
}
