/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who acts: user.name and user.email of vmscm's configuration, then git's, then the login and
 * host name. And the forms of a date.
 */
#ifndef HISTORY_IDENT_H
#define HISTORY_IDENT_H

#include "history/gitconfig.h"
#include <vmscm/revision.h>

/* Strings of *out are the caller's: vmscm_ident_release. Time is now, offset the local one. */
int vmscm_ident_default(struct vmscm_signature *out, struct vmscm_gitconfig *config,
    struct vmscm_error *err);
/* "Name <email>" into name and email. VMSCM_EUSAGE. */
int vmscm_ident_parse_author(struct vmscm_signature *out, const char *text,
    struct vmscm_error *err);
/* Sets time and offset; the forms are at vmscm_revision_set_author. VMSCM_EUSAGE. */
int vmscm_ident_parse_date(struct vmscm_signature *out, const char *text, struct vmscm_error *err);
/* "2026-11-22T18:00:00+01:00", which vmscm_ident_parse_date reads. *out is the caller's. */
int vmscm_ident_format_date(char **out, const struct vmscm_signature *who, struct vmscm_error *err);
int vmscm_ident_dup(struct vmscm_signature *out, const struct vmscm_signature *from,
    struct vmscm_error *err);
void vmscm_ident_release(struct vmscm_signature *sig);

#endif
