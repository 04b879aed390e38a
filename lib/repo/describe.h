/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The machine a check-in records: from a libvirt domain if one is given, else the parent's, else a
 * sensible one; with the disks that are being checked in: known ones in the order they had.
 */
#ifndef REPO_DESCRIBE_H
#define REPO_DESCRIBE_H

#include "base/buf.h"
#include "image/probe.h"
#include "machine/libvirt.h"
#include "repo/handle.h"
#include <vmscm/checkin.h>

#define VMSCM_DESCRIBE_XML_MAX VMSCM_LIBVIRT_MAX

/* What is known of the machine. */
struct vmscm_describe_config {
    const struct vmscm_buf *xml; /* of the libvirt domain file xml_name, */
    const char *xml_name;        /* NULL: there is none */
    const struct vmscm_machine *machine; /* else this is it; NULL: it is the parent's */
};

/*
 * parent: an id or "". Disk ids: the one asked
 * for; else, of the configuration's or parent's disks, the one whose file has the source's name,
 * else the one the file is called after ("sda.vmdk"), else the next one in order; else a new one.
 * order, with room for `count`: which source each disk of the machine is. VMSCM_EUSAGE for two
 * disks with one id.
 */
int vmscm_describe_machine(struct vmscm_machine **out, size_t *order, struct vmscm_repo *repo,
    const char *name, const char *parent, const struct vmscm_checkin_disk *sources,
    struct vmscm_probe *const *probes, size_t count,
    const struct vmscm_describe_config *config, const struct vmscm_events *events, struct vmscm_error *err);

#endif
