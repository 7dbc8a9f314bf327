/*
 * A condition: threads that hold a mutex let go of it and sleep until they are signalled.
 *
 * Layout: beside the slots of those who sleep, what each has come to: it waits, or was
 * signalled; and in which order they came. Each sleeps on a word of its own.
 *
 * Invariant: a signal changes one word from waiting to signalled, that of who came first
 * and lives. A slot is taken and waiting before its owner lets go of the mutex, so who
 * signals with the mutex held finds all that wait. Nobody returns without a signal, save
 * at its time-out, when it takes its own word back; if that fails it was signalled.
 *
 * Death: a dead sleeper is passed over, as a signal that woke nobody looks whether it
 * lives. Who signals and dies before it wakes leaves that to the sleeper's slice. A
 * signal that was given to a sleeper which then dies is gone with it.
 */
#include "sync/sync.h"

#include <errno.h>

#define NAP 1000000 /* nanoseconds */

enum { IDLE, WAITING, SIGNALLED };

static bool signal_slot(sync_condition *condition, int slot)
{
    uint32_t state = WAITING;
    uint64_t who = mem_atomic_load64(&condition->waiters.slot[slot]);
    if (!mem_atomic_cas32(&condition->state[slot], &state, SIGNALLED))
        return false;
    if (os_futex_wake(&condition->state[slot], 1) > 0)
        return true;
    if (who & SYNC_BURYING)
        return false;
    return os_thread_alive(who); /* it does not sleep yet, or not any more */
}

/* The one that came first, or -1. */
static int oldest(const sync_condition *condition)
{
    int found = -1;
    uint32_t sleeping = mem_atomic_load32(&condition->waiters.sleeping);
    for (int slot = 0; slot < SYNC_SLOTS; slot++) {
        if (!(sleeping & 1u << slot) ||
            mem_atomic_load32(&condition->state[slot]) != WAITING)
            continue;
        if (found < 0 || (int32_t)(mem_atomic_load32(&condition->ticket[slot]) -
                                   mem_atomic_load32(&condition->ticket[found])) < 0)
            found = slot;
    }
    return found;
}

/* Whether anybody was there to be woken. */
bool sync_condition_signal(const sync_handle *handle)
{
    int slot;
    for (int i = 0; i < 2 * SYNC_SLOTS; i++) {
        slot = oldest(handle->condition);
        if (slot < 0)
            return false;
        if (signal_slot(handle->condition, slot))
            return true;
    }
    return false;
}

/* How many were woken. */
int sync_condition_broadcast(const sync_handle *handle)
{
    int woken = 0;
    uint32_t sleeping = mem_atomic_load32(&handle->condition->waiters.sleeping);
    for (int slot = 0; slot < SYNC_SLOTS; slot++) {
        if (sleeping & 1u << slot)
            woken += signal_slot(handle->condition, slot);
    }
    return woken;
}

/* In slices, until the word changes or the time is up. */
static int sleep_on(const sync_handle *handle, uint32_t *word, int64_t deadline)
{
    int error = -EAGAIN;
    while (error == -EAGAIN && mem_atomic_load32(word) == WAITING) {
        int64_t now = os_clock_now(), slice = now + OS_WAIT_SLICE;
        if (now >= deadline)
            error = -ETIMEDOUT;
        else if (mem_fault_seen() && handle->mapping->fault.signo)
            error = -EFAULT;
        else if ((error = os_wait_begin()) == 0) {
            error = os_futex_wait(word, WAITING, slice < deadline ? slice : deadline);
            error = error == 0 || error == -ETIMEDOUT ? -EAGAIN : error;
        }
    }
    uint32_t state = WAITING;
    return error == -EAGAIN || !mem_atomic_cas32(word, &state, IDLE) ? 0 : error;
}

/* As long as it was taken it is left, so that others can signal. */
static void let_go(sync_mutex *mutex)
{
    mutex->depth = 1;
    sync_mutex_give(mutex);
}

/*
 * The mutex is held by the caller, and again after it, whatever is returned: 0, or
 * -ETIMEDOUT, -EINTR; -EUSERS when there is no slot left. *relocked says how it was taken
 * again: 0, or 1 when who held it meanwhile died; or why it was not, as -EDEADLK, -EFAULT
 * or what sync_handle_undo says.
 */
int sync_condition_wait(const sync_handle *handle, const sync_handle *mutex,
                        int64_t deadline, sync_outcome *outcome, int *relocked)
{
    sync_condition *condition = handle->condition;
    uint32_t depth = mutex->mutex->depth;
    *relocked = 0;
    int slot = sync_waiters_claim(&condition->waiters, os_thread_self());
    if (slot == SYNC_SLOTS)
        return -EUSERS;
    uint32_t *word = &condition->state[slot];
    mem_atomic_store32(&condition->ticket[slot],
                       mem_atomic_add32(&condition->arrivals, 1));
    mem_atomic_store32(word,
                       WAITING); /* shown only now: a dead one may have left it so */
    sync_waiters_show(&condition->waiters, slot);
    let_go(mutex->mutex);
    int result = sleep_on(handle, word, deadline);
    mem_atomic_store32(word, IDLE);
    sync_waiters_leave(&condition->waiters, slot, os_thread_self());
    for (;;) {
        *relocked = sync_mutex_take(mutex->mutex)
                        ? 0
                        : sync_mutex_wait(mutex, OS_CLOCK_FOREVER, outcome);
        if (*relocked != -EINTR)
            break;
        os_clock_sleep(os_clock_now() + NAP); /* the signal may be heard of only later */
    }
    if (*relocked >= 0)
        mutex->mutex->depth = depth;
    return result;
}
