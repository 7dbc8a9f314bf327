/*
 * Preloaded, makes who writes to an eventfd late: others have done much in between.
 *
 * gcc -shared -fPIC
 */
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int eventfd_write(int fd, eventfd_t value)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return write(fd, &value, sizeof value) == sizeof value ? 0 : -1;
}
