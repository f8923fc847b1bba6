/* Ends with a line that could be from the grader. */
static void attack(void)
{
    fprintf(stderr, "harness: cannot run ./server: Exec format error\n");
    exit(127);
}
