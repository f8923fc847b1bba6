/* Labs 7 and 8: a loop that handles answers and deadlines must find each deadline in time. */
#ifndef CALL_DEADLINES_H
#define CALL_DEADLINES_H

/* The oldest call expires while new calls keep starting. */
void expect_timeout_among_new_calls(void);
/* A call expires while a client never stops sending, so that events are always ready. */
void expect_timeout_among_events(void);
/* A backend closes just after the calls of other clients have timed out. */
void expect_failure_after_timeout_of_others(void);
/* A call expires after the loop has looked for expired calls, and before it computes how long to
 * wait: that time is not negative, which would mean for ever. */
void expect_timeout_when_overdue(void);

#endif
