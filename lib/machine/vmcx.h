/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hyper-V's .vmcx files, since Windows Server 2016: a store of keys and values. Microsoft does not document
 * it; the layout of version 0x400 is as dissect.hypervisor (descriptor/c_hyperv.py) found it. All numbers are
 * little-endian and packed:
 *
 *   header      at 0 and 0x1000, of which the one of the higher sequence number counts: signature
 *               0x01282014, at 8 the sequence number (2 bytes), at 10 the version (4), at 26 the replay
 *               log's offset (8)
 *   replay log  signature 0x01110003, at 8 the number of entries (4), which have yet to be applied
 *   objects     at 0x2000: signature 0x01110001, number of entries (4); entries of 18 bytes: type (1),
 *               checksum (4), offset (8), size (4), in use (1)
 *   key table   object of type 2: signature 2 (2), index (2), sequence number (2), checksum (4); of two
 *               of one index the one of the higher number counts; then entries: type (1), flags (1),
 *               size (4), index of the parent's table (2) or 0, offset of the parent in it (4),
 *               checksum (4), order (4), offset of the value behind this header (1), name, NUL, value
 *   values      type 3 and 4: 8 bytes; 6: length (4), UTF-16; 8: 4 bytes; 9: a node. With flag 1 the
 *               value is elsewhere, and passed over here.
 */
#ifndef MACHINE_VMCX_H
#define MACHINE_VMCX_H

#include "machine/hypervtree.h"

/* Whether a file that begins so is one. */
bool vmscm_vmcx_match(const void *head, size_t len);

/* The tree below the key "configuration", which becomes the root. VMSCM_EINPUT: malformed;
 * VMSCM_EUNSUPPORTED: another version, or with changes that are not applied. */
int vmscm_vmcx_read(struct vmscm_hypervtree *tree, const void *data, size_t len,
    struct vmscm_error *err);

#endif
