/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/hint.h"
#include "base/buf.h"
#include "base/str.h"
#include "machine/json.h"
#include "machine/model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* machine.json with its lines joined: line ends and indentation are all the white space that is not in
 * strings, which have no control characters. */
static void join_lines(char *text)
{
    char *to = text;

    for (const char *from = text; *from;) {
        if (*from == '\n')
            from += 1 + strspn(from + 1, " ");
        else
            *to++ = *from++;
    }
    *to = '\0';
}

int vmscm_hint_encode(char **out, const struct vmscm_machine *machine, struct vmscm_error *err)
{
    struct vmscm_machine plain = *machine;
    struct vmscm_machine_disk *disks = calloc(machine->disk_count + 1, sizeof *disks);
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc;

    *out = NULL;
    if (!disks)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < machine->disk_count; i++) {
        disks[i] = machine->disks[i];
        disks[i].format = (char *)"raw";
        disks[i].options = NULL;
        disks[i].option_count = 0;
        disks[i].size = 1;
    }
    plain.disks = disks;
    if (!(rc = vmscm_json_encode(&text, &plain, err)) && !(*out = vmscm_buf_steal(&text)))
        rc = vmscm_error_nomem(err);
    if (*out)
        join_lines(*out);
    vmscm_buf_release(&text);
    free(disks);
    return rc;
}

static bool same_disk(const struct vmscm_machine_disk *a, const struct vmscm_machine_disk *b)
{
    return same(a->id, b->id) && same(a->target, b->target) && same(a->bus, b->bus);
}

static bool same_nic(const struct vmscm_machine_nic *a, const struct vmscm_machine_nic *b)
{
    return same(a->mac, b->mac) && same(a->model, b->model) && same(a->type, b->type) &&
        same(a->network, b->network);
}

int vmscm_hint_differ(const struct vmscm_machine *is, const struct vmscm_machine *as)
{
    if (!same(is->name, as->name) || !same(is->arch, as->arch) ||
        !same(is->machine_type, as->machine_type) || !same(is->firmware, as->firmware) ||
        is->secure_boot != as->secure_boot || is->cpus != as->cpus || is->memory != as->memory ||
        is->disk_count != as->disk_count || is->nic_count != as->nic_count)
        return 1;
    for (size_t i = 0; i < is->disk_count; i++)
        if (!same_disk(&is->disks[i], &as->disks[i]))
            return 1;
    for (size_t i = 0; i < is->nic_count; i++)
        if (!same_nic(&is->nics[i], &as->nics[i]))
            return 1;
    return 0;
}

static void swap(struct vmscm_machine *m, char **sources, size_t a, size_t b)
{
    struct vmscm_machine_disk disk = m->disks[a];

    m->disks[a] = m->disks[b];
    m->disks[b] = disk;
    if (sources) {
        char *source = sources[a];
        sources[a] = sources[b];
        sources[b] = source;
    }
}

int vmscm_hint_order(struct vmscm_machine *machine, char **sources, const char *const *files,
    struct vmscm_error *err)
{
    for (size_t i = 0; i < machine->disk_count; i++) {
        size_t k = i;
        while (k < machine->disk_count && !same(sources[k], files[i]))
            k++;
        if (k == machine->disk_count)
            return vmscm_error_set(
                err, VMSCM_EINPUT, "disk %zu: %s is not where it was put", i + 1, files[i]);
        swap(machine, sources, i, k);
    }
    return 0;
}

/* *field, which is what `as` said, becomes what it is. */
static int restore(char **field, const char *as, const char *is, struct vmscm_error *err)
{
    return same(*field, as) ? vmscm_model_set(field, is, err) : 0;
}

static size_t find(const struct vmscm_machine *m, const char *id)
{
    size_t i = 0;

    while (i < m->disk_count && strcmp(m->disks[i].id, id) != 0)
        i++;
    return i;
}

/* All of them or none: else an id could be there twice. */
static int restore_disks(struct vmscm_machine *m, char **sources, const struct vmscm_machine *as,
    const struct vmscm_machine *is, struct vmscm_error *err)
{
    int rc = 0;

    if (m->disk_count != as->disk_count || m->disk_count != is->disk_count)
        return 0;
    for (size_t i = 0; i < as->disk_count; i++)
        if (find(m, as->disks[i].id) == m->disk_count)
            return 0;
    for (size_t i = 0; i < as->disk_count; i++)
        swap(m, sources, i, find(m, as->disks[i].id));
    for (size_t i = 0; i < m->disk_count && !rc; i++) {
        struct vmscm_machine_disk *disk = &m->disks[i];
        const struct vmscm_machine_disk *a = &as->disks[i], *b = &is->disks[i];
        if ((rc = restore(&disk->target, a->target, b->target, err)) ||
            (rc = restore(&disk->bus, a->bus, b->bus, err)) ||
            (rc = vmscm_model_set(&disk->id, b->id, err)))
            break;
    }
    return rc;
}

/* All of them, however many: the descriptor may have no word for NICs at all. */
static int replace_nics(struct vmscm_machine *m, const struct vmscm_machine *is,
    struct vmscm_error *err)
{
    int rc = 0;

    vmscm_model_remove_nics(m);
    for (size_t i = 0; i < is->nic_count && !rc; i++) {
        const struct vmscm_machine_nic *from = &is->nics[i];
        struct vmscm_machine_nic *to;
        if ((rc = vmscm_model_add_nic(&to, m, err)) ||
            (rc = vmscm_model_set(&to->mac, from->mac, err)) ||
            (rc = vmscm_model_set(&to->model, from->model, err)) ||
            (rc = vmscm_model_set(&to->type, from->type, err)))
            break;
        rc = vmscm_model_set(&to->network, from->network, err);
    }
    return rc;
}

static int restore_nics(struct vmscm_machine *m, const struct vmscm_machine *as,
    const struct vmscm_machine *is, struct vmscm_error *err)
{
    bool untouched = m->nic_count == as->nic_count;
    int rc = 0;

    for (size_t i = 0; untouched && i < m->nic_count; i++)
        untouched = same_nic(&m->nics[i], &as->nics[i]);
    if (untouched)
        return replace_nics(m, is, err);
    if (m->nic_count != as->nic_count || m->nic_count != is->nic_count)
        return 0;
    for (size_t i = 0; i < m->nic_count && !rc; i++) {
        struct vmscm_machine_nic *nic = &m->nics[i];
        const struct vmscm_machine_nic *a = &as->nics[i], *b = &is->nics[i];
        if ((rc = restore(&nic->mac, a->mac, b->mac, err)) ||
            (rc = restore(&nic->model, a->model, b->model, err)) ||
            (rc = restore(&nic->type, a->type, b->type, err)))
            break;
        rc = restore(&nic->network, a->network, b->network, err);
    }
    return rc;
}

static int decode(struct vmscm_machine **out, const char *text, struct vmscm_error *err)
{
    size_t len = strlen(text);
    int rc = len > VMSCM_HINT_MAX ? VMSCM_EINPUT : vmscm_json_decode(out, text, len, err);

    if (rc == VMSCM_ENOMEM)
        return rc;
    vmscm_error_clear(err);
    return 0;
}

int vmscm_hint_apply(struct vmscm_machine *machine, char **sources, const char *as_text,
    const char *is_text, struct vmscm_error *err)
{
    struct vmscm_machine *as = NULL, *is = NULL;
    int rc = 0;

    if (!as_text || !is_text)
        return 0;
    if ((rc = decode(&as, as_text, err)) || (rc = decode(&is, is_text, err)) || !as || !is)
        goto out;
    if ((rc = restore(&machine->name, as->name, is->name, err)) ||
        (rc = restore(&machine->arch, as->arch, is->arch, err)) ||
        (rc = restore(&machine->machine_type, as->machine_type, is->machine_type, err)) ||
        (rc = restore(&machine->firmware, as->firmware, is->firmware, err)))
        goto out;
    if (machine->secure_boot == as->secure_boot)
        machine->secure_boot = is->secure_boot;
    if (machine->cpus == as->cpus)
        machine->cpus = is->cpus;
    if (machine->memory == as->memory)
        machine->memory = is->memory;
    if (!(rc = restore_disks(machine, sources, as, is, err)))
        rc = restore_nics(machine, as, is, err);
out:
    vmscm_model_free(as);
    vmscm_model_free(is);
    return rc;
}

struct losing {
    const char *format;
    int (*each)(void *data, const char *text);
    void *data;
    int rc;
};

static void VMSCM_PRINTF(2, 3) lose(struct losing *l, const char *fmt, ...)
{
    char text[400];
    va_list args;

    if (l->rc)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    l->rc = l->each(l->data, text);
}

static const char *word(const char *s)
{
    return s ? s : "unknown";
}

static void lose_system(struct losing *l, const struct vmscm_machine *is,
    const struct vmscm_machine *as)
{
    if (!same(is->arch, as->arch))
        lose(l, "%s does not say that it is of the architecture %.64s", l->format, is->arch);
    if (is->machine_type && !same(is->machine_type, as->machine_type))
        lose(l, "%s does not say that it is a %.64s", l->format, is->machine_type);
    if (!same(is->firmware, as->firmware))
        lose(l, "%s does not say that its firmware is %.64s", l->format, is->firmware);
    if (is->secure_boot != as->secure_boot)
        lose(l, "%s does not say that secure boot is %s", l->format, is->secure_boot ? "on" : "off");
    if (is->cpus != as->cpus)
        lose(l, "it has %" PRIu32 " CPUs, not %" PRIu32, as->cpus, is->cpus);
    if (is->memory != as->memory)
        lose(l, "its memory is %" PRIu64 " bytes, not %" PRIu64, as->memory, is->memory);
}

int vmscm_hint_losses(const struct vmscm_machine *is, const struct vmscm_machine *as,
    const char *format, int (*each)(void *data, const char *text), void *data)
{
    struct losing l = {format, each, data, 0};

    lose_system(&l, is, as);
    for (size_t i = 0; i < is->disk_count && i < as->disk_count; i++) {
        const struct vmscm_machine_disk *a = &is->disks[i], *b = &as->disks[i];
        if (a->bus && !same(a->bus, b->bus))
            lose(&l, "disk %.64s is on %.64s: %s has no %.64s", a->id, word(b->bus), format, a->bus);
    }
    if (is->nic_count != as->nic_count)
        lose(&l, "%s has %zu NICs, not %zu", format, as->nic_count, is->nic_count);
    for (size_t i = 0; i < is->nic_count && i < as->nic_count; i++) {
        const struct vmscm_machine_nic *a = &is->nics[i], *b = &as->nics[i];
        if (a->model && !same(a->model, b->model))
            lose(&l, "NIC %zu is of the model %.64s: %s has no %.64s", i + 1, word(b->model), format,
                a->model);
        if (a->type && !same(a->type, b->type))
            lose(&l, "NIC %zu is of the type %.64s: %s has no %.64s", i + 1, word(b->type), format,
                a->type);
        if (a->network && !same(a->network, b->network))
            lose(&l, "NIC %zu is in the network %.64s: %s has no %.100s there", i + 1,
                word(b->network), format, a->network);
    }
    return l.rc;
}
