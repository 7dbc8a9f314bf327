/*
 * kill -9 at random while three words are being changed: who comes next finds them equal.
 *
 * Two processes change the words inside a guard, a mutex or a rwlock with a journal, and
 * one of them is killed. The other must go on, and how long that took is measured. It is
 * to be less than 100 ms; one that is late may be the scheduler's, most are not.
 */
#include "check.h"

#include <signal.h>
#include <sys/wait.h>

#define PAGE 4096
#define KILLS 300
#define LATE 100000000LL

typedef struct state {
    uint64_t words[3];
    uint64_t entered[2]; /* how often, by each */
    uint64_t recovered, broken, errors;
} state;

static mem_mapping *mapping;
static state *all;
static sync_kind kind; /* 0 for a guard */
static sync_handle handle;

static int enter(void)
{
    sync_outcome outcome;
    pid_t holder;
    mem_guarded guarded = check_guarded(mapping, PAGE);
    if (kind == 0)
        return mem_guard_enter(&guarded, OS_CLOCK_FOREVER, &holder);
    return kind == SYNC_MUTEX ? check_lock(&handle, OS_CLOCK_FOREVER, &outcome)
                              : sync_rwlock_write(&handle, OS_CLOCK_FOREVER, &outcome);
}

static int save(void)
{
    size_t room;
    mem_guarded guarded = check_guarded(mapping, PAGE);
    if (kind == 0)
        return mem_guard_save(&guarded, all->words, sizeof all->words);
    mem_journal *journal = sync_handle_journal(&handle, &room);
    return mem_journal_save(journal, room, all->words, all->words, sizeof all->words);
}

static int leave(void)
{
    size_t room;
    mem_guarded guarded = check_guarded(mapping, PAGE);
    if (kind == 0) {
        mem_guard_leave(&guarded);
        return 0;
    }
    mem_journal_clear(sync_handle_journal(&handle, &room));
    return kind == SYNC_MUTEX ? check_unlock(&handle) : sync_rwlock_leave(&handle);
}

static _Noreturn void work(int me)
{
    alarm(60);
    if (kind)
        check_open(&handle, mapping, PAGE, kind, 64, 0);
    for (;;) {
        int result = enter();
        if (result < 0 || save() != 0)
            mem_atomic_add64(&all->errors, 1);
        if (result == 1)
            mem_atomic_add64(&all->recovered, 1);
        if (all->words[0] != all->words[1] || all->words[0] != all->words[2])
            mem_atomic_add64(&all->broken, 1);
        for (int i = 0; i < 3; i++) { /* slowly, so that death is mostly here */
            mem_atomic_store64(&all->words[i], all->words[i] + 1);
            for (int pause = 0; pause < 20; pause++)
                os_wait_pause();
        }
        if (leave())
            mem_atomic_add64(&all->errors, 1);
        mem_atomic_add64(&all->entered[me], 1);
    }
}

static pid_t begin(int me)
{
    pid_t pid = fork();
    if (pid == 0)
        work(me);
    return pid;
}

/* Until the survivor has been inside from beginning to end. */
static int64_t survive(int survivor)
{
    int64_t began = os_clock_now(), end = began + 5000000000LL;
    uint64_t before = mem_atomic_load64(&all->entered[survivor]);
    while (mem_atomic_load64(&all->entered[survivor]) < before + 2 &&
           os_clock_now() < end)
        os_wait_pause();
    return os_clock_now() - began;
}

static void run(const char *name, sync_kind which)
{
    uint64_t seed = (uint64_t)os_clock_now() | 1;
    int64_t most = 0;
    int late = 0;
    kind = which;
    mapping = check_memory(2 * PAGE);
    all = (state *)mapping->base;
    pid_t pids[2] = {begin(0), begin(1)};
    for (int i = 0; i < KILLS; i++) {
        int victim = (int)(check_random(&seed) % 2);
        survive(victim); /* it is at work */
        usleep((unsigned)(check_random(&seed) % 2000));
        kill(pids[victim], SIGKILL);
        int64_t took = survive(1 - victim);
        most = took > most ? took : most;
        late += took > LATE;
        waitpid(pids[victim], NULL, 0);
        pids[victim] = begin(victim);
    }
    for (int i = 0; i < 2; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    printf("%-8s %d killed, %ju inside, the next one in after %.1f ms at most\n", name,
           KILLS, (uintmax_t)all->recovered, (double)most / 1e6);
    check(all->broken == 0, "%s: found broken %ju times", name, (uintmax_t)all->broken);
    check(all->errors == 0, "%s: %ju errors", name, (uintmax_t)all->errors);
    check(all->recovered > 0, "%s: some died inside", name);
    check(late <= KILLS / 20, "%s: %d of %d were late", name, late, KILLS);
    mem_mapping_release(mapping);
}

int main(void)
{
    run("guard", 0);
    run("mutex", SYNC_MUTEX);
    run("rwlock", SYNC_RWLOCK);
    return check_report();
}
