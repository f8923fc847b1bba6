/* Sleeps for seven seconds before it echoes "hello\n", in naps of one: each answer comes in time,
 * and a check with fifty of them would take longer than the harness allows. */
static ssize_t slow_recv(int fd, void *data, size_t size, int flags)
{
    ssize_t n = recv(fd, data, size, flags);
    for (int i = 0; n == 6 && i < 7; i++)
        sleep(1);
    return n;
}
#define recv slow_recv
static void attack(void)
{
}
