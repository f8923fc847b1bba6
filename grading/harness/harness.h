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

#include "checks/lab_properties.h"
#include "core/check_registry.h"
#include "core/hints.h"
#include "core/machine_limits.h"
#include "core/report.h"
#include "core/test_data.h"
#include "drive/backend.h"
#include "drive/backend_wait.h"
#include "drive/expect_state.h"
#include "drive/idle.h"
#include "drive/peer.h"
#include "drive/peer_connect.h"
#include "drive/peer_receive.h"
#include "drive/peer_send.h"
#include "drive/server.h"
#include "drive/server_process.h"
#include "drive/server_state.h"
#include "drive/thread_sanitizer.h"
#include "drive/valgrind.h"
#include "drive/valgrind_stacks.h"
#include "drive/wait_loop.h"
#include "explain/evidence.h"

#endif
