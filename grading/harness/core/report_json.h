/* What the checks of a lab reported, as JSON. */
#ifndef CORE_REPORT_JSON_H
#define CORE_REPORT_JSON_H

#include "core/check_registry.h"
#include "core/report.h"

#include <jansson.h>

/* The current report as the result of this check. `failed_need`: the check that it needs and that
 * failed, so that it was not run (UNFINISHED) or failed too; or NULL. */
json_t *result_as_json(const struct check *check, enum status status, const char *failed_need,
                       double seconds, double cpu_seconds);

/* Replaces the file as a whole, or leaves it as it was. */
bool write_json(const json_t *all, const char *file);

#endif
