/*
 * Whether to spin before sleeping.
 *
 * To wake a sleeper on another cpu takes some 45 us here, and a hand-over between two
 * that spin 0.1 us; but who spins on the waker's own cpu only keeps it from running. So a
 * waker leaves its cpu's number beside the word, and who waits does not spin when that is
 * its own, or the only one there is: there it lets others run, which costs half of what
 * sleeping and being woken does. How many cpus this process may run on does not
 * matter: the waker may be on one that it may not.
 */
#include "os/os.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

_Thread_local bool (*os_wait_interrupted)(void);

unsigned os_wait_cpu(void)
{
    return (unsigned)sched_getcpu() & 1023;
}

void os_wait_yield(void)
{
    sched_yield();
}

bool os_wait_pays(unsigned waker)
{
    static atomic_long cpus;
    if (cpus == 0)
        cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus > 1 && waker != os_wait_cpu();
}
