/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/kind.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/containerin.h"
#include "bundle/folder.h"
#include "bundle/hypervin.h"
#include "bundle/ovfin.h"
#include "bundle/ploopin.h"
#include "bundle/tar.h"
#include "bundle/vagrantin.h"
#include "bundle/vboxin.h"
#include "bundle/xvain.h"
#include "machine/hyperv.h"
#include "machine/hypervscript.h"
#include "machine/proxmox.h"
#include "machine/vmx.h"
#include "machine/xl.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HEAD 8192 /* bytes of a file that decide */
#define CANDIDATES 64 /* files that are looked into */
#define XML_MAX (4u << 20)

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), n = strlen(suffix);

    return len > n && strcasecmp(name + len - n, suffix) == 0;
}

/* The name of an XML document's root, without its prefix, as far as the text shows it. */
static bool has_root(const char *text, const char *root)
{
    const char *p = text;
    size_t len;

    p += strspn(p, "\xef\xbb\xbf \t\r\n");
    if (*p != '<')
        return false;
    while (*p == '<' && (p[1] == '?' || p[1] == '!')) {
        p = strstr(p, p[1] == '?' ? "?>" : strncmp(p, "<!--", 4) == 0 ? "-->" : ">");
        if (!p)
            return false;
        p = strchr(p, '>') + 1;
        p += strspn(p, " \t\r\n");
    }
    if (*p++ != '<')
        return false;
    len = strcspn(p, " \t\r\n/>");
    const char *colon = memchr(p, ':', len);
    if (colon) {
        len -= (size_t)(colon + 1 - p);
        p = colon + 1;
    }
    return len == strlen(root) && strncmp(p, root, len) == 0;
}

static bool is_ovf_name(const char *name)
{
    return has_suffix(name, ".ovf");
}

static bool is_ovf_text(const char *text, size_t len)
{
    (void)len;
    return has_root(text, "Envelope");
}

static bool is_vmx_name(const char *name)
{
    return has_suffix(name, ".vmx");
}

static bool is_vmx_text(const char *text, size_t len)
{
    (void)len;
    return vmscm_vmx_match(text);
}

static bool is_vbox_name(const char *name)
{
    return has_suffix(name, ".vbox");
}

static bool is_vbox_text(const char *text, size_t len)
{
    (void)len;
    return has_root(text, "VirtualBox");
}

static bool is_ploop_text(const char *text, size_t len)
{
    (void)len;
    return has_root(text, "Parallels_disk_image");
}

static bool is_libvirt_text(const char *text, size_t len)
{
    (void)len;
    return has_root(text, "domain");
}

static bool is_script_text(const char *text, size_t len)
{
    (void)len;
    return vmscm_hypervscript_match(text);
}

static bool is_xl_text(const char *text, size_t len)
{
    (void)len;
    return vmscm_xl_match(text);
}

static bool is_box_name(const char *name)
{
    return strcmp(vmscm_path_basename(name), "metadata.json") == 0;
}

/* NUMBER.conf. */
static bool is_proxmox_name(const char *name)
{
    const char *base = vmscm_path_basename(name);
    size_t digits = strspn(base, "0123456789");

    return digits && strcmp(base + digits, ".conf") == 0;
}

static bool is_proxmox_text(const char *text, size_t len)
{
    (void)len;
    return vmscm_proxmox_match(text);
}

static bool is_xva_name(const char *name)
{
    return strcmp(name, "ova.xml") == 0;
}

/* JSON of its own may be anything. */
static bool is_no_text(const char *text, size_t len)
{
    (void)text, (void)len;
    return false;
}

/* An XML file may be anything: see find_by_text. */
static bool is_no_name(const char *name)
{
    (void)name;
    return false;
}

/* The more telling ones come first. */
static const struct vmscm_kind kinds[] = {
    {"ovf", is_ovf_name, is_ovf_text, vmscm_ovfin_load},
    {"vmx", is_vmx_name, is_vmx_text, vmscm_folder_load_vmx},
    {"vbox", is_vbox_name, is_vbox_text, vmscm_vboxin_load},
    {"hyperv", vmscm_hypervin_is_name, vmscm_hyperv_match, vmscm_hypervin_load},
    {"ploop", vmscm_ploopin_is_name, is_ploop_text, vmscm_ploopin_load},
    {"proxmox", is_proxmox_name, is_proxmox_text, vmscm_folder_load_proxmox},
    {"xva", is_xva_name, is_no_text, vmscm_xvain_load},
    {"vagrant", is_box_name, is_no_text, vmscm_vagrantin_load},
    {"libvirt", is_no_name, is_libvirt_text, vmscm_folder_load_libvirt},
    {"xl", is_no_name, is_xl_text, vmscm_folder_load_xl},
    {"hyperv-script", is_no_name, is_script_text, vmscm_folder_load_hyperv},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static const struct vmscm_kind container = {
    "container", is_no_name, is_no_text, vmscm_containerin_load};

const struct vmscm_kind *vmscm_kind_container(void)
{
    return &container;
}

const struct vmscm_kind *vmscm_kind_of_member(const char *name)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].is_descriptor(name))
            return &kinds[i];
    return NULL;
}

bool vmscm_kind_may_be_text(const char *name)
{
    return has_suffix(name, ".ps1") || has_suffix(name, ".cfg") ||
        (has_suffix(name, ".xml") && !is_xva_name(name) && !vmscm_hypervin_is_name(name) &&
            !vmscm_ploopin_is_name(name));
}

const struct vmscm_kind *vmscm_kind_of_text(const char *name, const char *text, size_t len)
{
    for (size_t i = 0; vmscm_kind_may_be_text(name) && i < KINDS; i++)
        if (kinds[i].is_text(text, len))
            return &kinds[i];
    return NULL;
}

int vmscm_kind_look(struct vmscm_kind_file *out, const char *path, struct vmscm_error *err)
{
    uint8_t head[HEAD + 1];
    struct stat st;
    size_t got = 0;
    int fd = -1, rc;

    *out = (struct vmscm_kind_file){0};
    if (stat(path, &st) < 0)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: %s", path, strerror(errno));
    out->directory = S_ISDIR(st.st_mode);
    /* What else it is, and that it is empty, is for who reads images to say. */
    if (!S_ISREG(st.st_mode) || !st.st_size)
        return 0;
    if ((rc = vmscm_file_open(&fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        return rc;
    rc = vmscm_file_pread_some(fd, head, HEAD, 0, &got, path, err);
    close(fd);
    if (rc)
        return rc;
    head[got] = '\0';
    out->tar = vmscm_tar_match(head, got);
    out->packed = vmscm_unwrap_match(head, got);
    for (size_t i = 0; i < KINDS && !out->tar && !out->packed; i++)
        if (kinds[i].is_text && kinds[i].is_text((const char *)head, got))
            out->kind = &kinds[i];
    return 0;
}

struct search {
    const struct vmscm_kind *kind;
    char *name;
    const char *where;
    struct vmscm_members *members;
    char *candidates[CANDIDATES]; /* XML files and scripts */
    size_t count;
};

static int twice(const struct search *s, const char *name, struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_EUSAGE, "%s: has both %s and %s", s->where, s->name, name);
    return vmscm_error_hint(err, "unpacked, each can be given by its own name");
}

static int each_name(void *data, const char *name, struct vmscm_error *err)
{
    struct search *s = data;

    if (vmscm_kind_may_be_text(name) && !vmscm_members_is_noise(name) && s->count < CANDIDATES)
        return vmscm_str_dup(&s->candidates[s->count++], name, err);
    for (size_t i = 0; i < KINDS; i++) {
        if (!kinds[i].is_descriptor(name) || vmscm_members_is_noise(name))
            continue;
        if (!s->kind || &kinds[i] < s->kind) {
            free(s->name);
            s->kind = &kinds[i];
            s->name = NULL;
            return vmscm_str_dup(&s->name, name, err);
        }
        /* Of several disks there is one descriptor each. */
        return s->kind == &kinds[i] && s->kind->load != vmscm_ploopin_load ? twice(s, name, err) : 0;
    }
    return 0;
}

/* Hyper-V's machines, boxes of them too, have the configuration in a folder of its own; OpenVZ's each
 * disk. */
static int each_below(void *data, const char *name, struct vmscm_error *err)
{
    return vmscm_hypervin_is_name(name) || vmscm_ploopin_is_name(name) ? each_name(data, name, err) : 0;
}

/* By what is in a file, where no name tells. */
static int find_by_text(struct search *s, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < s->count && !rc; i++) {
        const struct vmscm_member *member;
        struct vmscm_buf text = VMSCM_BUF_INIT;
        /* What is a link or too long is no descriptor. */
        if (vmscm_members_find(&member, s->members, s->candidates[i], NULL) ||
            vmscm_members_read(&text, member, XML_MAX, NULL)) {
            vmscm_buf_release(&text);
            continue;
        }
        for (size_t k = 0; k < KINDS && !rc; k++) {
            if (!kinds[k].is_text(vmscm_buf_str(&text), text.len))
                continue;
            if (s->kind)
                rc = twice(s, s->candidates[i], err);
            else if (!(rc = vmscm_str_dup(&s->name, s->candidates[i], err)))
                s->kind = &kinds[k];
        }
        vmscm_buf_release(&text);
    }
    return rc;
}

int vmscm_kind_find(const struct vmscm_kind **out, char **name, struct vmscm_members *members,
    const char *where, struct vmscm_error *err)
{
    struct search s = {.where = where, .members = members};
    int rc = vmscm_members_walk(members, each_name, &s, err);

    if (!rc && !s.kind)
        rc = find_by_text(&s, err);
    if (!rc && (!s.kind || s.kind->load == vmscm_vagrantin_load))
        rc = vmscm_members_walk_all(members, each_below, &s, err);
    for (size_t i = 0; i < s.count; i++)
        free(s.candidates[i]);
    if (rc) {
        free(s.name);
        s.name = NULL;
        s.kind = NULL;
    }
    *out = s.kind;
    *name = s.name;
    return rc;
}
