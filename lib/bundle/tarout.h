/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing a ustar archive, member by member, to what takes bytes in order. Internal to lib/bundle. */
#ifndef BUNDLE_TAROUT_H
#define BUNDLE_TAROUT_H

#include "bundle/export.h"

/* name: of at most 100 bytes. After size bytes of the member comes its padding. */
int vmscm_tarout_header(struct vmscm_export_file *out, const char *name, uint64_t size,
    struct vmscm_error *err);
int vmscm_tarout_padding(struct vmscm_export_file *out, uint64_t size, struct vmscm_error *err);
/* All of a member. */
int vmscm_tarout_member(struct vmscm_export_file *out, const char *name, const void *bytes,
    size_t size, struct vmscm_error *err);
int vmscm_tarout_end(struct vmscm_export_file *out, struct vmscm_error *err);

#endif
