/*
 * Rings in C, with no care for deaths or for what lies there: the least that has to be
 * done for messages between processes.
 *
 * A ring of one side each: 128 bytes of indices, each side's on a cache line of its own,
 * and a power of two of bytes. A message is its length in 8 bytes and its bytes, rounded
 * up to 8; it may go round the end. Each side keeps what it last saw of the other's
 * index.
 *
 * A ring of many senders (Vyukov's): cells with a number each, which says whose turn it
 * is; a sender takes a ticket by one compare-and-swap.
 *
 * A ring for all who listen: one head, and a tail for each of them.
 */
#include "limits.h"

#include <sched.h>
#include <string.h>

#define SPINS 2000 /* then the processor is somebody else's */

typedef struct ring {
    _Alignas(64) uint64_t head; /* bytes ever pushed */
    uint64_t seen_tail;
    _Alignas(64) uint64_t tail; /* bytes ever popped */
    uint64_t seen_head;
    _Alignas(64) uint64_t capacity;
    uint8_t bytes[];
} ring;

static void wait_a_little(unsigned *spins)
{
    if (++*spins % SPINS == 0)
        sched_yield();
    else
        os_wait_pause();
}

static void put(ring *self, uint64_t at, const void *from, size_t n)
{
    uint64_t offset = at & (self->capacity - 1), first = self->capacity - offset;
    first = first < n ? first : n;
    memcpy(self->bytes + offset, from, first);
    memcpy(self->bytes, (const uint8_t *)from + first, n - first);
}

static void get(const ring *self, uint64_t at, void *to, size_t n)
{
    uint64_t offset = at & (self->capacity - 1), first = self->capacity - offset;
    first = first < n ? first : n;
    memcpy(to, self->bytes + offset, first);
    memcpy((uint8_t *)to + first, self->bytes, n - first);
}

static void push(ring *self, const void *from, uint64_t size)
{
    uint64_t head = self->head, after = head + 8 + ((size + 7) & ~(uint64_t)7);
    unsigned spins = 0;
    while (after - self->seen_tail > self->capacity) {
        self->seen_tail = mem_atomic_load64(&self->tail);
        if (after - self->seen_tail > self->capacity)
            wait_a_little(&spins);
    }
    put(self, head, &size, 8);
    put(self, head + 8, from, size);
    mem_atomic_publish64(&self->head, after);
}

static void pop(ring *self, void *to)
{
    uint64_t tail = self->tail, size;
    unsigned spins = 0;
    while (tail == self->seen_head) {
        self->seen_head = mem_atomic_load64(&self->head);
        if (tail == self->seen_head)
            wait_a_little(&spins);
    }
    get(self, tail, &size, 8);
    get(self, tail + 8, to, size);
    mem_atomic_publish64(&self->tail, tail + 8 + ((size + 7) & ~(uint64_t)7));
}

/* The region, an offset, and a capacity, which is a power of two. */
static int ring_make(lua_State *L)
{
    ring *self = limits_at(L, 2);
    memset(self, 0, sizeof *self);
    self->capacity = (uint64_t)luaL_checkinteger(L, 3);
    return 0;
}

/* The region, an offset, a size, and how often. */
static int ring_push(lua_State *L)
{
    ring *self = limits_at(L, 2);
    size_t size = limits_size(L, 3);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--)
        push(self, limits_from, size);
    return 0;
}

static int ring_pop(lua_State *L)
{
    ring *self = limits_at(L, 2);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--)
        pop(self, limits_to);
    return 0;
}

/* The region, two rings' offsets, a size, how often, and whether this side begins. */
static int ring_trip(lua_State *L)
{
    ring *out = limits_at(L, 2), *in = limits_at(L, 3);
    size_t size = limits_size(L, 4);
    bool begins = lua_toboolean(L, 6);
    for (lua_Integer n = lua_tointeger(L, 5); n > 0; n--) {
        if (begins)
            push(out, limits_from, size);
        pop(in, limits_to);
        if (!begins)
            push(out, limits_to, size);
    }
    return 0;
}

typedef struct cell {
    uint64_t turn, size;
    uint8_t bytes[];
} cell;

typedef struct cells {
    _Alignas(64) uint64_t head;
    _Alignas(64) uint64_t tail;
    _Alignas(64) uint64_t count, stride;
    uint8_t bytes[];
} cells;

static cell *cell_at(cells *self, uint64_t ticket)
{
    return (cell *)(void *)(self->bytes + (ticket & (self->count - 1)) * self->stride);
}

/* The region, an offset, a size, and a number of cells, which is a power of two. */
static int cells_make(lua_State *L)
{
    cells *self = limits_at(L, 2);
    memset(self, 0, sizeof *self);
    self->stride = (sizeof(cell) + limits_size(L, 3) + 63) & ~(uint64_t)63;
    self->count = (uint64_t)luaL_checkinteger(L, 4);
    for (uint64_t i = 0; i < self->count; i++)
        cell_at(self, i)->turn = i;
    return 0;
}

static int cells_push(lua_State *L)
{
    cells *self = limits_at(L, 2);
    size_t size = limits_size(L, 3);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--) {
        uint64_t ticket = mem_atomic_load64(&self->head);
        unsigned spins = 0;
        for (;;) {
            uint64_t turn = mem_atomic_load64(&cell_at(self, ticket)->turn);
            if (turn == ticket && mem_atomic_cas64(&self->head, &ticket, ticket + 1))
                break;
            if (turn < ticket)
                wait_a_little(&spins);
            ticket = mem_atomic_load64(&self->head);
        }
        cell *mine = cell_at(self, ticket);
        mine->size = size;
        memcpy(mine->bytes, limits_from, size);
        mem_atomic_publish64(&mine->turn, ticket + 1);
    }
    return 0;
}

/* One process takes. */
static int cells_pop(lua_State *L)
{
    cells *self = limits_at(L, 2);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--) {
        uint64_t ticket = self->tail++;
        cell *next = cell_at(self, ticket);
        unsigned spins = 0;
        while (mem_atomic_load64(&next->turn) != ticket + 1)
            wait_a_little(&spins);
        memcpy(limits_to, next->bytes, next->size);
        mem_atomic_publish64(&next->turn, ticket + self->count);
    }
    return 0;
}

/* For all who listen: the cells' head, and behind the cells' header a tail for each. */
typedef struct air {
    _Alignas(64) uint64_t head;
    _Alignas(64) uint64_t listeners, count, stride;
    struct {
        _Alignas(64) uint64_t tail;
    } each[16];
    uint8_t bytes[];
} air;

/* The region, an offset, a size, a number of messages, and of listeners. */
static int air_make(lua_State *L)
{
    air *self = limits_at(L, 2);
    memset(self, 0, sizeof *self);
    self->stride = (limits_size(L, 3) + 63) & ~(size_t)63;
    self->count = (uint64_t)luaL_checkinteger(L, 4);
    self->listeners = (uint64_t)luaL_checkinteger(L, 5);
    luaL_argcheck(L, self->listeners <= 16, 5, "too many");
    return 0;
}

static int air_publish(lua_State *L)
{
    air *self = limits_at(L, 2);
    size_t size = limits_size(L, 3);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--) {
        uint64_t head = self->head;
        unsigned spins = 0;
        for (uint64_t i = 0; i < self->listeners; i++) {
            while (head - mem_atomic_load64(&self->each[i].tail) >= self->count)
                wait_a_little(&spins);
        }
        memcpy(self->bytes + (head & (self->count - 1)) * self->stride, limits_from,
               size);
        mem_atomic_publish64(&self->head, head + 1);
    }
    return 0;
}

/* The region, an offset, a size, how often, and who listens, from 1. */
static int air_listen(lua_State *L)
{
    air *self = limits_at(L, 2);
    size_t size = limits_size(L, 3);
    lua_Integer who = luaL_checkinteger(L, 5);
    luaL_argcheck(L, who >= 1 && who <= 16, 5, "not a listener");
    uint64_t *tail = &self->each[who - 1].tail;
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--) {
        unsigned spins = 0;
        while (mem_atomic_load64(&self->head) == *tail)
            wait_a_little(&spins);
        memcpy(limits_to, self->bytes + (*tail & (self->count - 1)) * self->stride, size);
        mem_atomic_publish64(tail, *tail + 1);
    }
    return 0;
}

void limits_rings(lua_State *L)
{
    static const luaL_Reg functions[] = {{"ring_make", ring_make},
                                         {"ring_push", ring_push},
                                         {"ring_pop", ring_pop},
                                         {"ring_trip", ring_trip},
                                         {"cells_make", cells_make},
                                         {"cells_push", cells_push},
                                         {"cells_pop", cells_pop},
                                         {"air_make", air_make},
                                         {"air_publish", air_publish},
                                         {"air_listen", air_listen},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
