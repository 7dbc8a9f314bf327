/*
 * Files, and what is one to the kernel: memory objects, memfds.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

int os_file_open(const char *path, int flags, mode_t mode, int *fd)
{
    *fd = open(path, flags | O_CLOEXEC, mode);
    return *fd < 0 ? -errno : 0;
}

int os_file_duplicate(int fd, int *other)
{
    *other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return *other < 0 ? -errno : 0;
}

int os_file_stat(int fd, struct stat *stat)
{
    return fstat(fd, stat) ? -errno : 0;
}

int os_file_truncate(int fd, off_t size)
{
    os_hush hush;
    os_signal_hush(&hush);
    int error = ftruncate(fd, size) ? -errno : 0;
    os_signal_unhush(&hush, error == -EFBIG ? SIGXFSZ : 0);
    return error;
}

/* Memory or disk for n bytes at offset is there from then on; a shorter file grows. */
int os_file_reserve(int fd, off_t offset, off_t n)
{
    os_hush hush;
    os_signal_hush(&hush);
    int error = -posix_fallocate(fd, offset, n);
    os_signal_unhush(&hush, error == -EFBIG ? SIGXFSZ : 0);
    return error;
}

/* Seals forbid changes to a memfd. */
int os_file_seal(int fd, int seals)
{
    return fcntl(fd, F_ADD_SEALS, seals) ? -errno : 0;
}

int os_file_seals(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    return seals < 0 ? -errno : seals;
}

/* Whether it is memory that no file system's size limits: a memfd's. */
bool os_file_unlimited(int fd)
{
    struct statfs system;
    return fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC &&
           system.f_blocks == 0;
}

int os_file_chmod(int fd, mode_t mode)
{
    return fchmod(fd, mode) ? -errno : 0;
}

/* Waits until what was written is on the disk; of a directory, which names it has. */
int os_file_sync(int fd)
{
    return fsync(fd) ? -errno : 0;
}
