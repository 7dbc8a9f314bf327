/*
 * A peer in C of queues and topics: it stands alone, and takes nothing of the module.
 *
 * A Lua program makes the memory and what is in it:
 *
 *     local arena = shm.arena("/game")               or  region = shm.create("/game", 1 << 20)
 *     arena:queue("jobs")  arena:topic("news")       or  shm.queue.create(region, 4096)
 *
 * and this pushes to it, pops, publishes and reads, as the program examples/peer.c does:
 *
 *     peer_memory memory;  peer_attach(&memory, "/game");
 *     peer_queue jobs;     peer_queue_open(&jobs, &memory, "jobs");    or "@4096"
 *     peer_push(&jobs, bytes, n, 1.5);                                 seconds; < 0: for ever
 *
 * Functions return 0 (or a length) or -errno. A handle is used by one thread at a time, and
 * no child made by fork has a share in it: it attaches anew. What is pushed and published is
 * MessagePack, at the end of this file. It says how others are to do it, too: by the tables
 * below, for x86-64 and other 64-bit machines that are little-endian. All offsets are in
 * bytes; what is not listed is zero, and not used.
 *
 * The rules:
 *   - What lies there may be anybody's scribble. Copy it once, check the copy, use the copy.
 *   - Before the one store that makes a message be there, or be gone, nothing has happened:
 *     who is killed at any instruction leaves all whole. That store comes last.
 *   - Stores and loads of words are atomic and sequentially consistent. Cheaper ones would
 *     do in places, which src/ds says.
 *   - An object that another process truncates is a SIGBUS here.
 *
 * The file has, in this order: words, who is alive, the stamp, the guard, those who sleep, the
 * arena, the queue, the topic, MessagePack. To make functions for other languages of it:
 *
 *     gcc -shared -fPIC -O2 -DPEER_API= -x c peer.h -o peer.so
 */
#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PEER_API
#define PEER_API static inline
#endif
#ifndef PEER_STORE
#define PEER_STORE() ((void)0) /* before each store to shared memory: tests die there */
#endif
#define PEER_AT(type, field, offset)                                                     \
    _Static_assert(offsetof(type, field) == (offset), "a layout in shared memory")
#define PEER_SIZE(type, size)                                                            \
    _Static_assert(sizeof(type) == (size), "a layout in shared memory")

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(void *) == 8,
               "the layouts are those of such machines");

/* ---------------------------------------------------------------- words that are shared */

static inline uint32_t peer_load32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline uint64_t peer_load64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void peer_store32(uint32_t *word, uint32_t value)
{
    PEER_STORE();
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline void peer_store64(uint64_t *word, uint64_t value)
{
    PEER_STORE();
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t peer_swap32(uint32_t *word, uint32_t value)
{
    PEER_STORE();
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

static inline bool peer_cas32(uint32_t *word, uint32_t old, uint32_t value)
{
    PEER_STORE();
    return __atomic_compare_exchange_n(word, &old, value, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static inline bool peer_cas64(uint64_t *word, uint64_t old, uint64_t value)
{
    PEER_STORE();
    return __atomic_compare_exchange_n(word, &old, value, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static inline void peer_write(void *to, const void *from, size_t n)
{
    PEER_STORE();
    memcpy(to, from, n);
}

/* Whether n bytes at an offset lie in size bytes. */
static inline bool peer_inside(uint64_t size, uint64_t offset, uint64_t n)
{
    return n <= size && offset <= size - n;
}

#define PEER_FOREVER INT64_MAX
#define PEER_SLICE 20000000LL      /* ns: the longest sleep between two looks */
#define PEER_PATIENCE 1000000000LL /* ns: with who does not leave a guard */
#define PEER_GRACE 20000000LL      /* ns: of that, in any case: it may be about to leave */

static inline int64_t peer_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline int64_t peer_deadline(double seconds)
{
    return seconds < 0 || seconds > 1e9 ? PEER_FOREVER
                                        : peer_now() + (int64_t)(seconds * 1e9);
}

/* 0 when woken, or when the word is another. Words are shared: no FUTEX_PRIVATE_FLAG. */
static inline int peer_futex_wait(const uint32_t *word, uint32_t expected, int64_t until)
{
    int64_t slice = peer_now() + PEER_SLICE;
    until = slice < until ? slice : until;
    struct timespec at = {until / 1000000000, until % 1000000000};
    long error = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, &at, NULL,
                         FUTEX_BITSET_MATCH_ANY);
    return error && errno == EINTR ? -EINTR : 0;
}

static inline void peer_futex_wake(const uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

/* ---------------------------------------------------------------------- who is alive
 *
 * An identity is 64 bits: the low half of when the thread started, in clock ticks since boot
 * (field 22 of /proc/TID/stat), above; and below it the thread's id in 22 bits. The ten bits
 * between are 0, but for what stands in slots of sleepers: mask them.
 */
#define PEER_TID 0x3fffffu

static inline uint64_t peer_identity_of(pid_t tid)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *field = strrchr(text, ')'); /* a command's name may hold anything */
    char state;
    unsigned long long ticks;
    if (!field ||
        sscanf(field,
               ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
               "%*d %*d %llu",
               &state, &ticks) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : ticks << 32 | ((uint64_t)tid & PEER_TID);
}

/* This thread's. A child made by fork has another id than it remembers. */
static inline uint64_t peer_self(void)
{
    static _Thread_local uint64_t self;
    uint64_t tid = (uint64_t)syscall(SYS_gettid);
    if (tid != (self & PEER_TID)) {
        self = peer_identity_of((pid_t)tid);
        self = self ? self : tid; /* without /proc the id has to do */
    }
    return self;
}

/* One that can not be looked at counts as alive. */
static inline bool peer_alive(uint64_t who)
{
    pid_t tid = (pid_t)(who & PEER_TID);
    if (tid == 0 || (syscall(SYS_tkill, tid, 0) && errno == ESRCH))
        return false;
    if (access("/proc/self/stat", R_OK))
        return true;
    uint64_t now = peer_identity_of(tid);
    return now && (who >> 32 == 0 || who >> 32 == now >> 32);
}

/* Ids mean something inside one pid and time namespace: the inodes of both. */
static inline uint64_t peer_home(void)
{
    struct stat time_, pid;
    uint64_t home = stat("/proc/self/ns/time", &time_) ? 0 : (uint64_t)time_.st_ino << 32;
    return home | (stat("/proc/self/ns/pid", &pid) ? 0 : (uint32_t)pid.st_ino);
}

/* ------------------------------------------------------------------------- the stamp
 *
 * All begins with it:
 *    0  u16  version of the layout, which is 1
 *    2  u16  kind: 16 arena, 17 queue, 18 topic, 8 eventcount
 *    4  u32  0x4c53484d ("MHSL"); 0x4c53486d while somebody makes it, whose id is below
 *    8  u64  home: see above
 *   16  u32  bytes of the object (of a topic and an arena, of its head)
 *   20  u32  extra: of a queue 1 rejects, 2 has one producer and one consumer; of a topic 1
 *            drops; of an arena its sizes, 2560 << 16 | 24 << 8 | 16
 */
typedef struct peer_stamp {
    uint64_t mark, home;
    uint32_t size, extra;
} peer_stamp;

PEER_AT(peer_stamp, mark, 0); PEER_AT(peer_stamp, home, 8); PEER_AT(peer_stamp, size, 16);
PEER_AT(peer_stamp, extra, 20); PEER_SIZE(peer_stamp, 24);

#define PEER_MAGIC 0x4c53484du
#define PEER_MAKING 0x4c53486du
#define PEER_VERSION 1
enum { PEER_ARENA = 16, PEER_QUEUE = 17, PEER_TOPIC = 18 };

static inline int peer_stamp_check(const peer_stamp *stamp, uint16_t kind)
{
    uint64_t mark = peer_load64(&stamp->mark);
    if (mark >> 32 == PEER_MAKING)
        return -EAGAIN; /* in a moment it is there */
    if (mark >> 16 != ((uint64_t)PEER_MAGIC << 16 | kind))
        return -ENOENT;
    if ((uint16_t)mark != PEER_VERSION)
        return -EPROTO;
    return peer_load64(&stamp->home) == peer_home() ? 0 : -EXDEV;
}

/* ------------------------------------------------------------------------- the guard
 *
 * A lock that the kernel releases when who is inside dies. What it guards is whole whenever
 * nobody is inside.
 *    0  u32  word: the thread's id in 30 bits, 0 for nobody; 0x40000000 the kernel sets when
 *            that thread dies; 0x80000000 others sleep on the word
 *    8  u64  how many bytes of the journal count, which lies behind; 0 in queues and topics
 *
 * libc has registered a robust list for this thread, by set_robust_list(2). Its head's word
 * list_op_pending says which lock is just being taken or released: the address of our word
 * less the head's futex_offset. When the thread dies and the word holds its id, the kernel
 * sets the bit and wakes one; when the word is 0 it wakes one, too. So:
 *    enter: list_op_pending = word; 0 -> id by compare-and-swap; or else, where the bit is
 *           set, found -> id | (found & 0x80000000): the last one died inside. Undo the
 *           journal if any of it counts. While others are inside, set 0x80000000 and sleep.
 *           Who has slept takes the word with 0x80000000, as others may sleep, too.
 *    leave: journal's count = 0; word = 0 by a swap; wake one if 0x80000000 was set;
 *           list_op_pending = NULL.
 * Inside: no system call that blocks, no other guard, no robust mutex of libc's, no end of
 * the function by a signal or exception. Others wait for a second, and give up then.
 *
 * The journal: entries one behind the other, each the old bytes, padded to 8, and then
 *    i64  where they were, counted from the word that has the count (offset 8)
 *    u64  how many bytes
 * An entry is written, then counted, then the bytes change. Undo the newest first.
 */
typedef struct peer_guard {
    uint32_t word, unused;
    uint64_t used;
} peer_guard; /* and behind it the journal */

PEER_AT(peer_guard, word, 0); PEER_AT(peer_guard, used, 8); PEER_SIZE(peer_guard, 16);

typedef struct peer_memory { /* what a process has mapped */
    uint8_t *base;
    uint64_t size, there;   /* bytes that are mapped, and of these that exist */
    uint64_t journal;       /* bytes of the arena's */
    uint32_t processes;     /* lines of its register */
    int fd, slot;           /* its line in the arena's register, or -1 */
} peer_memory;

static inline struct robust_list_head *peer_robust(void)
{
    static _Thread_local struct robust_list_head *head, own;
    size_t size;
    if (head)
        return head;
    if (syscall(SYS_get_robust_list, 0, &head, &size) == 0 && head)
        return head;
    own.list.next = &own.list; /* a thread that libc does not know */
    return syscall(SYS_set_robust_list, &own, sizeof own) ? NULL : (head = &own);
}

static inline void peer_undo(peer_memory *memory, peer_guard *guard, uint64_t room)
{
    uint64_t used = peer_load64(&guard->used);
    uint64_t begin = (uint64_t)((uint8_t *)&guard->used - memory->base);
    const uint8_t *entries = (const uint8_t *)(guard + 1);
    while (used >= 16 && used <= room) {
        int64_t distance;
        uint64_t n;
        used -= 16;
        memcpy(&distance, entries + used, 8);
        memcpy(&n, entries + used + 8, 8);
        uint64_t at = begin + (uint64_t)distance;
        if (n > used || (n + 7) / 8 * 8 > used || !peer_inside(memory->there, at, n))
            break;
        used -= (n + 7) / 8 * 8;
        PEER_STORE();
        memmove(memory->base + at, entries + used, n);
    }
    peer_store64(&guard->used, 0);
}

/* -EBUSY when it stays taken until the deadline, or for a second. */
static inline int peer_enter(peer_memory *memory, peer_guard *guard, uint64_t room,
                             int64_t deadline)
{
    struct robust_list_head *head = peer_robust();
    if (!head || head->list_op_pending)
        return head ? -EDEADLK : -ENOSYS;
    *(void *volatile *)&head->list_op_pending = (uint8_t *)&guard->word - head->futex_offset;
    uint32_t me = (uint32_t)(peer_self() & PEER_TID), bits = 0;
    int64_t now = peer_now(), patience = now + PEER_PATIENCE;
    if (deadline < patience)
        patience = deadline > now + PEER_GRACE ? deadline : now + PEER_GRACE;
    for (;;) {
        uint32_t held = peer_load32(&guard->word), id = held & FUTEX_TID_MASK;
        /* Or it died when the memory was not mapped any more, and the kernel said nothing. */
        bool free = id == 0 || held & FUTEX_OWNER_DIED || id > PEER_TID ||
                    (bits && !peer_alive(id));
        if (free && peer_cas32(&guard->word, held, me | bits | (held & FUTEX_WAITERS)))
            break;
        if (peer_now() >= patience) {
            *(void *volatile *)&head->list_op_pending = NULL;
            return -EBUSY;
        }
        if (free || (!(held & FUTEX_WAITERS) &&
                     !peer_cas32(&guard->word, held, held | FUTEX_WAITERS)))
            continue;
        bits = FUTEX_WAITERS;
        peer_futex_wait(&guard->word, held | FUTEX_WAITERS, patience);
    }
    if (peer_load64(&guard->used))
        peer_undo(memory, guard, room);
    return 0;
}

static inline void peer_leave(peer_guard *guard)
{
    peer_store64(&guard->used, 0);
    if (peer_swap32(&guard->word, 0) & FUTEX_WAITERS)
        peer_futex_wake(&guard->word, 1);
    *(void *volatile *)&peer_robust()->list_op_pending = NULL;
}

/* ------------------------------------------------------------------ those who sleep
 *
 * An eventcount, for those who wait for messages, or for room:
 *    0  stamp
 *   24  u32  turn: the word that is slept on; wakers add 1 to it
 *   28  u32  cpu of the last waker, a hint for who spins
 *   56  u32  mask: bit i says that slot i sleeps, bit 31 that others without a slot do
 *   60  u32  how many sleep without a slot
 *   64  u64  31 slots: the identities of who sleeps, or 0
 *
 * To sleep: take a free slot by compare-and-swap, set its bit; membarrier(2), as the one who
 * tells in a queue of one producer and one consumer has no fence of its own between changing
 * the object and looking at the mask. Then, each time: where the bit is clear, set it as
 * before; read turn; look whether what is waited for is there; and where the bit is still
 * set, sleep while turn is what was read. In the end clear the bit, and then the slot. Who
 * gives up wakes another: it may have had its turn.
 * To wake: change the object; if the mask is not 0, make it 0 where all are to be woken, then
 * add 1 to turn and wake on it. Who dies in between leaves others asleep: so nobody sleeps
 * longer than 20 ms without a look. What dead sleepers leave in slots and mask the Lua side
 * takes away.
 */
typedef struct peer_eventcount {
    peer_stamp stamp;
    uint32_t turn, cpu;
    uint64_t unused[3];
    uint32_t mask, more;
    uint64_t slot[31];
} peer_eventcount;

PEER_AT(peer_eventcount, turn, 24); PEER_AT(peer_eventcount, cpu, 28);
PEER_AT(peer_eventcount, mask, 56); PEER_AT(peer_eventcount, more, 60);
PEER_AT(peer_eventcount, slot, 64); PEER_SIZE(peer_eventcount, 312);

#define PEER_SLOTS 31

static inline void peer_mask(peer_eventcount *e, uint32_t clear, uint32_t set)
{
    uint32_t mask;
    do
        mask = peer_load32(&e->mask);
    while (!peer_cas32(&e->mask, mask, (mask & ~clear) | set));
}

static inline void peer_more(peer_eventcount *e, int n) /* never less than 0 */
{
    uint32_t more;
    do
        more = peer_load32(&e->more);
    while (!peer_cas32(&e->more, more, n < 0 && more == 0 ? 0 : more + (uint32_t)n));
}

/* After the object was changed. */
static inline void peer_tell(peer_eventcount *e, int n)
{
    if (peer_load32(&e->mask) == 0)
        return;
    peer_store32(&e->cpu, (uint32_t)sched_getcpu() & 1023);
    if (n == INT_MAX)
        peer_store32(&e->mask, 0);
    PEER_STORE();
    __atomic_fetch_add(&e->turn, 1, __ATOMIC_SEQ_CST);
    peer_futex_wake(&e->turn, n);
}

/* Until ready says something else than -EAGAIN: what it said, or -ETIMEDOUT, or -EINTR. */
static inline int peer_sleep(peer_eventcount *e, int (*ready)(void *), void *context,
                             int64_t deadline)
{
    uint64_t me = peer_self();
    int slot = 0, result;
    while (slot < PEER_SLOTS && !(peer_load64(&e->slot[slot]) == 0 &&
                                  peer_cas64(&e->slot[slot], 0, me)))
        slot++;
    if (slot == PEER_SLOTS)
        peer_more(e, 1);
    for (bool shown = false;;) {
        if (!shown) {
            peer_mask(e, 0, 1u << slot);
            syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
        }
        uint32_t turn = peer_load32(&e->turn);
        result = ready(context);
        if (result != -EAGAIN)
            break;
        shown = peer_load32(&e->mask) & 1u << slot;
        if (peer_now() >= deadline)
            result = -ETIMEDOUT;
        else
            result = shown ? peer_futex_wait(&e->turn, turn, deadline) : 0;
        if (result)
            break;
        shown = peer_load32(&e->mask) & 1u << slot;
    }
    if (slot < PEER_SLOTS) {
        peer_mask(e, 1u << slot, 0);
        peer_cas64(&e->slot[slot], me, 0);
    } else {
        peer_more(e, -1);
        if (peer_load32(&e->more) == 0) {
            peer_mask(e, 1u << PEER_SLOTS, 0);
            if (peer_load32(&e->more)) /* one came in between */
                peer_mask(e, 0, 1u << PEER_SLOTS);
        }
    }
    if (result < 0 && peer_load32(&e->mask))
        peer_futex_wake(&e->turn, 1);
    return result;
}

/* ------------------------------------------------------------------------- the arena
 *
 *     0  stamp
 *    24  u64  bytes that it has
 *    32  u64  bytes that it may grow to, which is what to map
 *    40  u32  bytes of the journal
 *    44  u32  how many objects have names
 *    48  u32  ref of the first entry that lost its name and is still open somewhere
 *    52  u32  how many lines the register has: a multiple of 64, up to 8192
 *    64       the heap's
 *  1232  u32  64 refs: the directory's chains of entries, by hash % 64
 *  1488       blocks of the heap that are only their process's yet
 *  2560       the register of processes
 *             behind which is the guard of all of this and its journal, and then blocks
 *
 * A line of the register is the u64 identity of a process's first thread, or 0, and a u64 since
 * when it is attached, in ns since 1970.
 *
 * A ref counts 16 bytes from the arena's begin; 8 bytes behind it are the block's. The hash is
 * FNV-1a in 32 bits. An entry of the directory:
 *     0  u32  ref of the next one in its chain, or 0
 *     4  u32  ref of the object's block; it lies at the next multiple of 64 behind ref * 16 + 8
 *     8  u16  kind, as in the stamp
 *    10  u16  bytes of the name
 *    12  u32  layout: 1, the version of queues and topics
 *    16  u64  bytes of the object
 *    24  u64  words with a bit for each line of the register that has it open
 *             behind which is the name
 *
 * An object whose name is dropped lives on while the bit of any process is set. So who finds
 * one registers and sets its bit, inside the guard, as a change that the journal undoes; and
 * clears both in the end, or leaves that to whoever finds it dead.
 */
typedef struct peer_arena {
    peer_stamp stamp;
    uint64_t size, max;
    uint32_t journal, objects, dropped, processes, unused[2];
    uint8_t heap[1168];
    uint32_t names[64];
    uint8_t private[1024 + 48];
} peer_arena;

PEER_AT(peer_arena, size, 24); PEER_AT(peer_arena, max, 32);
PEER_AT(peer_arena, journal, 40); PEER_AT(peer_arena, objects, 44);
PEER_AT(peer_arena, dropped, 48); PEER_AT(peer_arena, heap, 64);
PEER_AT(peer_arena, names, 1232); PEER_AT(peer_arena, processes, 52);
PEER_AT(peer_arena, private, 1488); PEER_SIZE(peer_arena, 2560);

typedef struct peer_process {
    uint64_t who, since;
} peer_process;

typedef struct peer_entry {
    uint32_t next, block;
    uint16_t kind, name_size;
    uint32_t layout;
    uint64_t size, open[];
} peer_entry;

PEER_AT(peer_entry, next, 0); PEER_AT(peer_entry, block, 4); PEER_AT(peer_entry, kind, 8);
PEER_AT(peer_entry, name_size, 10); PEER_AT(peer_entry, layout, 12);
PEER_AT(peer_entry, size, 16); PEER_AT(peer_entry, open, 24);
PEER_SIZE(peer_entry, 24);

#define PEER_LAYOUT (sizeof(peer_arena) << 16 | sizeof(peer_entry) << 8 | 16)

static inline peer_process *peer_process_at(peer_memory *memory, uint32_t line)
{
    return (peer_process *)(memory->base + sizeof(peer_arena)) + line;
}

static inline peer_guard *peer_arena_guard(peer_memory *memory)
{
    return (peer_guard *)peer_process_at(memory, memory->processes);
}

/* Inside: changes a word as its journal asks. */
static inline int peer_put64(peer_memory *memory, uint64_t *at, uint64_t value)
{
    peer_guard *guard = peer_arena_guard(memory);
    uint64_t used = peer_load64(&guard->used), n = sizeof *at;
    int64_t distance = (uint8_t *)at - (uint8_t *)&guard->used;
    uint8_t *entries = (uint8_t *)(guard + 1);
    if (memory->journal < 24 || used > memory->journal - 24 || used % 8)
        return -E2BIG;
    peer_write(entries + used, at, 8);
    peer_write(entries + used + 8, &distance, 8);
    peer_write(entries + used + 16, &n, 8);
    peer_store64(&guard->used, used + 24);
    peer_store64(at, value);
    return 0;
}

static inline int peer_arena_enter(peer_memory *memory)
{
    struct stat stat;
    if (fstat(memory->fd, &stat))
        return -errno;
    memory->there = (uint64_t)stat.st_size < memory->size ? (uint64_t)stat.st_size
                                                          : memory->size;
    if (!peer_inside(memory->there, sizeof(peer_arena),
                     memory->processes * sizeof(peer_process) + sizeof(peer_guard) +
                         memory->journal))
        return -EBADMSG;
    return peer_enter(memory, peer_arena_guard(memory), memory->journal, PEER_FOREVER);
}

/* What was begun stays, or with an error nothing of it. */
static inline int peer_arena_leave(peer_memory *memory, int error)
{
    if (error)
        peer_undo(memory, peer_arena_guard(memory), memory->journal);
    peer_leave(peer_arena_guard(memory));
    return error;
}

static inline int peer_register(peer_memory *memory)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t since = (uint64_t)(now.tv_sec * 1000000000LL + now.tv_nsec);
    uint64_t who = peer_identity_of(getpid());
    uint32_t i = 0;
    int error = peer_arena_enter(memory);
    if (error)
        return error;
    while (i < memory->processes && peer_load64(&peer_process_at(memory, i)->who))
        i++;
    error = i == memory->processes
                ? -EUSERS
                : peer_put64(memory, &peer_process_at(memory, i)->since, since);
    error = error ? error : peer_put64(memory, &peer_process_at(memory, i)->who, who);
    error = peer_arena_leave(memory, error);
    if (!error)
        memory->slot = (int)i;
    return error;
}

static inline peer_entry *peer_entry_at(peer_memory *memory, uint32_t ref)
{
    uint64_t at = (uint64_t)ref * 16 + 8;
    return peer_inside(memory->there, at, sizeof(peer_entry) + memory->processes / 8)
               ? (peer_entry *)(memory->base + at)
               : NULL;
}

static inline bool peer_is_named(peer_memory *memory, peer_entry *entry, const char *name,
                                 size_t n)
{
    const uint8_t *begin = (uint8_t *)entry + sizeof *entry + memory->processes / 8;
    return entry->name_size == n &&
           peer_inside(memory->there, (uint64_t)(begin - memory->base), n) &&
           memcmp(begin, name, n) == 0;
}

static inline int peer_set_open(peer_memory *memory, peer_entry *entry, bool open)
{
    uint64_t *word = &entry->open[memory->slot / 64], old = peer_load64(word);
    uint64_t bit = UINT64_C(1) << memory->slot % 64;
    return !(old & bit) == !open ? 0 : peer_put64(memory, word, old ^ bit);
}

/* Inside: where the object of a name lies, which this process has open then. */
static inline int peer_look_up(peer_memory *memory, const char *name, uint16_t kind,
                               uint64_t *offset, uint64_t *size)
{
    peer_arena *arena = (peer_arena *)memory->base;
    uint32_t hash = 2166136261u;
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    uint32_t ref = peer_load32(&arena->names[hash % 64]);
    for (uint64_t left = memory->there / 32; ref; left--) {
        peer_entry *entry = peer_entry_at(memory, ref);
        if (!entry || left == 0) /* scribble, which may go round */
            return -EBADMSG;
        ref = peer_load32(&entry->next);
        if (!peer_is_named(memory, entry, name, n))
            continue;
        if (entry->kind != kind || entry->layout != PEER_VERSION)
            return entry->kind != kind ? -ENOTEMPTY : -EPROTO;
        *offset = ((uint64_t)peer_load32(&entry->block) * 16 + 8 + 63) / 64 * 64;
        *size = peer_load64(&entry->size);
        return peer_inside(memory->there, *offset, *size)
                   ? peer_set_open(memory, entry, true)
                   : -EBADMSG;
    }
    return -ENOENT;
}

/* Inside: this process has nothing of a chain open. Each bit is kept as soon as it is so, as
 * the journal may not have room for all; the line in the register goes last. */
static inline int peer_close_chain(peer_memory *memory, uint32_t ref)
{
    for (uint64_t left = memory->there / 32; ref && left; left--) {
        peer_entry *entry = peer_entry_at(memory, ref);
        int error = entry ? peer_set_open(memory, entry, false) : -EBADMSG;
        if (error)
            return error;
        peer_store64(&peer_arena_guard(memory)->used, 0);
        ref = peer_load32(&entry->next);
    }
    return 0;
}

static inline int peer_map(peer_memory *memory, uint64_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                      memory->fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    if (memory->base)
        munmap(memory->base, memory->size);
    memory->base = base;
    memory->size = size;
    return 0;
}

static inline int peer_attach_arena(peer_memory *memory)
{
    const peer_arena *arena = (const peer_arena *)memory->base;
    uint64_t max = peer_load64(&arena->max);
    if (peer_load32(&arena->stamp.extra) != PEER_LAYOUT)
        return -EPROTO;
    memory->journal = peer_load32(&arena->journal);
    memory->processes = peer_load32(&arena->processes);
    if (memory->processes % 64 || memory->processes - 1 >= 8192)
        return -EBADMSG;
    int error = max > memory->size && max <= UINT64_C(1) << 35 ? peer_map(memory, max) : 0;
    return error ? error : peer_register(memory);
}

/* Lets go. What it had open in an arena others may free from here on. */
PEER_API void peer_detach(peer_memory *memory)
{
    peer_arena *arena = (peer_arena *)memory->base;
    if (memory->slot >= 0 && peer_arena_enter(memory) == 0) {
        int error = peer_close_chain(memory, peer_load32(&arena->dropped));
        for (int i = 0; i < 64 && !error; i++)
            error = peer_close_chain(memory, peer_load32(&arena->names[i]));
        if (!error)
            error = peer_put64(memory, &peer_process_at(memory, (uint32_t)memory->slot)->who, 0);
        peer_arena_leave(memory, error);
    }
    if (memory->base)
        munmap(memory->base, memory->size);
    close(memory->fd);
    *memory = (peer_memory){.fd = -1, .slot = -1};
}

/* Maps an object of /dev/shm, which is to be the caller's own: an arena, or a region. -EUSERS
 * when its register is full: the dead are taken off by Lua's side, as that has the heap. */
PEER_API int peer_attach(peer_memory *memory, const char *name)
{
    struct stat stat;
    *memory = (peer_memory){.slot = -1};
    memory->fd = shm_open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0);
    if (memory->fd < 0)
        return -errno;
    int error = fstat(memory->fd, &stat) ? -errno : 0;
    if (!error && (!S_ISREG(stat.st_mode) || stat.st_uid != geteuid()))
        error = -EPERM;
    if (!error)
        error = stat.st_size ? peer_map(memory, (uint64_t)stat.st_size) : -EAGAIN;
    memory->there = error ? 0 : memory->size;
    if (!error && memory->size >= sizeof(peer_arena)) {
        error = peer_stamp_check((const peer_stamp *)memory->base, PEER_ARENA);
        error = error == -ENOENT ? 0 : error ? error : peer_attach_arena(memory);
    }
    if (error)
        peer_detach(memory);
    return error;
}

/* By its name in the arena, or as "@4096" at an offset. *room is what there is for it. */
static inline int peer_find(peer_memory *memory, const char *name, uint16_t kind,
                            uint64_t least, uint64_t *offset, uint64_t *room)
{
    int error = -ENOENT;
    if (*name == '@') {
        *offset = strtoull(name + 1, NULL, 10);
        error = *offset % 64 || *offset > memory->there ? -EINVAL : 0;
        *room = memory->there - *offset;
    } else if (memory->slot >= 0) {
        error = peer_arena_enter(memory);
        if (!error)
            error = peer_arena_leave(memory,
                                     peer_look_up(memory, name, kind, offset, room));
    }
    if (!error && *room < least)
        error = -ENOENT;
    return error ? error : peer_stamp_check((peer_stamp *)(memory->base + *offset), kind);
}

/* ------------------------------------------------------------------------- the queue
 *
 *     0  stamp
 *    24  u32  capacity: bytes of the longest message
 *    28  u32  units of eight bytes in the ring: the least power of two from 8 on that holds a
 *             record of the capacity
 *    32  u32  1 after a shutdown: nothing is pushed any more
 *    40  u64  identity of the producer, and
 *    48  u64  of the consumer, where there is one of each and there are no guards
 *    64  guard of those who push
 *    80  u64  end: where they push
 *    88  u64  what was last seen of the other end, or of the view that is furthest behind
 *   128  eventcount of those who wait for messages
 *   448  guard of those who pop
 *   464  u64  end: where they pop
 *   472  u64  what was last seen of the other end
 *   512  eventcount of those who wait for room
 *   832       16 loans: u64 identity or 0, u64 the pushing end as it was
 *  1088       16 views: u64 identity or 0, u64 the popping end as it was
 *  1344       the ring, and behind it room for a record of the capacity
 *
 * An end is a place in units, modulo 2^32, in the low half; the high half counts the messages.
 * place % units * 8 is where a record begins. It reaches beyond the ring's end if it is long,
 * and the next one begins as far into the ring. A record:
 *     0  u32  length in bytes
 *     4  u32  units that it takes, this head included, in 29 bits; above them its kind:
 *             1 a value, 2 bytes as they are, 3 a loan that is being written, 4 to be skipped
 *     8       the bytes, padded to eight
 *
 * To push: write the record where nobody looks, then the end. A view is a message that was
 * popped and is still read where it lies: it must not be written over. To pop: copy, then
 * write the end. Who pops waits at a loan, and skips it if its owner died. Both ends' "seen"
 * has to be kept up, as Lua's side looks there first. No field packs more than is said here.
 */
typedef struct peer_end {
    peer_guard guard;
    uint64_t end, seen, unused[4];
} peer_end;

typedef struct peer_queue_layout {
    peer_stamp stamp;
    uint32_t capacity, units, shut, unused;
    uint64_t producer, consumer, spare;
    peer_end push;
    peer_eventcount items;
    uint64_t filler;
    peer_end pop;
    peer_eventcount room;
    uint64_t more_filler;
    struct {
        uint64_t who, at;
    } loans[16], views[16];
    uint8_t ring[];
} peer_queue_layout;

PEER_AT(peer_queue_layout, capacity, 24); PEER_AT(peer_queue_layout, units, 28);
PEER_AT(peer_queue_layout, shut, 32); PEER_AT(peer_queue_layout, producer, 40);
PEER_AT(peer_queue_layout, consumer, 48); PEER_AT(peer_queue_layout, push, 64);
PEER_AT(peer_queue_layout, push.end, 80); PEER_AT(peer_queue_layout, push.seen, 88);
PEER_AT(peer_queue_layout, items, 128); PEER_AT(peer_queue_layout, pop, 448);
PEER_AT(peer_queue_layout, pop.end, 464); PEER_AT(peer_queue_layout, pop.seen, 472);
PEER_AT(peer_queue_layout, room, 512); PEER_AT(peer_queue_layout, loans, 832);
PEER_AT(peer_queue_layout, views, 1088); PEER_AT(peer_queue_layout, ring, 1344);


enum { PEER_REJECT = 1, PEER_SPSC = 2 };                            /* of a queue */
enum { PEER_VALUE = 1, PEER_BYTES = 2, PEER_LOANED = 3, PEER_SKIPPED = 4 };

typedef struct peer_queue {
    peer_queue_layout *at;
    peer_memory *memory;
    uint32_t capacity, units, flags; /* as they were checked */
    uint32_t wanted;                 /* units, by who waits for room */
} peer_queue;

static inline uint32_t peer_extent(uint32_t length)
{
    return 1 + (length + 7) / 8;
}

static inline uint64_t peer_beyond(uint64_t end, uint32_t extent)
{
    return ((end >> 32) + 1) << 32 | (uint32_t)((uint32_t)end + extent);
}

static inline uint8_t *peer_record(const peer_queue *queue, uint64_t end)
{
    return queue->at->ring + (uint64_t)((uint32_t)end & (queue->units - 1)) * 8;
}

PEER_API int peer_queue_open(peer_queue *queue, peer_memory *memory, const char *name)
{
    uint64_t offset = 0, room = 0;
    int error = peer_find(memory, name, PEER_QUEUE, sizeof(peer_queue_layout), &offset,
                          &room);
    if (error)
        return error;
    peer_queue_layout *at = (peer_queue_layout *)(memory->base + offset);
    uint32_t capacity = peer_load32(&at->capacity), units = 8;
    if (capacity < 64 || capacity > 1u << 30)
        return -EBADMSG;
    while (units < peer_extent(capacity))
        units *= 2;
    uint64_t ring = ((uint64_t)units + peer_extent(capacity)) * 8;
    if (peer_load32(&at->units) != units || ring > room - sizeof *at)
        return -EBADMSG;
    *queue = (peer_queue){at, memory, capacity, units, peer_load32(&at->stamp.extra), 0};
    return 0;
}

/* Lets go of the roles that this thread has. */
PEER_API void peer_queue_close(peer_queue *queue)
{
    if (queue->flags & PEER_SPSC) {
        peer_cas64(&queue->at->producer, peer_self(), 0);
        peer_cas64(&queue->at->consumer, peer_self(), 0);
    }
}

/* To be at one end: by its guard, or by a role that nobody living has. */
static inline int peer_queue_enter(peer_queue *queue, peer_end *end, uint64_t *role,
                                   int64_t deadline)
{
    if (!(queue->flags & PEER_SPSC))
        return peer_enter(queue->memory, &end->guard, 0, deadline);
    for (;;) {
        uint64_t held = peer_load64(role);
        if (held == peer_self())
            return 0;
        if (held && peer_alive(held))
            return -EBUSY;
        if (peer_cas64(role, held, peer_self()))
            return 0;
    }
}

static inline void peer_queue_leave(peer_queue *queue, peer_end *end)
{
    if (!(queue->flags & PEER_SPSC))
        peer_leave(&end->guard);
}

/* How far who pushes may go: to the other end, or the view that is furthest behind. */
static inline uint64_t peer_limit(const peer_queue *queue, uint32_t tail)
{
    uint64_t limit = peer_load64(&queue->at->pop.end); /* before the views */
    for (int i = 0; i < 16; i++) {
        if (peer_load64(&queue->at->views[i].who) == 0)
            continue;
        uint64_t at = peer_load64(&queue->at->views[i].at);
        uint32_t behind = tail - (uint32_t)at;
        if (behind <= queue->units && behind > tail - (uint32_t)limit)
            limit = at;
    }
    return limit;
}

/* Whether there is room, or any view's owner was dead. */
static inline int peer_has_room(void *context)
{
    const peer_queue *queue = context;
    uint32_t tail = (uint32_t)peer_load64(&queue->at->push.end);
    uint32_t used = tail - (uint32_t)peer_limit(queue, tail);
    int result = peer_load32(&queue->at->shut) || used > queue->units ||
                         queue->units - used >= queue->wanted
                     ? 0
                     : -EAGAIN;
    for (int i = 0; i < 16 && result; i++) {
        uint64_t who = peer_load64(&queue->at->views[i].who);
        if (who && !peer_alive(who) && peer_cas64(&queue->at->views[i].who, who, 0))
            result = 0;
    }
    return result;
}

/* Inside. */
static inline int peer_append(peer_queue *queue, const void *bytes, uint32_t n)
{
    peer_queue_layout *at = queue->at;
    if (peer_load32(&at->shut))
        return -EPIPE;
    uint64_t tail = peer_load64(&at->push.end);
    uint64_t limit = peer_limit(queue, (uint32_t)tail);
    uint32_t used = (uint32_t)tail - (uint32_t)limit, extent = peer_extent(n);
    if (used > queue->units)
        return -EBADMSG;
    peer_store64(&at->push.seen, limit);
    if (queue->units - used < extent)
        return -EAGAIN;
    uint64_t head = (uint64_t)PEER_VALUE << 61 | (uint64_t)extent << 32 | n;
    peer_write(peer_record(queue, tail), &head, 8);
    peer_write(peer_record(queue, tail) + 8, bytes, n);
    peer_store64(&at->push.end, peer_beyond(tail, extent)); /* now it is there */
    return 0;
}

/* -EMSGSIZE: longer than the capacity; -ENOSPC: full, and it rejects; -ETIMEDOUT, -EINTR;
 * -EPIPE after a shutdown; -EBUSY: another is its producer, or stands still inside. */
PEER_API int peer_push(peer_queue *queue, const void *bytes, size_t n, double timeout)
{
    int64_t deadline = peer_deadline(timeout);
    if (n > queue->capacity)
        return -EMSGSIZE;
    queue->wanted = peer_extent((uint32_t)n);
    for (;;) {
        int error =
            peer_queue_enter(queue, &queue->at->push, &queue->at->producer, deadline);
        if (error)
            return error;
        error = peer_append(queue, bytes, (uint32_t)n);
        peer_queue_leave(queue, &queue->at->push);
        if (!error)
            peer_tell(&queue->at->items, 1);
        if (error != -EAGAIN)
            return error;
        if (queue->flags & PEER_REJECT)
            error = peer_has_room(queue) ? -ENOSPC : 0;
        else
            error = peer_sleep(&queue->at->room, peer_has_room, queue, deadline);
        if (error)
            return error;
    }
}

/* Whether a loan is in front that nobody will finish. */
static inline bool peer_lost(const peer_queue *queue, uint64_t head)
{
    uint64_t first = peer_load64((uint64_t *)(void *)peer_record(queue, head));
    if ((uint32_t)peer_load64(&queue->at->push.end) == (uint32_t)head ||
        first >> 61 != PEER_LOANED)
        return false;
    for (int i = 0; i < 16; i++) {
        uint64_t who = peer_load64(&queue->at->loans[i].who);
        if (who && peer_load64(&queue->at->loans[i].at) == head)
            return !peer_alive(who);
    }
    return true;
}

static inline int peer_has_message(void *context)
{
    const peer_queue *queue = context;
    bool shut = peer_load32(&queue->at->shut); /* before it is found empty */
    uint64_t head = peer_load64(&queue->at->pop.end);
    if ((uint32_t)peer_load64(&queue->at->push.end) == (uint32_t)head)
        return shut ? 0 : -EAGAIN;
    uint64_t first = peer_load64((uint64_t *)(void *)peer_record(queue, head));
    return first >> 61 != PEER_LOANED || peer_lost(queue, head) ? 0 : -EAGAIN;
}

/* Inside: *head goes behind what is taken, and what is skipped. Lost is a loan's place. */
static inline int64_t peer_take(peer_queue *queue, uint64_t *head, const uint64_t *lost,
                                void *to, size_t room, int *kind)
{
    peer_queue_layout *at = queue->at;
    bool shut = peer_load32(&at->shut);
    for (int i = 0; i <= 16; i++) {
        uint64_t tail = peer_load64(&at->push.end);
        uint32_t there = (uint32_t)tail - (uint32_t)*head;
        if (there == 0)
            return shut ? -EPIPE : -EAGAIN;
        uint64_t first = peer_load64((uint64_t *)(void *)peer_record(queue, *head));
        uint32_t length = (uint32_t)first, extent = first >> 32 & 0x1fffffff;
        *kind = (int)(first >> 61);
        if (there > queue->units || length > queue->capacity || extent > there ||
            extent < peer_extent(length) || *kind < PEER_VALUE || *kind > PEER_SKIPPED)
            return -EBADMSG;
        peer_store64(&at->pop.seen, tail);
        if (*kind == PEER_LOANED && !(lost && *lost == *head))
            return -EAGAIN;
        if (*kind < PEER_LOANED && length > room)
            return -ENOBUFS;
        if (*kind < PEER_LOANED)
            memcpy(to, peer_record(queue, *head) + 8, length);
        *head = peer_beyond(*head, extent);
        if (*kind < PEER_LOANED)
            return length;
    }
    return -EAGAIN;
}

/*
 * Takes the first message: how long it is, and in *kind PEER_VALUE, or PEER_BYTES if they are
 * no MessagePack. -ENOBUFS when it is longer than the room, which queue->capacity never is;
 * -ETIMEDOUT, -EINTR; -EPIPE when there never will be one; -EBUSY as for peer_push.
 */
PEER_API int64_t peer_pop(peer_queue *queue, void *to, size_t room, int *kind,
                          double timeout)
{
    int64_t deadline = peer_deadline(timeout);
    peer_end *end = &queue->at->pop;
    for (;;) {
        uint64_t lost = peer_load64(&end->end); /* who lives is looked up outside */
        bool any = peer_lost(queue, lost);
        int64_t result = peer_queue_enter(queue, end, &queue->at->consumer, deadline);
        if (result)
            return result;
        uint64_t head = peer_load64(&end->end), before = head;
        result = peer_take(queue, &head, any ? &lost : NULL, to, room, kind);
        if (head != before)
            peer_store64(&end->end, head); /* now it is taken */
        peer_queue_leave(queue, end);
        if (head != before)
            peer_tell(&queue->at->room, 1);
        if (result == -EAGAIN)
            result = peer_sleep(&queue->at->items, peer_has_message, queue, deadline);
        else
            return result;
        if (result)
            return result;
    }
}

/* ------------------------------------------------------------------------- the topic
 *
 *     0  stamp
 *    24  u64  bytes of the ring: the least power of two from 128 on, twice the capacity
 *    32  u64  capacity: bytes of the longest message
 *    40  u64  lines for subscribers
 *    64  guard of those who publish and subscribe
 *    80  u64  tail: the position behind the newest message
 *    88  u64  oldest: the position of the oldest message that is there
 *    96  u64  limit: no subscriber is behind this
 *   128  eventcount of those who wait for messages
 *   448  eventcount of those who wait for room
 *   768       lines of 64: u64 identity of the subscriber or 0, u64 cursor: up to where it
 *             has read; the rest is not used
 *   then      the ring, and behind it room for a message of the capacity
 *
 * Positions count bytes and only grow; position % ring is the place. A message, at multiples
 * of 16, reaches beyond the ring's end if it is long:
 *     0  u64  its number, from 0
 *     8  u32  length in bytes
 *    16       the bytes, padded to 16
 * At tail there is the number of the message to come.
 *
 * To publish: if there is no room, or none for the next number behind it, wait until no cursor
 * is where it would be written over, unless the topic drops; then move oldest up, with a fence
 * behind it. Write length and bytes, the next one's number behind them, and then the tail.
 * To read, without the guard: copy; a fence; look whether oldest has passed the cursor, in
 * which case what was copied is nothing: go on from oldest. Numbers tell how many were lost.
 * Then write the cursor to the line, and tell who waits for room if the topic does not drop.
 */
typedef struct peer_line {
    uint64_t who, cursor, unused[6];
} peer_line;

typedef struct peer_topic_layout {
    peer_stamp stamp;
    uint64_t ring, capacity, lines, unused[2];
    peer_guard guard;
    uint64_t tail, oldest, limit, spare[3];
    peer_eventcount news;
    uint64_t filler;
    peer_eventcount room;
    uint64_t more_filler;
    peer_line line[];
} peer_topic_layout;

typedef struct peer_message {
    uint64_t number;
    uint32_t length, unused;
} peer_message;

PEER_AT(peer_topic_layout, ring, 24); PEER_AT(peer_topic_layout, capacity, 32);
PEER_AT(peer_topic_layout, lines, 40); PEER_AT(peer_topic_layout, guard, 64);
PEER_AT(peer_topic_layout, tail, 80); PEER_AT(peer_topic_layout, oldest, 88);
PEER_AT(peer_topic_layout, limit, 96); PEER_AT(peer_topic_layout, news, 128);
PEER_AT(peer_topic_layout, room, 448); PEER_AT(peer_topic_layout, line, 768);
PEER_AT(peer_line, who, 0); PEER_AT(peer_line, cursor, 8); PEER_SIZE(peer_line, 64);
PEER_AT(peer_message, number, 0); PEER_AT(peer_message, length, 8);
PEER_SIZE(peer_message, 16);

typedef struct peer_topic {
    peer_topic_layout *at;
    uint8_t *bytes; /* the ring's */
    peer_memory *memory;
    uint64_t ring, capacity, lines; /* as they were checked */
    uint64_t wanted;                /* bytes, by who waits for room */
    bool drops;
    int64_t deadline; /* of who publishes */
} peer_topic;

typedef struct peer_subscriber {
    peer_topic topic;
    peer_line *line;
    uint64_t who, cursor, number;
    uint64_t lost; /* messages, up to the last one that it got */
} peer_subscriber;

static inline uint64_t peer_stride(uint64_t length)
{
    return (length + 16 + 15) & ~UINT64_C(15);
}

static inline uint8_t *peer_place(const peer_topic *topic, uint64_t position)
{
    return topic->bytes + (position & (topic->ring - 1));
}

static inline uint64_t peer_number(const peer_topic *topic, uint64_t position)
{
    uint64_t number;
    memcpy(&number, peer_place(topic, position), sizeof number);
    return number;
}

PEER_API int peer_topic_open(peer_topic *topic, peer_memory *memory, const char *name)
{
    uint64_t offset = 0, room = 0, expected = 128;
    int error = peer_find(memory, name, PEER_TOPIC, sizeof(peer_topic_layout), &offset,
                          &room);
    if (error)
        return error;
    peer_topic_layout *at = (peer_topic_layout *)(memory->base + offset);
    uint64_t ring = peer_load64(&at->ring), capacity = peer_load64(&at->capacity);
    uint64_t lines = peer_load64(&at->lines);
    while (expected < 2 * capacity && expected < UINT64_C(1) << 32)
        expected *= 2;
    if (capacity < 64 || capacity > 1u << 30 || ring != expected || lines < 1 ||
        lines > 4096 || sizeof *at + lines * 64 + ring + peer_stride(capacity) > room)
        return -EBADMSG;
    *topic = (peer_topic){at,       (uint8_t *)&at->line[lines],
                          memory,   ring,
                          capacity, lines,
                          0,        peer_load32(&at->stamp.extra) & 1,
                          PEER_FOREVER};
    return 0;
}

static inline int peer_topic_enter(peer_topic *topic, int64_t deadline)
{
    peer_topic_layout *at = topic->at;
    int error = peer_enter(topic->memory, &at->guard, 0, deadline);
    uint64_t tail = peer_load64(&at->tail), oldest = peer_load64(&at->oldest);
    if (!error && (tail - oldest > topic->ring || (tail | oldest) & 15)) {
        tail = (tail + 15) & ~UINT64_C(15); /* scribble: give up what was there */
        peer_store64(&at->oldest, tail);
        peer_store64(&at->limit, tail);
        peer_store64(&at->tail, tail);
    }
    return error;
}

static inline int peer_bury(peer_topic *topic, peer_line *line, uint64_t who)
{
    int error = peer_topic_enter(topic, topic->deadline);
    if (error)
        return error;
    if (peer_load64(&line->who) == who)
        peer_store64(&line->who, 0);
    peer_leave(&topic->at->guard);
    return 0;
}

/* Inside: how many bytes the slowest subscriber has not read yet. */
static inline uint64_t peer_slowest(const peer_topic *topic, uint64_t tail, uint64_t there)
{
    uint64_t most = 0;
    for (uint64_t i = 0; i < topic->lines; i++) {
        uint64_t behind = tail - peer_load64(&topic->at->line[i].cursor);
        if (peer_load64(&topic->at->line[i].who) && behind > most && behind <= there)
            most = behind;
    }
    return most;
}

/* Inside: moves oldest up, until there is room for so many bytes. */
static inline int peer_make_room(peer_topic *topic, uint64_t tail, uint64_t need)
{
    peer_topic_layout *at = topic->at;
    uint64_t oldest = peer_load64(&at->oldest), behind;
    if (tail - oldest + need <= topic->ring)
        return 0;
    if (!topic->drops) {
        behind = peer_slowest(topic, tail, tail - oldest);
        peer_store64(&at->limit, tail - behind);
        if (behind + need > topic->ring)
            return -EAGAIN;
    }
    while (oldest != tail && tail - oldest + need > topic->ring) {
        peer_message message;
        memcpy(&message, peer_place(topic, oldest), sizeof message);
        uint64_t stride = peer_stride(message.length);
        bool sound = message.length <= topic->capacity && stride <= tail - oldest;
        oldest = sound ? oldest + stride : tail;
    }
    peer_store64(&at->oldest, oldest);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* before anything is written over */
    return 0;
}

static inline int peer_try_publish(peer_topic *topic, const void *bytes, uint32_t n)
{
    peer_topic_layout *at = topic->at;
    int error = peer_topic_enter(topic, topic->deadline);
    if (error)
        return error;
    uint64_t tail = peer_load64(&at->tail), end = tail + peer_stride(n);
    uint64_t next = peer_number(topic, tail) + 1; /* its own stands there already */
    error = peer_make_room(topic, tail, peer_stride(n) + sizeof(peer_message));
    if (!error) {
        uint8_t *to = peer_place(topic, tail);
        peer_write(to + offsetof(peer_message, length), &n, sizeof n);
        peer_write(to + sizeof(peer_message), bytes, n);
        peer_write(peer_place(topic, end), &next, sizeof next);
        peer_store64(&at->tail, end); /* now it is there */
    }
    peer_leave(&at->guard);
    if (!error)
        peer_tell(&at->news, INT_MAX);
    return error;
}

/* Whether nobody who lives is in the way. */
static inline int peer_nobody_behind(void *context)
{
    peer_topic *topic = context;
    uint64_t tail = peer_load64(&topic->at->tail);
    int result = 0;
    for (uint64_t i = 0; i < topic->lines; i++) {
        peer_line *line = &topic->at->line[i];
        uint64_t who = peer_load64(&line->who), behind = tail - peer_load64(&line->cursor);
        if (who == 0 || behind > topic->ring || behind + topic->wanted <= topic->ring)
            continue;
        if (who == peer_self())
            return -EDEADLK;
        int error = peer_alive(who) ? -EAGAIN : peer_bury(topic, line, who);
        result = error ? error : result;
    }
    return result;
}

/* -EMSGSIZE; -ETIMEDOUT, -EINTR; -EDEADLK when the slowest subscriber is this thread's. */
PEER_API int peer_publish(peer_topic *topic, const void *bytes, size_t n, double timeout)
{
    int64_t deadline = peer_deadline(timeout);
    if (n > topic->capacity)
        return -EMSGSIZE;
    topic->deadline = deadline;
    topic->wanted = peer_stride(n) + sizeof(peer_message);
    for (;;) {
        int error = peer_try_publish(topic, bytes, (uint32_t)n);
        if (error != -EAGAIN)
            return error;
        error = peer_sleep(&topic->at->room, peer_nobody_behind, topic, deadline);
        if (error)
            return error;
    }
}

/* Inside: a line for a subscriber, or -EUSERS. */
static inline int peer_settle(peer_subscriber *subscriber, bool oldest)
{
    peer_topic_layout *at = subscriber->topic.at;
    uint64_t tail = peer_load64(&at->tail), i = 0;
    while (i < subscriber->topic.lines && peer_load64(&at->line[i].who))
        i++;
    if (i == subscriber->topic.lines)
        return -EUSERS;
    subscriber->line = &at->line[i];
    subscriber->who = peer_self();
    subscriber->cursor = oldest ? peer_load64(&at->oldest) : tail;
    subscriber->number = peer_number(&subscriber->topic, subscriber->cursor);
    if (tail - subscriber->cursor > tail - peer_load64(&at->limit))
        peer_store64(&at->limit, subscriber->cursor);
    peer_store64(&at->line[i].cursor, subscriber->cursor);
    peer_store64(&at->line[i].who, subscriber->who);
    return 0;
}

/* Begins with the oldest message that is there, or the next one that comes. */
PEER_API int peer_subscribe(peer_subscriber *subscriber, const peer_topic *topic,
                            bool oldest)
{
    *subscriber = (peer_subscriber){.topic = *topic};
    for (uint64_t i = 0, once = 0;; once++) {
        int error = peer_topic_enter(&subscriber->topic, PEER_FOREVER);
        if (error)
            return error;
        error = peer_settle(subscriber, oldest);
        peer_leave(&topic->at->guard);
        if (error != -EUSERS || once)
            return error;
        for (; i < topic->lines; i++) {
            uint64_t who = peer_load64(&topic->at->line[i].who);
            if (who && !peer_alive(who))
                peer_bury(&subscriber->topic, &topic->at->line[i], who);
        }
    }
}

PEER_API void peer_unsubscribe(peer_subscriber *subscriber)
{
    if (subscriber->who == peer_self() && peer_cas64(&subscriber->line->who,
                                                     subscriber->who, 0))
        peer_tell(&subscriber->topic.at->room, INT_MAX);
}

/* Says how far it has read. */
static inline void peer_show(peer_subscriber *subscriber)
{
    peer_store64(&subscriber->line->cursor, subscriber->cursor);
    if (!subscriber->topic.drops)
        peer_tell(&subscriber->topic.at->room, INT_MAX);
}

/* -ESTALE when it was overtaken. */
static inline int64_t peer_copy(peer_subscriber *subscriber, uint64_t tail, void *to,
                                size_t room)
{
    const peer_topic *topic = &subscriber->topic;
    const uint8_t *from = peer_place(topic, subscriber->cursor);
    uint64_t ahead = tail - subscriber->cursor;
    peer_message message;
    memcpy(&message, from, sizeof message);
    uint64_t stride = peer_stride(message.length);
    bool sound = message.length <= topic->capacity && stride <= ahead && ahead <= topic->ring;
    if (sound && message.length <= room)
        memcpy(to, from + sizeof message, message.length);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* with the one of who publishes */
    uint64_t passed = peer_load64(&topic->at->oldest) - subscriber->cursor;
    if ((int64_t)passed > 0 || ahead > topic->ring)
        return -ESTALE;
    if (!sound || message.length > room)
        return sound ? -ENOBUFS : -EBADMSG;
    subscriber->lost += message.number - subscriber->number;
    subscriber->number = message.number + 1;
    subscriber->cursor += stride;
    return message.length;
}

static inline int peer_has_news(void *context)
{
    const peer_subscriber *subscriber = context;
    return peer_load64(&subscriber->topic.at->tail) != subscriber->cursor ? 0 : -EAGAIN;
}

/*
 * The next message: how long it is. -ENOBUFS when it is longer than the room, which
 * topic.capacity never is; -ETIMEDOUT, -EINTR; -EIDRM when its line is another's, and -EBADMSG
 * when what lies there makes no sense, as only scribble does.
 */
PEER_API int64_t peer_next(peer_subscriber *subscriber, void *to, size_t room,
                           double timeout)
{
    int64_t deadline = peer_deadline(timeout), result;
    peer_topic_layout *at = subscriber->topic.at;
    bool inside = false; /* after it was overtaken often: nobody publishes meanwhile */
    for (int tries = 0;;) {
        if (peer_load64(&subscriber->line->who) != subscriber->who)
            return -EIDRM;
        if (inside && (result = peer_topic_enter(&subscriber->topic, deadline)))
            return result;
        uint64_t tail = peer_load64(&at->tail);
        result = tail == subscriber->cursor ? -EAGAIN : peer_copy(subscriber, tail, to, room);
        if (result == -ESTALE || result == -EBADMSG)
            subscriber->cursor = result == -ESTALE ? peer_load64(&at->oldest) : tail;
        if (inside)
            peer_leave(&at->guard);
        inside = result == -ESTALE && ++tries > 8;
        if (result == -ESTALE && tries < 16)
            continue;
        if (result != -ENOBUFS && peer_load64(&subscriber->line->cursor) != subscriber->cursor)
            peer_show(subscriber);
        if (result != -EAGAIN)
            return result == -ESTALE ? -EBADMSG : result;
        result = peer_sleep(&at->news, peer_has_news, subscriber, deadline);
        if (result)
            return result;
    }
}

/* ------------------------------------------------------------------------ MessagePack
 *
 * Strings and integers; a program that wants more takes a library. A text in UTF-8 is a
 * string there, all else binary; Lua's side tells no difference. No value is longer than its
 * bytes and nine more.
 */
typedef struct peer_value {
    enum { PEER_OTHER, PEER_INTEGER, PEER_STRING } type;
    int64_t integer; /* from 2^63 on it is negative, as Lua has it */
    const uint8_t *bytes;
    size_t size;
} peer_value;

static inline size_t peer_put_number(uint8_t *to, uint8_t type, uint64_t n, unsigned size)
{
    *to++ = type;
    for (unsigned i = size; i > 0; i--)
        *to++ = (uint8_t)(n >> 8 * (i - 1));
    return 1 + size;
}

static inline size_t peer_pack_integer(uint8_t *to, int64_t n)
{
    if (n >= -32 && n < 128) {
        *to = (uint8_t)n;
        return 1;
    }
    return peer_put_number(to, 0xd3, (uint64_t)n, 8);
}

/* The bytes may lie behind where they go, by nine or more. */
static inline size_t peer_pack_string(uint8_t *to, const void *bytes, size_t n, bool text)
{
    size_t head = n <= 31 && text ? peer_put_number(to, (uint8_t)(0xa0 | n), 0, 0)
                  : n <= 0xff     ? peer_put_number(to, text ? 0xd9 : 0xc4, n, 1)
                  : n <= 0xffff   ? peer_put_number(to, text ? 0xda : 0xc5, n, 2)
                                  : peer_put_number(to, text ? 0xdb : 0xc6, n, 4);
    memmove(to + head, bytes, n);
    return head + n;
}

/* What the bytes are; -EBADMSG when they are not the whole of one value that is known here. */
static inline int peer_unpack(const uint8_t *bytes, size_t n, peer_value *value)
{
    uint8_t type = n ? bytes[0] : 0xc1;
    unsigned size = 0;
    bool number = type <= 0x7f || type >= 0xe0 || (type >= 0xcc && type <= 0xd3);
    bool string = (type >= 0xa0 && type <= 0xbf) || (type >= 0xc4 && type <= 0xc6) ||
                  (type >= 0xd9 && type <= 0xdb);
    *value = (peer_value){PEER_OTHER, 0, bytes, n};
    if (!number && !string)
        return n ? 0 : -EBADMSG;
    if (type >= 0xcc && type <= 0xd3)
        size = 1u << (type & 3);
    else if (type >= 0xc4 && type <= 0xc6)
        size = 1u << (type - 0xc4);
    else if (type >= 0xd9 && type <= 0xdb)
        size = 1u << (type - 0xd9);
    if (n < 1 + (size_t)size)
        return -EBADMSG;
    uint64_t read = type >= 0xe0 ? (uint64_t)(int8_t)type
                    : type <= 0x7f ? type
                    : string && size == 0 ? type & 31u
                                          : 0;
    for (unsigned i = 0; i < size; i++)
        read = read << 8 | bytes[1 + i];
    if (type >= 0xd0 && type <= 0xd2) /* the sign of those that are short */
        read = (uint64_t)((int64_t)(read << (64 - 8 * size)) >> (64 - 8 * size));
    if (n - 1 - size != (string ? read : 0))
        return -EBADMSG;
    *value = number ? (peer_value){PEER_INTEGER, (int64_t)read, NULL, 0}
                    : (peer_value){PEER_STRING, 0, bytes + 1 + size, (size_t)read};
    return 0;
}

#endif
