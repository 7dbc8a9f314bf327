/*
 * shm.process, the channels: connected sockets, between relatives or from elsewhere.
 */
#include "bind/bind.h"

#include <limits.h>
#include <sys/socket.h>

#define CHANNEL "shm.process.channel"
#define MOST_AT_ONCE 0x100000 /* more than a socket holds that nobody made larger */

typedef struct channel {
    int fd; /* -1 when closed */
} channel;

static channel *channel_self(lua_State *L)
{
    channel *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, CHANNEL " expected");
    return self;
}

static int channel_open(lua_State *L, const channel *self)
{
    if (self->fd < 0)
        bind_handle_bad(L, 1, "channel is closed");
    return self->fd;
}

static channel *push_channel(lua_State *L)
{
    channel *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->fd = -1;
    luaL_setmetatable(L, CHANNEL);
    return self;
}

/***
Makes two channels that are connected to each other: one for the parent, one for the
child. After fork each side closes the one that it does not use, or it will not notice the
other's end.
@function shm.process.socketpair
@string[opt="stream"] kind "stream" (bytes) or "seqpacket" (messages, each received whole)
@treturn shm.process.channel one end
@treturn shm.process.channel the other end
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EMFILE, ENFILE
@see socketpair(2)
*/
static int channel_pair(lua_State *L)
{
    static const char *const kinds[] = {"stream", "seqpacket", NULL};
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    bind_arity(L, 1);
    int type = types[bind_option(L, 1, "kind", true, kinds)];
    channel *one = push_channel(L), *other = push_channel(L);
    int fd[2], error = os_channel_pair(type, fd);
    if (error)
        return bind_fail(L, error, "process.socketpair");
    one->fd = fd[0];
    other->fd = fd[1];
    return 2;
}

/***
Makes a channel of a connected socket that another library opened, by duplicating its
descriptor: the library closes its own when it likes.
@function shm.process.channel
@int fd the socket's descriptor
@treturn shm.process.channel the channel
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADF, ENOTSOCK, EPROTOTYPE (datagrams have no end), EMFILE
@see fcntl(2)
*/
static int channel_adopt(lua_State *L)
{
    bind_arity(L, 1);
    int fd = (int)bind_range(L, 1, "fd", 0, INT_MAX);
    channel *self = push_channel(L);
    int error = os_channel_adopt(fd, &self->fd);
    return error ? bind_fail(L, error, "process.channel %d", fd) : 1;
}

/***
Sends all of data.
@function shm.process.channel:send
@string data at least one byte
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE when the other end is gone …
@treturn[2] int how many bytes went out before that
@see send(2)
*/
static int channel_send(lua_State *L)
{
    const channel *self = channel_self(L);
    bind_arity(L, 3);
    size_t size, sent;
    const char *data = bind_string(L, 2, "data", &size);
    if (size == 0) /* an empty message could not be told from the other end's close */
        bind_misuse(L, 2, "data", "at least one byte expected");
    int64_t deadline = bind_deadline(L, 3);
    int error = os_stream_write(channel_open(L, self), data, size, deadline, &sent);
    if (!error)
        return bind_done(L, 0, "");
    int results = bind_fail(L, error, "channel.send");
    lua_pushinteger(L, (lua_Integer)sent);
    return results + 1;
}

/***
Receives what there is, or waits for it. A message longer than n is cut.
@function shm.process.channel:recv
@int n how many bytes at most; more than 1 MiB is taken for that
@number[opt] timeout in seconds, absent for ever
@treturn string 1 to n bytes
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE when the other end is gone and all
that it sent was received
@see recv(2)
*/
static int channel_receive(lua_State *L)
{
    const channel *self = channel_self(L);
    bind_arity(L, 3);
    size_t n = (size_t)bind_range(L, 2, "n", 1, LUA_MAXINTEGER), got;
    int64_t deadline = bind_deadline(L, 3);
    n = n < MOST_AT_ONCE ? n : MOST_AT_ONCE;
    luaL_Buffer buffer;
    char *data = luaL_buffinitsize(L, &buffer, n);
    int error = os_channel_receive(channel_open(L, self), data, n, deadline, &got);
    if (error)
        return bind_fail(L, error, "channel.recv");
    luaL_pushresultsize(&buffer, got);
    return 1;
}

/***
Sends a descriptor: the other end gets one of its own that is open on the same file,
memory or socket. The other end takes it with recvfd, at the same place among what is
sent. There it is a byte: in a stream a recv that asks for more than was sent before takes
that as well, and the descriptor is lost.
@function shm.process.channel:sendfd
@tparam int|file|shm.posix.descriptor|shm.region fd whatever has a descriptor
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE when the other end is gone, EINVAL
(no Unix socket) …
@see unix(7)
*/
static int channel_send_fd(lua_State *L)
{
    const channel *self = channel_self(L);
    bind_arity(L, 3);
    int64_t deadline = bind_deadline(L, 3);
    int fd = bind_fd(L, 2, "fd");
    return bind_done(L, os_channel_send_fd(channel_open(L, self), fd, deadline),
                     "channel.sendfd");
}

/***
Receives a descriptor.
@function shm.process.channel:recvfd
@number[opt] timeout in seconds, absent for ever
@treturn shm.posix.descriptor the descriptor, to be mapped with shm.map, for one
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE when the other end is gone, ENOMSG
(something else was sent; its first byte is lost), EMFILE (and it waits there) …
@see unix(7)
*/
static int channel_receive_fd(lua_State *L)
{
    const channel *self = channel_self(L);
    bind_arity(L, 2);
    int64_t deadline = bind_deadline(L, 2);
    bind_descriptor *received = bind_descriptor_push(L);
    int error = os_channel_receive_fd(channel_open(L, self), deadline, &received->fd);
    return error ? bind_fail(L, error, "channel.recvfd") : 1;
}

/***
Tells the other end that no more will be sent; it can still be heard. Closing at once
would, on TCP, take back what is under way if there is something left to read.
@function shm.process.channel:shutdown
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOTCONN when a connection of TCP is gone; two that socketpair connects have
none to lose
@see shutdown(2)
*/
static int channel_shutdown(lua_State *L)
{
    const channel *self = channel_self(L);
    bind_arity(L, 1);
    return bind_done(L, os_channel_shutdown(channel_open(L, self)), "channel.shutdown");
}

/***
Closes this end.
@function shm.process.channel:close
@treturn boolean true
*/
static int channel_close(lua_State *L)
{
    os_fd_close(&channel_self(L)->fd);
    lua_pushboolean(L, 1);
    return 1;
}

static int channel_tostring(lua_State *L)
{
    const channel *self = channel_self(L);
    lua_pushfstring(L, self->fd < 0 ? CHANNEL " (closed)" : CHANNEL " (%d)", self->fd);
    return 1;
}

void bind_channel_add(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", channel_close},
        {"__close", channel_close},
        {"__tostring", channel_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"send", channel_send},
        {"recv", channel_receive},
        {"sendfd", channel_send_fd},
        {"recvfd", channel_receive_fd},
        {"shutdown", channel_shutdown},
        {"close", channel_close},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"socketpair", channel_pair},
        {"channel", channel_adopt},
        {NULL, NULL},
    };
    bind_handle_type(L, CHANNEL, metamethods, methods);
    bind_pollable_methods(L, CHANNEL);
    luaL_setfuncs(L, functions, 0);
}
