/*
 * Mappings: files, memory objects and anonymous memory in this process's address space.
 */
#include "os/os.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

size_t os_map_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* All the memory and swap that the machine has, in bytes. */
uint64_t os_map_memory(void)
{
    struct sysinfo info;
    return sysinfo(&info) ? UINT64_MAX
                          : ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

int os_map_new(const os_map *map, void **base)
{
    *base =
        mmap(map->address, map->size, map->protection, map->flags, map->fd, map->offset);
    return *base == MAP_FAILED ? -errno : 0;
}

/* Huge pages want the size that mmap rounded up to, and the kernel does not tell it. */
int os_map_free(void *base, size_t size)
{
    const size_t units[] = {1, (size_t)1 << 21, (size_t)1 << 30};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (munmap(base, (size + units[i] - 1) / units[i] * units[i]) == 0)
            return 0;
        if (errno != EINVAL || (uintptr_t)base % units[i])
            break;
    }
    return -errno;
}

int os_map_sync(void *base, size_t size, int flags)
{
    return msync(base, size, flags) ? -errno : 0;
}

int os_map_protect(void *base, size_t size, int protection)
{
    return mprotect(base, size, protection) ? -errno : 0;
}

int os_map_advise(void *base, size_t size, int advice)
{
    return madvise(base, size, advice) ? -errno : 0;
}

int os_map_lock(void *base, size_t size)
{
    return mlock(base, size) ? -errno : 0;
}

int os_map_unlock(void *base, size_t size)
{
    return munlock(base, size) ? -errno : 0;
}
