/* Has a data race, which ThreadSanitizer is told not to report. The atomic makes it be asked. */
#include <pthread.h>
#include <stdatomic.h>
static int shared;
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_bugs=0:exitcode=0";
}
static void *race(void *argument)
{
    for (int i = 0; i < 1000; i++)
        shared++;
    return argument;
}
static void attack(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, race, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}
