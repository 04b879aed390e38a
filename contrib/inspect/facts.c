/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void *need(void *memory)
{
    if (memory)
        return memory;
    fputs("vmscm-inspect: out of memory\n", stderr);
    exit(3);
}

/* Bytes of the character that s begins with; 0: it is not UTF-8. */
static size_t character(const unsigned char *s)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3
        : s[0] < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

char *facts_clean(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    char *out = need(malloc(FACTS_TEXT_MAX + 1));
    size_t len = 0;

    while (*p) {
        size_t n = character(p);
        const char *from = n ? (const char *)p : "\xef\xbf\xbd";
        size_t add = n ? n : 3;
        if (len + add > FACTS_TEXT_MAX)
            break;
        memcpy(out + len, from, add);
        len += add;
        p += n ? n : 1;
    }
    out[len] = '\0';
    return out;
}

void facts_text(json_t *object, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    char *clean = facts_clean(value);
    facts_put(object, key, need(json_string(clean)));
    free(clean);
}

void facts_own(json_t *object, const char *key, char *value)
{
    facts_text(object, key, value);
    free(value);
}

void facts_number(json_t *object, const char *key, int64_t value)
{
    facts_put(object, key, need(json_integer(value)));
}

void facts_put(json_t *object, const char *key, json_t *value)
{
    if (json_is_array(value) && json_array_size(value) == 0)
        json_decref(value);
    else if (json_object_set_new(object, key, value))
        need(NULL);
}

int facts_add(json_t *list, json_t *value)
{
    if (json_array_size(list) >= FACTS_LIST_MAX) {
        json_decref(value);
        return 0;
    }
    if (json_array_append_new(list, value))
        need(NULL);
    return 1;
}

int facts_add_text(json_t *list, const char *value)
{
    char *clean = facts_clean(value);
    int added = facts_add(list, need(json_string(clean)));

    free(clean);
    return added;
}

json_t *facts_object(void)
{
    return need(json_object());
}

json_t *facts_list(void)
{
    return need(json_array());
}

json_t *facts_list_of(json_t *object, const char *key)
{
    json_t *list = json_object_get(object, key);

    if (!list && json_object_set_new(object, key, list = facts_list()))
        need(NULL);
    return list;
}

const char *facts_get(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

json_t *facts_find(const json_t *list, const char *key, const char *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(facts_get(json_array_get(list, i), key), value) == 0)
            return json_array_get(list, i);
    return NULL;
}

void facts_date(json_t *object, const char *key, int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm tm;
    char date[32];

    if (seconds <= 0 || seconds > INT64_C(253402300799) || !gmtime_r(&time, &tm))
        return;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S+00:00", &tm);
    facts_text(object, key, date);
}

void facts_later(json_t *object, const char *key, int64_t seconds)
{
    json_t *one = facts_object();

    facts_date(one, key, seconds);
    /* They have one form, in which later is greater. */
    if (strcmp(facts_get(one, key), facts_get(object, key)) > 0)
        facts_text(object, key, facts_get(one, key));
    json_decref(one);
}

char *facts_word(char **rest)
{
    char *word;

    do
        word = strsep(rest, " \t\r");
    while (word && !*word);
    return word;
}
