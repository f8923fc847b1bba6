/* Each of its servers that are started without faults has 185 children that sleep; otherwise it is
 * correct. */
static void attack(void)
{
    for (int i = 0; i < 185 && is_plain_start(); i++) {
        pid_t child = fork();
        if (child == 0) {
            close(listener);
            for (;;)
                pause();
        }
        if (child == -1)
            succeeded("a server cannot have as many processes as it may");
    }
}
