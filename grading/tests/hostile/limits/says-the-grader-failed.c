/* Ends with the words that the harness has used for a failure of the machine. */
static void attack(void)
{
    fputs("harness: cannot run ./server: Exec format error\n"
          "valgrind: failed to start tool 'memcheck'\n",
          stderr);
    exit(1);
}
