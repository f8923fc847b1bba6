/* Leaves a daemon behind, in a session of its own. */
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
