/* The descriptors that a check serves while it waits: epoll(7). */
#ifndef DRIVE_EVENT_LOOP_H
#define DRIVE_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct source {
    int fd;
    uint32_t events;
    void (*on_ready)(struct source *source, uint32_t events); /* must not block */
};

void watch(struct source *source, uint32_t events); /* 0: for nothing, for now */
void unwatch(struct source *source);

/* Serves the sources that are ready, after waiting at most so long. True when there were any. */
bool serve_sources(int milliseconds);
/* Serves what is ready already, without waiting. */
void process_pending(void);

/* A function that run_periodic() calls: at every turn of the wait loop. */
void set_periodic(void (*function)(void));
void run_periodic(void);

#endif
