/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/rerecord.h"

int vmscm_rerecord_encode(struct vmscm_buf *out, size_t *len, struct vmscm_pack_record *record,
    struct vmscm_compress *compress, const uint8_t *plain, const struct vmscm_buf *base,
    struct vmscm_error *err)
{
    enum vmscm_compress_algorithm algorithm;
    size_t head = vmscm_pack_record_head(record), stored;
    int rc;

    out->len = 0;
    if ((rc = vmscm_buf_reserve(out, head + record->plain_len, err)) ||
        (rc = vmscm_compress_encode(compress, out->data + head, &stored, &algorithm, plain,
             record->plain_len, record->base_count ? base->data : NULL,
             record->base_count ? base->len : 0, err)))
        return rc;
    record->compression = (uint8_t)algorithm;
    record->stored_len = (uint32_t)stored;
    vmscm_pack_encode_record(out->data, record, out->data + head);
    *len = head + stored;
    return 0;
}

int vmscm_rerecord_alone(struct vmscm_buf *out, size_t *len, struct vmscm_pack_record *record,
    struct vmscm_compress *compress, const uint8_t *plain, struct vmscm_error *err)
{
    record->base_count = 0;
    return vmscm_rerecord_encode(out, len, record, compress, plain, NULL, err);
}
