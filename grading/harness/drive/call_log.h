/* The memory in which the preloaded call_recorder.so records the server's calls (call_records.h),
 * as the harness sees it. */
#ifndef DRIVE_CALL_LOG_H
#define DRIVE_CALL_LOG_H

#include "drive/call_records.h"

#include <stdbool.h>

/* Before a server is started: NULL if its calls cannot be recorded, since it is linked statically.
 */
const struct call_log *open_call_log(const char *program);
/* The descriptor of the memory, for the server that is about to start; -1 for none. */
int call_log_fd(void);
/* In the child: it becomes this descriptor, which the server inherits. */
bool move_call_log(int fd);
/* When the server has been started. */
void close_call_log(void);

/* Copies the record with this serial, its calls in order, the latest one last; returns how many
 * calls there are, or -1 if there is no such record. */
struct record_copy {
    struct record record;
    struct recorded_call calls[CALLS_KEPT];
};
int read_record(const struct call_log *log, uint32_t serial, struct record_copy *copy);
/* The serials that may still be there: from the first to the last; the last is 0 if there are none.
 */
uint32_t first_serial(const struct call_log *log);
uint32_t last_serial(const struct call_log *log);

#endif
