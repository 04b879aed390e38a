/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/histbundle.h"

#include <string.h>

static const uint8_t magic[8] = {'V', 'M', 'S', 'C', 'M', 'B', 'D', 'L'};

void vmscm_histbundle_encode_head(uint8_t out[VMSCM_HISTBUNDLE_HEAD_SIZE])
{
    memset(out, 0, VMSCM_HISTBUNDLE_HEAD_SIZE);
    memcpy(out, magic, sizeof magic);
    out[8] = VMSCM_HISTBUNDLE_VERSION;
}

int vmscm_histbundle_decode_head(const uint8_t in[VMSCM_HISTBUNDLE_HEAD_SIZE],
    struct vmscm_error *err)
{
    if (memcmp(in, magic, sizeof magic) != 0)
        return vmscm_error_set(err, VMSCM_EINPUT, "is no bundle of history");
    if (in[8] != VMSCM_HISTBUNDLE_VERSION) {
        vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "bundle of version %u; this vmscm knows %d", in[8], VMSCM_HISTBUNDLE_VERSION);
        return vmscm_error_hint(err, "use a newer vmscm");
    }
    for (size_t i = 9; i < VMSCM_HISTBUNDLE_HEAD_SIZE; i++)
        if (in[i])
            return vmscm_error_set(err, VMSCM_EINPUT, "a bundle's head cannot be read");
    return 0;
}

enum { RANK_INFO = 1, RANK_REFS, RANK_HAD, RANK_BARE, RANK_HISTORY, RANK_RECORD, RANK_CHECKSUM, RANK_END };

static int strange(struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "a bundle cannot be read: it is damaged, or none");
}

static int check_refs(struct vmscm_histbundle *b, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_wire_ref ref;
    int rc = 0;

    while (len && !rc && !(rc = vmscm_wire_decode_ref(&ref, &in, &len, err)))
        b->refs++;
    return rc;
}

static int check_commits(struct vmscm_histbundle *b, unsigned *rank, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    const uint8_t *ids;
    unsigned role;
    size_t count;
    int rc = vmscm_wire_decode_list(&role, &ids, &count, VMSCM_WIRE_OID_SIZE, in, len, err);

    if (rc || (role != VMSCM_WIRE_HAVE && role != VMSCM_WIRE_BARE))
        return rc ? rc : strange(err);
    *rank = role == VMSCM_WIRE_HAVE ? RANK_HAD : RANK_BARE;
    if (role == VMSCM_WIRE_HAVE)
        b->had += count;
    else
        b->bare += count;
    return 0;
}

static int check_record(struct vmscm_histbundle *b, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_pack_record record;
    int rc = vmscm_pack_decode_record(&record, in, len, err);

    b->records++;
    if (rc)
        return rc == VMSCM_EUNSUPPORTED ? rc : strange(err);
    return vmscm_pack_record_head(&record) + record.stored_len == len &&
            vmscm_pack_check_record(&record, in)
        ? 0
        : strange(err);
}

int vmscm_histbundle_frame(struct vmscm_histbundle *b, unsigned type, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_wire_info info;
    const uint8_t *stored;
    size_t stored_len;
    uint32_t plain;
    unsigned algorithm, rank = 0;
    int rc = 0;

    if (b->over)
        return strange(err);
    switch (type) {
    case VMSCM_WIRE_INFO:
        rank = RANK_INFO;
        rc = vmscm_wire_decode_info(&info, in, len, err);
        break;
    case VMSCM_WIRE_REFS:
        rank = RANK_REFS;
        rc = check_refs(b, in, len, err);
        break;
    case VMSCM_WIRE_COMMITS:
        rc = check_commits(b, &rank, in, len, err);
        break;
    case VMSCM_WIRE_HISTORY:
        rank = RANK_HISTORY;
        b->blocks++;
        rc = vmscm_wire_decode_block(&algorithm, &plain, &stored, &stored_len, in, len, err);
        break;
    case VMSCM_WIRE_RECORD:
        rank = RANK_RECORD;
        rc = check_record(b, in, len, err);
        break;
    case VMSCM_WIRE_CHECKSUM:
        rank = RANK_CHECKSUM;
        rc = vmscm_wire_decode_total(&b->checksum, in, len, err);
        break;
    case VMSCM_WIRE_END:
        rank = RANK_END;
        b->over = true;
        rc = len ? strange(err) : 0;
        break;
    default:
        return strange(err);
    }
    if (rc)
        return rc;
    /* One of the first and of the last two kinds; of the others, any number, each kind together. */
    bool once = rank == RANK_INFO || rank >= RANK_CHECKSUM;
    if (rank < b->rank || (once && rank == b->rank) || (!b->rank && rank != RANK_INFO) ||
        (rank == RANK_END && b->rank != RANK_CHECKSUM))
        return strange(err);
    b->rank = rank;
    return 0;
}

bool vmscm_histbundle_is_heading(unsigned type)
{
    return type == VMSCM_WIRE_INFO || type == VMSCM_WIRE_REFS || type == VMSCM_WIRE_COMMITS;
}
