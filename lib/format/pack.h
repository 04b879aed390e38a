/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Structures of a pack file, as bytes: vmscm-format-pack(5). Pure, no I/O, thread-safe.
 *
 *   header 16 | records ... | index, 48 bytes an entry, sorted by id | trailer 64
 *
 * All integers are little-endian.
 */
#ifndef FORMAT_PACK_H
#define FORMAT_PACK_H

#include "base/error.h"
#include "codec/hash.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_PACK_VERSION 2
#define VMSCM_PACK_HEADER_SIZE 16
#define VMSCM_PACK_RECORD_SIZE 32 /* of a record's header without its tables */
#define VMSCM_PACK_ENTRY_SIZE 48
#define VMSCM_PACK_TRAILER_SIZE 64
#define VMSCM_PACK_FILE_MAX UINT32_MAX     /* bytes of a pack file */
#define VMSCM_PACK_PART_MAX (1u << 20)     /* plain bytes of a chunk or leaf */
#define VMSCM_PACK_PLAIN_MAX (4u << 20)    /* plain bytes of a record */
#define VMSCM_PACK_PARTS_MAX 512           /* chunks or leaves of a record */
#define VMSCM_PACK_BASES_MAX 8             /* bases of a record */
#define VMSCM_PACK_ENTRIES_MAX (16u << 20) /* chunks and leaves of a pack */
#define VMSCM_PACK_HEAD_MAX                                                                        \
    (VMSCM_PACK_RECORD_SIZE + VMSCM_PACK_BASES_MAX * VMSCM_HASH_SIZE + VMSCM_PACK_PARTS_MAX * 4)
#define VMSCM_PACK_RECORD_MAX (VMSCM_PACK_HEAD_MAX + VMSCM_PACK_PLAIN_MAX) /* a whole record */

enum vmscm_pack_type { VMSCM_PACK_CHUNK = 1, VMSCM_PACK_LEAF = 2 };

/* A record: parts of one type, compressed together, perhaps against bases. */
struct vmscm_pack_record {
    uint8_t type;        /* enum vmscm_pack_type */
    uint8_t compression; /* enum vmscm_compress_algorithm */
    uint8_t base_count;
    uint16_t part_count;
    uint32_t plain_len;  /* of all parts */
    uint32_t stored_len; /* bytes after header and tables */
    uint64_t checksum;   /* set by decode */
    struct vmscm_id bases[VMSCM_PACK_BASES_MAX];
    uint32_t parts[VMSCM_PACK_PARTS_MAX]; /* plain length of each */
};

/* Where a chunk or leaf is, as an index tells. */
struct vmscm_pack_entry {
    struct vmscm_id id;
    uint32_t number;    /* its place in the index it was found in; not stored */
    uint32_t offset;    /* of the record's header in the pack file */
    uint32_t length;    /* of the whole record, header included */
    uint32_t plain_len; /* of this part */
    uint16_t part;      /* its number in the record, from 0 */
    uint8_t type;
    bool has_base;
};

struct vmscm_pack_trailer {
    uint64_t index_offset;
    uint32_t entry_count;
    uint64_t index_checksum; /* XXH3-64 of the index bytes */
};

void vmscm_pack_encode_header(uint8_t out[VMSCM_PACK_HEADER_SIZE]);
/* VMSCM_EDAMAGED; VMSCM_EUNSUPPORTED for another version or hash algorithm. */
int vmscm_pack_decode_header(const uint8_t in[VMSCM_PACK_HEADER_SIZE], struct vmscm_error *err);

/* Bytes of a record's header with its tables. */
size_t vmscm_pack_record_head(const struct vmscm_pack_record *record);

/* Header and tables into out (room for vmscm_pack_record_head); the checksum covers `payload`,
 * record->stored_len bytes. Returns the bytes written. */
size_t vmscm_pack_encode_record(uint8_t *out, const struct vmscm_pack_record *record,
    const void *payload);

/* Parse a header and its tables from len bytes. Counts and lengths are within bounds when it
 * returns 0; whether the payload is all there is for the caller to see. VMSCM_EUNSUPPORTED: the same
 * holds, so that the checksum can tell a later version from damage. */
int vmscm_pack_decode_record(struct vmscm_pack_record *record, const uint8_t *in, size_t len,
    struct vmscm_error *err);

/* Whether `in`, a whole record of the decoded header, has the checksum it says. */
bool vmscm_pack_check_record(const struct vmscm_pack_record *record, const uint8_t *in);

void vmscm_pack_encode_entry(uint8_t out[VMSCM_PACK_ENTRY_SIZE],
    const struct vmscm_pack_entry *entry);
void vmscm_pack_decode_entry(struct vmscm_pack_entry *entry,
    const uint8_t in[VMSCM_PACK_ENTRY_SIZE]);

void vmscm_pack_encode_trailer(uint8_t out[VMSCM_PACK_TRAILER_SIZE],
    const struct vmscm_pack_trailer *trailer);
/* Checks the trailer's own checksum, and that the index it names fills the file, file_size bytes
 * long, exactly up to the trailer. */
int vmscm_pack_decode_trailer(struct vmscm_pack_trailer *trailer,
    const uint8_t in[VMSCM_PACK_TRAILER_SIZE], uint64_t file_size, struct vmscm_error *err);

/* Find id among count sorted entries; false if it is not there. Interpolates: ids are uniform, so
 * it looks at few cache lines; falls back to halving, so it is never worse than logarithmic. */
bool vmscm_pack_search(struct vmscm_pack_entry *entry, const uint8_t *entries, size_t count,
    const struct vmscm_id *id);

#endif
