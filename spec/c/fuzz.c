/*
 * Whatever lies in the memory, no operation crashes, reaches outside of it or stays.
 *
 * All objects are made in a mapping between two guard pages; then bytes of it are
 * overwritten at random, also by another process meanwhile, and every operation is called
 * with a short time-out. It may answer anything. AddressSanitizer sees accesses outside
 * of objects on the stack; the guard pages see those outside of the mapping.
 *
 * What may take longer than its time-out: a guard's patience, a second. A condition takes
 * its mutex again however long that lasts, so somebody has to free it; here the other
 * process does, which writes zeros over all words that owners are written in.
 */
#include "check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SLOTS 12
#define SPAN                                                                             \
    2560 /* for each object; a mutex's or rwlock's journal reaches to its end            \
          */
#define SHORT 0.005
#define MOST 10000000000LL /* nanoseconds beyond the time-out; machines stand still */
#define HANG 60            /* seconds for a round */

static mem_mapping *mapping;
static uint8_t *memory;
static const size_t SIZE = (size_t)8 * 4096;
static uint64_t seed;
static volatile sig_atomic_t stop;
static int64_t longest;
static const char *longest_name = "none";

static pid_t player;

static void ended(int signo)
{
    stop = 1;
    if (player > 0)
        kill(player, signo);
}

static int keep(void *base, size_t size)
{
    (void)base;
    (void)size;
    return 0;
}

static uint64_t below(uint64_t n)
{
    return check_random(&seed) % n;
}

/* Values that hurt: small, huge, living threads, stamps, what is there already. */
static uint64_t nasty(void)
{
    switch (below(10)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return (uint64_t)1 << below(64);
    case 3:
        return below(512);
    case 4:
        return os_thread_self() | below(2) << 30;
    case 5:
        return (uint64_t)getppid() | below(4) << 30;
    case 6:
        return 1 | below(4) << 30;
    case 7:
        return (uint64_t)(0x4c53484d - below(2) * 0x20) << 32 | below(9) << 16 | 1;
    case 8:
        return -below(SIZE) & ~(uint64_t)7;
    default:
        return check_random(&seed);
    }
}

static void scribble(void)
{
    uint64_t times = 1 + below(64), span = below(4) ? SPAN : SIZE;
    uint64_t begin = span == SIZE ? 0 : below(SLOTS) * SPAN;
    for (uint64_t i = 0; i < times; i++) {
        uint64_t at = (begin + below(span)) & ~(uint64_t)3;
        if (below(4) == 0)
            at = begin + below(16) * 8; /* stamps, owners and masks come first */
        if (at > SIZE - 8)
            continue;
        if (at % 8 == 0 && below(2))
            mem_atomic_note64((uint64_t *)(memory + at), nasty());
        else
            mem_atomic_note32((uint32_t *)(memory + at), (uint32_t)nasty());
    }
}

/* The other process: scribbles, and now and then frees what nobody would. */
static void other(pid_t parent)
{
    seed ^= 0x9e3779b97f4a7c15;
    while (getppid() == parent) {
        if (below(2))
            scribble();
        for (uint64_t slot = 0; slot < SLOTS; slot++)
            mem_atomic_note64((uint64_t *)(memory + slot * SPAN + 24), 0);
        usleep((unsigned)below(3000));
    }
    _exit(0);
}

static sync_kind kind_of(uint64_t slot)
{
    return (sync_kind)(slot % SYNC_COUNTER + 1);
}

static uint32_t extra_of(sync_kind kind)
{
    if (kind == SYNC_BARRIER)
        return 1 + (uint32_t)below(SYNC_PARTIES);
    if (kind == SYNC_EVENT)
        return (uint32_t)below(2);
    return kind == SYNC_MUTEX || kind == SYNC_RWLOCK ? (uint32_t)below(1024) : 0;
}

static void make_all(void)
{
    memset(memory, 0, SIZE);
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        sync_handle handle;
        sync_kind kind = kind_of(slot);
        if (sync_handle_create(&handle, mapping, memory + slot * SPAN, kind,
                               extra_of(kind), below(3), os_clock_deadline(SHORT)) == 0)
            sync_handle_close(&handle);
    }
}

static void save(mem_journal *journal, size_t room, size_t n)
{
    uint8_t *at = memory + below(SIZE - n);
    mem_journal_save(journal, room, at, below(2) ? at : memory + below(SIZE - n), n);
}

static void operate(const sync_handle *handle, const sync_handle *mutex)
{
    int64_t deadline = os_clock_deadline(below(8) ? 0 : SHORT);
    sync_outcome outcome;
    uint64_t who[SYNC_SLOTS];
    uint32_t more;
    size_t room;
    bool last;
    int relocked;
    switch (handle->kind) {
    case SYNC_MUTEX: {
        mem_journal *journal = sync_handle_journal(handle, &room);
        if (check_lock(handle, deadline, &outcome) >= 0 && journal)
            save(journal, room, below(64));
        if (below(4))
            check_unlock(handle);
        break;
    }
    case SYNC_RWLOCK:
        if (below(2))
            sync_rwlock_write(handle, deadline, &outcome);
        else
            sync_rwlock_read(handle, deadline, &outcome);
        if (below(4))
            sync_rwlock_leave(handle);
        break;
    case SYNC_SEMAPHORE:
        sync_semaphore_wait(handle, deadline);
        sync_semaphore_post(handle, (uint32_t)nasty());
        break;
    case SYNC_EVENT:
        sync_event_wait(handle, deadline);
        sync_event_set(handle);
        if (below(2))
            sync_event_reset(handle);
        break;
    case SYNC_CONDITION:
        if (mutex && check_lock(mutex, deadline, &outcome) >= 0) {
            sync_condition_wait(handle, mutex, deadline, &outcome, &relocked);
            check_unlock(mutex);
        }
        sync_condition_signal(handle);
        sync_condition_broadcast(handle);
        break;
    case SYNC_BARRIER:
        if (below(16))
            mem_atomic_note32(&handle->barrier->guard.word, 0);
        sync_barrier_wait(handle, deadline, &last, &outcome);
        sync_barrier_arrived(handle);
        break;
    default:
        sync_counter_wait(handle, (int64_t)nasty(), deadline);
        sync_counter_add(handle, nasty());
        sync_counter_set(handle, nasty());
    }
    sync_handle_held(handle);
    sync_waiters_list(&handle->object->waiters, who, &more);
}

/* As the floor above: the place is aligned, and there is room for the smallest object. */
static bool attach(sync_handle *handle, uint64_t slot)
{
    uint64_t at = below(4) ? slot * SPAN : below((SIZE - sizeof(sync_object)) / 8) * 8;
    sync_kind kind = below(8) ? kind_of(slot) : (sync_kind)(below(SYNC_COUNTER) + 1);
    int64_t deadline = os_clock_deadline(SHORT);
    uint32_t extra = extra_of(kind);
    if (below(8) == 0 && mem_inside(SIZE, at, sync_size(kind, extra)))
        return sync_handle_create(handle, mapping, memory + at, kind, extra, nasty(),
                                  deadline) == 0;
    return sync_handle_attach(handle, mapping, memory + at, SIZE - at, kind, deadline) ==
           0;
}

static void enter_guard(void)
{
    mem_guarded guarded =
        check_guarded(mapping, below((SIZE - sizeof(mem_guard) - CHECK_ROOM) / 8) * 8);
    uint64_t n = below(CHECK_ROOM + 32);
    pid_t holder;
    if (below(16)) /* else a living stranger may cost a second */
        mem_atomic_note32(&guarded.guard->word, (uint32_t)below(2) << 30);
    if (mem_guard_enter(&guarded, OS_CLOCK_FOREVER, &holder) < 0)
        return;
    for (uint64_t i = below(4); i > 0; i--)
        mem_guard_save(&guarded, memory + below(SIZE - n), n);
    if (below(2))
        scribble();
    mem_guard_leave(&guarded);
}

static void measure(const char *name, int64_t began)
{
    int64_t took = os_clock_now() - began;
    if (took > longest) {
        longest = took;
        longest_name = name;
    }
}

static const char *const NAMES[] = {"",      "mutex",     "rwlock",  "semaphore",
                                    "event", "condition", "barrier", "counter"};

/* A round: objects as they should be, handles of them, and then anything. */
static uint64_t play(void)
{
    sync_handle handles[SLOTS];
    bool open[SLOTS];
    uint64_t operations = 0;
    if (below(4) == 0)
        make_all();
    for (uint64_t i = 0; i < SLOTS; i++)
        open[i] = attach(&handles[i], i);
    for (int turn = 0; turn < 8 && !stop; turn++) {
        uint64_t i = below(SLOTS);
        const sync_handle *mutex =
            open[0] && handles[0].kind == SYNC_MUTEX ? &handles[0] : NULL;
        scribble();
        int64_t began = os_clock_now();
        if (open[i])
            operate(&handles[i], mutex);
        measure(open[i] ? NAMES[handles[i].kind] : "none", began);
        operations += open[i];
        if (below(64) == 0) {
            began = os_clock_now();
            enter_guard();
            measure("guard", began);
        }
        const sync_handle *some[SLOTS];
        size_t n = 0, which;
        sync_outcome outcome;
        for (int k = 0; k < SLOTS; k++) {
            if (open[k] && handles[k].kind != SYNC_RWLOCK && sync_word(&handles[k]) &&
                handles[k].kind != SYNC_COUNTER)
                some[n++] = &handles[k];
        }
        began = os_clock_now();
        if (n > 0 && below(4) == 0)
            sync_several(some, n, os_clock_deadline(SHORT), &which, &outcome);
        measure("several", began);
    }
    for (uint64_t i = 0; i < SLOTS; i++) {
        if (open[i] && below(8) == 0)
            sync_handle_remove(&handles[i]);
        else if (open[i])
            sync_handle_close(&handles[i]);
    }
    return operations;
}

static void make_memory(void)
{
    uint8_t *room =
        mmap(NULL, SIZE + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room != MAP_FAILED)
        memory = mmap(room + 4096, SIZE, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (room != MAP_FAILED && memory != MAP_FAILED)
        mapping = mem_mapping_new(memory, SIZE, false, keep, "fuzz");
    if (!mapping)
        exit(1);
}

/* In a child, so that a crash is a failure with its seed and no end of the count. */
static _Noreturn void fuzz(double seconds)
{
    pid_t scribbler, parent = getpid();
    uint64_t operations = 0;
    make_memory();
    if ((scribbler = fork()) == 0)
        other(parent);
    int64_t end = os_clock_deadline(seconds);
    while (!stop && os_clock_now() < end) {
        alarm(HANG);
        operations += play();
    }
    kill(scribbler, SIGKILL);
    waitpid(scribbler, NULL, 0);
    printf("%ju operations, the longest took %jd ms (%s)\n", (uintmax_t)operations,
           (intmax_t)(longest / 1000000), longest_name);
    check(operations > 0, "there were operations");
    check(longest < MOST, "each ends in time");
    check(!mapping->fault.signo, "nothing faulted");
    exit(check_report());
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 60;
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)os_clock_now();
    seed = seed ? seed : 1;
    printf("seed %ju\n", (uintmax_t)seed);
    fflush(stdout);
    signal(SIGINT, ended);
    signal(SIGTERM, ended);
    player = fork();
    if (player == 0)
        fuzz(seconds);
    int status;
    while (waitpid(player, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
        return WEXITSTATUS(status);
    printf("it crashed, status 0x%x\n0 passed, 1 failed\n", (unsigned)status);
    return 1;
}
