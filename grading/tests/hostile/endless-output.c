/* Prints without end, on both outputs. */
static void attack(void)
{
    for (;;) {
        puts("more and more and more and more and more and more and more");
        fputs("more and more and more and more and more and more and more\n", stderr);
    }
}
