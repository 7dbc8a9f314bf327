/*
 * Processes: forking, waiting, signalling, asking whether one lives.
 *
 * A process is held by its pidfd, which names that very process: its pid may be
 * given to a stranger as soon as it has been reaped.
 *
 * Where the kernel or a sandbox has no pidfd, a child is held by a socket whose
 * other end it keeps until it dies, and any other process by its start time.
 * That is as good, except that a child's own children can keep the socket longer.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE                                                                            \
    20000000 /* nanoseconds between a child's closing its socket and its end             \
              */

/* In a child without pidfd: its end of the socket that tells the parent of its death. */
static int life = -1;

static int pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool lacks_pidfd(int error)
{
    return error == ENOSYS || error == EPERM;
}

/* What the kernel says of a process or thread. -ESRCH only where there is none any more:
 * who can not be looked at just now is not to be taken for dead. */
static int look_at(pid_t pid, char *state, uint64_t *started)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof text - 1);
    int error = n < 0 ? -errno : 0;
    close(fd);
    if (error)
        return error;
    text[n] = '\0';
    /* The command's name, field 2, may hold anything: count from its last parenthesis. */
    const char *field = strrchr(text, ')');
    unsigned long long ticks;
    if (!field || sscanf(field,
                         ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
                         "%*d %*d %*d %*d %llu",
                         state, &ticks) != 2)
        return -EIO;
    *started = ticks;
    return 0;
}

/*
 * When a process or thread started, in clock ticks since boot. -ESRCH if it has ended,
 * -ENOENT if it never was, or is hidden from us.
 */
int os_process_started(pid_t pid, uint64_t *started)
{
    char state = 0;
    int error = look_at(pid, &state, started);
    return error ? error : state == 'Z' || state == 'X' ? -ESRCH : 0;
}

/* What a process or thread does, in the letters of proc(5), or 0 where that is not to be
 * had. */
char os_process_state(pid_t pid)
{
    uint64_t started;
    char state = 0;
    return look_at(pid, &state, &started) ? 0 : state;
}

/* Whether this process has no child, not even a dead one that nobody waited for. */
bool os_process_childless(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && errno == ECHILD;
}

/* Not a pipe: at the other end's close a socket is readable, a pipe only hung up. */
static int fork_with_socket(os_process *child)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return -errno;
    child->pid = fork();
    if (child->pid == 0) {
        os_fd_close(&ends[0]);
        os_fd_close(&life);
        life = ends[1];
        return 0;
    }
    int error = child->pid < 0 ? -errno : 0;
    os_fd_close(&ends[1]);
    child->fd = ends[0];
    if (error)
        os_fd_close(&child->fd);
    else /* for children that come later, which have this record and no right to wait */
        os_process_started(child->pid, &child->started);
    return error;
}

static int fork_with_pidfd(os_process *child)
{
    /* Where children are not to be waited for, this one could be gone before we hold it.
     */
    struct sigaction before, waiting = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, NULL, &before);
    bool ignored = before.sa_handler == SIG_IGN || before.sa_flags & SA_NOCLDWAIT;
    if (ignored)
        sigaction(SIGCHLD, &waiting, NULL);
    child->pid = fork();
    int error = child->pid < 0 ? -errno : 0;
    if (child->pid > 0) {
        child->pidfd = true;
        child->fd = pidfd_open(child->pid); /* not reaped, so the pid is the child's */
        if (child->fd < 0) {
            error = -errno;
            kill(child->pid, SIGKILL);
            while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        }
    }
    if (ignored)
        sigaction(SIGCHLD, &before, NULL);
    return error;
}

/*
 * In the child the pid is 0. Buffered output is written first, or parent and
 * child would both write it.
 */
int os_process_fork(os_process *child)
{
    *child = (os_process){.fd = -1, .child = true};
    fflush(NULL);
    int probe = pidfd_open(getpid()), error = probe < 0 ? errno : 0;
    os_fd_close(&probe); /* its number is what the child's descriptor needs */
    if (error)
        return lacks_pidfd(error) ? fork_with_socket(child) : -error;
    return fork_with_pidfd(child);
}

int os_process_open(pid_t pid, os_process *process)
{
    *process = (os_process){.fd = pidfd_open(pid), .pid = pid, .pidfd = true};
    if (process->fd >= 0)
        return os_process_alive(process) ? 0 : -ESRCH;
    if (errno == EINVAL || errno == ENOENT) /* a thread's id, not a process's */
        return -ESRCH;
    if (!lacks_pidfd(errno))
        return -errno;
    process->pidfd = false;
    int error = os_process_started(pid, &process->started);
    if (!error && os_thread_process((uint64_t)pid) != pid)
        return -ESRCH;
    return error == -ENOENT ? -ESRCH : error;
}

void os_process_close(os_process *process)
{
    os_fd_close(&process->fd);
}

/* One that has exited and waits to be reaped does not live. One of whom nothing is to be
 * had just then does: its locks and talks are not to be taken from it. */
bool os_process_alive(const os_process *process)
{
    if (process->pidfd)
        return os_fd_wait(process->fd, POLLIN, 0) != 0;
    if (!process->child)
        return os_thread_alive(process->started << 32 | (uint64_t)process->pid);
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        return info.si_pid == 0;
    return process->started &&
           os_thread_alive(process->started << 32 | (uint64_t)process->pid);
}

/* For a child's parent alone, and at once told to who has the record by fork. The status
 * is to be had once. */
int os_process_wait(const os_process *child, int64_t deadline, os_status *status)
{
    if (!child->child)
        return -ECHILD;
    siginfo_t info = {0};
    idtype_t type = child->pidfd ? P_PIDFD : P_PID;
    id_t id = (id_t)(child->pidfd ? child->fd : child->pid);
    if (waitid(type, id, &info, WEXITED | WNOHANG | WNOWAIT))
        return -errno;
    int error = os_fd_wait(child->fd, POLLIN, deadline);
    if (error)
        return error;
    /* The socket closes a moment before the child can be reaped, which who has seen it
     * closed need not know; or long before, if it has executed another program. */
    int64_t grace = os_clock_now() + GRACE;
    for (;;) {
        if (waitid(type, id, &info, WEXITED | WNOHANG))
            return -errno;
        if (info.si_pid != 0)
            break;
        int64_t soon = os_clock_now() + GRACE / 100;
        if (soon > deadline && soon > grace)
            return -ETIMEDOUT;
        error = os_clock_sleep(soon);
        if (error)
            return error;
    }
    status->killed = info.si_code != CLD_EXITED;
    status->code = info.si_status;
    return 0;
}

/* One that waits to be reaped would still take it, and do nothing. */
int os_process_signal(const os_process *process, int signo)
{
    if (!os_process_alive(process))
        return -ESRCH;
    if (process->pidfd)
        return syscall(SYS_pidfd_send_signal, process->fd, signo, NULL, 0) ? -errno : 0;
    return os_process_kill(process->pid, signo);
}

int os_process_kill(pid_t pid, int signo)
{
    return kill(pid, signo) ? -errno : 0;
}

static int close_range_of(unsigned first, unsigned last)
{
    return first <= last && close_range(first, last, 0) ? -errno : 0;
}

/* Closes what the process inherited, but not what tells its parent of its death. */
int os_process_close_range(unsigned first, unsigned last)
{
    if (life < 0 || (unsigned)life < first || (unsigned)life > last)
        return close_range_of(first, last);
    int error = life > 0 ? close_range_of(first, (unsigned)life - 1) : 0;
    return error ? error : close_range_of((unsigned)life + 1, last);
}

/* The kernel kills this process, with -9, so many nanoseconds from now. */
int os_process_end_after(int64_t time)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec when = {.it_value = os_clock_timespec(time ? time : 1)};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer))
        return -errno;
    return timer_settime(timer, 0, &when, NULL) ? -errno : 0;
}

/* Writes out what the process has buffered, and runs nothing of its parent's. */
_Noreturn void os_process_exit(int code)
{
    fflush(NULL);
    _exit(code);
}
