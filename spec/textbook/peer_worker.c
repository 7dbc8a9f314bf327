/*
 * Works until it is killed: pushes, pops, publishes or reads integers that count up, in a
 * region with a queue or topic at 0. A word there says which one came last, once the function
 * has returned. `peer_worker NAME push|pop|publish|read WORD`.
 */
#include "../../examples/peer.h"

int main(int argc, char **argv)
{
    static uint8_t bytes[4096];
    peer_memory memory;
    peer_queue queue;
    peer_topic topic;
    peer_subscriber reader;
    if (argc != 4 || peer_attach(&memory, argv[1]))
        return 2;
    uint64_t *word = (uint64_t *)(void *)(memory.base + atol(argv[3]));
    char what = argv[2][2]; /* the third letter */
    int64_t result = what == 's' || what == 'p' ? peer_queue_open(&queue, &memory, "@0")
                                                : peer_topic_open(&topic, &memory, "@0");
    if (!result && what == 'a')
        result = peer_subscribe(&reader, &topic, true);
    for (int64_t n = (int64_t)peer_load64(word) + 1; result >= 0; n++) {
        int kind;
        size_t size = peer_pack_integer(bytes, n);
        result = what == 's'   ? peer_push(&queue, bytes, size, 20)
                 : what == 'b' ? peer_publish(&topic, bytes, size, 20)
                 : what == 'p' ? peer_pop(&queue, bytes, sizeof bytes, &kind, 20)
                               : peer_next(&reader, bytes, sizeof bytes, 20);
        peer_value value;
        if (result > 0 && (peer_unpack(bytes, (size_t)result, &value) ||
                           value.type != PEER_INTEGER))
            return 3;
        if (result >= 0)
            __atomic_store_n(word, (uint64_t)(result > 0 ? value.integer : n),
                             __ATOMIC_SEQ_CST);
    }
    fprintf(stderr, "peer_worker: %s\n", strerror((int)-result));
    return 1;
}
