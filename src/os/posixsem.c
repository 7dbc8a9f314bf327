/*
 * POSIX semaphores: named ones, and those that lie in shared memory.
 *
 * They have no owner. What a process took and did not give back when it died is lost.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>

#define SLICE 1000000000LL /* nanoseconds between looks at what the semaphore lies in */

int os_posixsem_open(const char *name, int flags, mode_t mode, unsigned value,
                     sem_t **sem)
{
    *sem = sem_open(name, flags, mode, value);
    return *sem == SEM_FAILED ? -errno : 0;
}

int os_posixsem_close(sem_t *sem)
{
    return sem_close(sem) ? -errno : 0;
}

int os_posixsem_unlink(const char *name)
{
    return sem_unlink(name) ? -errno : 0;
}

/* In memory that processes share. */
int os_posixsem_make(sem_t *sem, unsigned value)
{
    return sem_init(sem, 1, value) ? -errno : 0;
}

int os_posixsem_destroy(sem_t *sem)
{
    return sem_destroy(sem) ? -errno : 0;
}

int os_posixsem_post(sem_t *sem)
{
    return sem_post(sem) ? -errno : 0;
}

int os_posixsem_value(sem_t *sem, int *value)
{
    return sem_getvalue(sem, value) ? -errno : 0;
}

static int wait_until(sem_t *sem, int64_t deadline)
{
    struct timespec until = os_clock_timespec(deadline);
    return sem_clockwait(sem, CLOCK_MONOTONIC, &until) ? -errno : 0;
}

/* lives, if given, is asked now and then whether the semaphore is still there. */
int os_posixsem_wait(sem_t *sem, int64_t deadline, bool (*lives)(const void *),
                     const void *what)
{
    if (sem_trywait(sem) == 0)
        return 0;
    if (errno != EAGAIN)
        return -errno;
    for (;;) {
        int64_t until = os_wait_until(deadline), now = os_clock_now(), slice = until;
        if (!lives && until == OS_CLOCK_FOREVER)
            return sem_wait(sem) ? -errno : 0;
        if (lives && until > now + SLICE)
            slice = now + SLICE;
        int error = wait_until(sem, slice);
        if (error != -ETIMEDOUT)
            return error;
        if (slice == until)
            return os_wait_over(deadline, until);
        if (!lives(what))
            return -EFAULT;
    }
}
