/*
 * What regions are compared with: the same calls with nothing in them.
 *
 * empty is a method of a region that checks its handle and returns; closure(region) gives
 * a function that holds a region and returns. text and copy do what read and write can
 * not do without: make a Lua string of n bytes, and copy a string's bytes. locks takes
 * and leaves a lock n times: one change of a word each, and one such pair is the least
 * that a mutex can do. spin and sleep hand over to another process n times and are handed
 * back to, by two words, without a system call or with two. give and take send n messages
 * of a size through a pipe, each by a call.
 */
#include "bind/bind.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST (1 << 20)

int luaopen_baseline(lua_State *L);

static char bytes[MOST];

static int empty(lua_State *L)
{
    if (!bind_handle_self(L))
        return luaL_argerror(L, 1, BIND_REGION " expected");
    return 0;
}

static int held(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1)) ? 0 : luaL_error(L, "nothing held");
}

static int closure(lua_State *L)
{
    luaL_checkudata(L, 1, BIND_REGION);
    lua_pushcclosure(L, held, 1);
    return 1;
}

static int text(lua_State *L)
{
    if (!bind_handle_self(L))
        return luaL_argerror(L, 1, BIND_REGION " expected");
    lua_Integer n = lua_tointeger(L, 3);
    lua_pushlstring(L, bytes, n < MOST ? (size_t)n : MOST);
    return 1;
}

static int copy(lua_State *L)
{
    if (!bind_handle_self(L))
        return luaL_argerror(L, 1, BIND_REGION " expected");
    size_t n;
    const char *data = lua_tolstring(L, 3, &n);
    memcpy(bytes, data, n < MOST ? n : MOST);
    return 0;
}

static int locks(lua_State *L)
{
    static uint64_t word;
    uint64_t *volatile shared = &word;
    for (lua_Integer n = lua_tointeger(L, 1); n > 0; n--) {
        uint64_t nobody = 0;
        mem_atomic_cas64(shared, &nobody, 1);
        mem_atomic_swap64(shared, 0);
    }
    return 0;
}

/* Of 0 and 1: a count that one side posts and the other takes. */
static void post(uint32_t *word)
{
    mem_atomic_add32(word, 1);
}

static bool take(uint32_t *word)
{
    uint32_t one = 1;
    return mem_atomic_load32(word) && mem_atomic_cas32(word, &one, 0);
}

static void take_spinning(uint32_t *word)
{
    while (!take(word))
        os_wait_pause();
}

static void post_waking(uint32_t *word)
{
    post(word);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void take_sleeping(uint32_t *word)
{
    while (!take(word))
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

/* The region, the words' offsets, how often, and whether this side begins. */
static int hand_over(lua_State *L, void (*give)(uint32_t *), void (*get)(uint32_t *))
{
    bind_region *region = luaL_checkudata(L, 1, BIND_REGION);
    uint32_t *one = (uint32_t *)(void *)(region->base + lua_tointeger(L, 2));
    uint32_t *other = (uint32_t *)(void *)(region->base + lua_tointeger(L, 3));
    bool begins = lua_toboolean(L, 5);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--) {
        if (begins)
            give(one);
        get(other);
        if (!begins)
            give(one);
    }
    return 0;
}

static int spin(lua_State *L)
{
    return hand_over(L, post, take_spinning);
}

static int sleep_and_wake(lua_State *L)
{
    return hand_over(L, post_waking, take_sleeping);
}

static int pipe_new(lua_State *L)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return luaL_error(L, "no pipe");
    lua_pushinteger(L, ends[0]);
    lua_pushinteger(L, ends[1]);
    return 2;
}

static int pipe_end(lua_State *L)
{
    close((int)lua_tointeger(L, 1));
    close((int)lua_tointeger(L, 2));
    return 0;
}

/* The descriptor, the size, and how often. */
static int give(lua_State *L)
{
    int fd = (int)lua_tointeger(L, 1);
    size_t size = (size_t)lua_tointeger(L, 2);
    for (lua_Integer n = lua_tointeger(L, 3); n > 0; n--) {
        if (size > MOST || write(fd, bytes, size) != (ssize_t)size)
            return luaL_error(L, "the pipe broke");
    }
    return 0;
}

static int take_all(lua_State *L)
{
    static char to[MOST];
    int fd = (int)lua_tointeger(L, 1);
    size_t size = (size_t)lua_tointeger(L, 2);
    for (lua_Integer n = lua_tointeger(L, 3); n > 0; n--) {
        for (size_t got = 0; got < size;) {
            ssize_t more = size > MOST ? -1 : read(fd, to, size - got);
            if (more <= 0)
                return luaL_error(L, "the pipe broke");
            got += (size_t)more;
        }
    }
    return 0;
}

__attribute__((visibility("default"))) int luaopen_baseline(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"empty", empty}, {"text", text}, {"copy", copy}, {NULL, NULL}};
    memset(bytes, 'x', sizeof bytes);
    lua_newtable(L);
    luaL_getmetatable(L, BIND_REGION);
    luaL_setfuncs(L, methods, 1);
    lua_pushcfunction(L, closure);
    lua_setfield(L, -2, "closure");
    lua_pushcfunction(L, locks);
    lua_setfield(L, -2, "locks");
    lua_pushcfunction(L, spin);
    lua_setfield(L, -2, "spin");
    lua_pushcfunction(L, sleep_and_wake);
    lua_setfield(L, -2, "sleep");
    lua_pushcfunction(L, pipe_new);
    lua_setfield(L, -2, "pipe");
    lua_pushcfunction(L, pipe_end);
    lua_setfield(L, -2, "pipe_end");
    lua_pushcfunction(L, give);
    lua_setfield(L, -2, "give");
    lua_pushcfunction(L, take_all);
    lua_setfield(L, -2, "take");
    return 1;
}
