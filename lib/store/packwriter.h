/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing one pack: under tmp/ and flocked until it is whole, then fsynced, renamed into packs/
 * without replacing, and the directory fsynced. Leaves are held back and written together at the
 * end, so that whoever reads only leaves (diff, fsck, fetch) reads one stretch.
 *
 * Threading: one thread at a time.
 */
#ifndef STORE_PACKWRITER_H
#define STORE_PACKWRITER_H

#include "format/pack.h"
#include "store/packfile.h"

struct vmscm_packwriter;

/* An encoded record, and what the index is to know of it. */
struct vmscm_packwriter_part {
    struct vmscm_id id;
    uint32_t plain_len;
};

struct vmscm_packwriter_record {
    enum vmscm_pack_type type;
    bool has_base;
    const struct vmscm_packwriter_part *parts;
    size_t part_count;
    const uint8_t *bytes; /* header, tables, payload */
    size_t len;
};

/* repo_dir: the repository. direct: past the page cache, where that can be. */
int vmscm_packwriter_open(struct vmscm_packwriter **out, const char *repo_dir, bool direct,
    struct vmscm_error *err);

/* It may be lost, or damaged, in a power failure: nothing waits for the disk. */
void vmscm_packwriter_hasty(struct vmscm_packwriter *writer);

/* Append a record; what it points to is copied. */
int vmscm_packwriter_add(struct vmscm_packwriter *writer,
    const struct vmscm_packwriter_record *record, struct vmscm_error *err);

/* The name it will have, in an index's form. */
const uint8_t *vmscm_packwriter_name(const struct vmscm_packwriter *writer);

/* Make it durable and visible; file (room for VMSCM_PACKFILE_NAME) gets its name, *bytes the
 * file's size. An empty one leaves nothing and gives "". The writer is closed in any case. */
int vmscm_packwriter_finish(struct vmscm_packwriter *writer, char *file, uint64_t *bytes,
    struct vmscm_error *err);

/* Throw it away. NULL is fine. */
void vmscm_packwriter_abort(struct vmscm_packwriter *writer);

/* Remove what writers that died left under tmp/: files nobody holds a lock on. */
int vmscm_packwriter_sweep(const char *repo_dir, struct vmscm_error *err);

/* each(data, file, bytes) for every such file. Those that begin just now may hide them. Non-zero from
 * each ends it and is returned. */
int vmscm_packwriter_abandoned(const char *repo_dir,
    int (*each)(void *data, const char *file, uint64_t bytes), void *data,
    struct vmscm_error *err);

#endif
