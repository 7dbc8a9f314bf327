/*
 * Furniture among scribble: libFuzzer drives this, and learns which bytes lead to code
 * that was not reached before.
 *
 * An input is a program: operations on an arena, maps, a queue and a topic, and between
 * them bytes of the memory that are changed as a hostile peer would. Each begins with the
 * same whole image. The memory lies between two pages that can not be touched, and the
 * sanitizers watch the rest; no operation may take longer than libFuzzer allows, so none
 * goes round for ever. A guard that scribble gave to a stranger is freed, as waiting for
 * it takes a second by design, and is another spec's.
 */
#include "ds/first.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define SIZE (160 * 1024u)
#define OUT 8192
#define OPERATIONS 200 /* of one input */
#define MILESTONE 10000000u
#define NAMES 6

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static uint8_t *memory, image[SIZE];
static mem_mapping *mapping;
static uint64_t operations, limit;

static ds_arena *arena;
static ds_object objects[NAMES]; /* two maps, a queue, a topic, bytes, a mutex */
static bool is_open[NAMES];
static ds_map maps[2];
static ds_queue queue;
static ds_topic topic;
static ds_subscriber subscriber;
static bool has_queue, has_topic, subscribed;
static ds_loan loan, view;
static bool lent, viewed;
static uint32_t block;
static uint8_t out[OUT];

static const uint8_t *input, *end;

static uint8_t byte(void)
{
    return input < end ? *input++ : 0;
}

static uint32_t word(void)
{
    uint32_t low = byte();
    return low | (uint32_t)byte() << 8;
}

static uint32_t offset(void)
{
    return (word() | (uint32_t)byte() << 16) % SIZE;
}

static int keep(void *base, size_t size)
{
    (void)base;
    (void)size;
    return 0;
}

static void make_bytes(ds_arena *of, void *at, const void *context)
{
    (void)of;
    memset(at, 0, *(const size_t *)context);
}

static void make_mutex(ds_arena *of, void *at, const void *context)
{
    (void)of;
    (void)context;
    sync_make(at, SYNC_MUTEX, 0, 0);
}

static void make_queue(ds_arena *of, void *at, const void *context)
{
    ds_queue_options options = *(const ds_queue_options *)context;
    (void)of;
    options.spsc = byte() & 1;
    ds_queue_make(at, &options);
}

static void make_topic(ds_arena *of, void *at, const void *context)
{
    (void)of;
    ds_topic_make(at, context);
}

static const ds_queue_options of_queue = {.capacity = 512};
static const ds_topic_options of_topic = {.capacity = 512, .subscribers = 4};
static const ds_map_options of_map = {.evicts = false};
static const ds_map_options of_cache = {.evicts = true, .limit = 4096};
static const size_t of_bytes = 100;

static int open_object(int i)
{
    ds_wanted wanted[NAMES] = {
        {"map", 3, DS_MAP, 1, sizeof(ds_map_memory), ds_map_make, &of_map, 0},
        {"cache", 5, DS_MAP, 1, sizeof(ds_map_memory), ds_map_make, &of_cache, 0},
        {"queue", 5, DS_QUEUE, 1, ds_queue_size(&of_queue), make_queue, &of_queue, 0},
        {"topic", 5, DS_TOPIC, 1, ds_topic_size(&of_topic), make_topic, &of_topic, 0},
        {"bytes", 5, DS_BYTES, 0, of_bytes, make_bytes, &of_bytes, 0},
        {"mutex", 5, SYNC_MUTEX, 1, sizeof(sync_mutex), make_mutex, NULL, 0},
    };
    bool made;
    if (is_open[i])
        return 0;
    int error = ds_object_open(arena, &wanted[i], 1, &objects[i], &made);
    is_open[i] = !error;
    return error;
}

static void open_map(int i)
{
    if (open_object(i))
        return;
    if (maps[i].arena == NULL && ds_map_open(&objects[i], &maps[i]))
        maps[i].arena = NULL;
}

static void open_queue(void)
{
    if (!has_queue && open_object(2) == 0)
        has_queue =
            ds_queue_attach(&queue, mapping, objects[2].at, objects[2].size, 1) == 0;
}

static void open_topic(void)
{
    if (!has_topic && open_object(3) == 0)
        has_topic =
            ds_topic_attach(&topic, mapping, objects[3].at, objects[3].size, 1) == 0;
}

static void close_one(int i)
{
    pid_t holder;
    if (i == 2 && lent)
        ds_loan_drop(&loan);
    if (i == 2 && viewed)
        ds_view_release(&view);
    if (i == 2 && has_queue)
        ds_queue_close(&queue);
    if (i == 2)
        lent = viewed = has_queue = false;
    if (i == 3 && subscribed)
        ds_subscriber_close(&subscriber);
    if (i == 3)
        subscribed = has_topic = false;
    if (i < 2)
        maps[i].arena = NULL;
    if (is_open[i])
        ds_object_close(&objects[i]);
    is_open[i] = false;
    (void)holder;
}

static void close_all(void)
{
    for (int i = 0; i < NAMES; i++)
        close_one(i);
    if (arena)
        ds_arena_release(arena);
    arena = NULL;
    block = 0;
}

static void open_arena(void)
{
    bool made;
    ds_arena_options options = {.max = SIZE};
    if (!arena && ds_arena_open(mapping, memory, SIZE, SIZE, &options, 1, &arena, &made))
        arena = NULL;
}

/* Of nobody, or of somebody who died: both are for the next one to take. */
static void free_guard(mem_guard *guard)
{
    uint32_t held = mem_atomic_load32(&guard->word);
    if (held & OS_ROBUST_TID)
        mem_atomic_note32(&guard->word, held & (OS_ROBUST_WAITERS | OS_ROBUST_DIED));
}

static void free_guards(void)
{
    ds_process *processes = (ds_process *)((ds_arena_memory *)memory + 1);
    free_guard(arena ? arena->guarded.guard
                     : (mem_guard *)(processes + DS_ARENA_PROCESSES));
    if (has_queue) {
        free_guard(&queue.at->push.guard);
        free_guard(&queue.at->pop.guard);
    }
    if (has_topic)
        free_guard(&topic.head->guard);
}

static void scribble(void)
{
    static const uint64_t nasty[] = {
        0,    1,          0x7f,       0xff,       0x7fff,    0xffff,    SIZE / DS_UNIT,
        SIZE, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX};
    uint32_t at = offset(), how = byte();
    uint64_t value = how & 1 ? nasty[how / 2 % (sizeof nasty / sizeof *nasty)] : word();
    size_t size = (size_t)1 << (how >> 6);
    if (at > SIZE - 8)
        return;
    if (how & 2)
        at = at / 4 * 4;
    if ((how & 12) == 12) /* a word from elsewhere: offsets that nearly make sense */
        memcpy(&value, memory + offset() % (SIZE - 8), sizeof value);
    memcpy(memory + at, &value, size);
}

static uint8_t key_bytes[64], value_bytes[5000];

static ds_key key_of(const ds_map *map)
{
    size_t n = byte() % 40;
    for (size_t i = 0; i < n; i++)
        key_bytes[i] = i < 2 ? byte() % 16 : 'k';
    return ds_map_key(map, (ds_key_kind)(byte() % 3), key_bytes, n);
}

static int decide(ds_map_change *change, const ds_map_old *old)
{
    switch (*(const uint8_t *)change->context % 5) {
    case 0:
        return old->entry ? DS_MAP_DELETE : -ENOENT;
    case 1:
        return old->entry ? -EEXIST : 0;
    case 2:
        return DS_MAP_LEAVE;
    case 3:
        if (!old->entry)
            return -ENOENT;
        change->value = (ds_bytes){.head = old->value, .head_size = old->size};
        return 0;
    default:
        return 0;
    }
}

static void change_map(ds_map *map, size_t n)
{
    static uint8_t what[3];
    static uint8_t keys[3][64];
    ds_map_change changes[3];
    for (size_t i = 0; i < n; i++) {
        ds_key key = key_of(map);
        memcpy(keys[i], key_bytes, sizeof key_bytes);
        key.bytes = keys[i];
        what[i] = byte();
        size_t size = what[i] & 0x80 ? word() % sizeof value_bytes : byte();
        changes[i] = (ds_map_change){
            .key = key,
            .value = {.head = value_bytes, .head_size = size},
            .expires = what[i] & 0x40   ? 1
                       : what[i] & 0x20 ? DS_MAP_KEEP
                                        : 0,
            .pending = (what[i] & 0x1f) == 0x1f,
            .decide = what[i] & 0x10 ? decide : NULL,
            .context = &what[i],
        };
    }
    ds_map_apply(map, changes, n, 1);
}

static void use_map(uint8_t what)
{
    ds_map *map = &maps[what & 1];
    ds_map_found found;
    ds_buffer buffer = {.bytes = out, .room = sizeof out};
    open_map(what & 1);
    if (!map->arena)
        return;
    ds_key key = key_of(map);
    switch (what / 2 % 8) {
    case 0:
        ds_map_get(map, &key, 1, &buffer, &found);
        break;
    case 1:
        ds_map_next(map, byte() & 1 ? &key : NULL, &buffer, &found);
        break;
    case 2:
        ds_map_expire(map, 1);
        break;
    case 3:
        ds_map_evict(map, word(), 1);
        break;
    case 4:
        change_map(map, 1 + byte() % 3);
        break;
    default:
        change_map(map, 1);
    }
}

/* Where one thread pops, messages are read where they lie. */
static void look_at_first(pid_t *holder)
{
    ds_first first;
    if (ds_queue_first(&queue, 1, &first, holder))
        return;
    memcpy(out, first.bytes, first.size < sizeof out ? first.size : sizeof out);
    ds_queue_pass(&queue, &first);
}

static void use_queue(uint8_t what)
{
    ds_bytes bytes = {.head = value_bytes, .body = value_bytes, .head_size = byte()};
    ds_buffer buffer = {.bytes = out, .room = sizeof out};
    ds_message message;
    size_t n;
    pid_t holder;
    open_queue();
    if (!has_queue)
        return;
    switch (what % 10) {
    case 0:
    case 1:
        ds_queue_push(&queue, &bytes, 1, &holder);
        break;
    case 2:
        if (queue.spsc && byte() & 1)
            look_at_first(&holder);
        else if (byte() & 1)
            ds_queue_pop(&queue, &buffer, 1, &message, &holder);
        else
            ds_queue_pop_many(&queue, &buffer, 1 + byte() % 4, 1, &n, &holder);
        break;
    case 3:
        ds_queue_peek(&queue, &buffer, &message, &holder);
        break;
    case 4:
        if (!lent)
            lent = ds_queue_loan(&queue, word() % 600, 1, &loan, &holder) == 0;
        if (lent)
            memset(loan.bytes, 1, loan.size);
        break;
    case 5:
        if (lent)
            ds_loan_commit(&loan, byte() & 1 ? loan.size : 0);
        lent = false;
        break;
    case 6:
        if (lent)
            ds_loan_drop(&loan);
        lent = false;
        break;
    case 7:
        if (!viewed)
            viewed = ds_queue_view(&queue, 1, &view, &holder) == 0;
        if (viewed && view.size <= sizeof out)
            memcpy(out, view.bytes, view.size);
        break;
    case 8:
        if (viewed)
            ds_view_release(&view);
        viewed = false;
        break;
    default:
        ds_queue_length(&queue);
        ds_queue_used(&queue);
        if (byte() == 7)
            ds_queue_shutdown(&queue, &holder);
    }
}

static void use_topic(uint8_t what)
{
    ds_bytes bytes = {.head = value_bytes, .body = value_bytes, .head_size = byte()};
    ds_buffer buffer = {.bytes = out, .room = sizeof out};
    pid_t holder;
    open_topic();
    if (!has_topic)
        return;
    switch (what % 5) {
    case 0:
    case 1:
        ds_topic_publish(&topic, &bytes, 1, &holder);
        break;
    case 2:
        if (!subscribed)
            subscribed =
                ds_subscriber_open(&subscriber, &topic, byte() & 1, &holder) == 0;
        break;
    case 3:
        if (subscribed)
            ds_subscriber_try(&subscriber, 1, &buffer, &holder);
        break;
    default:
        ds_topic_count(&topic);
        if (subscribed)
            ds_subscriber_close(&subscriber);
        subscribed = false;
    }
}

static void use_arena(uint8_t what)
{
    static const char *const names[] = {"map",   "cache", "queue",
                                        "topic", "bytes", "mutex"};
    ds_buffer buffer = {.bytes = out, .room = sizeof out};
    int i = byte() % NAMES;
    switch (what % 8) {
    case 0:
        if (!block && ds_private_take(arena, word() % 3000 + 1, 1, &block))
            block = 0;
        break;
    case 1:
        if (block)
            ds_private_give(arena, block, 1);
        block = 0;
        break;
    case 2:
        ds_directory_list(arena, &buffer, 1);
        break;
    case 3:
        ds_directory_drop(arena, names[i], strlen(names[i]), 1);
        break;
    case 4:
        open_object(i);
        break;
    case 5:
        close_one(i);
        break;
    case 6:
        if (ds_arena_enter(arena, 1) == 0) {
            ds_heap_check(arena);
            ds_arena_leave(arena);
        }
        break;
    default:
        close_all();
    }
}

static void report(void)
{
    printf("%ju operations\n1 passed, 0 failed\n", (uintmax_t)operations);
}

/* The image that each input begins with: some of everything. */
static void prepare(void)
{
    const char *most = getenv("FUZZ_OPERATIONS");
    limit = most && *most ? strtoull(most, NULL, 10) : UINT64_MAX;
    uint8_t *whole =
        mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (whole == MAP_FAILED || mprotect(whole + PAGE, SIZE, PROT_READ | PROT_WRITE))
        abort();
    memory = whole + PAGE;
    mapping = mem_mapping_new(memory, SIZE, false, keep, "fuzz");
    if (!mapping)
        abort();
    memset(value_bytes, 'v', sizeof value_bytes);
    open_arena();
    for (int i = 0; i < 2; i++) {
        open_map(i);
        for (int64_t k = 0; k < 20; k++) {
            ds_map_change change = {.key = ds_map_key(&maps[i], DS_KEY_INTEGER, &k, 8),
                                    .value = {.head = value_bytes, .head_size = 8}};
            if (ds_map_apply(&maps[i], &change, 1, OS_CLOCK_FOREVER))
                abort();
        }
    }
    open_queue();
    open_topic();
    if (open_object(4) || open_object(5) || !has_queue || !has_topic)
        abort();
    use_queue(0);
    use_topic(0);
    close_all();
    memcpy(image, memory, SIZE);
    atexit(report);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (!memory)
        prepare();
    memcpy(memory, image, SIZE);
    input = bytes;
    end = bytes + n;
    for (int i = 0; i < OPERATIONS && input < end; i++) {
        uint8_t what = byte();
        if (++operations % MILESTONE == 0 && limit < UINT64_MAX)
            printf("%ju of %ju operations\n", (uintmax_t)operations, (uintmax_t)limit);
        free_guards(); /* an operation among scribble may have written there, too */
        if (what < 96) {
            scribble();
            continue;
        }
        open_arena();
        if (!arena)
            continue;
        if (what < 160)
            use_map((uint8_t)(what - 96));
        else if (what < 200)
            use_queue((uint8_t)(what - 160));
        else if (what < 230)
            use_topic((uint8_t)(what - 200));
        else
            use_arena((uint8_t)(what - 230));
    }
    free_guards();
    close_all();
    mem_fault_end(mapping);
    if (operations >= limit) { /* libFuzzer takes exit for a defect */
        report();
        fflush(stdout);
        _exit(0);
    }
    return 0;
}
