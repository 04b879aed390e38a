/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A revision as log and show print it, as text and as JSON. */
#ifndef VIEW_H
#define VIEW_H

#include "cmd.h"
#include "json.h"
#include <vmscm/brief.h>

enum view {
    VIEW_SHORT, /* one line */
    VIEW_LONG,  /* with author, date, what changed, the whole message and the comments */
    VIEW_INSIDE, /* and a line about what is inside, if that is known */
};

int view_print(const struct ctx *ctx, struct vmscm_brief *brief, struct vmscm_revision *rev, enum view view,
    struct vmscm_error *err);
/* *out is the caller's: an object with id, machine, names, parents, author, time, message, inside, changes,
 * comments. machine: whose history is shown; NULL: the one that the revision knows. */
int view_json(json_t **out, struct vmscm_brief *brief, struct vmscm_revision *rev, const char *machine,
    struct vmscm_error *err);

/* --format of log and show: "%(field)" of rowformat.h. The whole is checked before the first. */
int view_format_check(const struct ctx *ctx, const char *format, struct vmscm_error *err);
/* machine as in view_json. */
int view_format(const char *format, struct vmscm_brief *brief, struct vmscm_revision *rev,
    const char *machine, struct vmscm_error *err);

#endif
