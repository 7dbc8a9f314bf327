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
 * What is in the journal may be anybody's scribble: a place outside of the mapping ends
 * the undoing.
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

/* Whether there was anything to undo. The base and size are of all that may be changed.
 */
bool mem_journal_undo(mem_journal *journal, size_t room, uint8_t *base, size_t size)
{
    uint64_t used = mem_atomic_load64(&journal->used);
    bool found = used > 0;
    while (used >= sizeof(mem_journal_tail) && used <= room) {
        mem_journal_tail end;
        used -= sizeof end;
        memcpy(&end, journal->entries + used, sizeof end);
        uint64_t at =
            (uint64_t)((uintptr_t)journal - (uintptr_t)base) + (uint64_t)end.distance;
        if (end.n > used || padded(end.n) > used || !mem_inside(size, at, end.n))
            break;
        used -= padded(end.n);
        mem_atomic_order_stores();
        put_back(base + at, journal->entries + used, end.n);
        mem_atomic_publish64(&journal->used, used);
    }
    mem_journal_clear(journal);
    return found;
}

void mem_journal_clear(mem_journal *journal)
{
    mem_atomic_publish64(&journal->used, 0);
}
