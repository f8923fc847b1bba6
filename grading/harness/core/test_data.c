#include "core/test_data.h"
#include "core/report.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char special[] = "\n\r\t\"\\", letters[] = "nrt\"\\";

static bool is_special(unsigned char byte)
{
    return byte != '\0' && strchr(special, byte) != NULL;
}

static size_t width(unsigned char byte)
{
    return is_special(byte) ? 2 : byte < ' ' || byte > '~' ? 4 : 1;
}

static char *append_byte(char *end, unsigned char byte)
{
    if (is_special(byte))
        return end + sprintf(end, "\\%c", letters[strchr(special, byte) - special]);
    return end + sprintf(end, width(byte) == 4 ? "\\x%02x" : "%c", byte);
}

const char *quoted(const void *data, size_t size, size_t around)
{
    enum { COLUMNS = 58, COLUMNS_BEFORE = 24 };
    const unsigned char *bytes = data;
    size_t from = 0, to = 0, columns = 0;
    while (to < size && columns + width(bytes[to]) <= COLUMNS)
        columns += width(bytes[to++]);
    if (to < size && around > to / 2) {
        from = to = around < size ? around : size - 1;
        for (columns = 0; from > 0 && columns + width(bytes[from - 1]) <= COLUMNS_BEFORE; from--)
            columns += width(bytes[from - 1]);
        for (; to < size && columns + width(bytes[to]) <= COLUMNS; to++)
            columns += width(bytes[to]);
    }
    char *text = malloc(columns + 16), *end = text; /* never freed: see the header */
    if (text == NULL)
        grader_error("out of memory");
    end += sprintf(end, "%s\"", from > 0 ? "..." : "");
    for (size_t i = from; i < to; i++)
        end = append_byte(end, bytes[i]);
    sprintf(end, "\"%s", to < size ? "..." : "");
    return text;
}

/* Seven digits and a space, or a newline. snprintf() would take a tenth of a second for 8 MiB. */
static void make_word(char word[8], size_t number)
{
    for (int i = 6, rest = (int)(number % 10000000); i >= 0; i--, rest /= 10)
        word[i] = (char)('0' + rest % 10);
    word[7] = number % 8 == 7 ? '\n' : ' ';
}

static void increment(char word[8], size_t number)
{
    int i = 6;
    while (i > 0 && word[i] == '9')
        word[i--] = '0';
    word[i] = word[i] == '9' ? '0' : word[i] + 1;
    word[7] = number % 8 == 7 ? '\n' : ' ';
}

void fill_text(char *text, size_t offset, size_t size)
{
    char word[8];
    size_t number = offset / 8, skip = offset % 8, done = 0;
    make_word(word, number);
    for (; skip != 0 && skip < 8 && done < size; skip++)
        text[done++] = word[skip];
    if (done > 0)
        increment(word, ++number);
    for (; size - done >= 8; done += 8) {
        memcpy(text + done, word, 8);
        increment(word, ++number);
    }
    memcpy(text + done, word, size - done);
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
