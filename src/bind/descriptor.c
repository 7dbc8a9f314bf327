/*
 * Descriptors: those that shm.posix opens, and whatever else has one.
 */
#include "bind/bind.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static bind_descriptor *descriptor_self(lua_State *L)
{
    bind_descriptor *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_DESCRIPTOR " expected");
    return self;
}

/* Pushes a closed one, which the caller opens. */
bind_descriptor *bind_descriptor_push(lua_State *L)
{
    bind_descriptor *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->fd = -1;
    luaL_setmetatable(L, BIND_DESCRIPTOR);
    return self;
}

/*
 * Pushes why a method that was called here threw, from what it threw, on top: without the
 * place where a script would have called it.
 */
static const char *reason(lua_State *L)
{
    static const char before[] = "bad argument #1 to '?' (";
    size_t skip = sizeof before - 1, size;
    const char *text = luaL_tolstring(L, -1, &size);
    if (size > skip && !strncmp(text, before, skip) && text[size - 1] == ')')
        return lua_pushlstring(L, text + skip, size - skip - 1);
    return text;
}

/* What the method called name says, if there is one: luv, luaposix, cqueues, LuaSocket.
 */
static bool ask(lua_State *L, int arg, const char *what, const char *name,
                lua_Integer *fd)
{
    int whole = 0;
    if (lua_getfield(L, arg, name) == LUA_TFUNCTION) {
        lua_pushvalue(L, arg);
        if (lua_pcall(L, 1, 1, 0)) { /* it is closed, as likely as not */
            const char *why = reason(L);
            const char *whose = luaL_tolstring(L, arg, NULL); /* pushes, as the other */
            bind_misuse(L, arg, what, "%s has no descriptor: %s", whose, why);
        }
        *fd = lua_tointegerx(L, -1, &whole);
    }
    lua_pop(L, 1);
    return whole && *fd >= 0 && *fd <= INT_MAX;
}

static bool has_methods(lua_State *L, int arg)
{
    if (lua_type(L, arg) == LUA_TTABLE)
        return true;
    if (lua_type(L, arg) != LUA_TUSERDATA || !luaL_getmetafield(L, arg, "__index"))
        return false;
    lua_pop(L, 1);
    return true;
}

/*
 * An argument that has a descriptor: its number, an open file of io's, a handle of ours,
 * or an object with one of the methods fileno, pollfd and getfd.
 */
int bind_fd(lua_State *L, int arg, const char *what)
{
    static const char *const methods[] = {"fileno", "pollfd", "getfd"};
    if (lua_type(L, arg) == LUA_TNUMBER)
        return (int)bind_range(L, arg, what, 0, INT_MAX);
    const luaL_Stream *file = luaL_testudata(L, arg, LUA_FILEHANDLE);
    if (file && !file->closef)
        bind_misuse(L, arg, what, "file is closed");
    if (file)
        return fileno(file->f);
    lua_Integer fd = -1;
    for (size_t i = 0; i < sizeof methods / sizeof *methods && has_methods(L, arg); i++) {
        if (ask(L, arg, what, methods[i], &fd))
            return (int)fd;
    }
    return bind_misuse(L, arg, what, "descriptor expected, got %s",
                       luaL_typename(L, arg));
}

/*
 * What a file of io's has in its buffer goes first, or is to be read again. The write may
 * wait, as io's do.
 */
int bind_fd_flush(lua_State *L, int arg)
{
    const luaL_Stream *file = luaL_testudata(L, arg, LUA_FILEHANDLE);
    if (!file || !file->closef)
        return 0;
    os_hush hush;
    os_signal_hush(&hush);
    int error = fflush(file->f) ? -errno : 0;
    os_signal_unhush(&hush, error == -EPIPE ? SIGPIPE : error == -EFBIG ? SIGXFSZ : 0);
    return error == -ESPIPE ? 0 : error; /* there is no going back in a pipe */
}

/***
Closes the descriptor.
@function shm.posix.descriptor:close
@treturn boolean true
*/
static int descriptor_close(lua_State *L)
{
    os_fd_close(&descriptor_self(L)->fd);
    lua_pushboolean(L, 1);
    return 1;
}

static int descriptor_tostring(lua_State *L)
{
    const bind_descriptor *self = descriptor_self(L);
    lua_pushfstring(L,
                    self->fd < 0 ? BIND_DESCRIPTOR " (closed)" : BIND_DESCRIPTOR " (%d)",
                    self->fd);
    return 1;
}

/***
Keeps the descriptor from children made by fork, from now on: theirs is open on /dev/null.
What belongs to the open file, as a lock does, goes with this process then, and does not
wait for its children. Up to 64 at a time.
@function shm.posix.descriptor:clofork
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EMFILE
@see fork(2)
*/
static int descriptor_clofork(lua_State *L)
{
    const bind_descriptor *self = descriptor_self(L);
    bind_arity(L, 1);
    if (self->fd < 0)
        bind_handle_bad(L, 1, "descriptor is closed");
    return bind_done(L, os_fork_without(self->fd), "descriptor.clofork");
}

/***
The descriptor's number. It stays the handle's: do not close it.
@function shm.posix.descriptor:fileno
@treturn int the number
*/
static int descriptor_number(lua_State *L)
{
    const bind_descriptor *self = descriptor_self(L);
    bind_arity(L, 1);
    if (self->fd < 0)
        bind_handle_bad(L, 1, "descriptor is closed");
    lua_pushinteger(L, self->fd);
    return 1;
}

void bind_descriptor_register(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", descriptor_close},
        {"__close", descriptor_close},
        {"__tostring", descriptor_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {{"close", descriptor_close},
                                       {"fileno", descriptor_number},
                                       {"clofork", descriptor_clofork},
                                       {NULL, NULL}};
    bind_handle_type(L, BIND_DESCRIPTOR, metamethods, methods);
}
