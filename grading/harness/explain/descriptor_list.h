/* Descriptors in one line: "the listening socket, client A, the user backend (3)". */
#ifndef EXPLAIN_DESCRIPTOR_LIST_H
#define EXPLAIN_DESCRIPTOR_LIST_H

#include <stdbool.h>
#include <sys/types.h>

struct descriptor_list {
    char text[600];
    char last[300]; /* the name that comes last, and how often it came in a row */
    int repeated;
    int shown, more;
};

/* Adds the name of a descriptor; beyond six different ones they are only counted. */
void list_descriptor(struct descriptor_list *list, pid_t pid, int fd);
/* The list; it is complete then. */
const char *finish_list(struct descriptor_list *list);

#endif
