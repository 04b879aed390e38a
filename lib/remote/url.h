/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a repository is. Pure. */
#ifndef REMOTE_URL_H
#define REMOTE_URL_H

#include "base/error.h"
#include <stdbool.h>

enum vmscm_url_kind { VMSCM_URL_PATH, VMSCM_URL_SSH, VMSCM_URL_S3 };

/* Zero-initialised is empty. */
struct vmscm_url {
    enum vmscm_url_kind kind;
    char *user; /* NULL: not said */
    char *host;
    unsigned port; /* 0: not said */
    char *path; /* of VMSCM_URL_S3: the whole */
    char *text; /* as it was written */
};

/* VMSCM_EUSAGE: no URL, or of a kind that is not known; VMSCM_EREFUSED: it has a password, which no
 * message repeats. */
int vmscm_url_parse(struct vmscm_url *out, const char *text, struct vmscm_error *err);
void vmscm_url_release(struct vmscm_url *url);

/* Whether a word can only be one, and no revision or name of a remote. */
bool vmscm_url_is(const char *word);

#endif
