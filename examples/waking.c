/*
 * Two processes take turns, and wake each other in one of the ways that the textbook asks
 * about. Counts the wake-ups that are lost. It is C, as Lua has no signal handlers.
 *
 *   waking WAY TURNS MOST LINGER     prints how many turns were taken and how many
 * wake-ups were lost; ends after so many turns, or so many losses
 *
 * Ways: "pause" sleeps in pause(2) after it has handed over; "look" looks whose turn it
 * is before it does. "condition": a thread waits on a condition, of which the handler
 * tells it. "handler": a thread waits for a semaphore, which the handler posts.
 * "semaphore": of System V, and no signals. "kept": a signal that is blocked, and so kept
 * until it is asked for. "futex": a word to sleep on.
 *
 * A wake-up is lost when it has been given, the kernel and the handler are done with it,
 * and who slept, sleeps on for three ticks of a clock. That is no matter of time: who
 * gives it says so after the call; it is not pending; and where another thread handles
 * it, that has been seen to do something else since. Then it is counted, and the sleeper
 * goes on. Without that both would sleep for ever.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK 2000000 /* nanoseconds */

static struct shared {
    uint32_t turn;    /* whose it is, 0 or 1 */
    uint32_t told[2]; /* how often each was woken */
    uint32_t lost, stop;
    pid_t pid[2];
} * shared;

static uint32_t me;
static int set; /* of semaphores */
static volatile sig_atomic_t
    last;                    /* what ended the last sleep: SIGUSR1, or SIGALRM by time */
static uint32_t beats, done; /* of the thread that handles signals */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition;
static int missed; /* it is our turn, and the condition did not say so */
static sem_t semaphore;

static uint32_t get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void put(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static struct timespec in_a_tick(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_nsec += TICK;
    if (time.tv_nsec >= 1000000000)
        time.tv_nsec -= 1000000000, time.tv_sec++;
    return time;
}

/*
 * Between the look whose turn it is and the sleep, at the same place in all ways: one
 * time in 16 others run for up to LINGER nanoseconds, as happens to a process at any
 * place now and then. So thousands of turns show what else takes hundreds of thousands.
 */
static long longest;

static void linger(void)
{
    static uint32_t random = 1;
    random = random * 1103515245 + 12345;
    if (random >> 28 || !longest)
        return;
    long wanted = (random >> 8) % longest;
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - from.tv_sec) * 1000000000 + now.tv_nsec - from.tv_nsec <
             wanted);
}

/* Each way: what the handler does, how to wake, and to sleep for a tick or until woken.
 */
typedef struct way {
    const char *name;
    void (*handler)(void);
    void (*wake)(uint32_t other);
    void (*sleep)(void);
    int threads; /* the main thread gets the signals, another one sleeps */
    int looks;   /* before it sleeps */
} way;

static const way *chosen;

static void on_signal(int signo)
{
    if (chosen->handler)
        chosen->handler();
    else
        last = signo;
}

static void by_signal(uint32_t other)
{
    kill(shared->pid[other], SIGUSR1);
}

static void in_pause(void) /* the clock is SIGALRM */
{
    pause();
}

static void tell_condition(void)
{
    pthread_cond_signal(&condition);
}

/* As everybody writes it, with the mutex held between the look and the wait; but a
 * handler can not take the mutex, which the thread that it interrupts may hold. */
static void on_condition(void)
{
    int woken = 1;
    pthread_mutex_lock(&mutex);
    if (get(&shared->turn) != me || missed) {
        linger();
        struct timespec limit = in_a_tick(CLOCK_MONOTONIC);
        woken = pthread_cond_timedwait(&condition, &mutex, &limit) == 0;
    }
    missed = !woken && get(&shared->turn) == me;
    last = woken ? SIGUSR1 : SIGALRM;
    pthread_mutex_unlock(&mutex);
}

static void post(void)
{
    sem_post(&semaphore);
}

static void at_semaphore(void)
{
    struct timespec limit = in_a_tick(CLOCK_REALTIME);
    last = sem_timedwait(&semaphore, &limit) ? SIGALRM : SIGUSR1;
}

static void raise_set(uint32_t other)
{
    semop(set, &(struct sembuf){.sem_num = (unsigned short)other, .sem_op = 1}, 1);
}

static void lower_set(void)
{
    struct timespec tick = {.tv_nsec = TICK};
    last = semtimedop(set, &(struct sembuf){.sem_num = (unsigned short)me, .sem_op = -1},
                      1, &tick)
               ? SIGALRM
               : SIGUSR1;
}

static void for_signal(void)
{
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    struct timespec tick = {.tv_nsec = TICK};
    last = sigtimedwait(&usr1, NULL, &tick) < 0 ? SIGALRM : SIGUSR1;
}

static void wake_futex(uint32_t other)
{
    (void)other; /* the word is the turn itself */
    syscall(SYS_futex, &shared->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void on_futex(void)
{
    struct timespec tick = {.tv_nsec = TICK};
    long slept = syscall(SYS_futex, &shared->turn, FUTEX_WAIT, !me, &tick, NULL, 0);
    last = slept && errno == ETIMEDOUT ? SIGALRM : SIGUSR1;
}

static const way ways[] = {
    {"pause", NULL, by_signal, in_pause, 0, 0},
    {"look", NULL, by_signal, in_pause, 0, 1},
    {"condition", tell_condition, by_signal, on_condition, 1, 0},
    {"handler", post, by_signal, at_semaphore, 1, 0},
    {"semaphore", NULL, raise_set, lower_set, 0, 0},
    {"kept", NULL, by_signal, for_signal, 0, 0},
    {"futex", NULL, wake_futex, on_futex, 0, 0},
};

/* Until it is our turn the nth time. */
static void await(uint32_t n)
{
    if (chosen->looks && get(&shared->turn) == me)
        return;
    uint32_t since = 0;
    for (int ticks = 0; !get(&shared->stop);) {
        if (!chosen->threads || chosen->handler == post)
            linger();
        chosen->sleep();
        if (get(&shared->turn) != me)
            continue;
        if (last == SIGUSR1)
            return;
        sigset_t pending;
        sigpending(&pending);
        if (get(&shared->told[me]) < n || sigismember(&pending, SIGUSR1))
            continue;
        if (ticks == 0)
            since = get(&beats);
        else if (chosen->threads && get(&beats) - since < 2)
            continue;
        if (++ticks == 3) { /* the last sleep began after all that */
            __atomic_add_fetch(&shared->lost, 1, __ATOMIC_SEQ_CST);
            missed = 0;
            return;
        }
    }
}

static uint32_t turns, most;

static void *play(void *unused)
{
    for (uint32_t n = 1; n <= turns && !get(&shared->stop); n++) {
        if (n > 1 || me == 1)
            await(me ? n : n - 1);
        if (get(&shared->lost) >= most)
            put(&shared->stop, n);
        put(&shared->turn, !me);
        chosen->wake(!me);
        put(&shared->told[!me], n);
    }
    put(&done, 1);
    return unused;
}

/* One of the two; both start as soon as both can hear. */
static void run(uint32_t who, int ready[2], int go[2])
{
    me = who;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&condition, &attributes);
    sem_init(&semaphore, 0, 0);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    if (strcmp(chosen->name, "kept") == 0)
        sigprocmask(SIG_BLOCK, &usr1, NULL);
    char byte = 0;
    if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
        _exit(3);
    if (!chosen->threads) {
        if (chosen->sleep == in_pause) {
            struct itimerval tick = {{0, TICK / 1000}, {0, TICK / 1000}};
            setitimer(ITIMER_REAL, &tick, NULL);
        }
        play(NULL);
        return;
    }
    /* The sleeper does not handle signals: it would be told of them in its sleep. */
    pthread_t sleeper;
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    pthread_create(&sleeper, NULL, play, NULL);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    while (!get(&done)) {
        nanosleep(&(struct timespec){.tv_nsec = TICK / 2}, NULL);
        put(&beats, beats + 1);
    }
    pthread_join(sleeper, NULL);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 5 && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(argv[1], ways[i].name) == 0)
            chosen = &ways[i];
    }
    if (!chosen)
        return 2;
    turns = (uint32_t)atoi(argv[2]);
    most = (uint32_t)atoi(argv[3]);
    longest = atol(argv[4]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    set = strcmp(chosen->name, "semaphore") ? -1 : semget(IPC_PRIVATE, 2, 0600);
    int ready[2], go[2];
    if (shared == MAP_FAILED || pipe(ready) || pipe(go))
        return 1;
    pid_t parent = getpid();
    for (uint32_t who = 0; who < 2; who++) {
        pid_t pid = fork();
        if (pid < 0)
            return 1;
        if (pid == 0) {
            shared->pid[who] = getpid();
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == parent)
                run(who, ready, go);
            _exit(0);
        }
    }
    char both[2] = {0};
    for (int i = 0; i < 2; i++) {
        if (read(ready[0], both, 1) != 1)
            return 1;
    }
    if (write(go[1], both, 2) != 2)
        return 1;
    int status, failed = 0;
    for (int i = 0; i < 2; i++) {
        wait(&status);
        failed |= status;
    }
    if (set >= 0)
        semctl(set, 0, IPC_RMID);
    uint32_t stopped = get(&shared->stop);
    printf("%u %u\n", stopped ? stopped : turns, get(&shared->lost));
    return failed != 0;
}
