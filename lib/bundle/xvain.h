/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * XVA archives on their way in: see machine/xva.h. A disk is members REF/NUMBER of, usually, 1 MiB, each
 * followed by its digest, REF/NUMBER.xxhash (XXH64) or REF/NUMBER.checksum (SHA-1), in hexadecimal. The first
 * and the last block are there; a gap between numbers is zeros, as many blocks as it has numbers, each as
 * long as the first. A writer that waits for its disk puts an empty block, which uses up a number and stands
 * for nothing: so places are not multiples of numbers. Internal to lib/bundle.
 */
#ifndef BUNDLE_XVAIN_H
#define BUNDLE_XVAIN_H

#include "bundle/load.h"

#define VMSCM_XVAIN_DESCRIPTOR "ova.xml"

/* Whether a tar archive is one: its first member is ova.xml. */
int vmscm_xvain_match(bool *is, const char *path, struct vmscm_error *err);

/* The same of a compressed one. What is no archive is none. */
int vmscm_xvain_match_packed(bool *is, const char *path, struct vmscm_error *err);

/* load->archive is the archive, or load->path a compressed one. Disks are read from where they are in it, or
 * as they come out of it, bundle/xvaqueue.h, and each block is held against its digest when it
 * is. VMSCM_EREFUSED: blocks overlap, are missing, are out of order, or differ from their digests;
 * VMSCM_EUNSUPPORTED: it is no archive. */
int vmscm_xvain_load(struct vmscm_load *load, struct vmscm_error *err);

#endif
