/*
 * Steps: one change of a map's keys, or several, made as one or not at all.
 *
 * A step is inside the arena's guard from its begin to its end. Where there is no room
 * for it, nothing of it was done, and it is made again once there is more: a larger
 * arena, or without what expired or was not used. A large value is written to a private
 * block before, outside of the guard.
 *
 * Who dies inside has changed nothing; who dies behind it, before those are told who wait
 * for a change, leaves that to their slices.
 */
#include "ds/ds.h"

#include <limits.h>
#include <string.h>

#define ATTEMPTS 100000 /* to make room */

/* One change, as most steps are. */
static int try_one(ds_map *map, ds_map_change *change, int64_t deadline)
{
    int error = ds_arena_enter(map->arena, deadline);
    if (error)
        return error;
    map->touched = 0;
    change->gone = 0;
    if (ds_map_put_word(map, change))
        return ds_arena_leave(map->arena);
    int refused = ds_map_change_one(map, change, true);
    if (change->gone)
        ds_heap_give(map->arena, change->gone);
    error = ds_map_finish(map);
    return error ? error : refused;
}

static int try_several(ds_map *map, ds_map_change *changes, size_t n,
                       const ds_map_commit *commit, int64_t deadline)
{
    int error = ds_arena_enter(map->arena, deadline), refused = 0;
    if (error)
        return error;
    map->touched = 0;
    for (size_t i = 0; i < n; i++)
        changes[i].gone = 0;
    for (size_t i = 0; i < n && !refused && !map->arena->error; i++)
        refused = ds_map_change_one(map, &changes[i], false);
    for (size_t i = 0; i < n; i++) {
        if (changes[i].gone)
            ds_heap_give(map->arena, changes[i].gone);
    }
    if (refused && n > 1 && !map->arena->error)
        map->arena->error = refused; /* none of them */
    if (commit && !refused && !map->arena->error) {
        uint64_t held = commit->expected; /* a copy, which gets what is there */
        if (!mem_atomic_cas64(commit->word, &held, commit->value))
            map->arena->error = -ESTALE;
    }
    error = ds_map_finish(map);
    return error ? error : refused;
}

static void tell_of(ds_map *map, const ds_map_change *change)
{
    sync_eventcount_tell(&map->at->changed[change->key.hash % DS_MAP_STRIPES], INT_MAX);
}

/* Room for so many bytes: a larger arena, or what expired, or what was not used. -EDQUOT
 * where it is the map that is full. */
static int make_room(ds_map *map, size_t bytes, bool limit, int64_t deadline)
{
    uint64_t most = limit ? map->limit : mem_atomic_load64(&map->arena->at->max);
    int full = limit ? -EDQUOT : -ENOSPC;
    map->arena->refused = false;
    if (bytes > most)
        return full; /* and nothing goes for it in vain */
    int error = limit ? full : ds_arena_grow(map->arena, bytes, deadline);
    if (error && error != -EBUSY && mem_atomic_see32(&map->at->mortal)) {
        int expired = ds_map_expire(map, deadline);
        error = expired == 0 || expired == -EBUSY ? expired : error;
    }
    if (!error || error == -EBUSY)
        return error;
    error = map->evicts ? ds_map_evict(map, bytes, deadline) : full;
    return error == -ENOSPC ? full : error;
}

/* A block with the change's value in it, outside of the guard. */
static int prepare(ds_map *map, ds_map_change *change, int64_t deadline)
{
    size_t whole = ds_map_change_size(map, change);
    int error = ds_private_take(map->arena, whole, deadline, &change->block);
    uint8_t *key = error ? NULL : ds_heap_at(map->arena, change->block, whole);
    if (!key) {
        change->block = 0;
        return error == -EAGAIN ? 0 : error; /* too many are at it: inside, then */
    }
    key += ds_map_header(map);
    memcpy(key, change->key.bytes, ds_key_size(change->key.word));
    ds_bytes_put(key + ds_key_room(change->key.word), &change->value);
    return 0;
}

/* As its caller has it: what it is decided to be may lie in shared memory. */
static bool is_large(const ds_map_change *change)
{
    return ds_bytes_size(&change->value) > DS_MAP_LARGE;
}

/* Goes on where there was no room, or a large value is to be put. */
static int insist(ds_map *map, ds_map_change *changes, size_t n,
                  const ds_map_commit *commit, bool large, int error, int64_t deadline)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += ds_map_change_size(map, &changes[i]);
    for (int i = 0; i < ATTEMPTS; i++) {
        int full = error ? make_room(map, bytes, error == -EDQUOT, deadline) : 0;
        if (full) {
            error = full;
            break;
        }
        error = large && !changes->block ? prepare(map, changes, deadline) : 0;
        error = error ? error : try_several(map, changes, n, commit, deadline);
        if (error != -ENOSPC && error != -EDQUOT)
            break;
    }
    if (n == 1 && error && changes->block)
        ds_private_give(map->arena, changes->block, error == -EBUSY ? DS_NOW : deadline);
    return error;
}

/*
 * Makes all changes in one step, or none: then what the first decision against it was.
 * -ENOSPC when memory is full, -EDQUOT when the map is, -E2BIG when they are too many for
 * the arena's journal.
 *
 * With a commit, also -ESTALE when its word holds something else. Nothing can refuse the
 * step once the word has its value; who dies right then leaves the word, and the map as
 * it was: the word is what counts, and whoever goes by it makes the changes again.
 */
int ds_map_commit_with(ds_map *map, ds_map_change *changes, size_t n,
                       const ds_map_commit *commit, int64_t deadline)
{
    for (size_t i = 0; i < n; i++)
        changes[i].block = 0;
    bool large = n == 1 && is_large(changes);
    int error = insist(map, changes, n, commit, large, 0, deadline);
    if (error)
        return error;
    for (size_t i = 0; i < n; i++)
        tell_of(map, &changes[i]);
    sync_eventcount_tell(&map->at->any, INT_MAX);
    return 0;
}

int ds_map_apply(ds_map *map, ds_map_change *changes, size_t n, int64_t deadline)
{
    if (n != 1 || is_large(changes))
        return ds_map_commit_with(map, changes, n, NULL, deadline);
    changes->block = 0;
    int error = try_one(map, changes, deadline);
    if (error == -ENOSPC || error == -EDQUOT)
        error = insist(map, changes, 1, NULL, false, error, deadline);
    if (error)
        return error;
    tell_of(map, changes);
    sync_eventcount_tell(&map->at->any, INT_MAX);
    return 0;
}

/*
 * The version of the last change that stays: inside the guard, as outside of it may be
 * seen what is undone yet, and then made once more with the same version.
 */
int ds_map_version(ds_map *map, uint64_t *version, int64_t deadline)
{
    int error = ds_arena_enter(map->arena, deadline);
    if (error)
        return error;
    *version = mem_atomic_see64(&map->at->totals.version);
    return ds_arena_leave(map->arena);
}
