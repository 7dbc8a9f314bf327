/*
 * The number of a System V object as userdata, and what all kinds of object
 * share: keys, flags, and struct ipc_perm.
 *
 * The number is all there is to hold, so closing forgets it and touches nothing.
 */
#include "bind/bind.h"

#include <limits.h>
#include <string.h>

typedef struct ipcid {
    int id;
    bool open;
} ipcid;

#define MODE_BITS 0777
#define OWNER_ONLY 0600

static ipcid *ipcid_self(lua_State *L)
{
    ipcid *handle = bind_handle_self(L);
    if (!handle)
        bind_handle_bad(L, 1, "System V id expected");
    return handle;
}

static int ipcid_close(lua_State *L)
{
    ipcid_self(L)->open = false;
    lua_pushboolean(L, 1);
    return 1;
}

static int ipcid_tostring(lua_State *L)
{
    const ipcid *handle = ipcid_self(L);
    luaL_getmetafield(L, 1, "__name");
    if (handle->open)
        lua_pushfstring(L, "%s (%d)", lua_tostring(L, -1), handle->id);
    else
        lua_pushfstring(L, "%s (closed)", lua_tostring(L, -1));
    return 1;
}

static int ipcid_equal(lua_State *L)
{
    const ipcid *one = ipcid_self(L);
    lua_insert(L, 1);
    const ipcid *other = bind_handle_self(L);
    lua_pushboolean(L, other && one->open && other->open && one->id == other->id);
    return 1;
}

/* Called by __index: upvalues are those of the caller, so the handle is taken as it is.
 */
static int ipcid_number(lua_State *L)
{
    const ipcid *handle = lua_touserdata(L, 1);
    if (!handle->open)
        bind_handle_bad(L, 1, "id is closed");
    lua_pushinteger(L, handle->id);
    return 1;
}

void bind_ipcid_register(lua_State *L, const bind_ipcid_kind *kind)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", ipcid_close},
        {"__close", ipcid_close},
        {"__tostring", ipcid_tostring},
        {"__eq", ipcid_equal},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {{"close", ipcid_close}, {NULL, NULL}};
    bind_handle_type(L, kind->type, metamethods, methods);
    bind_handle_methods(L, kind->type, kind->methods);
    bind_handle_field(L, kind->type, "id", ipcid_number);
}

int bind_ipcid_push(lua_State *L, const bind_ipcid_kind *kind, int id)
{
    ipcid *handle = lua_newuserdatauv(L, sizeof *handle, 0);
    *handle = (ipcid){.id = id, .open = true};
    luaL_setmetatable(L, kind->type);
    return 1;
}

/* An id that is an argument: a handle of the kind, or the plain number. */
int bind_ipcid(lua_State *L, int arg, const bind_ipcid_kind *kind)
{
    if (lua_type(L, arg) == LUA_TNUMBER)
        return (int)bind_range(L, arg, "id", 0, INT_MAX);
    const ipcid *handle = bind_handle_test(L, arg, kind->type);
    if (!handle)
        bind_misuse(L, arg, "id", "%s or its number expected, got %s", kind->type,
                    luaL_typename(L, arg));
    else if (!handle->open)
        bind_misuse(L, arg, "id", "id is closed");
    return handle->id;
}

/* A key_t is an int; ipcs prints it as an unsigned number, so both are taken. */
key_t bind_ipckey(lua_State *L, int arg)
{
    return (key_t)bind_range(L, arg, "key", INT_MIN, UINT_MAX);
}

/* With IPC_CREAT and no mode at all, the object is its owner's alone: mode 0 helps
 * nobody. */
int bind_ipcflags(lua_State *L, int arg)
{
    int flags = (int)bind_opt_range(L, arg, "flags", 0, 0, INT_MAX);
    return flags & IPC_CREAT && !(flags & MODE_BITS) ? flags | OWNER_ONLY : flags;
}

static void set_field(lua_State *L, const char *name, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* Sets the fields of struct ipc_perm in the table on top. */
void bind_ipcperm_push(lua_State *L, const struct ipc_perm *perm)
{
    set_field(L, "key", perm->__key);
    set_field(L, "uid", perm->uid);
    set_field(L, "gid", perm->gid);
    set_field(L, "cuid", perm->cuid);
    set_field(L, "cgid", perm->cgid);
    set_field(L, "mode", perm->mode);
    set_field(L, "seq", perm->__seq);
}

static lua_Integer perm_field(lua_State *L, int arg, const char *name, lua_Integer most,
                              lua_Integer absent)
{
    lua_pushstring(L, name);
    lua_rawget(L, arg);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return absent;
    }
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0 || lua_tointeger(L, -1) > most)
        bind_misuse(L, arg, name, "integer from 0 to %I expected", most);
    lua_Integer value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* What IPC_SET may change, from a table: uid, gid and mode; what is absent stays. */
void bind_ipcperm_read(lua_State *L, int arg, struct ipc_perm *perm)
{
    if (lua_type(L, arg) != LUA_TTABLE)
        bind_misuse(L, arg, "values", "table expected, got %s", luaL_typename(L, arg));
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        static const char *const known[] = {"uid", "gid", "mode", NULL};
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        int i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            bind_misuse(L, arg, "values",
                        "unknown field '%s' (uid, gid and mode can be set)", key);
    }
    perm->uid = (uid_t)perm_field(L, arg, "uid", UINT_MAX, perm->uid);
    perm->gid = (gid_t)perm_field(L, arg, "gid", UINT_MAX, perm->gid);
    perm->mode = (unsigned short)perm_field(L, arg, "mode", MODE_BITS, perm->mode);
}
