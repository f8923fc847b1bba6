/*
 * What the load generators send, and what is wrong with an answer to it. Each line is unique,
 * across servers, connections and time, so that a wrong, late or incomplete answer is noticed.
 */
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { MESSAGE = 64, MAX_ANSWER = 256 };

/* Labs 6 to 8 answer lines, hence the newline. */
static inline void compose_line(char *message, uint64_t seed)
{
    uint64_t x = seed;
    for (int i = 0; i < MESSAGE; i++) {
        if (i % 8 == 0) { /* a step of splitmix64 */
            x += 0x9e3779b97f4a7c15;
            x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
            x = (x ^ x >> 27) * 0x94d049bb133111eb;
        }
        message[i] = (char)('a' + (x >> i % 8 * 8 & 15));
    }
    message[MESSAGE - 1] = '\n';
}

static inline bool same_bytes_in_different_order(const char *left, const char *right, size_t size)
{
    int counts[256] = {0};
    for (size_t i = 0; i < size; i++) {
        counts[(unsigned char)left[i]]++;
        counts[(unsigned char)right[i]]--;
    }
    for (int i = 0; i < 256; i++)
        if (counts[i] != 0)
            return false;
    return true;
}

static inline size_t different_bytes(const char *left, const char *right, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += left[i] != right[i];
    return count;
}

/* Receives what follows wrong bytes, up to SIZE bytes in all: a byte that is missing and bytes in a
 * different order begin alike. Returns the number of bytes in TEXT. */
static inline size_t receive_rest(int fd, char *text, size_t received, size_t size)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    while (received < size && poll(&readable, 1, 500) == 1) {
        ssize_t n = recv(fd, text + received, size - received, 0);
        if (n <= 0)
            break;
        received += (size_t)n;
    }
    return received;
}

/* What a server did that sent RECEIVED where EXPECTED was due; PREVIOUS is the answer before that.
 * RECEIVED begins where an answer does. */
static inline const char *what_is_wrong(const char *expected, size_t expected_size,
                                        const char *received, size_t size, const char *previous,
                                        size_t previous_size)
{
    static char text[128];
    size_t same = 0;
    while (same < size && same < expected_size && received[same] == expected[same])
        same++;
    if (same == expected_size && size > same) {
        size_t extra = size - same < expected_size ? size - same : expected_size;
        return memcmp(received + same, expected, extra) == 0
                   ? "sent an answer twice"
                   : "answered early: it sent bytes that it had not been sent";
    }
    size_t compared = size < previous_size ? size : previous_size;
    if (compared > 0 && memcmp(received, previous, compared) == 0)
        return "sent an answer twice";
    if (size >= 6 && memcmp(received, "error:", 6) == 0) {
        snprintf(text, sizeof text, "answered \"%.*s\"", (int)strcspn(received, "\n"), received);
        return text;
    }
    if (size >= expected_size && same_bytes_in_different_order(expected, received, expected_size))
        return "sent the bytes of an answer in a different order";
    size_t both = size < expected_size ? size : expected_size;
    for (size_t gap = 1; same + gap < expected_size; gap++) {
        size_t rest =
            expected_size - same - gap < size - same ? expected_size - same - gap : size - same;
        if (rest >= 4 && memcmp(received + same, expected + same + gap, rest) == 0) {
            snprintf(text, sizeof text, "dropped %zu byte%s", gap, gap == 1 ? "" : "s");
            return text;
        }
    }
    if (different_bytes(expected, received, both) == 1) {
        snprintf(text, sizeof text, "corrupted a byte: byte %zu of an answer is different",
                 same + 1);
        return text;
    }
    return "answered early: it sent bytes that it had not been sent";
}
