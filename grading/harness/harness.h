/*
 * What a lab's test.c includes.
 *
 * A check is a short function that starts its own server, talks to it through peers, and states
 * what it expects. Nothing here returns an error: what the server does wrong ends the check as
 * `failed`, with evidence; what the machine does wrong ends it as `error`, which has no score.
 *
 * Nothing here sleeps to let something happen. Every wait is for a condition, and gives up as
 * drive/wait_loop.h describes.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "checks/lab.h"
#include "core/check.h"
#include "core/report.h"
#include "core/text.h"
#include "drive/backend.h"
#include "drive/backend_control.h"
#include "drive/expect.h"
#include "drive/idle.h"
#include "drive/inspect.h"
#include "drive/peer.h"
#include "drive/peer_connect.h"
#include "drive/peer_receive.h"
#include "drive/peer_send.h"
#include "drive/process.h"
#include "drive/server.h"
#include "drive/valgrind.h"
#include "drive/wait_loop.h"
#include "explain/evidence.h"

#endif
