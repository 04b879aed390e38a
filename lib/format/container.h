/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a container's root file system, a tar archive, is stored as a disk, vmscm-format-container(5): a
 * header, then the members' headers, then what they hold, each file from a block of its own on. So files
 * are cut alike wherever they are in the archive, and as in a disk whose file system holds them; and a
 * changed time costs no file. The archive comes out of it again bit by bit. Pure; thread-safe.
 */
#ifndef FORMAT_CONTAINER_H
#define FORMAT_CONTAINER_H

#include "base/buf.h"
#include <stdbool.h>

#define VMSCM_CONTAINER_BLOCK 4096u
#define VMSCM_CONTAINER_HEAD (2 * VMSCM_CONTAINER_BLOCK) /* bytes before the metadata */
#define VMSCM_CONTAINER_MEMBERS_MAX (1u << 22)
#define VMSCM_CONTAINER_GROUP_MAX (4u << 20) /* bytes of a member's headers */

struct vmscm_container_head {
    uint64_t tar;      /* bytes of the archive */
    uint64_t metadata; /* bytes of the headers, in whole blocks */
    uint64_t members;
    bool links_hold;   /* hard links have bytes, as POSIX.1-2001 allows: as many as their headers say */
};

void vmscm_container_encode(uint8_t block[VMSCM_CONTAINER_BLOCK], const struct vmscm_container_head *head);
/* VMSCM_EDAMAGED; VMSCM_EUNSUPPORTED: another version. */
int vmscm_container_decode(struct vmscm_container_head *out,
    const uint8_t block[VMSCM_CONTAINER_BLOCK], struct vmscm_error *err);

/* A member's headers: pax headers, long names and the like, its own, and its map if it is sparse. Zero-
 * initialise before the first use. */
struct vmscm_container_group {
    struct vmscm_buf bytes;
    bool end;      /* there is no member: the archive ends, bytes or none before that */
    char type;
    char *name;    /* as it is said, though without "./" before it and "/" after; NULL: the root */
    char *link;    /* of a link, what it leads to */
    uint64_t size; /* bytes of the member in the archive, but for the padding; of a hard link 0 */
    uint64_t link_size; /* of a hard link, what its header says: it may or may not have so many */
    bool directory; /* the name ended with "/" */
    char *said;    /* holds the name */
};

void vmscm_container_release(struct vmscm_container_group *group);

/* Read the next one. pull gives exactly len bytes, or sets *end if there are not so many.
 * VMSCM_EINPUT: malformed; a name for all members at once; VMSCM_EUNSUPPORTED: an archive of several
 * volumes; and whatever pull returns. */
int vmscm_container_next(struct vmscm_container_group *group,
    int (*pull)(void *data, void *out, size_t len, bool *end, struct vmscm_error *err), void *data,
    struct vmscm_error *err);

/* Whether what follows this group begins a block: a writer's choice, by content, so that it is the same
 * wherever the group is. */
bool vmscm_container_cuts(const struct vmscm_container_group *group);
/* Where, after what ends at `at`, a group of len bytes goes. */
uint64_t vmscm_container_place(uint64_t at, uint64_t len, bool cut);

/* In whole blocks of an archive (512 bytes), or of this format. */
uint64_t vmscm_container_padded(uint64_t size);
uint64_t vmscm_container_blocks(uint64_t size);

#endif
