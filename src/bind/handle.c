/*
 * Userdata of one kind: a metatable, its methods, and the check that an
 * argument is of that kind.
 */
#include "bind/bind.h"

#include <string.h>

/*
 * Tables have room for a few times as many keys as come into them, so that hardly any
 * two want the same place: which do is another in each process, and each that is in front
 * of a method makes every call of it slower.
 */
#define METAMETHODS 32
#define METHODS 64
#define SPARSE 4 /* for each method of those that have many */

/* As luaL_newmetatable; or the one there is, if the module is opened again. */
static void push_metatable(lua_State *L, const char *type)
{
    if (luaL_getmetatable(L, type) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, METAMETHODS);
    lua_pushstring(L, type);
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, type);
}

static void push_methods(lua_State *L, const luaL_Reg *methods)
{
    int n = 0;
    while (methods[n].name)
        n++;
    lua_createtable(L, 0, SPARSE * n < METHODS ? METHODS : SPARSE * n);
}

/* Sets functions, whose first upvalue is the metatable at mt, in the table on top. */
static void set_functions(lua_State *L, int mt, const luaL_Reg *functions)
{
    lua_pushvalue(L, mt);
    luaL_setfuncs(L, functions, 1);
}

void bind_handle_type(lua_State *L, const char *type, const luaL_Reg *metamethods,
                      const luaL_Reg *methods)
{
    push_metatable(L, type);
    int mt = lua_gettop(L);
    set_functions(L, mt, metamethods);
    lua_pushstring(L, type); /* what getmetatable gives: see bind_handle_exactly */
    lua_setfield(L, mt, "__metatable");
    if (lua_getfield(L, mt, "__index") != LUA_TTABLE) { /* Lua may have added to it */
        lua_pop(L, 1);
        push_methods(L, methods);
    }
    set_functions(L, mt, methods);
    lua_setfield(L, mt, "__index");
    lua_settop(L, mt - 1);
}

void bind_handle_methods(lua_State *L, const char *type, const luaL_Reg *methods)
{
    luaL_getmetatable(L, type);
    int mt = lua_gettop(L);
    lua_getfield(L, mt, "__index");
    set_functions(L, mt, methods);
    lua_settop(L, mt - 1);
}

static int index_with_field(lua_State *L)
{
    if (!bind_handle_self(L))
        bind_handle_bad(L, 1, "handle of another kind");
    if (lua_rawequal(L, 2, lua_upvalueindex(3)))
        return lua_tocfunction(L, lua_upvalueindex(4))(L);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    return 1;
}

/* Gives handles of the type a field beside their methods; get sees the handle as its
 * self. */
void bind_handle_field(lua_State *L, const char *type, const char *field,
                       lua_CFunction get)
{
    luaL_getmetatable(L, type);
    int mt = lua_gettop(L);
    lua_pushvalue(L, mt);
    lua_getfield(L, mt, "__index");
    lua_pushvalue(L, -1);
    lua_setfield(L, mt, "__methods");
    lua_pushstring(L, field);
    lua_pushcfunction(L, get);
    lua_pushcclosure(L, index_with_field, 4);
    lua_setfield(L, mt, "__index");
    lua_settop(L, mt - 1);
}

static const char on_behalf =
    0; /* its address marks functions that bind_handle_method made */

/* Pushes where the file that calls this function was called from. */
static void push_caller(lua_State *L)
{
    lua_Debug own, other;
    int level = 1;
    if (lua_getstack(L, level, &own)) {
        lua_getinfo(L, "S", &own);
        do
            level++;
        while (lua_getstack(L, level, &other) && lua_getinfo(L, "S", &other) &&
               strcmp(own.source, other.source) == 0);
    }
    luaL_where(L, level);
}

/* Misuse: of a method that Lua above has called for its own caller, it is that one's. */
void bind_handle_bad(lua_State *L, int arg, const char *why)
{
    if (lua_touserdata(L, lua_upvalueindex(2)) != &on_behalf)
        luaL_argerror(L, arg, why);
    push_caller(L);
    lua_pushfstring(L, "%s%s: %s", lua_tostring(L, -1),
                    lua_tostring(L, lua_upvalueindex(3)), why);
    lua_error(L);
}

/*
 * method(type, name, whose): the same method for a function in Lua, in whose name it
 * throws, and at whose caller's line. This way that function needs no pcall.
 */
int bind_handle_method(lua_State *L)
{
    luaL_getmetatable(L, luaL_checkstring(L, 1));
    lua_getfield(L, -1, "__index");
    lua_getfield(L, -1, luaL_checkstring(L, 2));
    lua_CFunction method = lua_tocfunction(L, -1);
    if (!method)
        return luaL_argerror(L, 2, "there is no such method");
    lua_pushvalue(L, -3);
    lua_pushlightuserdata(L, (void *)&on_behalf);
    lua_pushstring(L, luaL_checkstring(L, 3));
    lua_pushcclosure(L, method, 3);
    return 1;
}

/* The first argument is no handle of the kind that the method is for. */
void bind_handle_stranger(lua_State *L)
{
    const char *got = luaL_typename(L, 1); /* before there is a first value anyway */
    lua_getfield(L, lua_upvalueindex(1), "__name");
    bind_handle_bad(L, 1,
                    lua_pushfstring(L, "%s expected, got %s", lua_tostring(L, -1), got));
}

void bind_constants(lua_State *L, const bind_constant *constants)
{
    for (; constants->name; constants++) {
        lua_pushinteger(L, constants->value);
        lua_setfield(L, -2, constants->name);
    }
}
