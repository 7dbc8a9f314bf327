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

static _Thread_local struct robust_list_head *head
    __attribute__((tls_model("initial-exec")));
static _Thread_local struct robust_list_head own; /* where libc has registered none */

static int find(void)
{
    size_t size;
    if (syscall(SYS_get_robust_list, 0, &head, &size))
        return -errno;
    if (head && size == sizeof *head)
        return 0;
    own.list.next = &own.list;
    if (syscall(SYS_set_robust_list, &own, sizeof own))
        return -errno;
    head = &own;
    return 0;
}

/* -EDEADLK when there is such a word already, which is one at a time. */
int os_robust_begin(uint32_t *word)
{
    if (__builtin_expect(!head, 0)) {
        int error = find();
        if (error)
            return error;
    }
    if (head->list_op_pending)
        return -EDEADLK;
    *(struct robust_list *volatile *)&head->list_op_pending =
        (void *)((uint8_t *)word - head->futex_offset);
    return 0;
}

void os_robust_end(void)
{
    *(struct robust_list *volatile *)&head->list_op_pending = NULL;
}
