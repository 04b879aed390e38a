/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts about a guest as JSON: vmscm-format-facts(5). What a guest says is bounded, and made UTF-8.
 * Running out of memory ends the process.
 */
#ifndef FACTS_H
#define FACTS_H

#include <jansson.h>
#include <stdint.h>

#define FACTS_TEXT_MAX 1024  /* bytes of one string */
#define FACTS_LIST_MAX 20000 /* items of one list */

/* The caller's: at most FACTS_TEXT_MAX bytes of s, and U+FFFD for what is not UTF-8 or zero. */
char *facts_clean(const char *s);

/* Nothing is put for NULL and "". */
void facts_text(json_t *object, const char *key, const char *value);
/* The same for a string that is free()d. */
void facts_own(json_t *object, const char *key, char *value);
void facts_number(json_t *object, const char *key, int64_t value);
/* value is taken over; an empty list is left out. */
void facts_put(json_t *object, const char *key, json_t *value);
/* Takes value over; false, and nothing done, if the list is full. */
int facts_add(json_t *list, json_t *value);
int facts_add_text(json_t *list, const char *value);

json_t *facts_object(void);
json_t *facts_list(void);
/* The list that object has under key, or a new one there, which facts_put() would leave out; borrowed. */
json_t *facts_list_of(json_t *object, const char *key);
/* A string member, "" if there is none; borrowed. */
const char *facts_get(const json_t *object, const char *key);
/* The member of a list whose string under key is value, or NULL; borrowed. */
json_t *facts_find(const json_t *list, const char *key, const char *value);

/* The next word of a line, which is cut in place; NULL: none is left. */
char *facts_word(char **rest);

/* Seconds since 1970 as facts have dates. Nothing is put for what is not after 1970, or after 9999. */
void facts_date(json_t *object, const char *key, int64_t seconds);
/* The same, unless a later one is there. */
void facts_later(json_t *object, const char *key, int64_t seconds);

#endif

