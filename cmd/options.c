/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "options.h"

#include "memory.h"
#include "report.h"
#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int fail(struct vmscm_error *err, const char *what, const char *why)
{
    return report_set(err, VMSCM_EUSAGE, "%.200s: %s", what, why);
}

static bool is_choice(const char *words, const char *value)
{
    size_t len = strlen(value);

    for (const char *w = words; len > 0; w++) {
        const char *end = strchrnul(w, '|');
        if ((size_t)(end - w) == len && memcmp(w, value, len) == 0)
            return true;
        if (!*end)
            break;
        w = end;
    }
    return false;
}

static bool parse_uint(unsigned *out, const char *s)
{
    char *end;

    if (!isdigit((unsigned char)*s))
        return false;
    unsigned long long v = strtoull(s, &end, 10);
    if (*end || v > UINT_MAX)
        return false;
    *out = (unsigned)v;
    return true;
}

/* Store one option; shown is how the user wrote it. */
static int store(const struct opt *opt, void *values, const char *shown, const char *value, bool no,
    struct vmscm_error *err)
{
    void *at = (char *)values + opt->offset;
    struct opt_list *list = at;

    switch (opt->type) {
    case OPT_FLAG:
        *(int *)at = !no;
        return 0;
    case OPT_SWITCH:
        *(int *)at = no ? -1 : 1;
        return 0;
    case OPT_STRING:
        *(const char **)at = value;
        return 0;
    case OPT_LIST:
        list->items = memory_grow(list->items, list->len + 1, sizeof *list->items);
        list->items[list->len++] = value;
        return 0;
    case OPT_UINT:
        if (parse_uint(at, value))
            return 0;
        report_set(err, VMSCM_EUSAGE, "%.100s: %.100s: not a number", shown, value);
        return report_hint(err, "a whole number that is not negative");
    case OPT_CHOICE:
        if (is_choice(opt->words, value)) {
            *(const char **)at = value;
            return 0;
        }
        report_set(err, VMSCM_EUSAGE, "%.100s: %.100s: not one of its values", shown, value);
        return report_hint(err, "one of %s", opt->words);
    }
    return VMSCM_EUSAGE;
}

struct match {
    const struct opt *opt;
    void *values;
    bool no;
    unsigned count; /* how many the prefix fits */
};

/* Note opt as fitting if the first len bytes of name begin its long name; an exact fit wins. */
static bool match_name(struct match *match, const struct opt *opt, void *values, const char *name,
    size_t len, bool no)
{
    if (strncmp(opt->name, name, len) != 0)
        return false;
    if (opt->name[len] != '\0' && match->count > 0) {
        match->count++;
        return false;
    }
    *match = (struct match){opt, values, no, opt->name[len] == '\0' ? 1 : match->count + 1};
    return opt->name[len] == '\0';
}

static struct match find_long(const struct opt_set *sets, size_t count, const char *name,
    size_t len)
{
    struct match match = {NULL, NULL, false, 0};

    for (size_t s = 0; s < count; s++) {
        for (const struct opt *opt = sets[s].table; opt && opt->name; opt++) {
            if (match_name(&match, opt, sets[s].values, name, len, false))
                return match;
            if (!opt->arg && len > 3 && strncmp(name, "no-", 3) == 0 &&
                match_name(&match, opt, sets[s].values, name + 3, len - 3, true))
                return match;
        }
    }
    return match;
}

static int parse_long(const struct opt_set *sets, size_t count, int argc, char **argv, int *i,
    struct vmscm_error *err)
{
    const char *word = argv[*i], *name = word + 2, *end = strchrnul(name, '=');
    struct match match = find_long(sets, count, name, (size_t)(end - name));
    const char *value = *end ? end + 1 : NULL;

    if (end == name || match.count == 0)
        return fail(err, word, "unknown option");
    if (match.count > 1)
        return fail(err, word, "more than one option begins so");
    if (!match.opt->arg && value)
        return fail(err, word, "this option takes no value");
    if (match.opt->arg && !value) {
        if (*i + 1 >= argc)
            return fail(err, word, "a value is missing");
        value = argv[++*i];
    }
    return store(match.opt, match.values, word, value, match.no, err);
}

static int parse_letters(const struct opt_set *sets, size_t count, int argc, char **argv, int *i,
    struct vmscm_error *err)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        char shown[] = {'-', isprint((unsigned char)*p) ? *p : '?', '\0'};
        const struct opt *opt = NULL;
        void *values = NULL;
        int rc;

        for (size_t s = 0; s < count && !opt; s++) {
            values = sets[s].values;
            for (opt = sets[s].table; opt && opt->name && opt->letter != *p;)
                opt++;
            if (opt && !opt->name)
                opt = NULL;
        }
        if (!opt)
            return fail(err, shown, "unknown option");
        if (!opt->arg) {
            rc = store(opt, values, shown, NULL, false, err);
            if (rc)
                return rc;
            continue;
        }
        if (!p[1] && *i + 1 >= argc)
            return fail(err, shown, "a value is missing");
        return store(opt, values, shown, p[1] ? p + 1 : argv[++*i], false, err);
    }
    return 0;
}

int options_parse(const struct opt_set *sets, size_t count, int *argc, char **argv, unsigned flags,
    struct vmscm_error *err)
{
    int kept = 0, i = 0, rc = 0;

    for (; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            if (flags & OPTIONS_STOP)
                break;
            argv[kept++] = argv[i];
            continue;
        }
        rc = argv[i][1] == '-' ? parse_long(sets, count, *argc, argv, &i, err)
                               : parse_letters(sets, count, *argc, argv, &i, err);
        if (rc)
            return rc;
    }
    for (; i < *argc; i++)
        argv[kept++] = argv[i];
    *argc = kept;
    return 0;
}

void options_release(const struct opt_set *sets, size_t count)
{
    for (size_t s = 0; s < count; s++)
        for (const struct opt *opt = sets[s].table; opt && opt->name; opt++)
            if (opt->type == OPT_LIST)
                free(((struct opt_list *)((char *)sets[s].values + opt->offset))->items);
}
