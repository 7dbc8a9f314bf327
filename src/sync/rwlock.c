/*
 * A readers-writer lock. Writers do not starve: from the moment that one waits, new
 * readers wait until it has been inside. A thread that reads already may read again.
 *
 * Layout: a record for the writer, who is inside or waits for the last readers to leave;
 * records of those who read; and a word that changes when it is worth while to look.
 *
 * Invariant: the writer is inside only when no reader's record was there after its own
 * was; a reader is inside only when no writer's record was there after its own was. Each
 * writes its own record first and then looks at the others', both sequentially
 * consistent, so not both find nothing.
 *
 * Death: a dead reader's record is cleared by the writer that waits for it. A dead
 * writer's is taken over, by one of those who wait; if it had been inside, what it had
 * begun is undone, and that one is told, also if it came to read.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>

static void let_look(sync_rwlock *rwlock)
{
    if (mem_atomic_load32(&rwlock->waiters.sleeping)) {
        mem_atomic_add32(&rwlock->turn, 1);
        sync_wake(&rwlock->waiters, &rwlock->turn, INT_MAX);
    }
}

static uint64_t reader(const sync_rwlock *rwlock, int i)
{
    return sync_who(mem_atomic_load64(&rwlock->reader[i].who));
}

/* Whether others read; thorough clears the records of those who died. */
static bool is_read(sync_rwlock *rwlock, uint64_t me, bool thorough)
{
    bool found = false;
    for (int i = 0; i < SYNC_READERS; i++) {
        uint64_t held = mem_atomic_load64(&rwlock->reader[i].who);
        if (held == 0 || sync_who(held) == me)
            continue;
        if (thorough && !os_thread_alive(sync_who(held)))
            mem_atomic_cas64(&rwlock->reader[i].who, &held, 0);
        else
            found = true;
    }
    return found;
}

/* Whether anybody reads, for who does not. */
bool sync_rwlock_is_read(sync_rwlock *rwlock, bool thorough)
{
    return is_read(rwlock, 0, thorough);
}

/* Gives up what claim said 1 to: the next one shall be told. */
static void hand_down(const sync_wait *wait)
{
    mem_atomic_store64(&wait->handle->rwlock->writer.who, wait->outcome->dead);
    let_look(wait->handle->rwlock);
}

/* The writer's record becomes this thread's. 1 if a dead one had been inside. */
static int claim(sync_wait *wait, bool thorough)
{
    sync_rwlock *rwlock = wait->handle->rwlock;
    uint64_t held = mem_atomic_load64(&rwlock->writer.who);
    if (held && (!thorough || os_thread_alive(sync_who(held))))
        return -EAGAIN;
    if (!mem_atomic_cas64(&rwlock->writer.who, &held, sync_me()))
        return -EAGAIN;
    if (held == 0 || !rwlock->inside)
        return 0;
    wait->outcome->dead = held;
    /* At once, as who claims may yet give up. */
    int error = sync_handle_undo(wait->handle, wait->outcome);
    if (error)
        hand_down(wait);
    return error ? error : 1;
}

static int attempt_write(sync_wait *wait, bool thorough)
{
    sync_rwlock *rwlock = wait->handle->rwlock;
    bool came = !wait->claimed;
    if (came) {
        int result = claim(wait, thorough);
        if (result == -EAGAIN && thorough &&
            sync_deadlock(wait->handle, &wait->outcome->path))
            return -EDEADLK;
        if (result < 0)
            return result;
        wait->claimed = true;
        wait->value = (uint64_t)result;
    }
    if (is_read(rwlock, 0, thorough)) {
        if (came)
            mem_atomic_note64(&rwlock->since, (uint64_t)os_clock_now());
        if (thorough && sync_deadlock(wait->handle, &wait->outcome->path))
            return -EDEADLK;
        return -EAGAIN;
    }
    mem_atomic_store32(&rwlock->inside, 1);
    mem_atomic_note64(&rwlock->since, (uint64_t)os_clock_now());
    return (int)wait->value;
}

static void leave_write(sync_rwlock *rwlock)
{
    mem_atomic_store32(&rwlock->inside, 0);
    mem_atomic_store64(&rwlock->writer.who, 0);
    let_look(rwlock);
}

/* A record of its own for this thread, which reads from then on, if no writer does. */
static bool take_record(sync_rwlock *rwlock, int *slot)
{
    for (*slot = 0; *slot < SYNC_READERS; (*slot)++) {
        uint64_t nobody = 0;
        if (mem_atomic_load64(&rwlock->reader[*slot].who) == 0 &&
            mem_atomic_cas64(&rwlock->reader[*slot].who, &nobody, sync_me()))
            return true;
    }
    return false;
}

/*
 * A dead writer in the way of a reader: takes its place, undoes what it had begun, and
 * reads before another can write, or that one would not be told. 1 when it reads, 0 when
 * the way is free and there was nothing to be told; or why it can not undo that.
 */
static int succeed(sync_wait *wait)
{
    sync_rwlock *rwlock = wait->handle->rwlock;
    int slot, result = claim(wait, true);
    if (result == 1 && !take_record(rwlock, &slot)) {
        is_read(rwlock, os_thread_self(),
                true); /* of who died, it may take the next time */
        hand_down(wait);
        return -EAGAIN;
    }
    if (result >= 0)
        leave_write(rwlock);
    return result;
}

/* How many of the records are this thread's. */
static int readings(const sync_rwlock *rwlock, uint64_t me)
{
    int n = 0;
    for (int i = 0; i < SYNC_READERS; i++)
        n += reader(rwlock, i) == me;
    return n;
}

static int attempt_read(sync_wait *wait, bool thorough)
{
    sync_rwlock *rwlock = wait->handle->rwlock;
    int slot, result;
    bool again = readings(rwlock, os_thread_self()) > 0, full = false;
    if (again || mem_atomic_load64(&rwlock->writer.who) == 0) {
        full = !take_record(rwlock, &slot);
        if (!full && (again || mem_atomic_load64(&rwlock->writer.who) == 0))
            return 0;
        if (!full) {
            mem_atomic_store64(&rwlock->reader[slot].who, 0);
            let_look(rwlock);
        }
    }
    if (!thorough)
        return -EAGAIN;
    if (full)
        is_read(rwlock, os_thread_self(), true);
    /* Without a writer there is nobody to succeed, or it would wake itself for ever. */
    result = mem_atomic_load64(&rwlock->writer.who) ? succeed(wait) : 0;
    if (result != -EAGAIN)
        return result ? result : attempt_read(wait, false);
    return sync_deadlock(wait->handle, &wait->outcome->path) ? -EDEADLK : -EAGAIN;
}

static unsigned waker(const sync_wait *wait)
{
    return sync_cpu(mem_atomic_load64(&wait->handle->rwlock->writer.who));
}

static sync_wait waiting(const sync_handle *handle, int64_t deadline,
                         sync_outcome *outcome)
{
    return (sync_wait){.handle = handle,
                       .word = &handle->rwlock->turn,
                       .waker = waker,
                       .deadline = deadline,
                       .outcome = outcome};
}

/* For writing. A thread that holds it, in whatever way, would wait for itself. */
int sync_rwlock_write(const sync_handle *handle, int64_t deadline, sync_outcome *outcome)
{
    if (sync_handle_held(handle)) {
        outcome->path.n = 1;
        outcome->path.step[0].who = os_thread_self();
        return -EDEADLK;
    }
    sync_wait wait = waiting(handle, deadline, outcome);
    wait.attempt = attempt_write;
    int result = sync_wait_for(&wait);
    if (result < 0 && wait.claimed && wait.value == 1)
        hand_down(&wait);
    else if (result < 0 && wait.claimed)
        leave_write(handle->rwlock);
    return result;
}

/* For reading; a thread that writes can not, nor one that has all the records. */
int sync_rwlock_read(const sync_handle *handle, int64_t deadline, sync_outcome *outcome)
{
    uint64_t me = os_thread_self();
    if (sync_who(mem_atomic_load64(&handle->rwlock->writer.who)) == me ||
        readings(handle->rwlock, me) == SYNC_READERS) {
        outcome->path.n = 1;
        outcome->path.step[0].who = me;
        return -EDEADLK;
    }
    sync_wait wait = waiting(handle, deadline, outcome);
    wait.attempt = attempt_read;
    return sync_wait_for(&wait);
}

/* -EPERM when this thread neither writes nor reads. */
int sync_rwlock_leave(const sync_handle *handle)
{
    sync_rwlock *rwlock = handle->rwlock;
    uint64_t me = os_thread_self();
    if (sync_who(mem_atomic_load64(&rwlock->writer.who)) == me) {
        leave_write(rwlock);
        return 0;
    }
    for (int i = 0; i < SYNC_READERS; i++) {
        if (reader(rwlock, i) == me) {
            mem_atomic_store64(&rwlock->reader[i].who, 0);
            let_look(rwlock);
            return 0;
        }
    }
    return -EPERM;
}
