/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bundle of history, as bytes: vmscm-format-bundle(5). A head, then frames of vmscm-format-remote(5) in one
 * order. Pure, no I/O; a state is one thread's.
 */
#ifndef FORMAT_HISTBUNDLE_H
#define FORMAT_HISTBUNDLE_H

#include "format/wire.h"

#define VMSCM_HISTBUNDLE_VERSION 1
#define VMSCM_HISTBUNDLE_HEAD_SIZE 16

void vmscm_histbundle_encode_head(uint8_t out[VMSCM_HISTBUNDLE_HEAD_SIZE]);

/* VMSCM_EINPUT: no bundle; VMSCM_EUNSUPPORTED: of another version. */
int vmscm_histbundle_decode_head(const uint8_t in[VMSCM_HISTBUNDLE_HEAD_SIZE],
    struct vmscm_error *err);

/* Where in a bundle one is. Zero-initialise. */
struct vmscm_histbundle {
    unsigned rank; /* of the last frame */
    uint64_t refs, had, bare, blocks, records;
    uint64_t checksum; /* as it is said, once that frame has come */
    bool over;         /* END has come */
};

/* The next frame. Its place, and its own bytes as far as they can be seen without what came before, are
 * checked. VMSCM_EINPUT. */
int vmscm_histbundle_frame(struct vmscm_histbundle *b, unsigned type, const uint8_t *in, size_t len,
    struct vmscm_error *err);

/* Whether that type is of the frames that say what is in it; data follows. */
bool vmscm_histbundle_is_heading(unsigned type);

#endif
