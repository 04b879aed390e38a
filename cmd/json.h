/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Building what --json prints. Sizes are in bytes, times ISO 8601 with a zone, ids in full. */
#ifndef JSON_H
#define JSON_H

#include <jansson.h>
#include <stdint.h>
#include <vmscm/revision.h>

/* Each takes over `value` and returns it. */
json_t *json_put(json_t *object, const char *key, json_t *value);
json_t *json_add(json_t *array, json_t *value);

json_t *json_text(const char *s); /* null for NULL; what is not UTF-8 becomes U+FFFD */
json_t *json_number(uint64_t n);
json_t *json_time(int64_t time, int offset);
/* {"name": ..., "email": ...} */
json_t *json_person(const struct vmscm_signature *who);

/* Print and free it. */
void json_print(json_t *value);

#endif
