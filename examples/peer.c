/*
 * A program in C that pushes, pops, publishes and reads what a Lua program made. It knows
 * peer.h and nothing of the module:
 *
 *     gcc -O2 -o peer examples/peer.c
 *     lua5.4 -e 'require("shm").arena("/game"):queue("jobs")'
 *     ./peer /game push jobs "dig a hole"
 */
#include "peer.h"

static const char HELP[] =
    "peer NAME push QUEUE TEXT...     pushes each\n"
    "peer NAME pop QUEUE [N]          pops N messages (1), and prints each on a line\n"
    "peer NAME publish TOPIC TEXT...  publishes each\n"
    "peer NAME read TOPIC [N]         prints N messages (1), from the oldest on\n"
    "\n"
    "NAME is that of an arena, as /game, in which QUEUE and TOPIC have names; or of a region,\n"
    "where they are @OFFSET. A TEXT that is an integer is sent as such; - is all of stdin, as\n"
    "binary. Each message is waited for PEER_TIMEOUT seconds (10); then it ends with 1.\n";

static uint8_t *bytes; /* of one message */
static size_t room;    /* for it, which is the object's capacity */

static size_t pack(const char *text)
{
    char *end;
    int64_t n = strtoll(text, &end, 10);
    bool binary = strcmp(text, "-") == 0;
    if (*text && !*end)
        return peer_pack_integer(bytes, n);
    size_t size = binary ? fread(bytes + 9, 1, room, stdin) : strlen(text);
    if (size > room)
        return size;
    return peer_pack_string(bytes, binary ? (char *)bytes + 9 : text, size, !binary);
}

static void print(size_t n, bool raw)
{
    peer_value value;
    if (raw || peer_unpack(bytes, n, &value))
        value = (peer_value){PEER_STRING, 0, bytes, n};
    if (value.type == PEER_INTEGER)
        printf("%lld\n", (long long)value.integer);
    else if (value.type == PEER_OTHER)
        printf("(%zu bytes of MessagePack)\n", n);
    else if (fwrite(value.bytes, 1, value.size, stdout) == value.size)
        putchar('\n');
    fflush(stdout);
}

static int64_t failed(const char *what, int64_t error)
{
    if (error < 0)
        fprintf(stderr, "peer: %s: %s\n", what, strerror((int)-error));
    return error;
}

int main(int argc, char **argv)
{
    peer_memory memory;
    peer_queue queue;
    peer_topic topic;
    peer_subscriber reader = {.line = NULL};
    const char *what = argc > 3 ? argv[2] : "", *wait = getenv("PEER_TIMEOUT");
    bool push = strcmp(what, "push") == 0, pop = strcmp(what, "pop") == 0;
    bool publish = strcmp(what, "publish") == 0, read = strcmp(what, "read") == 0;
    if (!push && !pop && !publish && !read) {
        bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;
        return fputs(HELP, asked ? stdout : stderr), asked ? 0 : 2;
    }
    double timeout = wait ? atof(wait) : 10;
    int64_t n = push || publish ? argc - 4 : argc > 4 ? atoll(argv[4]) : 1;
    int64_t result = failed(argv[1], peer_attach(&memory, argv[1]));
    if (result)
        return 1;
    result = push || pop ? peer_queue_open(&queue, &memory, argv[3])
                         : peer_topic_open(&topic, &memory, argv[3]);
    if (!result && read)
        result = peer_subscribe(&reader, &topic, true);
    room = result ? 0 : push || pop ? queue.capacity : (size_t)topic.capacity;
    bytes = malloc(room + 9);
    for (int64_t i = 0; i < n && result >= 0 && bytes; i++) {
        int kind = PEER_VALUE;
        result = push      ? peer_push(&queue, bytes, pack(argv[4 + i]), timeout)
                 : publish ? peer_publish(&topic, bytes, pack(argv[4 + i]), timeout)
                 : pop     ? peer_pop(&queue, bytes, room, &kind, timeout)
                           : peer_next(&reader, bytes, room, timeout);
        if (result >= 0 && (pop || read))
            print((size_t)result, kind == PEER_BYTES);
    }
    failed(argv[3], result);
    if (reader.line)
        peer_unsubscribe(&reader);
    if (room && (push || pop))
        peer_queue_close(&queue);
    peer_detach(&memory);
    free(bytes);
    return result < 0;
}
