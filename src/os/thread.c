/*
 * Who a thread is, also to other processes and after its end.
 *
 * An identity is one word: the thread's id below, and above it when it started, in the
 * low 32 bits of clock ticks since boot. So a thread that is given the id of a dead one
 * is not taken for it. Ten bits between the two are free for whoever stores the word.
 * An identity means something only inside one pid and time namespace.
 */
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAP 1000000 /* nanoseconds */

_Thread_local uint64_t os_thread_identity;
static _Atomic uint64_t leader, home; /* any thread may be the first to ask */

static void forget(void)
{
    os_thread_identity = 0;
    leader = home = 0;
}

static void prepare(void)
{
    pthread_atfork(NULL, NULL, forget); /* or a child would think that it is its parent */
}

static uint64_t identity_of(pid_t tid)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    uint64_t started = 0; /* without /proc the id alone has to do */
    if (os_process_started(tid, &started))
        started = 0;
    return (started << 32) | ((uint64_t)tid & OS_THREAD_TID);
}

uint64_t os_thread_identify(void)
{
    return os_thread_identity = identity_of((pid_t)syscall(SYS_gettid));
}

/* The thread that the process began with, whose identity is the process's. */
uint64_t os_thread_leader(void)
{
    uint64_t known = leader;
    if (!known)
        leader = known = identity_of(getpid());
    return known;
}

static bool is_there(pid_t tid)
{
    return syscall(SYS_tkill, tid, 0) == 0 || errno != ESRCH;
}

/* One that can not be looked at, as it is hidden, counts as alive. */
bool os_thread_alive(uint64_t thread)
{
    pid_t tid = (pid_t)(thread & OS_THREAD_TID);
    if (tid == 0 || !is_there(tid))
        return false;
    uint64_t started, recorded = thread >> 32;
    int error = os_process_started(tid, &started);
    if (error) /* or it went just then */
        return error != -ESRCH && is_there(tid);
    return recorded == 0 || recorded == (started & UINT32_MAX);
}

/* The pid that the thread belongs to, or its own id if that is not to be had any more. */
pid_t os_thread_process(uint64_t thread)
{
    pid_t tid = (pid_t)(thread & OS_THREAD_TID);
    char path[32], line[128];
    snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return tid;
    int pid = 0;
    while (pid == 0 && fgets(line, sizeof line, file)) {
        if (sscanf(line, "Tgid: %d", &pid) != 1)
            pid = 0;
    }
    fclose(file);
    return pid > 0 ? pid : tid;
}

/* 0 where there is no such thing. For want of memory it is asked again: no answer would
 * be another namespace's. */
static uint64_t inode_of(const char *path)
{
    struct stat stat_;
    int error;
    while ((error = stat(path, &stat_)) && errno == ENOMEM)
        os_clock_sleep(os_clock_now() + NAP);
    return error ? 0 : (uint64_t)stat_.st_ino & UINT32_MAX;
}

/* What tells the pid and time namespaces of this process from others. It stays in those
 * that it was born in: only its children come into others. */
uint64_t os_thread_namespace(void)
{
    os_thread_self(); /* so that a child forgets */
    if (!home)
        home = inode_of("/proc/self/ns/time") << 32 | inode_of("/proc/self/ns/pid");
    return home;
}
