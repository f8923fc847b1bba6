#include "explain/descriptor_list.h"
#include "drive/descriptor_name.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SHOWN = 6 };

__attribute__((format(printf, 2, 3))) static void append_text(struct descriptor_list *list,
                                                              const char *format, ...)
{
    size_t length = strlen(list->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(list->text + length, sizeof list->text - length, format, arguments);
    va_end(arguments);
}

static void end_repetition(struct descriptor_list *list)
{
    if (list->repeated > 1)
        append_text(list, " (%d)", list->repeated);
    list->repeated = 0;
}

void list_descriptor(struct descriptor_list *list, pid_t pid, int fd)
{
    char name[300];
    name_descriptor(name, sizeof name, pid, fd);
    if (list->repeated > 0 && strcmp(name, list->last) == 0) {
        list->repeated++;
        return;
    }
    if (list->shown == MAX_SHOWN) {
        list->more++;
        return;
    }
    end_repetition(list);
    append_text(list, "%s%s", list->shown++ > 0 ? ", " : "", name);
    snprintf(list->last, sizeof list->last, "%s", name);
    list->repeated = 1;
}

const char *finish_list(struct descriptor_list *list)
{
    end_repetition(list);
    if (list->more > 0)
        append_text(list, " and %d more", list->more);
    return list->text;
}
