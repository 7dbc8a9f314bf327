/*
 * shm.posix: memory objects, files and locks on them, and the parts put together.
 */
#include "bind/bind.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define OWNER_ONLY 0600
#define MODE_BITS 07777

static mode_t take_mode(lua_State *L, int arg)
{
    return (mode_t)bind_opt_range(L, arg, "mode", OWNER_ONLY, 0, MODE_BITS);
}

static off_t take_offset(lua_State *L, int arg, const char *name)
{
    return (off_t)bind_range(L, arg, name, 0, LUA_MAXINTEGER);
}

static int opened(lua_State *L, int error, const char *function, const char *name)
{
    return error ? bind_fail(L, error, "posix.%s '%s'", function, name) : 1;
}

/***
Opens a file. The descriptor is closed on exec, and when it is collected.
@function shm.posix.open
@string path the file's path
@int flags O_RDONLY, O_WRONLY or O_RDWR, and O_CREAT, O_EXCL, O_TRUNC, O_NONBLOCK,
O_NOFOLLOW
@int[opt=0600] mode permission bits of a new file, less those of the umask
@treturn shm.posix.descriptor the descriptor
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES, EEXIST …
@see open(2)
*/
static int posix_open(lua_State *L)
{
    bind_arity(L, 3);
    const char *path = bind_word(L, 1, "path");
    int flags = (int)bind_range(L, 2, "flags", 0, INT32_MAX);
    mode_t mode = take_mode(L, 3);
    bind_descriptor *self = bind_descriptor_push(L);
    return opened(L, os_file_open(path, flags, mode, &self->fd), "open", path);
}

/***
Creates or opens a POSIX shared memory object. A new one has no bytes yet: ftruncate or
posix_fallocate gives it some.
@function shm.posix.shm_open
@string name begins with a slash and has no other
@int flags O_RDONLY or O_RDWR, and O_CREAT, O_EXCL, O_TRUNC
@int[opt=0600] mode permission bits of a new object, less those of the umask
@treturn shm.posix.descriptor the descriptor
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EEXIST, EACCES, EINVAL (no such name is possible) …
@see shm_open(3)
*/
static int posix_shm_open(lua_State *L)
{
    bind_arity(L, 3);
    const char *name = bind_word(L, 1, "name");
    int flags = (int)bind_range(L, 2, "flags", 0, INT32_MAX);
    mode_t mode = take_mode(L, 3);
    bind_descriptor *self = bind_descriptor_push(L);
    return opened(L, os_posixshm_open(name, flags, mode, &self->fd), "shm_open", name);
}

/***
Removes the name of a POSIX shared memory object; the object goes with its last user.
@function shm.posix.shm_unlink
@string name as for shm_open
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES, EISDIR (it is a directory's)
@see shm_unlink(3)
*/
static int posix_shm_unlink(lua_State *L)
{
    bind_arity(L, 1);
    const char *name = bind_word(L, 1, "name");
    int error = os_posixshm_unlink(name);
    return error ? opened(L, error, "shm_unlink", name) : bind_done(L, 0, "");
}

/***
Makes memory without a name, to be mapped, inherited and sent.
@function shm.posix.memfd_create
@string name for people who look into /proc
@int[opt=0] flags MFD_ALLOW_SEALING, MFD_HUGETLB …; MFD_CLOEXEC is always set
@treturn shm.posix.descriptor the descriptor
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EMFILE, EINVAL (a longer name than 249 bytes, or unknown flags) …
@see memfd_create(2)
*/
static int posix_memfd(lua_State *L)
{
    bind_arity(L, 2);
    const char *name = bind_word(L, 1, "name");
    unsigned flags = (unsigned)bind_opt_range(L, 2, "flags", 0, 0, UINT32_MAX);
    bind_descriptor *self = bind_descriptor_push(L);
    int error = os_posixshm_memfd(name, flags | MFD_CLOEXEC, &self->fd);
    return opened(L, error, "memfd_create", name);
}

/***
Gives a file or memory object a size. What is beyond goes; what is new is zero, and not
reserved.
@function shm.posix.ftruncate
@tparam int|shm.posix.descriptor|file fd whatever has a descriptor
@int size in bytes
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADF, EINVAL, EPERM (it is sealed), EFBIG …
@see ftruncate(2)
*/
static int posix_truncate(lua_State *L)
{
    bind_arity(L, 2);
    off_t size = take_offset(L, 2, "size");
    return bind_done(L, os_file_truncate(bind_fd(L, 1, "fd"), size), "posix.ftruncate");
}

/***
Reserves bytes of a file or memory object, so that writing them can not fail for want of
room. It grows if it ends before.
@function shm.posix.posix_fallocate
@tparam int|shm.posix.descriptor|file fd whatever has a descriptor
@int offset where they begin, in bytes from 0
@int n how many
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOSPC, EBADF, EINTR after a signal, EINVAL, EFBIG …
@see posix_fallocate(3)
*/
static int posix_reserve(lua_State *L)
{
    bind_arity(L, 3);
    off_t offset = take_offset(L, 2, "offset"), n = take_offset(L, 3, "n");
    return bind_done(L, os_file_reserve(bind_fd(L, 1, "fd"), offset, n),
                     "posix.posix_fallocate");
}

static void push_file(lua_State *L, const struct stat *stat)
{
    const bind_constant fields[] = {
        {"size", stat->st_size},
        {"used", stat->st_blocks * 512},
        {"mode", stat->st_mode & MODE_BITS},
        {"uid", stat->st_uid},
        {"gid", stat->st_gid},
        {"nlink", (lua_Integer)stat->st_nlink},
        {"ino", (lua_Integer)stat->st_ino},
        {"atime", stat->st_atime},
        {"mtime", stat->st_mtime},
        {"ctime", stat->st_ctime},
        {NULL, 0},
    };
    lua_createtable(L, 0, 12);
    bind_constants(L, fields);
}

/***
Waits until all that was written to a file is on the disk; of a directory, the names in
it. There is no bound on how long that takes.
@function shm.posix.fsync
@tparam int|shm.posix.descriptor|file fd whatever has a descriptor
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EIO, ENOSPC, EDQUOT (what was written may be lost), EINVAL, EBADF
@see fsync(2)
*/
static int posix_sync(lua_State *L)
{
    bind_arity(L, 1);
    int fd = bind_fd(L, 1, "fd"), error = bind_fd_flush(L, 1);
    return bind_done(L, error ? error : os_file_sync(fd), "posix.fsync");
}

/***
Asks about an open file or memory object.
@function shm.posix.fstat
@tparam int|shm.posix.descriptor|file fd whatever has a descriptor
@treturn table size and used (bytes that it has, and that it takes), mode (permission
bits), uid, gid, nlink, ino, atime, mtime, ctime (seconds since 1970)
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBADF
@see fstat(2)
*/
static int posix_stat(lua_State *L)
{
    bind_arity(L, 1);
    struct stat stat;
    int error = os_file_stat(bind_fd(L, 1, "fd"), &stat);
    if (error)
        return bind_fail(L, error, "posix.fstat");
    push_file(L, &stat);
    return 1;
}

/***
Forbids changes to a memfd for good.
@function shm.posix.add_seals
@tparam int|shm.posix.descriptor fd a memfd made with MFD_ALLOW_SEALING
@int seals F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EPERM (it is sealed against more seals, as without MFD_ALLOW_SEALING), EBUSY
(it is mapped to be written), EINVAL (no memfd), EBADF
@see fcntl(2)
*/
static int posix_add_seals(lua_State *L)
{
    bind_arity(L, 2);
    int seals = (int)bind_range(L, 2, "seals", 0, INT32_MAX);
    return bind_done(L, os_file_seal(bind_fd(L, 1, "fd"), seals), "posix.add_seals");
}

/***
Tells what is forbidden for a memfd.
@function shm.posix.get_seals
@tparam int|shm.posix.descriptor fd a memfd
@treturn int the seals
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EINVAL (no memfd, nor a memory object), EBADF
@see fcntl(2)
*/
static int posix_get_seals(lua_State *L)
{
    bind_arity(L, 1);
    int seals = os_file_seals(bind_fd(L, 1, "fd"));
    if (seals < 0)
        return bind_fail(L, seals, "posix.get_seals");
    lua_pushinteger(L, seals);
    return 1;
}

static void set_entry(lua_State *L, const char *name, const struct stat *stat)
{
    bool memory = S_ISREG(stat->st_mode);
    bool semaphore = memory && strncmp(name, "sem.", 4) == 0;
    push_file(L, stat);
    lua_pushfstring(L, "/%s", semaphore ? name + 4 : name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, semaphore ? "semaphore" : memory ? "memory" : "other");
    lua_setfield(L, -2, "kind");
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/***
Lists what has a name in /dev/shm: POSIX shared memory and semaphores, in no order.
@function shm.posix.list
@treturn table a list of tables with the fields of fstat, name, and kind: "memory",
"semaphore" or "other"
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES, EMFILE
@see shm_overview(7)
*/
static int posix_list(lua_State *L)
{
    bind_arity(L, 0);
    bind_descriptor *directory = bind_descriptor_push(L);
    int flags = O_RDONLY | O_DIRECTORY;
    int error = os_file_open(OS_POSIXSHM_DIRECTORY, flags, 0, &directory->fd);
    lua_newtable(L);
    _Alignas(struct dirent64) char entries[4096];
    ssize_t size = 1;
    while (!error && size > 0) {
        size = getdents64(directory->fd, entries, sizeof entries);
        error = size < 0 ? -errno : 0;
        for (ssize_t at = 0; at < size;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
            struct stat stat;
            bool itself =
                strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
            if (!itself &&
                fstatat(directory->fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0)
                set_entry(L, entry->d_name, &stat);
            at += entry->d_reclen;
        }
    }
    os_fd_close(&directory->fd);
    return error ? bind_fail(L, error, "posix.list") : 1;
}

void bind_posix_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"open", posix_open},
        {"shm_open", posix_shm_open},
        {"shm_unlink", posix_shm_unlink},
        {"memfd_create", posix_memfd},
        {"ftruncate", posix_truncate},
        {"posix_fallocate", posix_reserve},
        {"fsync", posix_sync},
        {"fstat", posix_stat},
        {"add_seals", posix_add_seals},
        {"get_seals", posix_get_seals},
        {"list", posix_list},
        {NULL, NULL},
    };
    static const bind_constant constants[] = {
        {"O_RDONLY", O_RDONLY},
        {"O_WRONLY", O_WRONLY},
        {"O_RDWR", O_RDWR},
        {"O_CREAT", O_CREAT},
        {"O_EXCL", O_EXCL},
        {"O_TRUNC", O_TRUNC},
        {"O_NONBLOCK", O_NONBLOCK},
        {"O_NOFOLLOW", O_NOFOLLOW},
        {"MFD_CLOEXEC", MFD_CLOEXEC},
        {"MFD_ALLOW_SEALING", MFD_ALLOW_SEALING},
        {"MFD_HUGETLB", MFD_HUGETLB},
        {"F_SEAL_SEAL", F_SEAL_SEAL},
        {"F_SEAL_SHRINK", F_SEAL_SHRINK},
        {"F_SEAL_GROW", F_SEAL_GROW},
        {"F_SEAL_WRITE", F_SEAL_WRITE},
        {"F_SEAL_FUTURE_WRITE", F_SEAL_FUTURE_WRITE},
        {NULL, 0},
    };
    luaL_newlib(L, functions);
    bind_constants(L, constants);
    bind_lock_add(L);
    bind_map_add(L);
    bind_posixsem_add(L);
    bind_posixmq_add(L);
}
