/*
 * Death before a store that is counted: what looks for the instants at which a process
 * must not die, and dies there.
 *
 * While it is armed, all shared memory of mem/fault.c's list that can be written is
 * write- protected. Each store faults, is counted, runs alone with its page open, and is
 * protected against again. Before the store whose turn it is the process kills itself
 * with -9; all is made writable first, or the kernel could not mark the lock words of a
 * robust list. The count lies in shared memory, which is not watched itself, for whoever
 * looks after.
 *
 * The kernel's list of mappings tells what is shared and writable, and is read again when
 * mappings come and go or were moved: what the program has protected itself is let alone.
 * A child made by fork has the memory protected, too; its stores are let through and not
 * counted. For programs with one thread.
 */
#include "mem/mem.h"
#include "os/os.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define OPEN_PAGES 4 /* that one store can touch; more, and all is opened */

typedef struct range {
    uint8_t *base;
    size_t size;
    int protection; /* what it has when it is open */
} range;

static bool armed;
static pid_t self;
static uint64_t deadly, seen;
static mem_mapping *tally;
static uint64_t *tally_word;
static int failed; /* why not all is watched, or 0 */
static size_t page;

static range *ranges;
static size_t count, room;

static range open_now[OPEN_PAGES]; /* while a store runs */
static size_t opened;              /* more than fit: all are */

static void open_all(void)
{
    for (size_t i = 0; i < count; i++)
        os_map_protect(ranges[i].base, ranges[i].size, ranges[i].protection);
}

/* What the program does to the memory's protection from here on is its own. */
static void let_go(void)
{
    open_all();
    count = 0;
}

static int close_range_of(const range *one)
{
    int protection = (one->protection & ~PROT_WRITE) | PROT_READ;
    return os_map_protect(one->base, one->size, protection);
}

static void close_all(void)
{
    for (size_t i = 0; i < count; i++)
        close_range_of(&ranges[i]);
}

static void count_store(void)
{
    if (getpid() != self)
        return;
    mem_atomic_store64(tally_word, ++seen);
    if (seen != deadly)
        return;
    open_all();
    os_process_kill(self, SIGKILL);
}

static bool open_page(const range *within, uint8_t *address)
{
    range one = {address - (uintptr_t)address % page, page, within->protection};
    if (opened >= OPEN_PAGES) {
        opened = OPEN_PAGES + 1;
        open_all();
        return true;
    }
    int error = os_map_protect(one.base, one.size, one.protection);
    if (error) { /* of huge pages, for one, which are had whole */
        one = *within;
        error = os_map_protect(one.base, one.size, one.protection);
    }
    if (!error)
        open_now[opened++] = one;
    return !error;
}

/* In the handlers. */
static bool store_begins(void *address, bool first)
{
    for (size_t i = 0; i < count; i++) {
        if ((size_t)((uint8_t *)address - ranges[i].base) >= ranges[i].size)
            continue;
        if (first)
            count_store();
        return open_page(&ranges[i], address);
    }
    return false;
}

static void store_ended(void)
{
    if (opened > OPEN_PAGES)
        close_all();
    for (size_t i = 0; i < opened && opened <= OPEN_PAGES; i++)
        close_range_of(&open_now[i]);
    opened = 0;
}

static int note(void *unused, const os_map_range *found)
{
    (void)unused;
    uint8_t *end = found->base + found->size;
    bool counts = tally->base >= found->base && tally->base < end;
    if (!found->shared || !(found->protection & PROT_WRITE) || counts ||
        !mem_fault_watches(found->base, found->size))
        return 0;
    if (count == room) {
        size_t more = room ? 2 * room : 16;
        range *longer = realloc(ranges, more * sizeof *ranges);
        if (!longer)
            return -ENOMEM;
        ranges = longer;
        room = more;
    }
    ranges[count++] = (range){found->base, found->size, found->protection};
    return 0;
}

/* Looks anew for what there is to protect. */
void mem_chaos_again(void)
{
    if (!armed)
        return;
    let_go();
    int error = os_map_each(note, NULL);
    for (size_t i = 0; i < count && !error; i++)
        error = close_range_of(&ranges[i]);
    if (error && !failed)
        failed = error;
}

/*
 * Opens all for a system call that would find memory protected, up to mem_chaos_again.
 * If it stores, that is one store.
 */
void mem_chaos_lift(bool stores)
{
    if (!armed)
        return;
    if (stores)
        count_store();
    let_go();
}

/*
 * Kills this process before its n-th store from here on. The word, which lies in the
 * mapping, tells how many there have been.
 */
int mem_chaos_arm(mem_mapping *mapping, uint64_t *word, uint64_t n)
{
    static const os_step_watch watch = {store_begins, store_ended};
    if (armed && getpid() == self)
        return -EALREADY;
    if (armed) /* by the parent */
        mem_chaos_disarm(&seen);
    int error = os_step_begin(&watch);
    if (error)
        return error;
    page = os_map_page();
    self = getpid();
    deadly = n;
    seen = opened = 0;
    failed = 0;
    mem_mapping_retain(mapping);
    tally = mapping;
    tally_word = word;
    armed = true;
    mem_chaos_again();
    return failed ? mem_chaos_disarm(&seen) : 0;
}

/* How many stores there were; an error says that some may have been missed. */
int mem_chaos_disarm(uint64_t *stores)
{
    *stores = armed ? seen : 0;
    if (!armed)
        return 0;
    let_go();
    os_step_end();
    armed = false;
    mem_mapping_release(tally);
    return failed;
}
