/*
 * The POSIX writer and reader after the text. "late" sleeps between shm_open and ftruncate,
 * which the text's writer may be caught in at any time.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int read_it = argc > 1 && strcmp(argv[1], "read") == 0;
    int fd = shm_open("/posix_shm_demo", read_it ? O_RDWR : O_RDWR | O_CREAT, 0666);
    if (argc > 1 && strcmp(argv[1], "late") == 0)
        usleep(200000);
    sem_t *sem = sem_open("/posix_sem_demo", read_it ? 0 : O_CREAT, 0666, 0);
    if (fd < 0 || sem == SEM_FAILED || (!read_it && ftruncate(fd, 10))) {
        perror("posix");
        return 1;
    }
    struct stat stat;
    fstat(fd, &stat);
    char *memory =
        mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    if (read_it) {
        sem_wait(sem);
        printf("recv:%s\n", memory);
    } else {
        memmove(memory, "yuki...", 8);
        sem_post(sem);
    }
    sem_close(sem);
    return 0;
}
