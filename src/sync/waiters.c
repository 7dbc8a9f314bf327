/*
 * Those who sleep at an object, and how they are woken.
 *
 * Layout: a mask with a bit for each slot, and slots with the identities of who sleeps.
 * A sleeper takes a slot, sets its bit, and then looks once more before it sleeps; a
 * waker changes the word that they sleep on, and then looks at the mask. Both are
 * sequentially consistent, so one of them sees the other: no wake-up is lost, and no
 * system call is made for nobody. More sleepers than slots share the last bit, and have
 * no names.
 *
 * Death: a sleeper leaves its slot and bit behind, which cost wakers a call in vain,
 * until one in some that were looks who of them lives. A waker that dies between
 * its change and its call, or a sleeper that was woken and dies before it takes, would
 * leave others asleep: so all sleep in slices, and look by themselves after each.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>

#define SPIN 30000LL /* nanoseconds */
#define YIELDS 3
#define WITHOUT 32 /* waits, after one that yielded in vain */
#define VAIN 64    /* wakes that woke nobody, between two looks at who lives */

static void drop(sync_waiters *waiters, int slot, uint64_t who)
{
    mem_atomic_and32(&waiters->sleeping, ~(1u << slot));
    mem_atomic_cas64(&waiters->slot[slot], &who, 0);
}

/*
 * Empties a dead one's slot, which is the sweeper's meanwhile: of two that sweep, the
 * later would hide whoever has taken the slot in between. If the sweeper dies, its mark
 * goes as any dead one's.
 */
static void bury(sync_waiters *waiters, int slot, uint64_t who)
{
    uint64_t mine = os_thread_self() | SYNC_BURYING;
    if (mem_atomic_cas64(&waiters->slot[slot], &who, mine))
        drop(waiters, slot, mine);
}

/* Empties the slots of the dead; gives the others that wakers see, and how many they are.
 */
static int sweep(sync_waiters *waiters, uint64_t alive[SYNC_SLOTS])
{
    int n = 0;
    uint32_t sleeping = mem_atomic_load32(&waiters->sleeping);
    for (int slot = 0; slot < SYNC_SLOTS; slot++) {
        uint64_t who = mem_atomic_load64(&waiters->slot[slot]);
        if (who && !os_thread_alive(who))
            bury(waiters, slot, who);
        else if (sleeping & 1u << slot && who && !(who & SYNC_BURYING))
            alive[n++] = who;
    }
    return n;
}

static int take_slot(sync_waiters *waiters, uint64_t name)
{
    for (int slot = 0; slot < SYNC_SLOTS; slot++) {
        uint64_t nobody = 0;
        if (mem_atomic_load64(&waiters->slot[slot]) == 0 &&
            mem_atomic_cas64(&waiters->slot[slot], &nobody, name))
            return slot;
    }
    return SYNC_SLOTS;
}

/*
 * A slot for this thread, or SYNC_SLOTS when all are in use. Its name is its identity,
 * with SYNC_ANY where it is in nobody's circle.
 */
int sync_waiters_claim(sync_waiters *waiters, uint64_t name)
{
    uint64_t alive[SYNC_SLOTS];
    int slot = take_slot(waiters, name);
    if (slot == SYNC_SLOTS && sweep(waiters, alive) < SYNC_SLOTS)
        slot = take_slot(waiters, name);
    return slot;
}

/* From here on wakers see that somebody sleeps. */
void sync_waiters_show(sync_waiters *waiters, int slot)
{
    if (slot == SYNC_SLOTS)
        mem_atomic_add32(&waiters->more, 1);
    mem_atomic_or32(&waiters->sleeping, 1u << slot);
}

/* Both, and wakers that have no fence of their own are made to see it. Returns the slot,
 * for leaving. */
int sync_waiters_enter(const sync_handle *handle, uint64_t name)
{
    sync_waiters *waiters = &handle->object->waiters;
    int slot = sync_waiters_claim(waiters, name);
    sync_waiters_show(waiters, slot);
    if (handle->fences)
        os_fence_all();
    return slot;
}

/* Before each look that may end in sleep: who wakes all that sleep at an eventcount takes
 * the mask. */
void sync_waiters_again(const sync_handle *handle, int slot)
{
    if (sync_waiters_shown(handle, slot))
        return;
    mem_atomic_or32(&handle->object->waiters.sleeping, 1u << slot);
    if (handle->fences)
        os_fence_all();
}

void sync_waiters_leave(sync_waiters *waiters, int slot, uint64_t name)
{
    if (slot < SYNC_SLOTS) {
        drop(waiters, slot, name);
        return;
    }
    uint32_t more = mem_atomic_load32(&waiters->more);
    while (more > 0 && !mem_atomic_cas32(&waiters->more, &more, more - 1))
        continue;
    if (more <= 1) {
        mem_atomic_and32(&waiters->sleeping, ~SYNC_MORE);
        if (mem_atomic_load32(&waiters->more) != 0) /* one came in between */
            mem_atomic_or32(&waiters->sleeping, SYNC_MORE);
    }
}

bool sync_waiters_has(const sync_waiters *waiters, uint64_t who)
{
    uint32_t sleeping = mem_atomic_load32(&waiters->sleeping);
    for (int slot = 0; slot < SYNC_SLOTS; slot++) {
        if (sleeping & 1u << slot && mem_atomic_load64(&waiters->slot[slot]) == who)
            return true;
    }
    return false;
}

int sync_waiters_list(sync_waiters *waiters, uint64_t who[SYNC_SLOTS], uint32_t *more)
{
    *more = mem_atomic_load32(&waiters->more);
    return sweep(waiters, who);
}

void sync_waiters_rouse(sync_waiters *waiters, const uint32_t *word, int n)
{
    static _Thread_local unsigned vain;
    uint64_t alive[SYNC_SLOTS];
    if (os_futex_wake(word, n) != 0 || ++vain % VAIN != 0)
        return;
    sweep(waiters, alive);
    /* Nobody slept there just now, so those without names are dead; or one is just about
     * to sleep, and looks after its slice. */
    mem_atomic_and32(&waiters->sleeping, ~SYNC_MORE);
    mem_atomic_store32(&waiters->more, 0);
}

/*
 * The waker's cpu is this one: it is let run. Where others want the cpu as well that may
 * take long, and sleeping is better; so after it was in vain, or took long, the next
 * waits do without.
 */
static int yield_to(sync_wait *wait)
{
    static _Thread_local unsigned without;
    int64_t began = without ? INT64_MAX : os_clock_now();
    if (began >= wait->deadline) {
        without -= without > 0;
        return -EAGAIN;
    }
    int result = -EAGAIN;
    for (int i = 0; i < YIELDS && result == -EAGAIN; i++) {
        os_wait_yield();
        result = wait->attempt(wait, false);
    }
    if (result == -EAGAIN || os_clock_now() - began > SPIN)
        without = WITHOUT;
    return result;
}

/* Tries for as long as spinning pays. */
static int spin(sync_wait *wait)
{
    int64_t end = 0;
    for (unsigned i = 0;; i++) {
        int result = wait->attempt(wait, false);
        if (result != -EAGAIN)
            return result;
        if (i % 64 == 0) {
            unsigned waker = wait->waker(wait);
            if (!os_wait_pays(waker))
                return waker == os_wait_cpu() ? yield_to(wait) : -EAGAIN;
            int64_t now = os_clock_now();
            if (end == 0)
                end = now + SPIN < wait->deadline ? now + SPIN : wait->deadline;
            if (now >= end)
                return -EAGAIN;
        }
        os_wait_pause();
    }
}

/* One slice of sleep, unless it is done before or after. */
static int sleep_once(sync_wait *wait, int slot)
{
    sync_waiters_again(wait->handle, slot);
    uint32_t seen = mem_atomic_load32(wait->word);
    int result = wait->attempt(wait, true);
    if (result != -EAGAIN)
        return result;
    if (mem_fault_seen() && wait->handle->mapping->fault.signo)
        return -EFAULT;
    int64_t now = os_clock_now(), slice = now + OS_WAIT_SLICE;
    if (now >= wait->deadline)
        return -ETIMEDOUT;
    if (!sync_may_sleep(wait->handle->kind, seen) ||
        !sync_waiters_shown(wait->handle, slot))
        return -EAGAIN;
    int error = os_wait_begin();
    if (error)
        return error;
    error =
        os_futex_wait(wait->word, seen, slice < wait->deadline ? slice : wait->deadline);
    return error && error != -ETIMEDOUT ? error : -EAGAIN;
}

/*
 * Waits until the attempt succeeds. Who gives up may have been woken in place of another,
 * and wakes that one.
 */
int sync_wait_for(sync_wait *wait)
{
    int result = spin(wait);
    if (result != -EAGAIN)
        return result;
    if (wait->deadline != OS_CLOCK_FOREVER && os_clock_now() >= wait->deadline) {
        result = wait->attempt(wait, true); /* and who does not sleep closes no circle */
        return result == -EAGAIN || result == -EDEADLK ? -ETIMEDOUT : result;
    }
    sync_waiters *waiters = &wait->handle->object->waiters;
    int slot = sync_waiters_enter(wait->handle, os_thread_self());
    do
        result = sleep_once(wait, slot);
    while (result == -EAGAIN);
    sync_waiters_leave(waiters, slot, os_thread_self());
    if (result < 0)
        sync_wake(waiters, wait->word, 1);
    return result;
}
