/*
 * Clients of a chat, all in one process: they join, some of them talk, and all count what
 * they read. The same for any server that passes lines on; what a server puts before a
 * line, behind it or between does not matter.
 *
 *   chat_clients PORT CLIENTS TALKERS LINES AHEAD
 *
 * A line is "<talker> <number> ….". Counted as delivered is each whole line that the
 * reader has not had before and that is newer than its talker's last: what is torn,
 * repeated or out of order is not. A talker is at most AHEAD lines ahead of what the last
 * client has read of it, or a second has passed, as lines can be lost. It ends when all
 * is read, or nothing came for two seconds, and prints how many were delivered, of how
 * many, in how many seconds, and how many came torn, again, or out of order; and the
 * records of 1024 bytes that it has read. It begins, and ends, once a line comes from its
 * standard input; before that it says that all have joined.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE 64
#define STALE 1.0 /* seconds until a line is held to be lost */
#define QUIET 2.0 /* seconds without a line until that was all */

typedef struct reader {
    int fd;
    uint32_t got; /* bytes of a line that has not ended */
    bool greeted;
    char line[4096];
    uint32_t *last; /* by talker */
} reader;

static reader *readers;
static int clients, talkers, lines, ahead;
static uint64_t delivered, wrong, bytes;
static double latest;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "chat_clients: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A line that has ended, without NULs and what stands before "#". */
static void hear(reader *self, const char *line)
{
    const char *mark = strchr(line, '#');
    int talker, number, end = 0;
    if (!mark)
        return;
    self->greeted = true;
    if (sscanf(mark, "#%d %d %n", &talker, &number, &end) == 2 && number == 0)
        return; /* a greeting */
    if (end == 0 || talker < 0 || talker >= talkers || number < 0 || number > lines)
        wrong++;
    else if (strlen(mark) != LINE - 1 || (uint32_t)number <= self->last[talker])
        wrong++;
    else {
        self->last[talker] = (uint32_t)number;
        delivered++;
    }
}

static void take(reader *self, const char *data, ssize_t n)
{
    for (ssize_t i = 0; i < n; i++) {
        if (data[i] == '\n') {
            self->line[self->got] = 0;
            hear(self, self->line);
            self->got = 0;
        } else if (data[i] != 0 && self->got < sizeof self->line - 1)
            self->line[self->got++] = data[i];
    }
}

static void drain(reader *self)
{
    static char data[1 << 16];
    ssize_t n = recv(self->fd, data, sizeof data, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        fail("a client was cut off");
    if (n <= 0)
        return;
    bytes += (uint64_t)n;
    uint64_t before = delivered;
    take(self, data, n);
    if (delivered != before)
        latest = now();
}

static void drain_all(int epoll, int timeout)
{
    static struct epoll_event events[256];
    int n = epoll_wait(epoll, events, 256, timeout);
    for (int i = 0; i < n; i++)
        drain(&readers[events[i].data.u32]);
}

static void say(int talker, int number)
{
    char line[LINE + 1];
    int n = snprintf(line, sizeof line, "#%d %d ", talker, number);
    memset(line + n, '.', (size_t)(LINE - n));
    line[LINE - 1] = '\n';
    if (send(readers[talker].fd, line, LINE, 0) != LINE)
        fail("send");
}

static void join(int port, int epoll)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    for (int i = 0; i < clients; i++) {
        reader *self = &readers[i];
        self->fd = socket(AF_INET, SOCK_STREAM, 0);
        self->last = calloc((size_t)talkers, sizeof *self->last);
        if (self->fd < 0 ||
            connect(self->fd, (struct sockaddr *)&address, sizeof address))
            fail("connect");
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &event);
        drain_all(epoll, 0);
    }
}

/* Until each has heard another. */
static void greet(int epoll)
{
    double deadline = now() + 120, next = 0;
    for (int missing = clients; missing > 0;) {
        if (now() > deadline)
            fail("not all clients are served");
        if (now() > next) {
            say(0, 0);
            say(clients - 1, 0);
            next = now() + 1;
        }
        drain_all(epoll, 10);
        missing = 0;
        for (int i = 0; i < clients; i++)
            missing += !readers[i].greeted;
    }
    for (double quiet = now() + 1; now() < quiet;) /* what else there is of that */
        drain_all(epoll, 100);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    int port = atoi(argv[1]), epoll = epoll_create1(0);
    clients = atoi(argv[2]);
    talkers = atoi(argv[3]);
    lines = atoi(argv[4]);
    ahead = atoi(argv[5]);
    readers = calloc((size_t)clients, sizeof *readers);
    int *said = calloc((size_t)talkers, sizeof *said);
    double *when = calloc((size_t)talkers, sizeof *when);
    double joining = now();
    join(port, epoll);
    greet(epoll);
    fprintf(stderr, "%.1f\n", now() - joining);
    printf("joined\n");
    fflush(stdout);
    if (getchar() == EOF)
        return 1;

    double start = now();
    uint64_t all = (uint64_t)talkers * (uint64_t)lines * (uint64_t)(clients - 1);
    const reader *witness = &readers[clients - 1];
    bytes = 0;
    latest = start;
    while (delivered < all) {
        bool talks = false;
        double time = now();
        for (int i = 0; i < talkers; i++) {
            while (said[i] < lines &&
                   (said[i] - (int)witness->last[i] < ahead || time > when[i] + STALE)) {
                say(i, ++said[i]);
                when[i] = time;
            }
            talks |= said[i] < lines;
        }
        if (!talks && time > latest + QUIET)
            break;
        drain_all(epoll, 10);
    }
    printf("%llu %llu %f %llu %llu\n", (unsigned long long)delivered,
           (unsigned long long)all, latest - start, (unsigned long long)wrong,
           (unsigned long long)bytes / 1024);
    fflush(stdout);
    getchar(); /* who asked looks at the servers, meanwhile */
    return 0;
}
