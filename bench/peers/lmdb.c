/*
 * LMDB as maps are compared with it: in C, in memory that processes share, without any
 * writing to a disk.
 *
 * keys(list) takes the keys, in the order in which they are used; fill(folder) makes a
 * database with them, and attach(folder) opens it, in each process anew, as an
 * environment is its process's. get, set, incr and mixed (first, n) do n look-ups and
 * changes, from the first key on and round the list. A change is a transaction, as each
 * of a map's is one; a look-up renews its transaction, as it is to see what others
 * changed.
 */
#include <lauxlib.h>
#include <lmdb.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROOM ((size_t)1 << 30)

int luaopen_lmdb(lua_State *L);

static MDB_env *env;
static MDB_dbi dbi;
static MDB_txn *reader;
static MDB_val *keys;
static size_t count;

static void check(lua_State *L, int error)
{
    if (error)
        luaL_error(L, "lmdb: %s", mdb_strerror(error));
}

static int take_keys(lua_State *L)
{
    for (size_t i = 0; i < count; i++)
        free(keys[i].mv_data);
    free(keys);
    count = lua_rawlen(L, 1);
    keys = calloc(count, sizeof *keys);
    for (size_t i = 0; keys && i < count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        const char *bytes = lua_tolstring(L, -1, &keys[i].mv_size);
        keys[i].mv_data = memcpy(malloc(keys[i].mv_size), bytes, keys[i].mv_size);
        lua_pop(L, 1);
    }
    return 0;
}

static int put(MDB_txn *txn, size_t i, uint64_t number)
{
    MDB_val value = {sizeof number, &number};
    return mdb_put(txn, dbi, &keys[i], &value, 0);
}

static void db_open(lua_State *L, const char *folder, unsigned flags)
{
    MDB_txn *txn;
    check(L, mdb_env_create(&env));
    check(L, mdb_env_set_mapsize(env, ROOM));
    check(L, mdb_env_open(env, folder, MDB_NOSYNC | MDB_WRITEMAP | flags, 0600));
    check(L, mdb_txn_begin(env, NULL, 0, &txn));
    check(L, mdb_dbi_open(txn, NULL, 0, &dbi));
    check(L, mdb_txn_commit(txn));
}

static int db_fill(lua_State *L)
{
    MDB_txn *txn;
    int error = 0;
    db_open(L, luaL_checkstring(L, 1), 0);
    check(L, mdb_txn_begin(env, NULL, 0, &txn));
    for (size_t i = 0; i < count && !error; i++)
        error = put(txn, i, i);
    check(L, error);
    check(L, mdb_txn_commit(txn));
    mdb_env_close(env);
    return 0;
}

static int db_attach(lua_State *L)
{
    db_open(L, luaL_checkstring(L, 1), 0);
    check(L, mdb_txn_begin(env, NULL, MDB_RDONLY, &reader));
    mdb_txn_reset(reader);
    return 0;
}

static int get_one(size_t i, uint64_t *number)
{
    MDB_val value;
    int error = mdb_txn_renew(reader);
    error = error ? error : mdb_get(reader, dbi, &keys[i], &value);
    if (!error)
        memcpy(number, value.mv_data, sizeof *number);
    mdb_txn_reset(reader); /* or what is changed meanwhile could not be used again */
    return error;
}

static int set_one(size_t i, uint64_t number, bool add)
{
    MDB_txn *txn;
    MDB_val value;
    uint64_t old = 0;
    int error = mdb_txn_begin(env, NULL, 0, &txn);
    if (!error && add) {
        error = mdb_get(txn, dbi, &keys[i], &value);
        if (!error)
            memcpy(&old, value.mv_data, sizeof old);
    }
    error = error ? error : put(txn, i, old + number);
    return error ? error : mdb_txn_commit(txn);
}

/* What to do with a key the k-th time. */
static int db_work(lua_State *L, int (*f)(size_t i, uint64_t k))
{
    uint64_t first = (uint64_t)luaL_checkinteger(L, 1);
    uint64_t n = (uint64_t)luaL_checkinteger(L, 2);
    luaL_argcheck(L, count > 0, 1, "no keys");
    for (uint64_t k = 0; k < n; k++)
        check(L, f((first + k) % count, k));
    return 0;
}

static int f_get(size_t i, uint64_t k)
{
    return get_one(i, &k);
}

static int f_set(size_t i, uint64_t k)
{
    return set_one(i, k, false);
}

static int f_incr(size_t i, uint64_t k)
{
    (void)k;
    return set_one(i, 1, true);
}

static int f_mixed(size_t i, uint64_t k)
{
    return k % 10 == 0 ? set_one(i, k, false) : get_one(i, &k);
}

static int db_get(lua_State *L)
{
    return db_work(L, f_get);
}

static int db_set(lua_State *L)
{
    return db_work(L, f_set);
}

static int db_incr(lua_State *L)
{
    return db_work(L, f_incr);
}

static int db_mixed(lua_State *L)
{
    return db_work(L, f_mixed);
}

int luaopen_lmdb(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"keys", take_keys}, {"fill", db_fill}, {"attach", db_attach}, {"get", db_get},
        {"set", db_set},     {"incr", db_incr}, {"mixed", db_mixed},   {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
