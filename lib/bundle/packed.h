/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A compressed file's plain bytes by their place, without a copy of them: reading on is as quick as
 * decompressing, what is passed over is decompressed too, and going back begins anew. One thread at a time.
 * Internal to lib/bundle.
 */
#ifndef BUNDLE_PACKED_H
#define BUNDLE_PACKED_H

#include "bundle/tar.h"
#include <sys/stat.h>
#include <vmscm/events.h>

struct vmscm_packed;

/* path and events are borrowed. */
int vmscm_packed_open(struct vmscm_packed **out, const char *path, const struct vmscm_events *events,
    struct vmscm_error *err);
void vmscm_packed_close(struct vmscm_packed *packed); /* NULL is fine */
const struct stat *vmscm_packed_stat(const struct vmscm_packed *packed);

/* Exactly len bytes at offset. VMSCM_EINPUT: there are not so many, or it is damaged; VMSCM_EREFUSED: a bomb;
 * VMSCM_EBUSY: another file is there now. */
int vmscm_packed_pread(struct vmscm_packed *packed, void *out, size_t len, uint64_t offset,
    struct vmscm_error *err);
/* Of the tar archive that it holds, as vmscm_tar_walk. After that nobody is asked whether to cancel: who
 * reads on may be any thread. */
int vmscm_packed_walk(struct vmscm_packed *packed,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data, struct vmscm_error *err);

#endif
