/* Prints endlessly, to standard output and standard error. */
static void attack(void)
{
    for (;;) {
        puts("more and more and more and more and more and more and more");
        fputs("more and more and more and more and more and more and more\n", stderr);
    }
}
