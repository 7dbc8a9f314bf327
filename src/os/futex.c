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
    struct timespec left, *timeout = os_clock_left(deadline, &left);
    if (syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout, NULL, 0) &&
        errno != EAGAIN)
        return -errno;
    return 0;
}

/* Wakes at most count sleepers and returns how many there were. */
int os_futex_wake(const uint32_t *word, int count)
{
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    return woken < 0 ? -errno : (int)woken;
}
