/*
 * A descriptor that is readable when an object may be had, for event loops.
 *
 * The kernel has none for a word in memory, so a thread of this process sleeps at the
 * word and writes to an eventfd. It takes nothing: whoever reads of it tries, and may
 * find that another was faster. Then it asks to be told again, which empties the eventfd
 * first, so that nothing is told of twice and nothing missed: the thread looks before it
 * sleeps.
 *
 * The state is this process's: told, asked to tell, or to end. A child made by fork has
 * no such thread, and makes one of its own.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

enum { TOLD, ASKED, END };

struct sync_notice {
    int fd;
    uint32_t state;
    pthread_t thread;
    uint64_t maker; /* whose thread it is */
    uint64_t seen;  /* a counter's value that is no news; whether a rwlock is to write */
    sync_handle handle;
};

/* Whether it could be had now; thorough looks whether its holder lives. */
static bool is_ready(const sync_notice *notice, bool thorough)
{
    const sync_handle *handle = &notice->handle;
    uint64_t held = 0, seen = mem_atomic_load64(&notice->seen);
    switch (handle->kind) {
    case SYNC_MUTEX:
        held = mem_atomic_load64(&handle->mutex->owner.who);
        break;
    case SYNC_RWLOCK:
        if (seen && sync_rwlock_is_read(handle->rwlock, thorough))
            return false;
        held = mem_atomic_load64(&handle->rwlock->writer.who);
        break;
    case SYNC_SEMAPHORE:
        held = mem_atomic_load32(&handle->semaphore->count);
        return held > 0 && held <= INT32_MAX; /* more is scribble */
    case SYNC_EVENT:
        return mem_atomic_load32(&handle->event->set) != 0;
    case SYNC_EVENTCOUNT:
        return handle->ready(handle);
    default:
        return mem_atomic_load64(&handle->counter->value) != seen;
    }
    return held == 0 || (thorough && !os_thread_alive(sync_who(held)));
}

/*
 * Sleeps until the object is ready or the thread shall end. Nothing was told of since it
 * was asked to; what was written so late that somebody had asked already is forgotten.
 */
static void watch(sync_notice *notice)
{
    const sync_handle *handle = &notice->handle;
    const uint32_t *word = sync_word(handle);
    uint64_t name = os_thread_self() | SYNC_ANY;
    int slot = sync_waiters_enter(handle, name);
    bool told = false;
    os_fd_forget(notice->fd);
    while (!told && mem_atomic_load32(&notice->state) == ASKED) {
        sync_waiters_again(handle, slot);
        os_futex_place places[] = {{word, mem_atomic_load32(word)},
                                   {&notice->state, ASKED}};
        if (is_ready(notice, true)) {
            uint32_t asked = ASKED;
            told = mem_atomic_cas32(&notice->state, &asked, TOLD);
            if (told)
                os_fd_notify(notice->fd);
        } else if (sync_may_sleep(handle->kind, places[0].expected) &&
                   sync_waiters_shown(handle, slot))
            os_futex_wait_any(places, 2, os_clock_now() + OS_WAIT_SLICE);
    }
    sync_waiters_leave(&handle->object->waiters, slot, name);
    sync_wake(&handle->object->waiters, word, 1); /* it may have been woken for another */
}

static void *run(void *context)
{
    sync_notice *notice = context;
    uint32_t state;
    while ((state = mem_atomic_load32(&notice->state)) != END) {
        if (state == ASKED)
            watch(notice);
        else
            os_futex_wait(&notice->state, TOLD, OS_CLOCK_FOREVER);
    }
    return NULL;
}

/*
 * The signals that are this process's are none of that thread's; but a fault is its own,
 * and where that is blocked the kernel ends the process.
 */
static int start(sync_notice *notice)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&notice->thread, NULL, run, notice);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

/* Gives the object one, which tells of it from now on; seen as sync_notice_ask has it. */
int sync_notice_open(const sync_handle *handle, uint64_t seen, sync_notice **opened)
{
    sync_notice *notice = calloc(1, sizeof *notice);
    if (!notice)
        return -ENOMEM;
    notice->handle = *handle;
    notice->state = ASKED;
    notice->seen = seen;
    notice->maker = os_thread_self();
    int error = os_fd_event(&notice->fd);
    error = error ? error : start(notice);
    if (error) {
        os_fd_close(&notice->fd);
        free(notice);
        return error;
    }
    mem_mapping_retain(handle->mapping);
    *opened = notice;
    return 0;
}

/* The descriptor, or -1 when it is the parent's, before the fork. */
int sync_notice_fd(const sync_notice *notice)
{
    return notice->maker == os_thread_self() ? notice->fd : -1;
}

/*
 * After it could not be had: nothing is to be told until it can. Seen is a counter's
 * value as it was looked at before, so that what came since is told of; or not 0 for who
 * could not write in a rwlock, and would not be served by one that others read.
 */
void sync_notice_ask(sync_notice *notice, uint64_t seen)
{
    uint32_t told = TOLD;
    if (sync_notice_fd(notice) < 0)
        return;
    mem_atomic_store64(&notice->seen, seen); /* also where it is still to be told of */
    if (mem_atomic_load32(&notice->state) != TOLD)
        return;
    os_fd_forget(notice->fd);
    if (mem_atomic_cas32(&notice->state, &told, ASKED))
        os_futex_wake(&notice->state, INT_MAX);
}

void sync_notice_close(sync_notice *notice)
{
    mem_mapping *mapping = notice->handle.mapping;
    if (sync_notice_fd(notice) >= 0) {
        mem_atomic_store32(&notice->state, END);
        os_futex_wake(&notice->state, INT_MAX);
        pthread_join(notice->thread, NULL);
    }
    os_fd_close(&notice->fd);
    free(notice);
    mem_mapping_release(mapping);
}
