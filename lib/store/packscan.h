/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a pack file record by record, whatever became of it: vmscm-format-pack(5) P19. After damage
 * it goes on at the next record that the magic or the pack's index leads to. Nothing that it hands
 * out is to be believed before it was hashed: what is on a disk may look like a record.
 *
 * Memory is that of the longest record and of the index. What cannot be read is taken for zeros.
 *
 * Threading: one thread at a time.
 */
#ifndef STORE_PACKSCAN_H
#define STORE_PACKSCAN_H

#include "format/pack.h"

struct vmscm_packscan;

struct vmscm_packscan_record {
    struct vmscm_pack_record head;
    const uint8_t *bytes; /* header, tables and payload, or what there is of it; until the next call */
    size_t len;
    bool sound;       /* whole, and with the checksum it says */
    bool unsupported; /* sound, but of a later version */
    /* What the index says of parts of a record at this place: none, if it has no such entry. */
    const struct vmscm_pack_entry *claims;
    size_t claim_count;
};

/* VMSCM_ENOTFOUND, VMSCM_EIO: it cannot be opened. What is no regular file has no records. */
int vmscm_packscan_open(struct vmscm_packscan **out, const char *path, struct vmscm_error *err);
void vmscm_packscan_close(struct vmscm_packscan *scan); /* NULL is fine */

/* The next record; false if there is none. */
bool vmscm_packscan_next(struct vmscm_packscan *scan, struct vmscm_packscan_record *out);

/* Begin again. */
void vmscm_packscan_rewind(struct vmscm_packscan *scan);

/* Entries of the index; *right: it has its checksum. A file whose trailer is damaged has none. */
size_t vmscm_packscan_claims(const struct vmscm_packscan *scan, bool *right);

#endif
