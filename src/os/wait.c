/*
 * Whether to spin before sleeping.
 *
 * To wake a sleeper on another cpu takes some 45 us here, and a hand-over between two
 * that spin 0.1 us; but who spins on the waker's own cpu only keeps it from running. So a
 * waker leaves its cpu's number beside the word, and who waits does not spin when that is
 * its own, or when it may run on one only. How many those are is looked up before each
 * sleep, where a system call does not matter.
 */
#include "os/os.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_int usable;

unsigned os_wait_cpu(void)
{
    return (unsigned)sched_getcpu() & 1023;
}

/* How many cpus this process may run on, by now. */
void os_wait_look(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? 2 : CPU_COUNT(&set);
    usable = n;
}

bool os_wait_pays(unsigned waker)
{
    if (usable == 0)
        os_wait_look();
    return usable > 1 && waker != os_wait_cpu();
}
