/*
 * What an object in shared memory begins with: a stamp that says what it is.
 *
 * Its first word decides. It holds what the object is and the version of its layout, or
 * who is making it; anything else is not an object. A maker claims the word, writes all
 * the rest, and then publishes what it is; whoever reads that with mem_stamp_check finds
 * the rest whole. If the maker dies in between, the next one claims the word from it.
 */
#include "mem/mem.h"
#include "os/os.h"

#include <errno.h>

#define MAGIC 0x4c53484d /* LSHM */
#define MAKING 0x4c53486d
#define OTHER_BYTE_ORDER 0x4d48534c

static uint64_t mark_of(uint16_t kind, uint16_t version)
{
    return (uint64_t)MAGIC << 32 | (uint32_t)kind << 16 | version;
}

/*
 * Who makes an object, in the low half of the mark: the thread's id, and in the bits that
 * are free beside it some of when it started, so that its pid's next owner is not it.
 */
static uint32_t maker_of(uint64_t thread)
{
    return (uint32_t)((thread & OS_THREAD_TID) | (thread >> 32 << 22 & OS_THREAD_CPU));
}

static bool maker_lives(uint32_t maker)
{
    uint64_t started;
    pid_t tid = (pid_t)(maker & OS_THREAD_TID);
    if (!os_thread_alive((uint64_t)tid))
        return false;
    if ((maker & OS_THREAD_CPU) == 0 || os_process_started(tid, &started))
        return true;
    return maker == maker_of(started << 32 | (uint64_t)tid);
}

/* Waits while a living thread is making an object there. *mark becomes what it is. */
static int settled(const mem_stamp *stamp, int64_t deadline, uint64_t *mark)
{
    int64_t nap = 0;
    for (;;) {
        *mark = mem_atomic_load64(&stamp->mark);
        if (*mark >> 32 != MAKING || !maker_lives((uint32_t)*mark))
            return 0;
        int error = os_clock_nap(deadline, &nap);
        if (error)
            return error;
    }
}

/* -EEXIST when there is an object already, of any kind. */
int mem_stamp_claim(mem_stamp *stamp, uint16_t kind, uint16_t version, int64_t deadline)
{
    uint64_t mark, mine = (uint64_t)MAKING << 32 | maker_of(os_thread_self());
    do {
        int error = settled(stamp, deadline, &mark);
        if (error)
            return error;
        if ((uint32_t)mark == OTHER_BYTE_ORDER)
            return -ENOTEMPTY;
        if (mark >> 32 == MAGIC)
            return mark == mark_of(kind, version) ? -EEXIST : -ENOTEMPTY;
    } while (!mem_atomic_cas64(&stamp->mark, &mark, mine));
    return 0;
}

void mem_stamp_finish(mem_stamp *stamp, uint16_t kind, uint16_t version, uint32_t size,
                      uint32_t extra)
{
    stamp->home = os_thread_namespace();
    stamp->size = size;
    stamp->extra = extra;
    mem_atomic_publish64(&stamp->mark, mark_of(kind, version));
}

/*
 * Whether there is such an object, and for us: -ENOENT, -EPROTO when it is another
 * version's or byte order's, -EXDEV when it is another pid namespace's.
 */
int mem_stamp_check(const mem_stamp *stamp, uint16_t kind, uint16_t version,
                    int64_t deadline)
{
    uint64_t mark, expected = mark_of(kind, version);
    int error = settled(stamp, deadline, &mark);
    if (error)
        return error;
    if ((uint32_t)mark == OTHER_BYTE_ORDER || (mark ^ expected) >> 16 == 0)
        error = mark == expected ? 0 : -EPROTO;
    else
        error = -ENOENT;
    if (!error && stamp->home != os_thread_namespace())
        error = -EXDEV;
    return error;
}

/* Whether nothing of a stranger's is there: zero, or a stamp of any kind. */
bool mem_stamp_free(const mem_stamp *stamp)
{
    uint64_t mark = mem_atomic_load64(&stamp->mark);
    return mark == 0 || mark >> 32 == MAKING || mark >> 32 == MAGIC ||
           (uint32_t)mark == OTHER_BYTE_ORDER;
}

/* What mem_stamp_check says, at a glance, for what others point to. */
bool mem_stamp_is(const mem_stamp *stamp, uint16_t kind, uint16_t version)
{
    return mem_atomic_load64(&stamp->mark) == mark_of(kind, version);
}

void mem_stamp_erase(mem_stamp *stamp)
{
    mem_atomic_store64(&stamp->mark, 0);
}

/* What is there is this pid namespace's from now on: nobody else has it. */
void mem_stamp_adopt(mem_stamp *stamp)
{
    stamp->home = os_thread_namespace();
}
