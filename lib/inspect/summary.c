/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts in a few words. */
#include "inspect/summary.h"
#include "base/buf.h"

#include <string.h>
#include <vmscm/inspect.h>

static int put_system(struct vmscm_buf *buf, const json_t *system, struct vmscm_error *err)
{
    static const char *const more[] = {"arch", "hostname"};
    const char *name = vmscm_facts_text(system, "product"), *version = vmscm_facts_text(system, "version");
    const json_t *pack = json_object_get(system, "service_pack");
    int rc;

    if (!*name)
        name = vmscm_facts_text(system, "distro");
    if (!*name)
        name = vmscm_facts_text(system, "type");
    if ((rc = vmscm_buf_puts(buf, *name ? name : "unknown system", err)))
        return rc;
    /* A product's name may or may not have it. Of Windows it is another number than people know. */
    if (*version && !strpbrk(name, "0123456789") &&
        (rc = vmscm_buf_printf(buf, err, " %s", version)))
        return rc;
    if (json_integer_value(pack) > 0 &&
        (rc = vmscm_buf_printf(buf, err, " SP%lld", (long long)json_integer_value(pack))))
        return rc;
    for (size_t i = 0; i < sizeof more / sizeof more[0] && !rc; i++)
        if (*vmscm_facts_text(system, more[i]))
            rc = vmscm_buf_printf(buf, err, ", %s", vmscm_facts_text(system, more[i]));
    return rc;
}

/* Where there is no system: what there is. */
static int put_filesystems(struct vmscm_buf *buf, const json_t *list, struct vmscm_error *err)
{
    int rc = vmscm_buf_puts(buf, "no operating system", err);

    for (size_t i = 0; i < json_array_size(list) && i < 4 && !rc; i++) {
        const json_t *fs = json_array_get(list, i);
        rc = vmscm_buf_printf(buf, err, "%s%s%s", i ? ", " : "; ", vmscm_facts_text(fs, "type"),
            json_is_true(json_object_get(fs, "opaque")) ? " (opaque)" : "");
    }
    if (!rc && json_array_size(list) > 4)
        rc = vmscm_buf_puts(buf, ", ...", err);
    return rc;
}

int vmscm_summary_make(char **out, const struct vmscm_facts *facts, struct vmscm_error *err)
{
    const json_t *systems = json_object_get(facts->root, "systems");
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    int rc = 0;

    if (facts->failed)
        rc = vmscm_buf_printf(&buf, err, "failed: %s", vmscm_facts_text(facts->root, "error"));
    else if (json_array_size(systems) == 0)
        rc = put_filesystems(&buf, json_object_get(facts->root, "filesystems"), err);
    for (size_t i = 0; !facts->failed && i < json_array_size(systems) && !rc; i++)
        if (!(rc = i ? vmscm_buf_puts(&buf, "; ", err) : 0))
            rc = put_system(&buf, json_array_get(systems, i), err);
    if (!rc && !(*out = vmscm_buf_steal(&buf)))
        rc = vmscm_error_nomem(err);
    vmscm_buf_release(&buf);
    return rc;
}

int vmscm_inspect_summary(char **out, const char *text, struct vmscm_error *err)
{
    struct vmscm_facts facts;
    int rc = vmscm_facts_parse(&facts, text, strlen(text), err);

    if (!rc)
        rc = vmscm_summary_make(out, &facts, err);
    vmscm_facts_release(&facts);
    return rc;
}
