/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "json.h"

#include "memory.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

json_t *json_put(json_t *object, const char *key, json_t *value)
{
    if (!object || json_object_set_new(object, key, value) != 0)
        memory_die();
    return value;
}

json_t *json_add(json_t *array, json_t *value)
{
    if (!array || json_array_append_new(array, value) != 0)
        memory_die();
    return value;
}

json_t *json_text(const char *s)
{
    json_t *value;
    char *fixed;
    size_t len = 0;

    if (!s)
        return json_null();
    value = json_string(s);
    if (value)
        return value;
    /* Not UTF-8: keep what is ASCII. */
    fixed = memory_grow(NULL, strlen(s) + 1, 3);
    for (; *s; s++) {
        if ((unsigned char)*s < 0x80) {
            fixed[len++] = *s;
        } else {
            memcpy(fixed + len, "\xef\xbf\xbd", 3);
            len += 3;
        }
    }
    fixed[len] = '\0';
    value = json_string(fixed);
    free(fixed);
    return value;
}

json_t *json_number(uint64_t n)
{
    return n <= INT64_MAX ? json_integer((json_int_t)n) : json_real((double)n);
}

json_t *json_time(int64_t time, int offset)
{
    char buf[TEXT_MAX];

    return json_string(text_iso(buf, time, offset));
}

json_t *json_person(const struct vmscm_signature *who)
{
    json_t *object = json_object();

    json_put(object, "name", json_text(who->name));
    json_put(object, "email", json_text(who->email));
    return object;
}

void json_print(json_t *value)
{
    /* jansson escapes C0 only; a terminal also obeys C1. */
    size_t flags = JSON_INDENT(2) | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);

    json_dumpf(value, stdout, flags);
    putchar('\n');
    json_decref(value);
}
