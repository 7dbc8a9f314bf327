/*
 * How a function answers when the world says no: nil, message, errno.
 *
 * The message comes first because it reads well under assert; the number last,
 * for programs.
 */
#include "bind/bind.h"

#include <stdarg.h>
#include <string.h>

int bind_fail(lua_State *L, int error, const char *what, ...)
{
    va_list arguments;
    va_start(arguments, what);
    lua_pushnil(L);
    lua_pushvfstring(L, what, arguments);
    va_end(arguments);
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), strerror(-error));
    lua_replace(L, -2);
    lua_pushinteger(L, -error);
    return 3;
}

int bind_done(lua_State *L, int error, const char *what)
{
    if (error)
        return bind_fail(L, error, "%s", what);
    lua_pushboolean(L, 1);
    return 1;
}
