/*
 * Connected sockets: a pair of them between relatives, or one from elsewhere.
 *
 * Calls never rely on O_NONBLOCK, a flag of the open file that parent and
 * child share: each asks the kernel not to block and waits in poll itself.
 * A peer that has gone is -EPIPE to both directions, never SIGPIPE.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int os_channel_pair(int type, int fd[2])
{
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) ? -errno : 0;
}

/* A duplicate of the descriptor of a socket, so that both can be closed. */
int os_channel_adopt(int fd, int *channel)
{
    int type;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size))
        return -errno;
    if (type != SOCK_STREAM &&
        type != SOCK_SEQPACKET) /* an empty one would look like an end */
        return -EPROTOTYPE;
    *channel = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return *channel < 0 ? -errno : 0;
}

/* The other end reads what is under way, and then the end. */
int os_channel_shutdown(int fd)
{
    return shutdown(fd, SHUT_WR) ? -errno : 0;
}

/* What there is, at least one byte: os_stream_read, to which an end is none. */
int os_channel_receive(int fd, void *data, size_t size, int64_t deadline, size_t *got)
{
    int error = os_stream_read(fd, data, size, deadline, got);
    return error == -ECONNRESET || (!error && *got == 0) ? -EPIPE : error;
}

/* A message of one byte with a descriptor beside it: what SCM_RIGHTS asks for. */
typedef union packet {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
} packet;

static struct msghdr envelope(struct iovec *byte, packet *control)
{
    memset(control, 0, sizeof *control);
    return (struct msghdr){.msg_iov = byte,
                           .msg_iovlen = 1,
                           .msg_control = control->bytes,
                           .msg_controllen = sizeof control->bytes};
}

/* TCP would take the byte, and say nothing of what was to go with it: -EINVAL. */
static int carries_descriptors(int fd)
{
    int domain;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size))
        return -errno;
    return domain == AF_UNIX ? 0 : -EINVAL;
}

int os_channel_send_fd(int fd, int sent, int64_t deadline)
{
    int error = carries_descriptors(fd);
    if (error)
        return error;
    char nothing = 0;
    packet control;
    struct msghdr message = envelope(&(struct iovec){&nothing, 1}, &control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof sent);
    memcpy(CMSG_DATA(header), &sent, sizeof sent);
    while (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        if (errno != EAGAIN)
            return errno == ECONNRESET ? -EPIPE : -errno;
        error = os_fd_wait(fd, POLLOUT, deadline);
        if (error)
            return error;
    }
    return 0;
}

/* What comes while there is no number for it would be lost, and so it is not asked for.
 */
static int has_number(int fd)
{
    int spare = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (spare < 0)
        return -errno;
    close(spare);
    return 0;
}

/* -ENOMSG when what came was a plain byte; it is gone then. */
int os_channel_receive_fd(int fd, int64_t deadline, int *received)
{
    char nothing;
    packet control;
    struct iovec byte = {&nothing, 1};
    for (;;) {
        int error = has_number(fd);
        if (error)
            return error;
        struct msghdr message = envelope(&byte, &control);
        message.msg_controllen =
            CMSG_LEN(sizeof *received); /* room for one, and not two */
        ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n > 0) {
            const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            if (!header || header->cmsg_level != SOL_SOCKET ||
                header->cmsg_type != SCM_RIGHTS ||
                header->cmsg_len < CMSG_LEN(sizeof *received))
                return -ENOMSG;
            memcpy(received, CMSG_DATA(header), sizeof *received);
            return 0;
        }
        if (n == 0 || errno == ECONNRESET)
            return -EPIPE;
        if (errno != EAGAIN)
            return -errno;
        error = os_fd_wait(fd, POLLIN, deadline);
        if (error)
            return error;
    }
}
