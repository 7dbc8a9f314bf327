/*
 * An arena: memory with a heap, a directory of named objects, and a register of the
 * processes that are attached.
 *
 * Layout: a stamp, sizes, the heap's bins, the directory's chains, the private blocks,
 * the register, and the guard with its journal; from there on blocks. The journal is the
 * last of them as it may be long: who attaches touches pages next to one another, which
 * the kernel maps at once, however large the arena is.
 *
 * Invariant: heap, directory, register and all that maps consist of are whole whenever
 * nobody is in the guard. There is one guard for all of them, as an operation takes
 * memory and links it in one step: who dies in between has done nothing. What is queued
 * and published has guards of its own, and does not come here.
 *
 * Death: the journal undoes what was begun. A process that died stays in the register,
 * and what only it had stays in use, until somebody reaps: who attaches, who finds no
 * memory, and who asks who is attached.
 *
 * Growing makes the object behind longer, and then tells the heap. Who dies in between
 * leaves it longer than the arena knows, and the next one to grow finds it so.
 */
#include "ds/ds.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096
#define JOURNAL_LEAST 4096
#define JOURNAL_MOST 65536
#define INTERRUPTIONS 100 /* after which a signal is no reason to begin again */
#define LAYOUT (sizeof(ds_arena_memory) << 16 | sizeof(ds_entry) << 8 | DS_UNIT)

static ds_arena *first;
static uint32_t lock_word;

static void lock(void)
{
    mem_atomic_spin_lock(&lock_word);
}

static void unlock(void)
{
    mem_atomic_spin_unlock(&lock_word);
}

void ds_arena_put(ds_arena *arena, void *to, const void *bytes, size_t n)
{
    if (ds_save(arena, to, n))
        memcpy(to, bytes, n);
}

/* -EBUSY when it stays taken, by arena->holder. */
int ds_arena_enter(ds_arena *arena, int64_t deadline)
{
    int error = mem_guard_enter(&arena->guarded, deadline, &arena->holder);
    arena->error = 0;
    return error < 0 ? error : 0;
}

/* What was done inside stays, or with an error nothing of it: -E2BIG when it was more
   than the journal has room for. */
int ds_arena_leave(ds_arena *arena)
{
    int error = arena->error;
    if (error)
        mem_guard_undo(&arena->guarded);
    mem_guard_leave(&arena->guarded);
    return error;
}

/* Inside the guard: what was done up to here stays, whatever comes. For what has many
   steps, each of which leaves all whole: together they may be more than the journal. */
void ds_arena_keep(ds_arena *arena)
{
    if (!arena->error)
        mem_guard_commit(&arena->guarded);
}

/* Before a fork: objects that are open here stay so for the child, whatever this process
   closes before the child runs. */
static void reserve(void)
{
    lock();
    for (ds_arena *arena = first; arena; arena = arena->next)
        ds_register_tidy(arena);
    for (ds_arena *arena = first; arena; arena = arena->next)
        ds_register_reserve(arena);
}

static void claim(void)
{
    unlock();
    for (ds_arena *arena = first; arena; arena = arena->next)
        ds_register_claim(arena);
}

static void prepare(void)
{
    pthread_atfork(reserve, unlock, claim);
}

static uint32_t journal_of(const ds_arena_options *options, size_t size)
{
    size_t journal = options->journal ? options->journal : size / 16;
    if (!options->journal && journal < JOURNAL_LEAST)
        journal = JOURNAL_LEAST;
    if (!options->journal && journal > JOURNAL_MOST)
        journal = JOURNAL_MOST;
    return (uint32_t)((journal + DS_LINE - 1) / DS_LINE * DS_LINE);
}

static uint32_t processes_of(const ds_arena_options *options)
{
    uint32_t processes = options->processes ? options->processes : DS_ARENA_PROCESSES;
    return (processes + 63) / 64 * 64;
}

static size_t guard_of(uint32_t processes)
{
    return sizeof(ds_arena_memory) + processes * sizeof(ds_process);
}

static size_t begin_of(uint32_t journal, uint32_t processes)
{
    return guard_of(processes) + sizeof(mem_guard) + journal;
}

/* Whether so many bytes are enough for a new one. */
bool ds_arena_fits(const ds_arena_options *options, size_t size)
{
    return size >= DS_ARENA_LEAST &&
           size >= begin_of(journal_of(options, size), processes_of(options)) +
                       DS_ARENA_LEAST / 2;
}

/* The stamp is claimed: everything else is this thread's alone. */
static int make(ds_arena *arena, size_t size, const ds_arena_options *options)
{
    ds_arena_memory *at = arena->at;
    uint32_t journal = journal_of(options, size), processes = processes_of(options);
    if (!ds_arena_fits(options, size))
        return -ENOSPC;
    memset((uint8_t *)at + sizeof at->stamp, 0,
           guard_of(processes) + sizeof(mem_guard) - sizeof at->stamp);
    size -= size % DS_UNIT;
    at->size = size;
    at->max = options->max > size ? options->max : size;
    if (at->max > arena->reach)
        at->max = arena->reach;
    at->journal = journal;
    at->processes = processes;
    ds_heap_make(arena, (uint32_t)(begin_of(journal, processes) / DS_UNIT),
                 (uint32_t)(size / DS_UNIT));
    mem_stamp_finish(&at->stamp, DS_ARENA, DS_VERSION, sizeof *at, LAYOUT);
    return 0;
}

/* -EEXIST when there is an arena. What is neither an arena nor empty is left alone. */
static int claim_stamp(mem_stamp *stamp, int64_t deadline)
{
    if (!mem_stamp_free(stamp))
        return -ENOTEMPTY;
    int error = mem_stamp_claim(stamp, DS_ARENA, DS_VERSION, deadline);
    if (error == -ENOTEMPTY &&
        mem_stamp_check(stamp, DS_ARENA, DS_VERSION, deadline) == -EPROTO)
        error = -EPROTO;
    return error;
}

/* Where the register, the guard and its journal lie, copied out once. */
static int place(ds_arena *arena, size_t size)
{
    uint32_t journal = mem_atomic_load32(&arena->at->journal);
    uint32_t processes = mem_atomic_load32(&arena->at->processes);
    if (journal > size || journal % DS_LINE || processes == 0 || processes % 64 ||
        processes > DS_ARENA_PROCESSES_MOST || begin_of(journal, processes) > size)
        return -EBADMSG;
    arena->guarded.guard = (mem_guard *)((uint8_t *)arena->at + guard_of(processes));
    arena->guarded.room = journal;
    arena->process = (ds_process *)(arena->at + 1);
    arena->processes = (int)processes;
    return 0;
}

/* Whether there is an arena, and one that this module understands. -EXDEV when that is
 * all that is wrong with it. */
int ds_arena_sound(ds_arena *arena, size_t size, int64_t deadline)
{
    const ds_arena_memory *at = arena->at;
    int error = mem_stamp_check(&at->stamp, DS_ARENA, DS_VERSION, deadline);
    bool elsewhere = error == -EXDEV;
    if (error && !elsewhere)
        return error;
    if (mem_atomic_load32(&at->stamp.extra) != LAYOUT)
        return -EPROTO;
    if (mem_atomic_load64(&at->max) > arena->reach)
        return -ERANGE;
    error = place(arena, size);
    return error ? error : elsewhere ? -EXDEV : 0;
}

static void dispose(ds_arena *arena)
{
    free(arena);
}

static void remember(ds_arena *arena)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    mem_mapping_retain(arena->mapping);
    lock();
    arena->next = first;
    if (first)
        first->previous = arena;
    first = arena;
    unlock();
}

/*
 * Finds the arena that begins at an address, or makes it. Size bytes are there, and reach
 * are mapped, which it can grow to. -ENOSPC when they are too few for an arena, -ERANGE
 * when it may grow beyond what is mapped, -ENOTEMPTY when something else is there,
 * -EUSERS when there is no room in the register; else as mem_stamp_check.
 */
int ds_arena_open(mem_mapping *mapping, uint8_t *at, size_t size, size_t reach,
                  const ds_arena_options *options, int64_t deadline, ds_arena **opened,
                  bool *made)
{
    if (size < DS_ARENA_LEAST)
        return -ENOSPC;
    ds_arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        return -ENOMEM;
    arena->at = (ds_arena_memory *)at;
    arena->mapping = mapping;
    arena->reach = reach < DS_ARENA_MOST ? reach : DS_ARENA_MOST;
    arena->grows = mapping->grows && mapping->fd >= 0;
    arena->users = 1;
    arena->guarded.mapping = mapping;
    int error = claim_stamp(&arena->at->stamp, deadline);
    *made = !error;
    if (!error) {
        error = make(arena, size < arena->reach ? size : arena->reach, options);
        if (error)
            mem_stamp_erase(&arena->at->stamp);
    } else if (error == -EEXIST)
        error = 0;
    error = error ? error : ds_arena_sound(arena, size, deadline);
    error = error ? error : ds_register_attach(arena, deadline);
    if (error) {
        dispose(arena);
        return error;
    }
    remember(arena);
    *opened = arena;
    return 0;
}

void ds_arena_retain(ds_arena *arena)
{
    mem_atomic_count_up(&arena->users);
}

void ds_arena_release(ds_arena *arena)
{
    if (!mem_atomic_count_down(&arena->users))
        return;
    lock();
    if (arena->previous)
        arena->previous->next = arena->next;
    else
        first = arena->next;
    if (arena->next)
        arena->next->previous = arena->previous;
    ds_register_detach(arena);
    unlock();
    ds_directory_close(arena);
    ds_object_close(&arena->within);
    mem_mapping_release(arena->mapping);
    dispose(arena);
}

/* So much more that it makes sense, and at least so many bytes. */
static uint64_t next_size(const ds_arena *arena, uint64_t size, size_t bytes)
{
    uint64_t max = mem_atomic_see64(&arena->at->max);
    uint64_t want = size + size / 2, least = size + bytes + PAGE;
    if (max > arena->reach)
        max = arena->reach;
    if (want < least)
        want = least;
    want = (want + PAGE - 1) / PAGE * PAGE;
    if (want > max)
        want = max / DS_UNIT * DS_UNIT;
    return want;
}

/* An older kernel gives up half-way where a signal comes, or a stop. Who puts something
 * into the arena is not to take that for a full one, and evict what others keep there. */
static int extend(const ds_arena *arena, uint64_t size)
{
    off_t begin = arena->mapping->offset + ((uint8_t *)arena->at - arena->mapping->base);
    int error = -EINTR;
    for (int i = 0; i < INTERRUPTIONS && error == -EINTR; i++)
        error = mem_object_extend(arena->mapping->fd, begin + (off_t)size);
    return error;
}

/* After -ENOSPC: -ENOSPC when it can not, for that many bytes. Not inside the guard. */
int ds_arena_grow(ds_arena *arena, size_t bytes, int64_t deadline)
{
    uint64_t size = mem_atomic_load64(&arena->at->size);
    uint64_t want = arena->grows ? next_size(arena, size, bytes) : 0;
    arena->refused = false;
    if (want <= size || want - size < DS_LINE)
        return -ENOSPC;
    int error = extend(arena, want);
    arena->refused = error != 0;
    error = error ? error : ds_arena_enter(arena, deadline);
    if (error)
        return error;
    if (mem_atomic_see64(&arena->at->size) < want) {
        ds_heap_extend(arena, (uint32_t)(want / DS_UNIT));
        ds_put64(arena, &arena->at->size, want);
    }
    return ds_arena_leave(arena);
}

/*
 * After -ENOSPC: makes it grow, or else reaps, which is done once. 0 when it may do now.
 * Not inside the guard.
 */
int ds_arena_more(ds_arena *arena, size_t bytes, int64_t deadline, bool *reaped)
{
    int error = ds_arena_grow(arena, bytes, deadline);
    if (!error || error == -EBUSY || *reaped)
        return error;
    *reaped = true;
    return ds_arena_reap(arena, deadline);
}
