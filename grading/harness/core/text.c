#include "core/text.h"
#include "core/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *quoted(const void *data, size_t size, size_t around)
{
    static const size_t before = 24;
    const unsigned char *bytes = data;
    size_t from = 0, to = size;
    if (size > QUOTED_SIZE) {
        from = around > before ? around - before : 0;
        to = from + QUOTED_SIZE < size ? from + QUOTED_SIZE : size;
    }
    char *text = malloc(4 * (to - from) + 16), *end = text; /* never freed: see the header */
    if (text == NULL)
        grader_error("out of memory");
    end += sprintf(end, "%s\"", from > 0 ? "..." : "");
    for (size_t i = from; i < to; i++) {
        static const char plain[] = "\n\r\t\"\\", letters[] = "nrt\"\\";
        const char *special = bytes[i] != '\0' ? strchr(plain, bytes[i]) : NULL;
        if (special != NULL)
            end += sprintf(end, "\\%c", letters[special - plain]);
        else if (bytes[i] < ' ' || bytes[i] > '~')
            end += sprintf(end, "\\x%02x", bytes[i]);
        else
            *end++ = (char)bytes[i];
    }
    sprintf(end, "\"%s", to < size ? "..." : "");
    return text;
}

void fill_text(char *text, size_t offset, size_t size)
{
    char word[24];
    for (size_t i = 0; i < size; i++) {
        size_t at = offset + i;
        if (i == 0 || at % 8 == 0)
            snprintf(word, sizeof word, "%07zu%c", at / 8 % 10000000, at % 64 >= 56 ? '\n' : ' ');
        text[i] = word[at % 8];
    }
}

char *long_text(size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        grader_error("out of memory");
    fill_text(text, 0, size);
    text[size] = '\0';
    return text;
}
