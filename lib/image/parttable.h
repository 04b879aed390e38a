/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The partition table of a disk: MBR with logical partitions, or GPT (UEFI specification 2.10, 5.2 and 5.3),
 * with sectors of 512 bytes, and of 4096 where a GPT is in such. Numbers are those that Linux gives.
 *
 * Nothing in a table is believed: what is read of the disk is bounded, whatever it says, and a partition
 * lies within the disk. One that begins behind its end is left out, and one that reaches beyond it ends
 * there, as Linux has it. The container of logical partitions is no partition here; a chain of them that is
 * broken, or goes round in a circle, ends there, as in Linux.
 */
#ifndef IMAGE_PARTTABLE_H
#define IMAGE_PARTTABLE_H

#include "image/blockdev.h"

#define VMSCM_PARTTABLE_LINKS_MAX 256u /* that a chain of logical partitions has */
#define VMSCM_PARTTABLE_BYTES_MAX (1u << 20) /* of the entries of a GPT */

struct vmscm_parttable_entry {
    unsigned number; /* from 1; logical ones from 5 */
    uint64_t offset, len; /* bytes, not 0 */
};

/* The partitions of a disk into *out, the caller's (free), in the order of their numbers. None, and 0: the
 * disk has no table. VMSCM_EINPUT: it has a malformed one; others as reading the disk. */
int vmscm_parttable_read(struct vmscm_parttable_entry **out, size_t *count,
    struct vmscm_blockdev *dev, struct vmscm_error *err);

#endif
