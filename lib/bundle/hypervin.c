/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/hypervin.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/chainin.h"
#include "machine/hyperv.h"
#include "machine/model.h"
#include "machine/vmcx.h"
#include "repo/handle.h"

#include <string.h>
#include <strings.h>

#define FOLDER "Virtual Machines"
#define IMAGES_MAX 1024

/* An image of the bundle. */
struct image {
    char *name;
    const char *format;
    bool named; /* by a configuration that could not be read */
};

struct folder {
    struct vmscm_load *load;
    char *root; /* "" or "DIR/": what "Virtual Machines" is in */
    VMSCM_VEC(struct image) images;
};

/* The part of a name between the last two slashes, or before the only one. */
static bool is_in_folder(const char *name, const char *folder)
{
    const char *base = vmscm_path_basename(name), *dir;
    size_t len = strlen(folder);

    if (base == name || (size_t)(base - name) <= len)
        return false;
    dir = base - 1 - len;
    return strncasecmp(dir, folder, len) == 0 && (dir == name || dir[-1] == '/');
}

static bool ends(const char *name, const char *suffix)
{
    size_t len = strlen(name), n = strlen(suffix);

    return len > n && strcasecmp(name + len - n, suffix) == 0;
}

bool vmscm_hypervin_is_name(const char *name)
{
    return is_in_folder(name, FOLDER) && (ends(name, ".xml") || ends(name, ".vmcx"));
}

/* Its format by what it is called: Hyper-V itself goes by that. */
static const char *format_of(const char *name)
{
    static const char *const formats[][2] = {
        {".vhd", "vpc"}, {".avhd", "vpc"}, {".vhdx", "vhdx"}, {".avhdx", "vhdx"}};

    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (ends(name, formats[i][0]))
            return formats[i][1];
    return NULL;
}

static int each_name(void *data, const char *name, struct vmscm_error *err)
{
    struct folder *f = data;
    struct image *image;
    int rc;

    if (!format_of(name) || vmscm_members_is_noise(name) || !vmscm_str_starts(name, f->root))
        return 0;
    if (f->images.len == IMAGES_MAX)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: more than %d disk images", f->load->path, IMAGES_MAX);
    if ((rc = vmscm_vec_add(&f->images, &image, err)))
        return rc;
    image->format = format_of(name);
    return vmscm_str_dup(&image->name, name, err);
}

static int open_folder(struct folder *f, struct vmscm_error *err)
{
    const char *main = f->load->main;
    size_t len = (size_t)(vmscm_path_basename(main) - main);
    int rc;

    if (is_in_folder(main, FOLDER))
        len -= strlen(FOLDER "/");
    if ((rc = vmscm_str_printf(&f->root, err, "%.*s", (int)len, main)))
        return rc;
    return vmscm_members_walk_all(f->load->members, each_name, f, err);
}

static void close_folder(struct folder *f)
{
    for (size_t i = 0; i < f->images.len; i++)
        free(f->images.items[i].name);
    vmscm_vec_release(&f->images);
    free(f->root);
}

/* The image of that name, in whatever folder and, as on Windows, in any case. who: needs it. */
static int find_image(struct vmscm_chainin_image *out, struct folder *f, const char *name,
    const char *who, struct vmscm_error *err)
{
    const struct image *found = NULL;
    int rc;

    for (size_t i = 0; i < f->images.len; i++) {
        const struct image *image = &f->images.items[i];
        if (strcasecmp(vmscm_path_basename(image->name), name) != 0)
            continue;
        if (found)
            return vmscm_error_set(err, VMSCM_EINPUT, "%s: needs \"%.300s\", and both %s and %s are that",
                who, name, found->name, image->name);
        found = image;
    }
    if (!found) {
        vmscm_error_set(err, VMSCM_EINPUT, "%s: its disk \"%.300s\" is missing", who, name);
        return vmscm_error_hint(err, "it is looked for in the folders beside %s", FOLDER);
    }
    if ((rc = vmscm_members_find(&out->member, f->load->members, found->name, err)))
        return rc;
    out->format = found->format;
    return 0;
}

static int find_parent(void *data, struct vmscm_chainin_image *out, const struct vmscm_probe *child,
    struct vmscm_error *err)
{
    if (!child->link.name)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "%s: does not say what it is the difference to", child->path);
    return find_image(out, data, child->link.name, child->path, err);
}

static int add_disk(struct folder *f, const char *name, struct vmscm_error *err)
{
    struct vmscm_chainin_image image = {NULL, NULL, false};
    int rc = find_image(&image, f, name, f->load->main, err);

    return rc ? rc : vmscm_chainin_add(f->load, image, find_parent, f, err);
}

/* What each image is the difference to, by its place in the list; SIZE_MAX: nothing that is there. */
static int find_parents(size_t *parents, struct folder *f, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < f->images.len && !rc; i++) {
        struct vmscm_chainin_image image = {NULL, f->images.items[i].format, false};
        struct vmscm_probe *probe = NULL;
        parents[i] = SIZE_MAX;
        if ((rc = vmscm_members_find(
                 &image.member, f->load->members, f->images.items[i].name, err)) ||
            (rc = vmscm_chainin_probe(&probe, image, err)))
            break;
        for (size_t k = 0; probe->link.name && k < f->images.len; k++)
            if (k != i &&
                strcasecmp(vmscm_path_basename(f->images.items[k].name), probe->link.name) == 0)
                parents[i] = k;
        vmscm_probe_close(probe);
    }
    return rc;
}

/* The one at the bottom; as many steps as there are images are enough. */
static size_t base_of(const size_t *parents, size_t count, size_t i)
{
    for (size_t n = 0; n < count && parents[i] != SIZE_MAX; n++)
        i = parents[i];
    return i;
}

/* The tops of chains, and of them those that the configuration names, if it names any. */
static void choose_tops(bool *is_top, const struct folder *f, const size_t *parents,
    const struct vmscm_buf *text)
{
    bool named = false;

    for (size_t i = 0; i < f->images.len; i++)
        is_top[i] = true;
    for (size_t i = 0; i < f->images.len; i++)
        if (parents[i] != SIZE_MAX)
            is_top[parents[i]] = false;
    for (size_t i = 0; i < f->images.len; i++) {
        f->images.items[i].named = is_top[i] &&
            vmscm_hyperv_names(
                text->data, text->len, vmscm_path_basename(f->images.items[i].name));
        named |= f->images.items[i].named;
    }
    for (size_t i = 0; named && i < f->images.len; i++)
        is_top[i] = f->images.items[i].named;
}

static int add_top(struct folder *f, const struct image *image, struct vmscm_error *err)
{
    struct vmscm_machine_disk *disk;
    int rc = vmscm_model_attach_disk(&disk, f->load->machine, "scsi", err);

    if (rc)
        return rc;
    return add_disk(f, vmscm_path_basename(image->name), err);
}

/* A machine of the disks that are there, whose hardware is not known. */
static int guess(struct folder *f, const struct vmscm_buf *text, struct vmscm_error *err)
{
    size_t count = f->images.len, *parents = calloc(count + 1, sizeof *parents);
    bool *is_top = calloc(count + 1, sizeof *is_top);
    int rc = parents && is_top ? vmscm_model_new(&f->load->machine, err) : vmscm_error_nomem(err);

    if (rc || (rc = find_parents(parents, f, err)))
        goto out;
    choose_tops(is_top, f, parents, text);
    for (size_t i = 0; i < count && !rc; i++) {
        for (size_t k = 0; is_top[i] && k < i && !rc; k++)
            if (is_top[k] && base_of(parents, count, i) == base_of(parents, count, k)) {
                rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED,
                    "%s: which of %s and %s is its present state cannot be read", f->load->main,
                    f->images.items[k].name, f->images.items[i].name);
                vmscm_error_hint(err, "delete the machine's checkpoints, and export it again");
            }
        if (is_top[i] && !rc)
            rc = add_top(f, &f->images.items[i], err);
    }
out:
    free(parents);
    free(is_top);
    return rc;
}

/* What the firmware keeps, beside GUID.vmcx; it may as well be missing. */
static int keep_state(struct vmscm_load *load, struct vmscm_error *err)
{
    const char *dot = strrchr(load->main, '.');
    const struct vmscm_member *member;
    char *name = NULL;
    int rc = vmscm_str_printf(
        &name, err, "%.*s.vmgs", (int)(dot ? dot - load->main : 0), load->main);

    if (!rc && !(rc = vmscm_members_find(&member, load->members, name, err)))
        rc = vmscm_load_keep(load, member, err);
    free(name);
    if (rc != VMSCM_ENOTFOUND)
        return rc;
    vmscm_error_clear(err);
    return 0;
}

/* The configuration, or nothing if it is one that we cannot read. */
static int parse(struct vmscm_machine **machine, char ***sources, const struct vmscm_load *load,
    const struct vmscm_buf *text, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = vmscm_hyperv_parse(machine, sources, text->data, text->len, &why);

    if ((rc == VMSCM_EUNSUPPORTED || rc == VMSCM_EINPUT) &&
        vmscm_vmcx_match(text->data, text->len)) {
        vmscm_handle_warn(load->events,
            "%s: its hardware is not known, and taken for 1 CPU, 1 GiB of memory and BIOS, "
            "unless options say otherwise: %s",
            load->main, why.message);
        return 0;
    }
    if (!rc)
        return 0;
    vmscm_error_copy(err, &why);
    return vmscm_error_prefix(err, "%s", load->main), rc;
}

int vmscm_hypervin_load(struct vmscm_load *load, struct vmscm_error *err)
{
    struct folder f = {.load = load};
    const struct vmscm_member *member;
    struct vmscm_machine *machine = NULL;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char **sources = NULL;
    int rc;

    if ((rc = vmscm_members_find(&member, load->members, load->main, err)) ||
        (rc = vmscm_members_read(&text, member, VMSCM_HYPERVTREE_MAX, err)) ||
        (rc = vmscm_load_keep(load, member, err)) || (rc = keep_state(load, err)) ||
        (rc = open_folder(&f, err)) || (rc = parse(&machine, &sources, load, &text, err)))
        goto out;
    if (!machine) {
        rc = guess(&f, &text, err);
        goto out;
    }
    for (size_t i = 0; i < machine->disk_count && !rc; i++)
        rc = add_disk(&f, sources[i], err);
    if (!rc)
        rc = vmscm_model_copy(&load->machine, machine, err);
out:
    for (size_t i = 0; sources && i < machine->disk_count; i++)
        free(sources[i]);
    free(sources);
    vmscm_model_free(machine);
    close_folder(&f);
    vmscm_buf_release(&text);
    return rc;
}
