/*
 * The directory: objects by their names, found or made in one step.
 *
 * Layout: chains of entries by the name's hash. An entry has the object's block, what it
 * is and how large, and a bit for each process of the register that has it open. One that
 * lost its name while it was open somewhere is on the list of those that were dropped.
 *
 * Invariant: an entry is in its chain, or on that list with a bit set; its block is in
 * use. All is changed inside the arena's guard, so who dies has made an object whole and
 * named, or none. Memory is given back by who is the last to close what was dropped, or
 * who strikes the last one off the register: no process has a handle to a free block.
 *
 * This process counts its own handles of each object; the bit is for all of them.
 */
#include "ds/ds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ds_opened {
    struct ds_opened *next;
    char name[DS_LABEL];
    uint32_t entry, users;
    bool lent;  /* open in the parent's slot, and not in one of this process's */
    bool lends; /* the other way round: to a child that may live still */
} ds_opened;

/* A chain that is longer than there is room for entries goes round. */
uint64_t ds_entries_most(const ds_arena *arena)
{
    return arena->reach / (ds_entry_size(arena, 0) + DS_HEAP_HEADER);
}

static uint32_t hash_of(const char *name, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a, for few and short names */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return hash;
}

ds_entry *ds_entry_at(ds_arena *arena, uint32_t ref)
{
    ds_entry *entry = ref ? ds_heap_at(arena, ref, ds_entry_size(arena, 0)) : NULL;
    if (!entry)
        arena->error = -EBADMSG;
    return entry;
}

bool ds_entry_is(const ds_arena *arena, ds_entry *entry, const char *name, size_t size)
{
    const uint8_t *begin = (const uint8_t *)ds_entry_name(arena, entry);
    uint64_t offset = (uint64_t)(begin - (const uint8_t *)arena->at);
    return entry->name_size == size && mem_inside(arena->reach, offset, size) &&
           memcmp(begin, name, size) == 0;
}

/* The link that leads to the name's entry, or the last one. */
static uint32_t *find(ds_arena *arena, const char *name, size_t size)
{
    uint32_t *link = &arena->at->names[hash_of(name, size) % DS_ARENA_NAMES];
    for (uint64_t i = 0; i < ds_entries_most(arena); i++) {
        uint32_t ref = mem_atomic_see32(link);
        ds_entry *entry = ref ? ds_entry_at(arena, ref) : NULL;
        if (!entry || ds_entry_is(arena, entry, name, size))
            return link;
        link = &entry->next;
    }
    arena->error = -EBADMSG;
    return link;
}

static uint64_t *bits_of(ds_entry *entry, int slot)
{
    return &entry->open[slot / 64];
}

static void set_open(ds_arena *arena, ds_entry *entry, int slot, bool open)
{
    uint64_t bit = UINT64_C(1) << slot % 64,
             bits = mem_atomic_see64(bits_of(entry, slot));
    if (!(bits & bit) == open)
        ds_put64(arena, bits_of(entry, slot), bits ^ bit);
}

/* Makes the object and its entry at the chain's end. */
static uint32_t make(ds_arena *arena, const ds_wanted *wanted, uint32_t *link)
{
    uint32_t block = wanted->made;
    block = block ? block : ds_heap_take(arena, wanted->size + DS_LINE);
    uint32_t ref = ds_heap_take(arena, ds_entry_size(arena, wanted->name_size));
    ds_entry *entry = ref ? ds_entry_at(arena, ref) : NULL;
    void *at = block ? ds_arena_at(arena, ds_place_of(block), wanted->size) : NULL;
    if (!entry || !at)
        return 0;
    *entry = (ds_entry){
        .block = block,
        .kind = wanted->kind,
        .name_size = (uint16_t)wanted->name_size,
        .layout = wanted->layout,
        .size = wanted->size,
    };
    memset(entry->open, 0, (size_t)arena->processes / 8);
    memcpy(ds_entry_name(arena, entry), wanted->name, wanted->name_size);
    if (wanted->made)
        ds_private_publish(arena, block);
    else
        wanted->make(arena, at, wanted->context);
    ds_put32(arena, link, ref);
    ds_put32(arena, &arena->at->objects, mem_atomic_see32(&arena->at->objects) + 1);
    return ref;
}

/* Inside the guard. -ENOENT, -ENOTEMPTY when it is something else, -EPROTO when its
 * layout is another. */
static bool obtain(ds_arena *arena, const ds_wanted *wanted, ds_object *object)
{
    uint32_t *link = find(arena, wanted->name, wanted->name_size);
    uint32_t ref = arena->error ? 0 : mem_atomic_see32(link);
    bool made = false;
    if (!ref && !arena->error) {
        made = wanted->size > 0;
        arena->error = made ? 0 : -ENOENT;
        ref = made ? make(arena, wanted, link) : 0;
    }
    ds_entry *entry = arena->error ? NULL : ds_entry_at(arena, ref); /* 0 is none */
    if (!entry)
        return false;
    object->entry = ref;
    object->kind = entry->kind;
    object->size = mem_atomic_see64(&entry->size);
    object->at =
        ds_arena_at(arena, ds_place_of(mem_atomic_see32(&entry->block)), object->size);
    if (wanted->kind && entry->kind != wanted->kind)
        arena->error = -ENOTEMPTY;
    else if (wanted->kind && entry->layout != wanted->layout)
        arena->error = -EPROTO;
    else if (!object->at)
        arena->error = -EBADMSG;
    set_open(arena, entry, arena->slot, true);
    return made;
}

static ds_opened **opened_of(ds_arena *arena, uint32_t entry)
{
    ds_opened **link = &arena->opened;
    while (*link && (*link)->entry != entry)
        link = &(*link)->next;
    return link;
}

static ds_opened *count(ds_arena *arena, uint32_t entry, ds_opened *fresh)
{
    ds_opened **link = opened_of(arena, entry);
    if (!*link) {
        fresh->next = *link;
        fresh->entry = entry;
        *link = fresh;
    } else
        free(fresh);
    (*link)->lent = false;
    if ((*link)->users++ == 0)
        ds_arena_retain(arena);
    return *link;
}

/* Before the fork of a child that gets no slot: what it has from here stays open here. */
void ds_directory_lend(ds_arena *arena)
{
    for (ds_opened *one = arena->opened; one; one = one->next)
        one->lends = true;
}

/* In a child that got no slot: what it has from its parent is its parent's to keep open,
 * and may be something else when that has let go. */
void ds_directory_borrow(ds_arena *arena)
{
    for (ds_opened *one = arena->opened; one; one = one->next)
        one->lent = true;
}

/*
 * Opens an object by its name, and makes it if it is not there and has a size. Kind 0
 * takes any. What make does must be short, and end. -EUSERS where this is a child that
 * got no slot, and there is none now.
 */
int ds_object_open(ds_arena *arena, const ds_wanted *wanted, int64_t deadline,
                   ds_object *object, bool *made)
{
    ds_opened *fresh = calloc(1, sizeof *fresh);
    int error = fresh ? -ENOSPC : -ENOMEM, more = 0;
    bool reaped = false;
    if (fresh)
        snprintf(fresh->name, sizeof fresh->name, "%.*s", (int)wanted->name_size,
                 wanted->name);
    if (fresh && arena->slot < 0)
        more = ds_register_attach(arena, deadline);
    error = more ? more : error;
    while (fresh && error == -ENOSPC && !more) {
        error = ds_arena_enter(arena, deadline);
        if (error)
            break;
        *made = obtain(arena, wanted, object);
        error = ds_arena_leave(arena);
        if (error == -ENOSPC)
            more = ds_arena_more(
                arena, wanted->size + ds_entry_size(arena, DS_NAME) + 2 * DS_LINE,
                deadline, &reaped);
    }
    if (error) {
        free(fresh);
        return error;
    }
    object->arena = arena;
    object->opened = count(arena, object->entry, fresh);
    return 0;
}

/* One handle more of an object that is open. Each message that is lent is one. */
void ds_object_share(const ds_object *object, ds_object *other)
{
    *other = *object;
    if (object->arena)
        object->opened->users++;
}

static void set_closed(ds_arena *arena, uint32_t ref)
{
    if (arena->slot < 0 || ds_arena_enter(arena, OS_CLOCK_FOREVER))
        return;
    ds_entry *entry = ds_entry_at(arena, ref);
    if (entry)
        set_open(arena, entry, arena->slot, false);
    if (ds_arena_leave(arena) == 0)
        ds_directory_sweep(arena, OS_CLOCK_FOREVER);
}

/* Its name, for people: the beginning of it, or NULL when it has none. */
const char *ds_object_name(const ds_object *object)
{
    return object->arena ? object->opened->name : NULL;
}

/* Closes what has no handle any more, also what had to stay open for children until now.
 */
static void settle(ds_arena *arena)
{
    bool asked = false, childless = false;
    for (ds_opened **link = &arena->opened, *one; (one = *link);) {
        if (one->users == 0 && one->lends && !asked) {
            asked = true;
            childless = os_process_childless();
        }
        if (one->users > 0 || (one->lends && !childless)) {
            link = &one->next;
            continue;
        }
        ds_opened closed = *one;
        *link = one->next;
        free(one);
        if (!closed.lent)
            set_closed(arena, closed.entry);
    }
}

void ds_object_close(ds_object *object)
{
    ds_arena *arena = object->arena;
    object->arena = NULL;
    if (!arena || --object->opened->users > 0)
        return;
    settle(arena);
    ds_arena_release(arena);
}

/* When the arena is let go of: what is still open is so for children. */
void ds_directory_close(ds_arena *arena)
{
    for (ds_opened *one; (one = arena->opened);) {
        arena->opened = one->next;
        free(one);
    }
}

/* Takes the name away; -ENOENT when there is none. */
int ds_directory_drop(ds_arena *arena, const char *name, size_t size, int64_t deadline)
{
    int error = ds_arena_reap(arena, deadline);
    error = error ? error : ds_arena_enter(arena, deadline);
    if (error)
        return error;
    uint32_t *link = find(arena, name, size), ref = mem_atomic_see32(link);
    ds_entry *entry = ref && !arena->error ? ds_entry_at(arena, ref) : NULL;
    if (!entry)
        arena->error = arena->error ? arena->error : -ENOENT;
    else {
        ds_put32(arena, link, mem_atomic_see32(&entry->next));
        ds_put32(arena, &entry->next, mem_atomic_see32(&arena->at->dropped));
        ds_put32(arena, &arena->at->dropped, ref);
        ds_put32(arena, &arena->at->objects, mem_atomic_see32(&arena->at->objects) - 1);
    }
    error = ds_arena_leave(arena);
    if (!error)
        ds_directory_sweep(arena, deadline);
    return error;
}

/* How many entries there can be: chains that go round have more. */
static uint64_t most_of(const ds_arena *arena)
{
    return arena->reach / ds_entry_size(arena, 0) + 1;
}

static void each_in(ds_arena *arena, uint32_t ref, uint64_t *left, ds_visitor visit,
                    void *context)
{
    while (ref && !arena->error) {
        ds_entry *entry = (*left)-- ? ds_entry_at(arena, ref) : NULL;
        if (!entry)
            arena->error = -EBADMSG;
        if (!entry)
            return;
        visit(arena, ref, entry, context);
        ref = mem_atomic_see32(&entry->next);
    }
}

/* Visits all that have names, inside the guard. */
void ds_directory_each(ds_arena *arena, ds_visitor visit, void *context)
{
    uint64_t left = most_of(arena);
    for (int i = 0; i < DS_ARENA_NAMES && !arena->error; i++)
        each_in(arena, mem_atomic_see32(&arena->at->names[i]), &left, visit, context);
}

static void forget(ds_arena *arena, uint32_t ref, ds_entry *entry, void *context)
{
    (void)ref;
    set_open(arena, entry, *(int *)context, false);
    ds_arena_keep(arena);
}

/* Inside the guard, step by step: a process has nothing open any more. The caller sweeps
   then. */
void ds_directory_forget(ds_arena *arena, int slot)
{
    ds_directory_each(arena, forget, &slot);
    uint64_t left = most_of(arena);
    each_in(arena, mem_atomic_see32(&arena->at->dropped), &left, forget, &slot);
}

/* Inside the guard, step by step: what this process has open is open in the slot. */
void ds_directory_adopt(ds_arena *arena, int slot)
{
    for (ds_opened *one = arena->opened; one; one = one->next) {
        bool ours = one->users > 0 && !one->lent;
        ds_entry *entry = ours ? ds_entry_at(arena, one->entry) : NULL;
        if (entry)
            set_open(arena, entry, slot, true);
        ds_arena_keep(arena);
    }
}
