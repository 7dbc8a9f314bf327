/*
 * Floor 4: the stairs to Lua, and the only floor that includes lua.h.
 *
 * Misuse throws; the world saying no is nil, message, errno. Handles are pushed
 * closed and opened afterwards, so that an error in between leaks nothing.
 * Methods carry their metatable as first upvalue: comparing it is the handle
 * check, and it differs per lua_State, which a static could not.
 *
 * An allocation can run a finalizer and any call a hook, and either can close the
 * very handle that is being used. So a pointer into a region, or a descriptor, is
 * taken last: nothing of Lua's that can run code comes between taking and using it.
 */
#ifndef LSHM_BIND_H
#define LSHM_BIND_H

/* Lua's functions are called without the detour by the linkage table, for a twentieth of
 * the time that a short method takes. */
#include <luaconf.h>
#undef LUA_API
#define LUA_API extern __attribute__((noplt))

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "ds/ds.h"
#include "mem/mem.h"
#include "os/os.h"
#include "sync/sync.h"

#pragma GCC visibility push(hidden)

/* descriptor.c: descriptors, and whatever else has one */
#define BIND_DESCRIPTOR "shm.posix.descriptor"

typedef struct bind_descriptor {
    int fd; /* -1 when closed */
} bind_descriptor;

bind_descriptor *bind_descriptor_push(lua_State *L);
int bind_fd(lua_State *L, int arg, const char *what);
int bind_fd_flush(lua_State *L, int arg);
void bind_descriptor_register(lua_State *L);

/* result.c: how a function answers */
int bind_fail(lua_State *L, int error, const char *what, ...);
int bind_done(lua_State *L, int error, const char *what);

/* argument.c: what a function accepts; each throws an error that names the argument */
void bind_arity(lua_State *L, int most);
LSHM_RARE int bind_misuse(lua_State *L, int arg, const char *name, const char *format,
                          ...);
lua_Integer bind_integer(lua_State *L, int arg, const char *name);
lua_Integer bind_range(lua_State *L, int arg, const char *name, lua_Integer least,
                       lua_Integer most);
lua_Integer bind_opt_range(lua_State *L, int arg, const char *name, lua_Integer absent,
                           lua_Integer least, lua_Integer most);
size_t bind_count(lua_State *L, int arg, const char *name);
const char *bind_string(lua_State *L, int arg, const char *name, size_t *size);
const char *bind_word(lua_State *L, int arg, const char *name);
int bind_option(lua_State *L, int arg, const char *name, bool may_be_absent,
                const char *const words[]);
lua_Number bind_seconds(lua_State *L, int arg, const char *name);
int bind_choice(lua_State *L, int arg, const char *name, const char *given,
                const char *const words[]);
const char *bind_unknown_field(lua_State *L, int table, const char *const known[]);
int64_t bind_deadline(lua_State *L, int arg);
int bind_signo(lua_State *L, int arg, const char *name);

/* field.c: fields of a table that is an argument; each says whether it is there */
bool bind_fields(lua_State *L, int arg, const char *name, bool may_be_absent,
                 const char *const known[]);
bool bind_field_integer(lua_State *L, int table, const char *name, lua_Integer least,
                        lua_Integer most, lua_Integer *value);
bool bind_field_boolean(lua_State *L, int table, const char *name, bool *value);
bool bind_field_option(lua_State *L, int table, const char *name,
                       const char *const words[], int *value);

/* handle.c: userdata of one kind */
typedef struct bind_constant {
    const char *name;
    lua_Integer value;
} bind_constant;

void bind_handle_type(lua_State *L, const char *type, const luaL_Reg *metamethods,
                      const luaL_Reg *methods);
void bind_handle_methods(lua_State *L, const char *type, const luaL_Reg *methods);
void bind_handle_field(lua_State *L, const char *type, const char *field,
                       lua_CFunction get);
LSHM_RARE void bind_handle_bad(lua_State *L, int arg, const char *why);
int bind_handle_method(lua_State *L);
LSHM_RARE void bind_handle_stranger(lua_State *L);
void bind_constants(lua_State *L, const bind_constant *constants);

/* The method's own object, or NULL if it is something else. */
static inline void *bind_handle_self(lua_State *L)
{
    void *self = lua_touserdata(L, 1);
    if (!self || !lua_getmetatable(L, 1))
        return NULL;
    bool same = lua_rawequal(L, -1, lua_upvalueindex(1));
    lua_pop(L, 1);
    return same ? self : NULL;
}

/*
 * The same, or NULL, where the method was called with that many arguments exactly, itself
 * included. The metatable comes to lie behind them, so that one comparison looks at both;
 * it stays there. Lua programs can not get hold of it, to pass it as an argument.
 */
static inline void *bind_handle_exactly(lua_State *L, int arguments)
{
    void *self = lua_touserdata(L, 1);
    if (!self || !lua_getmetatable(L, 1))
        return NULL;
    if (lua_rawequal(L, arguments + 1, lua_upvalueindex(1)))
        return self;
    lua_pop(L, 1);
    return NULL;
}

/* interrupt.c: signals that came a moment before a wait began to sleep */
void bind_interrupt_register(lua_State *L);

/* pollable.c: handles that stand in event loops; their first member is the descriptor */
void bind_pollable_methods(lua_State *L, const char *type);

/* region.c: shared bytes as Lua sees them */
#define BIND_REGION "shm.region"

typedef struct bind_region {
    uint8_t *base;        /* NULL when closed */
    size_t size;          /* 0 when closed, so that the bounds check covers both */
    uint8_t look;         /* before changing bytes: in the same line as the bounds */
    bool part;            /* a view: it does not grow with what it is part of */
    bool lent;            /* a loan's, which lets go of the object */
    mem_mapping *mapping; /* this handle's share */
    struct bind_region *previous, *next; /* of the same mapping */
    ds_object object;                    /* what it shows, if that has a name */
} bind_region;

#define BIND_READONLY 1  /* in look: bytes may not be changed */
#define BIND_JOURNALED 2 /* what they were is to be saved first */

bind_region *bind_region_push(lua_State *L);
void bind_region_fill(bind_region *region, mem_mapping *mapping, size_t offset,
                      size_t size);
int bind_region_close(lua_State *L, bind_region *region);
bind_region *bind_region_open(lua_State *L, int arg, const char *name);
LSHM_RARE uint8_t *bind_region_beyond(lua_State *L, bind_region *region, int arg,
                                      const char *name, lua_Integer offset, size_t n);
void bind_region_push_bytes(lua_State *L, const bind_region *region, const uint8_t *bytes,
                            size_t n);
void bind_region_follow(bind_region *region);
LSHM_RARE void bind_region_faulted(lua_State *L, const bind_region *region);
LSHM_RARE void bind_region_faulted_both(lua_State *L, const bind_region *region,
                                        const bind_region *other);
int bind_region_refuses(lua_State *L, const bind_region *region);
LSHM_RARE void bind_region_save(lua_State *L, const bind_region *region,
                                const uint8_t *bytes, size_t n);
void bind_region_forget(bind_region *region);
void bind_transaction_register(lua_State *L);
void bind_region_register(lua_State *L);
void bind_pack_register(lua_State *L);
void bind_scalar_register(lua_State *L);
void bind_word_register(lua_State *L);
void bind_getter_register(lua_State *L);
void bind_setter_register(lua_State *L);
void bind_boundword_register(lua_State *L);
void bind_search_register(lua_State *L);
void bind_behind_register(lua_State *L);

/* The region that a method was called on. */
static inline bind_region *bind_region_self(lua_State *L)
{
    bind_region *region = bind_handle_self(L);
    if (!region)
        bind_handle_bad(L, 1, BIND_REGION " expected");
    return region;
}

/* The same for a method that takes so many arguments, itself included, and none less. */
static inline bind_region *bind_region_exactly(lua_State *L, int arguments)
{
    bind_region *region = bind_handle_exactly(L, arguments);
    if (!region) {
        region = bind_region_self(L);
        bind_arity(L, arguments);
    }
    return region;
}

/* Where n bytes lie at the offset that argument arg gives, or an error. */
static inline uint8_t *bind_region_at(lua_State *L, bind_region *region, int arg,
                                      size_t n)
{
    lua_Integer offset =
        lua_isinteger(L, arg) ? lua_tointeger(L, arg) : bind_integer(L, arg, "offset");
    if (!mem_inside(region->size, (uint64_t)offset, n) || (n == 0 && !region->base))
        return bind_region_beyond(L, region, arg, "offset", offset, n);
    return region->base + offset;
}

/* After each access to the bytes, and before its result is anybody's. */
static inline void bind_region_check(lua_State *L, const bind_region *region)
{
    if (mem_fault_seen())
        bind_region_faulted(L, region);
}

static inline void bind_region_check_both(lua_State *L, const bind_region *region,
                                          const bind_region *other)
{
    if (mem_fault_seen())
        bind_region_faulted_both(L, region, other);
}

static inline void bind_region_writable(lua_State *L, const bind_region *region)
{
    if (__builtin_expect(region->look, 0) && region->look & BIND_READONLY)
        bind_region_refuses(L, region);
}

/* Where n bytes lie that the caller is about to change, having asked for writable. */
static inline uint8_t *bind_region_change(lua_State *L, bind_region *region, int arg,
                                          size_t n)
{
    uint8_t *bytes = bind_region_at(L, region, arg, n);
    if (__builtin_expect(region->look, 0))
        bind_region_save(L, region, bytes, n);
    return bytes;
}

/* getter.c: accessors that are bound to one place of a region */
typedef struct bind_bound { /* upvalue 1 of the closure */
    bind_region *region;    /* kept by user value 1 */
    size_t offset, end;
    int64_t amount; /* what an adder adds */
} bind_bound;

bind_bound *bind_bound_push(lua_State *L, int arity, size_t size, bool changes,
                            lua_CFunction access);
LSHM_RARE void bind_bound_faulted(lua_State *L);
LSHM_RARE uint8_t *bind_bound_beyond(lua_State *L, const bind_bound *bound, size_t size);

/* format.c: how far what string.unpack will read goes */
bool bind_format_reach(const char *format, const uint8_t *bytes, size_t size,
                       size_t *reach);

/* ipcid.c: the number of a System V object as userdata */
typedef struct bind_ipcid {
    int id;
    bool open;
} bind_ipcid;

typedef struct bind_ipcid_kind {
    const char *type;
    luaL_Reg methods[3];
    const char *function; /* which makes one, by this function of floor 0 */
    int (*get)(key_t key, size_t amount, int flags, int *id);
    lua_Integer
        most; /* the largest amount; a kind that has none takes no such argument */
} bind_ipcid_kind;

typedef struct bind_ipcperm { /* the values for IPC_SET that were given */
    lua_Integer uid, gid, mode;
    bool has_uid, has_gid, has_mode;
} bind_ipcperm;

void bind_ipcid_register(lua_State *L, const bind_ipcid_kind *kind);
bind_ipcid *bind_ipcid_push(lua_State *L, const bind_ipcid_kind *kind);
int bind_ipcid_get(lua_State *L, const bind_ipcid_kind *kind, const char *amount);
int bind_ipcid_number(lua_State *L, int arg, const bind_ipcid_kind *kind);
void bind_ipcperm_push(lua_State *L, const struct ipc_perm *perm);
bind_ipcperm bind_ipcperm_read(lua_State *L, int arg, const char *more);
bool bind_ipcperm_whole(const bind_ipcperm *values);
void bind_ipcperm_apply(const bind_ipcperm *values, struct ipc_perm *perm);

/* place.c: where in a region an object lies */
#define BIND_PLACE_PATIENCE 1.0 /* seconds for another process that is just making it */

typedef struct bind_place {
    bind_region *region;
    uint8_t *at;
    size_t room; /* to the region's end */
} bind_place;

void bind_place_given(lua_State *L);
bind_place bind_place_of(lua_State *L, size_t size, unsigned align);
int bind_place_refused(lua_State *L, const char *name, const char *verb, int error);

/* sync.c: objects to take turns by; their methods' upvalue is the metatable */
typedef struct bind_sync {
    sync_handle handle;  /* its mapping is NULL when closed */
    sync_notice *notice; /* the descriptor, if it was asked for */
    ds_object object;    /* what it is by a name, or lies in, if that is an arena's */
    uint64_t seen;       /* what a notice is asked with: see sync_notice_ask */
    bool looked;         /* a counter was seen */
} bind_sync;

typedef struct bind_sync_kind {
    sync_kind kind;
    const char *type, *name; /* "shm.mutex", "mutex" */
    /* The arguments from the third on: what the stamp says, and what it begins with. */
    uint32_t (*arguments)(lua_State *L, int arg, uint64_t *value);
    int most; /* arguments after the region and the offset */
} bind_sync_kind;

void bind_sync_type(lua_State *L, const bind_sync_kind *kind, const luaL_Reg *methods);
bind_sync *bind_sync_argument(lua_State *L, int arg, const char *name, const char *type);
const bind_sync_kind *bind_sync_kind_of(sync_kind kind);
bind_sync *bind_sync_push(lua_State *L, const bind_sync_kind *kind);
const char *bind_sync_name(const bind_sync *self);
const char *bind_sync_known(lua_State *L, const bind_sync *self, const void *at);
void bind_sync_print(lua_State *L, const bind_sync *self, const char *type,
                     const void *at);
void bind_sync_let_go(bind_sync *self);
LSHM_RARE void bind_sync_bad(lua_State *L, const bind_sync *self);
LSHM_RARE int bind_sync_gone(lua_State *L);
LSHM_RARE void bind_sync_faulted(lua_State *L, const bind_sync *self);
#define BIND_SYNC_UNREACHABLE ": what its dead holder began can not be mapped"
int bind_sync_answer(lua_State *L, const bind_sync *self, int result, const char *what,
                     const sync_outcome *outcome);
void bind_notice_methods(lua_State *L, const char *type);
uint32_t bind_sync_room(lua_State *L, int table);

/* The object that a method was called on, open. */
static inline bind_sync *bind_sync_self(lua_State *L)
{
    bind_sync *self = bind_handle_self(L);
    if (!self || !self->handle.mapping)
        bind_sync_bad(L, self);
    return self;
}

/* After each access to the object. */
static inline void bind_sync_check(lua_State *L, const bind_sync *self)
{
    if (mem_fault_seen())
        bind_sync_faulted(L, self);
}

/* hold.c: locks held for as long as a function runs, or a variable lives */
typedef int (*bind_hold_take)(const sync_handle *handle, int64_t deadline,
                              sync_outcome *outcome);

int bind_hold_acquire(const sync_handle *handle, int64_t deadline, sync_outcome *outcome);
int bind_hold_release(const sync_handle *handle);
bool bind_hold_journaled(const sync_handle *handle);
int bind_hold_lock(lua_State *L, bind_hold_take take, const char *what);
int bind_hold_try(lua_State *L, bind_hold_take take, const char *what);
int bind_hold_with(lua_State *L, bind_hold_take take, const char *what);
int bind_hold_hold(lua_State *L, bind_hold_take take, const char *what);
int bind_hold_unlock(lua_State *L);
int bind_hold_holder(lua_State *L, uint64_t who, uint64_t since);
void bind_hold_register(lua_State *L);

/* One function per Lua module's share of shm.core; each leaves a table on the stack. */
void bind_sysv_open(lua_State *L);
void bind_process_open(lua_State *L);
void bind_posix_open(lua_State *L);
void bind_object_open(lua_State *L);
void bind_word_open(lua_State *L);
void bind_scalar_open(lua_State *L);
void bind_sync_open(lua_State *L);
void bind_mutex_add(lua_State *L);
void bind_rwlock_add(lua_State *L);
void bind_semaphore_add(lua_State *L);
void bind_event_add(lua_State *L);
void bind_counter_add(lua_State *L);
void bind_condition_add(lua_State *L);
void bind_barrier_add(lua_State *L);
void bind_several_add(lua_State *L);
void bind_chaos_open(lua_State *L);
void bind_value_open(lua_State *L);

/* The rooms that these two consist of add to the table on top of the stack. */
void bind_sysvshm_add(lua_State *L);
void bind_sysvsem_add(lua_State *L);
void bind_sysvmsg_add(lua_State *L);
void bind_lock_add(lua_State *L);
void bind_map_add(lua_State *L);
void bind_posixsem_add(lua_State *L);
void bind_posixmq_add(lua_State *L);
void bind_child_add(lua_State *L);
void bind_signals_add(lua_State *L);
void bind_channel_add(lua_State *L);

/* The rest of this floor: what each needs of the others comes before it. */
#include "bind/value.h"

#include "bind/arena.h"
#include "bind/hashmap.h"
#include "bind/queue.h"
#include "bind/topic.h"

#pragma GCC visibility pop

#endif
