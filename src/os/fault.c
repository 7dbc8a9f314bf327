/*
 * The signals that memory sends: SIGBUS when there is nothing behind a page, SIGSEGV
 * when it may not be touched so.
 *
 * They are caught for the memory that the one listener calls its own; all others, and
 * those that another process sent, go on to whoever handled them before. The listener
 * runs inside a signal handler: it makes system calls and takes no lock of libc's.
 */
#include "os/os.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static const int CAUGHT[] = {SIGBUS, SIGSEGV};
#define KINDS (sizeof CAUGHT / sizeof *CAUGHT)

static struct sigaction before[KINDS];
static os_fault_listener listener;
static int installed;

static void pass_on(size_t kind, int signo, siginfo_t *info, void *context)
{
    const struct sigaction *action = &before[kind];
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(signo, info, context);
    else if (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN)
        action->sa_handler(signo);
    else if (info->si_code > 0) /* the instruction runs again, and nobody is there */
        sigaction(signo, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    else if (action->sa_handler == SIG_DFL) { /* sent: it would not come again */
        sigaction(signo, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        raise(signo);
    }
}

static void caught(int signo, siginfo_t *info, void *context)
{
    int saved = errno;
    size_t kind = signo == CAUGHT[0] ? 0 : 1;
    bool taken =
        info->si_code > 0 && ((signo == SIGSEGV && os_step_fault(info, context)) ||
                              listener(info->si_addr, signo));
    if (!taken)
        pass_on(kind, signo, info, context);
    errno = saved;
}

/* The handler must stay where it is when the module is closed with its Lua state. */
static void stay(void)
{
    Dl_info self;
    if (dladdr((void *)&before, &self))
        dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static void install(void)
{
    stay();
    struct sigaction action = {.sa_sigaction = caught,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    for (size_t kind = 0; kind < KINDS && !installed; kind++) {
        if (sigaction(CAUGHT[kind], &action, &before[kind]))
            installed = -errno;
    }
}

/* Once in a process; the children it forks inherit it. */
int os_fault_catch(os_fault_listener handler)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    listener = handler;
    pthread_once(&once, install);
    return installed;
}

/*
 * An address range for pages to be moved to, which lies as the pages' size asks for and
 * no better. Of a mapping of huge pages the kernel would move a whole one for a small
 * size, if only the addresses allowed it, and over whatever lies behind.
 */
static void *reserve(size_t size)
{
    const size_t units[] = {(size_t)sysconf(_SC_PAGESIZE), (size_t)1 << 21,
                            (size_t)1 << 30};
    int which = size % units[2] == 0 ? 2 : size % units[1] == 0 ? 1 : 0;
    size_t unit = units[which], whole = size + 2 * unit;
    uint8_t *room =
        mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return MAP_FAILED;
    uint8_t *place = room + (unit - (uintptr_t)room % unit) % unit;
    if (which < 2 && (uintptr_t)place % units[which + 1] == 0)
        place += unit;
    if (place > room)
        munmap(room, (size_t)(place - room));
    size_t behind = whole - size - (size_t)(place - room);
    if (behind)
        munmap(place + size, behind);
    return place;
}

/*
 * Moves the pages at base out of the way, whatever they are, and puts empty ones in their
 * place, so that the access which faulted can end. Where the kernel can, the old pages'
 * place is never free in between, when another thread could be given it.
 */
int os_fault_cover(void *base, size_t size, void **aside)
{
    void *room = reserve(size);
    if (room == MAP_FAILED)
        return -errno;
    void *moved =
        mremap(base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, room);
    if (moved == MAP_FAILED && errno == EINVAL) /* before Linux 5.13 */
        moved = mremap(base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    int error = moved == MAP_FAILED ? -errno : os_fault_replace(base, size);
    if (!error)
        *aside = moved;
    else if (moved == MAP_FAILED)
        munmap(room, size);
    else
        os_fault_uncover(base, size, moved);
    return error;
}

int os_fault_uncover(void *base, size_t size, void *aside)
{
    void *back = mremap(aside, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, base);
    return back == MAP_FAILED ? -errno : 0;
}

/* Empty pages for good: what was there is unmapped. */
int os_fault_replace(void *base, size_t size)
{
    void *empty = mmap(base, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return empty == MAP_FAILED ? -errno : 0;
}
