/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images on top of one another whose order somebody else knows, such as a machine's descriptor: nothing that
 * an image says leads to another file. Images were probed one by one, with VMSCM_PROBE_CHILD.
 */
#ifndef IMAGE_CHAIN_H
#define IMAGE_CHAIN_H

#include "image/blockdev.h"
#include "image/probe.h"
#include <vmscm/events.h>

/* Put the chain of top on below, which it takes over in any case. VMSCM_EINPUT: it is another image than the
 * one that the last of the chain is the difference to, or that one is no difference; VMSCM_EREFUSED: too
 * deep, or in a circle; VMSCM_EUNSUPPORTED: formats that do not go together. */
int vmscm_chain_put(struct vmscm_probe *top, struct vmscm_probe *below, struct vmscm_error *err);

/* The last of a chain, if it needs one below; NULL: the chain is whole. */
const struct vmscm_probe *vmscm_chain_missing(const struct vmscm_probe *top);

/* Open a whole chain for reading, and take it over if that is done: it is closed with the device. Errors as
 * of vmscm_reader_open. */
int vmscm_chain_open(struct vmscm_blockdev **out, struct vmscm_probe *top, unsigned jobs,
    const struct vmscm_events *events, struct vmscm_error *err);

#endif
