/*
 * Stores to protected memory, one at a time: each faults, is let through alone, and is
 * reported before and after.
 *
 * The instruction that faulted runs again under the processor's trap flag, so that
 * SIGTRAP comes right behind it. Signals that others send wait until then, as their
 * handlers would run unprotected. A repeated string instruction is trapped after each of
 * its iterations; it is reported before those that a power of two of others precede, or a
 * copy of 16 KiB would be as many stores.
 *
 * Threads: for programs with one. The handlers make system calls and take no lock. A
 * process that dies between a fault and its trap leaves nothing to anybody.
 */
#include "os/os.h"

#include <errno.h>

#if defined(__x86_64__)

#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define TRAP_FLAG 0x100
#define WAS_WRITE 0x2 /* in the error code of a page fault */

static const os_step_watch *volatile watch; /* set before the stores that it is about */
static struct sigaction before;
static bool stepping;
static greg_t at;           /* the instruction that is stepped, or is not through */
static uint64_t iterations; /* how many of it have run */
static uint64_t mask;       /* the program's, while signals wait */

/* The kernel's set of signals is shorter than libc's, and other things lie behind it. */
static void hold_signals(ucontext_t *context)
{
    const uint64_t own = (uint64_t)1 << (SIGSEGV - 1) | (uint64_t)1 << (SIGBUS - 1) |
                         (uint64_t)1 << (SIGTRAP - 1);
    const uint64_t held = ~own;
    memcpy(&mask, &context->uc_sigmask, sizeof mask);
    memcpy(&context->uc_sigmask, &held, sizeof held);
}

/* Called at each fault, with what the handler got; whether it was a watched store. */
bool os_step_fault(const siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    greg_t *registers = user->uc_mcontext.gregs;
    if (!watch || info->si_code != SEGV_ACCERR || !(registers[REG_ERR] & WAS_WRITE))
        return false;
    if (!watch->open(info->si_addr, !stepping))
        return false;
    if (stepping) /* the same store, on another page */
        return true;
    stepping = true;
    if (registers[REG_RIP] != at)
        iterations = 0;
    at = registers[REG_RIP];
    registers[REG_EFL] |= TRAP_FLAG;
    hold_signals(user);
    return true;
}

static void pass_on(int signo, siginfo_t *info, void *context)
{
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(signo, info, context);
    } else if (before.sa_handler == SIG_DFL) {
        sigaction(signo, &before, NULL);
        raise(signo);
    } else if (before.sa_handler != SIG_IGN) {
        before.sa_handler(signo);
    }
}

static void trapped(int signo, siginfo_t *info, void *context)
{
    int saved = errno;
    ucontext_t *user = context;
    greg_t *registers = user->uc_mcontext.gregs;
    if (!stepping || info->si_code <= 0) {
        pass_on(signo, info, context);
    } else {
        bool unfinished = registers[REG_RIP] == at;
        iterations++;
        if (!unfinished)
            at = 0;
        if (!unfinished || (iterations & (iterations - 1)) == 0) {
            watch->close();
            stepping = false;
            registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
            memcpy(&user->uc_sigmask, &mask, sizeof mask);
        }
    }
    errno = saved;
}

static int begin(const os_step_watch *wanted)
{
    struct sigaction action = {.sa_sigaction = trapped,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    stepping = false;
    at = 0;
    if (sigaction(SIGTRAP, &action, &before))
        return -errno;
    watch = wanted;
    return 0;
}

void os_step_end(void)
{
    watch = NULL;
    sigaction(SIGTRAP, &before, NULL);
}

static uint8_t *probe;
static volatile sig_atomic_t probed;

static bool open_probe(void *address, bool begins)
{
    return begins && address == probe &&
           mprotect(address, 1, PROT_READ | PROT_WRITE) == 0;
}

static void close_probe(void)
{
    probed = 1;
}

/* Emulators and some sandboxes know no trap flag: it is tried. */
static int try_it(void)
{
    static const os_step_watch probing = {open_probe, close_probe};
    size_t page = os_map_page();
    void *base = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    probe = base;
    probed = 0;
    int error = begin(&probing);
    if (!error) {
        *(volatile uint8_t *)probe = 1;
        os_step_end();
        error = probed ? 0 : -ENOTSUP;
    }
    munmap(base, page);
    return error;
}

/*
 * From here on stores that fault are asked about. The handler of fault.c must be in
 * place. -ENOTSUP where stores can not be stepped.
 */
int os_step_begin(const os_step_watch *wanted)
{
    int error = try_it();
    return error ? error : begin(wanted);
}

#else

int os_step_begin(const os_step_watch *wanted)
{
    (void)wanted;
    return -ENOTSUP;
}

void os_step_end(void)
{
}

bool os_step_fault(const siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    return false;
}

#endif
