/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/when.h"
#include "base/str.h"
#include "history/ident.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COUNT_MAX 100000

static const char *skip(const char *p)
{
    return p + strspn(p, " ._");
}

/* One word of letters, lower-cased; false if there is none or it is long. */
static bool word(char out[16], const char **p)
{
    size_t n = 0;

    for (; isalpha((unsigned char)**p); (*p)++) {
        if (n == 15)
            return false;
        out[n++] = (char)tolower((unsigned char)**p);
    }
    out[n] = '\0';
    return n > 0;
}

static bool go_back(struct tm *tm, int count, const char *unit)
{
    static const struct {
        const char *name;
        int seconds, days, months;
    } units[] = {{"second", 1, 0, 0}, {"sec", 1, 0, 0}, {"minute", 60, 0, 0}, {"min", 60, 0, 0},
        {"hour", 3600, 0, 0}, {"day", 0, 1, 0}, {"week", 0, 7, 0}, {"month", 0, 0, 1},
        {"year", 0, 0, 12}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t len = strlen(units[i].name);
        if (strncmp(unit, units[i].name, len) != 0 || (unit[len] && strcmp(unit + len, "s") != 0))
            continue;
        if (units[i].seconds) {
            /* Real time, not the clock's: an hour is an hour across a change of daylight saving. */
            time_t t = mktime(tm) - (time_t)count * units[i].seconds;
            return localtime_r(&t, tm) != NULL;
        }
        tm->tm_mday -= count * units[i].days;
        tm->tm_mon -= count * units[i].months;
        tm->tm_isdst = -1;
        return mktime(tm) != (time_t)-1;
    }
    return false;
}

static bool parse_relative(int64_t *out, const char *p)
{
    time_t now = time(NULL);
    char name[16], digits[16];
    struct tm tm;
    uint64_t count;

    if (!localtime_r(&now, &tm))
        return false;
    if (strcmp(p, "yesterday") == 0) {
        p = "1 day ago";
    } else if (strcmp(p, "now") == 0) {
        *out = now;
        return true;
    }
    do {
        size_t n = strspn(p, "0123456789");
        if (n == 0 || n >= sizeof digits)
            return false;
        memcpy(digits, p, n);
        digits[n] = '\0';
        p = skip(p + n);
        if (!vmscm_str_uint(&count, digits, 0, COUNT_MAX) || !word(name, &p) ||
            !go_back(&tm, (int)count, name))
            return false;
        p = skip(p);
    } while (isdigit((unsigned char)*p));
    if (*p && (!word(name, &p) || strcmp(name, "ago") != 0 || *p))
        return false;
    *out = mktime(&tm);
    return true;
}

int vmscm_when_parse(int64_t *out, const char *text, struct vmscm_error *err)
{
    struct vmscm_signature sig = {NULL, NULL, 0, 0};
    char full[64];

    if (parse_relative(out, text))
        return 0;
    snprintf(full, sizeof full, strlen(text) == 10 ? "%s 23:59:59" : "%s", text);
    if (strlen(text) < sizeof full && vmscm_ident_parse_date(&sig, full, NULL) == 0) {
        *out = sig.time;
        return 0;
    }
    vmscm_error_set(err, VMSCM_EUSAGE, "%.100s: not a date", *text ? text : "\"\"");
    return vmscm_error_hint(err,
        "a date is written 2026-11-22, \"2026-11-22 18:00\", yesterday or \"2 days ago\"");
}
