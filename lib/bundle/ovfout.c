/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The descriptor and the manifest are to come first, but say how long the disks are, and what their digests.
 * Their own lengths do not depend on that: digests have a fixed one, and the descriptor is filled up with
 * blanks to what it is with the longest numbers. So in a file their place is left free, and filled at the
 * end; in a pipe the disks are compressed twice, first only to learn their lengths and digests.
 */
#include "bundle/ovfout.h"
#include "base/str.h"
#include "bundle/tar.h"
#include "bundle/tarout.h"
#include "image/streamvmdk.h"
#include "machine/model.h"
#include "machine/ovf.h"
#include "machine/ovfwrite.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define BLOCK VMSCM_TAR_BLOCK

struct file {
    char *name;
    uint64_t size;
    uint8_t digest[VMSCM_DIGEST_MAX];
};

/* A package while it is written. */
struct package {
    struct vmscm_export *x;
    size_t count;
    struct file *files; /* the disks, then the NVRAM if there is one */
    struct vmscm_ovfwrite_file *listed; /* the same for the descriptor */
    bool has_manifest;
    enum vmscm_digest_algorithm algorithm;
    char *ovf_name, *mf_name;
    void *nvram;
    size_t nvram_size;
    char *os_id, *os_type;
    struct vmscm_buf annotation;
    struct vmscm_buf ovf, manifest;
    size_t ovf_size; /* what the descriptor is filled up to */
    struct vmscm_error *err;
};

static int choose_manifest(struct package *p)
{
    static const enum vmscm_digest_algorithm all[] = {
        VMSCM_DIGEST_SHA1, VMSCM_DIGEST_SHA256, VMSCM_DIGEST_SHA512};
    const char *name = p->x->options->manifest ? p->x->options->manifest : "sha256";

    p->algorithm = VMSCM_DIGEST_SHA256;
    if (strcmp(name, "none") == 0)
        return 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcasecmp(name, vmscm_digest_name(all[i])) == 0) {
            p->algorithm = all[i];
            p->has_manifest = true;
            return 0;
        }
    return vmscm_error_set(p->err, VMSCM_EUSAGE, "%s: not a kind of manifest", name);
}

/* The operating system, if another OVF said it before: nothing else knows it. */
static int recall_os(struct package *p)
{
    struct vmscm_ovf *ovf = NULL;
    void *text;
    size_t size;
    int rc = vmscm_export_config(&text, &size, p->x, ".ovf", p->err);

    if (rc || !text)
        return rc;
    if (!vmscm_ovf_parse(&ovf, text, size, NULL))
        for (size_t i = 0; i < ovf->systems.len && !p->os_id && !p->os_type; i++) {
            struct vmscm_ovf_system *s = &ovf->systems.items[i];
            const char *name = s->machine->name, *ours = p->x->machine->name;
            if (ovf->systems.len > 1 && (!name || !ours || strcmp(name, ours) != 0))
                continue;
            p->os_id = s->os_id;
            p->os_type = s->os_type;
            s->os_id = s->os_type = NULL;
        }
    vmscm_ovf_free(ovf);
    free(text);
    return 0;
}

struct losing {
    struct package *p;
    int rc;
};

static int each_loss(void *data, const char *text)
{
    struct losing *l = data;

    return l->rc = vmscm_export_loss(l->p->x, &l->p->annotation, text, l->p->err);
}

static int prepare(struct package *p)
{
    const struct vmscm_machine *m = p->x->machine;
    struct losing losing = {p, 0};
    int rc;

    if ((rc = choose_manifest(p)) ||
        (rc = vmscm_export_config(&p->nvram, &p->nvram_size, p->x, ".nvram", p->err)) ||
        (rc = recall_os(p)) ||
        (rc = vmscm_buf_printf(&p->annotation, p->err, "vmscm revision %s",
             vmscm_revision_id(p->x->rev))))
        return rc;
    vmscm_ovfwrite_losses(m, each_loss, &losing);
    if (losing.rc)
        return losing.rc;
    p->count = m->disk_count + (p->nvram != NULL);
    if (!(p->files = calloc(p->count + 1, sizeof *p->files)) ||
        !(p->listed = calloc(p->count + 1, sizeof *p->listed)))
        return vmscm_error_nomem(p->err);
    if ((rc = vmscm_str_printf(&p->ovf_name, p->err, "%s.ovf", p->x->stem)) ||
        (rc = vmscm_str_printf(&p->mf_name, p->err, "%s.mf", p->x->stem)))
        return rc;
    for (size_t i = 0; i < p->count && !rc; i++)
        rc = i < m->disk_count
            ? vmscm_str_printf(&p->files[i].name, p->err, "%s-disk%zu.vmdk", p->x->stem, i + 1)
            : vmscm_str_printf(&p->files[i].name, p->err, "%s.nvram", p->x->stem);
    return rc;
}

/* As far as the files' sizes are known. */
static int describe(struct package *p)
{
    struct vmscm_ovfwrite ovf = {.machine = p->x->machine,
        .id = p->x->stem,
        .disks = p->listed,
        .nvram = p->nvram ? &p->listed[p->count - 1] : NULL,
        .os_id = p->os_id,
        .os_type = p->os_type,
        .annotation = vmscm_buf_str(&p->annotation),
        .new_identity = p->x->options->new_identity};

    for (size_t i = 0; i < p->count; i++)
        p->listed[i] = (struct vmscm_ovfwrite_file){p->files[i].name, p->files[i].size};
    p->ovf.len = 0;
    return vmscm_ovfwrite_encode(&p->ovf, &ovf, p->err);
}

/* How long the descriptor can be. */
static int measure_description(struct package *p)
{
    int rc;

    for (size_t i = 0; i < p->count; i++)
        p->files[i].size = UINT64_MAX;
    rc = describe(p);
    p->ovf_size = p->ovf.len;
    return rc;
}

/* The descriptor and the manifest, now that all is known. */
static int finish_description(struct package *p)
{
    struct vmscm_digest *digest = NULL;
    uint8_t sum[VMSCM_DIGEST_MAX];
    char hex[2 * VMSCM_DIGEST_MAX + 1];
    size_t size = vmscm_digest_size(p->algorithm);
    int rc = describe(p);

    while (!rc && p->ovf.len < p->ovf_size)
        rc = vmscm_buf_puts(&p->ovf, p->ovf.len + 1 < p->ovf_size ? " " : "\n", p->err);
    p->manifest.len = 0;
    if (rc || !p->has_manifest)
        return rc;
    if ((rc = vmscm_digest_new(&digest, p->algorithm, p->err)) ||
        (rc = vmscm_digest_add(digest, p->ovf.data, p->ovf.len, p->err)) ||
        (rc = vmscm_digest_finish(digest, sum, p->err)))
        goto out;
    for (size_t i = 0; i <= p->count && !rc; i++) {
        vmscm_str_hex(hex, i ? p->files[i - 1].digest : sum, size);
        rc = vmscm_buf_printf(&p->manifest, p->err, "%s(%s)= %s\n",
            vmscm_digest_name(p->algorithm), i ? p->files[i - 1].name : p->ovf_name, hex);
    }
out:
    vmscm_digest_free(digest);
    return rc;
}

static int told(void *data, uint64_t done)
{
    struct vmscm_export_file *file = data;

    return vmscm_export_progress(file->export, NULL, done);
}

/* The n-th file's bytes, through `file`, which then knows their number. */
static int produce(struct package *p, size_t n, struct vmscm_export_file *file)
{
    const struct vmscm_machine *m = p->x->machine;
    struct vmscm_streamvmdk_options options = {.name = p->files[n].name,
        .level = p->x->level,
        .jobs = p->x->jobs,
        .put = vmscm_export_put,
        .progress = told,
        .data = file};
    uint64_t hardware = 0;
    char id[9] = {0};
    int rc;

    if ((rc = vmscm_digest_new(&file->digest, p->algorithm, p->err)))
        return rc;
    if (n < m->disk_count) {
        const struct vmscm_machine_disk *disk = &m->disks[n];
        /* What the image was like, if it was one. */
        if (disk->format && strcmp(disk->format, "vmdk") == 0) {
            const char *version = vmscm_model_option(disk, "hwversion");
            options.adapter = vmscm_model_option(disk, "adapter_type");
            if (version && vmscm_str_uint(&hardware, version, 1, 100))
                options.hardware = (unsigned)hardware;
        }
        memcpy(id, vmscm_revision_id(p->x->rev), 8);
        options.cid = (uint32_t)strtoul(id, NULL, 16) + (uint32_t)n;
        rc = vmscm_streamvmdk_write(p->x->disks[n], &options, p->err);
        p->x->done += disk->size;
    } else {
        rc = vmscm_export_put(file, p->nvram, p->nvram_size, p->err);
    }
    if (!rc)
        rc = vmscm_digest_finish(file->digest, p->files[n].digest, p->err);
    vmscm_digest_free(file->digest);
    file->digest = NULL;
    p->files[n].size = file->size;
    return rc;
}

/* Descriptor and manifest, and what is to be beside them, as members. */
static int put_description(struct package *p, struct vmscm_export_file *out)
{
    int rc = vmscm_tarout_member(out, p->ovf_name, p->ovf.data, p->ovf.len, p->err);

    if (!rc && p->has_manifest)
        rc = vmscm_tarout_member(out, p->mf_name, p->manifest.data, p->manifest.len, p->err);
    for (size_t i = 0; i < p->x->beside.len && !rc; i++) {
        const struct vmscm_export_beside *file = &p->x->beside.items[i];
        rc = vmscm_tarout_member(out, file->name, file->bytes.data, file->bytes.len, p->err);
    }
    return rc;
}

/* To a file: each member where it comes to lie, then what is before it. */
static int write_in_place(struct package *p, int fd)
{
    struct vmscm_export_file out = {.export = p->x, .fd = fd, .writes = true, .in_place = true};
    struct vmscm_export_file count = {.export = p->x};
    int rc;

    /* Zeros for digests: the length is the same. */
    if ((rc = finish_description(p)) || (rc = put_description(p, &count)))
        return rc;
    out.size = count.size;
    for (size_t i = 0; i < p->count && !rc; i++) {
        struct vmscm_export_file member = {.export = p->x,
            .fd = fd,
            .writes = true,
            .in_place = true,
            .at = out.size + BLOCK};
        if ((rc = produce(p, i, &member)) ||
            (rc = vmscm_tarout_header(&out, p->files[i].name, member.size, p->err)))
            return rc;
        out.size += member.size;
        rc = vmscm_tarout_padding(&out, member.size, p->err);
    }
    if (rc || (rc = vmscm_tarout_end(&out, p->err)) || (rc = finish_description(p)))
        return rc;
    out.size = 0;
    return put_description(p, &out);
}

/* To a pipe: once to know, once to write. */
static int write_in_order(struct package *p, int fd)
{
    struct vmscm_export_file out = {.export = p->x, .fd = fd, .writes = true};
    int rc = 0;

    p->x->total *= 2;
    for (size_t i = 0; i < p->count && !rc; i++) {
        struct vmscm_export_file count = {.export = p->x};
        rc = produce(p, i, &count);
    }
    if (rc || (rc = finish_description(p)) || (rc = put_description(p, &out)))
        return rc;
    for (size_t i = 0; i < p->count && !rc; i++) {
        struct vmscm_export_file member = {.export = p->x, .fd = fd, .writes = true};
        struct file before = p->files[i];
        if ((rc = vmscm_tarout_header(&out, before.name, before.size, p->err)) ||
            (rc = produce(p, i, &member)))
            return rc;
        if (p->files[i].size != before.size ||
            memcmp(p->files[i].digest, before.digest, sizeof before.digest) != 0)
            return vmscm_error_set(
                p->err, VMSCM_EIO, "%s: zlib did not do the same twice", before.name);
        rc = vmscm_tarout_padding(&out, member.size, p->err);
    }
    p->x->total /= 2;
    return rc ? rc : vmscm_tarout_end(&out, p->err);
}

static void release(struct package *p)
{
    for (size_t i = 0; p->files && i < p->count; i++)
        free(p->files[i].name);
    free(p->files);
    free(p->listed);
    free(p->ovf_name);
    free(p->mf_name);
    free(p->nvram);
    free(p->os_id);
    free(p->os_type);
    vmscm_buf_release(&p->annotation);
    vmscm_buf_release(&p->ovf);
    vmscm_buf_release(&p->manifest);
}

int vmscm_ovfout_write_archive(struct vmscm_export *x, struct vmscm_error *err)
{
    struct package p = {.x = x, .err = err};
    int fd = -1, rc;

    if ((rc = prepare(&p)) || (rc = measure_description(&p)))
        goto out;
    if (!x->dir) {
        rc = write_in_order(&p, x->fd);
        goto out;
    }
    if (!(rc = vmscm_export_create(&fd, x, "bundle", err)) && !(rc = write_in_place(&p, fd)))
        rc = vmscm_export_close(&fd, "bundle", err);
out:
    if (fd >= 0)
        close(fd);
    release(&p);
    return rc;
}

static int write_small(struct package *p, const char *name, const struct vmscm_buf *bytes)
{
    struct vmscm_export_file out = {.export = p->x, .writes = true};
    int rc = vmscm_export_create(&out.fd, p->x, name, p->err);

    if (!rc)
        rc = vmscm_export_put(&out, bytes->data, bytes->len, p->err);
    if (!rc)
        rc = vmscm_export_close(&out.fd, name, p->err);
    if (out.fd >= 0)
        close(out.fd);
    return rc;
}

int vmscm_ovfout_write_files(struct vmscm_export *x, struct vmscm_error *err)
{
    struct package p = {.x = x, .err = err};
    int rc;

    if ((rc = prepare(&p)) || (rc = measure_description(&p)))
        goto out;
    for (size_t i = 0; i < p.count && !rc; i++) {
        struct vmscm_export_file out = {.export = x, .fd = -1, .writes = true};
        if (!(rc = vmscm_export_create(&out.fd, x, p.files[i].name, err)) &&
            !(rc = produce(&p, i, &out)))
            rc = vmscm_export_close(&out.fd, p.files[i].name, err);
        if (out.fd >= 0)
            close(out.fd);
    }
    if (!rc)
        rc = finish_description(&p);
    if (!rc && p.has_manifest)
        rc = write_small(&p, p.mf_name, &p.manifest);
    if (!rc)
        rc = write_small(&p, p.ovf_name, &p.ovf);
out:
    release(&p);
    return rc;
}
