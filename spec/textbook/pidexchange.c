/*
 * A peer that shares no code with ours: the pid exchange after the textbook.
 *
 *   pidexchange KEY serve TEXT ...   creates the segment, sends each TEXT, removes it
 *   pidexchange KEY read N           connects, prints N messages
 *
 * The server fills buf and signals; the client reads and signals back. Their signals are
 * blocked and awaited, because pause would lose one now and then and fail our specs.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

struct shared {
    pid_t pid;
    char buf[124];
};

static void await(int signo)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    struct timespec limit = {.tv_sec = 20};
    if (sigtimedwait(&set, NULL, &limit) != signo) {
        fprintf(stderr, "no signal\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    key_t key = atoi(argv[1]);
    int serve = strcmp(argv[2], "serve") == 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);

    int id = shmget(key, sizeof(struct shared), serve ? IPC_CREAT | IPC_EXCL | 0600 : 0);
    if (id < 0) {
        perror("shmget");
        return 1;
    }
    struct shared *shared = shmat(id, NULL, 0);
    if (shared == (void *)-1) {
        perror("shmat");
        return 1;
    }
    pid_t other = shared->pid;
    shared->pid = getpid();
    if (serve) {
        await(SIGUSR2);
        other = shared->pid;
        for (int i = 3; i < argc; i++) {
            strncpy(shared->buf, argv[i], sizeof shared->buf);
            kill(other, SIGUSR1);
            await(SIGUSR2);
        }
        shmctl(id, IPC_RMID, NULL);
        return 0;
    }
    kill(other, SIGUSR2);
    for (int i = 0; i < atoi(argv[3]); i++) {
        await(SIGUSR1);
        printf("%.124s\n", shared->buf);
        kill(other, SIGUSR2);
    }
    return 0;
}
