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
#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>

/* NULL when there is no memory for the record; the bytes stay the caller's then. */
mem_mapping *mem_mapping_new(void *base, size_t size, bool readonly,
                             mem_mapping_free free_bytes, const char *label)
{
    mem_mapping *mapping = calloc(1, sizeof *mapping);
    if (!mapping)
        return NULL;
    mapping->base = base;
    mapping->size = size;
    mapping->readonly = readonly;
    mapping->users = 1;
    mapping->fd = -1;
    mapping->free = free_bytes;
    snprintf(mapping->label, sizeof mapping->label, "%s", label);
    if (mem_fault_watch(mapping)) {
        free(mapping);
        return NULL;
    }
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
    mem_fault_forget(mapping);
    int error = mapping->free(mapping->base, mapping->size);
    os_fd_close(&mapping->fd);
    free(mapping);
    return error;
}

/* Lets the last share go, whose first n bytes of address range are another's by now. */
void mem_mapping_yield(mem_mapping *mapping, size_t n)
{
    size_t page = os_map_page(), kept = (n + page - 1) / page * page;
    mem_fault_forget(mapping);
    if (mapping->size > kept)
        os_map_free(mapping->base + kept, mapping->size - kept);
    os_fd_close(&mapping->fd);
    free(mapping);
}
