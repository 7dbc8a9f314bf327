/*
 * This process's side of an object: where it lies, a share of its mapping, and a list of
 * all there are, by which is known what a thread holds.
 *
 * Nothing is noted when a lock is taken: its owner's word says it, and whoever wants to
 * know looks at all handles. The list is all threads'; a child made by fork has a copy.
 */
#include "sync/sync.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static sync_handle *first;
static uint32_t lock_word;

static void lock(void)
{
    mem_atomic_spin_lock(&lock_word);
}

static void unlock(void)
{
    mem_atomic_spin_unlock(&lock_word);
}

static void prepare(void)
{
    pthread_atfork(lock, unlock, unlock);
}

size_t sync_size(sync_kind kind, uint32_t extra)
{
    size_t room = (extra & SYNC_ROOM) / 8 * 8;
    switch (kind) {
    case SYNC_MUTEX:
        return sizeof(sync_mutex) + room;
    case SYNC_RWLOCK:
        return sizeof(sync_rwlock) + room;
    case SYNC_CONDITION:
        return sizeof(sync_condition);
    case SYNC_BARRIER:
        return sizeof(sync_barrier) + extra * sizeof(sync_arrival);
    default:
        return sizeof(sync_object);
    }
}

static void fill(sync_handle *handle, mem_mapping *mapping, void *at, sync_kind kind,
                 uint32_t extra)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    mem_mapping_retain(mapping);
    *handle = (sync_handle){.at = at, .mapping = mapping, .kind = kind, .extra = extra};
    lock();
    handle->next = first;
    if (first)
        first->previous = handle;
    first = handle;
    unlock();
}

/* Makes the object in memory that is this thread's alone: whoever finds the stamp's mark,
 * which is written last, finds the object whole. */
void sync_make(void *at, sync_kind kind, uint32_t extra, uint64_t value)
{
    sync_object *object = at;
    size_t size = sync_size(kind, extra);
    memset((uint8_t *)at + sizeof object->stamp, 0, size - sizeof object->stamp);
    memcpy(object->own, &value, sizeof value);
    mem_stamp_finish(&object->stamp, (uint16_t)kind, SYNC_VERSION, (uint32_t)size, extra);
}

/* Makes the object, which takes sync_size bytes; value is what it begins with. */
int sync_handle_create(sync_handle *handle, mem_mapping *mapping, void *at,
                       sync_kind kind, uint32_t extra, uint64_t value, int64_t deadline)
{
    sync_object *object = at;
    int error = mem_stamp_claim(&object->stamp, (uint16_t)kind, SYNC_VERSION, deadline);
    if (error)
        return error;
    sync_make(at, kind, extra, value);
    fill(handle, mapping, at, kind, extra);
    return 0;
}

/* Finds the object in the room that there is for it. */
int sync_handle_attach(sync_handle *handle, mem_mapping *mapping, void *at, size_t room,
                       sync_kind kind, int64_t deadline)
{
    const sync_object *object = at;
    int error = mem_stamp_check(&object->stamp, (uint16_t)kind, SYNC_VERSION, deadline);
    if (error)
        return error;
    uint32_t extra = mem_atomic_load32(&object->stamp.extra);
    uint32_t size = mem_atomic_load32(&object->stamp.size);
    bool parties = kind != SYNC_BARRIER || (extra > 0 && extra <= SYNC_PARTIES);
    if (!parties || size != sync_size(kind, extra) || size > room)
        return -ENOENT;
    fill(handle, mapping, at, kind, extra);
    return 0;
}

/* An eventcount within a larger object, whose maker has made it. */
void sync_handle_watch(sync_handle *handle, mem_mapping *mapping,
                       sync_eventcount *eventcount,
                       bool (*ready)(const sync_handle *handle), const void *context)
{
    fill(handle, mapping, eventcount, SYNC_EVENTCOUNT, 0);
    handle->ready = ready;
    handle->context = context;
}

/* Whether this thread holds it. */
bool sync_handle_held(const sync_handle *handle)
{
    return sync_holder_of(handle, os_thread_self()) != NULL;
}

/* Calls visit with each handle until one says yes; it must not open or close any. */
bool sync_handle_each(bool (*visit)(sync_handle *handle, void *context), void *context)
{
    bool found = false;
    lock();
    for (sync_handle *one = first; one && !found; one = one->next)
        found = visit(one, context);
    unlock();
    return found;
}

static bool is_held_there(sync_handle *handle, void *mapping)
{
    return handle->mapping == mapping && sync_handle_held(handle);
}

/* Whether this thread holds a lock in the mapping. */
bool sync_mapping_held(const mem_mapping *mapping)
{
    return sync_handle_each(is_held_there, (void *)mapping);
}

void sync_handle_close(sync_handle *handle)
{
    mem_mapping *mapping = handle->mapping;
    if (!mapping)
        return;
    lock();
    if (handle->previous)
        handle->previous->next = handle->next;
    else
        first = handle->next;
    if (handle->next)
        handle->next->previous = handle->previous;
    handle->mapping = NULL;
    unlock();
    mem_mapping_release(mapping);
}

/* There is no object any more, for those who attach; who has it must not use it. */
void sync_handle_remove(sync_handle *handle)
{
    mem_stamp_erase(&handle->object->stamp);
    sync_handle_close(handle);
}

/* The journal that a lock was made with, or NULL. */
mem_journal *sync_handle_journal(const sync_handle *handle, size_t *room)
{
    *room = (handle->extra & SYNC_ROOM) / 8 * 8;
    if (*room == 0)
        return NULL;
    return handle->kind == SYNC_MUTEX ? &handle->mutex->journal
                                      : &handle->rwlock->journal;
}

/*
 * What a lock's dead holder had begun in a transaction is as it was, also where that one
 * had more of the object mapped than is here. Or all of it is as it was found, and there
 * is an error, as this process may map no more.
 */
int sync_handle_undo(const sync_handle *handle, sync_outcome *outcome)
{
    const mem_mapping *mapping = handle->mapping;
    mem_mapping *whole = NULL;
    size_t room;
    mem_journal *journal = sync_handle_journal(handle, &room);
    if (!journal)
        return 0;
    if (!mem_journal_lies_in(journal, room, mapping->base, mapping->size)) {
        int error = mem_object_whole(mapping, &whole);
        outcome->unreachable = error != 0;
        if (error)
            return error == -EAGAIN ? -ENOMEM : error; /* so mmap says that of mlockall */
    }
    if (whole) {
        uint8_t *here = whole->base + mapping->offset;
        journal = (mem_journal *)(void *)(here + ((uint8_t *)journal - mapping->base));
        mapping = whole;
    }
    mem_journal_undo(journal, room, mapping->base, mapping->size);
    if (whole)
        mem_mapping_release(whole);
    return 0;
}
