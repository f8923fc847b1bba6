/* What crash_recorder.c has recorded about the processes of a server. */
#ifndef DRIVE_CRASH_H
#define DRIVE_CRASH_H

#include "drive/crash_record.h"
#include "observe/stack.h"

/* Memory for a server that is about to be started. Returns its descriptor, which the server
 * inherits, or -1: then nothing will be recorded. */
int create_crash_record(struct crash_record **record);

/* What signal killed the server's first process (which: 0), or another one (from 1 on, below
 * MAX_CRASHES), and its stack then. False if that process has not crashed. */
bool read_crash(const struct crash_record *record, int which, int *signal, struct stack *stack);

#endif
