/*
 * shm.sysv, the message queue part: msgget, msgsnd, msgrcv, msgctl.
 */
#include "bind/bind.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static int queue_stat(lua_State *L);
static int queue_remove(lua_State *L);

static const bind_ipcid_kind QUEUE = {
    "shm.sysv.queue",
    {{"stat", queue_stat}, {"remove", queue_remove}, {NULL, NULL}},
    "msgget",
    os_sysvmsg_get,
    0,
};

static int failed(lua_State *L, int error, const char *function, int id)
{
    return bind_fail(L, error, "sysv.%s %d", function, id);
}

static int answer(lua_State *L, int error, const char *function, int id)
{
    return error < 0 ? failed(L, error, function, id) : bind_done(L, 0, function);
}

/***
Creates a message queue or finds an existing one.
@function shm.sysv.msgget
@int key from ftok, IPC_PRIVATE for a new one without a name, or any number
@int[opt=0] flags IPC_CREAT, IPC_EXCL and the mode bits, which are 0600 if none are given
@treturn shm.sysv.queue the queue; its number is the field id
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST, ENOENT, EACCES, ENOSPC …
@see msgget(2)
*/
static int msg_get(lua_State *L)
{
    return bind_ipcid_get(L, &QUEUE, NULL);
}

/* Room for a message of that many bytes. */
static struct msgbuf *push_message(lua_State *L, size_t size)
{
    return lua_newuserdatauv(L, sizeof(struct msgbuf) + size, 0);
}

/***
Puts a message into a queue. While the queue is full it waits; the kernel knows no
time-out here, so with one it asks again every few milliseconds.
@function shm.sysv.msgsnd
@tparam shm.sysv.queue|int id the queue or its number
@int type any number above 0, by which receivers choose
@string data the text; its size is all that counts against the limits
@int[opt=0] flags IPC_NOWAIT
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EAGAIN with IPC_NOWAIT, ETIMEDOUT, EINTR after a signal, EIDRM when the
queue was removed meanwhile, EINVAL (longer than the limit msgmax) …
@see msgsnd(2)
*/
static int msg_send(lua_State *L)
{
    bind_arity(L, 5);
    lua_settop(L, 5);
    int id = bind_ipcid_number(L, 1, &QUEUE);
    long type = (long)bind_range(L, 2, "type", 1, LONG_MAX);
    size_t size;
    const char *data = bind_string(L, 3, "data", &size);
    int flags = (int)bind_opt_range(L, 4, "flags", 0, 0, INT_MAX);
    int64_t deadline = bind_deadline(L, 5);
    struct msgbuf *message = push_message(L, size);
    message->mtype = type;
    memcpy(message->mtext, data, size);
    return answer(L, os_sysvmsg_send(id, message, size, flags, deadline), "msgsnd", id);
}

/***
Takes a message out of a queue: the first of all for type 0, the first of that type for a
positive one, and for a negative one the first of the lowest type that is not above -type.

With MSG_EXCEPT it is the first of any other type. With MSG_NOERROR a message that is too
long is cut; else it stays, and the answer is E2BIG. With MSG_COPY and IPC_NOWAIT it is
message number type, from 0, and it stays in the queue.
@function shm.sysv.msgrcv
@tparam shm.sysv.queue|int id the queue or its number
@int size how many bytes of text at most
@int[opt=0] type which message, see above
@int[opt=0] flags IPC_NOWAIT, MSG_EXCEPT, MSG_NOERROR, MSG_COPY
@number[opt] timeout in seconds, absent for ever; as in msgsnd
@treturn string the text
@treturn int the message's type
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOMSG with IPC_NOWAIT, ETIMEDOUT, EINTR after a signal, E2BIG, EIDRM,
ENOSYS (a kernel without MSG_COPY) …
@see msgrcv(2)
*/
static int msg_receive(lua_State *L)
{
    bind_arity(L, 5);
    lua_settop(L, 5);
    int id = bind_ipcid_number(L, 1, &QUEUE);
    size_t size = (size_t)bind_range(L, 2, "size", 0, INT_MAX), got;
    long type = (long)bind_opt_range(L, 3, "type", 0, LONG_MIN, LONG_MAX);
    int flags = (int)bind_opt_range(L, 4, "flags", 0, 0, INT_MAX);
    int64_t deadline = bind_deadline(L, 5);
    struct msgbuf *message = push_message(L, size);
    int error = os_sysvmsg_receive(id, message, size, type, flags, deadline, &got);
    if (error)
        return failed(L, error, "msgrcv", id);
    lua_pushlstring(L, message->mtext, got);
    lua_pushinteger(L, message->mtype);
    return 2;
}

/* By id, or by index; then the id is a field. */
static int push_stat(lua_State *L, int id, int command)
{
    struct msqid_ds stat = {0};
    int found = os_sysvmsg_stat(id, command, &stat);
    if (found < 0)
        return failed(L, found, "msgctl", id);
    lua_createtable(L, 0, 17);
    bind_ipcperm_push(L, &stat.msg_perm);
    const bind_constant fields[] = {
        {"id", command == IPC_STAT ? id : found},
        {"stime", stat.msg_stime},
        {"rtime", stat.msg_rtime},
        {"ctime", stat.msg_ctime},
        {"cbytes", (lua_Integer)stat.__msg_cbytes},
        {"qnum", (lua_Integer)stat.msg_qnum},
        {"qbytes", (lua_Integer)stat.msg_qbytes},
        {"lspid", stat.msg_lspid},
        {"lrpid", stat.msg_lrpid},
        {NULL, 0},
    };
    bind_constants(L, fields);
    return 1;
}

static int push_info(lua_State *L, int command)
{
    struct msginfo info = {0};
    int highest = os_sysvmsg_info(command, &info);
    if (highest < 0)
        return bind_fail(L, highest, "sysv.msgctl");
    const bind_constant limits[] = {
        {"index", highest},
        {"msgmax", info.msgmax},
        {"msgmnb", info.msgmnb},
        {"msgmni", info.msgmni},
        {NULL, 0},
    };
    const bind_constant usage[] = {
        {"index", highest},
        {"queues", info.msgpool},
        {"messages", info.msgmap},
        {"bytes", info.msgtql},
        {NULL, 0},
    };
    lua_createtable(L, 0, 4);
    bind_constants(L, command == IPC_INFO ? limits : usage);
    return 1;
}

static int set_stat(lua_State *L, int id, int values)
{
    struct msqid_ds stat = {0};
    lua_Integer qbytes;
    bind_ipcperm perm = bind_ipcperm_read(L, values, "qbytes");
    /* Of more the kernel takes the low 32 bits. */
    bool has_qbytes = bind_field_integer(L, values, "qbytes", 0, INT_MAX, &qbytes);
    int error = bind_ipcperm_whole(&perm) && has_qbytes
                    ? 0
                    : os_sysvmsg_stat(id, IPC_STAT, &stat);
    bind_ipcperm_apply(&perm, &stat.msg_perm);
    if (has_qbytes)
        stat.msg_qbytes = (msglen_t)qbytes;
    return answer(L, error < 0 ? error : os_sysvmsg_set(id, &stat), "msgctl", id);
}

/***
Asks about a queue, changes it, or removes it.

IPC_STAT gives a table of the fields of struct msqid_ds without their prefix: key, uid,
gid, cuid, cgid, mode, seq, stime and rtime (last msgsnd and msgrcv, seconds since 1970, 0
for never), ctime, cbytes (bytes in the queue), qnum (messages in it), qbytes (most bytes
it takes), lspid and lrpid (who sent and received last), and id. IPC_SET takes a table
with uid, gid, mode and qbytes; what is absent stays, and is asked for first. IPC_RMID
removes the queue at once and wakes who waits for it.

About all queues: MSG_STAT and MSG_STAT_ANY take an index instead of an id; IPC_INFO gives
the limits msgmax, msgmnb and msgmni, and MSG_INFO how many queues, messages and bytes
there are. Both have the field index, the highest one in use.
@function shm.sysv.msgctl
@tparam shm.sysv.queue|int id the queue or its number; any number for IPC_INFO, MSG_INFO
@int command one of those above
@tparam[opt] table values for IPC_SET
@return the table, or true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EACCES, EPERM, EINVAL (no such queue), EIDRM
@see msgctl(2)
*/
static int msg_control(lua_State *L)
{
    int id = bind_ipcid_number(L, 1, &QUEUE);
    lua_Integer command = bind_integer(L, 2, "command");
    bind_arity(L, command == IPC_SET ? 3 : 2);
    switch (command) {
    case IPC_STAT:
    case MSG_STAT:
    case MSG_STAT_ANY:
        return push_stat(L, id, (int)command);
    case IPC_INFO:
    case MSG_INFO:
        return push_info(L, (int)command);
    case IPC_SET:
        return set_stat(L, id, 3);
    case IPC_RMID:
        return answer(L, os_sysvmsg_remove(id), "msgctl", id);
    default:
        return bind_misuse(L, 2, "command", "%I is not a command of msgctl", command);
    }
}

/***
What msgctl gives with IPC_STAT.
@function shm.sysv.queue:stat
@treturn table the fields of struct msqid_ds
*/
static int queue_stat(lua_State *L)
{
    bind_arity(L, 1);
    return push_stat(L, bind_ipcid_number(L, 1, &QUEUE), IPC_STAT);
}

/***
What msgctl does with IPC_RMID.
@function shm.sysv.queue:remove
@treturn boolean true
*/
static int queue_remove(lua_State *L)
{
    bind_arity(L, 1);
    int id = bind_ipcid_number(L, 1, &QUEUE);
    return answer(L, os_sysvmsg_remove(id), "msgctl", id);
}

void bind_sysvmsg_add(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"msgget", msg_get},     {"msgsnd", msg_send}, {"msgrcv", msg_receive},
        {"msgctl", msg_control}, {NULL, NULL},
    };
    static const bind_constant constants[] = {
        {"MSG_EXCEPT", MSG_EXCEPT},
        {"MSG_NOERROR", MSG_NOERROR},
        {"MSG_COPY", MSG_COPY},
        {"MSG_STAT", MSG_STAT},
        {"MSG_STAT_ANY", MSG_STAT_ANY},
        {"MSG_INFO", MSG_INFO},
        {NULL, 0},
    };
    bind_ipcid_register(L, &QUEUE);
    luaL_setfuncs(L, functions, 0);
    bind_constants(L, constants);
}
