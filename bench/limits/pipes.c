/*
 * Pipes between C programs: each message is one call to write, and one to read if it came
 * whole. What many send comes whole up to PIPE_BUF bytes.
 */
#include "limits.h"

#include <fcntl.h>
#include <unistd.h>

static int pipe_make(lua_State *L)
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

static void give(lua_State *L, int fd, size_t size)
{
    for (size_t given = 0; given < size;) {
        ssize_t more = write(fd, limits_from, size - given);
        if (more <= 0)
            luaL_error(L, "the pipe broke");
        given += (size_t)more;
    }
}

static void take(lua_State *L, int fd, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t more = read(fd, limits_to, size - got);
        if (more <= 0)
            luaL_error(L, "the pipe broke");
        got += (size_t)more;
    }
}

/* The descriptor, the size, and how often. */
static int pipe_push(lua_State *L)
{
    size_t size = limits_size(L, 2);
    for (lua_Integer n = lua_tointeger(L, 3); n > 0; n--)
        give(L, (int)lua_tointeger(L, 1), size);
    return 0;
}

static int pipe_pop(lua_State *L)
{
    size_t size = limits_size(L, 2);
    for (lua_Integer n = lua_tointeger(L, 3); n > 0; n--)
        take(L, (int)lua_tointeger(L, 1), size);
    return 0;
}

/* Where to write, where to read, the size, how often, and whether this side begins. */
static int pipe_trip(lua_State *L)
{
    int out = (int)lua_tointeger(L, 1), in = (int)lua_tointeger(L, 2);
    size_t size = limits_size(L, 3);
    bool begins = lua_toboolean(L, 5);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--) {
        if (begins)
            give(L, out, size);
        take(L, in, size);
        if (!begins)
            give(L, out, size);
    }
    return 0;
}

void limits_pipes(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pipe", pipe_make},      {"pipe_end", pipe_end},
                                         {"pipe_push", pipe_push}, {"pipe_pop", pipe_pop},
                                         {"pipe_trip", pipe_trip}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
