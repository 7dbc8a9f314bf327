/*
 * A map: keys and their values, found without a lock.
 *
 * Layout: a header, and buckets in segments that tables lead to, so that there can be
 * more of them without moving any. There are n buckets, two more with about every new
 * key: each of them takes over the end of one chain (linear hashing). A chain is sorted
 * by the hash's bits in reversed order, and by key: so its end is just what the new
 * bucket takes over, and going through all buckets in reversed order goes through all
 * keys in one order that stays while the map grows.
 *
 * Writers are inside the arena's guard. They make a bucket's count odd, change the chain
 * and the entries in it, commit, and make the count even. Readers look at the count,
 * walk, copy out, and look again: what they read counts only if it is the same and even.
 * The writer's last store pairs with the reader's first load, and the reader's fence with
 * the writer's after the first store. A block that was given back meanwhile has other
 * bytes, but is within the arena, and the count has changed. Undoing a dead writer's
 * change puts a count there that was never seen. A count that stays odd is a dead
 * writer's: the reader goes into the guard, which undoes, and makes it even.
 *
 * Steps in a chain are limited, and so are keys and values by the arena's end.
 */
#include "ds/ds.h"

#include <string.h>
#include <sys/random.h>

#define SPINS 2000   /* before a bucket's writer is taken for dead */
#define MENDED 100   /* times that it was, and is odd again: somebody scribbles */
#define ROUNDS 10000 /* in which others change what is being read */

static uint32_t reversed(uint32_t x)
{
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}

/* Less than, equal to, or more than 0, as entries stand in their chain. */
int ds_map_compare(const ds_map *map, const ds_map_entry *entry, const ds_key *key)
{
    uint32_t hash = mem_atomic_see32(&entry->hash), word = mem_atomic_see32(&entry->key);
    if (hash != key->hash)
        return reversed(hash) < reversed(key->hash) ? -1 : 1;
    if (word != key->word)
        return word < key->word ? -1 : 1;
    const uint8_t *bytes = ds_map_key_at(map, entry, word, 0);
    return bytes ? memcmp(bytes, key->bytes, ds_key_size(word)) : 1;
}

bool ds_map_expired(uint64_t expires)
{
    return expires && (uint64_t)os_clock_now() >= expires;
}

/* A bucket that is read: its word, as it was before, and where its entries may lie. */
typedef struct reading {
    uint64_t *word, before;
    ds_map_room room;
    uint32_t buckets;
} reading;

/* Whether the bucket is at rest; without a word there is none. */
static inline bool look(const ds_map *map, uint32_t hash, reading *r)
{
    r->buckets = ds_map_buckets(map);
    r->word = r->buckets ? ds_map_bucket(map, ds_map_index(hash, r->buckets)) : NULL;
    if (!r->word)
        return false;
    r->before = mem_atomic_load64(r->word);
    r->room = ds_map_room_of(map);
    return !(r->before >> 32 & 1);
}

/* Until a bucket is at rest that is just being changed, or whose writer is dead. */
LSHM_RARE static int await(ds_map *map, uint32_t hash, int64_t deadline, reading *r)
{
    for (int spins = 0, mended = 0; mended < MENDED; spins++) {
        if (look(map, hash, r))
            return 0;
        if (!r->word)
            return -EBADMSG;
        if (spins < SPINS)
            os_wait_pause();
        else {
            int error = ds_map_mend(map, hash, deadline);
            if (error)
                return error;
            spins = 0;
            mended++;
        }
    }
    return -EBUSY;
}

static inline int begin(ds_map *map, uint32_t hash, int64_t deadline, reading *r)
{
    return __builtin_expect(look(map, hash, r), 1) ? 0 : await(map, hash, deadline, r);
}

/*
 * Whether nothing was changed since; also where it was found that there is nothing: a key
 * can have gone to another bucket.
 *
 * How many there are is looked at first. A split that is undone puts that back before the
 * bucket's word, which is never again as it was: so with a word that was put back, a
 * number from before is that of the same split made once more. That made the word odd
 * first, which is found here. With the word looked at first, all of the second split
 * could come between the two looks.
 */
static inline bool holds(const ds_map *map, const reading *r, bool found)
{
    if (!found && mem_atomic_see32(&map->at->buckets) != r->buckets)
        return false;
    mem_atomic_order_loads();
    return mem_atomic_see64(r->word) == r->before;
}

static inline void describe(const ds_map_entry *entry, ds_map_found *found)
{
    uint32_t size = mem_atomic_see32(&entry->size);
    found->version = mem_atomic_see64(&entry->version);
    found->expires = mem_atomic_see64(&entry->expires);
    found->key = mem_atomic_see32(&entry->key);
    found->pending = size & DS_MAP_PENDING;
    found->size = size & ~DS_MAP_PENDING;
}

/* Where the entry's key lies, if that and its value are within the arena. */
static inline const uint8_t *bytes_of(const reading *r, const ds_map_entry *entry,
                                      const ds_map_found *found)
{
    return ds_map_bytes(&r->room, entry, ds_key_room(found->key) + found->size);
}

/*
 * Copies the value behind the key, and the key in front of it if that is wanted, too.
 * False when it does not fit; buffer->size is how much there is.
 */
static inline bool copy(const uint8_t *bytes, const ds_map_found *found, bool with_key,
                        ds_buffer *buffer)
{
    size_t key = with_key ? ds_key_size(found->key) : 0;
    buffer->size = key + found->size;
    if (buffer->size > buffer->room)
        return false;
    if (with_key)
        memcpy(buffer->bytes, bytes, key);
    ds_few_copy(buffer->bytes + key, bytes + ds_key_room(found->key), found->size);
    return true;
}

/*
 * Copies a key's value: -ENOENT when it is absent, expired, or being computed, which
 * found->pending tells; -ENOBUFS when the buffer has too little room. Without a buffer
 * only what is said of it. The deadline is for the guard, after a writer that was stopped
 * or died.
 */
int ds_map_get(ds_map *map, const ds_key *key, int64_t deadline, ds_buffer *buffer,
               ds_map_found *found)
{
    for (int i = 0; i < ROUNDS; i++) {
        reading r;
        int error = begin(map, key->hash, deadline, &r);
        if (error)
            return error;
        const ds_map_entry *entry = ds_map_look_up(&r.room, (uint32_t)r.before, key);
        const uint8_t *bytes = NULL;
        bool fits = true;
        uint32_t tick = 0;
        if (entry) {
            describe(entry, found);
            bytes = bytes_of(&r, entry, found);
            fits = !buffer || !bytes || copy(bytes, found, false, buffer);
            if (map->evicts)
                tick = mem_atomic_see32(&((const ds_map_use *)(entry + 1))->tick);
        }
        if (!holds(map, &r, entry))
            continue;
        if (!entry) {
            *found = (ds_map_found){0};
            return -ENOENT;
        }
        if (!bytes)
            return -EBADMSG;
        if (found->pending || ds_map_expired(found->expires))
            return -ENOENT;
        if (map->evicts)
            ds_map_used(map, key, tick);
        return fits ? 0 : -ENOBUFS;
    }
    return -EBUSY;
}

/* The first entry behind a key, or of at least the reversed hash, that is to be seen. */
static const ds_map_entry *next_in(const ds_map *map, const reading *r, uint32_t least,
                                   const ds_key *after, ds_map_found *found)
{
    uint32_t ref = (uint32_t)r->before;
    for (int i = 0; ref && i < DS_MAP_CHAIN; i++) {
        const ds_map_entry *entry = ds_map_entry_in(&r->room, ref);
        if (!entry)
            return NULL;
        describe(entry, found);
        bool behind = after ? ds_map_compare(map, entry, after) > 0
                            : reversed(mem_atomic_see32(&entry->hash)) >= least;
        if (behind && !found->pending && !ds_map_expired(found->expires))
            return entry;
        ref = mem_atomic_see32(&entry->next);
    }
    return NULL;
}

/* The reversed hash with which the next bucket begins, or 0 behind the last one. */
static uint32_t behind(uint32_t hash, uint32_t buckets)
{
    unsigned bits = ds_map_bits(buckets);
    uint32_t half = 1u << (bits - 1), index = hash & (half * 2 - 1);
    if (index >= buckets || (index < half && index + half >= buckets))
        bits--; /* this bucket has not been split yet */
    uint32_t span = bits ? 1u << (32 - bits) : 0;
    return (reversed(hash) & ~(span - 1)) + span;
}

/* Whether that is the hash of the key that was copied: with another one, who goes on
 * behind that key might come here again, and again. */
static bool is_of(const ds_map *map, uint32_t hash, const ds_map_found *found,
                  const ds_buffer *buffer)
{
    ds_key_kind kind = (ds_key_kind)(found->key >> 30);
    return ds_map_key(map, kind, buffer->bytes, ds_key_size(found->key)).hash == hash;
}

/*
 * Copies the next key and its value, in an order that stays while others change the map:
 * -ENOENT behind the last one. Keys that stay there are all seen.
 */
int ds_map_next(ds_map *map, const ds_key *after, ds_buffer *buffer, ds_map_found *found)
{
    uint32_t least = after ? reversed(after->hash) : 0;
    for (int i = 0; i < ROUNDS;) {
        reading r;
        int error = begin(map, reversed(least), OS_CLOCK_FOREVER, &r);
        if (error)
            return error;
        const ds_map_entry *entry = next_in(map, &r, least, after, found);
        const uint8_t *bytes = entry ? bytes_of(&r, entry, found) : NULL;
        bool fits = !bytes || copy(bytes, found, true, buffer);
        uint32_t hash = entry ? mem_atomic_see32(&entry->hash) : 0;
        if (!holds(map, &r, entry)) {
            i++;
            continue;
        }
        if (bytes && fits)
            return is_of(map, hash, found, buffer) ? 0 : -EBADMSG;
        if (entry)
            return bytes ? -ENOBUFS : -EBADMSG;
        i = 0;
        after = NULL;
        least = behind(reversed(least), r.buckets);
        if (least == 0)
            return -ENOENT;
    }
    return -EBUSY;
}

static bool add_segment(ds_arena *arena, uint32_t *to, size_t bytes)
{
    uint32_t ref = ds_heap_take(arena, bytes);
    void *at = ref ? ds_heap_at(arena, ref, bytes) : NULL;
    if (at)
        memset(at, 0, bytes);
    *to = ref;
    return at != NULL;
}

/* Of an object that is being made: see ds_wanted. */
void ds_map_make(ds_arena *arena, void *where, const void *options)
{
    const ds_map_options *wanted = options;
    ds_map_memory *at = where;
    uint32_t table, segment;
    if (!add_segment(arena, &table, DS_MAP_TABLE * sizeof(uint32_t)) ||
        !add_segment(arena, &segment, DS_MAP_SEGMENT * sizeof(uint64_t)))
        return;
    memset((uint8_t *)at + sizeof at->stamp, 0, sizeof *at - sizeof at->stamp);
    if (getrandom(&at->seed, sizeof at->seed, GRND_NONBLOCK) != sizeof at->seed)
        at->seed = (uint64_t)os_clock_now();
    at->limit = wanted->limit;
    at->buckets = DS_MAP_SEGMENT;
    at->table[0] = table;
    *(uint32_t *)ds_heap_at(arena, table, sizeof table) = segment;
    for (int i = 0; i < DS_MAP_STRIPES; i++)
        sync_eventcount_make(&at->changed[i]);
    sync_eventcount_make(&at->any);
    mem_stamp_finish(&at->stamp, DS_MAP, DS_VERSION, sizeof *at,
                     wanted->evicts ? DS_MAP_EVICTS : 0);
}

int ds_map_open(const ds_object *object, ds_map *map)
{
    ds_map_memory *at = object->at;
    if (object->size < sizeof *at)
        return -EBADMSG;
    int error = mem_stamp_check(&at->stamp, DS_MAP, DS_VERSION, 0);
    if (error)
        return error;
    map->arena = object->arena;
    map->at = at;
    map->seed = mem_atomic_load64(&at->seed);
    map->limit = mem_atomic_load64(&at->limit);
    map->evicts = mem_atomic_load32(&at->stamp.extra) & DS_MAP_EVICTS;
    map->touched = 0;
    return 0;
}
