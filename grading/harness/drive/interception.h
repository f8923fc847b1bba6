/* Did the server's calls go through the preloaded libraries, which inject faults? A server can
 * evade them: with syscall(), with functions of its own called recv and send, or by becoming a
 * program without them (exec). Then a check with faults has shown nothing. */
#ifndef DRIVE_INTERCEPTION_H
#define DRIVE_INTERCEPTION_H

/* When a check is about to pass: fails if one of its servers, started with faults, has answered a
 * client without such a call. */
void expect_calls_intercepted(void);

#endif
