/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * machine.json: the stored form of a machine, specified in vmscm-format-machine(5). Encoding is
 * canonical (sorted keys, fixed indentation), so that equal machines are equal bytes. Decoding
 * checks every field and every bound; unknown fields of a known schema version are refused, unknown
 * schema versions are VMSCM_EUNSUPPORTED.
 */
#ifndef MACHINE_JSON_H
#define MACHINE_JSON_H

#include "base/buf.h"
#include <vmscm/machine.h>

#define VMSCM_JSON_MAX (1 << 20) /* bytes of a machine.json */
#define VMSCM_JSON_DISKS_MAX 256

int vmscm_json_encode(struct vmscm_buf *out, const struct vmscm_machine *machine,
    struct vmscm_error *err);
int vmscm_json_decode(struct vmscm_machine **out, const void *data, size_t len,
    struct vmscm_error *err);

#endif
