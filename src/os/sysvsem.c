/*
 * System V semaphore sets.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#define MAKERS_GRACE 1000000000LL /* nanoseconds */

union semun { /* semctl(2) has every program declare it */
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *__buf;
};

static int control(int id, int num, int command, union semun argument)
{
    int value = semctl(id, num, command, argument);
    return value < 0 ? -errno : value;
}

int os_sysvsem_get(key_t key, size_t count, int flags, int *id)
{
    *id = semget(key, (int)count, flags);
    return *id < 0 ? -errno : 0;
}

/*
 * The kernel says EAGAIN both for IPC_NOWAIT and when the time is up; only
 * where no operation carries IPC_NOWAIT is it certain to mean the latter.
 */
int os_sysvsem_op(int id, struct sembuf *ops, size_t count, int64_t deadline)
{
    struct timespec left;
    int64_t until = os_wait_until(deadline);
    if (semtimedop(id, ops, count, os_clock_left(until, &left)) == 0)
        return 0;
    int error = errno;
    if (error != EAGAIN)
        return -error;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].sem_flg & IPC_NOWAIT)
            return -EAGAIN;
    }
    return os_wait_over(deadline, until);
}

/* IPC_STAT, or by index SEM_STAT and SEM_STAT_ANY, which give the id; or -errno. */
int os_sysvsem_stat(int id, int command, struct semid_ds *stat)
{
    return control(id, 0, command, (union semun){.buf = stat});
}

/* IPC_INFO or SEM_INFO; the highest index in use, or -errno. */
int os_sysvsem_info(int command, struct seminfo *info)
{
    return control(0, 0, command, (union semun){.__buf = info});
}

int os_sysvsem_set(int id, struct semid_ds *stat)
{
    return control(id, 0, IPC_SET, (union semun){.buf = stat});
}

int os_sysvsem_remove(int id)
{
    return control(id, 0, IPC_RMID, (union semun){0});
}

/* GETVAL, GETPID, GETNCNT or GETZCNT: the number asked for, or -errno. */
int os_sysvsem_query(int id, int num, int command)
{
    return control(id, num, command, (union semun){0});
}

int os_sysvsem_set_value(int id, int num, int value)
{
    return control(id, num, SETVAL, (union semun){.val = value});
}

/* The caller has asked os_sysvsem_stat how many there are. */
int os_sysvsem_get_all(int id, unsigned short *values)
{
    return control(id, 0, GETALL, (union semun){.array = values});
}

int os_sysvsem_set_all(int id, unsigned short *values)
{
    return control(id, 0, SETALL, (union semun){.array = values});
}

/*
 * Sets the values of a set that nobody has used yet, and leaves the mark that says so.
 * Who comes between the two with a semop has left it himself; with a semctl, he has not.
 */
static int fill(int id, unsigned short *values)
{
    int error = os_sysvsem_set_all(id, values);
    for (int value = values[0]; error >= 0; value = error) {
        short first = value > 0 ? -1 : 1;
        struct sembuf mark[] = {{0, first, IPC_NOWAIT}, {0, (short)-first, IPC_NOWAIT}};
        if (semop(id, mark, 2) == 0)
            return 0;
        if (errno != EAGAIN)
            return -errno;
        struct semid_ds stat;
        error = os_sysvsem_stat(id, IPC_STAT, &stat);
        if (error >= 0 && stat.sem_otime)
            return 0;
        if (error >= 0)
            error = os_sysvsem_query(id, 0, GETVAL);
    }
    return error;
}

/* Waits until another program's maker has left the mark; -EAGAIN if it does not. */
static int wait_for_mark(int id, size_t count, int64_t deadline)
{
    struct semid_ds stat;
    int64_t grace = os_clock_now() + MAKERS_GRACE, nap = 0;
    for (;;) {
        int error = os_sysvsem_stat(id, IPC_STAT, &stat);
        if (error < 0 || stat.sem_otime)
            return error < 0 ? error : 0;
        if (os_clock_now() >= grace)
            return stat.sem_nsems == count ? -EAGAIN
                                           : -EINVAL; /* one could not fill it */
        error = os_clock_nap(deadline, &nap);
        if (error)
            return error;
    }
}

static int make(key_t key, size_t count, int flags, unsigned short *values,
                int64_t deadline, int *id, bool *made)
{
    int error = os_sysvsem_get(key, count, flags | IPC_CREAT | IPC_EXCL, id);
    *made = error == 0;
    if (*made) {
        error = fill(*id, values);
        if (error)
            os_sysvsem_remove(*id);
        return error;
    }
    if (error != -EEXIST || flags & IPC_EXCL)
        return error;
    error = os_sysvsem_get(key, count, flags & ~IPC_CREAT, id);
    if (error)
        return error == -ENOENT ? -EAGAIN : error;
    error = wait_for_mark(*id, count, deadline);
    *made = error == -EAGAIN;
    return *made ? fill(*id, values) : error;
}

/*
 * A set with values, made or found: the race between semget and SETALL, solved.
 *
 * sem_otime is 0 until the first semop. A maker does one that changes nothing when the
 * values are in place, and who finds the set waits for that. Makers hold a lock that the
 * kernel drops if they die, on what stands for the IPC namespace: so whoever finds the
 * mark missing under the lock has before it what a dead maker left, unless that one is
 * another program's, which knows no lock. It is given a second.
 */
int os_sysvsem_make(key_t key, size_t count, int flags, unsigned short *values,
                    int64_t deadline, int *id, bool *made)
{
    struct semid_ds stat;
    int lock, error;
    *made = false;
    if (key == IPC_PRIVATE) /* nobody else's */
        return make(key, count, flags, values, deadline, id, made);
    if (!(flags & IPC_EXCL) && os_sysvsem_get(key, count, flags & ~IPC_CREAT, id) == 0 &&
        os_sysvsem_stat(*id, IPC_STAT, &stat) >= 0 && stat.sem_otime)
        return 0;
    error = os_file_open("/proc/self/ns/ipc", O_RDONLY, 0, &lock);
    if (error)
        return error;
    error = os_lock_whole(lock, LOCK_EX, deadline);
    while (!error) {
        error = make(key, count, flags, values, deadline, id, made);
        if (error != -EAGAIN)
            break;
        error = 0; /* it was removed in between */
    }
    os_fd_close(&lock);
    return error;
}
