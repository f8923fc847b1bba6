/* What the shared checks include. */
#ifndef INTERNAL_H
#define INTERNAL_H

#include "checks/lab.h"
#include "core/clock.h"
#include "core/loopback.h"
#include "drive/launch.h"
#include "harness.h"

#endif
