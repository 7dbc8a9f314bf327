/*
 * Changes of a map's keys: one, or several in one step, inside the arena's guard.
 *
 * A small value that fits is written where the old one was; else the entry is a new
 * block, whose bytes need not be saved, and the old one is given back. Large values were
 * written to a private block outside of the guard.
 */
#include "ds/ds.h"

#include <limits.h>
#include <string.h>

#define IN_PLACE 256    /* bytes of a value that may be saved and overwritten */
#define ATTEMPTS 100000 /* to make room */

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
    for (int i = 0; word && found->next; i++) {
        ds_map_entry *entry = ds_map_entry_at(map, found->next);
        if (!entry || i == DS_MAP_CHAIN) {
            word = NULL;
            break;
        }
        int order = ds_map_compare(map, entry, key);
        if (order > 0)
            break;
        if (order == 0) {
            found->entry = entry;
            found->ref = found->next;
            found->next = mem_atomic_see32(&entry->next);
            break;
        }
        found->before = entry;
        found->next = mem_atomic_see32(&entry->next);
    }
    if (!word)
        map->arena->error = -EBADMSG;
    return word != NULL;
}

static size_t header(const ds_map *map)
{
    return sizeof(ds_map_entry) + (map->evicts ? sizeof(ds_map_use) : 0);
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
    return header(map) + ds_key_room(mem_atomic_see32(&entry->key)) +
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

static void put_bytes(uint8_t *to, const ds_bytes *value)
{
    if (value->head_size && to != value->head) /* a value that stays where it is */
        memcpy(to, value->head, value->head_size);
    if (value->body_size)
        memcpy(to + value->head_size, value->body, value->body_size);
}

static size_t length(const ds_bytes *value)
{
    return value->head_size + value->body_size;
}

static uint32_t size_word(const ds_map_change *change)
{
    return (uint32_t)length(&change->value) | (change->pending ? DS_MAP_PENDING : 0);
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

/* Writes over the value that there is, if that is small enough and there is room. */
static bool overwrite(ds_map *map, ds_map_change *change, const place *at)
{
    ds_map_entry *entry = at->entry;
    size_t size = length(&change->value), old = size_of(map, entry);
    size_t fixed = header(map) + ds_key_room(change->key.word);
    if (change->block || size > IN_PLACE ||
        fixed + size > ds_heap_size(map->arena, at->ref))
        return false;
    uint8_t *value = ds_map_key_at(map, entry, change->key.word, size);
    uint64_t expires = expiry(change, live(entry));
    if (!value || !ds_map_touch(map, at->word))
        return false;
    value += ds_key_room(change->key.word);
    set_mortal(map, entry, expires);
    count(map, (int)is_pending(entry) - (int)change->pending,
          (int64_t)(fixed + size) - (int64_t)old);
    if (!ds_save(map->arena, &entry->size,
                 sizeof *entry - offsetof(ds_map_entry, size)) ||
        !ds_save(map->arena, value, size))
        return true;
    change->version = mem_atomic_see64(&map->at->totals.version);
    mem_atomic_note32(&entry->size, size_word(change));
    mem_atomic_note64(&entry->version, change->version);
    mem_atomic_note64(&entry->expires, expires);
    put_bytes(value, &change->value);
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
    size_t size = length(&change->value);
    size_t whole = header(map) + ds_key_room(change->key.word) + size;
    uint32_t ref = change->block ? change->block : ds_heap_take(arena, whole);
    ds_map_entry *entry = ref ? ds_heap_at(arena, ref, whole) : NULL;
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
        uint8_t *key = (uint8_t *)entry + header(map);
        memcpy(key, change->key.bytes, ds_key_size(change->key.word));
        put_bytes(key + ds_key_room(change->key.word), &change->value);
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

/* -EDQUOT when the map would take more than it may. */
static bool is_allowed(const ds_map *map, const ds_map_change *change, const place *at)
{
    size_t whole = header(map) + ds_key_room(change->key.word) + length(&change->value);
    uint64_t used = mem_atomic_see64(&map->at->totals.used);
    size_t old = at->entry ? size_of((ds_map *)map, at->entry) : 0;
    return !map->limit || whole <= old || used + whole - old <= map->limit;
}

static int apply(ds_map *map, ds_map_change *change)
{
    place at;
    if (!find(map, &change->key, &at))
        return -EBADMSG;
    ds_map_old old = old_of(map, &at);
    int what = change->decide ? change->decide(change, &old) : 0;
    if (what < 0 || what == DS_MAP_LEAVE || map->arena->error)
        return what < 0 ? what : 0;
    if (what == DS_MAP_DELETE) {
        if (at.entry)
            ds_map_remove(map, at.word, at.before, at.entry);
        change->gone = at.ref;
        change->version = 0;
        return 0;
    }
    if (!is_allowed(map, change, &at))
        return -EDQUOT;
    if (!at.entry || !overwrite(map, change, &at)) {
        replace(map, change, &at);
        if (!at.entry && !map->arena->error)
            ds_map_widen(map);
    }
    return 0;
}

static int try_apply(ds_map *map, ds_map_change *changes, size_t n,
                     const ds_map_commit *commit, int64_t deadline)
{
    int error = ds_arena_enter(map->arena, deadline), refused = 0;
    if (error)
        return error;
    map->touched = 0;
    for (size_t i = 0; i < n; i++)
        changes[i].gone = 0;
    for (size_t i = 0; i < n && !refused && !map->arena->error; i++)
        refused = apply(map, &changes[i]);
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

static void tell(ds_map *map, const ds_map_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sync_eventcount_tell(&map->at->changed[changes[i].key.hash % DS_MAP_STRIPES],
                             INT_MAX);
    sync_eventcount_tell(&map->at->any, INT_MAX);
}

/* Room for so many bytes: a larger arena, or what expired, or what was not used. */
static int make_room(ds_map *map, size_t bytes, bool limit, int64_t deadline)
{
    uint64_t most = limit ? map->limit : mem_atomic_load64(&map->arena->at->max);
    if (bytes > most)
        return -ENOSPC; /* and nothing goes for it in vain */
    int error = limit ? -ENOSPC : ds_arena_grow(map->arena, bytes, deadline);
    if (error && error != -EBUSY && mem_atomic_see32(&map->at->mortal)) {
        int expired = ds_map_expire(map, deadline);
        error = expired == 0 || expired == -EBUSY ? expired : error;
    }
    if (!error || error == -EBUSY)
        return error;
    return map->evicts ? ds_map_evict(map, bytes, deadline) : -ENOSPC;
}

/* A block with the change's value in it, outside of the guard. */
static int prepare(ds_map *map, ds_map_change *change, int64_t deadline)
{
    size_t whole = header(map) + ds_key_room(change->key.word) + length(&change->value);
    int error = ds_private_take(map->arena, whole, deadline, &change->block);
    uint8_t *key = error ? NULL : ds_heap_at(map->arena, change->block, whole);
    if (!key) {
        change->block = 0;
        return error == -EAGAIN ? 0 : error; /* too many are at it: inside, then */
    }
    key += header(map);
    memcpy(key, change->key.bytes, ds_key_size(change->key.word));
    put_bytes(key + ds_key_room(change->key.word), &change->value);
    return 0;
}

/*
 * Makes all changes in one step, or none: then what the first decision against it was.
 * -ENOSPC when memory is full, -E2BIG when they are too many for the arena's journal.
 *
 * With a commit, also -ESTALE when its word holds something else. Nothing can refuse the
 * step once the word has its value; who dies right then leaves the word, and the map as
 * it was: the word is what counts, and whoever goes by it makes the changes again.
 */
int ds_map_commit_with(ds_map *map, ds_map_change *changes, size_t n,
                       const ds_map_commit *commit, int64_t deadline)
{
    int error = -ENOSPC;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        changes[i].block = 0;
        bytes +=
            length(&changes[i].value) + ds_key_room(changes[i].key.word) + header(map);
    }
    bool large = n == 1 && length(&changes->value) > DS_MAP_LARGE;
    for (int i = 0; i < ATTEMPTS; i++) {
        error = large && !changes->block ? prepare(map, changes, deadline) : 0;
        error = error ? error : try_apply(map, changes, n, commit, deadline);
        if (error != -ENOSPC && error != -EDQUOT)
            break;
        int full = make_room(map, bytes, error == -EDQUOT, deadline);
        if (full) {
            error = full;
            break;
        }
    }
    if (n == 1 && error && changes->block)
        ds_private_give(map->arena, changes->block, error == -EBUSY ? DS_NOW : deadline);
    if (!error)
        tell(map, changes, n);
    return error;
}

int ds_map_apply(ds_map *map, ds_map_change *changes, size_t n, int64_t deadline)
{
    return ds_map_commit_with(map, changes, n, NULL, deadline);
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
