/*
 * Sleeping on a 32-bit word that processes share.
 *
 * The kernel compares the word and puts the caller to sleep in one step, so a
 * waker that changes the word first and wakes then is never missed.
 */
#include "os/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns 0 when woken, rightly or not, and when the word is not as expected. */
int os_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline)
{
    struct timespec until = os_clock_timespec(deadline);
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
                deadline == OS_CLOCK_FOREVER ? NULL : &until, NULL,
                FUTEX_BITSET_MATCH_ANY) &&
        errno != EAGAIN)
        return -errno;
    return 0;
}

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#define FUTEX_32 2
struct futex_waitv {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};
#endif

#define TURN 1000000 /* nanoseconds for each word, where only one can be waited for */

/* In turns, so that a change is noticed after as many milliseconds as there are words. */
static int wait_in_turn(const os_futex_place *places, size_t n, int64_t deadline)
{
    for (;;) {
        for (size_t i = 0; i < n; i++) {
            int64_t turn = os_clock_now() + TURN;
            int error = os_futex_wait(places[i].word, places[i].expected,
                                      turn < deadline ? turn : deadline);
            if (error != -ETIMEDOUT || os_clock_now() >= deadline)
                return error;
        }
    }
}

/* Returns 0 when some word is woken, rightly or not, or is not as expected. */
int os_futex_wait_any(const os_futex_place *places, size_t n, int64_t deadline)
{
    struct futex_waitv waits[OS_FUTEX_MOST] = {0};
    if (n > OS_FUTEX_MOST)
        return -E2BIG;
    for (size_t i = 0; i < n; i++) {
        waits[i].val = places[i].expected;
        waits[i].uaddr = (uintptr_t)places[i].word;
        waits[i].flags = FUTEX_32;
    }
    struct timespec until = os_clock_timespec(deadline);
    if (syscall(SYS_futex_waitv, waits, n, 0,
                deadline == OS_CLOCK_FOREVER ? NULL : &until, CLOCK_MONOTONIC) >= 0)
        return 0;
    if (errno == ENOSYS || errno == EPERM) /* before Linux 5.16, or a sandbox */
        return wait_in_turn(places, n, deadline);
    return errno == EAGAIN ? 0 : -errno;
}

/* Wakes at most count sleepers and returns how many there were. */
int os_futex_wake(const uint32_t *word, int count)
{
    if (count == 0) /* of which the kernel makes one */
        return 0;
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    return woken < 0 ? -errno : (int)woken;
}
