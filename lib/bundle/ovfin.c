/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/ovfin.h"
#include "base/path.h"
#include "base/str.h"
#include "bundle/manifest.h"
#include "bundle/unwrap.h"
#include "machine/model.h"
#include "machine/ovf.h"
#include "repo/handle.h"
#include "sys/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define PARTS_MAX 1000000u
#define PIECE (1u << 20)

/* A package while it is read. */
struct package {
    struct vmscm_load *load;
    struct vmscm_ovf *ovf;
    struct vmscm_ovf_system *system; /* the chosen one */
    char *folder;
    struct vmscm_manifest manifest;
    struct vmscm_error *err;
};

/* DESCRIPTOR.mf and the like, which may be missing: *out is NULL then. */
static int find_beside(const struct vmscm_member **out, struct package *p, const char *suffix)
{
    const char *main = p->load->main, *dot = strrchr(main, '.');
    char *name = NULL;
    int rc = vmscm_str_printf(
        &name, p->err, "%.*s%s", (int)(dot ? (size_t)(dot - main) : strlen(main)), main, suffix);

    *out = NULL;
    if (rc)
        return rc;
    rc = vmscm_members_find(out, p->load->members, name, p->err);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(p->err);
        rc = 0;
    }
    free(name);
    return rc;
}

static int check_manifest(struct package *p)
{
    struct vmscm_load *load = p->load;
    const struct vmscm_member *manifest, *certificate;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc;

    if ((rc = find_beside(&manifest, p, ".mf")) || (rc = find_beside(&certificate, p, ".cert")))
        return rc;
    if (certificate) {
        vmscm_handle_warn(load->events,
            "%s: %s is kept, but the signature in it is not checked", load->path, certificate->name);
        if ((rc = vmscm_load_keep(load, certificate, p->err)))
            return rc;
    }
    if (!manifest)
        return 0;
    if ((rc = vmscm_load_keep(load, manifest, p->err)) || load->options->no_manifest)
        return rc;
    if ((rc = vmscm_members_read(&text, manifest, VMSCM_MANIFEST_MAX, p->err)) ||
        (rc = vmscm_manifest_parse(&p->manifest, vmscm_buf_str(&text), text.len, p->err))) {
        vmscm_error_prefix(p->err, "%s", manifest->name);
        goto out;
    }
    rc = vmscm_manifest_check(
        &p->manifest, load->members, p->folder, load->jobs, load->events, p->err);
out:
    vmscm_buf_release(&text);
    return rc;
}

static int no_system(struct package *p, const char *asked)
{
    struct vmscm_buf names = VMSCM_BUF_INIT;
    int rc = 0;

    for (size_t i = 0; i < p->ovf->systems.len && names.len < 400 && !rc; i++) {
        const struct vmscm_ovf_system *s = &p->ovf->systems.items[i];
        rc = vmscm_buf_printf(&names, NULL, "%s%s", i ? ", " : "", s->id ? s->id : "(no id)");
    }
    if (asked)
        vmscm_error_set(p->err, VMSCM_EUSAGE, "%s: has no machine %s", p->load->path, asked);
    else
        vmscm_error_set(p->err, VMSCM_EUSAGE, "%s: has %zu machines", p->load->path,
            p->ovf->systems.len);
    vmscm_error_hint(p->err, "--system says which: %s", vmscm_buf_str(&names));
    vmscm_buf_release(&names);
    return VMSCM_EUSAGE;
}

/* By id, or else by name. */
static int choose(struct package *p)
{
    const char *asked = p->load->options->system;

    for (size_t i = 0; i < p->ovf->systems.len; i++) {
        struct vmscm_ovf_system *s = &p->ovf->systems.items[i];
        if (asked ? s->id && strcmp(s->id, asked) == 0 : p->ovf->systems.len == 1) {
            p->system = s;
            return 0;
        }
    }
    for (size_t i = 0; asked && i < p->ovf->systems.len; i++) {
        struct vmscm_ovf_system *s = &p->ovf->systems.items[i];
        if (s->machine->name && strcmp(s->machine->name, asked) == 0) {
            p->system = s;
            return 0;
        }
    }
    return no_system(p, asked);
}

/* The name of a file as its href has it: "%20" and the like are spelled out, if there is no file that is
 * called just so. */
static int find_file(const struct vmscm_member **out, struct package *p, const char *href)
{
    char *plain = NULL, *to;
    int rc;

    if (strstr(href, "://"))
        return vmscm_error_set(p->err, VMSCM_EREFUSED,
            "%s: its file \"%.200s\" is not in the package", p->load->path, href);
    rc = vmscm_load_find(out, p->load, p->folder, href, p->err);
    if (rc != VMSCM_ENOTFOUND || !strchr(href, '%'))
        return rc;
    if ((rc = vmscm_str_dup(&plain, href, p->err)))
        return rc;
    to = plain;
    for (const char *from = href; *from; from++) {
        char digits[3] = {0};
        uint8_t byte;
        if (*from == '%' && from[1] && from[2]) {
            memcpy(digits, from + 1, 2);
            for (char *d = digits; *d; d++)
                *d = *d >= 'A' && *d <= 'F' ? (char)(*d + 'a' - 'A') : *d;
            if (vmscm_str_unhex(&byte, 1, digits) && byte) {
                *to++ = (char)byte;
                from += 2;
                continue;
            }
        }
        *to++ = *from;
    }
    *to = '\0';
    vmscm_error_clear(p->err);
    rc = vmscm_load_find(out, p->load, p->folder, plain, p->err);
    free(plain);
    return rc;
}

static int append_part(int to, const char *to_path, uint64_t *at, const struct vmscm_member *part,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    uint8_t *piece = malloc(PIECE);
    int fd = -1, rc;

    if (!piece)
        return vmscm_error_nomem(err);
    rc = vmscm_members_open(&fd, part, err);
    for (uint64_t done = 0; !rc && done < part->length; done += PIECE) {
        size_t n = part->length - done < PIECE ? (size_t)(part->length - done) : PIECE;
        if ((rc = vmscm_handle_canceled(events, err)) ||
            (rc = vmscm_file_pread(fd, piece, n, part->offset + done, part->path, err)))
            break;
        rc = vmscm_file_pwrite(to, piece, n, *at, to_path, err);
        *at += n;
    }
    if (fd >= 0)
        close(fd);
    free(piece);
    return rc;
}

/* The parts of a file, HREF.000000000 and so on, as one scratch file. VMSCM_ENOTFOUND: not even a first. */
static int join(char **path, struct package *p, const char *href)
{
    const struct vmscm_member *part;
    uint64_t at = 0;
    unsigned n = 0;
    int fd = -1, rc = 0;

    *path = NULL;
    for (; n < PARTS_MAX && !rc; n++) {
        char *name = NULL;
        if ((rc = vmscm_str_printf(&name, p->err, "%s.%09u", href, n)))
            break;
        rc = find_file(&part, p, name);
        free(name);
        if (!rc && !n)
            rc = vmscm_load_scratch(path, p->load, p->err);
        if (!rc && !n)
            rc = vmscm_file_open(&fd, *path, O_WRONLY | O_CREAT | O_EXCL, 0600, p->err);
        if (!rc)
            rc = append_part(fd, *path, &at, part, p->load->events, p->err);
    }
    if (rc == VMSCM_ENOTFOUND && n > 1) {
        vmscm_error_clear(p->err);
        rc = 0;
        vmscm_handle_note(
            p->load->events, "%s: is in %u parts, joined in a scratch file", href, n - 1);
    }
    if (fd >= 0)
        close(fd);
    if (rc) {
        free(*path);
        *path = NULL;
    }
    return rc;
}

static int inflate(char **out, struct package *p, const struct vmscm_ovf_disk *disk,
    const char *name, const char *path, uint64_t offset, uint64_t length)
{
    uint64_t max = disk->capacity ? disk->capacity + disk->capacity / 16 + (64u << 20) : 0;
    int rc = vmscm_load_scratch(out, p->load, p->err);

    if (rc)
        return rc;
    vmscm_handle_note(p->load->events, "%s: is compressed by gzip, unpacked to a scratch file", name);
    rc = vmscm_unwrap_file(*out, path, offset, length, max, p->load->events, p->err);
    if (rc) {
        free(*out);
        *out = NULL;
        vmscm_error_prefix(p->err, "%s", name);
    }
    return rc;
}

static int load_disk(struct package *p, const struct vmscm_ovf_disk *disk, const char *id)
{
    const struct vmscm_ovf_file *file;
    const struct vmscm_member *member;
    char *joined = NULL, *plain = NULL;
    int rc;

    if (disk->file == SIZE_MAX)
        return vmscm_load_add_empty(p->load, id, disk->capacity, p->err);
    file = &p->ovf->files.items[disk->file];
    rc = find_file(&member, p, file->href);
    if (rc == VMSCM_ENOTFOUND) {
        rc = join(&joined, p, file->href);
        if (rc == VMSCM_ENOTFOUND)
            rc = vmscm_error_set(p->err, VMSCM_EINPUT, "%s: its file \"%.200s\" is missing",
                p->load->path, file->href);
    }
    if (rc)
        return rc;
    if (!joined && file->size && file->size != member->length)
        return vmscm_error_set(p->err, VMSCM_EINPUT,
            "%s: is of %" PRIu64 " bytes, not of %" PRIu64 " as the descriptor says", member->name,
            member->length, file->size);
    if (p->load->options->no_manifest == 0 && p->manifest.lines.len && !joined &&
        !vmscm_manifest_has(&p->manifest, member->name + strlen(p->folder)))
        vmscm_handle_warn(p->load->events, "%s: the manifest does not mention it", member->name);
    if (file->gzip) {
        if (joined)
            rc = inflate(&plain, p, disk, file->href, joined, 0, VMSCM_UNWRAP_ALL);
        else
            rc = inflate(&plain, p, disk, file->href, member->path, member->offset, member->length);
        free(joined);
        return rc ? rc
                  : vmscm_load_add_file(p->load, file->href, plain, disk->format, p->err);
    }
    if (joined)
        return vmscm_load_add_file(p->load, file->href, joined, disk->format, p->err);
    return vmscm_load_add_member(p->load, member, disk->format, p->err);
}

/* Whether a file is some machine's disk: only what is none is kept as it is. */
static bool is_disk(const struct vmscm_ovf *ovf, size_t file)
{
    for (size_t i = 0; i < ovf->systems.len; i++)
        for (size_t k = 0; k < ovf->systems.items[i].machine->disk_count; k++)
            if (ovf->systems.items[i].disks[k].file == file)
                return true;
    return false;
}

static int keep_others(struct package *p)
{
    const struct vmscm_member *member;
    int rc = 0;

    for (size_t i = 0; i < p->ovf->files.len && !rc; i++) {
        if (is_disk(p->ovf, i))
            continue;
        rc = find_file(&member, p, p->ovf->files.items[i].href);
        if (!rc) {
            rc = vmscm_load_keep(p->load, member, p->err);
        } else if (rc == VMSCM_ENOTFOUND) {
            vmscm_error_clear(p->err);
            vmscm_handle_warn(p->load->events, "%s: its file \"%s\" is missing", p->load->path,
                p->ovf->files.items[i].href);
            rc = 0;
        }
    }
    return rc;
}

static int load_package(struct package *p)
{
    const struct vmscm_member *descriptor;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc;

    if ((rc = vmscm_members_find(&descriptor, p->load->members, p->load->main, p->err)) ||
        (rc = vmscm_members_read(&text, descriptor, VMSCM_OVF_MAX, p->err)) ||
        (rc = vmscm_load_keep(p->load, descriptor, p->err)))
        goto out;
    if ((rc = vmscm_ovf_parse(&p->ovf, vmscm_buf_str(&text), text.len, p->err))) {
        vmscm_error_prefix(p->err, "%s", p->load->main);
        goto out;
    }
    if ((rc = choose(p)) || (rc = check_manifest(p)))
        goto out;
    for (size_t i = 0; i < p->system->machine->disk_count && !rc; i++)
        rc = load_disk(p, &p->system->disks[i], p->system->machine->disks[i].id);
    if (rc || (rc = keep_others(p)))
        goto out;
    p->load->machine = p->system->machine;
    p->system->machine = NULL;
out:
    vmscm_buf_release(&text);
    return rc;
}

int vmscm_ovfin_load(struct vmscm_load *load, struct vmscm_error *err)
{
    struct package p = {.load = load, .err = err};
    int rc = vmscm_load_folder(&p.folder, load->main, err);

    if (!rc)
        rc = load_package(&p);
    vmscm_manifest_release(&p.manifest);
    vmscm_ovf_free(p.ovf);
    free(p.folder);
    return rc;
}
