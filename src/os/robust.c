/*
 * Words that the kernel marks when the thread that owns them dies.
 *
 * libc registers a list of robust locks for each thread. Its head has room for one lock
 * that is just being taken or released, and that is all we use: between begin and end it
 * points at our word. If the thread dies there and the word holds its id, the kernel sets
 * OS_ROBUST_DIED and wakes a waiter; if the word is free by then, it wakes one, too. No
 * lock of libc's may be taken in between that is robust itself. The list is this thread's
 * memory: nothing of it lies where another process could bend it.
 */
#include "os/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct robust_list_head *os_robust_head;
static _Thread_local struct robust_list_head own; /* where libc has registered none */

int os_robust_find(void)
{
    size_t size;
    if (syscall(SYS_get_robust_list, 0, &os_robust_head, &size))
        return -errno;
    if (os_robust_head && size == sizeof *os_robust_head)
        return 0;
    own.list.next = &own.list;
    if (syscall(SYS_set_robust_list, &own, sizeof own))
        return -errno;
    os_robust_head = &own;
    return 0;
}
