/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sending git objects: one after the other, in blocks that are compressed. One thread at a time. */
#ifndef REMOTE_HISTSEND_H
#define REMOTE_HISTSEND_H

#include "history/novel.h"
#include "remote/stream.h"

/* All that is new, as frames VMSCM_WIRE_HISTORY. */
int vmscm_histsend_run(struct vmscm_stream *stream, struct vmscm_novel *const *novels, size_t count,
    struct vmscm_error *err);

#endif
