/*
 * Included before examples/peer.h, for tests: the process kills itself before the PEER_DIE-th
 * store to shared memory; PEER_SLICES=no lets it sleep on a futex until it is woken, without
 * ever looking by itself; and PEER_WOKE=yes tells in the end how many sleepers it has woken.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static long peer_stores_left, peer_woken;
static int peer_slices;

__attribute__((constructor)) static void peer_hooks_begin(void)
{
    const char *die = getenv("PEER_DIE");
    peer_stores_left = die ? atol(die) : -1;
    peer_slices = getenv("PEER_SLICES") == NULL;
}

__attribute__((destructor)) static void peer_hooks_end(void)
{
    if (getenv("PEER_WOKE"))
        printf("woke %ld\n", peer_woken);
}

static inline void peer_store_hook(void)
{
    if (peer_stores_left > 0 && --peer_stores_left == 0)
        kill(getpid(), SIGKILL);
}

/* As libc's own, which takes any number up to six. */
static inline long peer_syscall_hook(long number, ...)
{
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    int operation = (int)a[1];
    if (number == SYS_futex && operation == FUTEX_WAIT_BITSET && !peer_slices)
        a[3] = 0;
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_futex && operation == FUTEX_WAKE && result > 0)
        peer_woken += result;
    return result;
}

#define syscall peer_syscall_hook
#define PEER_STORE() peer_store_hook()
