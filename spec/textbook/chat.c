/*
 * The group chat as textbooks have it, for comparison: one process per client, one buffer
 * per client in shared memory, an index over a socketpair to say whose buffer has news.
 * Its defects are the point; chat_spec shows that our checks find each of them.
 *
 *   chat LIMIT     listens on 127.0.0.1, prints its port and pid, serves until SIGTERM
 *
 * For bench/chat.lua its tables and queues are larger, and EVENTS tells of a notification
 * again that came with another: so it can serve a thousand at all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER_SIZE 1024
#ifndef PROCESS_LIMIT
#define PROCESS_LIMIT 65536
#define EVENTS (EPOLLIN | EPOLLET)
#define QUEUE 128
#endif

struct client {
    int connection;
    int pipe[2]; /* 0 is the parent's end, 1 the child's */
    pid_t pid;
};

static int signal_pipe[2];
static volatile sig_atomic_t child_stops;

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EVENTS, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void tell_loop(int signo)
{
    char byte = (char)signo;
    send(signal_pipe[1], &byte, 1, 0);
}

static void stop_child(int signo)
{
    (void)signo;
    child_stops = 1;
}

static void handle(int signo, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigfillset(&action.sa_mask);
    sigaction(signo, &action, NULL);
}

static void run_child(int index, const struct client *self, char *memory)
{
    int epoll = epoll_create(5), server = self->pipe[1];
    watch(epoll, self->connection);
    watch(epoll, server);
    handle(SIGTERM, stop_child, 0);
    while (!child_stops) {
        struct epoll_event events[5];
        int n = epoll_wait(epoll, events, 5, -1);
        for (int i = 0; i < n; i++) {
            char *mine = memory + index * BUFFER_SIZE;
            ssize_t got;
            if (events[i].data.fd == self->connection) {
                memset(mine, 0, BUFFER_SIZE);
                got = recv(self->connection, mine, BUFFER_SIZE - 1, 0);
                if (got > 0)
                    send(server, &index, sizeof index, 0);
            } else {
                int speaker = 0;
                got = recv(server, &speaker, sizeof speaker, 0);
                if (got > 0)
                    send(self->connection, memory + speaker * BUFFER_SIZE, BUFFER_SIZE,
                         0);
            }
            if (got == 0 || (got < 0 && errno != EAGAIN))
                child_stops = 1;
        }
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    int limit = argc > 1 ? atoi(argv[1]) : 5, users = 0, terminating = 0;
    struct client *clients = calloc((size_t)limit, sizeof *clients);
    int *index_of_pid = calloc(PROCESS_LIMIT, sizeof *index_of_pid);

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) ||
        listen(listener, QUEUE))
        return 1;
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d %d\n", ntohs(address.sin_port), (int)getpid());
    fflush(stdout);

    int epoll = epoll_create(5);
    watch(epoll, listener);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, signal_pipe))
        return 1;
    watch(epoll, signal_pipe[0]);
    handle(SIGCHLD, tell_loop, SA_RESTART);
    handle(SIGTERM, tell_loop, SA_RESTART);
    handle(SIGPIPE, SIG_IGN, 0);

    int id = shmget(IPC_PRIVATE, (size_t)limit * BUFFER_SIZE, IPC_CREAT | 0600);
    char *memory = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);

    while (!terminating || users > 0) {
        struct epoll_event events[5];
        int n = epoll_wait(epoll, events, 5, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int connection = accept(listener, NULL, NULL);
                if (connection < 0)
                    continue;
                if (users == limit) {
                    send(connection, "too many users\n", 15, 0);
                    close(connection);
                    continue;
                }
                struct client *client = &clients[users];
                client->connection = connection;
                if (socketpair(AF_UNIX, SOCK_STREAM, 0, client->pipe))
                    return 1;
                client->pid = fork();
                if (client->pid == 0) {
                    close(epoll);
                    close(listener);
                    close(signal_pipe[0]);
                    close(signal_pipe[1]);
                    close(client->pipe[0]);
                    run_child(users, client, memory);
                }
                close(connection);
                close(client->pipe[1]);
                watch(epoll, client->pipe[0]);
                index_of_pid[client->pid] = users++;
            } else if (fd == signal_pipe[0]) {
                char signals[1024];
                ssize_t got = recv(fd, signals, sizeof signals, 0);
                for (ssize_t s = 0; s < got; s++) {
                    pid_t pid;
                    while (signals[s] == SIGCHLD &&
                           (pid = waitpid(-1, NULL, WNOHANG)) > 0) {
                        int gone = index_of_pid[pid];
                        close(clients[gone].pipe[0]);
                        clients[gone] = clients[--users];
                        index_of_pid[clients[gone].pid] = gone;
                    }
                    for (int u = 0; signals[s] == SIGTERM && u < users; u++)
                        kill(clients[u].pid, SIGTERM);
                    terminating |= signals[s] == SIGTERM;
                }
            } else {
                int speaker = 0;
                if (recv(fd, &speaker, sizeof speaker, 0) <= 0)
                    continue;
                for (int u = 0; u < users; u++) {
                    if (clients[u].pipe[0] != fd)
                        send(clients[u].pipe[0], &speaker, sizeof speaker, 0);
                }
            }
        }
    }
    return 0;
}
