/*
 * never_drained ends with SIGINT, or when the server shuts the client's socket down. Otherwise a
 * server that drains one client for ever could not be stopped with Ctrl-C. It does not end with
 * SIGTERM, with which the checks ask whether such a server stops. See faults.h.
 */
#include "drive/faults.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sigaction handlers[NSIG]; /* the server's own */
static bool is_replaced[NSIG];

static void on_stop_signal(int sig, siginfo_t *info, void *context)
{
    end_endless(-1);
    if (handlers[sig].sa_flags & SA_SIGINFO)
        handlers[sig].sa_sigaction(sig, info, context);
    else
        handlers[sig].sa_handler(sig);
}

static bool has_handler(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

int sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
    INTERCEPT(sigaction);
    if (never_drained == 0 || sig != SIGINT)
        return real(sig, action, old);
    struct sigaction before = handlers[sig], replacement;
    bool was_replaced = is_replaced[sig];
    if (action != NULL) {
        handlers[sig] = replacement = *action;
        is_replaced[sig] = has_handler(action);
        if (is_replaced[sig]) {
            replacement.sa_sigaction = on_stop_signal;
            replacement.sa_flags |= SA_SIGINFO;
        }
        action = &replacement;
    }
    int result = real(sig, action, old);
    if (old != NULL && was_replaced)
        *old = before;
    return result;
}

sighandler_t signal(int sig, sighandler_t handler)
{
    INTERCEPT(signal);
    if (never_drained == 0)
        return real(sig, handler);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    return sigaction(sig, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

/* It has arrived, but is blocked: a server that waits for it in pselect or with a signalfd. */
bool stop_is_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGINT) == 1;
}

/* Called by signal handlers, so without dlsym(3). */
int shutdown(int fd, int how)
{
    if (how != SHUT_WR)
        end_endless(fd);
    return (int)syscall(SYS_shutdown, fd, how);
}
