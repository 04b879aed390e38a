/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OVF manifests (DSP0243, "Package manifest"): a digest for each file of a package, in either spelling,
 * "SHA256(NAME)= HEX" and "SHA256 (NAME) = HEX". Parsing is pure.
 */
#ifndef BUNDLE_MANIFEST_H
#define BUNDLE_MANIFEST_H

#include "base/vec.h"
#include "bundle/members.h"
#include "codec/digest.h"
#include <vmscm/events.h>

#define VMSCM_MANIFEST_MAX (4u << 20) /* bytes */

struct vmscm_manifest_line {
    char *name;
    enum vmscm_digest_algorithm algorithm;
    uint8_t digest[VMSCM_DIGEST_MAX];
};

/* Zero-initialised is empty. */
struct vmscm_manifest {
    VMSCM_VEC(struct vmscm_manifest_line) lines;
};

/* VMSCM_EINPUT: a line that is none. */
int vmscm_manifest_parse(struct vmscm_manifest *out, const void *text, size_t len,
    struct vmscm_error *err);
void vmscm_manifest_release(struct vmscm_manifest *manifest);
/* Whether it has a digest of that file. */
bool vmscm_manifest_has(const struct vmscm_manifest *manifest, const char *name);

/* Every file it names is there and has its digest; VMSCM_EREFUSED if not. folder: what its names count
 * from, "" or ending with a slash. jobs threads, one a file. */
int vmscm_manifest_check(const struct vmscm_manifest *manifest, struct vmscm_members *members,
    const char *folder, unsigned jobs, const struct vmscm_events *events, struct vmscm_error *err);

#endif
