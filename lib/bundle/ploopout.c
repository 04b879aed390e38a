/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/ploopout.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/imageout.h"
#include "image/writer.h"
#include "machine/hint.h"
#include "machine/model.h"
#include "machine/ploop.h"
#include "repo/handle.h"
#include "sys/file.h"

#include <stdlib.h>

#define IMAGE "root.hds" /* as ploop calls it */

struct hints {
    char *as, *is;
};

/* What a reader sees, and what it is. */
static int make_hints(struct hints *h, struct vmscm_export *x, struct vmscm_error *err)
{
    struct vmscm_machine *as = NULL, *is = NULL;
    int rc;

    if ((rc = vmscm_ploop_machine(&as, x->machine->disk_count, err)) ||
        (rc = vmscm_model_copy(&is, x->machine, err)))
        goto out;
    for (size_t i = 0; x->options->new_identity && i < is->nic_count; i++)
        vmscm_model_set(&is->nics[i].mac, NULL, NULL);
    if ((rc = vmscm_hint_encode(&h->as, as, err)) || (rc = vmscm_hint_encode(&h->is, is, err)))
        goto out;
    vmscm_handle_warn(x->events,
        "ploop has no words for a machine, only for its disks: what it is, is noted for vmscm");
out:
    vmscm_model_free(as);
    vmscm_model_free(is);
    return rc;
}

static int write_disk(struct vmscm_export *x, size_t n, const char *dir, const struct hints *h,
    struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *path = NULL, *descriptor = NULL;
    uint64_t size;
    int rc;

    if ((rc = vmscm_file_mkdirs(dir, err)) || (rc = vmscm_path_join(&path, dir, IMAGE, err)) ||
        (rc = vmscm_path_join(&descriptor, dir, "DiskDescriptor.xml", err)) ||
        (rc = vmscm_imageout_write_at(x, n, path, VMSCM_PROBE_PARALLELS, err)) ||
        (rc = vmscm_writer_size(&size, VMSCM_PROBE_PARALLELS, x->machine->disks[n].size, err)) ||
        (rc = vmscm_ploop_encode(&text, IMAGE, size, vmscm_revision_id(x->rev), n ? NULL : h->as,
             n ? NULL : h->is, err)))
        goto out;
    x->written += text.len;
    rc = vmscm_file_replace(descriptor, text.data, text.len, 0666, err);
out:
    vmscm_buf_release(&text);
    free(path);
    free(descriptor);
    return rc;
}

int vmscm_ploopout_write(struct vmscm_export *x, struct vmscm_error *err)
{
    struct hints hints = {NULL, NULL};
    char *top = NULL;
    int rc;

    /* One directory, which is moved to its place as a whole. */
    if ((rc = vmscm_export_name(&top, x, x->stem, err)) || (rc = make_hints(&hints, x, err)))
        goto out;
    for (size_t i = 0; i < x->machine->disk_count && !rc; i++) {
        char *dir = NULL;
        /* The first one is read first again, whatever the ids are. */
        rc = x->machine->disk_count == 1
            ? vmscm_str_dup(&dir, top, err)
            : vmscm_str_printf(&dir, err, "%s/%03zu-%s.hdd", top, i, x->machine->disks[i].id);
        if (!rc)
            rc = write_disk(x, i, dir, &hints, err);
        free(dir);
    }
    if (!rc)
        rc = vmscm_file_sync_dir(top, err);
out:
    free(hints.as);
    free(hints.is);
    free(top);
    return rc;
}
