/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A record made anew of its plain bytes. Thread-safe but for its arguments. */
#ifndef STORE_RERECORD_H
#define STORE_RERECORD_H

#include "base/buf.h"
#include "codec/compress.h"
#include "format/pack.h"

/* Type, plain length, parts and bases are taken from *record; what else is in it is not set. base: the plain
 * bytes of its bases, one after the other. Header, tables and payload are at out->data, *len bytes; what was
 * in out is gone. */
int vmscm_rerecord_encode(struct vmscm_buf *out, size_t *len, struct vmscm_pack_record *record,
    struct vmscm_compress *compress, const uint8_t *plain, const struct vmscm_buf *base,
    struct vmscm_error *err);

/* The same against nothing. */
int vmscm_rerecord_alone(struct vmscm_buf *out, size_t *len, struct vmscm_pack_record *record,
    struct vmscm_compress *compress, const uint8_t *plain, struct vmscm_error *err);

#endif
