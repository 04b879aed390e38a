/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bundles that are packed once more: a compressed tar archive (gzip, xz, zstd, bzip2), a zip archive, a
 * single compressed file. What is in them cannot be read in place, so it is unpacked to scratch files, whose
 * names are ours. The only user of libarchive.
 *
 * Bounds: what is unpacked may be at most a thousand times as long as what it came from, once it is over
 * 1 GiB: gzip cannot do more, and whoever does is a bomb (VMSCM_EREFUSED). Runs of zeros become holes.
 */
#ifndef BUNDLE_UNWRAP_H
#define BUNDLE_UNWRAP_H

#include "bundle/members.h"
#include <vmscm/events.h>

#define VMSCM_UNWRAP_ALL UINT64_MAX /* bytes: to the end of the file */

enum vmscm_unwrap_kind { VMSCM_UNWRAP_NONE, VMSCM_UNWRAP_COMPRESSED, VMSCM_UNWRAP_ZIP };

/* What a file's first bytes say. */
enum vmscm_unwrap_kind vmscm_unwrap_match(const uint8_t *head, size_t len);

/* The first bytes of what a compressed file holds: at most len; *got. VMSCM_EINPUT: it is not whole. */
int vmscm_unwrap_peek(uint8_t *out, size_t len, size_t *got, const char *path,
    struct vmscm_error *err);

/* Decompress length bytes of a file, from offset on, into the file `to`, which must not be there. max: refuse
 * more, 0: as above. VMSCM_EINPUT: there are none, or not so many, or they are not compressed. */
int vmscm_unwrap_file(const char *to, const char *path, uint64_t offset, uint64_t length,
    uint64_t max, const struct vmscm_events *events, struct vmscm_error *err);

/* What a compressed file holds, from its first byte to its last. The same bounds. */
struct vmscm_unwrap_stream;

int vmscm_unwrap_stream_open(struct vmscm_unwrap_stream **out, const char *path, struct vmscm_error *err);
void vmscm_unwrap_stream_close(struct vmscm_unwrap_stream *stream); /* NULL is fine */
/* The next bytes: *got is less than len only at the end. */
int vmscm_unwrap_stream_read(struct vmscm_unwrap_stream *stream, void *out, size_t len, size_t *got,
    struct vmscm_error *err);
/* The file's, as it was opened. */
const struct stat *vmscm_unwrap_stream_stat(const struct vmscm_unwrap_stream *stream);

/* Unpack a zip archive's regular files into the directory scratch, and add them to members. Errors as of a
 * tar's members. */
int vmscm_unwrap_zip(struct vmscm_members *members, const char *path, const char *scratch,
    const struct vmscm_events *events, struct vmscm_error *err);

#endif
