/*
 * A map's buckets: how they are changed under the eyes of readers, and become more.
 *
 * Inside the arena's guard. A bucket is touched before the first of its entries changes,
 * and all that were touched are settled after the journal was cleared: so readers see a
 * step whole or not at all, and never what is undone later. Who dies between the two
 * leaves counts odd behind a step that is done; who comes there next makes them even.
 */
#include "ds/ds.h"

#include <string.h>

#define AT_ONCE 2   /* buckets that one new key adds, where they are too few */
#define WIDENS 1024 /* bytes of the journal that one more bucket takes at most */
#define WIDE 32 /* buckets changed in one step, after which the rest is for its keys */

/* Before anything in a bucket changes. */
bool ds_map_touch(ds_map *map, uint64_t *word)
{
    ds_arena *arena = map->arena;
    for (uint32_t i = 0; i < map->touched; i++) {
        if (map->word[i] == word)
            return !arena->error;
    }
    if (map->touched == DS_MAP_TOUCHED)
        arena->error = arena->error ? arena->error : -E2BIG;
    if (arena->error)
        return false;
    uint64_t now = ds_map_rest(word);
    if (mem_guard_save_as(&arena->guarded, word, now + 4 * DS_MAP_COUNT)) {
        arena->error = -E2BIG;
        return false;
    }
    mem_atomic_note64(word, now + DS_MAP_COUNT);
    mem_atomic_order_stores();
    map->word[map->touched++] = word;
    return true;
}

/* Leaves the guard, with all that was done or with nothing of it. */
int ds_map_finish(ds_map *map)
{
    ds_arena *arena = map->arena;
    if (!arena->error && map->touched) {
        mem_guard_commit(&arena->guarded);
        for (uint32_t i = 0; i < map->touched; i++)
            mem_atomic_publish64(map->word[i],
                                 mem_atomic_see64(map->word[i]) + DS_MAP_COUNT);
    }
    map->touched = 0;
    return ds_arena_leave(arena);
}

/* A bucket's count stays odd: what its writer began is undone, or was done. */
int ds_map_mend(ds_map *map, uint32_t hash, int64_t deadline)
{
    int error = ds_arena_enter(map->arena, deadline);
    if (error)
        return error;
    /* Looked up again: with what was undone, the bucket may be something else's memory.
     */
    uint32_t buckets = ds_map_buckets(map);
    uint64_t *word = buckets ? ds_map_bucket(map, ds_map_index(hash, buckets)) : NULL;
    uint64_t now = word ? mem_atomic_see64(word) : 0;
    if (now & DS_MAP_COUNT)
        mem_atomic_publish64(word, now + DS_MAP_COUNT);
    return ds_arena_leave(map->arena);
}

static void set_head(uint64_t *word, uint32_t ref)
{
    mem_atomic_note64(word, (mem_atomic_see64(word) & ~(DS_MAP_COUNT - 1)) | ref);
}

/* What leads to an entry leads elsewhere: the one in front, or the bucket. */
void ds_map_link(ds_map *map, uint64_t *word, ds_map_entry *before, uint32_t ref)
{
    if (before)
        ds_put32(map->arena, &before->next, ref);
    else if (!map->arena->error)
        set_head(word, ref);
}

/* One more bucket, which takes over the end of another's chain. */
static void split(ds_map *map, uint32_t fresh)
{
    ds_arena *arena = map->arena;
    uint32_t half = 1u << (31 - __builtin_clz(fresh)), steps = 0;
    uint64_t *from = ds_map_bucket(map, fresh - half), *to = ds_map_bucket(map, fresh);
    if (!from || !to)
        return;
    ds_map_entry *before = NULL;
    uint32_t ref = (uint32_t)mem_atomic_see64(from);
    while (ref && steps++ < DS_MAP_CHAIN) {
        ds_map_entry *entry = ds_map_entry_at(map, ref);
        if (!entry) {
            arena->error = -EBADMSG;
            return;
        }
        if (mem_atomic_see32(&entry->hash) & half)
            break;
        before = entry;
        ref = mem_atomic_see32(&entry->next);
    }
    if (!ds_map_touch(map, to) || (ref && !ds_map_touch(map, from)))
        return;
    set_head(to, ref);
    if (ref)
        ds_map_link(map, from, before, 0);
    ds_put32(arena, &map->at->buckets, fresh + 1);
}

static bool add_block(ds_arena *arena, uint32_t *link, size_t bytes)
{
    uint32_t ref = ds_heap_take(arena, bytes);
    void *at = ref ? ds_heap_at(arena, ref, bytes) : NULL;
    if (!at)
        return false;
    memset(at, 0, bytes);
    ds_put32(arena, link, ref);
    return !arena->error;
}

/* One more bucket is not worth that the step becomes too large for it. */
static bool has_room(const ds_map *map)
{
    const mem_guarded *guarded = &map->arena->guarded;
    uint64_t used = mem_atomic_see64(&guarded->guard->used);
    return map->touched + 2 <= WIDE && used <= guarded->room &&
           guarded->room - used >= WIDENS;
}

static bool widen(ds_map *map)
{
    ds_arena *arena = map->arena;
    uint32_t fresh = ds_map_buckets(map), index = fresh / DS_MAP_SEGMENT;
    if (fresh == 0 || fresh / 2 >= mem_atomic_see64(&map->at->totals.count) ||
        fresh == DS_MAP_BUCKETS || !has_room(map))
        return false;
    uint32_t *table = &map->at->table[index / DS_MAP_TABLE];
    bool ready = mem_atomic_see32(table) ||
                 add_block(arena, table, DS_MAP_TABLE * sizeof(uint32_t));
    uint32_t *segments = ready ? ds_heap_at(arena, mem_atomic_see32(table),
                                            DS_MAP_TABLE * sizeof *segments)
                               : NULL;
    if (segments && !mem_atomic_see32(&segments[index % DS_MAP_TABLE]))
        ready = add_block(arena, &segments[index % DS_MAP_TABLE],
                          DS_MAP_SEGMENT * sizeof(uint64_t));
    if (segments && ready)
        split(map, fresh);
    else if (arena->error == -ENOSPC)
        arena->error = 0; /* nothing was changed for it */
    return segments && ready && !arena->error;
}

/*
 * More buckets where there are less than two to a key. Where memory is full, chains
 * become longer instead.
 */
void ds_map_widen(ds_map *map)
{
    for (int i = 0; i < AT_ONCE && widen(map); i++)
        continue;
}
