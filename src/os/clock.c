/*
 * The monotonic clock and deadlines on it.
 *
 * A time-out is turned into a deadline once, at the door, so that a wait which
 * is interrupted or woken in vain does not start counting anew.
 */
#include "os/os.h"

#include <errno.h>

#define NANOSECONDS 1000000000LL
#define FIRST_NAP 50000LL
#define LONGEST_NAP 10000000LL
#define LONGEST_WAIT 1e9 /* seconds; beyond 30 years a wait is for ever */

int64_t os_clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NANOSECONDS + now.tv_nsec;
}

int64_t os_clock_deadline(double seconds)
{
    if (seconds >= LONGEST_WAIT)
        return OS_CLOCK_FOREVER;
    return os_clock_now() + (int64_t)(seconds * (double)NANOSECONDS);
}

/* As the kernel takes it, whether it is a deadline or how long. */
struct timespec os_clock_timespec(int64_t nanoseconds)
{
    return (struct timespec){.tv_sec = nanoseconds / NANOSECONDS,
                             .tv_nsec = nanoseconds % NANOSECONDS};
}

/* The time until the deadline, zero when it has passed; NULL stands for ever. */
struct timespec *os_clock_left(int64_t deadline, struct timespec *left)
{
    if (deadline == OS_CLOCK_FOREVER)
        return NULL;
    int64_t nanoseconds = deadline - os_clock_now();
    if (nanoseconds < 0)
        nanoseconds = 0;
    *left = os_clock_timespec(nanoseconds);
    return left;
}

int os_clock_sleep(int64_t deadline)
{
    int error = os_wait_begin();
    if (error)
        return error;
    struct timespec until = os_clock_timespec(deadline);
    return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/*
 * For what the kernel waits for either for ever or not at all: sleeps until it is time to
 * try again, less often as it goes on. *nap is 0 at first.
 */
int os_clock_nap(int64_t deadline, int64_t *nap)
{
    int64_t now = os_clock_now();
    if (now >= deadline)
        return -ETIMEDOUT;
    *nap = *nap ? *nap * 2 : FIRST_NAP;
    if (*nap > LONGEST_NAP)
        *nap = LONGEST_NAP;
    return os_clock_sleep(deadline - now < *nap ? deadline : now + *nap);
}
