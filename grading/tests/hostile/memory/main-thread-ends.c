/* The main thread ends, and a second one takes three gigabytes: the process looks like a zombie. */
#include <pthread.h>
#include <string.h>
static void *take_memory(void *none)
{
    enum { SIZE = 50 << 20 };
    usleep(100000);
    for (int i = 0; i < 60; i++) {
        char *memory = malloc(SIZE);
        if (memory == NULL)
            exit(1);
        memset(memory, 1, SIZE);
        usleep(20000);
    }
    succeeded("3000 MB behind an ended thread");
    return none;
}
static void attack(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, take_memory, NULL);
    pthread_exit(NULL);
}
