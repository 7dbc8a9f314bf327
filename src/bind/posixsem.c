/*
 * shm.posix, the semaphores: named ones, and those that lie in a region.
 */
#include "bind/bind.h"

#include <errno.h>

#define SEMAPHORE "shm.posix.semaphore"

typedef struct semaphore {
    sem_t *sem;           /* NULL when closed */
    mem_mapping *mapping; /* what it lies in, with a share of it */
    ds_object object;     /* an arena's bytes, if it lies there */
    bool named;           /* then libc mapped it, and maps it once for all that open it */
} semaphore;

static semaphore *semaphore_self(lua_State *L)
{
    semaphore *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, SEMAPHORE " expected");
    return self;
}

static semaphore *semaphore_open(lua_State *L)
{
    semaphore *self = semaphore_self(L);
    if (!self->sem)
        bind_handle_bad(L, 1, "semaphore is closed");
    return self;
}

static semaphore *push_semaphore(lua_State *L)
{
    semaphore *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (semaphore){0};
    luaL_setmetatable(L, SEMAPHORE);
    return self;
}

/* After a call that touched it: whether the memory it lies in was there. */
static int answer(lua_State *L, const semaphore *self, int error, const char *what)
{
    if (mem_fault_seen() && mem_fault_end(self->mapping))
        luaL_argerror(L, 1, "memory behind this semaphore is gone");
    return bind_done(L, error, what);
}

/* Unmapping a named one is libc's. */
static int kept(void *base, size_t size)
{
    (void)base;
    (void)size;
    return 0;
}

/***
Opens a named semaphore, which processes find by its name.
@function shm.posix.sem_open
@string name begins with a slash and has no other
@int[opt=0] flags O_CREAT, O_EXCL
@int[opt=0600] mode permission bits of a new one, less those of the umask
@int[opt=0] value of a new one, at most SEM_VALUE_MAX
@treturn shm.posix.semaphore the semaphore
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EEXIST, EACCES, EINVAL (no such name is possible) …
@see sem_open(3)
*/
static int sem_open_named(lua_State *L)
{
    bind_arity(L, 4);
    const char *name = bind_word(L, 1, "name");
    int flags = (int)bind_opt_range(L, 2, "flags", 0, 0, INT32_MAX);
    mode_t mode = (mode_t)bind_opt_range(L, 3, "mode", 0600, 0, 0777);
    unsigned value = (unsigned)bind_opt_range(L, 4, "value", 0, 0, SEM_VALUE_MAX);
    semaphore *self = push_semaphore(L);
    sem_t *sem;
    int error = os_posixsem_open(name, flags, mode, value, &sem);
    if (error)
        return bind_fail(L, error, "posix.sem_open '%s'", name);
    size_t page = os_map_page();
    uint8_t *base = (uint8_t *)sem - (uintptr_t)sem % page;
    self->mapping = mem_mapping_new(base, page, false, kept, "named");
    if (!self->mapping) {
        os_posixsem_close(sem);
        return luaL_error(L, "not enough memory");
    }
    self->sem = sem;
    self->named = true;
    return 1;
}

/***
Removes the name of a semaphore; who has it open keeps it.
@function shm.posix.sem_unlink
@string name as for sem_open
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES
@see sem_unlink(3)
*/
static int sem_unlink_named(lua_State *L)
{
    bind_arity(L, 1);
    const char *name = bind_word(L, 1, "name");
    int error = os_posixsem_unlink(name);
    return error ? bind_fail(L, error, "posix.sem_unlink '%s'", name)
                 : bind_done(L, 0, "");
}

/* Opens self on the bytes that arguments 1 and 2 name. */
static void place(lua_State *L, semaphore *self)
{
    bind_region *region = bind_region_open(L, 1, "region");
    uint8_t *bytes = bind_region_at(L, region, 2, sizeof(sem_t));
    if ((uintptr_t)bytes % _Alignof(sem_t))
        bind_misuse(L, 2, "offset", "%I is not a multiple of %d", lua_tointeger(L, 2),
                    (int)_Alignof(sem_t));
    if (region->look & BIND_READONLY)
        bind_misuse(L, 1, "region", "region is read-only");
    mem_mapping_retain(region->mapping);
    ds_object_share(&region->object, &self->object);
    self->mapping = region->mapping;
    self->sem = (sem_t *)(void *)bytes;
}

/***
Makes an unnamed semaphore in memory that processes share. It takes SEM_SIZE bytes there.
@function shm.posix.sem_init
@tparam shm.region region the memory
@int offset where in it, in bytes from 0, a multiple of 8
@int[opt=0] value what it begins with, at most SEM_VALUE_MAX
@treturn shm.posix.semaphore the semaphore; it keeps the memory attached
@raise when it reaches outside the region, or the region is read-only
@see sem_init(3)
*/
static int sem_make(lua_State *L)
{
    bind_arity(L, 3);
    bind_place_given(L);
    unsigned value = (unsigned)bind_opt_range(L, 3, "value", 0, 0, SEM_VALUE_MAX);
    semaphore *self = push_semaphore(L);
    place(L, self);
    int error = os_posixsem_make(self->sem, value),
        results = answer(L, self, error, "posix.sem_init");
    if (!error) {
        lua_pop(L, 1);
        return 1;
    }
    return results;
}

/***
The unnamed semaphore that lies in a region already, as another process's sem_init made
it.
@function shm.posix.sem_attach
@tparam shm.region region the memory
@int offset where in it, in bytes from 0, a multiple of 8
@treturn shm.posix.semaphore the semaphore; it keeps the memory attached
@raise when it reaches outside the region, or the region is read-only
*/
static int sem_attach(lua_State *L)
{
    bind_arity(L, 2);
    bind_place_given(L);
    place(L, push_semaphore(L));
    return 1;
}

/* The waiter's look whether the semaphore is still there. */
static bool lives(const void *what)
{
    const semaphore *self = what;
    int value;
    os_posixsem_value(self->sem, &value);
    return !mem_fault_seen() || !self->mapping->fault.signo;
}

/***
Takes one from a semaphore, and waits while there is none.
@function shm.posix.sem_wait
@tparam shm.posix.semaphore sem the semaphore
@number[opt] timeout in seconds, absent for ever, 0 to try
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, or EINTR after a signal
@see sem_clockwait(3)
*/
/***
What sem_wait does.
@function shm.posix.semaphore:wait
@number[opt] timeout in seconds
@treturn boolean true
*/
static int sem_take(lua_State *L)
{
    semaphore *self = semaphore_open(L);
    bind_arity(L, 2);
    int64_t deadline = bind_deadline(L, 2);
    int error = os_posixsem_wait(self->sem, deadline, lives, self);
    return answer(L, self, error, "posix.sem_wait");
}

/***
Gives one to a semaphore, and wakes who waits.
@function shm.posix.sem_post
@tparam shm.posix.semaphore sem the semaphore
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EOVERFLOW (it is SEM_VALUE_MAX)
@see sem_post(3)
*/
/***
What sem_post does.
@function shm.posix.semaphore:post
@treturn boolean true
*/
static int sem_give(lua_State *L)
{
    semaphore *self = semaphore_open(L);
    bind_arity(L, 1);
    return answer(L, self, os_posixsem_post(self->sem), "posix.sem_post");
}

/***
Tells a semaphore's value, which others may change at any time.
@function shm.posix.sem_getvalue
@tparam shm.posix.semaphore sem the semaphore
@treturn int the value
@see sem_getvalue(3)
*/
/***
What sem_getvalue gives.
@function shm.posix.semaphore:getvalue
@treturn int the value
*/
static int sem_value(lua_State *L)
{
    semaphore *self = semaphore_open(L);
    bind_arity(L, 1);
    int value, error = os_posixsem_value(self->sem, &value);
    int results = answer(L, self, error, "posix.sem_getvalue");
    if (error)
        return results;
    lua_pushinteger(L, value);
    return 1;
}

/***
Lets a semaphore go; it stays for others. Closing twice is harmless.
@function shm.posix.sem_close
@tparam shm.posix.semaphore sem the semaphore
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int errno
@see sem_close(3)
*/
/***
What sem_close does.
@function shm.posix.semaphore:close
@treturn boolean true
*/
static int sem_let_go(lua_State *L)
{
    semaphore *self = semaphore_self(L), open = *self;
    *self = (semaphore){0};
    ds_object_close(&open.object);
    int error = open.mapping ? mem_mapping_release(open.mapping) : 0;
    if (open.named)
        error = os_posixsem_close(open.sem);
    return bind_done(L, error, "posix.sem_close");
}

static int sem_tostring(lua_State *L)
{
    const semaphore *self = semaphore_self(L);
    lua_pushfstring(L, SEMAPHORE " (%s)", self->sem ? self->mapping->label : "closed");
    return 1;
}

void bind_posixsem_add(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", sem_let_go},
        {"__close", sem_let_go},
        {"__tostring", sem_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"wait", sem_take},    {"post", sem_give}, {"getvalue", sem_value},
        {"close", sem_let_go}, {NULL, NULL},
    };
    static const luaL_Reg same[] = {
        {"sem_wait", sem_take},    {"sem_post", sem_give}, {"sem_getvalue", sem_value},
        {"sem_close", sem_let_go}, {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"sem_open", sem_open_named},
        {"sem_unlink", sem_unlink_named},
        {"sem_init", sem_make},
        {"sem_attach", sem_attach},
        {NULL, NULL},
    };
    static const bind_constant constants[] = {
        {"SEM_SIZE", sizeof(sem_t)}, {"SEM_VALUE_MAX", SEM_VALUE_MAX}, {NULL, 0}};
    bind_handle_type(L, SEMAPHORE, metamethods, methods);
    luaL_setfuncs(L, functions, 0);
    luaL_getmetatable(L, SEMAPHORE);
    luaL_setfuncs(L, same, 1);
    bind_constants(L, constants);
}
