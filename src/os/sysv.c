/*
 * What all System V objects share: keys.
 */
#include "os/os.h"

#include <errno.h>

int os_sysv_key(const char *path, int number, key_t *key)
{
    *key = ftok(path, number);
    return *key == -1 ? -errno : 0;
}
