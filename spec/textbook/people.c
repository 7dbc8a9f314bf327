/*
 * The record array after the text: "write" fills ten records at key 9527, "read" shows them.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

typedef struct {
    char name[4];
    int age;
} people;

int main(int argc, char **argv)
{
    int id = shmget(9527, 4096, IPC_CREAT | 0666);
    people *map = id < 0 ? (people *)-1 : shmat(id, NULL, 0);
    if (map == (people *)-1) {
        perror("people");
        return 1;
    }
    char letter = 'a';
    for (int i = 0; i < 10; i++) {
        if (argc > 1 && strcmp(argv[1], "write") == 0) {
            letter++;
            memcpy(map[i].name, &letter, 1);
            map[i].age = 20 + i;
        } else {
            printf("%.4s %d; ", map[i].name, map[i].age);
        }
    }
    return 0;
}
