/*
 * System V shared memory segments.
 */
#include "os/os.h"

#include <errno.h>
#include <sys/mman.h>

int os_sysvshm_get(key_t key, size_t size, int flags, int *id)
{
    *id = shmget(key, size, flags);
    return *id < 0 ? -errno : 0;
}

/*
 * The size comes from the segment, asked for once it is attached: from then on
 * it cannot go away. It is what the creator asked for, not the rounded pages.
 */
int os_sysvshm_attach(int id, const void *address, int flags, void **base, size_t *size)
{
    *base = shmat(id, address, flags);
    if (*base == (void *)-1)
        return -errno;
    struct shmid_ds stat;
    if (shmctl(id, IPC_STAT, &stat)) {
        int error = errno;
        shmdt(*base);
        return -error;
    }
    *size = stat.shm_segsz;
    return 0;
}

/* Whether what was just attached is of huge pages: those can not be protected in part. */
static bool is_huge(void *base, int flags)
{
    int protection = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) |
                     (flags & SHM_EXEC ? PROT_EXEC : 0);
    size_t page = os_map_page();
    if (mprotect(base, page, PROT_NONE))
        return true;
    mprotect(base, page, protection);
    return false;
}

/*
 * Attaches it over memory of room bytes that is mapped at place, which is then no longer.
 * shmat with SHM_REMAP would, too, but further than room if its pages are huge: what
 * shm_segsz says is not what is mapped. So it is attached elsewhere first, and moved.
 */
int os_sysvshm_replace(int id, int flags, void *place, size_t room, size_t *size)
{
    void *base;
    int error = os_sysvshm_attach(id, NULL, flags & ~SHM_REMAP, &base, size);
    if (error)
        return error;
    size_t page = os_map_page(), whole = (*size + page - 1) / page * page;
    bool fits = whole <= (room + page - 1) / page * page;
    error = fits && !is_huge(base, flags) ? 0 : -EINVAL;
    if (!error &&
        mremap(base, whole, whole, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED)
        error = -errno;
    if (error)
        shmdt(base);
    return error;
}

int os_sysvshm_detach(void *base, size_t size)
{
    (void)size;
    return shmdt(base) ? -errno : 0;
}

/* IPC_STAT, or by index SHM_STAT and SHM_STAT_ANY, which give the id; or -errno. */
int os_sysvshm_stat(int id, int command, struct shmid_ds *stat)
{
    int result = shmctl(id, command, stat);
    return result < 0 ? -errno : result;
}

int os_sysvshm_set(int id, struct shmid_ds *stat)
{
    return shmctl(id, IPC_SET, stat) ? -errno : 0;
}

int os_sysvshm_remove(int id)
{
    return shmctl(id, IPC_RMID, NULL) ? -errno : 0;
}

/* Keeps the segment's pages in memory, or no longer. */
int os_sysvshm_lock(int id, bool lock)
{
    return shmctl(id, lock ? SHM_LOCK : SHM_UNLOCK, NULL) ? -errno : 0;
}

/* Both return the highest index in use, or -errno. */
int os_sysvshm_limits(struct shminfo *info)
{
    int highest = shmctl(0, IPC_INFO, (struct shmid_ds *)info);
    return highest < 0 ? -errno : highest;
}

int os_sysvshm_usage(struct shm_info *info)
{
    int highest = shmctl(0, SHM_INFO, (struct shmid_ds *)info);
    return highest < 0 ? -errno : highest;
}
