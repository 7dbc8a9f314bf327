/*
 * Who waits for whom.
 *
 * Before a thread sleeps, it writes into each lock that it holds how far from there the
 * lock lies that it waits for. So whoever would sleep can follow: from the lock that it
 * wants to who holds that, to the lock which that one waits for, and so on; if that comes
 * back to itself, all of them would sleep for ever. What is written may be old, and
 * counts only if the thread's name is among the sleepers there. Locks in other mappings
 * are followed where they are held by the thread that looks.
 *
 * A circle that was found is looked at again from its end: the last one sleeps at a lock
 * that this thread holds, and so stays there; what it holds stays held; and so on back to
 * the first. Two that close one circle at the same time may both be told.
 */
#include "sync/sync.h"

#include <string.h>

#define STEPS 256 /* at most, as what is followed may be anybody's scribble */

/* The holders' records of a lock, and how many there may be. */
static sync_holder *holders(const void *object, sync_kind kind, int which)
{
    if (kind == SYNC_MUTEX)
        return which == 0 ? &((sync_mutex *)object)->owner : NULL;
    if (kind != SYNC_RWLOCK || which > SYNC_READERS)
        return NULL;
    sync_rwlock *rwlock = (sync_rwlock *)object;
    return which == 0 ? &rwlock->writer : &rwlock->reader[which - 1];
}

/* The record by which a thread holds the lock, or NULL. */
sync_holder *sync_holder_of(const sync_handle *handle, uint64_t who)
{
    sync_holder *holder;
    for (int i = 0; (holder = holders(handle->at, handle->kind, i)); i++) {
        if (sync_who(mem_atomic_load64(&holder->who)) == who)
            return holder;
    }
    return NULL;
}

static bool write_edge(sync_handle *handle, void *context)
{
    const sync_handle *wanted = context;
    sync_holder *mine = handle->mapping == wanted->mapping && handle->at != wanted->at
                            ? sync_holder_of(handle, os_thread_self())
                            : NULL;
    if (mine)
        mem_atomic_store64((uint64_t *)&mine->next,
                           (uint64_t)((uint8_t *)wanted->at - (uint8_t *)handle->at));
    return false;
}

typedef struct search {
    sync_path *path;
    const mem_mapping *mapping;
    uint64_t me, who;
    int depth, steps;
} search;

static bool finish(search *s, const sync_holder *holder)
{
    s->path->step[s->depth].holder = holder;
    s->path->step[s->depth].waits = NULL;
    s->path->step[s->depth].who = s->me;
    s->path->n = s->depth + 1;
    return true;
}

/* Whether s->who sleeps at what this thread holds. */
static bool waits_for_me(sync_handle *handle, void *context)
{
    search *s = context;
    if (!sync_waiters_has(&handle->object->waiters, s->who))
        return false;
    const sync_holder *mine = sync_holder_of(handle, s->me);
    if (!mine)
        return false;
    s->path->step[s->depth].waits = &handle->object->waiters;
    s->depth++;
    return finish(s, mine);
}

/* The lock that the holder of this one waits for, or NULL; sets its kind. */
static const sync_object *follow(const search *s, const void *object,
                                 const sync_holder *holder, sync_kind *kind)
{
    uint64_t distance = mem_atomic_load64((const uint64_t *)&holder->next);
    uint64_t at = (uint64_t)((uintptr_t)object - (uintptr_t)s->mapping->base) + distance;
    if (distance == 0 || at % 8 || !mem_inside(s->mapping->size, at, sizeof(sync_object)))
        return NULL;
    const sync_object *next = (const void *)(s->mapping->base + at);
    if (mem_stamp_is(&next->stamp, SYNC_MUTEX, SYNC_VERSION))
        *kind = SYNC_MUTEX;
    else if (mem_stamp_is(&next->stamp, SYNC_RWLOCK, SYNC_VERSION) &&
             mem_inside(s->mapping->size, at, sizeof(sync_rwlock)))
        *kind = SYNC_RWLOCK;
    else
        return NULL;
    return sync_waiters_has(&next->waiters, s->who) ? next : NULL;
}

/*
 * At the first lock this thread's own record says that it waits there to write. Who
 * sleeps at the lock that its record is in does not hold it: a reader writes its record
 * and takes it back when it finds a writer, and would wait for the one that waits for it.
 */
static bool look(search *s, const void *object, sync_kind kind)
{
    int depth = s->depth;
    const sync_holder *holder;
    for (int i = 0; (holder = holders(object, kind, i)) && s->steps++ < STEPS; i++) {
        uint64_t who = sync_who(mem_atomic_load64(&holder->who));
        s->depth = depth;
        if (who == s->me && depth > 0)
            return finish(s, holder);
        if (who == 0 || who == s->me || depth + 2 >= SYNC_PATH)
            continue;
        s->who = who;
        s->path->step[depth].holder = holder;
        s->path->step[depth].who = who;
        bool found = sync_handle_each(waits_for_me, s);
        if (sync_waiters_has(&((const sync_object *)object)->waiters, who))
            continue;
        if (found)
            return true;
        sync_kind next_kind;
        const sync_object *next = follow(s, object, holder, &next_kind);
        if (!next)
            continue;
        s->path->step[depth].waits = &next->waiters;
        s->depth = depth + 1;
        if (look(s, next, next_kind))
            return true;
    }
    return false;
}

/* Once more, from the end. */
static bool still(const sync_path *path)
{
    for (int i = path->n - 1; i >= 0; i--) {
        uint64_t who = path->step[i].who;
        if (path->step[i].waits && !sync_waiters_has(path->step[i].waits, who))
            return false;
        if (sync_who(mem_atomic_load64(&path->step[i].holder->who)) != who)
            return false;
    }
    return true;
}

/*
 * Whether sleeping at the lock would close a circle, which path becomes then. The caller
 * is among its sleepers already, so of two that close one the later sees it.
 */
bool sync_deadlock(const sync_handle *handle, sync_path *path)
{
    search s = {.path = path, .mapping = handle->mapping, .me = os_thread_self()};
    path->n = 0;
    sync_handle_each(write_edge, (void *)handle);
    return look(&s, handle->at, handle->kind) && still(path);
}
