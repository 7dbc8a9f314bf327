/*
 * Ten million hand-overs, and no wake-up lost.
 *
 * A lost wake-up would not be seen from outside: who sleeps looks by itself every 20 ms.
 * So that net is cut here. The linker puts the two functions below between the objects
 * and the kernel (--wrap): every sleep goes on for LOST seconds instead of a slice, far
 * beyond what the scheduler could explain, and one that ends by that is counted as lost.
 * Nobody dies here, and that is all that slices are for.
 */
#include "check.h"
#include "ds/first.h"

#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

#define LOST 4.0
#define CROWD 4
#define PAGE 4096

typedef struct tally {
    uint64_t sleeps, wakes, lost, errors;
    uint64_t one, other; /* protected, and not atomic */
    uint64_t handed, last;
    uint64_t turns[CROWD];
    uint32_t ready; /* they begin together */
} tally;

static tally *all; /* in shared memory */
static mem_mapping *mapping;
static uint64_t sleeps, wakes, lost, errors; /* this process's */
static uint64_t seed;

int __real_os_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline);
int __wrap_os_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline);
int __real_os_futex_wait_any(const os_futex_place *places, size_t n, int64_t deadline);
int __wrap_os_futex_wait_any(const os_futex_place *places, size_t n, int64_t deadline);
int __real_os_futex_wake(const uint32_t *word, int count);
int __wrap_os_futex_wake(const uint32_t *word, int count);

/* As if the kernel had let another run here for a while: the instants between looking and
 * sleeping, and between a change and its wake-up, become long ones. */
static void linger(void)
{
    if (check_random(&seed) % 4 != 0)
        return;
    for (uint64_t i = check_random(&seed) % 64; i > 0; i--)
        os_wait_pause();
}

static int slept(int result)
{
    sleeps++;
    lost += result == -ETIMEDOUT;
    return result;
}

int __wrap_os_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline)
{
    (void)deadline;
    linger();
    return slept(__real_os_futex_wait(word, expected, os_clock_deadline(LOST)));
}

int __wrap_os_futex_wait_any(const os_futex_place *places, size_t n, int64_t deadline)
{
    (void)deadline;
    linger();
    return slept(__real_os_futex_wait_any(places, n, os_clock_deadline(LOST)));
}

int __wrap_os_futex_wake(const uint32_t *word, int count)
{
    wakes++;
    linger();
    return __real_os_futex_wake(word, count);
}

/* Now and then, so that who waits goes to sleep: longer than it spins, or about as long,
 * when it is just about to. */
static void pause_sometimes(unsigned one_in)
{
    if (check_random(&seed) % one_in != 0)
        return;
    int64_t end = os_clock_now() + (int64_t)(20000 + check_random(&seed) % 60000);
    while (os_clock_now() < end)
        os_wait_pause();
}

static void open_at(sync_handle *handle, int page, sync_kind kind, uint32_t extra,
                    uint64_t value)
{
    check_open(handle, mapping, (size_t)page * PAGE, kind, extra, value);
}

static void expect(int result)
{
    if (result < 0 && errors++ == 0)
        printf("failed: %s\n", strerror(-result));
}

/* Two who hand over to each other: me is 0 or 1, and each has its own object. */
static void semaphores(int me, uint64_t n)
{
    sync_handle mine, theirs;
    open_at(&mine, 1 + me, SYNC_SEMAPHORE, 0, 0);
    open_at(&theirs, 2 - me, SYNC_SEMAPHORE, 0, 0);
    for (uint64_t i = 0; i < n; i++) {
        if (me == 0)
            expect(sync_semaphore_post(&theirs, 1));
        expect(sync_semaphore_wait(&mine, OS_CLOCK_FOREVER));
        if (me == 1)
            expect(sync_semaphore_post(&theirs, 1));
        pause_sometimes(2000);
    }
}

/* Queues of one producer and one consumer: who pushes there has no fence. Messages are
 * copied out and passed where they lie, in turns. */
static void queues(int me, uint64_t n)
{
    static const ds_queue_options OPTIONS = {.capacity = 64, .spsc = true};
    uint8_t bytes[64] = {0};
    ds_bytes given = {.head = bytes, .body = bytes, .head_size = 8};
    ds_buffer out = {.bytes = bytes, .room = sizeof bytes};
    ds_message message;
    ds_first first;
    ds_queue queue[2];
    pid_t holder;
    for (int i = 0; i < 2; i++) {
        void *at = mapping->base + (1 + i) * PAGE;
        int64_t patience = os_clock_deadline(LOST);
        int error = ds_queue_create(&queue[i], mapping, at, &OPTIONS, patience);
        if (error == -EEXIST)
            error = ds_queue_attach(&queue[i], mapping, at, PAGE, patience);
        expect(error);
    }
    for (uint64_t i = 0; i < n; i++) {
        if (me == 0)
            expect(ds_queue_push(&queue[0], &given, OS_CLOCK_FOREVER, &holder));
        if (i % 2 == 0)
            expect(
                ds_queue_pop(&queue[1 - me], &out, OS_CLOCK_FOREVER, &message, &holder));
        else {
            expect(ds_queue_first(&queue[1 - me], OS_CLOCK_FOREVER, &first, &holder));
            expect(ds_queue_pass(&queue[1 - me], &first) ? 0 : -EBADMSG);
        }
        if (me == 1)
            expect(ds_queue_push(&queue[1], &given, OS_CLOCK_FOREVER, &holder));
        pause_sometimes(50);
    }
}

static void events(int me, uint64_t n)
{
    sync_handle mine, theirs;
    open_at(&mine, 1 + me, SYNC_EVENT, 0, 0);
    open_at(&theirs, 2 - me, SYNC_EVENT, 0, 0);
    for (uint64_t i = 0; i < n; i++) {
        if (me == 0)
            sync_event_set(&theirs);
        expect(sync_event_wait(&mine, OS_CLOCK_FOREVER));
        if (me == 1)
            sync_event_set(&theirs);
        pause_sometimes(2000);
    }
}

static void counters(int me, uint64_t n)
{
    sync_handle mine, theirs;
    open_at(&mine, 1 + me, SYNC_COUNTER, 0, 0);
    open_at(&theirs, 2 - me, SYNC_COUNTER, 0, 0);
    for (uint64_t i = 0; i < n; i++) {
        if (me == 0)
            sync_counter_add(&theirs, 1);
        expect(sync_counter_wait(&mine, (int64_t)i + 1, OS_CLOCK_FOREVER));
        if (me == 1)
            sync_counter_add(&theirs, 1);
        pause_sometimes(2000);
    }
}

static void barriers(int me, uint64_t n)
{
    sync_handle barrier;
    sync_outcome outcome;
    bool last;
    (void)me;
    open_at(&barrier, 1, SYNC_BARRIER, 2, 0);
    for (uint64_t i = 0; i < n; i++) {
        expect(sync_barrier_wait(&barrier, OS_CLOCK_FOREVER, &last, &outcome));
        pause_sometimes(2000);
    }
}

/* A word says whose turn it is. Who waits at a condition always sleeps. */
static void conditions(int me, uint64_t n)
{
    sync_handle mutex, condition;
    sync_outcome outcome;
    int relocked;
    open_at(&mutex, 1, SYNC_MUTEX, 0, 0);
    open_at(&condition, 2, SYNC_CONDITION, 0, 0);
    for (uint64_t i = 0; i < n; i++) {
        expect(check_lock(&mutex, OS_CLOCK_FOREVER, &outcome));
        while (all->one % 2 != (uint64_t)me)
            expect(sync_condition_wait(&condition, &mutex, OS_CLOCK_FOREVER, &outcome,
                                       &relocked));
        all->one++;
        if (i % 2)
            sync_condition_signal(&condition);
        else
            sync_condition_broadcast(&condition);
        expect(check_unlock(&mutex));
    }
}

/* Many who take turns: inside, two numbers that must stay the same. */
static void inside(int me)
{
    errors += all->one != all->other;
    all->one++;
    all->handed += all->last != (uint64_t)me;
    all->last = (uint64_t)me;
    pause_sometimes(2000);
    all->other++;
}

static void outside(int me)
{
    all->turns[me]++;
    pause_sometimes(500);
}

static void mutex_crowd(int me, uint64_t n)
{
    sync_handle mutex;
    sync_outcome outcome;
    open_at(&mutex, 1, SYNC_MUTEX, 0, 0);
    for (uint64_t i = 0; i < n; i++) {
        expect(check_lock(&mutex, OS_CLOCK_FOREVER, &outcome));
        inside(me);
        expect(check_unlock(&mutex));
        outside(me);
    }
}

static void semaphore_crowd(int me, uint64_t n)
{
    sync_handle semaphore;
    open_at(&semaphore, 1, SYNC_SEMAPHORE, 0, 1);
    for (uint64_t i = 0; i < n; i++) {
        expect(sync_semaphore_wait(&semaphore, OS_CLOCK_FOREVER));
        inside(me);
        expect(sync_semaphore_post(&semaphore, 1));
        outside(me);
    }
}

static void event_crowd(int me, uint64_t n)
{
    sync_handle event;
    open_at(&event, 1, SYNC_EVENT, 0, 1);
    for (uint64_t i = 0; i < n; i++) {
        expect(sync_event_wait(&event, OS_CLOCK_FOREVER));
        inside(me);
        sync_event_set(&event);
        outside(me);
    }
}

static void rwlock_crowd(int me, uint64_t n)
{
    sync_handle rwlock;
    sync_outcome outcome;
    open_at(&rwlock, 1, SYNC_RWLOCK, 0, 0);
    for (uint64_t i = 0; i < n; i++) {
        bool writes = check_random(&seed) % 4 == 0;
        expect(writes ? sync_rwlock_write(&rwlock, OS_CLOCK_FOREVER, &outcome)
                      : sync_rwlock_read(&rwlock, OS_CLOCK_FOREVER, &outcome));
        if (writes)
            inside(me);
        else
            errors += all->one != all->other;
        expect(sync_rwlock_leave(&rwlock));
        outside(me);
    }
}

static void guard_crowd(int me, uint64_t n)
{
    mem_guarded guarded = check_guarded(mapping, PAGE);
    pid_t holder;
    for (uint64_t i = 0; i < n; i++) {
        expect(mem_guard_enter(&guarded, OS_CLOCK_FOREVER, &holder));
        inside(me);
        mem_guard_leave(&guarded);
        outside(me);
    }
}

/* Each of two locks can be had by anybody; what is had is given back. */
static void several_crowd(int me, uint64_t n)
{
    sync_handle semaphore, event;
    const sync_handle *both[] = {&semaphore, &event};
    open_at(&semaphore, 1, SYNC_SEMAPHORE, 0, 1);
    open_at(&event, 2, SYNC_EVENT, 0, 0);
    for (uint64_t i = 0; i < n; i++) {
        sync_outcome outcome;
        size_t which;
        expect(sync_several(both, 2, OS_CLOCK_FOREVER, &which, &outcome));
        inside(me);
        if (check_random(&seed) % 2)
            sync_event_set(&event);
        else
            expect(sync_semaphore_post(&semaphore, 1));
        outside(me);
    }
}

/*
 * Each publishes in turn, and all get all of it: where one has gone on, all others are to
 * be woken, and whoever is further behind than the ring is long keeps the next one
 * waiting.
 */
static void topic_crowd(int me, uint64_t n)
{
    static const ds_topic_options OPTIONS = {.capacity = 64, .subscribers = CROWD};
    uint64_t number, got;
    ds_bytes given = {.head = (uint8_t *)&number, .head_size = sizeof number};
    ds_buffer out = {.bytes = (uint8_t *)&got, .room = sizeof got};
    ds_topic topic;
    ds_subscriber subscriber;
    sync_handle news;
    const sync_handle *also = &news; /* half of them wait as for any of several */
    sync_outcome outcome;
    size_t which;
    pid_t holder;
    void *at = mapping->base + PAGE;
    int64_t patience = os_clock_deadline(LOST);
    int error = ds_topic_create(&topic, mapping, at, &OPTIONS, patience);
    if (error == -EEXIST)
        error = ds_topic_attach(&topic, mapping, at, PAGE, patience);
    expect(error);
    expect(ds_subscriber_open(&subscriber, &topic, false, &holder));
    sync_handle_watch(&news, mapping, &topic.head->news, ds_subscriber_ready,
                      subscriber.slot);
    while (ds_topic_subscribers(&topic, NULL, 0) < CROWD)
        os_wait_pause();
    for (number = 0; number < n * CROWD; number++) {
        bool mine = number % CROWD == (uint64_t)me;
        if (mine && check_random(&seed) % 2) /* in vain: they sleep again */
            sync_eventcount_tell(&topic.head->news, INT_MAX);
        if (mine)
            expect(ds_topic_publish(&topic, &given, OS_CLOCK_FOREVER, &holder));
        if (me % 2)
            expect(sync_several(&also, 1, OS_CLOCK_FOREVER, &which, &outcome));
        expect(ds_subscriber_next(&subscriber, &news, OS_CLOCK_FOREVER, &out, &holder));
        errors += got != number;
        pause_sometimes(100);
    }
    sync_handle_close(&news);
}

/*
 * What is left free must be had, also if it was taken and given back just when the other
 * went to sleep. One has it, gives it and takes it again in the instants at which the
 * other stops spinning or wakes up; then it is left free and nobody else comes, so that a
 * wake-up that was lost then is not made up for by the next one.
 */
typedef struct prey {
    bool (*take)(int64_t deadline);
    void (*give)(void);
} prey;

static sync_handle coveted;

static bool take_mutex(int64_t deadline)
{
    sync_outcome outcome;
    return check_lock(&coveted, deadline, &outcome) == 0;
}

static void give_mutex(void)
{
    expect(check_unlock(&coveted));
}

static bool take_semaphore(int64_t deadline)
{
    return sync_semaphore_wait(&coveted, deadline) == 0;
}

static void give_semaphore(void)
{
    expect(sync_semaphore_post(&coveted, 1));
}

static bool take_event(int64_t deadline)
{
    return sync_event_wait(&coveted, deadline) == 0;
}

static void give_event(void)
{
    sync_event_set(&coveted);
}

static bool take_several(int64_t deadline)
{
    const sync_handle *only[] = {&coveted};
    sync_outcome outcome;
    size_t which;
    return sync_several(only, 1, deadline, &which, &outcome) == 0;
}

static bool take_rwlock(int64_t deadline)
{
    sync_outcome outcome;
    return (check_random(&seed) % 2
                ? sync_rwlock_write(&coveted, deadline, &outcome)
                : sync_rwlock_read(&coveted, deadline, &outcome)) == 0;
}

static void give_rwlock(void)
{
    expect(sync_rwlock_leave(&coveted));
}

static bool take_guard(int64_t deadline)
{
    pid_t holder;
    mem_guarded guarded = check_guarded(mapping, PAGE);
    (void)deadline;
    return mem_guard_enter(&guarded, OS_CLOCK_FOREVER, &holder) == 0;
}

static void give_guard(void)
{
    mem_guarded guarded = check_guarded(mapping, PAGE);
    mem_guard_leave(&guarded);
}

/* The other may have no cpu to run on: after a while it is let have this one. */
static void until(const uint64_t *word, uint64_t value)
{
    for (unsigned i = 1; mem_atomic_load64(word) != value; i++) {
        if (i % 256 == 0)
            os_wait_yield();
        else
            os_wait_pause();
    }
}

static void steal(const prey *of, uint64_t round)
{
    int64_t begin = os_clock_now() + (int64_t)(check_random(&seed) % 60000);
    uint64_t times = check_random(&seed) % 30;
    if (!of->take(OS_CLOCK_FOREVER))
        errors++;
    mem_atomic_store64(&all->one, round);
    while (os_clock_now() < begin)
        os_wait_pause();
    of->give();
    for (uint64_t i = 0; i < times && mem_atomic_load64(&all->other) != round; i++) {
        for (uint64_t wait = check_random(&seed) % 8; wait > 0; wait--)
            os_wait_pause();
        if (of->take(0))
            of->give();
    }
    until(&all->other, round);
}

static void thief(const prey *of, int me, uint64_t n)
{
    for (uint64_t round = 1; round <= n; round++) {
        if (me == 0) {
            steal(of, round);
            continue;
        }
        until(&all->one, round);
        if (!of->take(OS_CLOCK_FOREVER))
            errors++;
        of->give();
        mem_atomic_store64(&all->other, round);
    }
}

static void mutex_thief(int me, uint64_t n)
{
    open_at(&coveted, 1, SYNC_MUTEX, 0, 0);
    thief(&(prey){take_mutex, give_mutex}, me, n);
}

static void semaphore_thief(int me, uint64_t n)
{
    open_at(&coveted, 1, SYNC_SEMAPHORE, 0, 1);
    thief(&(prey){take_semaphore, give_semaphore}, me, n);
}

static void event_thief(int me, uint64_t n)
{
    open_at(&coveted, 1, SYNC_EVENT, 0, 1);
    thief(&(prey){take_event, give_event}, me, n);
}

static void rwlock_thief(int me, uint64_t n)
{
    open_at(&coveted, 1, SYNC_RWLOCK, 0, 0);
    thief(&(prey){take_rwlock, give_rwlock}, me, n);
}

static void several_thief(int me, uint64_t n)
{
    open_at(&coveted, 1, SYNC_SEMAPHORE, 0, 1);
    thief(&(prey){take_several, give_semaphore}, me, n);
}

static void guard_thief(int me, uint64_t n)
{
    thief(&(prey){take_guard, give_guard}, me, n);
}

typedef struct work {
    const char *name;
    void (*run)(int me, uint64_t n);
    int processes;
    unsigned share; /* of the number asked for, in a thousand */
} work;

static const work WORKS[] = {
    {"semaphores", semaphores, 2, 400},
    {"events", events, 2, 350},
    {"queues", queues, 2, 100},
    {"counters", counters, 2, 220},
    {"barriers", barriers, 2, 20},
    {"conditions", conditions, 2, 20},
    {"a mutex", mutex_crowd, CROWD, 300},
    {"a semaphore", semaphore_crowd, CROWD, 300},
    {"an event", event_crowd, CROWD, 300},
    {"a rwlock", rwlock_crowd, CROWD, 300},
    {"a guard", guard_crowd, CROWD, 300},
    {"several", several_crowd, CROWD, 300},
    {"a topic", topic_crowd, CROWD, 10},
    {"mutex thief", mutex_thief, 2, 10},
    {"semaphore thief", semaphore_thief, 2, 10},
    {"event thief", event_thief, 2, 10},
    {"rwlock thief", rwlock_thief, 2, 10},
    {"guard thief", guard_thief, 2, 10},
    {"several thief", several_thief, 2, 10},
};

static void child(const work *one, int me, uint64_t n)
{
    seed = (uint64_t)os_clock_now() * 2 + 1;
    sleeps = wakes = lost = errors = 0;
    alarm(100);
    mem_atomic_add32(&all->ready, 1);
    while (mem_atomic_load32(&all->ready) < (uint32_t)one->processes)
        os_wait_pause();
    one->run(me, n);
    fflush(stdout);
    mem_atomic_add64(&all->sleeps, sleeps);
    mem_atomic_add64(&all->wakes, wakes);
    mem_atomic_add64(&all->lost, lost);
    mem_atomic_add64(&all->errors, errors);
    _exit(0);
}

/* Whether some slept and were woken. */
static bool once(const work *one, uint64_t n)
{
    pid_t pids[CROWD];
    int64_t began = os_clock_now();
    mapping = check_memory(4 * PAGE);
    all = (tally *)mapping->base;
    fflush(stdout);
    for (int i = 0; i < one->processes; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            child(one, i, n);
    }
    bool ended = true;
    for (int i = 0; i < one->processes; i++) {
        int status;
        ended = pids[i] > 0 && waitpid(pids[i], &status, 0) == pids[i] && status == 0 &&
                ended;
    }
    double seconds = (double)(os_clock_now() - began) / 1e9;
    printf("%-15s %8ju in %5.1f s, %ju sleeps, %ju wakes, %ju lost\n", one->name,
           (uintmax_t)(n * (uint64_t)one->processes), seconds, (uintmax_t)all->sleeps,
           (uintmax_t)all->wakes, (uintmax_t)all->lost);
    check(ended, "%s: all come to their end", one->name);
    check(all->lost == 0, "%s: no wake-up is lost", one->name);
    check(all->errors == 0, "%s: none fails, and turns are one's own", one->name);
    bool slept = all->sleeps > 0 && all->wakes > 0;
    mem_mapping_release(mapping);
    return slept;
}

/* Where others use the machine as well, they may come to their turns without a wait. */
static uint64_t run(const work *one, uint64_t total)
{
    uint64_t n = total * one->share / 1000 / (uint64_t)one->processes;
    bool slept = false;
    for (int i = 0; i < 5 && !slept; i++)
        slept = once(one, n);
    check(slept, "%s: some slept and were woken", one->name);
    return n * (uint64_t)one->processes;
}

int main(int argc, char **argv)
{
    uint64_t total = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    uint64_t made = 0, turns = 0;
    const char *only = argc > 2 ? argv[2] : "";
    int64_t began = os_clock_now();
    for (size_t i = 0; i < sizeof WORKS / sizeof *WORKS; i++) {
        uint64_t n = strstr(WORKS[i].name, only) ? run(&WORKS[i], total) : 0;
        if (WORKS[i].processes == 2)
            made += n;
        else
            turns += n;
    }
    printf("%ju hand-overs and %ju turns in %.0f s\n", (uintmax_t)made, (uintmax_t)turns,
           (double)(os_clock_now() - began) / 1e9);
    return check_report();
}
