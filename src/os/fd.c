/*
 * What every descriptor can do, whatever stands behind it.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * A program that was started with a standard stream closed would get that number for what
 * it opens next, and print into shared memory. A path stands there from then on: to read
 * and to write it is EBADF, as if it were closed.
 */
void os_fd_stand_in(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        int opened = open("/", O_PATH);
        if (opened > fd) /* one below could not be had */
            close(opened);
    }
}

/* A look that does not wait is not interrupted either: whoever only asks takes that for
 * an answer. */
int os_fd_wait(int fd, short events, int64_t deadline)
{
    struct pollfd poll = {.fd = fd, .events = events};
    struct timespec left;
    int64_t until = os_wait_until(deadline);
    int ready;
    do
        ready = ppoll(&poll, 1, os_clock_left(until, &left), NULL);
    while (ready < 0 && errno == EINTR && os_clock_now() >= until);
    if (ready < 0)
        return -errno;
    return ready ? 0 : os_wait_over(deadline, until);
}

/* Forgets the number first: closing twice could hit a stranger's descriptor. */
void os_fd_close(int *fd)
{
    int closing = *fd;
    *fd = -1;
    if (closing < 0)
        return;
    os_fork_forget(closing);
    close(closing);
}

int os_fd_setsockopt(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) ? -errno : 0;
}

/* One that is readable from os_fd_notify to os_fd_forget. */
int os_fd_event(int *fd)
{
    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *fd < 0 ? -errno : 0;
}

void os_fd_notify(int fd)
{
    while (eventfd_write(fd, 1) && errno == EINTR)
        continue;
}

void os_fd_forget(int fd)
{
    eventfd_t times;
    while (eventfd_read(fd, &times) && errno == EINTR)
        continue;
}
