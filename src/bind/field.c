/*
 * Fields of a table that is an argument: options, values, operations.
 *
 * They are read raw, and what is of another type or out of range is refused by its name.
 */
#include "bind/bind.h"

/* Whether the field is there; then it is on top. */
static bool push_field(lua_State *L, int table, const char *name)
{
    table = lua_absindex(L, table);
    lua_pushstring(L, name);
    if (lua_rawget(L, table) != LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

/* The argument as a table of known fields, or absent if it may be; false when absent. */
bool bind_fields(lua_State *L, int arg, const char *name, bool may_be_absent,
                 const char *const known[])
{
    if (may_be_absent && lua_isnoneornil(L, arg))
        return false;
    if (lua_type(L, arg) != LUA_TTABLE)
        bind_misuse(L, arg, name, "table expected, got %s", luaL_typename(L, arg));
    const char *unknown = bind_unknown_field(L, arg, known);
    if (unknown)
        bind_misuse(L, arg, name, "unknown field '%s'", unknown);
    return true;
}

bool bind_field_integer(lua_State *L, int table, const char *name, lua_Integer least,
                        lua_Integer most, lua_Integer *value)
{
    if (!push_field(L, table, name))
        return false;
    int whole;
    lua_Integer given = lua_tointegerx(L, -1, &whole);
    if (!whole || lua_type(L, -1) != LUA_TNUMBER || given < least || given > most)
        bind_misuse(L, lua_absindex(L, table), name, "integer from %I to %I expected",
                    least, most);
    *value = given;
    lua_pop(L, 1);
    return true;
}

bool bind_field_boolean(lua_State *L, int table, const char *name, bool *value)
{
    if (!push_field(L, table, name))
        return false;
    if (!lua_isboolean(L, -1))
        bind_misuse(L, lua_absindex(L, table), name, "boolean expected, got %s",
                    luaL_typename(L, -1));
    *value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return true;
}

/* One of several words, by its place in the list. */
bool bind_field_option(lua_State *L, int table, const char *name,
                       const char *const words[], int *value)
{
    if (!push_field(L, table, name))
        return false;
    if (lua_type(L, -1) != LUA_TSTRING)
        bind_misuse(L, lua_absindex(L, table), name, "string expected, got %s",
                    luaL_typename(L, -1));
    int depth = lua_gettop(L);
    *value = bind_choice(L, lua_absindex(L, table), name, lua_tostring(L, -1), words);
    lua_settop(L, depth - 1);
    return true;
}
