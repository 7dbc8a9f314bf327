/*
 * shm.loan and shm.view: a queue's messages that are written, and read, where they lie.
 *
 * Each has a region for the bytes, in its user value, which is closed when the bytes are
 * somebody else's; and a share of the mapping. They do not need the queue's handle. What
 * the queue is, or lies in, stays open by the region's share, which is let go with them
 * even where the region was closed before.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

#define LOAN "shm.loan"
#define VIEW "shm.view"

typedef struct bind_loan {
    ds_loan loan;
    mem_mapping *mapping; /* NULL when closed */
    bind_region *region;
} bind_loan;

/* Pushes a closed one, with a closed region. */
static bind_loan *push(lua_State *L, const char *type)
{
    bind_loan *self = lua_newuserdatauv(L, sizeof *self, 1);
    memset(self, 0, sizeof *self);
    luaL_setmetatable(L, type);
    self->region = bind_region_push(L);
    lua_setiuservalue(L, -2, 1);
    return self;
}

static void open_loan(bind_loan *self, const bind_queue *queue, uint8_t look)
{
    mem_mapping *mapping = queue->sync.handle.mapping;
    mem_mapping_retain(mapping); /* this one's share, and its region's */
    mem_mapping_retain(mapping);
    self->mapping = mapping;
    bind_region_fill(self->region, mapping, (size_t)(self->loan.bytes - mapping->base),
                     self->loan.size);
    self->region->part = true;
    self->region->look |= look;
    self->region->lent = true;
    ds_object_share(&queue->sync.object, &self->region->object);
}

/* Its bytes are not looked at from here on. */
static void close_loan(bind_loan *self)
{
    mem_mapping *mapping = self->mapping;
    if (self->region->mapping) {
        bind_region_forget(self->region);
        mem_mapping_release(mapping);
    }
    self->mapping = NULL;
    ds_object_close(&self->region->object);
    mem_mapping_release(mapping);
}

static bind_loan *self_of(lua_State *L)
{
    bind_loan *self = bind_handle_self(L);
    if (!self)
        bind_handle_stranger(L);
    else if (!self->mapping)
        bind_handle_bad(L, 1, "it is closed");
    return self;
}

static bind_queue *open_still(lua_State *L, bind_queue *queue)
{
    if (!queue->sync.handle.mapping)
        bind_handle_bad(L, 1, "a finalizer closed it");
    return queue;
}

/***
Room for a message, in its place among the others, to be written where it lies. Who pops
waits for it to be committed; if its process dies, or it is closed, it is passed over.
@function shm.queue:loan
@int n how many bytes
@number[opt] timeout in seconds, absent for ever
@treturn shm.loan the room
@treturn[2] nil
@treturn[2] string message
@treturn[2] int as push; EUSERS (there are 16 already)
*/
static int queue_loan(lua_State *L)
{
    bind_queue *queue = bind_queue_self(L);
    bind_arity(L, 3);
    size_t n = bind_count(L, 2, "n");
    int64_t deadline = bind_deadline(L, 3);
    bind_loan *self = push(L, LOAN);
    pid_t holder = 0;
    int error = -EMSGSIZE;
    if (n <= open_still(L, queue)->queue.capacity)
        error = ds_queue_loan(&queue->queue, (uint32_t)n, deadline, &self->loan, &holder);
    if (!error)
        open_loan(self, queue, 0);
    bind_sync_check(L, &queue->sync);
    if (error)
        return bind_queue_refused(L, queue, error, "queue.loan", "producer", holder);
    return 1;
}

/***
Takes the oldest message, and leaves its bytes where they are until the view is closed;
then there is room for others. It can not be changed.
@function shm.queue:view
@number[opt] timeout in seconds, absent for ever
@treturn shm.view the message
@treturn[2] nil
@treturn[2] string message
@treturn[2] int as pop; EUSERS (there are 16 already)
*/
static int queue_view(lua_State *L)
{
    bind_queue *queue = bind_queue_self(L);
    bind_arity(L, 2);
    int64_t deadline = bind_deadline(L, 2);
    bind_loan *self = push(L, VIEW);
    pid_t holder = 0;
    int error =
        ds_queue_view(&open_still(L, queue)->queue, deadline, &self->loan, &holder);
    if (!error)
        open_loan(self, queue, BIND_READONLY);
    bind_sync_check(L, &queue->sync);
    if (error)
        return bind_queue_empty(L, queue, error, "queue.view", holder);
    return 1;
}

/***
The bytes to be written, as a region that is closed together with the loan.
@function shm.loan:region
@treturn shm.region the bytes
*/
static int loan_region(lua_State *L)
{
    self_of(L);
    bind_arity(L, 1);
    lua_getiuservalue(L, 1, 1);
    return 1;
}

/***
The message's bytes, as a region that is read-only and is closed together with the view.
@function shm.view:region
@treturn shm.region the bytes
@treturn boolean whether they are as somebody wrote them to a loan; otherwise they are a
value as `shm.value` encodes it
*/
static int view_region(lua_State *L)
{
    bind_loan *self = self_of(L);
    bind_arity(L, 1);
    lua_getiuservalue(L, 1, 1);
    lua_pushboolean(L, self->loan.raw);
    return 2;
}

/***
Makes the bytes a message, which is popped as a string. The loan is closed.
@function shm.loan:commit
@int[opt] n how many bytes, absent for all
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EPERM (it is the parent's, before a fork), EBADMSG (it was overwritten),
EFAULT (memory is gone); it is closed then, too
*/
static int loan_commit(lua_State *L)
{
    bind_loan *self = self_of(L);
    bind_arity(L, 2);
    lua_Integer size = self->loan.size;
    size = bind_opt_range(L, 2, "n", size, 0, size);
    int error = ds_loan_commit(&self->loan, (uint32_t)size);
    if (mem_fault_seen() && mem_fault_end(self->mapping))
        error = -EFAULT;
    close_loan(self);
    return bind_done(L, error, "loan.commit");
}

/***
Takes it back, if it was not committed. Closing twice is harmless.
@function shm.loan:close
@treturn boolean true
*/
static int loan_close(lua_State *L)
{
    bind_loan *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, LOAN " expected");
    else if (self->mapping) {
        ds_loan_drop(&self->loan);
        if (mem_fault_seen())
            mem_fault_end(self->mapping);
        close_loan(self);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/***
Gives the message's room back to the queue. Closing twice is harmless.
@function shm.view:close
@treturn boolean true
*/
static int view_close(lua_State *L)
{
    bind_loan *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, VIEW " expected");
    else if (self->mapping) {
        ds_view_release(&self->loan);
        if (mem_fault_seen())
            mem_fault_end(self->mapping);
        close_loan(self);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* shm.loan (16 bytes) */
static int loan_tostring(lua_State *L)
{
    const bind_loan *self = bind_handle_self(L);
    if (!self)
        bind_handle_stranger(L);
    luaL_getmetafield(L, 1, "__name");
    if (self && self->mapping)
        lua_pushfstring(L, "%s (%d bytes)", lua_tostring(L, -1), (int)self->loan.size);
    else
        lua_pushfstring(L, "%s (closed)", lua_tostring(L, -1));
    return 1;
}

void bind_loan_register(lua_State *L)
{
    static const luaL_Reg loan_meta[] = {
        {"__gc", loan_close},
        {"__close", loan_close},
        {"__tostring", loan_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg view_meta[] = {
        {"__gc", view_close},
        {"__close", view_close},
        {"__tostring", loan_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg loan_methods[] = {
        {"region", loan_region},
        {"commit", loan_commit},
        {"close", loan_close},
        {NULL, NULL},
    };
    static const luaL_Reg view_methods[] = {
        {"region", view_region},
        {"close", view_close},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"loan", queue_loan},
        {"view", queue_view},
        {NULL, NULL},
    };
    bind_handle_type(L, LOAN, loan_meta, loan_methods);
    bind_handle_type(L, VIEW, view_meta, view_methods);
    bind_handle_methods(L, BIND_QUEUE, methods);
}
