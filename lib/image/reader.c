/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/reader.h"
#include "image/lockcheck.h"
#include "image/reader_mapped.h"
#include "image/reader_nbd.h"
#include "image/reader_raw.h"

#include <stdio.h>

static int check_in_use(const struct vmscm_probe *probe, struct vmscm_error *err)
{
    int rc;

    for (; probe; probe = probe->backing)
        for (size_t i = 0; i < probe->files.len; i++) {
            const char *path = probe->files.items[i].path;
            bool held = false;
            if ((rc = vmscm_lockcheck_writer(&held, path, err)))
                return rc;
            if (held) {
                vmscm_error_set(err, VMSCM_EBUSY, "%s: a running machine writes to it", path);
                vmscm_error_hint(err, "shut the machine down first");
                return VMSCM_EBUSY;
            }
        }
    return 0;
}

static void note(const struct vmscm_events *events, const struct vmscm_probe *probe,
    const char *what)
{
    char text[512];

    if (!events || !events->note)
        return;
    snprintf(text, sizeof text, "%s: %s", probe->path, what);
    events->note(events->data, text);
}

int vmscm_reader_open(struct vmscm_blockdev **out, const struct vmscm_probe *probe, unsigned jobs,
    bool few, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct vmscm_error failure = VMSCM_ERROR_INIT;
    int rc = check_in_use(probe, err);

    if (rc)
        return rc;
    if (probe->format == VMSCM_PROBE_RAW && !probe->backing) {
        note(events, probe, "raw, read straight from the file");
        return vmscm_reader_raw_open(out, probe, err);
    }
    if (probe->format == VMSCM_PROBE_VMDK && probe->files.len > 1) {
        note(events, probe, "a vmdk of several files, read through qemu-nbd");
        return vmscm_reader_nbd_open(out, probe, jobs, err);
    }
    if (few && !probe->link.child)
        return vmscm_reader_nbd_open(out, probe, jobs, err);
    rc = vmscm_reader_mapped_open(out, probe, jobs, events, &failure);
    if (rc != VMSCM_EUNSUPPORTED || (probe->link.child && probe->format != VMSCM_PROBE_VMDK))
        return rc ? vmscm_error_copy(err, &failure) : 0;
    /* Slower, but it needs no memory for them. */
    note(events, probe, "very many extents, read through qemu-nbd");
    return vmscm_reader_nbd_open(out, probe, jobs, err);
}
