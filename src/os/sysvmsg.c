/*
 * System V message queues.
 *
 * The size that goes to the kernel is that of the text, without the type before it. The
 * kernel waits for ever or not at all: a bounded wait asks again and again.
 */
#include "os/os.h"

#include <errno.h>

int os_sysvmsg_get(key_t key, size_t unused, int flags, int *id)
{
    (void)unused;
    *id = msgget(key, flags);
    return *id < 0 ? -errno : 0;
}

static int patient(int flags, int64_t deadline)
{
    return os_wait_until(deadline) == OS_CLOCK_FOREVER ? flags : flags | IPC_NOWAIT;
}

/* What to make of EAGAIN and ENOMSG: give up, or try again after a nap. */
static int again(int flags, int64_t deadline, int64_t *nap)
{
    if (flags & IPC_NOWAIT)
        return -errno;
    if (errno == EINVAL && *nap) /* it was there before: the call would have said so */
        return -EIDRM;
    return errno == EAGAIN || errno == ENOMSG ? os_clock_nap(deadline, nap) : -errno;
}

int os_sysvmsg_send(int id, const struct msgbuf *message, size_t size, int flags,
                    int64_t deadline)
{
    int64_t nap = 0;
    while (msgsnd(id, message, size, patient(flags, deadline))) {
        int error = again(flags, deadline, &nap);
        if (error)
            return error;
    }
    return 0;
}

int os_sysvmsg_receive(int id, struct msgbuf *message, size_t size, long type, int flags,
                       int64_t deadline, size_t *got)
{
    int64_t nap = 0;
    for (;;) {
        ssize_t n = msgrcv(id, message, size, type, patient(flags, deadline));
        if (n >= 0) {
            *got = (size_t)n;
            return 0;
        }
        int error = again(flags, deadline, &nap);
        if (error)
            return error;
    }
}

/* IPC_STAT, or by index MSG_STAT and MSG_STAT_ANY, which give the id; or -errno. */
int os_sysvmsg_stat(int id, int command, struct msqid_ds *stat)
{
    int result = msgctl(id, command, stat);
    return result < 0 ? -errno : result;
}

int os_sysvmsg_set(int id, struct msqid_ds *stat)
{
    return msgctl(id, IPC_SET, stat) ? -errno : 0;
}

int os_sysvmsg_remove(int id)
{
    return msgctl(id, IPC_RMID, NULL) ? -errno : 0;
}

/* IPC_INFO or MSG_INFO; the highest index in use, or -errno. */
int os_sysvmsg_info(int command, struct msginfo *info)
{
    int highest = msgctl(0, command, (struct msqid_ds *)info);
    return highest < 0 ? -errno : highest;
}
