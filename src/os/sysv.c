/*
 * What all System V objects share: keys.
 */
#include "os/os.h"

#include <errno.h>

int os_sysv_key(const char *path, int number, key_t *key)
{
    errno = 0;
    *key = ftok(path, number);
    return *key == -1 ? -errno : 0; /* -1 may be a key, too */
}
