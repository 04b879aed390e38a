/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/qemu.h"
#include "base/str.h"
#include "machine/jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* {"driver": "file", "filename": PATH}, or the part of it that counts; NULL when out of memory or not
 * UTF-8. */
static json_t *describe_file(const struct vmscm_probe_file *file)
{
    json_t *whole = json_pack("{s:s, s:s}", "driver", "file", "filename", file->path);

    if (!whole || (!file->offset &&
                      (!file->length || file->length == (uint64_t)file->st.st_size)))
        return whole;
    return json_pack("{s:s, s:I, s:I, s:o}", "driver", "raw", "offset", (json_int_t)file->offset,
        "size", (json_int_t)file->length, "file", whole);
}

/* Takes over value, which may be NULL: an earlier failure. */
static bool set(json_t *object, const char *key, json_t *value)
{
    return value && json_object_set_new(object, key, value) == 0;
}

static json_t *describe_layer(const struct vmscm_probe *probe)
{
    json_t *layer = json_object();
    bool more = probe->files.len > 1;

    if (!layer)
        return NULL;
    if (!set(layer, "driver", json_string(vmscm_probe_format_name(probe->format))) ||
        !set(layer, "file", describe_file(&probe->files.items[0])) ||
        (more && probe->format == VMSCM_PROBE_QCOW2 &&
            !set(layer, "data-file", describe_file(&probe->files.items[1]))) ||
        /* null says that there is none, whatever the header claims. */
        (!probe->backing && !set(layer, "backing", json_null()))) {
        json_decref(layer);
        return NULL;
    }
    return layer;
}

static int check_names(const struct vmscm_probe *probe, struct vmscm_error *err)
{
    for (; probe; probe = probe->backing) {
        if (!probe->files.len)
            return vmscm_error_set(err, VMSCM_EINPUT, "%s: has no file", probe->path);
        for (size_t i = 0; i < probe->files.len; i++) {
            json_t *s = json_string(probe->files.items[i].path);
            if (!s) {
                vmscm_error_set(err, VMSCM_EINPUT,
                    "%s: the name is not UTF-8, so QEMU cannot be told it",
                    probe->files.items[i].path);
                vmscm_error_hint(err, "rename the file, or convert the image to raw");
                return VMSCM_EINPUT;
            }
            json_decref(s);
        }
    }
    return 0;
}

int vmscm_qemu_describe(char **out, const struct vmscm_probe *probe, struct vmscm_error *err)
{
    json_t *top = NULL, *above = NULL;
    char *text = NULL;
    int rc = check_names(probe, err);

    if (rc)
        return rc;
    for (const struct vmscm_probe *p = probe; p; p = p->backing) {
        json_t *layer = describe_layer(p);
        if (!layer || (above && json_object_set_new(above, "backing", layer))) {
            rc = vmscm_error_nomem(err);
            goto out;
        }
        if (!top)
            top = layer;
        above = layer;
    }
    text = vmscm_jsontext_dump(top, JSON_COMPACT);
    rc = text ? vmscm_str_printf(out, err, "json:%s", text) : vmscm_error_nomem(err);
out:
    free(text);
    json_decref(top);
    return rc;
}

int vmscm_qemu_list_files(struct vmscm_qemu_files *out, const struct vmscm_probe *probe,
    struct vmscm_error *err)
{
    const char **slot;
    int rc;

    for (; probe; probe = probe->backing)
        for (size_t i = 0; i < probe->files.len; i++) {
            if ((rc = vmscm_vec_add(&out->paths, &slot, err)))
                return rc;
            *slot = probe->files.items[i].path;
        }
    return vmscm_vec_add(&out->paths, &slot, err);
}

unsigned vmscm_qemu_depth(const struct vmscm_probe *probe)
{
    unsigned n = 0;

    for (; probe; probe = probe->backing)
        n++;
    return n;
}

uint64_t vmscm_qemu_memory(const struct vmscm_probe *probe)
{
    return (UINT64_C(1) << 30) + vmscm_qemu_depth(probe) * (UINT64_C(96) << 20);
}

int vmscm_qemu_explain(struct vmscm_error *err, const char *path)
{
    if (err->code != VMSCM_ETOOL)
        return err->code;
    if (strstr(err->message, "Failed to get") && strstr(err->message, "lock")) {
        vmscm_error_set(err, VMSCM_EBUSY, "%s: a running machine writes to it", path);
        vmscm_error_hint(err, "shut the machine down first");
    } else if (strstr(err->message, "contains a log that needs to be replayed")) {
        vmscm_error_set(err, VMSCM_EINPUT,
            "%s: was not closed cleanly, and its log has writes that are not applied", path);
        vmscm_error_hint(err, "run \"qemu-img check -r all\" on it, or let its machine shut down");
    }
    return err->code;
}
