/*
 * Objects that were dropped and are open nowhere are given back, one in each step.
 */
#include "ds/ds.h"

static bool is_open(const ds_arena *arena, const ds_entry *entry)
{
    uint64_t bits = 0;
    for (int i = 0; i < arena->processes / 64; i++)
        bits |= mem_atomic_see64(&entry->open[i]);
    return bits != 0;
}

/* Gives back what an object consists of. Returns whether all is gone. */
static bool erase(ds_arena *arena, uint32_t ref, const ds_entry *entry)
{
    uint32_t block = mem_atomic_see32(&entry->block);
    void *map = entry->kind == DS_MAP
                    ? ds_arena_at(arena, ds_place_of(block), sizeof(ds_map_memory))
                    : NULL;
    if (map && !ds_map_unmake(arena, map))
        return false;
    ds_heap_give(arena, block);
    ds_heap_give(arena, ref);
    return true;
}

/* Gives back the first that was dropped and is open nowhere, or some of it. Returns
 * whether there may be more. */
static bool sweep(ds_arena *arena)
{
    uint32_t *link = &arena->at->dropped, ref;
    for (uint64_t i = 0; i < ds_entries_most(arena) && (ref = mem_atomic_see32(link));
         i++) {
        ds_entry *entry = ds_entry_at(arena, ref);
        if (!entry || arena->error)
            return false;
        if (!is_open(arena, entry)) {
            uint32_t next = mem_atomic_see32(&entry->next);
            if (erase(arena, ref, entry))
                ds_put32(arena, link, next);
            return !arena->error;
        }
        link = &entry->next;
    }
    return false;
}

/* In steps, between which others come in; more of them than all that could be there takes
 * are for scribble that brings back what was given back. */
void ds_directory_sweep(ds_arena *arena, int64_t deadline)
{
    bool more = mem_atomic_load32(&arena->at->dropped) != 0;
    uint64_t most = 1000 + arena->reach / 128;
    while (more && most-- > 0 && ds_arena_enter(arena, deadline) == 0) {
        more = sweep(arena);
        more = ds_arena_leave(arena) == 0 && more;
    }
}
