/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comparing revisions: leaf by leaf, reading no chunk. */
#include <vmscm/diff.h>

#include "base/str.h"
#include "base/vec.h"
#include "machine/model.h"
#include "repo/mapdiff.h"
#include "repo/snapshot.h"
#include "store/fetch.h"
#include "store/idset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct diff {
    struct vmscm_revision *before, *after;
    const struct vmscm_machine *a, *b;
    const struct vmscm_diff_sink *sink;
    struct vmscm_store *store;
    int differs;
    /* Of the disk at hand. */
    struct vmscm_mapdiff map;
    struct vmscm_idset old_chunks, new_chunks;
};

static int field(struct diff *d, const char *path, const char *before, const char *after)
{
    struct vmscm_diff_field f = {path, before, after};

    if (before == after || (before && after && strcmp(before, after) == 0))
        return 0;
    d->differs = 1;
    return d->sink->field ? d->sink->field(d->sink->data, &f) : 0;
}

static int number(struct diff *d, const char *path, uint64_t before, uint64_t after)
{
    char x[24], y[24];

    snprintf(x, sizeof x, "%llu", (unsigned long long)before);
    snprintf(y, sizeof y, "%llu", (unsigned long long)after);
    return field(d, path, x, y);
}

/* "disks.ID.NAME" of both sides, either of which may not be there. */
static int disk_field(struct diff *d, const char *id, const char *name, const char *before,
    const char *after)
{
    char path[256];

    snprintf(path, sizeof path, "disks.%s.%s", id, name);
    return field(d, path, before, after);
}

static int disk_fields(struct diff *d, const struct vmscm_machine_disk *a,
    const struct vmscm_machine_disk *b)
{
    const char *id = a ? a->id : b->id;
    char x[24] = "", y[24] = "", name[128];
    int rc;

    if (a)
        snprintf(x, sizeof x, "%llu", (unsigned long long)a->size);
    if (b)
        snprintf(y, sizeof y, "%llu", (unsigned long long)b->size);
    if ((rc = disk_field(d, id, "size", a ? x : NULL, b ? y : NULL)) ||
        (rc = disk_field(d, id, "target", a ? a->target : NULL, b ? b->target : NULL)) ||
        (rc = disk_field(d, id, "bus", a ? a->bus : NULL, b ? b->bus : NULL)) ||
        (rc = disk_field(d, id, "format", a ? a->format : NULL, b ? b->format : NULL)))
        return rc;
    for (size_t i = 0; a && i < a->option_count && !rc; i++) {
        snprintf(name, sizeof name, "options.%.100s", a->options[i].name);
        rc = disk_field(d, id, name, a->options[i].value,
            b ? vmscm_model_option(b, a->options[i].name) : NULL);
    }
    for (size_t i = 0; b && i < b->option_count && !rc; i++) {
        if (a && vmscm_model_option(a, b->options[i].name))
            continue;
        snprintf(name, sizeof name, "options.%.100s", b->options[i].name);
        rc = disk_field(d, id, name, NULL, b->options[i].value);
    }
    return rc;
}

static int nic_fields(struct diff *d)
{
    size_t count = d->a->nic_count > d->b->nic_count ? d->a->nic_count : d->b->nic_count;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        static const struct vmscm_machine_nic none;
        const struct vmscm_machine_nic *x = i < d->a->nic_count ? &d->a->nics[i] : &none;
        const struct vmscm_machine_nic *y = i < d->b->nic_count ? &d->b->nics[i] : &none;
        const char *const pairs[][3] = {{"mac", x->mac, y->mac}, {"model", x->model, y->model},
            {"type", x->type, y->type}, {"network", x->network, y->network}};
        for (size_t p = 0; p < 4 && !rc; p++) {
            char path[64];
            snprintf(path, sizeof path, "nics.%zu.%s", i, pairs[p][0]);
            rc = field(d, path, pairs[p][1], pairs[p][2]);
        }
    }
    return rc;
}

static int machine_fields(struct diff *d)
{
    int rc;

    if ((rc = field(d, "name", d->a->name, d->b->name)) ||
        (rc = field(d, "arch", d->a->arch, d->b->arch)) ||
        (rc = field(d, "machine_type", d->a->machine_type, d->b->machine_type)) ||
        (rc = field(d, "firmware", d->a->firmware, d->b->firmware)) ||
        (rc = number(d, "secure_boot", (uint64_t)d->a->secure_boot,
             (uint64_t)d->b->secure_boot)) ||
        (rc = number(d, "cpus", d->a->cpus, d->b->cpus)) ||
        (rc = number(d, "memory", d->a->memory, d->b->memory)) || (rc = nic_fields(d)))
        return rc;
    for (size_t i = 0; i < d->a->disk_count && !rc; i++)
        rc = disk_fields(d, &d->a->disks[i], vmscm_model_disk(d->b, d->a->disks[i].id));
    for (size_t i = 0; i < d->b->disk_count && !rc; i++)
        if (!vmscm_model_disk(d->a, d->b->disks[i].id))
            rc = disk_fields(d, NULL, &d->b->disks[i]);
    return rc;
}

/* Files under config/ as fields: path to blob id. */
struct file_list {
    VMSCM_VEC(struct vmscm_machine_option) files;
    struct vmscm_error *err;
};

static int collect_file(void *data, const char *path, const char *blob, uint64_t size)
{
    struct file_list *list = data;
    struct vmscm_machine_option *slot;
    int rc;

    (void)size;
    if (vmscm_vec_add(&list->files, &slot, list->err))
        return VMSCM_ENOMEM;
    if ((rc = vmscm_str_printf(
             &slot->name, list->err, VMSCM_HANDLE_CONFIG_DIR "/%s", path)))
        return rc;
    return vmscm_str_dup(&slot->value, blob, list->err);
}

static void file_list_release(struct file_list *list)
{
    for (size_t i = 0; i < list->files.len; i++) {
        free(list->files.items[i].name);
        free(list->files.items[i].value);
    }
    vmscm_vec_release(&list->files);
}

static const char *file_value(const struct file_list *list, const char *name)
{
    for (size_t i = 0; i < list->files.len; i++)
        if (strcmp(list->files.items[i].name, name) == 0)
            return list->files.items[i].value;
    return NULL;
}

static int config_fields(struct diff *d, struct vmscm_error *err)
{
    struct file_list a = {.err = err}, b = {.err = err};
    int rc = vmscm_gitdb_walk_files(d->before->repo->git, d->before->info.id,
        VMSCM_HANDLE_CONFIG_DIR, collect_file, &a, err);

    if (!rc || rc == VMSCM_ENOTFOUND)
        rc = vmscm_gitdb_walk_files(d->after->repo->git, d->after->info.id,
            VMSCM_HANDLE_CONFIG_DIR, collect_file, &b, err);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    }
    for (size_t i = 0; i < a.files.len && !rc; i++)
        rc = field(d, a.files.items[i].name, a.files.items[i].value,
            file_value(&b, a.files.items[i].name));
    for (size_t i = 0; i < b.files.len && !rc; i++)
        if (!file_value(&a, b.files.items[i].name))
            rc = field(d, b.files.items[i].name, NULL, b.files.items[i].value);
    file_list_release(&a);
    file_list_release(&b);
    return rc;
}

static int remember(struct vmscm_idset *set, const struct vmscm_leaf_entry *entries, size_t count,
    struct vmscm_error *err)
{
    uint64_t *value;
    bool added;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++)
        if (!entries[i].zero)
            rc = vmscm_idset_get(set, &value, &added, &entries[i].id, err);
    return rc;
}

static int remember_both(void *data, const struct vmscm_leaf_entry *x, size_t nx,
    const struct vmscm_leaf_entry *y, size_t ny, struct vmscm_error *err)
{
    struct diff *d = data;
    int rc = remember(&d->old_chunks, x, nx, err);

    return rc ? rc : remember(&d->new_chunks, y, ny, err);
}

/* Bytes in packs of the chunks only `after` has. */
static int stored_cost(struct diff *d, uint64_t *bytes, struct vmscm_error *err)
{
    struct vmscm_fetch *fetch = NULL;
    int rc = vmscm_fetch_new(&fetch, d->store, err);

    for (size_t i = 0; i < d->new_chunks.room && !rc; i++) {
        const struct vmscm_idset_slot *slot = &d->new_chunks.slots[i];
        struct vmscm_error why = VMSCM_ERROR_INIT;
        uint64_t share;
        /* What is damaged is for fsck to tell. */
        if (slot->used && !vmscm_idset_find(&d->old_chunks, &slot->id) &&
            !vmscm_fetch_find_share(fetch, &slot->id, &share, &why))
            *bytes += share;
        else if (why.code == VMSCM_ENOMEM)
            rc = vmscm_error_copy(err, &why);
    }
    vmscm_fetch_free(fetch);
    return rc;
}

/* Where maps differ, leaves tell how. */
static int check_data(struct diff *d, const struct vmscm_machine_disk *x,
    const struct vmscm_machine_disk *y, struct vmscm_error *err)
{
    int rc = x ? vmscm_snapshot_readable(d->before->repo, d->before->info.id, err) : 0;

    return rc || !y ? rc : vmscm_snapshot_readable(d->after->repo, d->after->info.id, err);
}

static int diff_disk(struct diff *d, const struct vmscm_machine_disk *x,
    const struct vmscm_machine_disk *y, struct vmscm_error *err)
{
    struct vmscm_map a = {0}, b = {0};
    struct vmscm_diff_disk out = {.id = x ? x->id : y->id,
        .kind = !x ? VMSCM_DIFF_ADDED : !y ? VMSCM_DIFF_REMOVED : VMSCM_DIFF_SAME};
    int rc = 0;

    if ((x && (rc = vmscm_snapshot_map(&a, d->before->repo, d->before->info.id, x, err))) ||
        (y && (rc = vmscm_snapshot_map(&b, d->after->repo, d->after->info.id, y, err))) ||
        (!d->sink->brief && !(x && y && vmscm_map_same(&a, &b)) && (rc = check_data(d, x, y, err))) ||
        (rc = vmscm_mapdiff_run(&d->map, x ? &a : NULL, y ? &b : NULL, err)))
        goto out;
    out.before_size = a.size;
    out.after_size = b.size;
    out.ranges = d->map.ranges.items;
    out.range_count = d->map.ranges.len;
    for (size_t i = 0; i < d->map.ranges.len; i++)
        out.changed += d->map.ranges.items[i].length;
    out.at_most = d->map.at_most;
    if (!d->sink->brief && (rc = stored_cost(d, &out.stored, err)))
        goto out;
    if (out.kind == VMSCM_DIFF_SAME && (out.range_count || a.size != b.size))
        out.kind = VMSCM_DIFF_CHANGED;
    if (out.kind != VMSCM_DIFF_SAME)
        d->differs = 1;
    rc = d->sink->disk ? d->sink->disk(d->sink->data, &out) : 0;
out:
    vmscm_map_release(&a);
    vmscm_map_release(&b);
    vmscm_idset_release(&d->old_chunks);
    vmscm_idset_release(&d->new_chunks);
    return rc;
}

int vmscm_diff(struct vmscm_revision *before, struct vmscm_revision *after,
    const struct vmscm_diff_sink *sink, int *differs, struct vmscm_error *err)
{
    struct diff d = {.before = before, .after = after, .sink = sink};
    struct vmscm_lease *leases[] = {NULL, NULL};
    int rc;

    /* In brief, what goes meanwhile is only not counted. */
    if (!sink->brief) {
        leases[0] = vmscm_snapshot_hold(before);
        leases[1] = vmscm_snapshot_hold(after);
    }
    d.map.segment = sink->brief ? NULL : remember_both;
    d.map.data = &d;
    d.map.lenient = sink->brief;
    *differs = 0;
    if ((rc = vmscm_revision_machine(&d.a, before, err)) ||
        (rc = vmscm_revision_machine(&d.b, after, err)) ||
        (rc = vmscm_handle_store(&d.store, before->repo, err)) ||
        (rc = vmscm_fetch_new(&d.map.fetch, d.store, err)) || (rc = machine_fields(&d)) ||
        (rc = config_fields(&d, err)))
        goto out;
    if (sink->brief)
        vmscm_fetch_set_reach(d.map.fetch, VMSCM_FETCH_CACHED);
    for (size_t i = 0; i < d.a->disk_count && !rc; i++)
        rc = diff_disk(&d, &d.a->disks[i], vmscm_model_disk(d.b, d.a->disks[i].id), err);
    for (size_t i = 0; i < d.b->disk_count && !rc; i++)
        if (!vmscm_model_disk(d.a, d.b->disks[i].id))
            rc = diff_disk(&d, NULL, &d.b->disks[i], err);
    *differs = d.differs;
out:
    vmscm_lease_close(leases[0]);
    vmscm_lease_close(leases[1]);
    vmscm_fetch_free(d.map.fetch);
    vmscm_mapdiff_release(&d.map);
    return rc;
}
