/*
 * An echo server with libuv, in the style of its guide and its tests: uv_read_start, a buffer for
 * each read, a uv_write for each echo.
 */
#include "listen.h"
#include <signal.h>
#include <uv.h>

struct echo {
    uv_write_t request;
    uv_buf_t buffer;
};

static void on_close(uv_handle_t *client)
{
    free(client);
}

static void allocate_buffer(uv_handle_t *client, size_t suggested, uv_buf_t *buffer)
{
    (void)client;
    *buffer = uv_buf_init(malloc(suggested), (unsigned int)suggested);
}

static void on_write(uv_write_t *request, int status)
{
    (void)status;
    struct echo *echo = (struct echo *)request;
    free(echo->buffer.base);
    free(echo);
}

static void on_read(uv_stream_t *client, ssize_t n, const uv_buf_t *buffer)
{
    struct echo *echo = n > 0 ? malloc(sizeof *echo) : NULL;
    if (echo != NULL) {
        echo->buffer = uv_buf_init(buffer->base, (unsigned int)n);
        if (uv_write(&echo->request, client, &echo->buffer, 1, on_write) == 0)
            return;
        free(echo);
    }
    free(buffer->base);
    if (n != 0) /* 0 is EAGAIN */
        uv_close((uv_handle_t *)client, on_close);
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *client = status == 0 ? malloc(sizeof *client) : NULL;
    if (client == NULL)
        return;
    uv_tcp_init(listener->loop, client);
    if (uv_accept(listener, (uv_stream_t *)client) == 0)
        uv_read_start((uv_stream_t *)client, allocate_buffer, on_read);
    else
        uv_close((uv_handle_t *)client, on_close);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    int fd = listen_on_argument(argc, argv);
    uv_tcp_t listener;
    if (uv_tcp_init(uv_default_loop(), &listener) != 0 || uv_tcp_open(&listener, fd) != 0 ||
        uv_listen((uv_stream_t *)&listener, SOMAXCONN, on_connection) != 0)
        return 1;
    print_address(fd);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
