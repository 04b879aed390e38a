/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/retain.h"
#include "base/error.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <time.h>

/* The years 1 to 9999: what a commit of another tool says beyond is as if it were at the end. */
#define TIME_MIN INT64_C(-62135596800)
#define TIME_MAX INT64_C(253402300799)
#define SPAN_MAX 100000u
#define DAY 86400

/* The author's clock. */
static void clock_of(struct tm *tm, int64_t time, int offset)
{
    time_t t;

    if (time < TIME_MIN + DAY)
        time = TIME_MIN + DAY;
    if (time > TIME_MAX - DAY)
        time = TIME_MAX - DAY;
    if (offset < -DAY / 60 || offset > DAY / 60)
        offset = 0;
    t = (time_t)(time + (int64_t)offset * 60);
    gmtime_r(&t, tm);
}

/* Which of its kind a revision is of: numbers that are equal for two of the same and else differ. */

static int64_t year_of(const struct tm *tm)
{
    return tm->tm_year + 1900;
}

static int64_t month_of(const struct tm *tm)
{
    return year_of(tm) * 100 + tm->tm_mon;
}

/* ISO 8601: from Monday on, and in the year that its Thursday is in. */
static int64_t week_of(const struct tm *tm)
{
    struct tm thursday = *tm;

    thursday.tm_mday += 3 - (tm->tm_wday + 6) % 7;
    timegm(&thursday);
    return year_of(&thursday) * 100 + thursday.tm_yday / 7;
}

static int64_t day_of(const struct tm *tm)
{
    return month_of(tm) * 100 + tm->tm_mday;
}

static int64_t hour_of(const struct tm *tm)
{
    return day_of(tm) * 100 + tm->tm_hour;
}

struct rule {
    int count;
    unsigned reason;
    int64_t (*of)(const struct tm *tm); /* NULL: each is of its own kind */
    int64_t last;
};

static void apply_count(struct rule *rule, struct vmscm_retain_item *item, const struct tm *tm,
    bool oldest)
{
    int64_t value;

    if (rule->count == 0)
        return;
    value = rule->of ? rule->of(tm) : 0;
    if (rule->of && value == rule->last && !oldest)
        return;
    rule->last = value;
    item->kept |= rule->reason;
    if (rule->count > 0)
        rule->count--;
}

/* The newest that is not in the future: a clock that was wrong once must not cost all the rest. */
static const struct vmscm_retain_item *newest(const struct vmscm_retain_item *items, size_t count,
    int64_t now)
{
    const struct vmscm_retain_item *found = NULL;

    for (size_t i = 0; i < count; i++)
        if (items[i].time < now && (!found || items[i].time > found->time))
            found = &items[i];
    return found;
}

static bool has_span(const struct vmscm_prune_span *span)
{
    return span->years || span->months || span->days || span->hours;
}

static void apply_within(struct vmscm_retain_item *items, size_t count,
    const struct vmscm_prune_span *span, int64_t now)
{
    const struct vmscm_retain_item *from = newest(items, count, now);
    int64_t limit = INT64_MIN;
    struct tm tm;

    if (from) {
        clock_of(&tm, from->time, from->offset);
        tm.tm_year -= (int)span->years;
        tm.tm_mon -= (int)span->months;
        tm.tm_mday -= (int)span->days;
        limit = (int64_t)timegm(&tm) - (int64_t)from->offset * 60 - (int64_t)span->hours * 3600;
    }
    for (size_t i = 0; i < count; i++)
        if (items[i].time > limit)
            items[i].kept |= VMSCM_PRUNE_WITHIN;
}

void vmscm_retain_apply(struct vmscm_retain_item *items, size_t count,
    const struct vmscm_prune_options *options, int64_t now)
{
    struct rule rules[] = {{options->last, VMSCM_PRUNE_LAST, NULL, INT64_MIN},
        {options->hourly, VMSCM_PRUNE_HOURLY, hour_of, INT64_MIN},
        {options->daily, VMSCM_PRUNE_DAILY, day_of, INT64_MIN},
        {options->weekly, VMSCM_PRUNE_WEEKLY, week_of, INT64_MIN},
        {options->monthly, VMSCM_PRUNE_MONTHLY, month_of, INT64_MIN},
        {options->yearly, VMSCM_PRUNE_YEARLY, year_of, INT64_MIN}};
    struct tm tm;

    for (size_t i = 0; i < count; i++) {
        items[i].kept = 0;
        clock_of(&tm, items[i].time, items[i].offset);
        for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++)
            apply_count(&rules[r], &items[i], &tm, i + 1 == count);
    }
    if (has_span(&options->within))
        apply_within(items, count, &options->within, now);
}

int vmscm_retain_has_rule(const struct vmscm_prune_options *options)
{
    return options->last || options->hourly || options->daily || options->weekly ||
        options->monthly || options->yearly || has_span(&options->within) ||
        options->tag_count > 0 || options->tagged > 0;
}

int vmscm_prune_span_parse(struct vmscm_prune_span *out, const char *text, struct vmscm_error *err)
{
    struct vmscm_prune_span span = {0, 0, 0, 0};
    const char *p = text;

    while (*p) {
        unsigned number = 0, *to = NULL;
        if (!isdigit((unsigned char)*p))
            goto bad;
        for (; isdigit((unsigned char)*p); p++)
            if ((number = number * 10 + (unsigned)(*p - '0')) > SPAN_MAX)
                goto bad;
        switch (*p) {
        case 'y':
            to = &span.years;
            break;
        case 'm':
            to = &span.months;
            break;
        case 'd':
            to = &span.days;
            break;
        case 'h':
            to = &span.hours;
            break;
        }
        if (!to || *to)
            goto bad;
        *to = number;
        p++;
    }
    if (!*text)
        goto bad;
    *out = span;
    return 0;
bad:
    vmscm_error_set(err, VMSCM_EUSAGE, "%.100s: not a duration", *text ? text : "\"\"");
    return vmscm_error_hint(
        err, "a duration is written 1y5m7d2h: years, months, days and hours, any of them");
}
