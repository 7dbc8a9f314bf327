/*
 * shm.posix, the message queues, and notifications of their messages.
 */
#include "bind/bind.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define QUEUE "shm.posix.queue"
#define NOTIFICATION "shm.posix.notification"
#define MOST_PRIORITY 32767 /* MQ_PRIO_MAX - 1 */

typedef struct queue {
    int fd; /* -1 when closed; a queue is a descriptor to Linux */
    size_t msgsize;
} queue;

typedef struct notification {
    int fd;     /* a netlink socket, -1 when closed */
    bool armed; /* the kernel may still have it on record for the queue */
} notification; /* user value 1 is the queue */

static queue *queue_self(lua_State *L)
{
    queue *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, QUEUE " expected");
    return self;
}

static int queue_open(lua_State *L, const queue *self)
{
    if (self->fd < 0)
        bind_handle_bad(L, 1, "queue is closed");
    return self->fd;
}

static notification *notification_self(lua_State *L)
{
    notification *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, NOTIFICATION " expected");
    return self;
}

/***
Opens a message queue, which processes find by its name. It can be polled: it is readable
while it has a message.
@function shm.posix.mq_open
@string name begins with a slash and has no other
@int flags O_RDONLY, O_WRONLY or O_RDWR, and O_CREAT, O_EXCL, O_NONBLOCK
@int[opt=0600] mode permission bits of a new one, less those of the umask
@tparam[opt] table attributes of a new one: maxmsg, how many messages it holds, and
msgsize, how many bytes each can have; absent for the system's defaults
@treturn shm.posix.queue the queue
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EEXIST, EACCES (or there is another slash), EINVAL (it begins with
none, or the attributes are beyond /proc/sys/fs/mqueue), EMFILE …
@see mq_open(3)
*/
static int mq_open_named(lua_State *L)
{
    static const char *const known[] = {"maxmsg", "msgsize", NULL};
    bind_arity(L, 4);
    lua_settop(L, 4);
    const char *name = bind_word(L, 1, "name");
    int flags = (int)bind_range(L, 2, "flags", 0, INT32_MAX);
    mode_t mode = (mode_t)bind_opt_range(L, 3, "mode", 0600, 0, 0777);
    struct mq_attr attributes = {0};
    bool given = bind_fields(L, 4, "attributes", true, known);
    if (given) {
        lua_Integer maxmsg, msgsize;
        if (!bind_field_integer(L, 4, "maxmsg", 1, LONG_MAX, &maxmsg) ||
            !bind_field_integer(L, 4, "msgsize", 1, LONG_MAX, &msgsize))
            bind_misuse(L, 4, "attributes", "maxmsg and msgsize belong together");
        attributes.mq_maxmsg = (long)maxmsg;
        attributes.mq_msgsize = (long)msgsize;
    }
    queue *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->fd = -1;
    luaL_setmetatable(L, QUEUE);
    int error = os_posixmq_open(name, flags, mode, given ? &attributes : NULL, &self->fd);
    if (!error)
        error = os_posixmq_attributes(self->fd, &attributes);
    self->msgsize = (size_t)attributes.mq_msgsize;
    return error ? bind_fail(L, error, "posix.mq_open '%s'", name) : 1;
}

/***
Removes the name of a queue; who has it open keeps it.
@function shm.posix.mq_unlink
@string name as for mq_open
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES, EINVAL …; see mq_open
@see mq_unlink(3)
*/
static int mq_unlink_named(lua_State *L)
{
    bind_arity(L, 1);
    const char *name = bind_word(L, 1, "name");
    int error = os_posixmq_unlink(name);
    return error ? bind_fail(L, error, "posix.mq_unlink '%s'", name)
                 : bind_done(L, 0, "");
}

/***
Puts a message into a queue, behind those of its priority and before all lower ones, and
waits while the queue is full.
@function shm.posix.mq_send
@tparam shm.posix.queue queue the queue
@string data at most as many bytes as the attribute msgsize
@int[opt=0] priority 0 to 32767, the highest comes out first
@number[opt] timeout in seconds, absent for ever, 0 to try
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EMSGSIZE, EAGAIN with O_NONBLOCK, EBADF
(not open for that)
@see mq_timedsend(3)
*/
/***
What mq_send does.
@function shm.posix.queue:send
@string data the message
@int[opt=0] priority 0 to 32767
@number[opt] timeout in seconds
@treturn boolean true
*/
static int mq_put(lua_State *L)
{
    const queue *self = queue_self(L);
    bind_arity(L, 4);
    size_t size;
    const char *data = bind_string(L, 2, "data", &size);
    unsigned priority = (unsigned)bind_opt_range(L, 3, "priority", 0, 0, MOST_PRIORITY);
    int64_t deadline = bind_deadline(L, 4);
    return bind_done(L,
                     os_posixmq_send(queue_open(L, self), data, size, priority, deadline),
                     "posix.mq_send");
}

/***
Takes the oldest message of the highest priority, and waits while there is none.
@function shm.posix.mq_receive
@tparam shm.posix.queue queue the queue
@number[opt] timeout in seconds, absent for ever, 0 to try
@treturn string the message
@treturn int its priority
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EAGAIN with O_NONBLOCK, EBADF (not open
for that)
@see mq_timedreceive(3)
*/
/***
What mq_receive does.
@function shm.posix.queue:receive
@number[opt] timeout in seconds
@treturn string the message
@treturn int its priority
*/
static int mq_take(lua_State *L)
{
    const queue *self = queue_self(L);
    bind_arity(L, 2);
    lua_settop(L, 2);
    int64_t deadline = bind_deadline(L, 2);
    char *data = lua_newuserdatauv(L, self->msgsize, 0);
    unsigned priority;
    size_t got;
    int error = os_posixmq_receive(queue_open(L, self), data, self->msgsize, &priority,
                                   deadline, &got);
    if (error)
        return bind_fail(L, error, "posix.mq_receive");
    lua_pushlstring(L, data, got);
    lua_pushinteger(L, priority);
    return 2;
}

/***
Tells what a queue is like.
@function shm.posix.mq_getattr
@tparam shm.posix.queue queue the queue
@treturn table maxmsg, msgsize, curmsgs (messages in it), flags (O_NONBLOCK or 0)
@treturn[2] nil
@treturn[2] string message
@treturn[2] int errno
@see mq_getattr(3)
*/
/***
What mq_getattr gives.
@function shm.posix.queue:getattr
@treturn table maxmsg, msgsize, curmsgs, flags
*/
static int mq_attributes(lua_State *L)
{
    const queue *self = queue_self(L);
    bind_arity(L, 1);
    struct mq_attr attributes;
    int error = os_posixmq_attributes(queue_open(L, self), &attributes);
    if (error)
        return bind_fail(L, error, "posix.mq_getattr");
    const bind_constant fields[] = {
        {"maxmsg", attributes.mq_maxmsg},
        {"msgsize", attributes.mq_msgsize},
        {"curmsgs", attributes.mq_curmsgs},
        {"flags", attributes.mq_flags},
        {NULL, 0},
    };
    lua_createtable(L, 0, 4);
    bind_constants(L, fields);
    return 1;
}

/***
Sets or clears O_NONBLOCK, for all descriptors of this open queue.
@function shm.posix.mq_setattr
@tparam shm.posix.queue queue the queue
@int flags O_NONBLOCK or 0
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EINVAL
@see mq_setattr(3)
*/
/***
What mq_setattr does.
@function shm.posix.queue:setattr
@int flags O_NONBLOCK or 0
@treturn boolean true
*/
static int mq_set_attributes(lua_State *L)
{
    const queue *self = queue_self(L);
    bind_arity(L, 2);
    struct mq_attr attributes = {.mq_flags = (long)bind_range(L, 2, "flags", 0, INT_MAX)};
    return bind_done(L, os_posixmq_set(queue_open(L, self), &attributes),
                     "posix.mq_setattr");
}

/***
Asks to be told of the next message that comes while the queue is empty and nobody waits
in mq_receive. It tells once: to be told again, ask again, and empty the queue after that.
Of all processes one at a time can ask.
@function shm.posix.mq_notify
@tparam shm.posix.queue queue the queue
@treturn shm.posix.notification readable once the message is there
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY (somebody has asked already), EMFILE
@see mq_notify(3)
*/
/***
What mq_notify gives.
@function shm.posix.queue:notify
@treturn shm.posix.notification readable once the message is there
*/
static int mq_tell(lua_State *L)
{
    const queue *self = queue_self(L);
    bind_arity(L, 1);
    notification *told = lua_newuserdatauv(L, sizeof *told, 1);
    *told = (notification){.fd = -1};
    luaL_setmetatable(L, NOTIFICATION);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    int error = os_posixmq_notify(queue_open(L, self), &told->fd);
    told->armed = !error;
    return error ? bind_fail(L, error, "posix.mq_notify") : 1;
}

/***
Closes a queue; it stays for others, and in it what it has.
@function shm.posix.mq_close
@tparam shm.posix.queue queue the queue
@treturn boolean true
@see mq_close(3)
*/
/***
What mq_close does.
@function shm.posix.queue:close
@treturn boolean true
*/
static int mq_let_go(lua_State *L)
{
    os_fd_close(&queue_self(L)->fd);
    lua_pushboolean(L, 1);
    return 1;
}

static int mq_tostring(lua_State *L)
{
    const queue *self = queue_self(L);
    lua_pushfstring(L, self->fd < 0 ? QUEUE " (closed)" : QUEUE " (%d)", self->fd);
    return 1;
}

/***
Waits until the message is there.
@function shm.posix.notification:wait
@number[opt] timeout in seconds, absent for ever, 0 to try
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, ECANCELED (the queue was
closed)
*/
static int notification_wait(lua_State *L)
{
    notification *self = notification_self(L);
    bind_arity(L, 2);
    int64_t deadline = bind_deadline(L, 2);
    if (self->fd < 0)
        bind_handle_bad(L, 1, "notification is closed");
    int error = os_posixmq_notified(self->fd, deadline);
    if (error == 0 || error == -ECANCELED)
        self->armed = false;
    return bind_done(L, error, "notification.wait");
}

/***
Asks no longer to be told.
@function shm.posix.notification:close
@treturn boolean true
*/
static int notification_close(lua_State *L)
{
    notification *self = notification_self(L);
    bool pending = self->fd >= 0 && self->armed && !os_posixmq_told(self->fd);
    lua_getiuservalue(L, 1, 1);
    const queue *asked = lua_touserdata(L, -1);
    if (pending && asked && asked->fd >= 0)
        os_posixmq_notify_end(asked->fd);
    os_fd_close(&self->fd);
    lua_pushboolean(L, 1);
    return 1;
}

static int notification_tostring(lua_State *L)
{
    const notification *self = notification_self(L);
    lua_pushfstring(L, self->fd < 0 ? NOTIFICATION " (closed)" : NOTIFICATION " (%d)",
                    self->fd);
    return 1;
}

void bind_posixmq_add(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", mq_let_go},
        {"__close", mq_let_go},
        {"__tostring", mq_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"send", mq_put},
        {"receive", mq_take},
        {"getattr", mq_attributes},
        {"setattr", mq_set_attributes},
        {"notify", mq_tell},
        {"close", mq_let_go},
        {NULL, NULL},
    };
    static const luaL_Reg same[] = {
        {"mq_send", mq_put},
        {"mq_receive", mq_take},
        {"mq_getattr", mq_attributes},
        {"mq_setattr", mq_set_attributes},
        {"mq_notify", mq_tell},
        {"mq_close", mq_let_go},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"mq_open", mq_open_named}, {"mq_unlink", mq_unlink_named}, {NULL, NULL}};
    static const luaL_Reg notification_metamethods[] = {
        {"__gc", notification_close},
        {"__close", notification_close},
        {"__tostring", notification_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg notification_methods[] = {
        {"wait", notification_wait}, {"close", notification_close}, {NULL, NULL}};
    bind_handle_type(L, QUEUE, metamethods, methods);
    bind_pollable_methods(L, QUEUE);
    bind_handle_type(L, NOTIFICATION, notification_metamethods, notification_methods);
    bind_pollable_methods(L, NOTIFICATION);
    luaL_setfuncs(L, functions, 0);
    luaL_getmetatable(L, QUEUE);
    luaL_setfuncs(L, same, 1);
}
