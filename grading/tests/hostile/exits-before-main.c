/* Runs before main: disables the preloaded library, claims success, and exits. */
__attribute__((constructor)) static void before_main(void)
{
    unsetenv("LD_PRELOAD");
    puts("listening on 127.0.0.1:1\nserved 1 connections, 6 bytes");
    fflush(stdout);
    _exit(0);
}
static void attack(void)
{
}
