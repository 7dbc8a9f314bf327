/*
 * Arenas: heap, directory and register. Part of ds.h, which includes it.
 */
#ifndef LSHM_DS_ARENA_H
#define LSHM_DS_ARENA_H

/*
 * arena.c: memory with a heap, a directory and a register of processes, under one guard
 *
 * Where a block begins is a ref: how many units from the arena's begin. 0 is no block.
 */
#define DS_UNIT 16                        /* bytes */
#define DS_ARENA_LEAST (32 * 1024)        /* bytes */
#define DS_ARENA_MOST (UINT64_C(1) << 35) /* bytes: as many as 31 bits of units reach */
#define DS_ARENA_PROCESSES 128            /* that can be attached at once, by default */
#define DS_ARENA_PROCESSES_MOST 8192      /* and at most: a multiple of 64 */
#define DS_ARENA_PRIVATE 64               /* blocks that are only their process's yet */
#define DS_ARENA_NAMES 64                 /* chains that the directory has */
#define DS_HEAP_ROWS 30
#define DS_HEAP_HEADER 8 /* bytes of a block that are not its owner's */
#define DS_HEAP_LARGEST ((size_t)1 << 34)

typedef struct ds_heap {
    uint32_t start, end; /* where the first block lies, and the fence */
    uint32_t used;       /* units in blocks that are in use */
    uint32_t rows;       /* a bit for each row that has a free block */
    uint32_t columns[DS_HEAP_ROWS + 2];
    uint32_t bin[DS_HEAP_ROWS + 2][8];
} ds_heap;

typedef struct ds_arena_memory {
    mem_stamp stamp;
    uint64_t size, max; /* bytes: as far as blocks reach, and as far as they may */
    uint32_t journal;   /* bytes */
    uint32_t objects;   /* that have names */
    uint32_t dropped;   /* the first that lost its name and is still open somewhere */
    uint32_t processes; /* that can be attached at once: a multiple of 64 */
    uint32_t unused[2];
    ds_heap heap;
    uint32_t names[DS_ARENA_NAMES];
    struct {
        uint64_t owner; /* a process; it counts while ref is not 0 */
        uint32_t ref, unused;
    } private[DS_ARENA_PRIVATE];
    uint64_t spare[6];
} ds_arena_memory; /* and behind it the register, and the guard with its journal */

typedef struct ds_process { /* a line of the register */
    uint64_t who;           /* a process, or 0 */
    uint64_t since;         /* CLOCK_REALTIME, in nanoseconds; or as follows */
} ds_process;

/* In since, of a slot that is in the name of a process and for its child: the child has
 * not come yet, and the rest is when it was forked, on CLOCK_MONOTONIC. */
#define DS_PROCESS_UNCLAIMED (UINT64_C(1) << 63)

_Static_assert(sizeof(ds_heap) == 16 + 32 * 4 + 32 * 8 * 4 &&
                   offsetof(ds_arena_memory, heap) == 64 &&
                   sizeof(ds_arena_memory) % DS_LINE == 0,
               "a layout in shared memory");

typedef struct ds_object {    /* an object that this process has open */
    struct ds_arena *arena;   /* NULL when closed */
    struct ds_opened *opened; /* counts this process's handles, and has a share of that */
    uint32_t entry;
    uint16_t kind;
    void *at;
    uint64_t size;
} ds_object;

typedef struct ds_arena { /* this process's; all who use it have a share */
    ds_arena_memory *at;
    mem_mapping *mapping;
    ds_object within; /* another arena's bytes, if it lies there */
    uint64_t reach;   /* bytes from at that are mapped */
    bool grows;
    mem_guarded guarded;
    int error;    /* of what goes on inside the guard: it will be undone */
    pid_t holder; /* of the guard, after -EBUSY */
    bool refused; /* after -ENOSPC: the kernel had no more memory for it to grow */
    uint32_t users;
    ds_process *process;      /* the register */
    int processes;            /* lines that it has */
    int slot;                 /* in the register, or -1 */
    int child;                /* that of a child, while it is forked, or -1 */
    uint64_t forked;          /* the child's since, in its slot */
    struct ds_opened *opened; /* objects, and how many handles each has */
    struct ds_arena *previous, *next;
} ds_arena;

typedef struct ds_arena_options {
    uint64_t max;
    uint32_t journal;
    uint32_t processes; /* 0 for as many as usual */
} ds_arena_options;

int ds_arena_open(mem_mapping *mapping, uint8_t *at, size_t size, size_t reach,
                  const ds_arena_options *options, int64_t deadline, ds_arena **opened,
                  bool *made);
void ds_arena_retain(ds_arena *arena);
void ds_arena_release(ds_arena *arena);
int ds_arena_sound(ds_arena *arena, size_t size, int64_t deadline);
int ds_arena_enter(ds_arena *arena, int64_t deadline);
int ds_arena_leave(ds_arena *arena);
int ds_arena_grow(ds_arena *arena, size_t bytes, int64_t deadline);
int ds_arena_more(ds_arena *arena, size_t bytes, int64_t deadline, bool *reaped);
void ds_arena_keep(ds_arena *arena);
bool ds_arena_fits(const ds_arena_options *options, size_t size);
void ds_arena_put(ds_arena *arena, void *to, const void *bytes, size_t n);

/* Where n bytes lie at an offset from the arena's begin, or NULL. */
static inline void *ds_arena_at(const ds_arena *arena, uint64_t offset, size_t n)
{
    return mem_inside(arena->reach, offset, n) ? (uint8_t *)arena->at + offset : NULL;
}

/* Before n bytes change inside the guard: false when something went wrong there. */
static inline bool ds_save(ds_arena *arena, const void *at, size_t n)
{
    if (!arena->error && mem_guard_save(&arena->guarded, at, n))
        arena->error = -E2BIG;
    return !arena->error;
}

static inline void ds_put32(ds_arena *arena, uint32_t *at, uint32_t value)
{
    if (ds_save(arena, at, sizeof value))
        mem_atomic_note32(at, value);
}

static inline void ds_put64(ds_arena *arena, uint64_t *at, uint64_t value)
{
    if (ds_save(arena, at, sizeof value))
        mem_atomic_note64(at, value);
}

/* heap.c: blocks; all inside the arena's guard */
void ds_heap_make(ds_arena *arena, uint32_t start, uint32_t end);
void ds_heap_extend(ds_arena *arena, uint32_t end);
uint32_t ds_heap_take(ds_arena *arena, size_t bytes);
void ds_heap_give(ds_arena *arena, uint32_t ref);
size_t ds_heap_size(ds_arena *arena, uint32_t ref);
int ds_heap_check(ds_arena *arena);

/* The bytes of a block, as many as the caller has made sure of. */
static inline void *ds_heap_at(const ds_arena *arena, uint32_t ref, size_t n)
{
    return ds_arena_at(arena, (uint64_t)ref * DS_UNIT + DS_HEAP_HEADER, n);
}

/* register.c: the processes that are attached */
int ds_arena_reap(ds_arena *arena, int64_t deadline);
int ds_register_attach(ds_arena *arena, int64_t deadline);
void ds_register_tidy(ds_arena *arena);
void ds_register_reserve(ds_arena *arena);
void ds_register_claim(ds_arena *arena);
void ds_register_detach(ds_arena *arena);

/* private.c: blocks that nobody else knows yet, and that go with their process */
int ds_private_take(ds_arena *arena, size_t bytes, int64_t deadline, uint32_t *ref);
int ds_private_give(ds_arena *arena, uint32_t ref, int64_t deadline);
void ds_private_free(ds_arena *arena, int slot);
void ds_private_publish(ds_arena *arena, uint32_t ref);
uint64_t ds_private_owner(const ds_arena *arena, uint32_t ref);

/* image.c: the bytes of an arena as of one instant, and an arena again from them */
int ds_image_take(ds_arena *arena, uint8_t *to, size_t *room, int64_t deadline);
int ds_image_adopt(mem_mapping *mapping, uint8_t *at, size_t size, size_t reach,
                   uint64_t max, int64_t later);

/* directory.c: objects by their names, found or made in one step */
#define DS_NAME 255 /* bytes */
#define DS_LABEL 64 /* as much of it as errors show */

typedef struct ds_entry {
    uint32_t next; /* of its chain, or of those that were dropped */
    uint32_t block;
    uint16_t kind, name_size;
    uint32_t layout; /* which differs where the bytes mean something else */
    uint64_t size;   /* of the object, in bytes */
    uint64_t open[]; /* a bit for each line of the register; behind them the name */
} ds_entry;

_Static_assert(sizeof(ds_entry) == 24 && sizeof(ds_process) == 16,
               "a layout in shared memory");

static inline size_t ds_entry_size(const ds_arena *arena, size_t name_size)
{
    return sizeof(ds_entry) + (size_t)arena->processes / 8 + name_size;
}

static inline char *ds_entry_name(const ds_arena *arena, ds_entry *entry)
{
    return (char *)entry + ds_entry_size(arena, 0);
}

/* Where a block's bytes begin for an object, which lies on a line of its own. */
static inline uint64_t ds_place_of(uint32_t block)
{
    uint64_t bytes = (uint64_t)block * DS_UNIT + DS_HEAP_HEADER;
    return (bytes + DS_LINE - 1) / DS_LINE * DS_LINE;
}

typedef void (*ds_visitor)(ds_arena *arena, uint32_t ref, ds_entry *entry, void *context);

typedef struct ds_wanted {
    const char *name;
    size_t name_size;
    uint16_t kind;
    uint32_t layout;
    uint64_t size; /* of a new one; 0: it must exist */
    void (*make)(ds_arena *arena, void *at, const void *context); /* inside the guard */
    const void *context;
    uint32_t made; /* a private block of size + DS_LINE that is one already, or 0 */
} ds_wanted;

int ds_object_open(ds_arena *arena, const ds_wanted *wanted, int64_t deadline,
                   ds_object *object, bool *made);
void ds_object_share(const ds_object *object, ds_object *other);
const char *ds_object_name(const ds_object *object);
void ds_object_close(ds_object *object);
int ds_directory_drop(ds_arena *arena, const char *name, size_t size, int64_t deadline);
uint64_t ds_entries_most(const ds_arena *arena);
ds_entry *ds_entry_at(ds_arena *arena, uint32_t ref);
bool ds_entry_is(const ds_arena *arena, ds_entry *entry, const char *name, size_t size);
int ds_directory_list(ds_arena *arena, ds_buffer *buffer, int64_t deadline);
void ds_directory_forget(ds_arena *arena, int slot);
void ds_directory_sweep(ds_arena *arena, int64_t deadline);
void ds_directory_adopt(ds_arena *arena, int slot);
void ds_directory_lend(ds_arena *arena);
void ds_directory_borrow(ds_arena *arena);
void ds_directory_close(ds_arena *arena);
void ds_directory_each(ds_arena *arena, ds_visitor visit, void *context);

#endif
