/*
 * What is in an arena: the kinds and names of its objects.
 */
#include "ds/ds.h"

#include <errno.h>
#include <string.h>

/* Kind, how long the name is, and the name, as often as there are objects. */
static void append(ds_arena *arena, uint32_t ref, ds_entry *entry, void *context)
{
    ds_buffer *buffer = context;
    uint16_t head[2] = {entry->kind, entry->name_size};
    (void)ref;
    if (!ds_entry_is(arena, entry, ds_entry_name(arena, entry), head[1]))
        return;
    if (buffer->size + sizeof head + head[1] <= buffer->room) {
        memcpy(buffer->bytes + buffer->size, head, sizeof head);
        memcpy(buffer->bytes + buffer->size + sizeof head, ds_entry_name(arena, entry),
               head[1]);
    }
    buffer->size += sizeof head + head[1];
}

int ds_directory_list(ds_arena *arena, ds_buffer *buffer, int64_t deadline)
{
    int error = ds_arena_enter(arena, deadline);
    if (error)
        return error;
    buffer->size = 0;
    ds_directory_each(arena, append, buffer);
    error = ds_arena_leave(arena);
    return error ? error : buffer->size > buffer->room ? -ENOBUFS : 0;
}
