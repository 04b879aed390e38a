/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/pack.h"
#include "base/endian.h"
#include "codec/checksum.h"
#include "codec/compress.h"

static const uint8_t header_magic[8] = {'V', 'M', 'S', 'C', 'M', 'P', 'A', 'K'};
static const uint8_t trailer_magic[8] = {'V', 'M', 'S', 'C', 'M', 'E', 'N', 'D'};
static const uint8_t record_magic[4] = {'V', 'R', 'E', 'C'};

void vmscm_pack_encode_header(uint8_t out[VMSCM_PACK_HEADER_SIZE])
{
    memset(out, 0, VMSCM_PACK_HEADER_SIZE);
    memcpy(out, header_magic, sizeof header_magic);
    out[8] = VMSCM_PACK_VERSION;
    out[9] = VMSCM_HASH_SHA256;
}

int vmscm_pack_decode_header(const uint8_t in[VMSCM_PACK_HEADER_SIZE], struct vmscm_error *err)
{
    static const uint8_t zeros[6];

    if (memcmp(in, header_magic, sizeof header_magic) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "not a pack");
    if (in[8] != VMSCM_PACK_VERSION)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "pack version %d: not known", in[8]);
    if (in[9] != VMSCM_HASH_SHA256)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "hash algorithm %d: not known", in[9]);
    if (memcmp(in + 10, zeros, sizeof zeros) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "pack header: reserved bytes are not zero");
    return 0;
}

size_t vmscm_pack_record_head(const struct vmscm_pack_record *record)
{
    return VMSCM_PACK_RECORD_SIZE + record->base_count * (size_t)VMSCM_HASH_SIZE +
        (record->part_count > 1 ? record->part_count * 4u : 0);
}

/* Over all of a record but the checksum itself. */
static uint64_t record_checksum(const uint8_t *head, size_t head_len, const void *payload,
    size_t payload_len)
{
    uint64_t sum = vmscm_checksum_64(head, VMSCM_PACK_RECORD_SIZE - 8, 0);

    if (head_len > VMSCM_PACK_RECORD_SIZE)
        sum = vmscm_checksum_64(
            head + VMSCM_PACK_RECORD_SIZE, head_len - VMSCM_PACK_RECORD_SIZE, sum);
    return vmscm_checksum_64(payload, payload_len, sum);
}

size_t vmscm_pack_encode_record(uint8_t *out, const struct vmscm_pack_record *record,
    const void *payload)
{
    size_t head = vmscm_pack_record_head(record);
    uint8_t *at = out + VMSCM_PACK_RECORD_SIZE;

    memcpy(out, record_magic, sizeof record_magic);
    out[4] = record->type;
    out[5] = record->compression;
    out[6] = VMSCM_HASH_SHA256;
    out[7] = record->base_count;
    vmscm_put_le32(out + 8, record->plain_len);
    vmscm_put_le32(out + 12, record->stored_len);
    vmscm_put_le32(out + 16, record->part_count);
    vmscm_put_le32(out + 20, 0);
    for (unsigned i = 0; i < record->base_count; i++, at += VMSCM_HASH_SIZE)
        memcpy(at, record->bases[i].bytes, VMSCM_HASH_SIZE);
    for (unsigned i = 0; record->part_count > 1 && i < record->part_count; i++, at += 4)
        vmscm_put_le32(at, record->parts[i]);
    vmscm_put_le64(out + 24, record_checksum(out, head, payload, record->stored_len));
    return head;
}

/* The lengths of the parts, which add up to the record's. */
static int decode_parts(struct vmscm_pack_record *record, const uint8_t *in,
    struct vmscm_error *err)
{
    uint32_t left = record->plain_len;

    if (record->part_count == 1)
        record->parts[0] = left;
    for (unsigned i = 0; i < record->part_count; i++) {
        if (record->part_count > 1)
            record->parts[i] = vmscm_get_le32(in + 4 * (size_t)i);
        if (record->parts[i] == 0 || record->parts[i] > VMSCM_PACK_PART_MAX ||
            record->parts[i] > left)
            return vmscm_error_set(err, VMSCM_EDAMAGED, "record with a part of impossible length");
        left -= record->parts[i];
    }
    if (left)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "record is longer than its parts");
    return 0;
}

int vmscm_pack_decode_record(struct vmscm_pack_record *record, const uint8_t *in, size_t len,
    struct vmscm_error *err)
{
    uint32_t parts;
    int rc;

    if (len < VMSCM_PACK_RECORD_SIZE || memcmp(in, record_magic, sizeof record_magic) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "not a record");
    record->type = in[4];
    record->compression = in[5];
    record->base_count = in[7];
    record->plain_len = vmscm_get_le32(in + 8);
    record->stored_len = vmscm_get_le32(in + 12);
    record->checksum = vmscm_get_le64(in + 24);
    parts = vmscm_get_le32(in + 16);
    if (record->type != VMSCM_PACK_CHUNK && record->type != VMSCM_PACK_LEAF)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "record type %d: not known", record->type);
    if (vmscm_get_le32(in + 20) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "record: reserved bytes are not zero");
    if (record->base_count > VMSCM_PACK_BASES_MAX || parts == 0 || parts > VMSCM_PACK_PARTS_MAX)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "record with too many bases or parts");
    record->part_count = (uint16_t)parts;
    if (record->plain_len == 0 || record->plain_len > VMSCM_PACK_PLAIN_MAX ||
        record->stored_len == 0 || record->stored_len > record->plain_len ||
        (record->compression == VMSCM_COMPRESS_NONE && record->stored_len != record->plain_len))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "record of impossible length");
    if (len < vmscm_pack_record_head(record))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "record ends early");
    const uint8_t *at = in + VMSCM_PACK_RECORD_SIZE;
    for (unsigned i = 0; i < record->base_count; i++, at += VMSCM_HASH_SIZE)
        memcpy(record->bases[i].bytes, at, VMSCM_HASH_SIZE);
    if ((rc = decode_parts(record, at, err)))
        return rc;
    if (record->compression > VMSCM_COMPRESS_ZSTD)
        return vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "compression algorithm %d: not known", record->compression);
    if (in[6] != VMSCM_HASH_SHA256)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "hash algorithm %d: not known", in[6]);
    return 0;
}

bool vmscm_pack_check_record(const struct vmscm_pack_record *record, const uint8_t *in)
{
    size_t head = vmscm_pack_record_head(record);

    return record_checksum(in, head, in + head, record->stored_len) == record->checksum;
}

void vmscm_pack_encode_entry(uint8_t out[VMSCM_PACK_ENTRY_SIZE],
    const struct vmscm_pack_entry *entry)
{
    memcpy(out, entry->id.bytes, VMSCM_HASH_SIZE);
    vmscm_put_le32(out + 32, 0);
    vmscm_put_le32(out + 36, entry->offset);
    vmscm_put_le32(out + 40, entry->length);
    vmscm_put_le32(out + 44, (entry->plain_len - 1) | (uint32_t)entry->part << 20 |
            (uint32_t)entry->type << 29 | (uint32_t)entry->has_base << 31);
}

void vmscm_pack_decode_entry(struct vmscm_pack_entry *entry,
    const uint8_t in[VMSCM_PACK_ENTRY_SIZE])
{
    memcpy(entry->id.bytes, in, VMSCM_HASH_SIZE);
    entry->number = 0;
    entry->offset = vmscm_get_le32(in + 36);
    entry->length = vmscm_get_le32(in + 40);
    uint32_t word = vmscm_get_le32(in + 44);
    entry->plain_len = (word & (VMSCM_PACK_PART_MAX - 1)) + 1;
    entry->part = word >> 20 & (VMSCM_PACK_PARTS_MAX - 1);
    entry->type = word >> 29 & 3;
    entry->has_base = word >> 31;
}

void vmscm_pack_encode_trailer(uint8_t out[VMSCM_PACK_TRAILER_SIZE],
    const struct vmscm_pack_trailer *trailer)
{
    memset(out, 0, VMSCM_PACK_TRAILER_SIZE);
    vmscm_put_le64(out, trailer->index_offset);
    vmscm_put_le32(out + 8, trailer->entry_count);
    vmscm_put_le64(out + 16, trailer->index_checksum);
    vmscm_put_le64(out + 48, vmscm_checksum_64(out, 48, 0));
    memcpy(out + 56, trailer_magic, sizeof trailer_magic);
}

int vmscm_pack_decode_trailer(struct vmscm_pack_trailer *trailer,
    const uint8_t in[VMSCM_PACK_TRAILER_SIZE], uint64_t file_size, struct vmscm_error *err)
{
    static const uint8_t zeros[24];

    if (memcmp(in + 56, trailer_magic, sizeof trailer_magic) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "pack has no trailer");
    if (vmscm_get_le64(in + 48) != vmscm_checksum_64(in, 48, 0))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "pack trailer: wrong checksum");
    if (memcmp(in + 12, zeros, 4) != 0 || memcmp(in + 24, zeros, sizeof zeros) != 0)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "pack trailer: reserved bytes are not zero");
    trailer->index_offset = vmscm_get_le64(in);
    trailer->entry_count = vmscm_get_le32(in + 8);
    trailer->index_checksum = vmscm_get_le64(in + 16);
    if (file_size > VMSCM_PACK_FILE_MAX || trailer->entry_count > VMSCM_PACK_ENTRIES_MAX ||
        trailer->index_offset < VMSCM_PACK_HEADER_SIZE || trailer->index_offset > file_size ||
        file_size - trailer->index_offset !=
            (uint64_t)trailer->entry_count * VMSCM_PACK_ENTRY_SIZE + VMSCM_PACK_TRAILER_SIZE)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "pack trailer does not fit the file");
    return 0;
}

bool vmscm_pack_search(struct vmscm_pack_entry *entry, const uint8_t *entries, size_t count,
    const struct vmscm_id *id)
{
    uint64_t key = vmscm_get_be64(id->bytes);
    uint64_t low_key = 0, high_key = UINT64_MAX;
    size_t low = 0, high = count;

    for (unsigned step = 0; low < high; step++) {
        size_t mid;
        if (step < 8 && high_key > low_key)
            mid = low + (size_t)((__uint128_t)(key - low_key) * (high - low - 1) /
                            (high_key - low_key));
        else
            mid = low + (high - low) / 2;
        const uint8_t *at = entries + mid * VMSCM_PACK_ENTRY_SIZE;
        int cmp = memcmp(at, id->bytes, VMSCM_HASH_SIZE);
        if (cmp == 0) {
            vmscm_pack_decode_entry(entry, at);
            entry->number = (uint32_t)mid;
            return true;
        }
        uint64_t at_key = vmscm_get_be64(at);
        if (cmp < 0) {
            low = mid + 1;
            low_key = at_key;
        } else {
            high = mid;
            high_key = at_key;
        }
        /* An index that is not sorted must not send the arithmetic out of its range. */
        if (key < low_key || key > high_key)
            return false;
    }
    return false;
}
