/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/containerin.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/containerdev.h"
#include "bundle/kind.h"
#include "format/tarhead.h"
#include "machine/model.h"
#include "machine/veconf.h"
#include "repo/handle.h"
#include "sys/file.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FOUND 1

struct looking {
    bool etc, system;
    bool other; /* it is a bundle of another kind */
};

/* Whether it is a directory at the top, a link that stands for one, or something in it. */
static bool is_in(const struct vmscm_container_group *group, const char *dir)
{
    size_t len = strlen(dir);

    return group->name && strncmp(group->name, dir, len) == 0 &&
        (group->name[len] == '/' ||
            (!group->name[len] && (group->type == '5' || group->type == '2')));
}

static int look(void *data, const struct vmscm_container_group *group, struct vmscm_error *err)
{
    struct looking *l = data;

    (void)err;
    if (group->name && !strchr(group->name, '/') && vmscm_tarhead_has_bytes(group->type) &&
        vmscm_kind_of_member(group->name))
        l->other = true;
    l->etc = l->etc || is_in(group, "etc");
    l->system = l->system || is_in(group, "usr") || is_in(group, "bin") || is_in(group, "sbin");
    return l->other || (l->etc && l->system) ? FOUND : 0;
}

int vmscm_containerin_match(bool *is, const char *path, struct vmscm_error *err)
{
    struct looking l = {0};
    int fd = -1, rc = vmscm_file_open(&fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);

    *is = false;
    if (rc)
        return rc;
    rc = vmscm_containerdev_walk(fd, path, look, &l, err);
    close(fd);
    *is = rc == FOUND && !l.other;
    if (rc == FOUND || rc == VMSCM_EINPUT || rc == VMSCM_EREFUSED || rc == VMSCM_EUNSUPPORTED)
        rc = 0;
    return rc;
}

/* The configuration beside the archive. */
struct conf {
    const char *stem; /* of the archive's name */
    size_t stem_len;
    struct vmscm_members *members;
    char *own;   /* the one that is called as the archive */
    char *other; /* one that is called as a container */
    unsigned others;
};

/* "web" of "web.tar.gz". */
static size_t stem_of(const char *name)
{
    static const char *const suffixes[] = {".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2",
        ".tgz", ".txz", ".tzst", ".tbz2"};
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t n = strlen(suffixes[i]);
        if (len > n && strcasecmp(name + len - n, suffixes[i]) == 0)
            return len - n;
    }
    return len;
}

static int is_conf(bool *is, struct conf *c, const char *name, struct vmscm_error *err)
{
    const struct vmscm_member *member;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc;

    *is = false;
    /* What is a link or too long is none. */
    if (!(rc = vmscm_members_find(&member, c->members, name, err)) &&
        !(rc = vmscm_members_read(&text, member, VMSCM_VECONF_MAX, err)))
        *is = vmscm_veconf_match(vmscm_buf_str(&text));
    vmscm_buf_release(&text);
    return rc == VMSCM_ENOMEM ? rc : 0;
}

static int each_name(void *data, const char *name, struct vmscm_error *err)
{
    struct conf *c = data;
    size_t len = strlen(name), stem = len - strlen(".conf");
    bool own, other, is;
    int rc;

    if (!vmscm_str_ends(name, ".conf") || len == strlen(".conf"))
        return 0;
    own = stem == c->stem_len && strncmp(name, c->stem, stem) == 0;
    /* A number, or a UUID. */
    other = strspn(name, "0123456789abcdefABCDEF-") == stem;
    if ((!own && !other) || (rc = is_conf(&is, c, name, err)) || !is)
        return own || other ? rc : 0;
    if (own)
        return vmscm_str_dup(&c->own, name, err);
    return c->others++ ? 0 : vmscm_str_dup(&c->other, name, err);
}

static int read_conf(struct vmscm_load *load, struct conf *c, const char *name,
    struct vmscm_error *err)
{
    const struct vmscm_member *member;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc;

    if (!(rc = vmscm_members_find(&member, c->members, name, err)) &&
        !(rc = vmscm_members_read(&text, member, VMSCM_VECONF_MAX, err)) &&
        !(rc = vmscm_veconf_parse(load->machine, text.data, text.len, err)))
        rc = vmscm_load_keep(load, member, err);
    else
        vmscm_error_prefix(err, "%s", name);
    vmscm_buf_release(&text);
    return rc;
}

static int find_conf(struct vmscm_load *load, struct vmscm_error *err)
{
    struct conf c = {.stem = vmscm_path_basename(load->path)};
    char *dir = NULL;
    int rc;

    c.stem_len = stem_of(c.stem);
    if ((rc = vmscm_path_dirname(&dir, load->path, err)) ||
        (rc = vmscm_members_open_dir(&c.members, dir, err)) ||
        (rc = vmscm_members_walk(c.members, each_name, &c, err)))
        goto out;
    if (c.own || c.others == 1)
        rc = read_conf(load, &c, c.own ? c.own : c.other, err);
    else if (c.others)
        vmscm_handle_warn(load->events,
            "%s: beside it are configurations of %u containers, none of which is %.*s.conf: none is taken",
            load->path, c.others, (int)c.stem_len, c.stem);
out:
    vmscm_members_close(c.members);
    free(c.own);
    free(c.other);
    free(dir);
    return rc;
}

int vmscm_containerin_load(struct vmscm_load *load, struct vmscm_error *err)
{
    struct vmscm_blockdev *device = NULL;
    struct vmscm_machine_disk *disk;
    int rc;

    if ((rc = vmscm_model_new(&load->machine, err)))
        return rc;
    /* A template has none. */
    vmscm_model_remove_nics(load->machine);
    if ((rc = vmscm_model_add_disk(&disk, load->machine, VMSCM_MODEL_ROOTFS, err)) ||
        (rc = find_conf(load, err)) ||
        (rc = vmscm_containerdev_open(&device, load->archive, err)) ||
        (rc = vmscm_load_add_device(load, load->path, device, err)))
        return rc;
    load->disks.items[0].format = VMSCM_MODEL_TAR;
    return 0;
}
