/*
 * Threads of one process take turns, under ThreadSanitizer.
 *
 * What they share besides is plain numbers, changed inside the locks and not atomic: if a
 * lock did not order one holder after the other, the sanitizer would say so, even when
 * the numbers came out right. For that the threads use the same addresses: one mapping,
 * and handles of their own. Some end while they hold a lock.
 */
#include "check.h"

#include <pthread.h>

#define THREADS 4
#define ROUNDS 5000
#define PAGE 4096
#define ROOM 64

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_release(word) ((void)(word))
#endif

static mem_mapping *mapping;
static struct pair {
    uint64_t one, other;
} shared, second;
static int errors;

typedef struct seat {
    pthread_t thread;
    int me, result;
    int64_t waited, awake; /* nanoseconds, and how many of them it ran */
    bool found_none;       /* of the places, and waited until somebody left */
    void (*run)(struct seat *seat);
} seat;

static void fail_if(bool bad)
{
    if (bad)
        mem_atomic_add32((uint32_t *)&errors, 1);
}

static void touch(struct pair *pair)
{
    fail_if(pair->one != pair->other);
    pair->one++;
    pair->other++;
}

static void open_at(sync_handle *handle, int page, sync_kind kind, uint32_t extra,
                    uint64_t value)
{
    check_open(handle, mapping, (size_t)page * PAGE, kind, extra, value);
}

static void *start(void *argument)
{
    seat *self = argument;
    self->run(self);
    return NULL;
}

static void begin(seat *self, int me, void (*run)(seat *seat))
{
    *self = (seat){.me = me, .run = run, .result = -1};
    fail_if(pthread_create(&self->thread, NULL, start, self) != 0);
}

/* All run the same, and what they have changed is counted. */
static void together(const char *name, void (*run)(seat *seat), uint64_t expected)
{
    seat seats[THREADS];
    shared = second = (struct pair){0};
    errors = 0;
    mapping = check_memory(16 * PAGE);
    for (int i = 0; i < THREADS; i++)
        begin(&seats[i], i, run);
    for (int i = 0; i < THREADS; i++)
        pthread_join(seats[i].thread, NULL);
    check(errors == 0, "%s: %d errors", name, errors);
    uint64_t sum = shared.one + second.one;
    check(sum == expected && shared.other + second.other == expected,
          "%s: %ju of %ju changes", name, (uintmax_t)sum, (uintmax_t)expected);
    mem_mapping_release(mapping);
}

static void mutexes(seat *self)
{
    sync_handle mutex;
    sync_outcome outcome;
    open_at(&mutex, 0, SYNC_MUTEX, SYNC_RECURSIVE, 0);
    for (int i = 0; i < ROUNDS; i++) {
        fail_if(check_lock(&mutex, OS_CLOCK_FOREVER, &outcome) != 0);
        if ((i + self->me) % 8 == 0) {
            fail_if(check_lock(&mutex, OS_CLOCK_FOREVER, &outcome) != 0);
            fail_if(check_unlock(&mutex) != 0);
        }
        touch(&shared);
        fail_if(check_unlock(&mutex) != 0);
    }
    sync_handle_close(&mutex);
}

static void rwlocks(seat *self)
{
    sync_handle rwlock;
    sync_outcome outcome;
    (void)self;
    open_at(&rwlock, 0, SYNC_RWLOCK, 0, 0);
    for (int i = 0; i < ROUNDS; i++) {
        bool writes = i % 5 == 0;
        fail_if((writes ? sync_rwlock_write(&rwlock, OS_CLOCK_FOREVER, &outcome)
                        : sync_rwlock_read(&rwlock, OS_CLOCK_FOREVER, &outcome)) != 0);
        if (writes)
            touch(&shared);
        else
            fail_if(shared.one != shared.other);
        fail_if(sync_rwlock_leave(&rwlock) != 0);
    }
    sync_handle_close(&rwlock);
}

static void semaphores(seat *self)
{
    sync_handle semaphore;
    (void)self;
    open_at(&semaphore, 0, SYNC_SEMAPHORE, 0, 1);
    for (int i = 0; i < ROUNDS; i++) {
        fail_if(sync_semaphore_wait(&semaphore, OS_CLOCK_FOREVER) != 0);
        touch(&shared);
        fail_if(sync_semaphore_post(&semaphore, 1) != 0);
    }
    sync_handle_close(&semaphore);
}

static void events(seat *self)
{
    sync_handle event;
    (void)self;
    open_at(&event, 0, SYNC_EVENT, 0, 1);
    for (int i = 0; i < ROUNDS; i++) {
        fail_if(sync_event_wait(&event, OS_CLOCK_FOREVER) != 0);
        touch(&shared);
        sync_event_set(&event);
    }
    sync_handle_close(&event);
}

/* The pair says whose turn it is. */
static void conditions(seat *self)
{
    sync_handle mutex, condition;
    sync_outcome outcome;
    int relocked;
    open_at(&mutex, 0, SYNC_MUTEX, 0, 0);
    open_at(&condition, 1, SYNC_CONDITION, 0, 0);
    for (int i = 0; i < ROUNDS / 10; i++) {
        fail_if(check_lock(&mutex, OS_CLOCK_FOREVER, &outcome) != 0);
        while (shared.one % THREADS != (uint64_t)self->me)
            fail_if(sync_condition_wait(&condition, &mutex, OS_CLOCK_FOREVER, &outcome,
                                        &relocked) != 0 ||
                    relocked != 0);
        touch(&shared);
        sync_condition_broadcast(&condition);
        fail_if(check_unlock(&mutex) != 0);
    }
    sync_handle_close(&condition);
    sync_handle_close(&mutex);
}

/* In each generation another one changes the pair, and all look at it. */
static void barriers(seat *self)
{
    sync_handle barrier;
    sync_outcome outcome;
    bool last;
    open_at(&barrier, 0, SYNC_BARRIER, THREADS, 0);
    for (int i = 0; i < ROUNDS / 10; i++) {
        if (i % THREADS == self->me)
            touch(&shared);
        fail_if(sync_barrier_wait(&barrier, OS_CLOCK_FOREVER, &last, &outcome) != 0);
        fail_if(shared.one != (uint64_t)i + 1 || shared.other != (uint64_t)i + 1);
        fail_if(sync_barrier_wait(&barrier, OS_CLOCK_FOREVER, &last, &outcome) != 0);
    }
    sync_handle_close(&barrier);
}

/* Each waits for its own numbers. */
static void counters(seat *self)
{
    sync_handle counter;
    open_at(&counter, 0, SYNC_COUNTER, 0, 0);
    for (int i = 0; i < ROUNDS / 10; i++) {
        int64_t mine = (int64_t)i * THREADS + self->me;
        fail_if(sync_counter_wait(&counter, mine, OS_CLOCK_FOREVER) != 0);
        touch(&shared);
        fail_if(sync_counter_add(&counter, 1) != (uint64_t)mine);
    }
    sync_handle_close(&counter);
}

static void guards(seat *self)
{
    mem_guarded guarded = check_guarded(mapping, 0);
    struct pair *pair = (struct pair *)(mapping->base + PAGE);
    pid_t holder;
    (void)self;
    for (int i = 0; i < ROUNDS; i++) {
        fail_if(mem_guard_enter(&guarded, OS_CLOCK_FOREVER, &holder) != 0);
        fail_if(mem_guard_save(&guarded, pair, sizeof *pair) != 0);
        touch(pair);
        touch(&shared);
        fail_if(pair->one != shared.one);
        mem_guard_leave(&guarded);
    }
}

/* Which of the two pairs is changed, whoever comes learns when it has one. */
static void several(seat *self)
{
    sync_handle mutex, semaphore;
    const sync_handle *both[2];
    open_at(&mutex, 0, SYNC_MUTEX, 0, 0);
    open_at(&semaphore, 1, SYNC_SEMAPHORE, 0, 1);
    both[self->me % 2] = &mutex;
    both[1 - self->me % 2] = &semaphore;
    for (int i = 0; i < ROUNDS; i++) {
        sync_outcome outcome;
        size_t which = 2;
        fail_if(sync_several(both, 2, OS_CLOCK_FOREVER, &which, &outcome) != 0);
        if (both[which] == &mutex) {
            touch(&shared);
            fail_if(check_unlock(&mutex) != 0);
        } else {
            touch(&second);
            fail_if(sync_semaphore_post(&semaphore, 1) != 0);
        }
    }
    sync_handle_close(&semaphore);
    sync_handle_close(&mutex);
}

/*
 * A thread ends inside, with the pair half changed, while others wait: one of them is
 * told and finds the pair as it was. That a thread's end comes before what the kernel
 * says of it is not known to the sanitizer, and is told here.
 */
static sync_kind deadly;
static bool only_reads;
static uint32_t waiting;

static int enter_deadly(sync_handle *handle, bool reads)
{
    sync_outcome outcome;
    pid_t holder;
    mem_guarded guarded = check_guarded(mapping, 0);
    if (deadly == 0)
        return mem_guard_enter(&guarded, OS_CLOCK_FOREVER, &holder);
    if (deadly == SYNC_MUTEX)
        return check_lock(handle, OS_CLOCK_FOREVER, &outcome);
    return reads ? sync_rwlock_read(handle, OS_CLOCK_FOREVER, &outcome)
                 : sync_rwlock_write(handle, OS_CLOCK_FOREVER, &outcome);
}

static void leave_deadly(sync_handle *handle)
{
    mem_guarded guarded = check_guarded(mapping, 0);
    if (deadly == 0)
        mem_guard_leave(&guarded);
    else
        fail_if((deadly == SYNC_MUTEX ? check_unlock(handle)
                                      : sync_rwlock_leave(handle)) != 0);
}

static void open_deadly(sync_handle *handle)
{
    if (deadly)
        open_at(handle, 0, deadly, ROOM, 0);
}

static void dies(seat *self)
{
    struct pair *pair = (struct pair *)(mapping->base + PAGE);
    sync_handle handle;
    size_t room;
    open_deadly(&handle);
    self->result = enter_deadly(&handle, only_reads);
    mem_atomic_add32(&waiting, 1);
    while (mem_atomic_load32(&waiting) < THREADS)
        usleep(100);
    usleep(2000); /* most of the others sleep by now */
    void *word = mapping->base;
    if (deadly == 0) {
        mem_guarded guarded = check_guarded(mapping, 0);
        fail_if(mem_guard_save(&guarded, pair, sizeof *pair) != 0);
    } else {
        word = sync_holder_of(&handle, os_thread_self());
        mem_journal *journal = sync_handle_journal(&handle, &room);
        if (!only_reads)
            fail_if(mem_journal_save(journal, room, pair, pair, sizeof *pair) != 0);
    }
    if (!only_reads)
        pair->one++;
    if (deadly)
        sync_handle_close(&handle);
    __tsan_release(word);
    pthread_exit(NULL);
}

static void survives(seat *self)
{
    struct pair *pair = (struct pair *)(mapping->base + PAGE);
    sync_handle handle;
    open_deadly(&handle);
    while (mem_atomic_load32(&waiting) == 0)
        usleep(100);
    mem_atomic_add32(&waiting, 1);
    bool reads = deadly == SYNC_RWLOCK && !only_reads && self->me == 1;
    self->result = enter_deadly(&handle, reads);
    if (reads)
        fail_if(pair->one != pair->other);
    else
        touch(pair);
    leave_deadly(&handle);
    if (deadly)
        sync_handle_close(&handle);
}

static void death(const char *name, sync_kind kind, bool reads)
{
    int told = 0, others = 0;
    errors = 0;
    for (int round = 0; round < 20; round++) {
        seat seats[THREADS];
        deadly = kind;
        only_reads = reads;
        waiting = 0;
        mapping = check_memory(4 * PAGE);
        for (int i = 0; i < THREADS; i++)
            begin(&seats[i], i, i == 0 ? dies : survives);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(seats[i].thread, NULL);
            told += seats[i].result == 1;
            others += seats[i].result != 0 && seats[i].result != 1;
        }
        mem_mapping_release(mapping);
    }
    check(errors == 0 && others == 0, "a thread dies with %s: %d errors", name, errors);
    check(told == (reads ? 0 : 20), "a thread dies with %s: %d are told", name, told);
}

/* More readers than there are records for: who finds none sleeps until one leaves. */
static uint32_t coming, reading, leave;

static int64_t thread_time(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * 1000000000LL + used.tv_nsec;
}

static void reads_along(seat *self)
{
    sync_handle rwlock;
    sync_outcome outcome;
    open_at(&rwlock, 0, SYNC_RWLOCK, 0, 0);
    int64_t came = os_clock_now(), ran = thread_time();
    mem_atomic_add32(&coming, 1);
    self->result = sync_rwlock_read(&rwlock, OS_CLOCK_FOREVER, &outcome);
    self->awake = thread_time() - ran;
    self->waited = os_clock_now() - came;
    self->found_none = mem_atomic_load32(&leave) != 0;
    mem_atomic_add32(&reading, 1);
    while (!mem_atomic_load32(&leave))
        usleep(1000);
    fail_if(self->result != 0 || sync_rwlock_leave(&rwlock) != 0);
    sync_handle_close(&rwlock);
}

static void full_house(void)
{
    seat seats[SYNC_READERS + 2];
    int slept = 0;
    mapping = check_memory(4 * PAGE);
    errors = 0;
    for (int i = 0; i < SYNC_READERS + 2; i++)
        begin(&seats[i], i, reads_along);
    while (mem_atomic_load32(&reading) < SYNC_READERS ||
           mem_atomic_load32(&coming) < SYNC_READERS + 2)
        usleep(1000);
    usleep(300000); /* for as long the last two must do next to nothing */
    check(mem_atomic_load32(&reading) == SYNC_READERS, "no more read than there is room");
    mem_atomic_store32(&leave, 1);
    for (int i = 0; i < SYNC_READERS + 2; i++) {
        pthread_join(seats[i].thread, NULL);
        if (!seats[i].found_none)
            continue;
        slept++;
        check(seats[i].awake < seats[i].waited / 2,
              "who waits to read sleeps: awake for %jd of %jd ms",
              (intmax_t)(seats[i].awake / 1000000),
              (intmax_t)(seats[i].waited / 1000000));
    }
    check(errors == 0 && slept == 2, "all read in the end, two of them late");
    mem_mapping_release(mapping);
}

int main(void)
{
    alarm(120);
    together("mutex", mutexes, THREADS * ROUNDS);
    together("rwlock", rwlocks, THREADS * ROUNDS / 5);
    together("semaphore", semaphores, THREADS * ROUNDS);
    together("event", events, THREADS * ROUNDS);
    together("condition", conditions, THREADS * ROUNDS / 10);
    together("barrier", barriers, ROUNDS / 10);
    together("counter", counters, THREADS * ROUNDS / 10);
    together("guard", guards, THREADS * ROUNDS);
    together("several", several, THREADS * ROUNDS);
    death("a guard", 0, false);
    death("a mutex", SYNC_MUTEX, false);
    death("a rwlock to write", SYNC_RWLOCK, false);
    death("a rwlock to read", SYNC_RWLOCK, true);
    full_house();
    return check_report();
}
