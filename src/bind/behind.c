/*
 * A region and what stands around it: the object behind its bytes, and descriptors that
 * bytes go to and come from without a Lua string in between.
 */
#include "bind/bind.h"

#include <errno.h>
#include <sys/mman.h>

static bind_region *open_self(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    if (!region->mapping)
        bind_region_refuses(L, region);
    return region;
}

/***
Waits until what was changed is on disk, where there is one behind the region.
@function shm.region:sync
@int[opt=0] offset where from, in bytes from 0
@int[opt] n how many bytes, absent for all behind offset
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EIO …
@raise when offset and n reach outside the region
@see msync(2)
*/
static int region_sync(lua_State *L)
{
    bind_region *region = open_self(L);
    bind_arity(L, 3);
    lua_Integer offset = bind_opt_range(L, 2, "offset", 0, 0, LUA_MAXINTEGER);
    bool rest = lua_isnoneornil(L, 3);
    size_t n = rest ? 0 : bind_count(L, 3, "n");
    bind_region_follow(region);
    if (!mem_inside(region->size, (uint64_t)offset, n))
        bind_region_beyond(L, region, 2, "offset", offset, n);
    n = rest ? region->size - (size_t)offset : n;
    uint8_t *bytes = region->base + offset;
    size_t before = (uintptr_t)bytes % os_map_page();
    return bind_done(L, os_map_sync(bytes - before, n + before, MS_SYNC), "region.sync");
}

/***
Gives the object behind the region a size, for everyone who has it, and the region too.
What is new is reserved, and zero but for what others
wrote behind the end, into what was left of its last page. Without a size, the region
takes over the one that another process gave the object. Upon an error the region stays as
it was, and so does an object in memory.

What a mapped file has behind a region that shows a part of it stays. Where the region was
made with `max`, it stays where it is and can not become longer than
that; others who also did see more of it without asking. Else it may move: its address
changes, and views of it stay what they were. Who has pages mapped that are gone gets an
error on touching them; of the last page the rest reads as zeros.
@function shm.region:resize
@int[opt] n how many bytes, at least 1
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC, ENOMEM (more than the machine has), EFBIG (more than max), ENODATA
(another process left nothing), ENOTSUP (a System V segment, what mmap gave, or a private
file mapping), EPERM (it is sealed), EMFILE, EINTR after a signal …
@raise when the region is a view, or is to be changed and read-only
@see ftruncate(2), posix_fallocate(3)
*/
static int region_resize(lua_State *L)
{
    bind_region *region = open_self(L);
    bind_arity(L, 2);
    size_t size = 0;
    if (!lua_isnoneornil(L, 2)) {
        size = (size_t)bind_range(L, 2, "n", 1, LUA_MAXINTEGER / 4);
        bind_region_writable(L, region);
    }
    if (region->part)
        return luaL_argerror(L, 1, "region is a view, and has the size it was made with");
    if (region->mapping->journal && region->mapping->journalist == os_thread_self())
        return luaL_argerror(L, 1, "a transaction goes on in it");
    mem_mapping *longer;
    int error = mem_object_resize(region->mapping, &size, &longer);
    size_t max = region->mapping->size - region->mapping->slack;
    if (error == -EFBIG && region->mapping->grows && size > max)
        return bind_fail(L, error, "region.resize %s: its max is %I",
                         region->mapping->label, (lua_Integer)max);
    if (error)
        return bind_fail(L, error, "region.resize %s", region->mapping->label);
    if (longer) {
        mem_mapping *shorter = region->mapping;
        bind_region_forget(region);
        mem_mapping_release(shorter);
        bind_region_fill(region, longer, longer->slack, size);
    }
    region->size = size;
    return bind_done(L, 0, "");
}

/***
The descriptor of the object behind the region, to be sent to another process. It stays
the region's: do not close it.
@function shm.region:fileno
@treturn int the descriptor
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOTSUP (a System V segment, or what mmap gave)
*/
static int region_descriptor(lua_State *L)
{
    const bind_region *region = open_self(L);
    bind_arity(L, 1);
    if (region->mapping->fd < 0)
        return bind_fail(L, -ENOTSUP, "region.fileno %s", region->mapping->label);
    lua_pushinteger(L, region->mapping->fd);
    return 1;
}

/***
Receives bytes from a socket, pipe or file straight into the region: as many as there are,
and at most n. What io has read ahead from a pipe is not among them.
@function shm.region:recv
@tparam int|file|shm.process.channel fd whatever has a descriptor
@int offset where to, in bytes from 0
@int n how many at most
@number[opt] timeout in seconds, absent for ever
@treturn int how many came; 0 is the end
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, ECONNRESET, EFAULT (memory behind the
region is gone) …
@raise when offset and n reach outside the region, or it is read-only
@see recv(2), read(2)
*/
static int region_receive(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 5);
    size_t n = bind_count(L, 4, "n"), got;
    int64_t deadline = bind_deadline(L, 5);
    int fd = bind_fd(L, 2, "fd"), error = bind_fd_flush(L, 2);
    bind_region_writable(L, region);
    uint8_t *bytes = bind_region_change(L, region, 3, n);
    if (!error) {
        mem_chaos_lift(true);
        error = os_stream_read(fd, bytes, n, deadline, &got);
        mem_chaos_again();
    }
    if (error)
        return bind_fail(L, error, "region.recv");
    lua_pushinteger(L, (lua_Integer)got);
    return 1;
}

/***
Sends bytes of the region straight to a socket, pipe or file, all of them, behind what a
file of io's has in its buffer.
@function shm.region:send
@tparam int|file|shm.process.channel fd whatever has a descriptor
@int offset where from, in bytes from 0
@int n how many
@number[opt] timeout in seconds, absent for ever
@treturn int n
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE (the other end is gone), EFAULT
(memory behind the region is gone) …
@treturn[2] int how many bytes went out before that
@raise when offset and n reach outside the region
@see send(2), write(2)
*/
static int region_send(lua_State *L)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, 5);
    size_t n = bind_count(L, 4, "n"), sent;
    int64_t deadline = bind_deadline(L, 5);
    int fd = bind_fd(L, 2, "fd"), error = bind_fd_flush(L, 2);
    const uint8_t *bytes = bind_region_at(L, region, 3, n);
    sent = 0;
    if (!error)
        error = os_stream_write(fd, bytes, n, deadline, &sent);
    if (error)
        bind_fail(L, error, "region.send");
    lua_pushinteger(L, (lua_Integer)sent);
    return error ? 4 : 1;
}

void bind_behind_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"sync", region_sync},    {"resize", region_resize},
        {"recv", region_receive}, {"fileno", region_descriptor},
        {"send", region_send},    {NULL, NULL},
    };
    bind_handle_methods(L, BIND_REGION, methods);
}
