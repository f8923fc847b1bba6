#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

double now(void); /* seconds, monotonic */

#endif
