/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/ident.h"
#include "base/str.h"

#include <ctype.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The end of the year 9999: dates that every tool can still print. */
#define TIME_MAX INT64_C(253402300799)

/* What git itself would not take in a name or an address is left out. */
static void clean(char *s)
{
    char *to = s;

    for (char *from = s; *from; from++)
        if ((unsigned char)*from >= 0x20 && *from != 0x7f && *from != '<' && *from != '>')
            *to++ = *from;
    while (to > s && to[-1] == ' ')
        to--;
    *to = '\0';
}

/* *out is NULL if neither configuration has it. */
static int configured(char **out, struct vmscm_gitconfig *config, const char *key,
    struct vmscm_error *err)
{
    int rc = VMSCM_ENOTFOUND;

    *out = NULL;
    if (config)
        rc = vmscm_gitconfig_get(out, config, key, err);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = vmscm_gitconfig_get_git(out, key, err);
    }
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        return 0;
    }
    if (!rc) {
        clean(*out);
        if (!**out || !vmscm_str_printable(*out)) {
            free(*out);
            *out = NULL;
        }
    }
    return rc;
}

static int from_login(char **name, char **email, struct vmscm_error *err)
{
    struct passwd entry, *found = NULL;
    char text[4096], host[256] = "", uid[32];
    const char *login, *full = "";
    int rc = 0;

    if (getpwuid_r(geteuid(), &entry, text, sizeof text, &found) != 0)
        found = NULL;
    snprintf(uid, sizeof uid, "uid%lu", (unsigned long)geteuid());
    login = found && found->pw_name[0] ? found->pw_name : uid;
    if (found && found->pw_gecos)
        full = found->pw_gecos;
    if (gethostname(host, sizeof host - 1) < 0 || !host[0])
        snprintf(host, sizeof host, "localhost");
    if (!*name) {
        int len = (int)strcspn(full, ",");
        if (!(rc = vmscm_str_printf(name, err, "%.*s", len, full)))
            clean(*name);
        if (!rc && (!**name || !vmscm_str_printable(*name))) {
            free(*name);
            rc = vmscm_str_dup(name, login, err);
        }
    }
    if (!rc && !*email && !(rc = vmscm_str_printf(email, err, "%s@%s", login, host)))
        clean(*email);
    return rc;
}

static int local_offset(time_t when)
{
    struct tm tm;
    return localtime_r(&when, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

int vmscm_ident_default(struct vmscm_signature *out, struct vmscm_gitconfig *config,
    struct vmscm_error *err)
{
    char *name = NULL, *email = NULL;
    time_t now = time(NULL);
    int rc;

    *out = (struct vmscm_signature){NULL, NULL, 0, 0};
    if ((rc = configured(&name, config, "user.name", err)) ||
        (rc = configured(&email, config, "user.email", err)) ||
        ((!name || !email) && (rc = from_login(&name, &email, err)))) {
        free(name);
        free(email);
        return rc;
    }
    *out = (struct vmscm_signature){name, email, now, local_offset(now)};
    return 0;
}

int vmscm_ident_parse_author(struct vmscm_signature *out, const char *text,
    struct vmscm_error *err)
{
    const char *open = strchr(text, '<'), *close = open ? strchr(open, '>') : NULL;
    char *name = NULL, *email = NULL;
    int rc;

    if (!open || open == text || !close || close[1] || strchr(open + 1, '<') ||
        close == open + 1 || !vmscm_str_printable(text) || strlen(text) > 1000)
        goto bad;
    if ((rc = vmscm_str_printf(&name, err, "%.*s", (int)(open - text), text)) ||
        (rc = vmscm_str_printf(&email, err, "%.*s", (int)(close - open - 1), open + 1))) {
        free(name);
        return rc;
    }
    clean(name);
    clean(email);
    if (!name[strspn(name, " ")] || !email[strspn(email, " ")])
        goto bad;
    memmove(name, name + strspn(name, " "), strlen(name + strspn(name, " ")) + 1);
    memmove(email, email + strspn(email, " "), strlen(email + strspn(email, " ")) + 1);
    out->name = name;
    out->email = email;
    return 0;
bad:
    free(name);
    free(email);
    vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: not an author", *text ? text : "\"\"");
    return vmscm_error_hint(err, "an author is written \"Name <email>\"");
}

/* Exactly n digits. */
static bool digits(const char **p, int n, int min, int max, int *out)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*p)[i]))
            return false;
        v = v * 10 + ((*p)[i] - '0');
    }
    *p += n;
    *out = v;
    return v >= min && v <= max;
}

static bool take(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* "Z", "+HHMM" or "+HH:MM" to the end of the text. */
static bool parse_zone(const char *p, int *offset)
{
    int hours, minutes, sign = *p == '-' ? -1 : 1;

    if (strcmp(p, "Z") == 0) {
        *offset = 0;
        return true;
    }
    if (*p != '+' && *p != '-')
        return false;
    p++;
    if (!digits(&p, 2, 0, 14, &hours))
        return false;
    take(&p, ':');
    if (!digits(&p, 2, 0, 59, &minutes) || *p || hours * 60 + minutes > 14 * 60)
        return false;
    *offset = sign * (hours * 60 + minutes);
    return true;
}

static bool parse_calendar(const char *p, int64_t *seconds, int *offset)
{
    struct tm tm = {0}, check;
    int year, month;
    bool zoned = false;
    time_t t;

    /* West of Greenwich, 1970 begins in 1969. */
    if (!digits(&p, 4, 1969, 9999, &year) || !take(&p, '-') || !digits(&p, 2, 1, 12, &month) ||
        !take(&p, '-') || !digits(&p, 2, 1, 31, &tm.tm_mday))
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    if (*p) {
        if ((!take(&p, ' ') && !take(&p, 'T')) || !digits(&p, 2, 0, 23, &tm.tm_hour) ||
            !take(&p, ':') || !digits(&p, 2, 0, 59, &tm.tm_min))
            return false;
        if (take(&p, ':') && !digits(&p, 2, 0, 59, &tm.tm_sec))
            return false;
        if (*p) {
            take(&p, ' ');
            if (!parse_zone(p, offset))
                return false;
            zoned = true;
        }
    }
    /* timegm turns 30 February into 1 March. */
    check = tm;
    t = timegm(&check);
    if (check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon)
        return false;
    if (zoned) {
        *seconds = (int64_t)t - *offset * 60;
    } else {
        tm.tm_isdst = -1;
        t = mktime(&tm);
        *seconds = t;
        *offset = local_offset(t);
    }
    return true;
}

int vmscm_ident_parse_date(struct vmscm_signature *out, const char *text, struct vmscm_error *err)
{
    int64_t seconds = -1;
    int offset = 0;
    bool good = false;

    if (text[0] == '@') {
        char number[20];
        size_t n = strspn(text + 1, "0123456789");
        uint64_t v;
        if (n && n < sizeof number) {
            memcpy(number, text + 1, n);
            number[n] = '\0';
            good = vmscm_str_uint(&v, number, 0, TIME_MAX);
            if (good) {
                seconds = (int64_t)v;
                offset = local_offset((time_t)seconds);
            }
            if (good && text[1 + n])
                good = text[1 + n] == ' ' && parse_zone(text + 2 + n, &offset);
        }
    } else {
        good = parse_calendar(text, &seconds, &offset);
    }
    if (!good || seconds < 0 || seconds > TIME_MAX || seconds + offset * 60 > TIME_MAX) {
        vmscm_error_set(err, VMSCM_EUSAGE, "%.100s: not a date", *text ? text : "\"\"");
        return vmscm_error_hint(err,
            "a date is written 2026-11-22, \"2026-11-22 18:00\", 2026-11-22T18:00:00+01:00 or "
            "\"@SECONDS +0100\", from 1970 to 9999");
    }
    out->time = seconds;
    out->offset = offset;
    return 0;
}

int vmscm_ident_format_date(char **out, const struct vmscm_signature *who, struct vmscm_error *err)
{
    int minutes = who->offset < 0 ? -who->offset : who->offset;
    time_t shifted = (time_t)(who->time + who->offset * 60);
    struct tm tm;

    if (!gmtime_r(&shifted, &tm))
        return vmscm_error_set(err, VMSCM_EUSAGE, "date: out of range");
    return vmscm_str_printf(out, err, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d",
        tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
        who->offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

int vmscm_ident_dup(struct vmscm_signature *out, const struct vmscm_signature *from,
    struct vmscm_error *err)
{
    char *name = NULL, *email = NULL;
    int rc;

    *out = (struct vmscm_signature){NULL, NULL, 0, 0};
    if ((rc = vmscm_str_dup(&name, from->name, err)) ||
        (rc = vmscm_str_dup(&email, from->email, err))) {
        free(name);
        return rc;
    }
    *out = (struct vmscm_signature){name, email, from->time, from->offset};
    return 0;
}

void vmscm_ident_release(struct vmscm_signature *sig)
{
    free((char *)sig->name);
    free((char *)sig->email);
    *sig = (struct vmscm_signature){NULL, NULL, 0, 0};
}
