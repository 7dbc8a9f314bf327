/*
 * shm: memory by name, by file, and without either, as regions.
 */
#include "bind/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_BITS 0777
#define OWNER_ONLY 0600
#define MOST_BYTES                                                                       \
    (LUA_MAXINTEGER / 4) /* no sum of two overflows, whatever the kernel says */

/* Replaces the argument by the name as the kernel has it, with its slash. */
static const char *take_name(lua_State *L, int arg)
{
    const char *given = bind_word(L, arg, "name");
    const char *bare = *given == '/' ? given + 1 : given;
    if (!*bare || strcmp(bare, ".") == 0 || strcmp(bare, "..") == 0)
        bind_misuse(L, arg, "name", "'%s' names nothing", given);
    if (strchr(bare, '/'))
        bind_misuse(L, arg, "name", "'%s' has a slash in it", given);
    if (strlen(bare) > OS_POSIXSHM_NAME)
        bind_misuse(L, arg, "name", "it is longer than %d bytes", OS_POSIXSHM_NAME);
    lua_pushfstring(L, "/%s", bare);
    lua_replace(L, arg);
    return lua_tostring(L, arg);
}

static size_t take_size(lua_State *L, int arg)
{
    return (size_t)bind_range(L, arg, "size", 1, MOST_BYTES);
}

/* All options there are; each function says which it takes. */
static mem_object_options take_options(lua_State *L, int arg, const char *const known[])
{
    mem_object_options options = {.mode = OWNER_ONLY, .owner = geteuid()};
    if (!bind_fields(L, arg, "options", true, known))
        return options;
    lua_Integer value;
    if (bind_field_integer(L, arg, "mode", 0, MODE_BITS, &value))
        options.mode = (mode_t)value;
    if (bind_field_integer(L, arg, "max", 1, MOST_BYTES, &value))
        options.max = (size_t)value;
    if (bind_field_integer(L, arg, "owner", -1, UINT32_MAX, &value)) {
        options.any_owner = value < 0;
        options.owner = (uid_t)value;
    }
    bind_field_boolean(L, arg, "readonly", &options.readonly);
    bind_field_boolean(L, arg, "prefault", &options.prefault);
    return options;
}

static void check_max(lua_State *L, int arg, const mem_object_options *options,
                      size_t size)
{
    if (options->max && options->max < size)
        bind_misuse(L, arg, "max", "%I is less than the size, %I",
                    (lua_Integer)options->max, (lua_Integer)size);
}

static int refused(lua_State *L, int error, const char *function, const char *name,
                   const mem_object_found *found, size_t least)
{
    switch (found && found->unfit ? error : 0) {
    case -EPERM:
        return bind_fail(L, error, "shm.%s '%s': it belongs to user %I (see owner)",
                         function, name, (lua_Integer)found->owner);
    case -EINVAL:
        return bind_fail(L, error, "shm.%s '%s': it is no memory object", function, name);
    case -ERANGE:
        return bind_fail(L, error, "shm.%s '%s': it has %I bytes, not %I", function, name,
                         (lua_Integer)found->size, (lua_Integer)least);
    case -EAGAIN:
        return bind_fail(L, error, "shm.%s '%s': its maker gave it no size yet", function,
                         name);
    default:
        return bind_fail(L, error, "shm.%s '%s'", function, name);
    }
}

static int whole(bind_region *region, mem_mapping *mapping, size_t size)
{
    bind_region_fill(region, mapping, 0, size);
    return 1;
}

/***
Creates a POSIX shared memory object, which must be new. It has its name only once it is
whole: sized, zeroed, its memory reserved. A creator that is killed leaves nothing behind.

Options: `mode`, permission bits, exactly (0600); `max`, in bytes, how far it may grow
without being mapped anew; `prefault`, true to have all its pages at once.
@function shm.create
@string name up to 255 bytes without a slash, but for one at the beginning
@int size in bytes, at least 1
@tparam[opt] table options
@treturn shm.region its bytes, all of them zero
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST, ENOSPC (/dev/shm is full), EACCES, EMFILE, EINTR after a signal …
@see shm_overview(7)
*/
static int object_create(lua_State *L)
{
    static const char *const known[] = {"mode", "max", "prefault", NULL};
    bind_arity(L, 3);
    const char *name = take_name(L, 1);
    size_t size = take_size(L, 2);
    mem_object_options options = take_options(L, 3, known);
    check_max(L, 3, &options, size);
    bind_region *region = bind_region_push(L);
    mem_mapping *mapping;
    int error = mem_object_create(name, size, &options, &mapping);
    return error ? refused(L, error, "create", name, NULL, 0)
                 : whole(region, mapping, size);
}

/***
Attaches a POSIX shared memory object, which must exist, whoever made it and in whatever
language. Symbolic links are not followed, and what another user owns is refused.

Options: `readonly`, true to only look at it; `max`, in bytes, how far it may grow without
being mapped anew; `owner`, a user's number, or -1 for any (this process's user);
`prefault`, true to have all its pages at once.
@function shm.attach
@string name as for create
@tparam[opt] table options
@treturn shm.region all its bytes
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES, EPERM (another's), ELOOP (a symbolic link), EINVAL (a
FIFO, a directory …), EAGAIN (another program has not given it a size yet) …
@see shm_open(3)
*/
static int object_attach(lua_State *L)
{
    static const char *const known[] = {"readonly", "max", "owner", "prefault", NULL};
    bind_arity(L, 2);
    const char *name = take_name(L, 1);
    mem_object_options options = take_options(L, 2, known);
    bind_region *region = bind_region_push(L);
    mem_mapping *mapping;
    mem_object_found found;
    int error = mem_object_attach(name, 0, &options, &found, &mapping);
    return error ? refused(L, error, "attach", name, &found, 0)
                 : whole(region, mapping, found.size);
}

/***
Attaches a POSIX shared memory object if it exists, and else creates it: of several
processes that open the same name, one creates it and all have the same.

Options: those of create and attach, but for `readonly`.
@function shm.open
@string name as for create
@int size in bytes, of a new one; an existing one must have at least as many
@tparam[opt] table options
@treturn shm.region all its bytes
@treturn boolean whether it was created
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ERANGE (it is smaller), and those of create and attach
@see shm_overview(7)
*/
static int object_open(lua_State *L)
{
    static const char *const known[] = {"mode", "max", "owner", "prefault", NULL};
    bind_arity(L, 3);
    const char *name = take_name(L, 1);
    size_t size = take_size(L, 2);
    mem_object_options options = take_options(L, 3, known);
    check_max(L, 3, &options, size);
    bind_region *region = bind_region_push(L);
    mem_mapping *mapping;
    mem_object_found found;
    int error = mem_object_open(name, size, &options, &found, &mapping);
    if (error)
        return refused(L, error, "open", name, &found, size);
    whole(region, mapping, found.size ? found.size : size);
    lua_pushboolean(L, found.size == 0);
    return 2;
}

/***
Removes a name. Who has the object attached keeps it; its memory goes with the last.
@function shm.unlink
@string name as for create
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES, EISDIR (it is a directory's)
@see shm_unlink(3)
*/
static int object_unlink(lua_State *L)
{
    bind_arity(L, 1);
    const char *name = take_name(L, 1);
    int error = os_posixshm_unlink(name);
    return error ? bind_fail(L, error, "shm.unlink '%s'", name) : bind_done(L, 0, "");
}

/***
Memory without a name: for children made by fork, and for whom its descriptor is sent to.

Options: `max` and `prefault`, as for create.
@function shm.anonymous
@int size in bytes, at least 1
@tparam[opt] table options
@treturn shm.region its bytes, all of them zero
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOMEM (more than the machine has), ENOSPC, EMFILE, EINTR after a signal …
@see memfd_create(2)
*/
static int object_anonymous(lua_State *L)
{
    static const char *const known[] = {"max", "prefault", NULL};
    bind_arity(L, 2);
    size_t size = take_size(L, 1);
    mem_object_options options = take_options(L, 2, known);
    check_max(L, 2, &options, size);
    bind_region *region = bind_region_push(L);
    mem_mapping *mapping;
    int error = mem_object_anonymous(size, &options, &mapping);
    return error ? bind_fail(L, error, "shm.anonymous") : whole(region, mapping, size);
}

/* The file to map: opened by its path, or a descriptor's duplicate. */
static int open_file(lua_State *L, const char *path, int flags, mode_t mode, int *fd)
{
    if (path)
        return os_file_open(path, flags | O_NONBLOCK, mode, fd);
    int given = bind_fd(L, 1, "path");
    return os_file_duplicate(given, fd);
}

/***
Maps a file. The bytes outlive the processes; on disk they are after region:sync.

Options: `mode`, "r" to only look at it (the default), "rw" to share what is written with
the file and all who map it, "private" to keep what is written to this process; `offset`,
in bytes from 0, where in the file the region begins; `size`, in bytes, absent for up to
the file's end; `create`, true with "rw" to make the file, 0600, if there is none, and to
reserve what lies between its end and size; `max` and `prefault`, as for shm.create.

The region may be longer than the file: touching pages that the file does not reach is an
error until it does. With max it is as long as the file, also when that grows, and size
goes with create alone. What create made stays if the mapping fails.
@function shm.map
@tparam string|int|file path the file's path, or a descriptor or file that is open on it
@tparam[opt] table options
@treturn shm.region the file's bytes
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT, EACCES, ENODATA (there is nothing to map), ENODEV (no file to
map), EMFILE, EINTR after a signal (with create) …
@see mmap(2)
*/
static int object_map(lua_State *L)
{
    static const char *const known[] = {"mode", "offset",   "size", "create",
                                        "max",  "prefault", NULL};
    static const char *const modes[] = {"r", "rw", "private", NULL};
    static const int flags[] = {O_RDONLY, O_RDWR, O_RDONLY};
    bind_arity(L, 2);
    lua_settop(L, 2);
    const char *path = lua_type(L, 1) == LUA_TSTRING ? bind_word(L, 1, "path") : NULL;
    mem_object_options options = {.mode = OWNER_ONLY};
    int mode = 0;
    bool create = false;
    lua_Integer offset = 0, size = 0, max = 0;
    if (bind_fields(L, 2, "options", true, known)) {
        bind_field_option(L, 2, "mode", modes, &mode);
        bind_field_integer(L, 2, "offset", 0, MOST_BYTES, &offset);
        bind_field_integer(L, 2, "size", 1, MOST_BYTES, &size);
        bind_field_integer(L, 2, "max", 1, MOST_BYTES, &max);
        bind_field_boolean(L, 2, "create", &create);
        bind_field_boolean(L, 2, "prefault", &options.prefault);
    }
    options.readonly = mode == 0;
    options.own = mode == 2;
    options.offset = (off_t)offset;
    options.max = (size_t)max;
    if (create && (mode != 1 || !size))
        bind_misuse(L, 2, "create", "it takes mode = 'rw' and a size");
    if (size && max && !create)
        bind_misuse(L, 2, "size", "with max it is the file's, as it grows");
    check_max(L, 2, &options, (size_t)size);

    bind_region *region = bind_region_push(L);
    const char *label = path ? path : "descriptor";
    int fd;
    int error =
        open_file(L, path, flags[mode] | (create ? O_CREAT : 0), options.mode, &fd);
    if (!error) {
        mem_mapping *mapping;
        size_t wanted = (size_t)size;
        error = create ? mem_object_extend(fd, (off_t)(offset + size)) : 0;
        error = error ? error : mem_object_map(fd, &wanted, &options, label, &mapping);
        if (!error)
            bind_region_fill(region, mapping, mapping->slack, wanted);
        else
            os_fd_close(&fd);
    }
    return error ? bind_fail(L, error, "shm.map '%s'", label) : 1;
}

void bind_object_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"create", object_create},
        {"attach", object_attach},
        {"open", object_open},
        {"unlink", object_unlink},
        {"map", object_map},
        {"anonymous", object_anonymous},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
