/*
 * Maps. Part of ds.h, which includes it.
 */
#ifndef LSHM_DS_HASHMAP_H
#define LSHM_DS_HASHMAP_H

/*
 * hashmap.c: keys and their values, found without a lock
 *
 * A bucket is a word: the first entry's block below, and above it a count that is odd
 * while the chain changes. Buckets lie in segments, and those in tables.
 */
#define DS_MAP_SEGMENT 512 /* buckets */
#define DS_MAP_TABLE 512   /* segments */
#define DS_MAP_TABLES 128
#define DS_MAP_BUCKETS ((uint32_t)DS_MAP_TABLES * DS_MAP_TABLE * DS_MAP_SEGMENT)
#define DS_MAP_CHAIN 4096 /* entries; a longer one goes round, as buckets cost less */
#define DS_MAP_STRIPES 8  /* of keys, for those who wait for a change */
#define DS_MAP_EVICTS 1u  /* what the stamp's extra says */
#define DS_MAP_LARGE 4096
#define DS_MAP_PENDING 0x80000000u /* in an entry's size: the value is being computed */
#define DS_MAP_TOUCHED 256         /* buckets that one step can change */
#define DS_MAP_KEEP UINT64_MAX     /* as an expiry: the one that there is */
#define DS_MAP_COUNT (UINT64_C(1) << 32) /* one more in a bucket's word */

typedef struct ds_map_memory {
    mem_stamp stamp;
    uint32_t unused[2];
    uint64_t seed;
    uint64_t limit; /* bytes that entries may take, 0 for as many as there is room for */
    uint64_t spare[2];
    uint32_t buckets; /* how many there are; readers want this line at rest */
    uint32_t more[15];
    struct ds_map_totals {
        uint64_t count;   /* keys */
        uint64_t used;    /* bytes of their entries */
        uint64_t version; /* of the last change */
    } totals;
    uint32_t oldest, newest; /* used least recently, and most */
    uint32_t tick;           /* which goes up with every use that is noted */
    uint32_t mortal;         /* keys with an expiry, at most */
    uint32_t swept;          /* the bucket where looking for expired ones goes on */
    uint32_t last[5];
    uint32_t table[DS_MAP_TABLES];
    sync_eventcount changed[DS_MAP_STRIPES]; /* some of the keys */
    sync_eventcount any;
} ds_map_memory;

_Static_assert(DS_MAP_BUCKETS == DS_MAP_SEGMENT * DS_MAP_TABLE * DS_MAP_TABLES, "all");
_Static_assert(offsetof(ds_map_memory, buckets) == DS_LINE &&
                   offsetof(ds_map_memory, totals) == 2 * DS_LINE &&
                   offsetof(ds_map_memory, table) == 3 * DS_LINE,
               "a layout in shared memory");

typedef struct ds_map_entry {
    uint32_t next; /* in the bucket */
    uint32_t hash;
    uint32_t key;  /* kind above, size below */
    uint32_t size; /* of the value, and DS_MAP_PENDING */
    uint64_t version;
    uint64_t expires; /* CLOCK_MONOTONIC, in nanoseconds; 0 never */
} ds_map_entry;       /* then a ds_map_use if the map evicts, the key, and the value */

typedef struct ds_map_use {
    uint32_t older, newer; /* entries */
    uint32_t tick;
    uint32_t unused;
} ds_map_use;

_Static_assert(sizeof(ds_map_entry) == 32 && sizeof(ds_map_use) == 16, "layouts");

typedef enum ds_key_kind { DS_KEY_STRING, DS_KEY_INTEGER, DS_KEY_BOOLEAN } ds_key_kind;

#define DS_KEY_MOST ((1u << 20) - 1) /* bytes */

typedef struct ds_key {
    uint32_t hash;
    uint32_t word; /* kind above, size below */
    const void *bytes;
} ds_key;

typedef struct ds_map { /* this process's */
    ds_arena *arena;
    ds_map_memory *at;
    uint64_t seed, limit;
    bool evicts;
    uint32_t touched; /* buckets, by what goes on inside the guard */
    uint64_t *word[DS_MAP_TOUCHED];
} ds_map;

typedef struct ds_map_options {
    bool evicts;
    uint64_t limit;
} ds_map_options;

typedef struct ds_map_found {
    uint64_t version, expires;
    size_t size;      /* of the value */
    uint32_t key;     /* of ds_map_next: as in an entry */
    uint32_t pending; /* it is being computed, by whose identity is the value */
} ds_map_found;

void ds_map_make(ds_arena *arena, void *at, const void *options);
int ds_map_open(const ds_object *object, ds_map *map);
int ds_map_get(ds_map *map, const ds_key *key, int64_t deadline, ds_buffer *buffer,
               ds_map_found *found);
int ds_map_next(ds_map *map, const ds_key *after, ds_buffer *buffer, ds_map_found *found);
int ds_map_compare(const ds_map *map, const ds_map_entry *entry, const ds_key *key);
bool ds_map_expired(uint64_t expires);

/* How many bits of the hash it takes to tell n buckets apart. */
static inline unsigned ds_map_bits(uint32_t buckets)
{
    return 32 - (unsigned)__builtin_clz(buckets - 1);
}

static inline uint32_t ds_map_index(uint32_t hash, uint32_t buckets)
{
    uint32_t mask = (1u << ds_map_bits(buckets)) - 1, index = hash & mask;
    return index < buckets ? index : index & mask >> 1;
}

/* How many there are, or 0 when what is said there makes no sense. */
static inline uint32_t ds_map_buckets(const ds_map *map)
{
    uint32_t buckets = mem_atomic_load32(&map->at->buckets);
    bool sane = buckets >= DS_MAP_SEGMENT && buckets <= DS_MAP_BUCKETS &&
                buckets <= map->arena->reach / sizeof(uint64_t);
    return sane ? buckets : 0;
}

static inline size_t ds_key_size(uint32_t word)
{
    return word & DS_KEY_MOST;
}

/* The key's bytes with what fills them up to the value. */
static inline size_t ds_key_room(uint32_t word)
{
    return (ds_key_size(word) + 7) / 8 * 8;
}

/* key.c: what keys are looked up by */
ds_key ds_map_key(const ds_map *map, ds_key_kind kind, const void *bytes, size_t size);

/* The bucket's word, or NULL when what leads there makes no sense. */
static inline uint64_t *ds_map_bucket(const ds_map *map, uint32_t index)
{
    uint32_t per_table = DS_MAP_SEGMENT * DS_MAP_TABLE;
    if (index / per_table >= DS_MAP_TABLES)
        return NULL;
    uint32_t ref = mem_atomic_see32(&map->at->table[index / per_table]);
    const uint32_t *table =
        ref ? ds_heap_at(map->arena, ref, DS_MAP_TABLE * sizeof *table) : NULL;
    if (!table)
        return NULL;
    ref = mem_atomic_see32(&table[index / DS_MAP_SEGMENT % DS_MAP_TABLE]);
    uint64_t *segment =
        ref ? ds_heap_at(map->arena, ref, DS_MAP_SEGMENT * sizeof *segment) : NULL;
    return segment ? &segment[index % DS_MAP_SEGMENT] : NULL;
}

/* What comes in an entry in front of the key. */
static inline size_t ds_map_header(const ds_map *map)
{
    return sizeof(ds_map_entry) + (map->evicts ? sizeof(ds_map_use) : 0);
}

/*
 * Readers come to places where an entry was before: a number that they find there leads
 * anywhere, but must not lead behind what is there, though that is mapped. So much is
 * there, in bytes from the arena's begin. What is added up below is less than 2^38. It is
 * asked for once by who looks at more than one entry: nothing is kept over an atomic.
 */
typedef struct ds_map_room {
    uint8_t *base;
    uint64_t end;
    size_t header;
} ds_map_room;

static inline ds_map_room ds_map_room_of(const ds_map *map)
{
    uint64_t size = mem_atomic_see64(&map->arena->at->size), reach = map->arena->reach;
    return (ds_map_room){(uint8_t *)map->arena->at, size < reach ? size : reach,
                         ds_map_header(map)};
}

static inline ds_map_entry *ds_map_entry_in(const ds_map_room *room, uint32_t ref)
{
    uint64_t offset = (uint64_t)ref * DS_UNIT + DS_HEAP_HEADER;
    return offset + room->header <= room->end ? (ds_map_entry *)(room->base + offset)
                                              : NULL;
}

/* An entry's key, and behind it its value: NULL if not so many bytes are there. */
static inline uint8_t *ds_map_bytes(const ds_map_room *room, const ds_map_entry *entry,
                                    size_t n)
{
    uint8_t *bytes = (uint8_t *)entry + room->header;
    return (uint64_t)(bytes - room->base) + n <= room->end ? bytes : NULL;
}

static inline ds_map_entry *ds_map_entry_at(const ds_map *map, uint32_t ref)
{
    ds_map_room room = ds_map_room_of(map);
    return ds_map_entry_in(&room, ref);
}

/* Where an entry's key lies, if that and more bytes behind it are within the arena. */
static inline uint8_t *ds_map_key_at(const ds_map *map, const ds_map_entry *entry,
                                     uint32_t key, size_t more)
{
    ds_map_room room = ds_map_room_of(map);
    return ds_map_bytes(&room, entry, ds_key_room(key) + more);
}

/* Whether an entry is that of a key. */
static inline __attribute__((always_inline)) bool
ds_map_is(const ds_map_room *room, const ds_map_entry *entry, const ds_key *key)
{
    if (mem_atomic_see32(&entry->hash) != key->hash ||
        mem_atomic_see32(&entry->key) != key->word)
        return false;
    const uint8_t *bytes = ds_map_bytes(room, entry, ds_key_room(key->word));
    return bytes && ds_few_same(bytes, key->bytes, ds_key_size(key->word));
}

/* The entry of a key in the chain that begins there, or NULL. */
static inline __attribute__((always_inline)) ds_map_entry *
ds_map_look_up(const ds_map_room *room, uint32_t ref, const ds_key *key)
{
    for (int i = 0; ref && i < DS_MAP_CHAIN; i++) {
        ds_map_entry *entry = ds_map_entry_in(room, ref);
        if (!entry || ds_map_is(room, entry, key))
            return entry;
        ref = mem_atomic_see32(&entry->next);
    }
    return NULL;
}

/* bucket.c: chains that change under the eyes of readers */

/* What a bucket's count is before it changes: a dead writer's, whose step was done, is
 * odd still. */
static inline uint64_t ds_map_rest(const uint64_t *word)
{
    uint64_t now = mem_atomic_see64(word);
    return now & DS_MAP_COUNT ? now + DS_MAP_COUNT : now;
}

bool ds_map_touch(ds_map *map, uint64_t *word);
int ds_map_finish(ds_map *map);
int ds_map_mend(ds_map *map, uint32_t hash, int64_t deadline);
void ds_map_link(ds_map *map, uint64_t *word, ds_map_entry *before, uint32_t ref);
void ds_map_widen(ds_map *map);

/* change.c: changes of one key, or of several in one step */
typedef struct ds_map_old {
    const ds_map_entry *entry; /* NULL when the key is absent */
    const uint8_t *value;
    size_t size;
    uint64_t version; /* 0 when absent */
    uint64_t owner;   /* who computes it, or 0 */
} ds_map_old;

#define DS_MAP_DELETE 1
#define DS_MAP_LEAVE 2

typedef struct ds_map_change {
    ds_key key;
    ds_bytes value;
    uint64_t expires;
    bool pending; /* the value is the identity of who computes it */
    /* What to do, inside the guard: 0 for putting the value, DS_MAP_DELETE, DS_MAP_LEAVE
     * to go on with the next change, or -errno to leave all as it is. NULL puts it. With
     * a large value it is 0 or -errno, as memory was taken for that, which would stay so.
     */
    int (*decide)(struct ds_map_change *change, const ds_map_old *old);
    void *context;
    uint64_t fresh;   /* with DS_MAP_KEEP: the expiry of a key that was absent */
    uint64_t version; /* of the change, when it was made */
    uint32_t block;   /* a private one, with the value in it already */
    uint32_t gone;    /* the block of what was there, given back once all is done */
} ds_map_change;

/* Begins one that has no value yet: part by part, where an initialiser would write the
 * room that is for a value's head, too, and take as long as to look up the key. */
static inline void ds_map_change_begin(ds_map_change *change,
                                       int (*decide)(ds_map_change *, const ds_map_old *),
                                       void *context, uint64_t expires)
{
    change->value.head_size = change->value.body_size = 0;
    change->expires = expires;
    change->pending = false;
    change->decide = decide;
    change->context = context;
    change->fresh = change->version = 0;
    change->block = change->gone = 0;
}

/* A word elsewhere, not of the map, which decides whether a step is made: if it holds
 * what is expected it gets the value, once all is changed and before any of it stays. */
typedef struct ds_map_commit {
    uint64_t *word, expected, value;
} ds_map_commit;

int ds_map_change_one(ds_map *map, ds_map_change *change, bool alone);
bool ds_map_put_word(ds_map *map, ds_map_change *change);
void ds_map_remove(ds_map *map, uint64_t *word, ds_map_entry *before,
                   ds_map_entry *entry);

/* What a change's entry takes, without its block's header. */
static inline size_t ds_map_change_size(const ds_map *map, const ds_map_change *change)
{
    return ds_map_header(map) + ds_key_room(change->key.word) +
           ds_bytes_size(&change->value);
}

/* step.c: what is done as one */
int ds_map_version(ds_map *map, uint64_t *version, int64_t deadline);
int ds_map_apply(ds_map *map, ds_map_change *changes, size_t n, int64_t deadline);
int ds_map_commit_with(ds_map *map, ds_map_change *changes, size_t n,
                       const ds_map_commit *commit, int64_t deadline);

/* evict.c: keys that go to make room: those that expired, those not used for longest */
int ds_map_evict(ds_map *map, size_t bytes, int64_t deadline);
int ds_map_expire(ds_map *map, int64_t deadline);
bool ds_map_unmake(ds_arena *arena, void *at);
void ds_map_used(ds_map *map, const ds_key *key, uint32_t tick);
void ds_map_use_begin(ds_map *map, ds_map_entry *entry, uint32_t ref);
void ds_map_use_end(ds_map *map, ds_map_entry *entry);

#endif
