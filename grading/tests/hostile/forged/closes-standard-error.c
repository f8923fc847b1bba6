/* Closes each client twice: where that is reported, it has closed. */
static void attack(void)
{
    close(2);
}
