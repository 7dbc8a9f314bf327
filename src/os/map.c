/*
 * Mappings: files, memory objects and anonymous memory in this process's address space.
 */
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
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

/*
 * Visits all ranges of this process's address space, from the lowest, until visit returns
 * something other than 0. A range that could be told from its neighbours by nothing is
 * one with them.
 */
int os_map_each(int (*visit)(void *context, const os_map_range *range), void *context)
{
    FILE *list = fopen("/proc/self/maps", "re");
    if (!list)
        return -errno;
    char line[256], end = '\n', bits[5];
    int error = 0;
    while (!error && fgets(line, sizeof line, list)) {
        bool begins = end == '\n'; /* else it goes on with a long name */
        size_t from, to;
        end = line[strlen(line) - 1];
        if (!begins || sscanf(line, "%zx-%zx %4s", &from, &to, bits) != 3)
            continue;
        os_map_range range = {
            .base = (uint8_t *)from,
            .size = to - from,
            .protection = (bits[0] == 'r' ? PROT_READ : 0) |
                          (bits[1] == 'w' ? PROT_WRITE : 0) |
                          (bits[2] == 'x' ? PROT_EXEC : 0),
            .shared = bits[3] == 's',
        };
        error = visit(context, &range);
    }
    if (!error && ferror(list))
        error = -EIO;
    fclose(list);
    return error;
}
