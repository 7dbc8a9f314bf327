/*
 * The door of the C module. Lua programs require shm.sysv and its neighbours,
 * each of which is one table of what is opened here.
 */
#include "bind/bind.h"

__attribute__((visibility("default"))) int luaopen_shm_core(lua_State *L);

int luaopen_shm_core(lua_State *L)
{
    os_fd_stand_in();
    bind_region_register(L);
    bind_descriptor_register(L);
    bind_scratch_register(L);
    bind_interrupt_register(L);
    lua_createtable(L, 0, 8);
    bind_sysv_open(L);
    lua_setfield(L, -2, "sysv");
    bind_posix_open(L);
    lua_setfield(L, -2, "posix");
    bind_object_open(L);
    lua_setfield(L, -2, "object");
    bind_word_open(L);
    lua_setfield(L, -2, "fence");
    bind_scalar_open(L);
    lua_setfield(L, -2, "scalars");
    bind_sync_open(L);
    lua_setfield(L, -2, "sync");
    bind_process_open(L);
    lua_setfield(L, -2, "process");
    bind_chaos_open(L);
    lua_setfield(L, -2, "chaos");
    bind_arena_open(L);
    lua_setfield(L, -2, "arena");
    bind_image_open(L);
    lua_setfield(L, -2, "image");
    bind_hashmap_open(L);
    lua_setfield(L, -2, "map");
    bind_value_open(L);
    lua_setfield(L, -2, "value");
    lua_pushcfunction(L, bind_handle_method);
    lua_setfield(L, -2, "method");
    return 1;
}
