/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the members of a tar archive are: POSIX ustar and pax (IEEE Std 1003.1), GNU's long names and large
 * sizes. Only headers are read; a member's bytes stay where they are.
 *
 * Refused (VMSCM_EREFUSED), with the member's name: links, devices, FIFOs, names that are absolute or
 * climb. VMSCM_EUNSUPPORTED: sparse members and archives of several volumes. VMSCM_EINPUT: a bad header,
 * or a member that the file does not have all of.
 */
#ifndef BUNDLE_TAR_H
#define BUNDLE_TAR_H

#include "base/error.h"
#include "format/tarhead.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_TAR_BLOCK VMSCM_TARHEAD_BLOCK

struct vmscm_tar_member {
    const char *name; /* confined, see base/path.h; without a leading "./" */
    uint64_t offset;  /* of its bytes in the file */
    uint64_t length;
};

/* Whether these bytes, a file's first, are a header of a member; one without a magic, too. */
bool vmscm_tar_match(const uint8_t *block, size_t len);

/* Calls each for every regular file, in the archive's order; non-zero from it ends the walk and is
 * returned. path: for messages. */
int vmscm_tar_walk(int fd, const char *path,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data, struct vmscm_error *err);

/* What an archive is read from, mostly forward. */
struct vmscm_tar_input {
    /* As many of len bytes at offset as there are; *got. If there are fewer, end is known after it. */
    int (*pread_some)(void *data, void *out, size_t len, uint64_t offset, size_t *got,
        struct vmscm_error *err);
    void *data;
    const char *path; /* for messages */
    uint64_t end;     /* UINT64_MAX: not known yet */
};

/* The same of such an archive. */
int vmscm_tar_walk_input(struct vmscm_tar_input *in,
    int (*each)(void *data, const struct vmscm_tar_member *member, struct vmscm_error *err),
    void *data, struct vmscm_error *err);

/* A ustar header of a regular file, for writing: name of at most 100 bytes; sizes of 8 GiB and more are
 * written as GNU does. Mode 0644, no owner, time 0. */
void vmscm_tar_header(uint8_t block[VMSCM_TAR_BLOCK], const char *name, uint64_t length);

#endif
