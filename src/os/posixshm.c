/*
 * POSIX shared memory objects: names in /dev/shm, and memory objects without a name.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of names that are none libc lets two through, which are directories. */
int os_posixshm_open(const char *name, int flags, mode_t mode, int *fd)
{
    const char *bare = name + strspn(name, "/");
    if (strcmp(bare, ".") == 0 || strcmp(bare, "..") == 0)
        return -EINVAL;
    *fd = shm_open(name, flags, mode);
    return *fd < 0 ? -errno : 0;
}

int os_posixshm_unlink(const char *name)
{
    return shm_unlink(name) ? -errno : 0;
}

/* An object that has no name yet: until it is given one, it goes with its descriptor. */
int os_posixshm_unnamed(mode_t mode, int *fd)
{
    return os_file_open(OS_POSIXSHM_DIRECTORY, O_TMPFILE | O_RDWR, mode, fd);
}

/* Gives it one, which nothing may have, not even a dangling symbolic link. */
int os_posixshm_name(int fd, const char *name)
{
    char from[32], to[sizeof OS_POSIXSHM_DIRECTORY + OS_POSIXSHM_NAME + 2];
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    if (snprintf(to, sizeof to, "%s/%s", OS_POSIXSHM_DIRECTORY, name) >= (int)sizeof to)
        return -ENAMETOOLONG;
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno == ENOENT && /* no /proc here: newer kernels can do without */
        linkat(fd, "", AT_FDCWD, to, AT_EMPTY_PATH) == 0)
        return 0;
    return -errno;
}

int os_posixshm_memfd(const char *name, unsigned flags, int *fd)
{
    *fd = memfd_create(name, flags);
    return *fd < 0 ? -errno : 0;
}
