/*
 * Signals that are read instead of handled: blocked, and fetched from a signalfd.
 *
 * A blocked signal that arrives before anyone looks stays pending, so none is
 * lost between a check and a wait, as one is between a check and pause(2).
 *
 * Several handles may read the same signal. It is unblocked when the last of
 * them closes, and only if the first had found it unblocked. The signal mask is
 * a thread's own, and so are these counts. What is still pending then meets the
 * disposition that the program had for it.
 */
#include "os/os.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SIGNALS 65

static _Thread_local struct {
    unsigned handles;
    bool unblock; /* it was not blocked before the first handle */
} readers[SIGNALS];

/* "RTMIN", "RTMIN+n", "RTMAX" or "RTMAX-n". */
static int real_time_number(const char *name)
{
    bool from_least = strncmp(name, "RTMIN", 5) == 0;
    if (!from_least && strncmp(name, "RTMAX", 5) != 0)
        return 0;
    int signo = from_least ? SIGRTMIN : SIGRTMAX;
    if (name[5] != '\0') {
        char *end;
        long n = strtol(name + 5, &end, 10); /* with its sign */
        if (end == name + 5 || *end || name[5] != (from_least ? '+' : '-') ||
            labs(n) > SIGNALS)
            return 0;
        signo += (int)n;
    }
    return signo >= SIGRTMIN && signo <= SIGRTMAX ? signo : 0;
}

/* "TERM" and "SIGTERM" are 15, and so on through signal(7); 0 is unknown. */
int os_signal_number(const char *name)
{
    static const struct {
        const char *name;
        int signo;
    } synonyms[] = {{"IO", SIGIO}, {"CLD", SIGCHLD}, {"IOT", SIGABRT}};
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++) {
        if (strcmp(synonyms[i].name, name) == 0)
            return synonyms[i].signo;
    }
    for (int signo = 1; signo < SIGRTMIN; signo++) {
        const char *known = sigabbrev_np(signo);
        if (known && strcmp(known, name) == 0)
            return signo;
    }
    return real_time_number(name);
}

const char *os_signal_name(int signo, char name[OS_SIGNAL_NAME])
{
    const char *known = sigabbrev_np(signo);
    if (known)
        return known;
    if (signo == SIGRTMIN)
        return "RTMIN";
    if (signo > SIGRTMIN && signo <= SIGRTMAX)
        snprintf(name, OS_SIGNAL_NAME, "RTMIN+%d", signo - SIGRTMIN);
    else
        snprintf(name, OS_SIGNAL_NAME, "%d", signo);
    return name;
}

int os_signal_open(os_signals *signals)
{
    /* Blocked before the descriptor exists: a signal in between stays pending. */
    sigset_t before;
    int error = pthread_sigmask(SIG_BLOCK, &signals->set, &before);
    if (error)
        return -error;
    signals->fd = signalfd(-1, &signals->set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0) {
        error = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -error;
    }
    for (int signo = 1; signo < SIGNALS; signo++) {
        if (sigismember(&signals->set, signo) != 1)
            continue;
        if (readers[signo].handles++ == 0)
            readers[signo].unblock = sigismember(&before, signo) == 0;
    }
    return 0;
}

int os_signal_next(os_signals *signals, int64_t deadline, int *signo, pid_t *sender)
{
    for (;;) {
        struct signalfd_siginfo info;
        ssize_t n = read(signals->fd, &info, sizeof info);
        if (n == (ssize_t)sizeof info) {
            *signo = (int)info.ssi_signo;
            *sender = (pid_t)info.ssi_pid;
            return 0;
        }
        if (n < 0 && errno != EAGAIN)
            return -errno;
        int error = os_fd_wait(signals->fd, POLLIN, deadline);
        if (error)
            return error;
    }
}

void os_signal_close(os_signals *signals)
{
    if (signals->fd < 0)
        return;
    os_fd_close(&signals->fd);
    sigset_t unblock;
    sigemptyset(&unblock);
    for (int signo = 1; signo < SIGNALS; signo++) {
        if (sigismember(&signals->set, signo) == 1 && --readers[signo].handles == 0 &&
            readers[signo].unblock)
            sigaddset(&unblock, signo);
    }
    pthread_sigmask(SIG_UNBLOCK, &unblock, NULL);
}

int os_signal_dispose(int signo, bool ignore)
{
    struct sigaction action = {.sa_handler = ignore ? SIG_IGN : SIG_DFL};
    return sigaction(signo, &action, NULL) ? -errno : 0;
}

/* How many of each a handler has seen that does nothing else. */
static volatile sig_atomic_t handled[SIGNALS];

static void count(int signo)
{
    handled[signo] = handled[signo] + 1;
}

int os_signal_count(int signo)
{
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    return sigaction(signo, &action, NULL) ? -errno : 0;
}

int os_signal_counted(int signo)
{
    return (int)handled[signo];
}

/* Until a handler has run, of a signal that comes after this has begun to sleep. */
int os_signal_pause(int64_t deadline)
{
    if (deadline == OS_CLOCK_FOREVER) {
        pause();
        return 0;
    }
    int error = os_clock_sleep(deadline);
    return error == -EINTR ? 0 : error ? error : -ETIMEDOUT;
}

/*
 * Around a call that tells of its failure by a signal as well, SIGPIPE or SIGXFSZ: the
 * error is enough. Both are sent to the thread that made the call.
 */
void os_signal_hush(os_hush *hush)
{
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGPIPE);
    sigaddset(&both, SIGXFSZ);
    sigpending(&hush->pending);
    pthread_sigmask(SIG_BLOCK, &both, &hush->before);
}

/* signo is the one that the call sent, or 0. errno stays as it is. */
void os_signal_unhush(const os_hush *hush, int signo)
{
    int saved = errno;
    if (signo && !sigismember(&hush->pending, signo)) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, signo);
        sigtimedwait(&one, NULL, &(struct timespec){0});
    }
    pthread_sigmask(SIG_SETMASK, &hush->before, NULL);
    errno = saved;
}
