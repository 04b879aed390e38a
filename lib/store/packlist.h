/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the directory of packs holds, by name. One thread at a time. */
#ifndef STORE_PACKLIST_H
#define STORE_PACKLIST_H

#include "base/vec.h"
#include "store/packfile.h"

struct vmscm_packlist_name {
    uint8_t bytes[VMSCM_MIDX_NAME_SIZE];
};

/* Zero-initialised is empty. */
struct vmscm_packlist {
    VMSCM_VEC(struct vmscm_packlist_name) packs; /* sorted */
    VMSCM_VEC(char *) indexes;                   /* file names of multi-pack indexes, finished or not */
};

int vmscm_packlist_read(struct vmscm_packlist *list, const char *dir, struct vmscm_error *err);
void vmscm_packlist_release(struct vmscm_packlist *list);

#endif
