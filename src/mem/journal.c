/*
 * An undo journal: what bytes were before they were changed.
 *
 * Layout: how many bytes of entries count, and the entries. Each is the old bytes, padded
 * to eight, and behind them where they were, from the journal's own address, and how
 * many. So the newest one is found from the end.
 *
 * An entry is written first, then counted, and only then the bytes may change. Who dies
 * before it is counted has changed nothing; who dies later leaves an entry to be undone.
 * Undoing puts an entry back and then takes it off: who dies in between leaves that one
 * to be put back again, and none of those before it, as others may go by those already.
 * Whoever holds the lock that the journal belongs to may call.
 *
 * Entries are put back one after the other also in the eyes of who takes no lock: who
 * finds a word put back by which it goes, as a map's count, finds all put back that was
 * saved later; and who finds any of that finds the word changed, or put back.
 *
 * What is in the journal may be anybody's scribble: an entry without a beginning ends the
 * undoing, and one whose place is not in the bytes that may be changed is passed over.
 */
#include "mem/mem.h"

#include <errno.h>
#include <string.h>

static size_t padded(size_t n)
{
    return (n + 7) / 8 * 8;
}

/*
 * What undoing writes to a place: mostly what is there, so that as is the same as at.
 * -ENOSPC when the journal has no room for it.
 */
int mem_journal_save(mem_journal *journal, size_t room, const void *at, const void *as,
                     size_t n)
{
    uint64_t used = mem_atomic_load64(&journal->used); /* once: it is anybody's */
    if (used > room || n > room || padded(n) + sizeof(mem_journal_tail) > room - used)
        return -ENOSPC;
    mem_journal_tail end = {.distance = (const uint8_t *)at - (uint8_t *)journal, .n = n};
    memmove(journal->entries + used, as, n); /* whose place may overlap, as below */
    used += padded(n);
    memcpy(journal->entries + used, &end, sizeof end);
    mem_atomic_publish64(&journal->used, used + sizeof end);
    return 0;
}

/* A word by one store, as who takes no lock may read it; the rest may overlap the
 * journal, if that is scribbled. */
static void put_back(uint8_t *to, const uint8_t *from, size_t n)
{
    uint64_t word;
    uint32_t half;
    if (n == sizeof word && (uintptr_t)to % sizeof word == 0) {
        memcpy(&word, from, n);
        mem_atomic_note64((uint64_t *)(void *)to, word);
    } else if (n == sizeof half && (uintptr_t)to % sizeof half == 0) {
        memcpy(&half, from, n);
        mem_atomic_note32((uint32_t *)(void *)to, half);
    } else
        memmove(to, from, n);
}

/* An entry that is all there. */
typedef struct entry {
    const uint8_t *saved;
    uint64_t at, n; /* its place, from the base of what may be changed */
} entry;

/* The newest of the first *used bytes of entries, which become those before it. */
static bool newest(const mem_journal *journal, const uint8_t *base, uint64_t *used,
                   entry *found)
{
    mem_journal_tail end;
    if (*used < sizeof end)
        return false;
    uint64_t before = *used - sizeof end;
    memcpy(&end, journal->entries + before, sizeof end);
    if (end.n > before || padded(end.n) > before)
        return false;
    *used = before - padded(end.n);
    *found = (entry){
        .saved = journal->entries + *used,
        .at = (uint64_t)((uintptr_t)journal - (uintptr_t)base) + (uint64_t)end.distance,
        .n = end.n,
    };
    return true;
}

/* Whether all that is to be put back lies in these bytes. */
bool mem_journal_lies_in(const mem_journal *journal, size_t room, const uint8_t *base,
                         size_t size)
{
    uint64_t used = mem_atomic_load64(&journal->used);
    entry one;
    while (used <= room && newest(journal, base, &used, &one)) {
        if (!mem_inside(size, one.at, one.n))
            return false;
    }
    return true;
}

/* The base and size are of all that may be changed. */
void mem_journal_undo(mem_journal *journal, size_t room, uint8_t *base, size_t size)
{
    uint64_t used = mem_atomic_load64(&journal->used);
    entry one;
    while (used <= room && newest(journal, base, &used, &one)) {
        mem_atomic_order_stores();
        if (mem_inside(size, one.at, one.n))
            put_back(base + one.at, one.saved, one.n);
        mem_atomic_publish64(&journal->used, used);
    }
    mem_journal_clear(journal);
}

void mem_journal_clear(mem_journal *journal)
{
    mem_atomic_publish64(&journal->used, 0);
}
