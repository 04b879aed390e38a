/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "here.h"
#include "text.h"

#include <stdio.h>
#include <vmscm/remote.h>

int here_get(struct vmscm_revision_here *out, struct ctx *ctx, const char *id,
    struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    int rc;

    *out = (struct vmscm_revision_here){0};
    if (!vmscm_remote_promisor(ctx->repo))
        return 0;
    if (!(rc = vmscm_revision_resolve(&rev, ctx->repo, id, err)))
        rc = vmscm_revision_here(out, rev, err);
    vmscm_revision_free(rev);
    if (rc != VMSCM_ENOTFOUND)
        return rc;
    out->lazy = 0;
    return 0;
}

const char *here_short(char buf[HERE_MAX], const struct vmscm_revision_here *here)
{
    double all = (double)here->here + (double)here->away;
    unsigned percent;

    if (!here->away)
        return "all";
    if (!here->here)
        return "none";
    percent = (unsigned)((double)here->here * 100 / all);
    snprintf(buf, HERE_MAX, "%u%%", percent ? percent : 1);
    return buf;
}

const char *here_long(char buf[HERE_MAX], const struct ctx *ctx,
    const struct vmscm_revision_here *here)
{
    const char *most = here->at_most ? "up to " : "", *remote = vmscm_remote_promisor(ctx->repo);
    char have[TEXT_MAX], lack[TEXT_MAX];

    if (!here->away)
        return "all of it is here";
    text_size(lack, here->away);
    if (here->here)
        snprintf(buf, HERE_MAX, "%s is here, %s%s only at %.60s", text_size(have, here->here), most,
            lack, remote);
    else
        snprintf(buf, HERE_MAX, "%s%s, all of it only at %.60s", most, lack, remote);
    return buf;
}

void here_json(json_t *object, const struct vmscm_revision_here *here)
{
    json_t *member = json_put(object, "here", here->lazy ? json_object() : json_null());

    if (!here->lazy)
        return;
    json_put(member, "bytes", json_number(here->here));
    json_put(member, "away", json_number(here->away));
    json_put(member, "at_most", json_boolean(here->at_most));
}
