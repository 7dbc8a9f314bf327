/*
 * What the specs in C share: counting, memory, and an end that comes.
 *
 * They are linked with floors 0 to 2 and know no Lua. Each is one file and one program,
 * says what failed, and ends with a line that .ci/run adds up.
 */
#ifndef LSHM_CHECK_H
#define LSHM_CHECK_H

#include "sync/sync.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int check_passed, check_failed;

__attribute__((format(printf, 2, 3))) static inline void check(bool ok, const char *what,
                                                               ...)
{
    va_list args;
    ok ? check_passed++ : check_failed++;
    if (ok)
        return;
    va_start(args, what);
    fputs("failed: ", stdout);
    vprintf(what, args);
    putchar('\n');
    va_end(args);
}

static inline int check_report(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed > 0;
}

/* Memory for one program: every object of it lies on pages of its own. */
static inline mem_mapping *check_memory(size_t size)
{
    mem_mapping *mapping;
    mem_object_options options = {.mode = 0600};
    int error = mem_object_anonymous(size, &options, &mapping);
    if (error) {
        printf("no memory: %s\n0 passed, 1 failed\n", strerror(-error));
        exit(1);
    }
    return mapping;
}

/* A guard at an offset, with room for a journal of so much. */
#define CHECK_ROOM 104

static inline mem_guarded check_guarded(const mem_mapping *mapping, size_t offset)
{
    return (mem_guarded){.guard = (mem_guard *)(mapping->base + offset),
                         .room = CHECK_ROOM,
                         .mapping = mapping};
}

/* The object is there, or is made; the handle is the caller's own. */
static inline void check_open(sync_handle *handle, mem_mapping *mapping, size_t offset,
                              sync_kind kind, uint32_t extra, uint64_t value)
{
    uint8_t *at = mapping->base + offset;
    int64_t deadline = os_clock_deadline(10);
    int error = sync_handle_create(handle, mapping, at, kind, extra, value, deadline);
    if (error == -EEXIST)
        error = sync_handle_attach(handle, mapping, at, mapping->size - offset, kind,
                                   deadline);
    if (error) {
        printf("no object: %s\n0 passed, 1 failed\n", strerror(-error));
        exit(1);
    }
}

/* As the floor above takes and leaves a mutex. */
static inline int check_lock(const sync_handle *handle, int64_t deadline,
                             sync_outcome *outcome)
{
    return sync_mutex_take(handle->mutex) ? 0
                                          : sync_mutex_wait(handle, deadline, outcome);
}

static inline int check_unlock(const sync_handle *handle)
{
    return sync_mutex_give(handle->mutex) ? 0 : sync_mutex_leave(handle);
}

/* Numbers that are the same in each run with the same seed. */
static inline uint64_t check_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1d;
}

#endif
