/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sys/tail.h"

#include <string.h>

void vmscm_tail_add(struct vmscm_tail *tail, const char *piece, size_t len)
{
    if (len > VMSCM_TAIL_MAX) {
        piece += len - VMSCM_TAIL_MAX;
        len = VMSCM_TAIL_MAX;
    }
    if (tail->len + len > VMSCM_TAIL_MAX) {
        size_t drop = tail->len + len - VMSCM_TAIL_MAX;
        memmove(tail->text, tail->text + drop, tail->len - drop);
        tail->len -= drop;
    }
    memcpy(tail->text + tail->len, piece, len);
    tail->len += len;
}
