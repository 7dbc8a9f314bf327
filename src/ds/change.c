/*
 * A change of one of a map's keys, inside the arena's guard: steps are made of them, by
 * step.c.
 *
 * A value of up to a word that replaces one of as many bytes is one store, and nothing is
 * saved for it where it is all of a step. Another small value that fits is written where
 * the old one was; else the entry is a new block, whose bytes need not be saved, and the
 * old one is given back by who makes the step. Large values were written to a private
 * block outside of the guard.
 */
#include "ds/ds.h"

#include <string.h>

#define IN_PLACE 256 /* bytes of a value that may be saved and overwritten */

typedef struct place {
    uint64_t *word;
    ds_map_entry *before; /* the one in front in the chain, or NULL */
    ds_map_entry *entry;  /* the key's, or NULL */
    uint32_t ref, next;   /* of the entry; of what comes behind where it would be */
} place;

/* Where a key is, or would be. */
static bool find(ds_map *map, const ds_key *key, place *found)
{
    uint32_t buckets = ds_map_buckets(map);
    uint64_t *word =
        buckets ? ds_map_bucket(map, ds_map_index(key->hash, buckets)) : NULL;
    *found = (place){.word = word};
    found->next = word ? (uint32_t)mem_atomic_see64(word) : 0;
    ds_map_room room = ds_map_room_of(map);
    for (int i = 0; word && found->next; i++) {
        ds_map_entry *entry = ds_map_entry_in(&room, found->next);
        if (!entry || i == DS_MAP_CHAIN) {
            word = NULL;
            break;
        }
        if (ds_map_is(&room, entry, key)) {
            found->entry = entry;
            found->ref = found->next;
            found->next = mem_atomic_see32(&entry->next);
            break;
        }
        if (ds_map_compare(map, entry, key) > 0)
            break;
        found->before = entry;
        found->next = mem_atomic_see32(&entry->next);
    }
    if (!word)
        map->arena->error = -EBADMSG;
    return word != NULL;
}

static bool is_pending(const ds_map_entry *entry)
{
    return mem_atomic_see32(&entry->size) & DS_MAP_PENDING;
}

static void count(ds_map *map, int64_t keys, int64_t bytes)
{
    struct ds_map_totals *at = &map->at->totals;
    if (!ds_save(map->arena, at, sizeof *at))
        return;
    mem_atomic_note64(&at->count, mem_atomic_see64(&at->count) + (uint64_t)keys);
    mem_atomic_note64(&at->used, mem_atomic_see64(&at->used) + (uint64_t)bytes);
    mem_atomic_note64(&at->version, mem_atomic_see64(&at->version) + 1);
}

static size_t size_of(ds_map *map, const ds_map_entry *entry)
{
    return ds_map_header(map) + ds_key_room(mem_atomic_see32(&entry->key)) +
           (mem_atomic_see32(&entry->size) & ~DS_MAP_PENDING);
}

static void forget(ds_map *map, ds_map_entry *entry)
{
    if (map->evicts)
        ds_map_use_end(map, entry);
    if (mem_atomic_see64(&entry->expires) && mem_atomic_see32(&map->at->mortal))
        ds_put32(map->arena, &map->at->mortal, mem_atomic_see32(&map->at->mortal) - 1);
}

/*
 * Takes an entry out of its bucket. Its block is given back by the caller, when this step
 * takes none any more: what is written to a fresh one is not undone.
 */
void ds_map_remove(ds_map *map, uint64_t *word, ds_map_entry *before, ds_map_entry *entry)
{
    if (!ds_map_touch(map, word))
        return;
    int64_t size = (int64_t)size_of(map, entry);
    ds_map_link(map, word, before, mem_atomic_see32(&entry->next));
    count(map, is_pending(entry) ? 0 : -1, -size);
    forget(map, entry);
}

static uint32_t size_word(const ds_map_change *change)
{
    return (uint32_t)ds_bytes_size(&change->value) |
           (change->pending ? DS_MAP_PENDING : 0);
}

static uint64_t expiry(const ds_map_change *change, const ds_map_entry *entry)
{
    if (change->expires != DS_MAP_KEEP)
        return change->expires;
    return entry ? mem_atomic_see64(&entry->expires) : change->fresh;
}

/* The entry, if readers see it. */
static const ds_map_entry *live(const ds_map_entry *entry)
{
    bool seen =
        entry && !is_pending(entry) && !ds_map_expired(mem_atomic_see64(&entry->expires));
    return seen ? entry : NULL;
}

static void set_mortal(ds_map *map, const ds_map_entry *old, uint64_t expires)
{
    uint32_t was = old && mem_atomic_see64(&old->expires);
    if (was == (expires != 0))
        return;
    uint32_t now = mem_atomic_see32(&map->at->mortal);
    ds_put32(map->arena, &map->at->mortal, was ? now - (now > 0) : now + 1);
}

static size_t units(size_t bytes)
{
    return (bytes + DS_HEAP_HEADER + DS_UNIT - 1) / DS_UNIT;
}

/* Saves a value's place up to the next eight bytes, which are the block's as well. */
static bool save_value(ds_arena *arena, const uint8_t *value, size_t size)
{
    return size <= 8    ? ds_save(arena, value, 8)
           : size <= 16 ? ds_save(arena, value, 16)
                        : ds_save(arena, value, size);
}

/* Whether a change comes to one store, where the key has a value of as many bytes. */
static inline bool is_word(const ds_map *map, const ds_map_change *change)
{
    size_t size = ds_bytes_size(&change->value);
    bool stays = change->expires == 0 || change->expires == DS_MAP_KEEP;
    return size > 0 && size <= sizeof(uint64_t) && stays && !change->pending &&
           !map->evicts;
}

/*
 * Writes a word's value over one of as many bytes, where that is all that is to be done.
 * It is there or is not, whoever dies, so that nothing is saved. Who dies before it
 * leaves the count odd, which is made even, and what was there with a version that is a
 * new one, at most: who goes by versions reads it again.
 */
static inline __attribute__((always_inline)) bool
rewrite(ds_map *map, ds_map_change *change, uint64_t *word, const ds_map_room *room,
        ds_map_entry *entry)
{
    if (mem_atomic_see32(&entry->size) != ds_bytes_size(&change->value) ||
        mem_atomic_see64(&entry->expires) != 0)
        return false;
    size_t skipped = ds_key_room(change->key.word);
    uint8_t *key = ds_map_bytes(room, entry, skipped + sizeof(uint64_t));
    if (!key)
        return false;
    struct ds_map_totals *totals = &map->at->totals;
    uint64_t *value = (uint64_t *)(void *)(key + skipped);
    uint64_t count = ds_map_rest(word), bytes = ds_bytes_word(&change->value);
    uint64_t version = mem_atomic_see64(&totals->version) + 1;
    change->version = version;
    mem_atomic_note64(word, count + DS_MAP_COUNT);
    mem_atomic_order_stores();
    mem_atomic_publish64(&totals->version, version);
    mem_atomic_publish64(&entry->version, version);
    mem_atomic_publish64(value, bytes);
    mem_atomic_publish64(word, count + 2 * DS_MAP_COUNT);
    return true;
}

/* Inside the guard: makes a change that is all of its step, and that nothing decides, if
 * that is one store. This is the way of most numbers. */
bool ds_map_put_word(ds_map *map, ds_map_change *change)
{
    if (change->decide || !is_word(map, change))
        return false;
    uint32_t buckets = ds_map_buckets(map), hash = change->key.hash;
    uint64_t *word = buckets ? ds_map_bucket(map, ds_map_index(hash, buckets)) : NULL;
    if (!word)
        return false;
    ds_map_room room = ds_map_room_of(map);
    ds_map_entry *entry =
        ds_map_look_up(&room, (uint32_t)mem_atomic_see64(word), &change->key);
    return entry && rewrite(map, change, word, &room, entry);
}

/* Writes over the value that there is, if that is small enough and there is room: the
 * block has at least the units that what is there takes. */
static bool overwrite(ds_map *map, ds_map_change *change, const place *at)
{
    ds_map_entry *entry = at->entry;
    size_t size = ds_bytes_size(&change->value), old = size_of(map, entry);
    size_t fixed = ds_map_header(map) + ds_key_room(change->key.word);
    if (change->block || size > IN_PLACE ||
        (units(fixed + size) > units(old) &&
         fixed + size > ds_heap_size(map->arena, at->ref)))
        return false;
    uint8_t *value = ds_map_key_at(map, entry, change->key.word, (size + 7) / 8 * 8);
    uint64_t expires = expiry(change, live(entry));
    if (!value || !ds_map_touch(map, at->word))
        return false;
    value += ds_key_room(change->key.word);
    set_mortal(map, entry, expires);
    count(map, (int)is_pending(entry) - (int)change->pending,
          (int64_t)(fixed + size) - (int64_t)old);
    if (!ds_save(map->arena, &entry->size,
                 sizeof *entry - offsetof(ds_map_entry, size)) ||
        !save_value(map->arena, value, size))
        return true;
    change->version = mem_atomic_see64(&map->at->totals.version);
    mem_atomic_note32(&entry->size, size_word(change));
    mem_atomic_note64(&entry->version, change->version);
    mem_atomic_note64(&entry->expires, expires);
    ds_bytes_put(value, &change->value);
    if (map->evicts) {
        ds_map_use_end(map, entry);
        ds_map_use_begin(map, entry, at->ref);
    }
    return true;
}

/* A new entry takes the place of the old one, or comes where it belongs. */
static void replace(ds_map *map, ds_map_change *change, const place *at)
{
    ds_arena *arena = map->arena;
    size_t whole = ds_map_change_size(map, change);
    uint32_t ref = change->block ? change->block : ds_heap_take(arena, whole);
    ds_map_entry *entry = ref ? ds_heap_at(arena, ref, whole) : NULL;
    if (!entry && !arena->error)
        arena->error = -EBADMSG;
    if (!entry || !ds_map_touch(map, at->word))
        return;
    uint64_t expires = expiry(change, live(at->entry));
    int64_t old = at->entry ? (int64_t)size_of(map, at->entry) : 0;
    bool counted = at->entry && !is_pending(at->entry);
    set_mortal(map, NULL, expires);
    count(map, (int)!change->pending - (int)counted, (int64_t)whole - old);
    change->version = mem_atomic_see64(&map->at->totals.version);
    *entry = (ds_map_entry){.next = at->next,
                            .hash = change->key.hash,
                            .key = change->key.word,
                            .size = size_word(change),
                            .version = change->version,
                            .expires = expires};
    if (change->block)
        ds_private_publish(arena, ref);
    else {
        uint8_t *key = (uint8_t *)entry + ds_map_header(map);
        memcpy(key, change->key.bytes, ds_key_size(change->key.word));
        ds_bytes_put(key + ds_key_room(change->key.word), &change->value);
    }
    if (map->evicts)
        ds_map_use_begin(map, entry, ref);
    ds_map_link(map, at->word, at->before, ref);
    if (at->entry)
        forget(map, at->entry);
    change->gone = at->ref;
}

static ds_map_old old_of(ds_map *map, const place *at)
{
    ds_map_old old = {.entry = NULL};
    ds_map_found found = {.version = 0};
    const ds_map_entry *entry = at->entry;
    if (!entry)
        return old;
    found.size = mem_atomic_see32(&entry->size) & ~DS_MAP_PENDING;
    uint32_t key = mem_atomic_see32(&entry->key);
    const uint8_t *bytes = ds_map_key_at(map, entry, key, found.size);
    if (!bytes) {
        map->arena->error = -EBADMSG;
        return old;
    }
    bytes += ds_key_room(key);
    if (is_pending(entry))
        memcpy(&old.owner, bytes, found.size < 8 ? found.size : 8);
    else if (!ds_map_expired(mem_atomic_see64(&entry->expires)))
        old = (ds_map_old){.entry = entry,
                           .value = bytes,
                           .size = found.size,
                           .version = mem_atomic_see64(&entry->version)};
    return old;
}

static int decide(ds_map *map, ds_map_change *change, const place *at)
{
    ds_map_old old = old_of(map, at);
    return change->decide(change, &old);
}

/* -EDQUOT when the map would take more than it may. */
static bool is_allowed(const ds_map *map, const ds_map_change *change, const place *at)
{
    if (!map->limit)
        return true;
    size_t whole = ds_map_change_size(map, change);
    uint64_t used = mem_atomic_see64(&map->at->totals.used);
    size_t old = at->entry ? size_of((ds_map *)map, at->entry) : 0;
    return whole <= old || used + whole - old <= map->limit;
}

/* Inside the guard: 0 when it was made or left, -errno when it was decided against. Alone
 * it is all of its step. */
int ds_map_change_one(ds_map *map, ds_map_change *change, bool alone)
{
    place at;
    if (!find(map, &change->key, &at))
        return -EBADMSG;
    int what = change->decide ? decide(map, change, &at) : 0;
    if (what < 0 || what == DS_MAP_LEAVE || map->arena->error)
        return what < 0 ? what : 0;
    if (what == DS_MAP_DELETE) {
        if (at.entry)
            ds_map_remove(map, at.word, at.before, at.entry);
        change->gone = at.ref;
        change->version = 0;
        return 0;
    }
    ds_map_room room = ds_map_room_of(map);
    if (alone && at.entry && is_word(map, change) &&
        rewrite(map, change, at.word, &room, at.entry))
        return 0;
    if (!is_allowed(map, change, &at))
        return -EDQUOT;
    if (!at.entry || !overwrite(map, change, &at)) {
        replace(map, change, &at);
        if (!at.entry && !map->arena->error)
            ds_map_widen(map);
    }
    return 0;
}
