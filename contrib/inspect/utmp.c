/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "utmp.h"

#include <stdlib.h>
#include <string.h>

/* Of the file, not of the C library that this is built with. */
enum { BOOT = 2, RUN_LEVEL = 1, USER = 7 };
#define AT_USER 44
#define AT_SECONDS 340
#define USER_MAX 32

static uint32_t get32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

void utmp_put_login(json_t *user, int64_t seconds)
{
    facts_later(user, "last_login", seconds);
}

int64_t utmp_lastlog(const char *bytes)
{
    return get32(bytes);
}

/* Names are compared as facts have them. */
static void put_user(json_t *last, const char *who, uint32_t seconds)
{
    char *name = facts_clean(who);

    if (seconds > json_integer_value(json_object_get(last, name)))
        facts_number(last, name, seconds);
    free(name);
}

void utmp_read(json_t *system, const char *bytes, size_t size)
{
    json_t *users = json_object_get(system, "users"), *last = facts_object(), *user;
    const char *name;

    for (size_t at = 0; at + UTMP_SIZE <= size; at += UTMP_SIZE) {
        const char *record = bytes + at;
        uint32_t type = get32(record) & 0xffff, seconds = get32(record + AT_SECONDS);
        char who[USER_MAX + 1] = "";
        memcpy(who, record + AT_USER, USER_MAX);
        if (type == BOOT)
            facts_later(system, "last_boot", seconds);
        else if (type == RUN_LEVEL && strcmp(who, "shutdown") == 0)
            facts_later(system, "last_shutdown", seconds);
        else if (type == USER && *who)
            put_user(last, who, seconds);
    }
    for (size_t i = 0; i < json_array_size(users); i++) {
        user = json_array_get(users, i);
        name = facts_get(user, "name");
        utmp_put_login(user, json_integer_value(json_object_get(last, name)));
    }
    json_decref(last);
}
