/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/ext4out.h"
#include "base/path.h"
#include "bundle/ext4fill.h"
#include "bundle/streamqcow2.h"
#include "image/reader.h"
#include "machine/model.h"
#include "repo/snapshot.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (1u << 20)

static int told(void *data, uint64_t done)
{
    return vmscm_export_progress(data, VMSCM_MODEL_ROOTFS, done);
}

/* So that the same revision has the same ones, and no other has. */
static int choose_ids(struct vmscm_ext4fill_options *o, const struct vmscm_export *x,
    struct vmscm_error *err)
{
    static const char prefix[] = "vmscm ext4 ";
    const char *revision = vmscm_revision_id(x->rev);
    struct vmscm_digest *digest = NULL;
    uint8_t id[VMSCM_DIGEST_MAX];
    int rc;

    if ((rc = vmscm_digest_new(&digest, VMSCM_DIGEST_SHA256, err)) ||
        (rc = vmscm_digest_add(digest, prefix, sizeof prefix - 1, err)) ||
        (rc = vmscm_digest_add(digest, revision, strlen(revision), err)) ||
        (rc = vmscm_digest_finish(digest, id, err)))
        goto out;
    memcpy(o->uuid, id, 16);
    memcpy(o->hash_seed, id + 16, 16);
    /* RFC 9562, version 8 */
    o->uuid[6] = (uint8_t)(0x80 | (o->uuid[6] & 0x0f));
    o->uuid[8] = (uint8_t)(0x80 | (o->uuid[8] & 0x3f));
out:
    vmscm_digest_free(digest);
    return rc;
}

static int make(struct vmscm_export *x, const char *path, struct vmscm_error *err)
{
    struct vmscm_ext4fill_options o = {.size = x->options->size, .time = x->rev->info.author.time,
        .progress = told, .data = x, .events = x->events};
    int rc = choose_ids(&o, x, err);

    return rc ? rc : vmscm_ext4fill_make(path, x->disks[0], &o, err);
}

/* A file that is made where it is not what counts: in the export's directory, or in the repository's tmp. */
static int make_scratch(char **path, char **dir, int *lock, struct vmscm_export *x, struct vmscm_error *err)
{
    char *beside = NULL;
    int fd = -1, rc = 0;

    if (!x->dir && !(rc = vmscm_path_join(&beside, vmscm_repo_path(x->rev->repo), "tmp/ext4", err))) {
        vmscm_file_sweep(beside);
        rc = vmscm_file_mkdir_beside(lock, dir, beside, err);
    }
    free(beside);
    if (!rc && !(rc = vmscm_path_join(path, x->dir ? x->dir : *dir, "ext4", err)) &&
        !(rc = vmscm_file_open(&fd, *path, O_WRONLY | O_CREAT | O_EXCL, 0600, err)))
        close(fd);
    return rc ? rc : make(x, *path, err);
}

static int copy(struct vmscm_export_file *out, const char *path, struct vmscm_error *err)
{
    uint8_t *piece = malloc(PIECE);
    size_t got = 1;
    int fd = -1, rc = piece ? vmscm_file_open(&fd, path, O_RDONLY, 0, err) : vmscm_error_nomem(err);

    while (!rc && !(rc = vmscm_file_pread_some(fd, piece, PIECE, out->size, &got, path, err)) && got)
        if (!(rc = vmscm_export_put(out, piece, got, err)) &&
            vmscm_export_progress(out->export, VMSCM_MODEL_ROOTFS, out->export->total))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, VMSCM_MODEL_ROOTFS ": canceled");
    if (fd >= 0)
        close(fd);
    free(piece);
    return rc;
}

static int put(void *data, const void *bytes, size_t len, struct vmscm_error *err)
{
    struct vmscm_export_file *out = data;
    int rc = vmscm_export_put(out, bytes, len, err);

    if (!rc && vmscm_export_progress(out->export, VMSCM_MODEL_ROOTFS, out->export->total))
        rc = vmscm_error_set(err, VMSCM_ECANCELED, VMSCM_MODEL_ROOTFS ": canceled");
    return rc;
}

static int pack(struct vmscm_export_file *out, const char *path, struct vmscm_error *err)
{
    struct vmscm_probe *probe = NULL;
    struct vmscm_blockdev *disk = NULL;
    struct vmscm_streamqcow2 *image = NULL;
    int rc;

    if (!(rc = vmscm_probe_open(&probe, path, "raw", 0, err)) &&
        !(rc = vmscm_reader_open(&disk, probe, out->export->jobs, false, NULL, err)) &&
        !(rc = vmscm_streamqcow2_open(&image, disk, err)))
        rc = vmscm_streamqcow2_write(image, put, NULL, out, err);
    vmscm_streamqcow2_close(image);
    vmscm_blockdev_close(disk);
    vmscm_probe_close(probe);
    return rc;
}

/* By way of a scratch file, with what writes it on. */
static int write_by(struct vmscm_export *x,
    int (*write)(struct vmscm_export_file *out, const char *path, struct vmscm_error *err),
    struct vmscm_error *err)
{
    struct vmscm_export_file out = {.export = x, .fd = x->fd, .writes = true};
    char *path = NULL, *dir = NULL;
    int lock = -1, fd = -1, rc = make_scratch(&path, &dir, &lock, x, err);

    if (!rc && x->dir && !(rc = vmscm_export_create(&fd, x, "bundle", err)))
        out.fd = fd;
    if (!rc)
        rc = write(&out, path, err);
    if (!rc && fd >= 0)
        rc = vmscm_export_close(&fd, "bundle", err);
    if (fd >= 0)
        close(fd);
    if (dir)
        vmscm_file_remove_tree(dir, NULL);
    if (lock >= 0)
        close(lock);
    free(path);
    free(dir);
    return rc;
}

int vmscm_ext4out_write_raw(struct vmscm_export *x, struct vmscm_error *err)
{
    char *path = NULL;
    struct stat st;
    int fd = -1, rc;

    if (!x->dir)
        return write_by(x, copy, err);
    if ((rc = vmscm_export_create(&fd, x, "bundle", err)) ||
        (rc = vmscm_path_join(&path, x->dir, "bundle", err)) || (rc = make(x, path, err)))
        goto out;
    if (fstat(fd, &st) == 0)
        x->written += (uint64_t)st.st_blocks * 512;
    rc = vmscm_export_close(&fd, "bundle", err);
out:
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

int vmscm_ext4out_write_qcow2(struct vmscm_export *x, struct vmscm_error *err)
{
    return write_by(x, pack, err);
}
