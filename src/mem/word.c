/*
 * A 32-bit word to sleep on until it changes.
 *
 * Wake-ups without a change are slept through: the kernel gives them freely,
 * and a waker that wants to be noticed changes the word before it wakes. The
 * load pairs with that change, so whatever the waker wrote before is visible.
 */
#include "mem/atomic.h"
#include "mem/mem.h"
#include "os/os.h"

#include <errno.h>

int mem_word_wait(const mem_mapping *mapping, const uint32_t *word, uint32_t expected,
                  int64_t deadline)
{
    while (mem_atomic_load32(word) == expected) {
        if (mem_fault_seen() && mapping->fault.signo)
            return -EFAULT;
        bool sleeps = deadline > os_clock_now(); /* or else nothing keeps it */
        int error = sleeps ? os_wait_begin() : 0;
        if (!error)
            error = os_futex_wait(word, expected, deadline);
        if (error)
            return error;
    }
    return 0;
}
