/*
 * Accesses that the kernel answers with a signal: a file that was truncated, a page that
 * could not be had, memory that may not be touched.
 *
 * The handler looks for the mapping that the address lies in, puts empty pages in the
 * place of the faulting ones, and marks the mapping. So the access ends, with zeros or
 * into nowhere, and whoever made it looks at the mark and gives an error instead of the
 * result. The pages that were there lie aside until then and are put back, because they
 * may be had again: a file may grow, a protection may be lifted. If they can not be kept,
 * the mapping is gone for good, and every access says so.
 *
 * Threads: an access to a mapping is one thread's at a time. The list of mappings is all
 * threads', and its lock is held while pages are moved, but never while mapped memory is
 * touched; so a thread that faults does not hold it already. Two mappings may be of the
 * same pages. A child made by fork inherits list and handler.
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
static size_t units[] = {0, HUGE_2MB, HUGE_1GB}; /* of pages: 0 until it is known */

static void lock(void)
{
    mem_atomic_spin_lock(&lock_word);
}

static void unlock(void)
{
    mem_atomic_spin_unlock(&lock_word);
}

static bool holds(const mem_mapping *mapping, const uint8_t *address)
{
    return (size_t)(address - mapping->base) < mapping->size;
}

static bool cover(mem_fault *fault, uint8_t *base, size_t size, int *error)
{
    void *aside;
    if (fault->covers == MEM_FAULT_COVERS)
        return false;
    *error = os_fault_cover(base, size, &aside);
    if (*error)
        return false;
    fault->cover[fault->covers].base = base;
    fault->cover[fault->covers].size = size;
    fault->cover[fault->covers].aside = aside;
    fault->covers++;
    return true;
}

/*
 * Moves pages aside, the one at base among them. What could be moved at once is not
 * known: an access mostly goes on as it began, so all that follows is tried first, and
 * after a second fault all that is left around it; then less and less.
 */
static bool set_aside(mem_fault *fault, uint8_t *base, uint8_t *begin, uint8_t *end,
                      size_t unit, int *error)
{
    for (int i = 0; i < fault->covers; i++) {
        uint8_t *other = fault->cover[i].base, *behind = other + fault->cover[i].size;
        if (other > base && other < end)
            end = other;
        if (behind <= base && behind > begin)
            begin = behind;
    }
    if (fault->covers && cover(fault, begin, (size_t)(end - begin), error))
        return true;
    for (size_t size = (size_t)(end - base); size >= unit;
         size = size / 2 / unit * unit) {
        if (cover(fault, base, size, error))
            return true;
    }
    return false;
}

/*
 * Huge pages can only be moved whole, and how large they are is not on record. But that
 * they are huge is known once the kernel calls a smaller page invalid; then a whole one
 * is the mapping's, also where the mapping was asked to be shorter.
 */
static bool let_pass(mem_mapping *mapping, const uint8_t *address)
{
    size_t at = (size_t)(address - mapping->base);
    int error = -EINVAL;
    for (size_t i = 0; i < sizeof units / sizeof *units && error == -EINVAL; i++) {
        size_t unit = units[i];
        if ((uintptr_t)mapping->base % unit)
            break;
        uint8_t *base = mapping->base + at / unit * unit;
        uint8_t *end = mapping->base + (mapping->size + unit - 1) / unit * unit;
        if (set_aside(&mapping->fault, base, mapping->base, end, unit, &error))
            return true;
        error = os_fault_replace(base, unit);
        if (!error) {
            mapping->fault.gone = true;
            return true;
        }
    }
    return false;
}

/* Two mappings may be of the same pages, as libc maps a named semaphore once. */
static bool listener(void *address, int signo)
{
    bool passed = false;
    lock();
    for (mem_mapping *one = first; one; one = one->fault.next) {
        if (!holds(one, address))
            continue;
        passed = passed || let_pass(one, address);
        if (passed) {
            one->fault.signo = signo;
            one->fault.times++;
            mem_fault_hint = 1;
        }
    }
    unlock();
    return passed;
}

static void prepare(void)
{
    units[0] = os_map_page();
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
    mem_chaos_again();
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
    lock();
    put_back(&mapping->fault);
    mem_mapping *previous = mapping->fault.previous, *next = mapping->fault.next;
    if (previous)
        previous->fault.next = next;
    else
        first = next;
    if (next)
        next->fault.previous = previous;
    unlock();
    mem_chaos_again();
}

static bool overlap(const mem_mapping *one, const mem_mapping *other)
{
    return one->base < other->base + other->size && other->base < one->base + one->size;
}

/* This process has no right to the memory any more: empty pages lie there from now on,
 * and every access says that it is gone. */
void mem_fault_lose(mem_mapping *mapping)
{
    int error = -EINVAL;
    lock();
    put_back(&mapping->fault);
    for (size_t i = 0; i < sizeof units / sizeof *units && error == -EINVAL; i++)
        error = os_fault_replace(mapping->base,
                                 (mapping->size + units[i] - 1) / units[i] * units[i]);
    mapping->fault.gone = true;
    mapping->fault.signo = SIGBUS;
    mapping->fault.times++;
    mem_fault_hint = 1;
    unlock();
    mem_chaos_again();
}

/* Whether any of the bytes are a mapping's whose faults are caught. */
bool mem_fault_watches(const uint8_t *base, size_t size)
{
    bool found = false;
    lock();
    for (const mem_mapping *one = first; one && !found; one = one->fault.next)
        found = one->base < base + size && base < one->base + one->size;
    unlock();
    return found;
}

/*
 * Ends an access to the mapping, after which mem_fault_seen said yes. Returns the signal
 * if it was this mapping that faulted, else 0.
 */
int mem_fault_end(mem_mapping *mapping)
{
    int signo = mapping ? mapping->fault.signo : 0, hint = 0;
    lock();
    for (mem_mapping *one = first; one; one = one->fault.next) {
        if (signo && overlap(one, mapping)) {
            put_back(&one->fault);
            mapping->fault.gone |= one->fault.gone;
        }
    }
    if (signo && !mapping->fault.gone)
        mapping->fault.signo = 0; /* others of the same pages have marks of their own */
    for (const mem_mapping *one = first; one; one = one->fault.next)
        hint |= one->fault.signo != 0;
    mem_fault_hint = hint;
    unlock();
    mem_chaos_again(); /* pages were moved */
    return signo;
}
