/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/wanted.h"
#include "base/str.h"
#include "history/revspec.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define NAME_ROOM 512

const char *vmscm_wanted_text(const char *name, bool *pattern)
{
    name += *name == '+';
    *pattern = strpbrk(name, "*?[") != NULL;
    return name;
}

int vmscm_wanted_check(const struct vmscm_remote_options *options, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < options->name_count && !rc; i++) {
        bool pattern;
        const char *text = vmscm_wanted_text(options->names[i], &pattern);
        const char *colon = strchr(text, ':');
        char machine[NAME_ROOM];
        if (strlen(text) >= NAME_ROOM || !*text || !vmscm_str_printable(text))
            rc = vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: not a machine's name", text);
        if (rc || pattern)
            continue;
        snprintf(machine, sizeof machine, "%.*s", colon ? (int)(colon - text) : (int)strlen(text),
            text);
        if (!(rc = vmscm_revspec_check_machine(machine, err)) && colon)
            rc = vmscm_revspec_check_tag(colon + 1, err);
    }
    return rc;
}

/* A name may have a part for tags. */
static bool match(const char *text, const char *machine, const char *tag, bool tags)
{
    const char *colon = strchr(text, ':');
    char pattern[NAME_ROOM];

    if (!tag)
        return !colon && fnmatch(text, machine, 0) == 0;
    if (!colon)
        return tags && fnmatch(text, machine, 0) == 0;
    snprintf(pattern, sizeof pattern, "%.*s", (int)(colon - text), text);
    return fnmatch(pattern, machine, 0) == 0 && fnmatch(colon + 1, tag, 0) == 0;
}

bool vmscm_wanted_match(const struct vmscm_remote_options *options, const char *machine,
    const char *tag, bool *force, bool *named)
{
    bool found = options->name_count == 0 && (!tag || options->tags);

    *force = options->force != 0;
    for (size_t i = 0; i < options->name_count; i++) {
        bool pattern;
        if (!match(vmscm_wanted_text(options->names[i], &pattern), machine, tag, options->tags != 0))
            continue;
        found = true;
        *force = *force || options->names[i][0] == '+';
        if (named)
            named[i] = true;
    }
    return found;
}
