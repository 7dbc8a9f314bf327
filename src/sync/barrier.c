/*
 * A barrier: so many parties wait for each other, again and again.
 *
 * Layout: the generation, which is slept on, a guard, and for each party that has arrived
 * who it is and in which generation.
 *
 * Invariant: an arrival counts when its generation is the barrier's. All is changed
 * inside the guard; each change is one word, by which it happens or not: an arrival's
 * generation, or the barrier's, which lets all of them go. Nothing is saved to be undone:
 * who waits looks without the guard, and may have gone already.
 *
 * Death: who dies while it waits has not arrived any more, which the others see after
 * their slice, and somebody may come in its place. Who gives up takes its arrival back.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>

static bool counts(const sync_barrier *barrier, uint32_t i)
{
    return mem_atomic_load32(&barrier->arrival[i].generation) ==
           mem_atomic_load32(&barrier->generation);
}

static mem_guarded guarded(const sync_handle *handle)
{
    return (mem_guarded){.guard = &handle->barrier->guard, .mapping = handle->mapping};
}

static int enter(const sync_handle *handle, int64_t deadline, sync_outcome *outcome)
{
    mem_guarded inside = guarded(handle);
    int error = mem_guard_enter(&inside, deadline, &outcome->holder);
    return error < 0 ? error : 0;
}

static void leave(const sync_handle *handle)
{
    mem_guarded inside = guarded(handle);
    mem_guard_leave(&inside);
}

static void withdraw(sync_barrier *barrier, uint32_t i)
{
    mem_atomic_store32(&barrier->arrival[i].generation,
                       mem_atomic_load32(&barrier->generation) - 1);
}

/* Takes back the arrivals of the dead. Who lives is looked up outside of the guard. */
static int bury(const sync_handle *handle, int64_t deadline, sync_outcome *outcome)
{
    sync_barrier *barrier = handle->barrier;
    for (uint32_t i = 0; i < handle->extra; i++) {
        uint64_t who = mem_atomic_load64(&barrier->arrival[i].who);
        if (!counts(barrier, i) || os_thread_alive(who))
            continue;
        int error = enter(handle, deadline, outcome);
        if (error)
            return error;
        if (counts(barrier, i) && mem_atomic_load64(&barrier->arrival[i].who) == who)
            withdraw(barrier, i);
        leave(handle);
    }
    return 0;
}

/* Inside the guard: this thread's arrival, or the last one's, which lets all go. */
static bool arrive(const sync_handle *handle, uint32_t *mine)
{
    sync_barrier *barrier = handle->barrier;
    uint32_t arrived = 0, generation = mem_atomic_load32(&barrier->generation);
    *mine = 0;
    for (uint32_t i = 0; i < handle->extra; i++) {
        if (counts(barrier, i))
            arrived++;
        else
            *mine = i;
    }
    if (arrived + 1 >= handle->extra) {
        mem_atomic_note32(&barrier->cpu, os_wait_cpu());
        mem_atomic_store32(&barrier->generation, generation + 1);
        return true;
    }
    mem_atomic_store64(&barrier->arrival[*mine].who, os_thread_self());
    mem_atomic_store32(&barrier->arrival[*mine].generation, generation);
    return false;
}

static int attempt(sync_wait *wait, bool thorough)
{
    const sync_barrier *barrier = wait->handle->barrier;
    if (mem_atomic_load32(&barrier->generation) != (uint32_t)wait->value)
        return 0;
    int error = thorough ? bury(wait->handle, wait->deadline, wait->outcome) : 0;
    return error ? error : -EAGAIN;
}

static unsigned waker(const sync_wait *wait)
{
    return mem_atomic_load32(&wait->handle->barrier->cpu);
}

/*
 * Gives up: 0 if the others were let go meanwhile. Where the guard can not be had, the
 * arrival is taken back all the same, or it would count for one that is not there; who is
 * stopped inside may have counted it already. The slot is another's once the generation
 * in it has changed.
 */
static int give_up(const sync_handle *handle, uint32_t mine, uint32_t generation,
                   sync_outcome *outcome, int why)
{
    sync_barrier *barrier = handle->barrier;
    int error = enter(handle, OS_CLOCK_FOREVER, outcome); /* or others count on it */
    if (error) {
        uint32_t counted = generation;
        mem_atomic_cas32(&barrier->arrival[mine].generation, &counted, generation - 1);
        return error;
    }
    bool gone = mem_atomic_load32(&barrier->generation) != generation;
    if (!gone && mem_atomic_load64(&barrier->arrival[mine].who) == os_thread_self())
        withdraw(barrier, mine);
    leave(handle);
    return gone ? 0 : why;
}

int sync_barrier_wait(const sync_handle *handle, int64_t deadline, bool *last,
                      sync_outcome *outcome)
{
    sync_barrier *barrier = handle->barrier;
    uint32_t mine, generation;
    int error = bury(handle, deadline, outcome);
    error = error ? error : enter(handle, deadline, outcome);
    if (error)
        return error;
    generation = mem_atomic_load32(&barrier->generation);
    *last = arrive(handle, &mine);
    leave(handle);
    if (*last) {
        sync_wake(&barrier->waiters, &barrier->generation, INT_MAX);
        return 0;
    }
    sync_wait wait = {
        .handle = handle,
        .word = &barrier->generation,
        .attempt = attempt,
        .waker = waker,
        .deadline = deadline,
        .outcome = outcome,
        .value = generation,
    };
    error = sync_wait_for(&wait);
    return error ? give_up(handle, mine, generation, outcome, error) : 0;
}

/* How many wait. */
int sync_barrier_arrived(const sync_handle *handle)
{
    int arrived = 0;
    for (uint32_t i = 0; i < handle->extra; i++)
        arrived += counts(handle->barrier, i);
    return arrived;
}
