/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/ploopin.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/chainin.h"
#include "machine/hint.h"
#include "machine/model.h"
#include "machine/ploop.h"
#include "repo/handle.h"

#include <string.h>

#define DISKS_MAX 256

struct names {
    VMSCM_VEC(char *) list; /* of descriptors */
};

/* A disk on its way in: find is asked for its images in order. */
struct disk {
    struct vmscm_load *load;
    const char *name; /* its descriptor's */
    char *folder;
    struct vmscm_ploop ploop;
    size_t next;
};

bool vmscm_ploopin_is_name(const char *name)
{
    return strcmp(vmscm_path_basename(name), "DiskDescriptor.xml") == 0;
}

static int each_name(void *data, const char *name, struct vmscm_error *err)
{
    struct names *names = data;
    char **slot;
    int rc;

    if (!vmscm_ploopin_is_name(name) || vmscm_members_is_noise(name))
        return 0;
    if (names->list.len == DISKS_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "more than %d disks", DISKS_MAX);
    if ((rc = vmscm_vec_add(&names->list, &slot, err)))
        return rc;
    return vmscm_str_dup(slot, name, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_image(struct vmscm_chainin_image *out, struct disk *d, struct vmscm_error *err)
{
    const struct vmscm_ploop_image *image = &d->ploop.images[d->next++];
    const char *file = image->file;
    int rc;

    /* Where it was does not matter; a path that climbs is none that anybody needs. */
    if (*file == '/')
        file = vmscm_path_basename(file);
    out->format = image->plain ? "raw" : "parallels";
    out->child = d->next < d->ploop.count;
    rc = vmscm_load_find(&out->member, d->load, d->folder, file, err);
    if (rc == VMSCM_ENOTFOUND)
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "%s: its image \"%.300s\" is missing", d->name, image->file);
    else if (rc == VMSCM_EREFUSED)
        vmscm_error_prefix(err, "%s", d->name);
    if (!rc && out->child && image->plain)
        rc = vmscm_error_set(err, VMSCM_EINPUT,
            "%s: %.300s is a raw image, and cannot be the difference to another", d->name, file);
    return rc;
}

static int find_parent(void *data, struct vmscm_chainin_image *out, const struct vmscm_probe *child,
    struct vmscm_error *err)
{
    (void)child;
    return find_image(out, data, err);
}

/* What each image says of the disk's length must be what the descriptor says. */
static int check_size(struct disk *d, struct vmscm_chainin_image top, struct vmscm_error *err)
{
    struct vmscm_probe *probe;
    int rc = vmscm_chainin_probe(&probe, top, err);

    if (!rc && probe->size != d->ploop.size)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: is of %llu bytes, but %s says %llu",
            top.member->name, (unsigned long long)probe->size, d->name,
            (unsigned long long)d->ploop.size);
    vmscm_probe_close(probe);
    return rc;
}

static int read_disk(struct disk *d, struct vmscm_error *err)
{
    const struct vmscm_member *member;
    struct vmscm_chainin_image top = {NULL, NULL, false};
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc;

    if ((rc = vmscm_load_folder(&d->folder, d->name, err)) ||
        (rc = vmscm_members_find(&member, d->load->members, d->name, err)) ||
        (rc = vmscm_members_read(&text, member, VMSCM_PLOOP_MAX, err)) ||
        (rc = vmscm_load_keep(d->load, member, err)))
        goto out;
    if ((rc = vmscm_ploop_parse(&d->ploop, text.data, text.len, err))) {
        vmscm_error_prefix(err, "%s", d->name);
        goto out;
    }
    if ((rc = find_image(&top, d, err)) || (rc = check_size(d, top, err)))
        goto out;
    rc = vmscm_chainin_add(d->load, top, find_parent, d, err);
out:
    vmscm_buf_release(&text);
    return rc;
}

/* The machine, of which nothing is known unless we wrote it; what is noted beside the first disk counts. */
static int make_machine(struct vmscm_load *load, const struct vmscm_ploop *first,
    struct vmscm_error *err)
{
    int rc = vmscm_ploop_machine(&load->machine, load->disks.len, err);

    if (!rc && !first->is)
        vmscm_handle_warn(load->events,
            "%s: says nothing of the machine, which is taken for one of 1 CPU and 1 GiB of memory",
            load->main);
    return rc ? rc : vmscm_hint_apply(load->machine, NULL, first->as, first->is, err);
}

int vmscm_ploopin_load(struct vmscm_load *load, struct vmscm_error *err)
{
    struct names names = {0};
    struct vmscm_ploop first = {0};
    int rc = vmscm_members_walk_all(load->members, each_name, &names, err);

    if (!rc && names.list.len)
        qsort(names.list.items, names.list.len, sizeof *names.list.items, by_name);
    for (size_t i = 0; i < names.list.len && !rc; i++) {
        struct disk d = {.load = load, .name = names.list.items[i]};
        rc = read_disk(&d, err);
        if (i)
            vmscm_ploop_release(&d.ploop);
        else
            first = d.ploop;
        free(d.folder);
    }
    if (!rc)
        rc = make_machine(load, &first, err);
    for (size_t i = 0; i < names.list.len; i++)
        free(names.list.items[i]);
    vmscm_vec_release(&names.list);
    vmscm_ploop_release(&first);
    return rc;
}
