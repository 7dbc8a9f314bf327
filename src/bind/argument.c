/*
 * What functions accept. Every refusal is a Lua error that names the argument.
 *
 * Stricter than lauxlib on purpose: a string is not a number here, and NaN is
 * not a time-out. Where memory is at stake, a guess is worse than an error.
 */
#include "bind/bind.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>

void bind_arity(lua_State *L, int most)
{
    if (lua_gettop(L) > most)
        luaL_argerror(L, most + 1, "one argument too many");
}

int bind_misuse(lua_State *L, int arg, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format); /* copied first: what they point to may be collected */
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_pushfstring(L, "%s: %s", name, lua_tostring(L, -1));
    bind_handle_bad(L, arg, lua_tostring(L, -1));
    return 0;
}

lua_Integer bind_integer(lua_State *L, int arg, const char *name)
{
    if (lua_type(L, arg) != LUA_TNUMBER)
        bind_misuse(L, arg, name, "integer expected, got %s", luaL_typename(L, arg));
    int whole;
    lua_Integer value = lua_tointegerx(L, arg, &whole);
    if (!whole)
        bind_misuse(L, arg, name, "%f is not an integer", lua_tonumber(L, arg));
    return value;
}

lua_Integer bind_range(lua_State *L, int arg, const char *name, lua_Integer least,
                       lua_Integer most)
{
    lua_Integer value = bind_integer(L, arg, name);
    if (value < least && most == LUA_MAXINTEGER)
        bind_misuse(L, arg, name, "%I is less than %I", value, least);
    if (value < least || value > most)
        bind_misuse(L, arg, name, "%I is not within %I and %I", value, least, most);
    return value;
}

lua_Integer bind_opt_range(lua_State *L, int arg, const char *name, lua_Integer absent,
                           lua_Integer least, lua_Integer most)
{
    return lua_isnoneornil(L, arg) ? absent : bind_range(L, arg, name, least, most);
}

/* A number of bytes or items. */
size_t bind_count(lua_State *L, int arg, const char *name)
{
    return (size_t)bind_range(L, arg, name, 0, LUA_MAXINTEGER);
}

const char *bind_string(lua_State *L, int arg, const char *name, size_t *size)
{
    if (lua_type(L, arg) != LUA_TSTRING)
        bind_misuse(L, arg, name, "string expected, got %s", luaL_typename(L, arg));
    return lua_tolstring(L, arg, size);
}

/* A string for C, which stops reading at the first NUL. */
const char *bind_word(lua_State *L, int arg, const char *name)
{
    size_t size;
    const char *path = bind_string(L, arg, name, &size);
    if (strlen(path) != size)
        bind_misuse(L, arg, name, "it contains a NUL");
    return path;
}

/* The place of a given word in the list of those that may be given. */
int bind_choice(lua_State *L, int arg, const char *name, const char *given,
                const char *const words[])
{
    const char *list = "";
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], given) == 0)
            return i;
        list = lua_pushfstring(L, "%s%s'%s'", list, i ? " or " : "", words[i]);
    }
    return bind_misuse(L, arg, name, "'%s' is not %s", given, list);
}

/* One of several words, by its place in the list; absent stands for the first if it may
 * be. */
int bind_option(lua_State *L, int arg, const char *name, bool may_be_absent,
                const char *const words[])
{
    if (may_be_absent && lua_isnoneornil(L, arg))
        return 0;
    return bind_choice(L, arg, name, bind_word(L, arg, name), words);
}

/* A misspelt field would otherwise be a silent nothing: the table's first one that is not
 * known, on top of the stack then, or NULL. */
const char *bind_unknown_field(lua_State *L, int table, const char *const known[])
{
    table = lua_absindex(L, table);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        const char *key =
            lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return key;
    }
    return NULL;
}

lua_Number bind_seconds(lua_State *L, int arg, const char *name)
{
    if (lua_type(L, arg) != LUA_TNUMBER)
        bind_misuse(L, arg, name, "number of seconds expected, got %s",
                    luaL_typename(L, arg));
    lua_Number seconds = lua_tonumber(L, arg);
    if (!(seconds >= 0)) /* NaN too */
        bind_misuse(L, arg, name, "%f is not a number of seconds", seconds);
    return seconds;
}

/* The final argument of whatever can block: seconds, absent for ever, 0 to try. */
int64_t bind_deadline(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return OS_CLOCK_FOREVER;
    return os_clock_deadline(bind_seconds(L, arg, "timeout"));
}

/* A signal by name, with or without SIG, or by number. */
int bind_signo(lua_State *L, int arg, const char *name)
{
    if (lua_type(L, arg) == LUA_TNUMBER)
        return (int)bind_range(L, arg, name, 1, SIGRTMAX);
    if (lua_type(L, arg) != LUA_TSTRING)
        bind_misuse(L, arg, name, "signal's name expected, got %s",
                    luaL_typename(L, arg));
    const char *word = bind_word(L, arg, name);
    int signo = os_signal_number(word);
    if (signo == 0)
        bind_misuse(L, arg, name, "no signal is called '%s'", word);
    return signo;
}
