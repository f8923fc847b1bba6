/* Leaves a process behind that has nothing to do with it any more, and works there. */
static void attack(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() != 0)
            _exit(0);
        close(listener);
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        signal(SIGTERM, SIG_IGN);
        for (;;)
            usleep(100000);
    }
}
