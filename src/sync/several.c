/*
 * Waiting for any of several objects: mutexes, semaphores, events, and what has an
 * eventcount. The first that can be had is taken, and the others are left as they were;
 * of what an eventcount stands for nothing is taken.
 */
#include "sync/sync.h"

#include <errno.h>

/* Where who waits for the object sleeps, or NULL for what has no such word. */
const uint32_t *sync_word(const sync_handle *handle)
{
    switch (handle->kind) {
    case SYNC_MUTEX:
        return (const uint32_t *)&handle->mutex->owner.who;
    case SYNC_SEMAPHORE:
        return &handle->semaphore->count;
    case SYNC_EVENT:
        return &handle->event->set;
    case SYNC_RWLOCK:
        return &handle->rwlock->turn;
    case SYNC_COUNTER:
        return &handle->counter->turn;
    case SYNC_EVENTCOUNT:
        return &handle->eventcount->turn;
    default:
        return NULL;
    }
}

/* One attempt: 0 or 1 when it is had, else -EAGAIN. */
int sync_attempt(const sync_handle *handle, bool thorough, sync_outcome *outcome)
{
    sync_wait wait = {.handle = handle, .outcome = outcome};
    switch (handle->kind) {
    case SYNC_MUTEX:
        return sync_mutex_again(handle) ? 0 : sync_mutex_attempt(&wait, thorough);
    case SYNC_SEMAPHORE:
        return sync_semaphore_attempt(&wait, thorough);
    case SYNC_EVENTCOUNT:
        return sync_eventcount_attempt(&wait, thorough);
    default:
        return sync_event_attempt(&wait, thorough);
    }
}

/* Of what can not be had now another one may come first; but of nothing else does a dead
 * holder's transaction that can not be undone here. */
static int attempt_each(const sync_handle *const handles[], size_t n, size_t *which,
                        sync_outcome *outcome)
{
    int error = 0;
    bool hope = false;
    for (size_t i = 0; i < n; i++) {
        outcome->unreachable = false;
        int result = sync_attempt(handles[i], true, outcome);
        if (outcome->unreachable) {
            error = error ? error : result;
        } else if (result == -EAGAIN || result == -EDEADLK) {
            hope = true;
        } else {
            *which = i;
            return result;
        }
    }
    outcome->unreachable = !hope;
    return hope ? -EAGAIN : error;
}

static int sleep_once(const sync_handle *const handles[], const int slots[], size_t n,
                      int64_t deadline, size_t *which, sync_outcome *outcome)
{
    os_futex_place places[OS_FUTEX_MOST];
    for (size_t i = 0; i < n; i++) {
        sync_waiters_again(handles[i], slots[i]);
        places[i].word = sync_word(handles[i]);
        places[i].expected = mem_atomic_load32(places[i].word);
        if (mem_fault_seen() && handles[i]->mapping->fault.signo)
            return -EFAULT;
    }
    int result = attempt_each(handles, n, which, outcome);
    if (result != -EAGAIN)
        return result;
    int64_t now = os_clock_now(), slice = now + OS_WAIT_SLICE;
    if (now >= deadline)
        return -ETIMEDOUT;
    for (size_t i = 0; i < n; i++) {
        if (!sync_may_sleep(handles[i]->kind, places[i].expected) ||
            !sync_waiters_shown(handles[i], slots[i]))
            return -EAGAIN;
    }
    int error = os_wait_begin();
    if (error)
        return error;
    error = os_futex_wait_any(places, n, slice < deadline ? slice : deadline);
    return error && error != -ETIMEDOUT ? error : -EAGAIN;
}

/* Whether all are mutexes that this thread holds: nobody else would ever leave one. */
static bool waits_for_itself(const sync_handle *const handles[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (handles[i]->kind != SYNC_MUTEX || !sync_handle_held(handles[i]))
            return false;
    }
    return true;
}

/* As the objects' own waits; *which is the one that is had. At most OS_FUTEX_MOST. */
int sync_several(const sync_handle *const handles[], size_t n, int64_t deadline,
                 size_t *which, sync_outcome *outcome)
{
    uint64_t name = os_thread_self() | SYNC_ANY;
    int slots[OS_FUTEX_MOST], result = attempt_each(handles, n, which, outcome);
    if (result != -EAGAIN)
        return result;
    if (waits_for_itself(handles, n))
        return -EDEADLK;
    if (os_clock_now() >= deadline)
        return -ETIMEDOUT;
    for (size_t i = 0; i < n; i++)
        slots[i] = sync_waiters_enter(handles[i], name);
    do
        result = sleep_once(handles, slots, n, deadline, which, outcome);
    while (result == -EAGAIN);
    for (size_t i = 0; i < n; i++) {
        sync_waiters_leave(&handles[i]->object->waiters, slots[i], name);
        if (result < 0 || i != *which) /* it may have been woken in place of another */
            sync_wake(&handles[i]->object->waiters, sync_word(handles[i]), 1);
    }
    return result;
}
