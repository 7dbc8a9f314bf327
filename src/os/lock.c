/*
 * Locks on files that belong to the open file: to all descriptors of it, across fork and
 * across processes, until the last is closed. The kernel drops them when a holder dies.
 *
 * The kernel waits for ever or not at all. A bounded wait asks again and again.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

/* type is F_RDLCK, F_WRLCK or F_UNLCK; n 0 stands for up to the end, wherever that is. */
int os_lock_range(int fd, short type, off_t offset, off_t n, int64_t deadline)
{
    struct flock range = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = offset, .l_len = n};
    int command =
        os_wait_until(deadline) == OS_CLOCK_FOREVER ? F_OFD_SETLKW : F_OFD_SETLK;
    int64_t nap = 0;
    while (fcntl(fd, command, &range)) {
        if (errno != EAGAIN && errno != EACCES)
            return -errno;
        int error = os_clock_nap(deadline, &nap);
        if (error)
            return error;
    }
    return 0;
}

/* Who is in the way of such a lock; range->l_type becomes F_UNLCK if nobody is. */
int os_lock_query(int fd, struct flock *range)
{
    range->l_whence = SEEK_SET;
    return fcntl(fd, F_OFD_GETLK, range) ? -errno : 0;
}

/* The whole of what the descriptor is open on, be it no file: operation is LOCK_SH,
 * LOCK_EX or LOCK_UN. */
int os_lock_whole(int fd, int operation, int64_t deadline)
{
    int64_t nap = 0;
    while (flock(fd, operation | LOCK_NB)) {
        if (errno != EWOULDBLOCK)
            return -errno;
        int error = os_clock_nap(deadline, &nap);
        if (error)
            return error;
    }
    return 0;
}
