/*
 * Whether examples/peer.h, which stands alone, says what src/ has: compiled, and never run.
 */
#include "ds/ds.h"

#include "../../examples/peer.h"

#define SAME(ours, field, theirs, other)                                                 \
    _Static_assert(offsetof(ours, field) == offsetof(theirs, other) &&                   \
                       sizeof(((ours *)0)->field) == sizeof(((theirs *)0)->other),       \
                   #ours "." #field)
#define SIZE(ours, theirs) _Static_assert(sizeof(ours) == sizeof(theirs), #ours)

SAME(mem_stamp, mark, peer_stamp, mark);
SAME(mem_stamp, home, peer_stamp, home);
SAME(mem_stamp, size, peer_stamp, size);
SAME(mem_stamp, extra, peer_stamp, extra);
SIZE(mem_stamp, peer_stamp);

SAME(mem_guard, word, peer_guard, word);
SAME(mem_guard, used, peer_guard, used);
SIZE(mem_guard, peer_guard);
_Static_assert(OS_ROBUST_WAITERS == FUTEX_WAITERS && OS_ROBUST_DIED == FUTEX_OWNER_DIED &&
                   OS_ROBUST_TID == FUTEX_TID_MASK && OS_THREAD_TID == PEER_TID,
               "the guard's bits");

SAME(sync_eventcount, turn, peer_eventcount, turn);
SAME(sync_eventcount, cpu, peer_eventcount, cpu);
SAME(sync_eventcount, waiters.sleeping, peer_eventcount, mask);
SAME(sync_eventcount, waiters.more, peer_eventcount, more);
SAME(sync_eventcount, waiters.slot, peer_eventcount, slot);
SIZE(sync_eventcount, peer_eventcount);

SAME(ds_arena_memory, size, peer_arena, size);
SAME(ds_arena_memory, max, peer_arena, max);
SAME(ds_arena_memory, journal, peer_arena, journal);
SAME(ds_arena_memory, dropped, peer_arena, dropped);
SAME(ds_arena_memory, heap, peer_arena, heap);
SAME(ds_arena_memory, names, peer_arena, names);
SAME(ds_arena_memory, processes, peer_arena, processes);
SIZE(ds_arena_memory, peer_arena);
SAME(ds_process, who, peer_process, who);
SAME(ds_process, since, peer_process, since);
SIZE(ds_process, peer_process);
SAME(ds_entry, next, peer_entry, next);
SAME(ds_entry, block, peer_entry, block);
SAME(ds_entry, kind, peer_entry, kind);
SAME(ds_entry, name_size, peer_entry, name_size);
SAME(ds_entry, layout, peer_entry, layout);
SAME(ds_entry, size, peer_entry, size);
SIZE(ds_entry, peer_entry);

SAME(ds_queue_layout, capacity, peer_queue_layout, capacity);
SAME(ds_queue_layout, units, peer_queue_layout, units);
SAME(ds_queue_layout, shut, peer_queue_layout, shut);
SAME(ds_queue_layout, producer, peer_queue_layout, producer);
SAME(ds_queue_layout, consumer, peer_queue_layout, consumer);
SAME(ds_queue_layout, push.guard, peer_queue_layout, push.guard);
SAME(ds_queue_layout, push.end, peer_queue_layout, push.end);
SAME(ds_queue_layout, push.seen, peer_queue_layout, push.seen);
SAME(ds_queue_layout, items, peer_queue_layout, items);
SAME(ds_queue_layout, pop.guard, peer_queue_layout, pop.guard);
SAME(ds_queue_layout, pop.end, peer_queue_layout, pop.end);
SAME(ds_queue_layout, pop.seen, peer_queue_layout, pop.seen);
SAME(ds_queue_layout, room, peer_queue_layout, room);
SAME(ds_queue_layout, loans, peer_queue_layout, loans);
SAME(ds_queue_layout, views, peer_queue_layout, views);
SIZE(ds_queue_layout, peer_queue_layout);

SAME(ds_topic_head, ring, peer_topic_layout, ring);
SAME(ds_topic_head, most, peer_topic_layout, capacity);
SAME(ds_topic_head, slots, peer_topic_layout, lines);
SAME(ds_topic_head, guard, peer_topic_layout, guard);
SAME(ds_topic_head, tail, peer_topic_layout, tail);
SAME(ds_topic_head, oldest, peer_topic_layout, oldest);
SAME(ds_topic_head, limit, peer_topic_layout, limit);
SAME(ds_topic_head, news, peer_topic_layout, news);
SAME(ds_topic_head, room, peer_topic_layout, room);
SIZE(ds_topic_head, peer_topic_layout);
SAME(ds_topic_slot, who, peer_line, who);
SAME(ds_topic_slot, cursor, peer_line, cursor);
SIZE(ds_topic_slot, peer_line);
SAME(ds_topic_record, number, peer_message, number);
SAME(ds_topic_record, size, peer_message, length);
SIZE(ds_topic_record, peer_message);

_Static_assert((int)DS_ARENA == PEER_ARENA && (int)DS_QUEUE == PEER_QUEUE &&
                   (int)DS_TOPIC == PEER_TOPIC && DS_VERSION == PEER_VERSION &&
                   SYNC_VERSION == PEER_VERSION && (int)SYNC_EVENTCOUNT == 8,
               "what stamps say");
_Static_assert(DS_QUEUE_REJECT == PEER_REJECT && DS_QUEUE_SPSC == PEER_SPSC &&
                   DS_TOPIC_DROP == 1 && DS_QUEUE_SLOTS == 16 && SYNC_SLOTS == PEER_SLOTS &&
                   DS_ARENA_NAMES == 64 && DS_ARENA_PROCESSES_MOST == 8192 && DS_UNIT == 16 &&
                   DS_HEAP_HEADER == 8 && DS_LINE == 64 && DS_QUEUE_LEAST == 64 &&
                   DS_QUEUE_MOST == 1u << 30 && DS_TOPIC_LEAST == 64 &&
                   DS_TOPIC_SUBSCRIBERS == 4096,
               "numbers");
