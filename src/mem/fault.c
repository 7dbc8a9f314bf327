/*
 * Accesses that the kernel answers with a signal: a file that was truncated, a page that
 * could not be had, memory that may not be touched.
 *
 * The handler looks for the mapping that the address lies in, puts empty pages in the
 * place of the faulting ones, and marks the mapping. So the access ends, with zeros or
 * into nowhere, and whoever made it looks at the mark and gives an error instead of the
 * result. The pages that were there lie aside until then and are put back, because they
 * are only missing for now: a file may grow again, a protection may be lifted. If they
 * can not be kept, the mapping is gone for good, and every access says so.
 *
 * Threads: a mapping belongs to one thread. The list of mappings is all threads', and
 * its lock is held for a few instructions that touch no mapped memory; so a thread that
 * faults never holds it already. A child made by fork inherits list and handler.
 */
#include "mem/mem.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>

#define HUGE_2MB ((size_t)1 << 21)
#define HUGE_1GB ((size_t)1 << 30)

volatile sig_atomic_t mem_fault_hint;

static mem_mapping *first;
static uint32_t lock_word;
static size_t page;

static void lock(void)
{
    mem_atomic_spin_lock(&lock_word);
}

static void unlock(void)
{
    mem_atomic_spin_unlock(&lock_word);
}

static mem_mapping *find(const uint8_t *address)
{
    mem_mapping *mapping = first;
    while (mapping && (size_t)(address - mapping->base) >= mapping->size)
        mapping = mapping->fault.next;
    return mapping;
}

/* Covers the pages from base on: as many as can be moved at once, at least one of unit.
 */
static bool cover(mem_fault *fault, uint8_t *base, size_t size, size_t unit)
{
    if (fault->covers == MEM_FAULT_COVERS)
        return false;
    while (size >= unit) {
        void *aside;
        if (os_fault_cover(base, size, &aside) == 0) {
            fault->cover[fault->covers].base = base;
            fault->cover[fault->covers].size = size;
            fault->cover[fault->covers].aside = aside;
            fault->covers++;
            return true;
        }
        if (size == unit)
            return false;
        size = size / 2 / unit * unit;
        size = size < unit ? unit : size;
    }
    return false;
}

/* Which pages the address lies in depends on their size, and that is not on record. */
static bool let_pass(mem_mapping *mapping, const uint8_t *address)
{
    const size_t units[] = {page, HUGE_2MB, HUGE_1GB};
    uint8_t *end = mapping->base + (mapping->size + page - 1) / page * page;
    for (int keep = 1; keep >= 0; keep--) {
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            uint8_t *base =
                mapping->base + (size_t)(address - mapping->base) / units[i] * units[i];
            size_t size = (size_t)(end - base) / units[i] * units[i];
            if ((uintptr_t)base % units[i] || size < units[i])
                continue;
            if (keep ? cover(&mapping->fault, base, size, units[i])
                     : os_fault_replace(base, units[i]) == 0) {
                mapping->fault.gone |= !keep;
                return true;
            }
        }
    }
    return false;
}

static bool listener(void *address, int signo)
{
    lock();
    mem_mapping *mapping = find(address);
    bool passed = mapping && let_pass(mapping, address);
    if (passed) {
        mapping->fault.signo = signo;
        mem_fault_hint = 1;
    }
    unlock();
    return passed;
}

static void prepare(void)
{
    page = os_map_page();
    pthread_atfork(lock, unlock, unlock); /* or a child could find it locked for ever */
}

/* From here on faults in the mapping are marked. */
int mem_fault_watch(mem_mapping *mapping)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    int error = os_fault_catch(listener);
    if (error)
        return error;
    lock();
    mapping->fault.previous = NULL;
    mapping->fault.next = first;
    if (first)
        first->fault.previous = mapping;
    first = mapping;
    unlock();
    return 0;
}

static void put_back(mem_fault *fault)
{
    while (fault->covers > 0) {
        fault->covers--;
        if (os_fault_uncover(fault->cover[fault->covers].base,
                             fault->cover[fault->covers].size,
                             fault->cover[fault->covers].aside))
            fault->gone = true;
    }
}

void mem_fault_forget(mem_mapping *mapping)
{
    put_back(&mapping->fault);
    lock();
    mem_mapping *previous = mapping->fault.previous, *next = mapping->fault.next;
    if (previous)
        previous->fault.next = next;
    else
        first = next;
    if (next)
        next->fault.previous = previous;
    unlock();
}

/*
 * Ends an access to the mapping, after which mem_fault_seen said yes. Returns the signal
 * if it was this mapping that faulted, else 0.
 */
int mem_fault_end(mem_mapping *mapping)
{
    int signo = mapping ? mapping->fault.signo : 0;
    if (signo) {
        put_back(&mapping->fault);
        if (!mapping->fault.gone)
            mapping->fault.signo = 0;
    }
    lock();
    mem_fault_hint = 0;
    for (const mem_mapping *one = first; one; one = one->fault.next)
        mem_fault_hint |= one->fault.signo != 0;
    unlock();
    return signo;
}
