/*
 * Shared bytes in this process's address space, with their count of users.
 *
 * A region and every view of it hold one share each, because a collector runs
 * finalizers in no order; the memory is let go with the last share. The record
 * is private to the process: one that dies leaves the kernel to unmap, and a
 * child made by fork has a copy of record and mapping both.
 */
#include "mem/atomic.h"
#include "mem/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* NULL when there is no memory for the record; the bytes stay the caller's then. */
mem_mapping *mem_mapping_new(void *base, size_t size, bool readonly,
                             mem_mapping_free free, const char *label)
{
    mem_mapping *mapping = malloc(sizeof *mapping);
    if (!mapping)
        return NULL;
    mapping->base = base;
    mapping->size = size;
    mapping->readonly = readonly;
    mapping->users = 1;
    mapping->free = free;
    snprintf(mapping->label, sizeof mapping->label, "%s", label);
    return mapping;
}

void mem_mapping_retain(mem_mapping *mapping)
{
    mem_atomic_count_up(&mapping->users);
}

/* The error, if any, is that of unmapping; the share is gone either way. */
int mem_mapping_release(mem_mapping *mapping)
{
    if (!mem_atomic_count_down(&mapping->users))
        return 0;
    int error = mapping->free(mapping->base, mapping->size);
    free(mapping);
    return error;
}
