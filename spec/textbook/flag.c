/*
 * The flag hand-over after the text, at key 1234: "server" shows what the client wrote and
 * removes the segment, "client" hands over its arguments. The flag is volatile, as the text's
 * plain word may be hoisted out of the loop; the sleeps are shorter.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

struct shared_use_st {
    volatile int written_by_you;
    char some_text[2048];
};

int main(int argc, char **argv)
{
    int id = shmget((key_t)1234, sizeof(struct shared_use_st), 0666 | IPC_CREAT);
    struct shared_use_st *shared = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
    if (shared == (void *)-1) {
        perror("flag");
        return 1;
    }
    if (strcmp(argv[1], "client") == 0) {
        for (int i = 2; i < argc; i++) {
            while (shared->written_by_you)
                usleep(1000);
            snprintf(shared->some_text, sizeof shared->some_text, "%s\n", argv[i]);
            __sync_synchronize();
            shared->written_by_you = 1;
        }
        return 0;
    }
    for (int running = 1; running;) {
        while (!shared->written_by_you)
            usleep(1000);
        __sync_synchronize();
        printf("You wrote: %s", shared->some_text);
        running = strncmp(shared->some_text, "end", 3) != 0;
        __sync_synchronize();
        shared->written_by_you = 0;
    }
    shmctl(id, IPC_RMID, NULL);
    return 0;
}
