/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/descriptor.h"
#include "base/path.h"
#include "machine/hint.h"
#include "machine/model.h"

#include <stdlib.h>
#include <string.h>

int vmscm_descriptor_open(struct vmscm_descriptor *d, struct vmscm_error *err)
{
    const struct vmscm_descriptor_form *form = d->form;
    char *nvram = NULL;
    int rc = vmscm_model_copy(&d->machine, d->x->machine, err);

    for (size_t i = 0; !rc && d->x->options->new_identity && i < d->machine->nic_count; i++)
        rc = vmscm_model_set(&d->machine->nics[i].mac, NULL, err);
    if (rc || !form->suffix)
        return rc;
    if ((rc = vmscm_export_config(&d->recorded, &d->recorded_size, d->x, form->suffix, err)) ||
        !d->recorded || !form->nvram)
        return rc;
    /* What cannot be read any more is of no use, that is all. */
    rc = form->nvram(&nvram, d->recorded, d->recorded_size, err);
    if (rc && rc != VMSCM_ENOMEM) {
        vmscm_error_clear(err);
        rc = 0;
    }
    if (!rc && nvram)
        rc = vmscm_export_config(
            &d->nvram, &d->nvram_size, d->x, vmscm_path_basename(nvram), err);
    free(nvram);
    return rc;
}

void vmscm_descriptor_close(struct vmscm_descriptor *d)
{
    vmscm_model_free(d->machine);
    free(d->recorded);
    free(d->nvram);
}

struct losing {
    struct vmscm_export *x;
    struct vmscm_buf *notes;
    struct vmscm_error *err;
};

static int each_loss(void *data, const char *text)
{
    struct losing *l = data;

    return vmscm_export_loss(l->x, l->notes, text, l->err);
}

/* What a reader sees of a text; disks in our order. */
static int read_again(struct vmscm_machine **as, const struct vmscm_descriptor *d,
    const struct vmscm_buf *text, const char *const *files, struct vmscm_error *err)
{
    char **sources = NULL;
    int rc = d->form->parse(as, &sources, text->data, text->len, err);

    if (!rc && (*as)->disk_count != d->machine->disk_count)
        rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%s: cannot hold %zu disks", d->form->name,
            d->machine->disk_count);
    if (!rc)
        rc = vmscm_hint_order(*as, sources, files, err);
    for (size_t i = 0; sources && i < (*as)->disk_count; i++)
        free(sources[i]);
    free(sources);
    return rc;
}

static int generate(struct vmscm_buf *out, struct vmscm_descriptor *d,
    struct vmscm_description *description, struct vmscm_error *err)
{
    struct vmscm_buf notes = VMSCM_BUF_INIT;
    struct losing losing = {d->x, &notes, err};
    struct vmscm_machine *as = NULL;
    char *as_text = NULL, *is_text = NULL;
    int rc = vmscm_buf_printf(&notes, err, "vmscm revision %s", vmscm_revision_id(d->x->rev));

    if (rc || (rc = d->form->encode(out, description, err)) ||
        (rc = read_again(&as, d, out, description->files, err)) ||
        (rc = vmscm_hint_losses(d->machine, as, d->form->name, each_loss, &losing)))
        goto out;
    if (vmscm_hint_differ(d->machine, as) &&
        ((rc = vmscm_hint_encode(&as_text, as, err)) ||
            (rc = vmscm_hint_encode(&is_text, d->machine, err))))
        goto out;
    description->annotation = vmscm_buf_str(&notes);
    description->as = as_text;
    description->is = is_text;
    out->len = 0;
    rc = d->form->encode(out, description, err);
out:
    vmscm_model_free(as);
    free(as_text);
    free(is_text);
    vmscm_buf_release(&notes);
    return rc;
}

int vmscm_descriptor_encode(struct vmscm_buf *out, struct vmscm_descriptor *d,
    const char *const *files, const char *nvram, struct vmscm_error *err)
{
    struct vmscm_description description = {.machine = d->machine,
        .name = d->x->stem,
        .files = files,
        .nvram = d->nvram ? nvram : NULL,
        .new_identity = d->x->options->new_identity};
    int rc = 0;

    if (d->recorded && d->form->adapt)
        rc = d->form->adapt(out, d->recorded, d->recorded_size, &description, err);
    return rc || out->len ? rc : generate(out, d, &description, err);
}
