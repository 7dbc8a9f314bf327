/*
 * kill -9 at random of processes that take and give an arena's memory: what is left is
 * whole, and what only they had is given back.
 *
 * Each process takes blocks, fills them with its number, looks whether nobody else has
 * written there, gives them back, finds, makes and drops objects, and makes the arena
 * grow. Now and then one is killed, and another one begins in its place.
 */
#include "check.h"

#include "ds/ds.h"

#include <signal.h>
#include <sys/wait.h>

#define PROCESSES 4
#define SIZE ((size_t)1 << 16)
#define MAX ((size_t)1 << 20)
#define SECONDS 4
#define BLOCKS 12 /* of a process at once */
#define LATE 1000000000LL

typedef struct desk { /* beside the arena */
    uint64_t steps[PROCESSES], broken, errors, serial;
} desk;

static mem_mapping *memory;
static desk *tally;
static uint64_t seed;

static uint64_t below(uint64_t n)
{
    return check_random(&seed) % n;
}

static ds_arena *attach(void)
{
    ds_arena *arena;
    ds_arena_options options = {.max = MAX};
    bool made;
    int error = ds_arena_open(memory, memory->base, SIZE, memory->size, &options,
                              os_clock_deadline(10), &arena, &made);
    if (error) {
        printf("no arena: %s\n", strerror(-error));
        mem_atomic_add64(&tally->errors, 1);
        _exit(1);
    }
    return arena;
}

/* Full is an answer, and so are too many private blocks; nothing else is. */
static bool went_well(int error)
{
    if (error && error != -ENOSPC && error != -EAGAIN && error != -ENOENT) {
        printf("error: %s\n", strerror(-error));
        mem_atomic_add64(&tally->errors, 1);
    }
    return error == 0;
}

static void make_bytes(ds_arena *arena, void *at, const void *context)
{
    (void)arena;
    memset(at, 0x77, *(const size_t *)context);
}

static void use_name(ds_arena *arena)
{
    char name[2] = {(char)('a' + below(6)), 0};
    size_t size = 100 + (size_t)name[0] * 20;
    ds_wanted wanted = {.name = name,
                        .name_size = 1,
                        .kind = DS_BYTES,
                        .size = size,
                        .make = make_bytes,
                        .context = &size};
    ds_object object;
    bool made;
    if (below(3) == 0)
        went_well(ds_directory_drop(arena, name, 1, OS_CLOCK_FOREVER));
    if (!went_well(ds_object_open(arena, &wanted, OS_CLOCK_FOREVER, &object, &made)))
        return;
    const uint8_t *bytes = object.at;
    bool whole = object.size == size;
    for (size_t i = 0; i < size && whole; i++)
        whole = bytes[i] == 0x77;
    if (!whole)
        mem_atomic_add64(&tally->broken, 1);
    ds_object_close(&object);
}

typedef struct mine {
    uint32_t ref;
    size_t size;
    uint64_t mark;
} mine;

static void give(ds_arena *arena, mine *one)
{
    const uint64_t *words = ds_heap_at(arena, one->ref, one->size);
    for (size_t i = 0; words && i < one->size / 8; i++) {
        if (words[i] != one->mark) {
            mem_atomic_add64(&tally->broken, 1);
            break;
        }
    }
    went_well(ds_private_give(arena, one->ref, OS_CLOCK_FOREVER));
    one->ref = 0;
}

static void take(ds_arena *arena, mine *one)
{
    one->size = (size_t)(8 + below(below(8) ? 400 : 20000)) / 8 * 8;
    one->mark = mem_atomic_add64(&tally->serial, 1) + 1;
    one->ref = 0;
    uint32_t ref = 0;
    if (!went_well(ds_private_take(arena, one->size, OS_CLOCK_FOREVER, &ref)))
        return;
    one->ref = ref;
    uint64_t *words = ds_heap_at(arena, ref, one->size);
    for (size_t i = 0; words && i < one->size / 8; i++)
        words[i] = one->mark;
}

static _Noreturn void work(int me)
{
    mine own[BLOCKS] = {{0}};
    ds_arena *arena = attach();
    alarm(60);
    seed = (uint64_t)os_clock_now() * 2 + 1 + (uint64_t)me;
    for (;;) {
        mine *one = &own[below(BLOCKS)];
        if (below(8) == 0)
            use_name(arena);
        else if (one->ref)
            give(arena, one);
        else
            take(arena, one);
        mem_atomic_add64(&tally->steps[me], 1);
    }
}

static pid_t begin(int me)
{
    pid_t pid = fork();
    if (pid == 0)
        work(me);
    return pid;
}

/* How long until each of those that live has made a step. */
static int64_t survive(int victim)
{
    int64_t began = os_clock_now(), end = began + 5 * LATE;
    for (int i = 0; i < PROCESSES; i++) {
        uint64_t before = mem_atomic_load64(&tally->steps[i]);
        while (i != victim && mem_atomic_load64(&tally->steps[i]) < before + 2 &&
               os_clock_now() < end)
            usleep(50);
    }
    return os_clock_now() - began;
}

static void look(const char *when)
{
    ds_arena *arena = attach(); /* which reaps */
    int error = ds_arena_enter(arena, OS_CLOCK_FOREVER);
    int found = error ? error : ds_heap_check(arena);
    if (!error)
        ds_arena_leave(arena);
    check(found == 0, "%s: the heap is whole: %s", when, strerror(-found));
    ds_arena_release(arena);
}

static void empty(size_t *size)
{
    ds_arena *arena = attach();
    for (char name = 'a'; name < 'a' + 6; name++)
        ds_directory_drop(arena, &name, 1, OS_CLOCK_FOREVER);
    *size = arena->at->size;
    check(arena->at->objects == 0, "no object has a name");
    check(arena->at->dropped == 0, "what was dropped is gone");
    check(arena->at->heap.used == 0, "%ju bytes are nobody's",
          (uintmax_t)arena->at->heap.used * DS_UNIT);
    ds_arena_release(arena);
}

int main(void)
{
    int64_t most = 0;
    int killed = 0;
    pid_t pids[PROCESSES];
    mem_object_options options = {.mode = 0600, .max = MAX};
    if (mem_object_anonymous(SIZE, &options, &memory))
        return 1;
    mem_mapping *beside = check_memory(4096);
    tally = (desk *)beside->base;
    seed = (uint64_t)os_clock_now() | 1;
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = begin(i);
    int64_t end = os_clock_deadline(SECONDS);
    while (os_clock_now() < end) {
        int victim = (int)below(PROCESSES);
        uint64_t before = mem_atomic_load64(&tally->steps[victim]);
        int64_t patience = os_clock_deadline(5);
        while (mem_atomic_load64(&tally->steps[victim]) < before + 20 &&
               os_clock_now() < patience)
            usleep(50); /* it is at work */
        kill(pids[victim], SIGKILL);
        int64_t took = survive(victim);
        most = took > most ? took : most;
        waitpid(pids[victim], NULL, 0);
        if (++killed % 16 == 0)
            look("at work");
        pids[victim] = begin(victim);
    }
    for (int i = 0; i < PROCESSES; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    look("at the end");
    size_t size;
    empty(&size);
    look("when it is empty");
    check(size > SIZE, "it grew to %zu bytes", size);
    printf("heap     %d killed, %ju blocks, the others went on after %.1f ms at most\n",
           killed, (uintmax_t)tally->serial, (double)most / 1e6);
    check(killed > 10, "some were killed");
    check(tally->broken == 0, "found broken %ju times", (uintmax_t)tally->broken);
    check(tally->errors == 0, "%ju errors", (uintmax_t)tally->errors);
    mem_mapping_release(beside);
    mem_mapping_release(memory);
    return check_report();
}
