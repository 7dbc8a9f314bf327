/*
 * LMDB as maps are compared with it: in C, in memory that processes share, without any
 * writing to a disk.
 *
 * open(folder, keys) makes a database with these keys; get(n) and set(n) look up and
 * change the first n of them. A change is a transaction, as each of a map's is one; a
 * look-up renews its transaction, as it is to see what others changed.
 */
#include <lauxlib.h>
#include <lmdb.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROOM ((size_t)1 << 30)

int luaopen_lmdb(lua_State *L);

static MDB_env *env;
static MDB_dbi dbi;
static MDB_val *keys;
static size_t count;

static void check(lua_State *L, int error)
{
    if (error)
        luaL_error(L, "lmdb: %s", mdb_strerror(error));
}

static void take_keys(lua_State *L, int arg)
{
    count = lua_rawlen(L, arg);
    keys = calloc(count, sizeof *keys);
    for (size_t i = 0; keys && i < count; i++) {
        lua_rawgeti(L, arg, (lua_Integer)i + 1);
        const char *bytes = lua_tolstring(L, -1, &keys[i].mv_size);
        keys[i].mv_data = memcpy(malloc(keys[i].mv_size), bytes, keys[i].mv_size);
        lua_pop(L, 1);
    }
}

static int put_all(MDB_txn *txn, size_t from, size_t to)
{
    int error = 0;
    for (size_t i = from; i < to && !error; i++) {
        uint64_t number = i;
        MDB_val value = {sizeof number, &number};
        error = mdb_put(txn, dbi, &keys[i], &value, 0);
    }
    return error;
}

static int db_open(lua_State *L)
{
    MDB_txn *txn;
    const char *folder = luaL_checkstring(L, 1);
    take_keys(L, 2);
    check(L, mdb_env_create(&env));
    check(L, mdb_env_set_mapsize(env, ROOM));
    check(L, mdb_env_open(env, folder, MDB_NOSYNC | MDB_WRITEMAP, 0600));
    check(L, mdb_txn_begin(env, NULL, 0, &txn));
    check(L, mdb_dbi_open(txn, NULL, 0, &dbi));
    check(L, put_all(txn, 0, count));
    check(L, mdb_txn_commit(txn));
    return 0;
}

static int db_close(lua_State *L)
{
    (void)L;
    mdb_env_close(env);
    for (size_t i = 0; i < count; i++)
        free(keys[i].mv_data);
    free(keys);
    return 0;
}

static size_t wanted(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && (size_t)n <= count, 1, "more than there are keys");
    return (size_t)n;
}

static int db_get(lua_State *L)
{
    MDB_txn *txn;
    size_t n = wanted(L);
    int error = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    check(L, error);
    for (size_t i = 0; i < n && !error; i++) {
        MDB_val value;
        mdb_txn_reset(txn);
        error = mdb_txn_renew(txn);
        error = error ? error : mdb_get(txn, dbi, &keys[i], &value);
    }
    mdb_txn_abort(txn);
    check(L, error);
    return 0;
}

static int db_put(lua_State *L)
{
    size_t n = wanted(L);
    for (size_t i = 0; i < n; i++) {
        MDB_txn *txn;
        check(L, mdb_txn_begin(env, NULL, 0, &txn));
        check(L, put_all(txn, i, i + 1));
        check(L, mdb_txn_commit(txn));
    }
    return 0;
}

int luaopen_lmdb(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", db_open},
                                         {"close", db_close},
                                         {"get", db_get},
                                         {"set", db_put},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
