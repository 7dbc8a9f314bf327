/*
 * Files, and what is one to the kernel: memory objects, memfds.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
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

/* Zeros n bytes at offset, also such as lie beyond the end but in its last page. */
int os_file_zero(int fd, off_t offset, off_t n)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, n) ? -errno
                                                                                : 0;
}

int os_file_chmod(int fd, mode_t mode)
{
    return fchmod(fd, mode) ? -errno : 0;
}
