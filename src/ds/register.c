/*
 * The register: the processes that have an arena attached, each in a slot.
 *
 * What a process has open of the directory is a bit of its slot's in each entry, and its
 * private blocks have its identity. Both are nobody's once the slot is struck off: by the
 * process itself, or when it is dead, by who reaps; the blocks of one without a slot when
 * it is dead.
 *
 * A child made by fork has open what its parent had. Its slot is taken before the fork,
 * in the parent's name and marked as one that is to be claimed, and the child puts its
 * own name there: so at no instant can what it has open be given back. Nobody can tell
 * whether such a child lives, as its pid is not known before it has run. So the slot
 * stays for a while, whatever its parent does or dies of, and is anybody's to strike off
 * then. A child that comes later, having been stopped, has lost the arena's memory: what
 * it had open may be others' by now.
 *
 * Death: what takes many steps is kept after each of them, and the slot's own word is the
 * last. Who is killed in between has left less to do, and the slot to whoever reaps next.
 */
#include "ds/ds.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define CHILD_PATIENCE 10000000000u /* ns that a child has for its first steps */

static uint64_t parent; /* of who is being forked */

static uint64_t now_of_day(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t who_has(const ds_arena *arena, int slot)
{
    return mem_atomic_see64(&arena->process[slot].who);
}

/* Whether a slot is for a child that has not come. */
static bool is_unclaimed(const ds_arena *arena, int slot)
{
    return mem_atomic_see64(&arena->process[slot].since) & DS_PROCESS_UNCLAIMED;
}

/* Whether whoever a slot is for is dead, or a child that will hardly come any more. */
static bool is_gone(const ds_arena *arena, int slot, uint64_t who)
{
    if (!is_unclaimed(arena, slot))
        return !os_thread_alive(who);
    uint64_t since = mem_atomic_see64(&arena->process[slot].since);
    return (uint64_t)os_clock_now() - (since & ~DS_PROCESS_UNCLAIMED) > CHILD_PATIENCE;
}

/* Inside the guard: a slot in the register, with the process's identity. */
static int enroll(ds_arena *arena, uint64_t since)
{
    for (int i = 0; i < arena->processes; i++) {
        if (who_has(arena, i))
            continue;
        ds_put64(arena, &arena->process[i].since, since);
        ds_put64(arena, &arena->process[i].who, os_thread_leader());
        return i;
    }
    arena->error = -EUSERS;
    return -1;
}

/* Inside the guard: the slot is nobody's, and what only its process had is free. A child
 * that has not come had no blocks. */
static void strike(ds_arena *arena, int slot)
{
    uint64_t who = who_has(arena, slot);
    bool another = is_unclaimed(arena, slot);
    for (int i = 0; i < arena->processes; i++)
        another |= i != slot && who_has(arena, i) == who && !is_unclaimed(arena, i);
    for (int i = 0; i < DS_ARENA_PRIVATE && !another; i++) {
        uint32_t ref = mem_atomic_see32(&arena->at->private[i].ref);
        if (ref && mem_atomic_see64(&arena->at->private[i].owner) == who) {
            ds_private_free(arena, i);
            ds_arena_keep(arena);
        }
    }
    ds_directory_forget(arena, slot);
    ds_put64(arena, &arena->process[slot].who, 0);
}

/* The blocks of those who died and had no slot. */
static int reap_blocks(ds_arena *arena, int64_t deadline)
{
    for (int i = 0; i < DS_ARENA_PRIVATE; i++) {
        uint32_t ref = mem_atomic_load32(&arena->at->private[i].ref);
        uint64_t owner = mem_atomic_load64(&arena->at->private[i].owner);
        if (!ref || os_thread_alive(owner))
            continue;
        int error = ds_arena_enter(arena, deadline);
        if (error)
            return error;
        if (mem_atomic_see32(&arena->at->private[i].ref) == ref &&
            mem_atomic_see64(&arena->at->private[i].owner) == owner)
            ds_private_free(arena, i);
        error = ds_arena_leave(arena);
        if (error)
            return error;
    }
    return 0;
}

/*
 * Takes back what dead processes had. Who lives is looked up outside of the guard; but
 * first somebody has to have been inside, as one that died there may have struck off
 * another in a step that is undone.
 */
int ds_arena_reap(ds_arena *arena, int64_t deadline)
{
    int inside = ds_arena_enter(arena, deadline);
    if (inside || (inside = ds_arena_leave(arena)))
        return inside;
    for (int i = 0; i < arena->processes; i++) {
        uint64_t who = mem_atomic_load64(&arena->process[i].who);
        uint64_t since = mem_atomic_load64(&arena->process[i].since);
        if (!who || !is_gone(arena, i, who))
            continue;
        int error = ds_arena_enter(arena, deadline);
        if (error)
            return error;
        if (who_has(arena, i) == who &&
            mem_atomic_see64(&arena->process[i].since) == since)
            strike(arena, i);
        error = ds_arena_leave(arena);
        if (error)
            return error;
    }
    int error = reap_blocks(arena, deadline);
    ds_directory_sweep(arena, deadline);
    return error;
}

/* Who attached before but died is taken off the register first. */
int ds_register_attach(ds_arena *arena, int64_t deadline)
{
    int error = ds_arena_reap(arena, deadline);
    error = error ? error : ds_arena_enter(arena, deadline);
    if (error)
        return error;
    arena->slot = enroll(arena, now_of_day());
    arena->child = -1;
    return ds_arena_leave(arena);
}

/* Inside the guard: where there are no children, as where forks failed, none is to come.
 * But while a thread forks there is none yet, so the list of arenas is locked. */
static void strike_unclaimed(ds_arena *arena)
{
    bool childless = arena->forked && os_process_childless();
    for (int i = 0; i < arena->processes && childless; i++) {
        if (who_has(arena, i) == os_thread_leader() && is_unclaimed(arena, i)) {
            strike(arena, i);
            ds_arena_keep(arena);
        }
    }
}

static int try_reserve(ds_arena *arena)
{
    int error = ds_arena_enter(arena, OS_CLOCK_FOREVER);
    if (error)
        return error;
    uint64_t since = (uint64_t)os_clock_now() | DS_PROCESS_UNCLAIMED;
    int slot = enroll(arena, since);
    ds_arena_keep(arena);
    if (slot >= 0 && !arena->error) {
        arena->child = slot;
        arena->forked = since;
        ds_directory_adopt(arena, slot);
    }
    return ds_arena_leave(arena);
}

/* Before what comes next, which may be the same register's through another handle. */
void ds_register_tidy(ds_arena *arena)
{
    if (arena->slot < 0 || !arena->forked || !os_process_childless() ||
        ds_arena_enter(arena, DS_NOW))
        return;
    strike_unclaimed(arena);
    ds_arena_leave(arena);
}

/* Before a fork. */
void ds_register_reserve(ds_arena *arena)
{
    parent = os_thread_leader();
    arena->child = -1;
    if (arena->slot < 0)
        return;
    int error = try_reserve(arena);
    if (error == -EUSERS && ds_arena_reap(arena, OS_CLOCK_FOREVER) == 0)
        error = try_reserve(arena);
    if (error)
        ds_directory_lend(arena);
}

/* Inside the guard: whether the child's slot is still what its parent took for it. */
static bool is_ours(const ds_arena *arena, int slot)
{
    return who_has(arena, slot) == parent &&
           mem_atomic_see64(&arena->process[slot].since) == arena->forked;
}

/* In the child. Where there was no slot for it, it uses the arena without one: what it
 * has from its parent stays open in the parent's, until that detaches. */
void ds_register_claim(ds_arena *arena)
{
    int slot = arena->child;
    arena->slot = arena->child = -1;
    if (slot < 0) {
        ds_directory_borrow(arena);
        return;
    }
    bool ours = false;
    int error = ds_arena_enter(arena, OS_CLOCK_FOREVER);
    if (!error) {
        ours = is_ours(arena, slot);
        if (ours) {
            ds_put64(arena, &arena->process[slot].since, now_of_day());
            ds_put64(arena, &arena->process[slot].who, os_thread_leader());
        }
        error = ds_arena_leave(arena);
    }
    if (ours && !error)
        arena->slot = slot;
    else
        mem_fault_lose(arena->mapping);
}

void ds_register_detach(ds_arena *arena)
{
    if (arena->slot < 0 || ds_arena_enter(arena, OS_CLOCK_FOREVER))
        return;
    strike_unclaimed(arena);
    if (who_has(arena, arena->slot) == os_thread_leader())
        strike(arena, arena->slot);
    if (ds_arena_leave(arena) == 0)
        ds_directory_sweep(arena, OS_CLOCK_FOREVER);
}
