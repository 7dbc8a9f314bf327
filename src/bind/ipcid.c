/*
 * The number of a System V object as userdata, and what all kinds of object
 * share: keys, flags, and struct ipc_perm.
 *
 * The number is all there is to hold, so closing forgets it and touches nothing.
 */
#include "bind/bind.h"

#include <errno.h>
#include <limits.h>

#define MODE_BITS 0777
#define OWNER_ONLY 0600

static bind_ipcid *ipcid_self(lua_State *L)
{
    bind_ipcid *handle = bind_handle_self(L);
    if (!handle)
        bind_handle_bad(L, 1, "System V id expected");
    return handle;
}

/***
Lets go of the number: the handle can not be used any more, and the object stays.
Closing twice is harmless.
@function shm.sysv.id:close
@treturn boolean true
*/
static int ipcid_close(lua_State *L)
{
    ipcid_self(L)->open = false;
    lua_pushboolean(L, 1);
    return 1;
}

static int ipcid_tostring(lua_State *L)
{
    const bind_ipcid *handle = ipcid_self(L);
    luaL_getmetafield(L, 1, "__name");
    if (handle->open)
        lua_pushfstring(L, "%s (%d)", lua_tostring(L, -1), handle->id);
    else
        lua_pushfstring(L, "%s (closed)", lua_tostring(L, -1));
    return 1;
}

/* Lua asks this of any two userdata of which one is an id. */
static int ipcid_equal(lua_State *L)
{
    const bind_ipcid *one = bind_handle_self(L);
    lua_insert(L, 1);
    const bind_ipcid *other = bind_handle_self(L);
    lua_pushboolean(L, one && other && one->open && other->open && one->id == other->id);
    return 1;
}

/* Called by __index, which has checked the handle. */
static int ipcid_number(lua_State *L)
{
    const bind_ipcid *handle = lua_touserdata(L, 1);
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

/* A closed one, which the caller opens. */
bind_ipcid *bind_ipcid_push(lua_State *L, const bind_ipcid_kind *kind)
{
    bind_ipcid *handle = lua_newuserdatauv(L, sizeof *handle, 0);
    *handle = (bind_ipcid){.open = false};
    luaL_setmetatable(L, kind->type);
    return handle;
}

/*
 * shmget, semget and msgget: key, amount, flags. Where an object is to be created and no
 * mode is given it is its owner's alone, as mode 0 helps nobody; but who finds an
 * existing one is not asked for rights that the caller did not ask for.
 */
int bind_ipcid_get(lua_State *L, const bind_ipcid_kind *kind, const char *amount)
{
    int last = amount ? 3 : 2;
    bind_arity(L, last);
    /* A key_t is an int; ipcs prints it as an unsigned number, so both are taken. */
    key_t key = (key_t)bind_range(L, 1, "key", INT_MIN, UINT_MAX);
    size_t size = amount ? (size_t)bind_range(L, 2, amount, 0, kind->most) : 0;
    int flags = (int)bind_opt_range(L, last, "flags", 0, 0, INT_MAX);
    bool no_mode = flags & IPC_CREAT && !(flags & MODE_BITS);

    bind_ipcid *handle = bind_ipcid_push(L, kind);
    int error = kind->get(key, size, no_mode ? flags | OWNER_ONLY : flags, &handle->id);
    if (error == -EACCES && no_mode)
        error = kind->get(key, size, flags & ~IPC_CREAT, &handle->id);
    if (error)
        return bind_fail(L, error, "sysv.%s key %d", kind->function, (int)key);
    handle->open = true;
    return 1;
}

/* An id that is an argument: a handle of the kind, or the plain number. */
int bind_ipcid_number(lua_State *L, int arg, const bind_ipcid_kind *kind)
{
    if (lua_type(L, arg) == LUA_TNUMBER)
        return (int)bind_range(L, arg, "id", 0, INT_MAX);
    const bind_ipcid *handle = luaL_testudata(L, arg, kind->type);
    if (!handle)
        bind_misuse(L, arg, "id", "%s or its number expected, got %s", kind->type,
                    luaL_typename(L, arg));
    else if (!handle->open)
        bind_misuse(L, arg, "id", "id is closed");
    return handle->id;
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

/* What IPC_SET may change, from a table: uid, gid, mode, and what else the kind has. */
bind_ipcperm bind_ipcperm_read(lua_State *L, int arg, const char *more)
{
    const char *const known[] = {"uid", "gid", "mode", more, NULL};
    bind_fields(L, arg, "values", false, known);
    bind_ipcperm values = {0};
    values.has_uid = bind_field_integer(L, arg, "uid", 0, UINT_MAX, &values.uid);
    values.has_gid = bind_field_integer(L, arg, "gid", 0, UINT_MAX, &values.gid);
    values.has_mode = bind_field_integer(L, arg, "mode", 0, MODE_BITS, &values.mode);
    return values;
}

/* Whether nothing of the object's own has to be asked for first, which takes the right
 * to. */
bool bind_ipcperm_whole(const bind_ipcperm *values)
{
    return values->has_uid && values->has_gid && values->has_mode;
}

void bind_ipcperm_apply(const bind_ipcperm *values, struct ipc_perm *perm)
{
    if (values->has_uid)
        perm->uid = (uid_t)values->uid;
    if (values->has_gid)
        perm->gid = (gid_t)values->gid;
    if (values->has_mode)
        perm->mode = (unsigned short)values->mode;
}
