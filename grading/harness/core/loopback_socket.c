#include "core/loopback_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct sockaddr_in loopback_address(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int bind_loopback(int port, bool reuse_address, int *bound_port)
{
    struct sockaddr_in address = loopback_address(port);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -1;
    if ((reuse_address && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == -1) ||
        bind(fd, (struct sockaddr *)&address, size) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &size) == -1) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    *bound_port = ntohs(address.sin_port);
    return fd;
}
