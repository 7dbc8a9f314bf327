/*
 * Descriptors that children made by fork do not have, as POSIX.1-2024 has it of
 * FD_CLOFORK and Linux has not: what a descriptor holds, a lock for one, ends with its
 * process then, whatever its children do.
 *
 * In a child its number is another file's, /dev/null's, before anything else runs there:
 * whoever knows the number closes that. The list is this process's; its lock is held
 * across fork, so that it is whole in the child.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define MOST 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int list[MOST];
static volatile int count;

static void before(void)
{
    pthread_mutex_lock(&lock);
}

static void after(void)
{
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    for (int i = 0; i < count; i++) {
        int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (other < 0 || dup3(other, list[i], O_CLOEXEC) < 0)
            close(list[i]);
        if (other >= 0)
            close(other);
    }
    count = 0;
    pthread_mutex_unlock(&lock);
}

static void prepare(void)
{
    pthread_atfork(before, after, in_child);
}

/* -EMFILE when there are too many such descriptors. */
int os_fork_without(int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    pthread_mutex_lock(&lock);
    int at = 0;
    while (at < count && list[at] != fd)
        at++;
    int error = at == MOST ? -EMFILE : 0;
    if (at == count && !error) {
        list[at] = fd;
        count++;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

/* Before it is closed, as the number may be anybody's then. */
void os_fork_forget(int fd)
{
    if (count == 0)
        return;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++) {
        if (list[i] == fd)
            list[i] = list[--count];
    }
    pthread_mutex_unlock(&lock);
}
