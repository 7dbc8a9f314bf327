/* What the C library makes of two paths, for comparison. */
#include <stdio.h>
#include <sys/ipc.h>

int main(void)
{
    printf("%d %d", ftok(".", 0x66), ftok("/tmp", 0x6666));
    return 0;
}
