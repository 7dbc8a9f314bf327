/*
 * Several changes of a map in one step: what its transaction consists of.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

#define MOST 1000 /* keys that one step can look at or change */

typedef struct step {
    int64_t number; /* an integer key's bytes */
    uint64_t version;
    bool checks, puts, deletes;
    size_t begin; /* of the value, in all of them */
} step;

static int decide(ds_map_change *change, const ds_map_old *old)
{
    const step *of = change->context;
    if (of->checks && old->version != of->version)
        return -EAGAIN;
    if (of->deletes)
        return old->entry ? DS_MAP_DELETE : DS_MAP_LEAVE;
    return of->puts ? 0 : DS_MAP_LEAVE;
}

static void read_step(lua_State *L, lua_Integer i, step *of)
{
    int isint;
    lua_rawgeti(L, 3, i);
    of->version = (uint64_t)lua_tointegerx(L, -1, &isint);
    of->checks = lua_toboolean(L, -1);
    if (of->checks && (!isint || lua_type(L, -1) != LUA_TNUMBER))
        bind_misuse(L, 3, "versions", "integer or false expected, got %s",
                    luaL_typename(L, -1));
    lua_rawgeti(L, 5, i);
    of->deletes = lua_toboolean(L, -1);
    lua_rawgeti(L, 4, i);
    of->puts = !of->deletes && !lua_isnil(L, -1);
    lua_pop(L, 3);
}

/* Last of all: the table has the keys' bytes, for as long as no other code runs. */
static void read_keys(lua_State *L, const bind_map *self, lua_Integer n, step *steps,
                      ds_map_change *changes)
{
    for (lua_Integer i = 0; i < n; i++) {
        lua_rawgeti(L, 2, i + 1);
        changes[i].key = bind_map_key(L, lua_gettop(L), &self->map, &steps[i].number);
        lua_pop(L, 1);
    }
}

/* Adds the values, one behind the other, to a userdata that grows. */
static int encode_all(lua_State *L, bind_map *self, lua_Integer n, step *steps,
                      ds_map_change *changes)
{
    size_t used = 0, room = 0;
    uint8_t *all = NULL;
    int keep = lua_gettop(L) + 1;
    lua_pushnil(L);
    for (lua_Integer i = 0; i < n; i++) {
        if (!steps[i].puts)
            continue;
        ds_bytes *value = &changes[i].value;
        lua_rawgeti(L, 4, i + 1);
        int error = bind_map_encode(L, self, lua_gettop(L), &changes[i]);
        if (error)
            return error;
        size_t size = ds_bytes_size(value);
        if (used + size > room) {
            room = (used + size) * 2;
            uint8_t *more = lua_newuserdatauv(L, room, 0);
            memcpy(more, all ? all : more, used);
            all = more;
            lua_replace(L, keep);
            error = bind_map_encode(L, self, lua_gettop(L), &changes[i]);
            if (error || ds_bytes_size(value) != size)
                return -EAGAIN; /* a finalizer changed the table */
        }
        ds_bytes_put(all + used, value);
        steps[i].begin = used;
        *value = (ds_bytes){.head_size = size};
        used += size;
        lua_pop(L, 1);
    }
    for (lua_Integer i = 0; i < n; i++) {
        if (steps[i].puts)
            changes[i].value.head = all + steps[i].begin;
    }
    return 0;
}

/* The word that decides, from the arguments behind the lists. Read last of all: until
 * then finalizers may close its region. */
static const ds_map_commit *read_commit(lua_State *L, ds_map_commit *commit)
{
    if (lua_isnil(L, 6) && lua_isnil(L, 7) && lua_isnil(L, 8) && lua_isnil(L, 9))
        return NULL;
    bind_region *region = bind_region_open(L, 6, "region");
    bind_region_writable(L, region);
    uint8_t *word = bind_region_change(L, region, 7, sizeof *commit->word);
    if ((uintptr_t)word % sizeof *commit->word)
        bind_misuse(L, 7, "offset", "%I is not a multiple of 8", lua_tointeger(L, 7));
    commit->word = (uint64_t *)(void *)word;
    commit->expected = (uint64_t)bind_integer(L, 8, "expected");
    commit->value = (uint64_t)bind_integer(L, 9, "value");
    return commit;
}

/***
Makes changes of several keys in one step, if the versions are those that are known.

With a region, an aligned 64-bit word there decides as well, which any process may change
without the map's knowing: if it holds what is expected, it gets the value in the same
step, as by `region:cas`; else nothing is changed. Who is killed in the step may leave the
word changed and the map not: the word counts.
@function shm.map:apply
@tparam table keys a list
@tparam table versions for each key the one that is known, or false for any
@tparam table values for each key a new value, or nil
@tparam table deleted for each key true, if it is to go, whatever its value is here
@tparam[opt] shm.region region where the word lies, in any memory
@int[opt] offset where in the region, in bytes from 0, a multiple of 8
@int[opt] expected what it must hold
@int[opt] value what it shall hold
@treturn boolean whether the versions were those
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ESTALE (the word holds something else), E2BIG (more than the arena's journal
has room for), ENOSPC, EBUSY, EBADMSG
@raise when a version is no integer, there are more than 1000 keys, the offset is
misaligned or reaches outside, or the region is read-only
*/
static int map_apply(lua_State *L)
{
    bind_map *self = bind_map_self(L);
    ds_map_commit commit;
    bind_arity(L, 9);
    lua_settop(L, 9);
    for (int arg = 2; arg <= 5; arg++) {
        if (lua_type(L, arg) != LUA_TTABLE)
            bind_misuse(L, arg, "keys, versions, values, deleted", "tables expected");
    }
    lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
    if (n > MOST)
        bind_misuse(L, 2, "keys", "at most %d of them", MOST);
    if (n == 0 && !read_commit(L, &commit)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    step *steps = lua_newuserdatauv(L, (size_t)n * sizeof *steps, 0);
    ds_map_change *changes = lua_newuserdatauv(L, (size_t)n * sizeof *changes, 0);
    for (lua_Integer i = 0; i < n; i++) {
        changes[i] = (ds_map_change){.decide = decide, .context = &steps[i]};
        changes[i].expires = DS_MAP_KEEP;
        read_step(L, i + 1, &steps[i]);
    }
    int error = encode_all(L, self, n, steps, changes);
    self = bind_map_self(L);
    read_keys(L, self, n, steps, changes);
    const ds_map_commit *decisive = read_commit(L, &commit);
    error = error ? error
                  : ds_map_commit_with(&self->map, changes, (size_t)n, decisive,
                                       OS_CLOCK_FOREVER);
    if (decisive)
        bind_region_check(L, lua_touserdata(L, 6));
    if (error && error != -EAGAIN)
        return bind_map_fail(L, self, error, "map.apply");
    bind_map_check(L, self);
    lua_pushboolean(L, !error);
    return 1;
}

void bind_apply_add(lua_State *L)
{
    static const luaL_Reg methods[] = {{"apply", map_apply}, {NULL, NULL}};
    bind_handle_methods(L, BIND_MAP, methods);
}
