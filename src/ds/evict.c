/*
 * Keys that go to make room: those that expired, and in a map that evicts those that were
 * not used for longest.
 *
 * Layout: all entries of a map that evicts are in a list from the one used least recently
 * to the one used last. Each has the map's tick of when it was moved to the end. Readers
 * take no lock, so one that is used is moved only where it is not among the last eighth
 * already, and only where nobody is in the guard just then: the order is that of use to
 * within an eighth of the map.
 */
#include "ds/ds.h"

#include <string.h>

#define AT_ONCE 4     /* keys that one step takes out, where the journal allows it */
#define TAKES_OUT 800 /* bytes of the journal that one key takes at most */
#define BUCKETS 1024u /* that one step looks through */

static ds_map_use *use_of(const ds_map *map, uint32_t ref)
{
    ds_map_entry *entry =
        ref ? ds_heap_at(map->arena, ref, sizeof *entry + sizeof(ds_map_use)) : NULL;
    if (!entry)
        map->arena->error = -EBADMSG;
    return entry ? (ds_map_use *)(entry + 1) : NULL;
}

/* Puts a link of a neighbour, or of the list's end where there is none. */
static void put_link(ds_map *map, uint32_t ref, bool newer, uint32_t value)
{
    uint32_t *at = newer ? &map->at->oldest : &map->at->newest;
    if (ref) {
        ds_map_use *use = use_of(map, ref);
        if (!use)
            return;
        at = newer ? &use->newer : &use->older;
    }
    ds_put32(map->arena, at, value);
}

/* A fresh entry is the one used last. */
void ds_map_use_begin(ds_map *map, ds_map_entry *entry, uint32_t ref)
{
    uint32_t tick = mem_atomic_see32(&map->at->tick) + 1;
    uint32_t newest = mem_atomic_see32(&map->at->newest);
    ds_map_use fresh = {.older = newest, .tick = tick};
    ds_arena_put(map->arena, entry + 1, &fresh, sizeof fresh);
    put_link(map, newest, true, ref);
    ds_put32(map->arena, &map->at->newest, ref);
    ds_put32(map->arena, &map->at->tick, tick);
}

void ds_map_use_end(ds_map *map, ds_map_entry *entry)
{
    const ds_map_use *use = (const ds_map_use *)(entry + 1);
    uint32_t older = mem_atomic_see32(&use->older), newer = mem_atomic_see32(&use->newer);
    put_link(map, older, true, newer);
    put_link(map, newer, false, older);
}

typedef struct spot {
    uint64_t *word;
    ds_map_entry *before, *entry;
} spot;

/* Where an entry is in its bucket. */
static bool locate(ds_map *map, uint32_t wanted, spot *found)
{
    uint32_t buckets = ds_map_buckets(map), ref = 0;
    *found = (spot){.entry = ds_map_entry_at(map, wanted)};
    if (found->entry && buckets)
        found->word = ds_map_bucket(
            map, ds_map_index(mem_atomic_see32(&found->entry->hash), buckets));
    if (found->word)
        ref = (uint32_t)mem_atomic_see64(found->word);
    for (int i = 0; ref && i < DS_MAP_CHAIN; i++) {
        if (ref == wanted)
            return true;
        found->before = ds_map_entry_at(map, ref);
        ref = found->before ? mem_atomic_see32(&found->before->next) : 0;
    }
    map->arena->error = -EBADMSG;
    return false;
}

static int at_once(const ds_map *map)
{
    size_t most = map->arena->guarded.room / TAKES_OUT;
    return most >= AT_ONCE ? AT_ONCE : most > 1 ? (int)most : 1;
}

/* -ENOSPC when there is no key left that could go. */
int ds_map_evict(ds_map *map, size_t bytes, int64_t deadline)
{
    int error = ds_arena_enter(map->arena, deadline);
    if (error)
        return error;
    size_t gone = 0;
    map->touched = 0;
    for (int i = 0; i < at_once(map) && gone < bytes && !map->arena->error; i++) {
        uint32_t ref = mem_atomic_see32(&map->at->oldest);
        spot at;
        if (!ref)
            break;
        if (!locate(map, ref, &at))
            break;
        gone += ds_heap_size(map->arena, ref) + DS_HEAP_HEADER;
        ds_map_remove(map, at.word, at.before, at.entry);
        ds_heap_give(map->arena, ref);
    }
    error = ds_map_finish(map);
    return error ? error : gone ? 0 : -ENOSPC;
}

/* Takes what expired out of one bucket. Returns how many. */
static int expire_in(ds_map *map, uint64_t *word, int most)
{
    ds_map_entry *before = NULL;
    uint32_t ref = (uint32_t)mem_atomic_see64(word);
    int gone = 0;
    for (int i = 0; ref && i < DS_MAP_CHAIN && gone < most && !map->arena->error; i++) {
        ds_map_entry *entry = ds_map_entry_at(map, ref);
        if (!entry) {
            map->arena->error = -EBADMSG;
            return gone;
        }
        uint32_t next = mem_atomic_see32(&entry->next);
        if (ds_map_expired(mem_atomic_see64(&entry->expires))) {
            ds_map_remove(map, word, before, entry);
            ds_heap_give(map->arena, ref);
            gone++;
        } else
            before = entry;
        ref = next;
    }
    return gone;
}

/* Looks through some buckets, from where it was left off. */
static int expire_some(ds_map *map, int64_t deadline, int *gone)
{
    int error = ds_arena_enter(map->arena, deadline);
    if (error)
        return error;
    uint32_t buckets = ds_map_buckets(map), i;
    int most = at_once(map);
    uint32_t from = mem_atomic_see32(&map->at->swept) % (buckets ? buckets : 1);
    map->touched = 0;
    *gone = 0;
    for (i = 0; i < BUCKETS && i < buckets && *gone < most && !map->arena->error; i++) {
        uint64_t *word = ds_map_bucket(map, (from + i) % buckets);
        if (!word)
            map->arena->error = -EBADMSG;
        else
            *gone += expire_in(map, word, most - *gone);
    }
    if (*gone >= most)
        i--; /* there may be more in that bucket */
    ds_put32(map->arena, &map->at->swept, (from + i) % (buckets ? buckets : 1));
    return ds_map_finish(map);
}

/*
 * Gives back the memory of some keys that expired: -ENOSPC when there are none. A map
 * that evicts does not look through all of it for them, as it does so with each new key.
 */
int ds_map_expire(ds_map *map, int64_t deadline)
{
    uint32_t buckets = map->evicts ? BUCKETS - 1 : ds_map_buckets(map);
    for (uint32_t seen = 0; seen <= buckets; seen += BUCKETS) {
        int gone, error = expire_some(map, deadline, &gone);
        if (error || gone)
            return error;
    }
    return -ENOSPC;
}

/* Empties one bucket of a map that nobody has. Returns how many entries are left to do.
 */
static int clear(ds_map *map, uint64_t *word, int most)
{
    while (most > 0 && !map->arena->error) {
        uint64_t now = mem_atomic_see64(word);
        ds_map_entry *entry = (uint32_t)now ? ds_map_entry_at(map, (uint32_t)now) : NULL;
        if (!entry)
            break;
        ds_put64(map->arena, word, mem_atomic_see32(&entry->next));
        ds_heap_give(map->arena, (uint32_t)now);
        most--;
    }
    return most;
}

static void give_segments(ds_map *map, uint32_t buckets)
{
    uint32_t last = (buckets - 1) / DS_MAP_SEGMENT;
    uint32_t *table = &map->at->table[last / DS_MAP_TABLE];
    uint32_t ref = mem_atomic_see32(table);
    uint32_t *segments =
        ref ? ds_heap_at(map->arena, ref, DS_MAP_TABLE * sizeof *segments) : NULL;
    uint32_t *segment = segments ? &segments[last % DS_MAP_TABLE] : NULL;
    if (segment && mem_atomic_see32(segment)) {
        ds_heap_give(map->arena, mem_atomic_see32(segment));
        ds_put32(map->arena, segment, 0);
    }
    if (segments && last % DS_MAP_TABLE == 0) {
        ds_heap_give(map->arena, ref);
        ds_put32(map->arena, table, 0);
    }
    ds_put32(map->arena, &map->at->buckets, last * DS_MAP_SEGMENT);
}

/*
 * Inside the guard: gives back some of a map's memory that nobody has open any more, from
 * its last bucket on, which is the number of buckets then. Returns whether all is gone.
 */
bool ds_map_unmake(ds_arena *arena, void *at)
{
    ds_map map = {.arena = arena, .at = at};
    int most = 1 + (int)(arena->guarded.room / 2048);
    uint32_t buckets = mem_atomic_see32(&map.at->buckets), looked = 0;
    if (buckets > arena->reach / sizeof(uint64_t)) /* as many as there is room for */
        buckets = (uint32_t)(arena->reach / sizeof(uint64_t));
    if (buckets > DS_MAP_BUCKETS)
        buckets = DS_MAP_BUCKETS;
    map.evicts = mem_atomic_see32(&map.at->stamp.extra) & DS_MAP_EVICTS;
    while (buckets > 0 && most > 0 && looked++ < BUCKETS && !arena->error) {
        uint64_t *word = ds_map_bucket(&map, buckets - 1);
        if (!word) { /* scribble took the segment away */
            buckets = (buckets - 1) / DS_MAP_SEGMENT * DS_MAP_SEGMENT;
            continue;
        }
        most = clear(&map, word, most);
        if (most > 0 && (uint32_t)mem_atomic_see64(word))
            arena->error = arena->error ? arena->error : -EBADMSG; /* it had no end */
        if (most == 0 || arena->error)
            break;
        if ((buckets - 1) % DS_MAP_SEGMENT == 0) {
            give_segments(&map, buckets);
            return false; /* the rest is a step of its own, as the journal may be small */
        }
        buckets--;
    }
    ds_put32(arena, &map.at->buckets, buckets);
    return buckets == 0;
}

/* A key was read: it is moved to the end of the list if it is worth it. */
void ds_map_used(ds_map *map, const ds_key *key, uint32_t tick)
{
    uint32_t behind = mem_atomic_see32(&map->at->tick) - tick;
    if (behind == 0 || behind <= mem_atomic_see64(&map->at->totals.count) / 8)
        return;
    if (mem_atomic_see32(&map->arena->guarded.guard->word) ||
        ds_arena_enter(map->arena, DS_FIRST))
        return;
    uint32_t buckets = ds_map_buckets(map);
    const uint64_t *word =
        buckets ? ds_map_bucket(map, ds_map_index(key->hash, buckets)) : NULL;
    uint32_t ref = word ? (uint32_t)mem_atomic_see64(word) : 0;
    for (int i = 0; ref && i < DS_MAP_CHAIN; i++) {
        ds_map_entry *entry = ds_map_entry_at(map, ref);
        if (!entry)
            break;
        if (ds_map_compare(map, entry, key) == 0) {
            ds_map_use_end(map, entry);
            ds_map_use_begin(map, entry, ref);
            break;
        }
        ref = mem_atomic_see32(&entry->next);
    }
    ds_arena_leave(map->arena);
}
