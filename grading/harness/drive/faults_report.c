/* What the preloaded library reports to the harness. */
#include "drive/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void report_fault(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size <= 0 || size >= (int)sizeof text)
        return;
    if (record_message == NULL || !record_message(text, (size_t)size))
        dprintf(STDERR_FILENO, "%s", text);
}
