/*
 * Floor 0: the kernel, one file per object.
 *
 * Plain C without Lua. Functions return 0 (or a count) or -errno, take the
 * caller's memory, never print and never exit. Whatever can block takes a
 * deadline on CLOCK_MONOTONIC and ends with -EINTR when a signal arrives.
 */
#ifndef LSHM_OS_H
#define LSHM_OS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/types.h>
#include <time.h>

#pragma GCC visibility push(hidden)

/* clock.c: deadlines, in nanoseconds of CLOCK_MONOTONIC */
#define OS_CLOCK_FOREVER INT64_MAX

int64_t os_clock_now(void);
int64_t os_clock_deadline(double seconds);
struct timespec *os_clock_left(int64_t deadline, struct timespec *left);
int os_clock_sleep(int64_t deadline);

/* fd.c: what every descriptor can do */
int os_fd_wait(int fd, short events, int64_t deadline);
void os_fd_close(int *fd);
int os_fd_setsockopt(int fd, int level, int name, int value);

/* channel.c: connected sockets */
int os_channel_pair(int type, int fd[2]);
int os_channel_adopt(int fd, int *channel);
int os_channel_shutdown(int fd);
int os_channel_send(int fd, const void *data, size_t size, int64_t deadline,
                    size_t *sent);
int os_channel_receive(int fd, void *data, size_t size, int64_t deadline, size_t *got);

/* process.c: children and other processes */
typedef struct os_process {
    int fd;     /* readable once the process has ended; -1 when closed or not to be had */
    pid_t pid;  /* 0 in a child that has just been forked */
    bool child; /* of this process, which alone may reap it, by this record */
    bool pidfd; /* what fd is; otherwise it is a socket to a child */
    uint64_t
        started; /* without any fd: what tells it from a later process of the same pid */
} os_process;

typedef struct os_status {
    bool killed; /* by a signal, rather than by exit */
    int code;    /* the exit code or the signal's number */
} os_status;

int os_process_fork(os_process *child);
int os_process_open(pid_t pid, os_process *process);
void os_process_close(os_process *process);
bool os_process_alive(const os_process *process);
int os_process_wait(const os_process *child, int64_t deadline, os_status *status);
int os_process_signal(const os_process *process, int signo);
int os_process_kill(pid_t pid, int signo);
int os_process_close_range(unsigned first, unsigned last);
_Noreturn void os_process_exit(int code);

/* signal.c: signals that are read instead of handled */
#define OS_SIGNAL_NAME 16

typedef struct os_signals {
    int fd;       /* signalfd, -1 when closed */
    sigset_t set; /* what it reads */
} os_signals;

int os_signal_number(const char *name);
const char *os_signal_name(int signo, char name[OS_SIGNAL_NAME]);
int os_signal_open(os_signals *signals);
int os_signal_next(os_signals *signals, int64_t deadline, int *signo, pid_t *sender);
void os_signal_close(os_signals *signals);
int os_signal_dispose(int signo, bool ignore);

/* futex.c: sleeping on a 32-bit word that processes share */
int os_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline);
int os_futex_wake(const uint32_t *word, int count);

/* sysv.c: what all System V objects share */
int os_sysv_key(const char *path, int number, key_t *key);

/* sysvshm.c: System V shared memory segments */
int os_sysvshm_get(key_t key, size_t size, int flags, int *id);
int os_sysvshm_attach(int id, const void *address, int flags, void **base, size_t *size);
int os_sysvshm_detach(void *base, size_t size);
int os_sysvshm_stat(int id, struct shmid_ds *stat);
int os_sysvshm_set(int id, struct shmid_ds *stat);
int os_sysvshm_remove(int id);

/* sysvsem.c: System V semaphore sets */
int os_sysvsem_get(key_t key, size_t count, int flags, int *id);
int os_sysvsem_op(int id, struct sembuf *ops, size_t count, int64_t deadline);
int os_sysvsem_stat(int id, struct semid_ds *stat);
int os_sysvsem_set(int id, struct semid_ds *stat);
int os_sysvsem_remove(int id);
int os_sysvsem_query(int id, int num, int command);
int os_sysvsem_set_value(int id, int num, int value);
int os_sysvsem_get_all(int id, unsigned short *values);
int os_sysvsem_set_all(int id, unsigned short *values);

#pragma GCC visibility pop

#endif
