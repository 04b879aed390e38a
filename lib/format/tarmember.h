/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a member of a container's archive is as a file: owner, mode, times, device, extended attributes, and
 * where its bytes go if it is sparse. Of POSIX ustar and pax (IEEE Std 1003.1), GNU tar (its manual, "Basic
 * Tar Format" and "Storing Sparse Files"), and of pax headers, the keys SCHILY.xattr. and SCHILY.acl. of
 * star(4), LIBARCHIVE.xattr. of libarchive, and RHT.security.selinux. Pure; one thread at a time.
 */
#ifndef FORMAT_TARMEMBER_H
#define FORMAT_TARMEMBER_H

#include "base/vec.h"
#include "format/container.h"

#define VMSCM_TARMEMBER_SPANS_MAX (1u << 20)

struct vmscm_tarmember_time {
    int64_t seconds; /* since 1970 */
    uint32_t nanoseconds;
};

struct vmscm_tarmember_xattr {
    char *name; /* with its prefix: "user.x" */
    uint8_t *value;
    size_t len;
};

struct vmscm_tarmember_span {
    uint64_t offset, length; /* in the file */
};

/* Zero-initialise before the first member; what a global pax header says holds for those after it. */
struct vmscm_tarmember {
    char type; /* '0' regular, '1' hard link, '2' symbolic link, '3' and '4' devices, '5' directory, '6' FIFO;
                  0: none that is a file */
    const char *path; /* as of a group's name; NULL: the root. Borrowed from the group, or from real */
    const char *link; /* as the group says it */
    uint32_t mode; /* the lowest twelve bits */
    uint32_t uid, gid;
    uint32_t major, minor; /* of a device */
    struct vmscm_tarmember_time mtime, atime, ctime; /* what is not said is as mtime */
    uint64_t size;   /* of the file, bytes; of what is no regular file 0 */
    uint64_t stored; /* bytes that it has in the archive, the map before them left out */
    bool sparse;
    bool map_in_data; /* vmscm_tarmember_map is to be called */
    VMSCM_VEC(struct vmscm_tarmember_span) spans; /* if it is sparse; in order, without overlaps */
    VMSCM_VEC(struct vmscm_tarmember_xattr) xattrs; /* the last one of a name counts */
    char *acl, *default_acl; /* as text; NULL: none */

    struct vmscm_buf global;
    char *real; /* a sparse file's own name */
    uint64_t offset; /* of a map: the one whose length is next */
    uint64_t numbers, seen, number; /* of a map in the data: how many there are, were, and the one at hand */
    uint64_t map_bytes;
    bool pair, digits, said_mtime, said_atime, said_ctime, real_size;
};

void vmscm_tarmember_release(struct vmscm_tarmember *m);

/* VMSCM_EINPUT: malformed. */
int vmscm_tarmember_decode(struct vmscm_tarmember *m, const struct vmscm_container_group *group,
    struct vmscm_error *err);

/* Take the map from what the archive has of the member, in order and piece by piece; *used bytes belong to
 * it. m->map_in_data becomes false when that is all. VMSCM_EINPUT. */
int vmscm_tarmember_map(struct vmscm_tarmember *m, const uint8_t *data, size_t len, size_t *used,
    struct vmscm_error *err);

#endif
