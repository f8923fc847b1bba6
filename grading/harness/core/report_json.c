#include "core/report_json.h"
#include "core/hints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *lines(const char *text)
{
    json_t *array = json_array();
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        json_array_append_new(array, json_stringn(text, (size_t)(end - text)));
    return array;
}

static json_t *text_or_null(const char *text)
{
    return text == NULL || *text == '\0' ? json_null() : json_string(text);
}

static json_t *in_milliseconds(double seconds)
{
    return json_real((double)(long)(seconds * 1000) / 1000);
}

json_t *result_as_json(const struct check *check, enum status status, const char *failed_need,
                       double seconds, double cpu_seconds)
{
    static const char *const words[] = {"skipped", "passed", "failed", "error"};
    json_t *all = json_pack("{ss ss si}", "name", check->name, "title", check->title, "points",
                            check->points);
    json_object_set_new(all, "score",
                        status == ERROR ? json_null()
                                        : json_integer(status == PASSED ? check->points : 0));
    json_object_set_new(all, "status", json_string(words[status]));
    if (failed_need != NULL)
        json_object_set_new(all, "needs", json_string(failed_need));
    if (status == UNFINISHED)
        return all;
    json_object_set_new(all, "asked", lines(report->asked));
    json_object_set_new(all, "expected", text_or_null(report->expected));
    json_object_set_new(all, "received", text_or_null(report->received));
    json_object_set_new(all, "evidence", lines(report->evidence));
    char *commands = commands_for(check);
    json_object_set_new(all, "hint", text_or_null(hint_for(check)));
    json_object_set_new(all, "by_hand", text_or_null(commands));
    free(commands);
    if (status == FAILED && report->can_be_traced)
        json_object_set_new(all, "can_be_traced", json_true());
    json_object_set_new(all, "seconds", in_milliseconds(seconds));
    json_object_set_new(all, "cpu_seconds", in_milliseconds(cpu_seconds));
    return all;
}

bool write_json(const json_t *all, const char *file)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.new", file) >= (int)sizeof temporary)
        return false;
    return json_dump_file(all, temporary, JSON_INDENT(1)) == 0 && rename(temporary, file) == 0;
}
