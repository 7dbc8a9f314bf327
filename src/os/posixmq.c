/*
 * POSIX message queues. To Linux a queue is a descriptor, which can be polled.
 *
 * The kernel's time-outs are on the clock that people set. So a bounded wait is made of
 * slices, and the deadline is looked at on the monotonic clock in between.
 */
#include "os/os.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define COOKIE 32 /* bytes that the kernel sends, and whose last it sets to why */

int os_posixmq_open(const char *name, int flags, mode_t mode, struct mq_attr *attributes,
                    mqd_t *queue)
{
    *queue = mq_open(name, flags | O_CLOEXEC, mode, attributes);
    return *queue < 0 ? -errno : 0;
}

int os_posixmq_unlink(const char *name)
{
    return mq_unlink(name) ? -errno : 0;
}

int os_posixmq_attributes(mqd_t queue, struct mq_attr *attributes)
{
    return mq_getattr(queue, attributes) ? -errno : 0;
}

/* Only O_NONBLOCK can be changed. */
int os_posixmq_set(mqd_t queue, const struct mq_attr *attributes)
{
    return mq_setattr(queue, attributes, NULL) ? -errno : 0;
}

/* A moment on the clock of the kernel's time-outs, at most a second ahead. */
static struct timespec soon(int64_t deadline)
{
    struct timespec until;
    int64_t left = deadline - os_clock_now();
    if (left <= 0)
        return (struct timespec){0};
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += left < SECOND ? left : SECOND;
    until.tv_sec += until.tv_nsec / SECOND;
    until.tv_nsec %= SECOND;
    return until;
}

int os_posixmq_send(mqd_t queue, const void *data, size_t size, unsigned priority,
                    int64_t deadline)
{
    for (;;) {
        int64_t until = os_wait_until(deadline);
        struct timespec slice = soon(until);
        int result = until != OS_CLOCK_FOREVER
                         ? mq_timedsend(queue, data, size, priority, &slice)
                         : mq_send(queue, data, size, priority);
        if (result == 0)
            return 0;
        if (errno != ETIMEDOUT)
            return -errno;
        if (os_clock_now() >= until)
            return os_wait_over(deadline, until);
    }
}

int os_posixmq_receive(mqd_t queue, void *data, size_t size, unsigned *priority,
                       int64_t deadline, size_t *got)
{
    for (;;) {
        int64_t until = os_wait_until(deadline);
        struct timespec slice = soon(until);
        ssize_t n = until != OS_CLOCK_FOREVER
                        ? mq_timedreceive(queue, data, size, priority, &slice)
                        : mq_receive(queue, data, size, priority);
        if (n >= 0) {
            *got = (size_t)n;
            return 0;
        }
        if (errno != ETIMEDOUT)
            return -errno;
        if (os_clock_now() >= until)
            return os_wait_over(deadline, until);
    }
}

/*
 * Asks to be told of the next message that comes while the queue is empty. The kernel
 * tells by a packet on a netlink socket, which is how libc starts its thread for
 * SIGEV_THREAD; here it is the socket that is wanted.
 */
int os_posixmq_notify(mqd_t queue, int *socket_fd)
{
    char cookie[COOKIE] = {0};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_signo = fd};
    event.sigev_value.sival_ptr = cookie;
    if (syscall(SYS_mq_notify, queue, &event)) {
        int error = -errno;
        close(fd);
        return error;
    }
    *socket_fd = fd;
    return 0;
}

int os_posixmq_notify_end(mqd_t queue)
{
    return syscall(SYS_mq_notify, queue, NULL) ? -errno : 0;
}

/* Whether the kernel has told, or given up, without taking the packet: it may be another
 * process's, after fork. */
bool os_posixmq_told(int socket_fd)
{
    char cookie[COOKIE];
    return recv(socket_fd, cookie, sizeof cookie, MSG_DONTWAIT | MSG_PEEK) == COOKIE;
}

/* 0 when told of a message, -ECANCELED when the registration was given up. */
int os_posixmq_notified(int socket_fd, int64_t deadline)
{
    char cookie[COOKIE];
    for (;;) {
        ssize_t n = recv(socket_fd, cookie, sizeof cookie, MSG_DONTWAIT);
        if (n == COOKIE)
            return cookie[COOKIE - 1] == 1 ? 0 : -ECANCELED; /* NOTIFY_WOKENUP */
        if (n < 0 && errno != EAGAIN)
            return -errno;
        int error = os_fd_wait(socket_fd, POLLIN, deadline);
        if (error)
            return error;
    }
}
