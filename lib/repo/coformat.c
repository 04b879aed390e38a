/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/coformat.h"
#include "base/str.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

int vmscm_coformat_request(char **out, const struct vmscm_checkout_options *options,
    struct vmscm_error *err)
{
    return vmscm_str_printf(out, err, "format=%s options=%s",
        options->format ? options->format : "", options->options ? options->options : "");
}

int vmscm_coformat_parse(char **format, char **options, const char *request,
    struct vmscm_error *err)
{
    static const char first[] = "format=", second[] = " options=";
    const char *rest = strstr(request, second);
    int rc = 0;

    *format = *options = NULL;
    if (!vmscm_str_starts(request, first) || !rest)
        return 0;
    request += sizeof first - 1;
    if (rest > request)
        rc = vmscm_str_printf(format, err, "%.*s", (int)(rest - request), request);
    rest += sizeof second - 1;
    if (!rc && *rest)
        rc = vmscm_str_dup(options, rest, err);
    return rc;
}

int vmscm_coformat_choose(struct vmscm_writer_options *w, char **text,
    const struct vmscm_checkout_options *asked, const struct vmscm_machine_disk *disk,
    struct vmscm_error *err)
{
    const char *format = asked->format ? asked->format : disk->format;
    bool recorded = strcmp(format, disk->format) == 0;
    VMSCM_VEC(struct vmscm_machine_option) list = {0};
    struct vmscm_machine_option *slot;
    int rc = vmscm_probe_format_parse(&w->format, format, err);

    for (size_t i = 0; recorded && !rc && i < disk->option_count; i++) {
        /* -o replaces what was recorded under the same name. */
        if (vmscm_vec_add(&list, &slot, err))
            rc = VMSCM_ENOMEM;
        else
            *slot = disk->options[i];
    }
    if (!rc && asked->options && !(rc = vmscm_str_dup(text, asked->options, err))) {
        for (char *item = *text, *next; item && *item && !rc; item = next) {
            if ((next = strchr(item, ',')))
                *next++ = '\0';
            char *value = strchr(item, '=');
            if (!value) {
                rc = vmscm_error_set(err, VMSCM_EUSAGE, "%s: not NAME=VALUE", item);
                break;
            }
            *value++ = '\0';
            if ((rc = vmscm_writer_check_option(w->format, item, value, err)))
                break;
            slot = NULL;
            for (size_t i = 0; i < list.len && !slot; i++)
                if (strcmp(list.items[i].name, item) == 0)
                    slot = &list.items[i];
            if (!slot && vmscm_vec_add(&list, &slot, err))
                rc = VMSCM_ENOMEM;
            else
                *slot = (struct vmscm_machine_option){item, value};
        }
    }
    if (rc) {
        vmscm_vec_release(&list);
        return rc;
    }
    w->options = list.items;
    w->option_count = list.len;
    return 0;
}

/* Whether a vmdk of this disk is several files, and one of them has the name of the other's: beside
 * a.vmdk are a-flat.vmdk, or a-s001.vmdk and so on. */
static bool is_part_of(const struct vmscm_machine_disk *other,
    const struct vmscm_machine_disk *disk, const struct vmscm_writer_options *w)
{
    size_t stem = strlen(disk->id);
    const char *rest = other->id + stem;
    bool parts = false;

    for (size_t i = 0; i < w->option_count; i++)
        if (strcmp(w->options[i].name, "subformat") == 0)
            parts = strcmp(w->options[i].value, "monolithicSparse") != 0 &&
                strcmp(w->options[i].value, "streamOptimized") != 0;
    if (!parts || strncmp(other->id, disk->id, stem) != 0)
        return false;
    return strcmp(rest, "-flat") == 0 ||
        (rest[0] == '-' && (rest[1] == 's' || rest[1] == 'f') && rest[2] &&
            strspn(rest + 2, "0123456789") == strlen(rest + 2));
}

static int check_parts(const struct vmscm_machine *machine, const struct vmscm_machine_disk *disk,
    const struct vmscm_writer_options *w, struct vmscm_error *err)
{
    for (size_t i = 0; w->format == VMSCM_PROBE_VMDK && i < machine->disk_count; i++)
        if (is_part_of(&machine->disks[i], disk, w)) {
            vmscm_error_set(err, VMSCM_EUNSUPPORTED,
                "disk %s: its files and those of disk %s would have one name", disk->id,
                machine->disks[i].id);
            return vmscm_error_hint(err, "--format and -o choose another kind of file");
        }
    return 0;
}

int vmscm_coformat_check(const struct vmscm_machine *machine,
    const struct vmscm_checkout_options *asked, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < machine->disk_count && !rc; i++) {
        const struct vmscm_machine_disk *disk = &machine->disks[i];
        struct vmscm_writer_options w = {.jobs = 1};
        char *text = NULL;
        uint64_t size;
        if (!(rc = vmscm_coformat_choose(&w, &text, asked, disk, err)) &&
            !(rc = check_parts(machine, disk, &w, err)) &&
            (rc = vmscm_writer_size(&size, w.format, disk->size, err)))
            vmscm_error_prefix(err, "disk %s", disk->id);
        free((void *)w.options);
        free(text);
    }
    return rc;
}
