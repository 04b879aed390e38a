/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of a revision is here, as commands tell it, in a lazy repository. */
#ifndef HERE_H
#define HERE_H

#include "cmd.h"
#include "json.h"
#include <vmscm/revision.h>

#define HERE_MAX 160 /* bytes of a text */

/* By id. out->lazy 0: there is nothing to tell, and so it is for one that was pruned. */
int here_get(struct vmscm_revision_here *out, struct ctx *ctx, const char *id,
    struct vmscm_error *err);

/* "all", "none", or a percentage: of all that may be. */
const char *here_short(char buf[HERE_MAX], const struct vmscm_revision_here *here);

/* A phrase: "all of it is here". */
const char *here_long(char buf[HERE_MAX], const struct ctx *ctx,
    const struct vmscm_revision_here *here);

/* Into the member "here": null where nothing is lacking. */
void here_json(json_t *object, const struct vmscm_revision_here *here);

#endif
