/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Naming a probed image to a QEMU tool, completely: every layer's driver and file is given, so that
 * QEMU never probes a format nor follows a name that an image holds. The one exception: QEMU reads
 * the names of a vmdk's extents from the descriptor itself, with no way to give them; the probe has
 * judged these, and the sandbox holds QEMU to them.
 */
#ifndef IMAGE_QEMU_H
#define IMAGE_QEMU_H

#include "base/vec.h"
#include "image/probe.h"

/* NULL-terminated list of paths, borrowed from the probe. */
struct vmscm_qemu_files {
    VMSCM_VEC(const char *) paths;
};

/* *out (the caller's) is an image argument "json:{...}" for a tool's command line.
 * VMSCM_EINPUT: a file's name is not UTF-8, which JSON cannot hold. */
int vmscm_qemu_describe(char **out, const struct vmscm_probe *probe, struct vmscm_error *err);

/* Every file the image and its chain are made of. */
int vmscm_qemu_list_files(struct vmscm_qemu_files *out, const struct vmscm_probe *probe,
    struct vmscm_error *err);

/* Images in the chain, 1 without a backing file. */
unsigned vmscm_qemu_depth(const struct vmscm_probe *probe);

/* Address space a QEMU tool may need to read the image: its own, and each layer's caches. */
uint64_t vmscm_qemu_memory(const struct vmscm_probe *probe);

/* What a QEMU tool's failure (VMSCM_ETOOL) to open an image is really about, where its message
 * tells: VMSCM_EBUSY, VMSCM_EINPUT, with a hint. Returns err->code; err must not be NULL. */
int vmscm_qemu_explain(struct vmscm_error *err, const char *path);

#endif
