/*
 * The alphabet after the text, in one file: "server" creates with IPC_EXCL, shows what it
 * sees and removes; "client" writes A, AB, ABC ... Their sleeps are shorter than the text's
 * seconds, and the server stops at the whole alphabet.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int serve = argc > 1 && strcmp(argv[1], "server") == 0;
    key_t key = ftok(".", 0x6666);
    int id = -1;
    for (int i = 0; i < 1000 && id < 0; i++, usleep(10000))
        id = shmget(key, 4096, serve ? IPC_CREAT | IPC_EXCL | 0666 : IPC_CREAT);
    char *text = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    if (text == (char *)-1) {
        perror("alphabet");
        return 1;
    }
    for (int i = 0; serve && i < 1000 && strlen(text) < 26; i++)
        usleep(10000);
    for (int i = 0; !serve && i < 26; i++) {
        text[i] = (char)('A' + i);
        text[i + 1] = 0;
        usleep(5000);
    }
    if (serve) {
        printf("client# %s\n", text);
        shmdt(text);
        shmctl(id, IPC_RMID, NULL);
    }
    return 0;
}
