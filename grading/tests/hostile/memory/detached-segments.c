/* Takes three gigabytes in segments of System V that no process has attached. */
#include <string.h>
#include <sys/shm.h>
static void attack(void)
{
    enum { SIZE = 50 << 20 };
    for (int i = 0; i < 60; i++) {
        int id = shmget(IPC_PRIVATE, SIZE, 0600);
        char *memory = id != -1 ? shmat(id, NULL, 0) : (void *)-1;
        if (memory == (void *)-1)
            return;
        memset(memory, 1, SIZE);
        shmdt(memory);
        usleep(20000);
    }
    succeeded("3000 MB in segments");
}
