/*
 * Memory objects and files, mapped: made whole or not at all, and of a size that changes.
 *
 * An object is made without a name: sized, its memory reserved, its mode set. Only then
 * it gets its name, in one step of the kernel's. So who attaches finds it whole, and a
 * maker that dies at any instruction leaves nothing: neither a name nor memory. There is
 * no header. The bytes are all the user's, as C and other languages expect, and how many
 * there are is the object's size, which the kernel keeps.
 *
 * An object that may grow is mapped further than it reaches. The bounds stand at its size
 * as it was last asked for; who would reach beyond asks again. One that shrank takes its
 * bytes away from everyone: fault.c.
 */
#include "mem/mem.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_RACES 1000 /* against others that create and unlink the same name */
#define GIB ((uint64_t)1 << 30)
#define MIB ((uint64_t)1 << 20)

static int size_of(int fd, off_t offset, size_t *size)
{
    struct stat stat;
    int error = os_file_stat(fd, &stat);
    if (!error)
        *size = stat.st_size > offset ? (size_t)(stat.st_size - offset) : 0;
    return error;
}

/*
 * Where a long mapping would best begin, or NULL; if something is there the kernel
 * chooses.
 *
 * To let go of a mapping, the kernel goes through the 512 entries of each table that
 * there is for a GiB, as far as that is the mapping's. It puts mappings right below
 * others, and mostly the first pages are touched: two such tables, one of the others' and
 * one for the beginning, of which it goes through half on an average, for 10 ns each. So
 * it begins shortly before a GiB's end, and ends in one that is nobody else's: below
 * where this code lies, and what is mapped around it.
 */
static void *place_for(size_t size)
{
    static const char here;
    uint64_t end = (uintptr_t)&here / GIB * GIB, begin = GIB + 2 * MIB;
    begin += (size + GIB - 1) / GIB * GIB;
    if (size < GIB || UINTPTR_MAX < UINT64_MAX || begin > end / 2)
        return NULL;
    return (void *)(uintptr_t)(end - begin);
}

/* Maps size bytes, or as far as options->max goes. The descriptor is the mapping's after.
 */
static int map(int fd, size_t size, const mem_object_options *options, const char *label,
               mem_mapping **mapping)
{
    size_t page = os_map_page();
    off_t slack = options->offset % (off_t)page;
    size_t reach = options->max > size ? options->max : size;
    os_map request = {
        .address = place_for(reach),
        .size = reach + (size_t)slack,
        .protection = options->readonly ? PROT_READ : PROT_READ | PROT_WRITE,
        .flags = (options->own ? MAP_PRIVATE : MAP_SHARED) |
                 (options->prefault ? MAP_POPULATE : 0) |
                 (options->max ? MAP_NORESERVE : 0),
        .fd = fd,
        .offset = options->offset - slack,
    };
    void *base;
    int error = os_map_new(&request, &base);
    if (error)
        return error;
    *mapping = mem_mapping_new(base, request.size, options->readonly, os_map_free, label);
    if (!*mapping) {
        os_map_free(base, request.size);
        return -ENOMEM;
    }
    (*mapping)->fd = fd;
    (*mapping)->offset = request.offset;
    (*mapping)->slack = (size_t)slack;
    (*mapping)->own = options->own;
    (*mapping)->grows = options->max > 0;
    return 0;
}

/* Gives an object that nobody else has yet its size, mode and mapping. */
static int make(int fd, size_t size, const mem_object_options *options, const char *label,
                mem_mapping **mapping)
{
    int error = os_file_chmod(fd, options->mode); /* as asked for, whatever the umask */
    if (!error)
        error = os_file_reserve(fd, 0, (off_t)size);
    return error ? error : map(fd, size, options, label, mapping);
}

int mem_object_create(const char *name, size_t size, const mem_object_options *options,
                      mem_mapping **mapping)
{
    int fd, error = os_posixshm_unnamed(options->mode, &fd);
    if (error)
        return error;
    error = make(fd, size, options, name, mapping);
    if (error) {
        os_fd_close(&fd);
        return error;
    }
    error = os_posixshm_name(fd, name + 1);
    if (error)
        mem_mapping_release(*mapping);
    return error;
}

/* Memory without a name, for the children, and for whom the descriptor is sent to. */
int mem_object_anonymous(size_t size, const mem_object_options *options,
                         mem_mapping **mapping)
{
    if (size > os_map_memory()) /* the kernel would try, and kill for it */
        return -ENOMEM;
    int fd, error = os_posixshm_memfd("shm", MFD_CLOEXEC | MFD_ALLOW_SEALING, &fd);
    if (error)
        return error;
    error = make(fd, size, options, "anonymous", mapping);
    if (error)
        os_fd_close(&fd);
    return error;
}

/* What the name stands for must be memory, and of whom it is expected to be. */
static int acceptable(int fd, const mem_object_options *options, mem_object_found *found)
{
    struct stat stat;
    int error = os_file_stat(fd, &stat);
    if (error)
        return error;
    found->owner = stat.st_uid;
    found->size = (size_t)stat.st_size;
    if (!S_ISREG(stat.st_mode))
        return -EINVAL;
    if (!options->any_owner && stat.st_uid != options->owner)
        return -EPERM;
    if (stat.st_size == 0) /* between some other program's shm_open and ftruncate */
        return -EAGAIN;
    return 0;
}

int mem_object_attach(const char *name, size_t least, const mem_object_options *options,
                      mem_object_found *found, mem_mapping **mapping)
{
    int fd;
    /* O_NONBLOCK because it might be a FIFO; for memory it means nothing. */
    int error = os_posixshm_open(
        name, (options->readonly ? O_RDONLY : O_RDWR) | O_NONBLOCK, 0, &fd);
    *found = (mem_object_found){.unfit = error == -EINVAL}; /* a directory */
    if (error)
        return error;
    error = acceptable(fd, options, found);
    if (!error && found->size < least)
        error = -ERANGE;
    found->unfit = error != 0;
    if (!error)
        error = map(fd, found->size, options, name, mapping);
    if (error)
        os_fd_close(&fd);
    return error;
}

/* Either, whichever it takes; *found is zero when it was created. */
int mem_object_open(const char *name, size_t size, const mem_object_options *options,
                    mem_object_found *found, mem_mapping **mapping)
{
    int error = -EEXIST;
    for (int i = 0; i < MOST_RACES && error == -EEXIST; i++) {
        error = mem_object_attach(name, size, options, found, mapping);
        if (error == -ENOENT)
            error = mem_object_create(name, size, options, mapping);
    }
    return error;
}

/* The kernel would try to have as much, and kill for it. */
static bool too_much(int fd, off_t size)
{
    return os_file_unlimited(fd) && (uint64_t)size > os_map_memory();
}

/* Reserves what lies between the file's end and the size. */
int mem_object_extend(int fd, off_t size)
{
    size_t present;
    int error = size_of(fd, 0, &present);
    if (error || (off_t)present >= size)
        return error;
    if (too_much(fd, size))
        return -ENOMEM;
    return os_file_reserve(fd, (off_t)present, size - (off_t)present);
}

/*
 * A file's bytes from options->offset on; *size 0 becomes as many as there are. If they
 * are not all, what is behind them is never cut off.
 */
int mem_object_map(int fd, size_t *size, const mem_object_options *options,
                   const char *label, mem_mapping **mapping)
{
    struct stat stat;
    int error = os_file_stat(fd, &stat);
    if (!error && options->max && !S_ISREG(stat.st_mode))
        error = -EINVAL; /* what has no size does not grow */
    if (error)
        return error;
    size_t there =
        stat.st_size > options->offset ? (size_t)(stat.st_size - options->offset) : 0;
    bool window = *size && *size < there && !options->max;
    *size = *size ? *size : there;
    error = *size ? map(fd, *size, options, label, mapping) : -ENODATA;
    if (!error)
        (*mapping)->window = window;
    return error;
}

/* How many bytes there are behind where the mapping was to begin, as far as it reaches.
 */
size_t mem_object_size(const mem_mapping *mapping)
{
    size_t size = 0, reach = mapping->size - mapping->slack;
    if (size_of(mapping->fd, mapping->offset + (off_t)mapping->slack, &size))
        return 0;
    return size < reach ? size : reach;
}

/*
 * Maps all that there is of the object of which this is a part, and all that is mapped
 * here, for as long as the caller needs; *other becomes NULL where there is no more of
 * it. -ENOTSUP when that is not known.
 */
int mem_object_whole(const mem_mapping *mapping, mem_mapping **other)
{
    size_t size, end = (size_t)mapping->offset + mapping->size;
    mem_object_options options = {.readonly = mapping->readonly};
    *other = NULL;
    if (mapping->fd < 0 || mapping->own)
        return mapping->part ? -ENOTSUP : 0;
    int error = size_of(mapping->fd, 0, &size);
    if (error || (mapping->offset == 0 && size <= end))
        return error;
    if (size < end)
        size = end;
    error = map(mapping->fd, size, &options, mapping->label, other);
    if (!error)
        (*other)->fd = -1; /* it is the mapping's still */
    return error;
}

static int resize_object(const mem_mapping *mapping, size_t size)
{
    size_t present;
    off_t end = mapping->offset + (off_t)(mapping->slack + size);
    int error = size_of(mapping->fd, 0, &present);
    if (error)
        return error;
    if (end < (off_t)present)
        return mapping->window ? 0 : os_file_truncate(mapping->fd, end);
    return mem_object_extend(mapping->fd, end);
}

/* Maps as many bytes of the same object anew. */
static int map_longer(const mem_mapping *mapping, size_t size, mem_mapping **other)
{
    int fd, error = os_file_duplicate(mapping->fd, &fd);
    if (error)
        return error;
    mem_object_options options = {.readonly = mapping->readonly,
                                  .offset = mapping->offset + (off_t)mapping->slack};
    error = map(fd, size, &options, mapping->label, other);
    if (error)
        os_fd_close(&fd);
    else
        (*other)->window = mapping->window;
    return error;
}

/*
 * Gives the object a size, or with size 0 takes over the one it has, and sets *size.
 * Where the mapping is too short, *other becomes a longer one, at another address, and
 * the caller's share of the old one stays the caller's; else it becomes NULL. The object
 * changes last: it has the size that it had when this fails.
 */
int mem_object_resize(mem_mapping *mapping, size_t *size, mem_mapping **other)
{
    size_t reach = mapping->size - mapping->slack;
    bool change = *size > 0;
    int error = 0;
    *other = NULL;
    if (mapping->fd < 0 || mapping->own)
        return -ENOTSUP;
    if (*size > reach && mapping->grows)
        return -EFBIG;
    if (!change)
        error = size_of(mapping->fd, mapping->offset + (off_t)mapping->slack, size);
    if (!error && *size == 0)
        error = -ENODATA;
    if (!error && *size > reach && mapping->grows)
        *size = reach;
    if (!error && change && *size > reach && too_much(mapping->fd, (off_t)*size))
        error = -ENOMEM;
    if (!error && *size > reach)
        error = map_longer(mapping, *size, other);
    if (!error && change)
        error = resize_object(mapping, *size);
    if (error && *other) {
        mem_mapping_release(*other);
        *other = NULL;
    }
    return error;
}
