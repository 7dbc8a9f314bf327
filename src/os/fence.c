/*
 * A fence that one side pays for both.
 *
 * "Store mine, then load yours" on both sides needs a fence between the two on each.
 * Where one side comes there a million times as often as the other, the rare one can have
 * the kernel run a fence on every processor that runs a thread of a process that has
 * joined, and the frequent one needs none: what it stored before that moment the rare
 * side finds, and what it loads after that moment is what the rare side had stored. A
 * thread that is not running at that moment has been through a fence when it was switched
 * away from.
 *
 * Whether a process has joined is its own: who execs has not, and who forked may not
 * have.
 */
#include "os/os.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static int membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) < 0 ? -errno : 0;
}

/* 0 when this process may go without its fences; an older kernel has no such thing, and
 * a container may refuse it. */
int os_fence_join(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

/* The fence of all who have joined. Where this process may not ask for it, they may not
 * see for a while what it stored. */
void os_fence_all(void)
{
    membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}
