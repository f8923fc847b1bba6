/* What the shared checks include. */
#ifndef CHECKS_COMMON_H
#define CHECKS_COMMON_H

#include "checks/lab_properties.h"
#include "core/clock.h"
#include "core/loopback_socket.h"
#include "drive/server_exec.h"
#include "harness.h"

#endif
