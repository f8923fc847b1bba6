/*
 * An echo server with libuv, as its guide and its own tests write one: uv_read_start, a buffer for
 * each read, a uv_write for each answer.
 */
#include "peer.h"
#include <signal.h>
#include <uv.h>

struct answer {
    uv_write_t request;
    uv_buf_t buffer;
};

static void on_closed(uv_handle_t *client)
{
    free(client);
}

static void give_room(uv_handle_t *client, size_t suggested, uv_buf_t *buffer)
{
    (void)client;
    *buffer = uv_buf_init(malloc(suggested), (unsigned int)suggested);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    struct answer *answer = (struct answer *)request;
    free(answer->buffer.base);
    free(answer);
}

static void on_read(uv_stream_t *client, ssize_t n, const uv_buf_t *buffer)
{
    struct answer *answer = n > 0 ? malloc(sizeof *answer) : NULL;
    if (answer != NULL) {
        answer->buffer = uv_buf_init(buffer->base, (unsigned int)n);
        if (uv_write(&answer->request, client, &answer->buffer, 1, on_written) == 0)
            return;
        free(answer);
    }
    free(buffer->base);
    if (n != 0) /* 0 is EAGAIN */
        uv_close((uv_handle_t *)client, on_closed);
}

static void on_knock(uv_stream_t *listener, int status)
{
    uv_tcp_t *client = status == 0 ? malloc(sizeof *client) : NULL;
    if (client == NULL)
        return;
    uv_tcp_init(listener->loop, client);
    if (uv_accept(listener, (uv_stream_t *)client) == 0)
        uv_read_start((uv_stream_t *)client, give_room, on_read);
    else
        uv_close((uv_handle_t *)client, on_closed);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    int fd = listen_on_argument(argc, argv);
    uv_tcp_t listener;
    if (uv_tcp_init(uv_default_loop(), &listener) != 0 || uv_tcp_open(&listener, fd) != 0 ||
        uv_listen((uv_stream_t *)&listener, SOMAXCONN, on_knock) != 0)
        return 1;
    say_listening(fd);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
