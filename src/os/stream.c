/*
 * Bytes to and from any descriptor: socket, pipe or file.
 *
 * Sockets are asked not to block and waited for in poll, as in channel.c. Others block
 * once poll found them ready, and so a bounded write goes in pieces that a pipe which is
 * ready has room for. An end that has gone is -EPIPE, never SIGPIPE. A write that a
 * signal cuts short says how much it wrote, and not that there was one.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* write, without the signals that a pipe without a reader and a limit's end send: a pipe
 * whose reader goes meanwhile sends one, too, and says how much it had taken. */
static ssize_t write_quietly(int fd, const void *data, size_t size)
{
    os_hush hush;
    os_signal_hush(&hush);
    ssize_t n = write(fd, data, size);
    int signo = 0;
    if (n < 0)
        signo = errno == EPIPE ? SIGPIPE : errno == EFBIG ? SIGXFSZ : 0;
    else if ((size_t)n < size)
        signo = SIGPIPE;
    os_signal_unhush(&hush, signo);
    return n;
}

/* Whether it was a signal that cut a write short. Where pipes and terminals may block,
 * nothing else does, but that nobody reads any more: the next write will tell. */
static bool interrupted(int fd)
{
    struct stat stat;
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || flags & O_NONBLOCK || fstat(fd, &stat))
        return false;
    if (!S_ISFIFO(stat.st_mode) && !isatty(fd))
        return false;
    return poll(&look, 1, 0) >= 0 && !(look.revents & POLLERR);
}

static ssize_t send_some(int fd, const char *data, size_t size, int64_t deadline,
                         bool *cut)
{
    ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0 || errno != ENOTSOCK)
        return n;
    if (os_wait_until(deadline) != OS_CLOCK_FOREVER) {
        int error = os_fd_wait(fd, POLLOUT, deadline);
        if (error) {
            errno = -error;
            return -1;
        }
        size = size < PIPE_BUF ? size : PIPE_BUF;
    }
    n = write_quietly(fd, data, size);
    *cut = n >= 0 && (size_t)n < size;
    return n;
}

/* Writes all of it; *sent tells how far it came when it returns an error. */
int os_stream_write(int fd, const void *data, size_t size, int64_t deadline, size_t *sent)
{
    for (*sent = 0; *sent < size;) {
        bool cut = false;
        const char *rest = (const char *)data + *sent;
        ssize_t n = send_some(fd, rest, size - *sent, deadline, &cut);
        if (n >= 0) {
            *sent += (size_t)n;
            if (cut && interrupted(fd))
                return -EINTR;
            continue;
        }
        if (errno != EAGAIN)
            return errno == ECONNRESET ? -EPIPE : -errno;
        int error = os_fd_wait(fd, POLLOUT, deadline);
        if (error)
            return error;
    }
    return 0;
}

/* Reads what there is, at most size; *got 0 is the end. */
int os_stream_read(int fd, void *data, size_t size, int64_t deadline, size_t *got)
{
    *got = 0;
    while (size > 0) {
        ssize_t n = recv(fd, data, size, MSG_DONTWAIT);
        if (n < 0 && errno == ENOTSOCK) {
            int error = os_wait_until(deadline) == OS_CLOCK_FOREVER
                            ? 0
                            : os_fd_wait(fd, POLLIN, deadline);
            if (error)
                return error;
            n = read(fd, data, size);
        }
        if (n >= 0) {
            *got = (size_t)n;
            return 0;
        }
        if (errno != EAGAIN)
            return -errno;
        int error = os_fd_wait(fd, POLLIN, deadline);
        if (error)
            return error;
    }
    return 0;
}
