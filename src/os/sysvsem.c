/*
 * System V semaphore sets.
 */
#include "os/os.h"

#include <errno.h>

union semun { /* semctl(2) has every program declare it */
    int val;
    struct semid_ds *buf;
    unsigned short *array;
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
    if (semtimedop(id, ops, count, os_clock_left(deadline, &left)) == 0)
        return 0;
    int error = errno;
    if (error != EAGAIN)
        return -error;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].sem_flg & IPC_NOWAIT)
            return -EAGAIN;
    }
    return -ETIMEDOUT;
}

int os_sysvsem_stat(int id, struct semid_ds *stat)
{
    return control(id, 0, IPC_STAT, (union semun){.buf = stat});
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
