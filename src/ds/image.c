/*
 * Images: the bytes of an arena as of one instant, and an arena again from such bytes.
 *
 * To take one is to copy all of the arena inside its guard: heap, directory, register and
 * maps are whole in it, between two steps of whoever changes them. What has a guard of
 * its own, and bytes, are as they are copied: whole if nobody changes them meanwhile.
 * Others wait for the guard, up to half a second for each gigabyte, and are told who
 * holds it once that takes a second; who reads waits for nobody.
 *
 * To adopt one is to make it this machine's and pid namespace's, and this boot's: it may
 * be of another one's. Nobody else may know it yet. Those whom it says to be attached are
 * dead, or others: the register's next reader finds that by their identities, as ever.
 * But nothing can tell whose guard's word it was; and what times keys expire at is of a
 * clock that began anew.
 *
 * Death while taking: the guard goes to the next one, and nothing was changed. While
 * adopting: what was to be adopted is of no use, and nobody's.
 */
#include "ds/ds.h"

#include <errno.h>
#include <string.h>

/* *room becomes how many bytes it takes; -ENOBUFS when there are fewer. */
int ds_image_take(ds_arena *arena, uint8_t *to, size_t *room, int64_t deadline)
{
    int error = ds_arena_enter(arena, deadline);
    if (error)
        return error;
    size_t size = mem_atomic_see64(&arena->at->size), there = *room;
    size_t place = (size_t)((uint8_t *)arena->guarded.guard - (uint8_t *)arena->at);
    bool sane = size >= place + sizeof(mem_guard) && size <= arena->reach;
    if (sane && size <= there)
        memcpy(to, arena->at, size);
    error = ds_arena_leave(arena);
    *room = size;
    if (error || !sane || size > there)
        return error ? error : !sane ? -EBADMSG : -ENOBUFS;
    mem_guard *guard = (mem_guard *)(to + place);
    guard->word = 0; /* it was taken for this */
    guard->used = 0;
    return 0;
}

/* Times of keys are of a clock that was set: none becomes that of a key without one. */
static uint64_t moved(uint64_t expires, int64_t later)
{
    int64_t now;
    if (expires > INT64_MAX || __builtin_add_overflow((int64_t)expires, later, &now))
        return later > 0 ? INT64_MAX : 1;
    return now > 0 ? (uint64_t)now : 1;
}

static void move_chain(ds_map *map, uint32_t ref, int64_t later)
{
    for (int i = 0; ref && i < DS_MAP_CHAIN; i++) {
        ds_map_entry *entry = ds_map_entry_at(map, ref);
        if (!entry)
            return; /* who looks for a key there finds it so, too */
        if (entry->expires)
            entry->expires = moved(entry->expires, later);
        ref = entry->next;
    }
}

static int move_times(ds_arena *arena, void *at, uint64_t size, int64_t later)
{
    ds_object object = {.arena = arena, .at = at, .size = size};
    ds_map map;
    int error = ds_map_open(&object, &map);
    uint32_t buckets = error ? 0 : ds_map_buckets(&map);
    for (uint32_t i = 0; i < buckets; i++) {
        const uint64_t *word = ds_map_bucket(&map, i);
        if (word)
            move_chain(&map, (uint32_t)*word, later);
    }
    return error;
}

static void adopt(ds_arena *arena, uint32_t ref, ds_entry *entry, void *context)
{
    int64_t later = *(int64_t *)context;
    uint64_t offset = ds_place_of(entry->block), size = entry->size;
    uint8_t *at = ds_arena_at(arena, offset, size);
    (void)ref;
    if (!at || (entry->kind != DS_BYTES && size < sizeof(mem_stamp))) {
        arena->error = -EBADMSG;
        return;
    }
    if (entry->kind != DS_BYTES)
        mem_stamp_adopt((mem_stamp *)at);
    if (entry->kind == DS_MAP && later)
        arena->error = move_times(arena, at, size, later);
}

/*
 * Of the size bytes at an address, of which as many as reach are mapped, and of all that
 * is in them. It may grow up to max then, where that is more than it was; its clock goes
 * later nanoseconds ahead of that by which it was taken. Errors as of ds_arena_open.
 */
int ds_image_adopt(mem_mapping *mapping, uint8_t *at, size_t size, size_t reach,
                   uint64_t max, int64_t later)
{
    ds_arena arena = {.at = (ds_arena_memory *)at, .mapping = mapping, .slot = -1};
    arena.guarded.mapping = mapping;
    arena.reach = reach < DS_ARENA_MOST ? reach : DS_ARENA_MOST;
    if (size < DS_ARENA_LEAST)
        return -ENOENT;
    int error = ds_arena_sound(&arena, size, DS_NOW);
    if (error && error != -EXDEV)
        return error;
    if (arena.at->size > size || arena.at->size > arena.at->max)
        return -EBADMSG;
    if (max > arena.at->max)
        arena.at->max = max < arena.reach ? max : arena.reach;
    mem_guard_undo(&arena.guarded);
    arena.guarded.guard->word = 0;
    mem_stamp_adopt(&arena.at->stamp);
    ds_directory_each(&arena, adopt, &later);
    return arena.error;
}
