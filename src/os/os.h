/*
 * Floor 0: the kernel, one file per object.
 *
 * Plain C without Lua. Functions return 0 (or a count) or -errno, take the
 * caller's memory, never print and never exit. Whatever can block takes a
 * deadline on CLOCK_MONOTONIC and ends with -EINTR when a signal arrives.
 */
#ifndef LSHM_OS_H
#define LSHM_OS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/* What is hardly ever called, so that the way past it is straight. */
#define LSHM_RARE __attribute__((cold))

#pragma GCC visibility push(hidden)

/* clock.c: deadlines, in nanoseconds of CLOCK_MONOTONIC */
#define OS_CLOCK_FOREVER INT64_MAX

int64_t os_clock_now(void);
int64_t os_clock_deadline(double seconds);
struct timespec os_clock_timespec(int64_t nanoseconds);
struct timespec *os_clock_left(int64_t deadline, struct timespec *left);
int os_clock_sleep(int64_t deadline);
int os_clock_nap(int64_t deadline, int64_t *nap);

/* fd.c: what every descriptor can do */
void os_fd_stand_in(void);
int os_fd_wait(int fd, short events, int64_t deadline);
void os_fd_close(int *fd);
int os_fd_event(int *fd);
void os_fd_notify(int fd);
void os_fd_forget(int fd);
int os_fd_setsockopt(int fd, int level, int name, int value);

/* fork.c: descriptors that children do not have */
int os_fork_without(int fd);
void os_fork_forget(int fd);

/* stream.c: bytes to and from any descriptor */
int os_stream_write(int fd, const void *data, size_t size, int64_t deadline,
                    size_t *sent);
int os_stream_read(int fd, void *data, size_t size, int64_t deadline, size_t *got);

/* channel.c: connected sockets */
int os_channel_pair(int type, int fd[2]);
int os_channel_adopt(int fd, int *channel);
int os_channel_shutdown(int fd);
int os_channel_receive(int fd, void *data, size_t size, int64_t deadline, size_t *got);
int os_channel_send_fd(int fd, int sent, int64_t deadline);
int os_channel_receive_fd(int fd, int64_t deadline, int *received);

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
int os_process_started(pid_t pid, uint64_t *started);
char os_process_state(pid_t pid);
bool os_process_childless(void);
void os_process_close(os_process *process);
bool os_process_alive(const os_process *process);
int os_process_wait(const os_process *child, int64_t deadline, os_status *status);
int os_process_signal(const os_process *process, int signo);
int os_process_kill(pid_t pid, int signo);
int os_process_close_range(unsigned first, unsigned last);
int os_process_end_after(int64_t time);
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
int os_signal_count(int signo);
int os_signal_counted(int signo);
int os_signal_pause(int64_t deadline);

typedef struct os_hush {
    sigset_t before, pending;
} os_hush;

void os_signal_hush(os_hush *hush);
void os_signal_unhush(const os_hush *hush, int signo);

/* futex.c: sleeping on a 32-bit word that processes share */
#define OS_FUTEX_MOST 64 /* words that can be waited for at once */

typedef struct os_futex_place {
    const uint32_t *word;
    uint32_t expected;
} os_futex_place;

int os_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline);
int os_futex_wait_any(const os_futex_place *places, size_t n, int64_t deadline);
int os_futex_wake(const uint32_t *word, int count);

/* fence.c: fences that one side pays for both */
int os_fence_join(void);
void os_fence_all(void);

/* thread.c: who a thread is, also to other processes and after its end */
#define OS_THREAD_TID 0x3fffffu   /* the bits of an identity that are the thread's id */
#define OS_THREAD_CPU 0xffc00000u /* and those that are left for other use */

extern _Thread_local uint64_t os_thread_identity
    __attribute__((tls_model("initial-exec")));

uint64_t os_thread_identify(void);
uint64_t os_thread_leader(void);
bool os_thread_alive(uint64_t thread);
pid_t os_thread_process(uint64_t thread);
uint64_t os_thread_namespace(void);

static inline uint64_t os_thread_self(void)
{
    uint64_t self = os_thread_identity;
    return __builtin_expect(self != 0, 1) ? self : os_thread_identify();
}

/* robust.c: words that the kernel marks when the thread dies */
#define OS_ROBUST_WAITERS 0x80000000u
#define OS_ROBUST_DIED 0x40000000u
#define OS_ROBUST_TID 0x3fffffffu

extern _Thread_local struct robust_list_head *os_robust_head
    __attribute__((tls_model("initial-exec")));

int os_robust_find(void);

/* -EDEADLK when there is such a word already, which is one at a time. */
static inline int os_robust_begin(uint32_t *word)
{
    if (__builtin_expect(!os_robust_head, 0)) {
        int error = os_robust_find();
        if (error)
            return error;
    }
    if (os_robust_head->list_op_pending)
        return -EDEADLK;
    *(struct robust_list *volatile *)&os_robust_head->list_op_pending =
        (void *)((uint8_t *)word - os_robust_head->futex_offset);
    return 0;
}

static inline void os_robust_end(void)
{
    *(struct robust_list *volatile *)&os_robust_head->list_op_pending = NULL;
}

/* wait.c: spinning, where it pays, before sleeping */

/* The longest sleep between two looks at who lives: after a death, others may wait as
 * long in vain. Fifty looks a second cost a sleeper 0.6 % of a cpu here. */
#define OS_WAIT_SLICE 20000000LL /* nanoseconds */

/* Whether a signal came that is to be heard of, asked by this thread before each slice of
 * sleep: one that came a moment before ends none. NULL where nobody knows. */
extern _Thread_local bool (*os_wait_interrupted)(void);

static inline int os_wait_begin(void)
{
    return os_wait_interrupted && os_wait_interrupted() ? -EINTR : 0;
}

/* The same for one wait in the kernel: until when, which is a moment that has passed
 * where such a signal came, so that it only looks; and what it is when that found
 * nothing. */
static inline int64_t os_wait_until(int64_t deadline)
{
    return os_wait_begin() ? 0 : deadline;
}

static inline int os_wait_over(int64_t deadline, int64_t until)
{
    return until == deadline || os_clock_now() >= deadline ? -ETIMEDOUT : -EINTR;
}

unsigned os_wait_cpu(void);
bool os_wait_pays(unsigned waker);
void os_wait_yield(void);

static inline void os_wait_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* file.c: files, and what is one to the kernel */
int os_file_open(const char *path, int flags, mode_t mode, int *fd);
int os_file_duplicate(int fd, int *other);
int os_file_stat(int fd, struct stat *stat);
int os_file_truncate(int fd, off_t size);
int os_file_reserve(int fd, off_t offset, off_t n);
bool os_file_unlimited(int fd);
int os_file_seal(int fd, int seals);
int os_file_seals(int fd);
int os_file_chmod(int fd, mode_t mode);
int os_file_sync(int fd);

/* lock.c: locks that belong to an open file */
int os_lock_range(int fd, short type, off_t offset, off_t n, int64_t deadline);
int os_lock_query(int fd, struct flock *range);
int os_lock_whole(int fd, int operation, int64_t deadline);

/* posixshm.c: POSIX shared memory objects */
#define OS_POSIXSHM_DIRECTORY "/dev/shm"
#define OS_POSIXSHM_NAME 255 /* bytes that a name can have */

int os_posixshm_open(const char *name, int flags, mode_t mode, int *fd);
int os_posixshm_unlink(const char *name);
int os_posixshm_unnamed(mode_t mode, int *fd);
int os_posixshm_name(int fd, const char *name);
int os_posixshm_memfd(const char *name, unsigned flags, int *fd);

/* posixsem.c: POSIX semaphores */
int os_posixsem_open(const char *name, int flags, mode_t mode, unsigned value,
                     sem_t **sem);
int os_posixsem_close(sem_t *sem);
int os_posixsem_unlink(const char *name);
int os_posixsem_make(sem_t *sem, unsigned value);
int os_posixsem_destroy(sem_t *sem);
int os_posixsem_post(sem_t *sem);
int os_posixsem_value(sem_t *sem, int *value);
int os_posixsem_wait(sem_t *sem, int64_t deadline, bool (*lives)(const void *),
                     const void *what);

/* posixmq.c: POSIX message queues */
int os_posixmq_open(const char *name, int flags, mode_t mode, struct mq_attr *attributes,
                    mqd_t *queue);
int os_posixmq_unlink(const char *name);
int os_posixmq_attributes(mqd_t queue, struct mq_attr *attributes);
int os_posixmq_set(mqd_t queue, const struct mq_attr *attributes);
int os_posixmq_send(mqd_t queue, const void *data, size_t size, unsigned priority,
                    int64_t deadline);
int os_posixmq_receive(mqd_t queue, void *data, size_t size, unsigned *priority,
                       int64_t deadline, size_t *got);
int os_posixmq_notify(mqd_t queue, int *socket_fd);
int os_posixmq_notify_end(mqd_t queue);
bool os_posixmq_told(int socket_fd);
int os_posixmq_notified(int socket_fd, int64_t deadline);

/* map.c: mappings in this process's address space */
typedef struct os_map {
    void *address; /* where it should lie, NULL for wherever there is room */
    size_t size;
    int protection;
    int flags;
    int fd;
    off_t offset;
} os_map;

size_t os_map_page(void);
uint64_t os_map_memory(void);
int os_map_new(const os_map *map, void **base);
int os_map_free(void *base, size_t size);
int os_map_sync(void *base, size_t size, int flags);
int os_map_protect(void *base, size_t size, int protection);
int os_map_advise(void *base, size_t size, int advice);
int os_map_lock(void *base, size_t size);
int os_map_unlock(void *base, size_t size);

typedef struct os_map_range {
    uint8_t *base;
    size_t size;
    int protection;
    bool shared;
} os_map_range;

int os_map_each(int (*visit)(void *context, const os_map_range *range), void *context);

/* fault.c: the signals that memory sends */
typedef bool (*os_fault_listener)(void *address, int signo);

int os_fault_catch(os_fault_listener listener);
int os_fault_cover(void *base, size_t size, void **aside);
int os_fault_uncover(void *base, size_t size, void *aside);
int os_fault_replace(void *base, size_t size);

/* step.c: stores to protected memory, one at a time */
typedef struct os_step_watch {
    /* A store faulted at the address: whether it is watched, and can run now. The same
     * one may fault on several pages, and is the first time first. */
    bool (*open)(void *address, bool first);
    void (*close)(void); /* it has run */
} os_step_watch;

int os_step_begin(const os_step_watch *watch);
void os_step_end(void);
bool os_step_fault(const siginfo_t *info, void *context);

/* sysv.c: what all System V objects share */
int os_sysv_key(const char *path, int number, key_t *key);

/* sysvshm.c: System V shared memory segments */
int os_sysvshm_get(key_t key, size_t size, int flags, int *id);
int os_sysvshm_attach(int id, const void *address, int flags, void **base, size_t *size);
int os_sysvshm_replace(int id, int flags, void *place, size_t room, size_t *size);
int os_sysvshm_detach(void *base, size_t size);
int os_sysvshm_stat(int id, int command, struct shmid_ds *stat);
int os_sysvshm_set(int id, struct shmid_ds *stat);
int os_sysvshm_remove(int id);
int os_sysvshm_lock(int id, bool lock);
int os_sysvshm_limits(struct shminfo *info);
int os_sysvshm_usage(struct shm_info *info);

/* sysvsem.c: System V semaphore sets */
int os_sysvsem_get(key_t key, size_t count, int flags, int *id);
int os_sysvsem_op(int id, struct sembuf *ops, size_t count, int64_t deadline);
int os_sysvsem_make(key_t key, size_t count, int flags, unsigned short *values,
                    int64_t deadline, int *id, bool *made);
int os_sysvsem_stat(int id, int command, struct semid_ds *stat);
int os_sysvsem_info(int command, struct seminfo *info);
int os_sysvsem_set(int id, struct semid_ds *stat);
int os_sysvsem_remove(int id);
int os_sysvsem_query(int id, int num, int command);
int os_sysvsem_set_value(int id, int num, int value);
int os_sysvsem_get_all(int id, unsigned short *values);
int os_sysvsem_set_all(int id, unsigned short *values);

/* sysvmsg.c: System V message queues */
int os_sysvmsg_get(key_t key, size_t unused, int flags, int *id);
int os_sysvmsg_send(int id, const struct msgbuf *message, size_t size, int flags,
                    int64_t deadline);
int os_sysvmsg_receive(int id, struct msgbuf *message, size_t size, long type, int flags,
                       int64_t deadline, size_t *got);
int os_sysvmsg_stat(int id, int command, struct msqid_ds *stat);
int os_sysvmsg_set(int id, struct msqid_ds *stat);
int os_sysvmsg_remove(int id);
int os_sysvmsg_info(int command, struct msginfo *info);

#pragma GCC visibility pop

#endif
