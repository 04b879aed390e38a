/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a checkout found on disk consists of. */
#ifndef REPO_WORKDIR_H
#define REPO_WORKDIR_H

#include "repo/workfile.h"
#include <vmscm/checkout.h>

struct vmscm_workdir {
    char *path;
    struct vmscm_workfile work;
};

#endif
