/*
 * Is a server that sleeps certain to sleep for ever? Then nothing need be waited for. It is, if
 *  - it is one process, and each of its threads waits without a timeout, in select, epoll_wait,
 *    pause or on a lock, and no signal is pending;
 *  - there is nothing that wakes it later: no timer, no connection but those of the check's
 * clients, no descriptor of a kind that reports other events;
 *  - all that the clients have sent has reached it, so it would have been woken by now.
 * Whatever is unknown, or unusual, counts as something that may wake it.
 */
#ifndef DRIVE_NEVER_WAKES_H
#define DRIVE_NEVER_WAKES_H

#include "drive/server_process.h"

bool never_wakes(const struct server *s);

#endif
