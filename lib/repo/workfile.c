/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/workfile.h"
#include "base/buf.h"
#include "base/path.h"
#include "base/str.h"
#include "machine/jsontext.h"
#include "machine/model.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORKFILE_VERSION 1
#define SETTLE_TRIES 30
#define SETTLE_NS (2 * 1000 * 1000)

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* NULL: no memory. */
static json_t *encode_disk(const struct vmscm_workfile_disk *d)
{
    json_t *files = json_array();
    bool whole = files != NULL;

    for (size_t f = 0; f < d->files.len && whole; f++)
        whole = json_array_append_new(files,
                    json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", d->files.items[f].name, "size",
                        (json_int_t)d->files.items[f].size, "mtime", d->files.items[f].mtime_ns,
                        "ctime", d->files.items[f].ctime_ns, "inode",
                        (json_int_t)d->files.items[f].inode)) == 0;
    if (!whole) {
        json_decref(files);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:I, s:o, s:s*}", "id", d->id, "format", d->format, "size",
        (json_int_t)d->size, "files", files, "bitmap", d->bitmap);
}

/* NULL: no memory. */
static json_t *encode(const struct vmscm_workfile *work)
{
    json_t *disks = json_array(), *json;
    bool whole = disks != NULL;

    for (size_t i = 0; i < work->disks.len && whole; i++)
        whole = json_array_append_new(disks, encode_disk(&work->disks.items[i])) == 0;
    if (!whole) {
        json_decref(disks);
        return NULL;
    }
    json = json_pack("{s:i, s:s, s:s, s:s, s:I, s:s, s:o}", "version", WORKFILE_VERSION,
        "repository", work->repository, "machine", work->machine, "base", work->base, "clock",
        (json_int_t)work->clock, "request", work->request ? work->request : "", "disks", disks);
    if (json && work->thin.socket &&
        json_object_set_new(json, "thin",
            json_pack("{s:s, s:s, s:s}", "socket", work->thin.socket, "base", work->thin.base,
                "pin", work->thin.pin))) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static int write_file(const struct vmscm_workfile *work, const char *dir, const char *name,
    struct vmscm_error *err)
{
    char *path = NULL, *text = NULL;
    json_t *json = encode(work), *repository = json_string(work->repository);
    int rc;

    if (!repository)
        rc = vmscm_error_set(err, VMSCM_EUSAGE,
            "%s: not UTF-8, and a checkout must name its repository", work->repository);
    else if (!json || !(text = vmscm_jsontext_dump(json, JSON_INDENT(2) | JSON_SORT_KEYS)))
        rc = vmscm_error_nomem(err);
    else if (!(rc = vmscm_path_join(&path, dir, name, err)))
        rc = vmscm_file_replace(path, text, strlen(text), 0644, err);
    json_decref(repository);
    json_decref(json);
    free(text);
    free(path);
    return rc;
}

int vmscm_workfile_write(const struct vmscm_workfile *work, const char *dir,
    struct vmscm_error *err)
{
    return write_file(work, dir, VMSCM_WORKFILE_NAME, err);
}

int vmscm_workfile_write_partial(const struct vmscm_workfile *work, const char *dir,
    struct vmscm_error *err)
{
    return write_file(work, dir, VMSCM_WORKFILE_PARTIAL "/" VMSCM_WORKFILE_STATE, err);
}

static int decode_disk(struct vmscm_workfile *work, json_t *json, struct vmscm_error *err)
{
    struct vmscm_workfile_disk *disk;
    const char *id, *format, *bitmap = NULL;
    json_int_t size;
    json_t *files, *item;
    size_t n;
    int rc;

    if (json_unpack(json, "{s:s, s:s, s:I, s:o, s?s}", "id", &id, "format", &format, "size",
            &size, "files", &files, "bitmap", &bitmap) ||
        size < 0 || !json_is_array(files) || json_array_size(files) == 0)
        return VMSCM_EDAMAGED;
    if ((rc = vmscm_model_check_disk_id(id, NULL)) ||
        (rc = vmscm_workfile_add_disk(&disk, work, id, format, (uint64_t)size, err)))
        return rc == VMSCM_ENOMEM ? rc : VMSCM_EDAMAGED;
    if (bitmap && vmscm_str_dup(&disk->bitmap, bitmap, err))
        return VMSCM_ENOMEM;
    json_array_foreach(files, n, item)
    {
        struct vmscm_workfile_file *file;
        const char *name;
        json_int_t bytes, mtime, ctime, inode;
        if (json_unpack(item, "{s:s, s:I, s:I, s:I, s:I}", "name", &name, "size", &bytes, "mtime",
                &mtime, "ctime", &ctime, "inode", &inode) ||
            !vmscm_path_is_confined(name))
            return VMSCM_EDAMAGED;
        if (vmscm_vec_add(&disk->files, &file, err) || vmscm_str_dup(&file->name, name, err))
            return VMSCM_ENOMEM;
        file->size = (uint64_t)bytes;
        file->mtime_ns = mtime;
        file->ctime_ns = ctime;
        file->inode = (uint64_t)inode;
    }
    return 0;
}

static int decode_thin(struct vmscm_workfile *work, json_t *json, struct vmscm_error *err)
{
    const char *socket, *base, *pin;
    uint8_t id[20];

    if (json_unpack(json, "{s:s, s:s, s:s}", "socket", &socket, "base", &base, "pin", &pin) ||
        socket[0] != '/' || strlen(base) != 40 || !vmscm_str_unhex(id, sizeof id, base) ||
        !vmscm_pin_is_name(pin))
        return VMSCM_EDAMAGED;
    memcpy(work->thin.base, base, sizeof work->thin.base);
    memcpy(work->thin.pin, pin, sizeof work->thin.pin);
    return vmscm_str_dup(&work->thin.socket, socket, err);
}

static int decode(struct vmscm_workfile *work, json_t *json, struct vmscm_error *err)
{
    const char *repository, *machine, *base, *request;
    uint8_t id[20];
    json_t *disks, *item, *thin = json_object_get(json, "thin");
    json_int_t version, clock = 0;
    size_t n;
    int rc = 0;

    if (json_unpack(json, "{s:I}", "version", &version))
        return VMSCM_EDAMAGED;
    if (version != WORKFILE_VERSION)
        return VMSCM_EUNSUPPORTED;
    if (json_unpack(json, "{s:s, s:s, s:s, s?I, s:s, s:o}", "repository", &repository, "machine",
            &machine, "base", &base, "clock", &clock, "request", &request, "disks", &disks) ||
        (repository[0] != '/' && !vmscm_str_starts(repository, "s3://")) ||
        strlen(base) != 40 || !vmscm_str_unhex(id, sizeof id, base) ||
        !json_is_array(disks))
        return VMSCM_EDAMAGED;
    memcpy(work->base, base, sizeof work->base);
    work->clock = clock;
    if ((rc = vmscm_str_dup(&work->repository, repository, err)) ||
        (rc = vmscm_str_dup(&work->machine, machine, err)) ||
        (rc = vmscm_str_dup(&work->request, request, err)) ||
        (thin && (rc = decode_thin(work, thin, err))))
        return rc;
    json_array_foreach(disks, n, item)
    {
        if ((rc = decode_disk(work, item, err)))
            break;
    }
    return rc;
}

int vmscm_workfile_decode(struct vmscm_workfile *work, const void *data, size_t len,
    struct vmscm_error *err)
{
    json_t *json = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    int rc;

    *work = (struct vmscm_workfile){0};
    rc = json ? decode(work, json, err) : VMSCM_EDAMAGED;
    if (rc == VMSCM_EDAMAGED)
        vmscm_error_set(err, rc, "not what a checkout wrote");
    if (rc == VMSCM_EUNSUPPORTED)
        vmscm_error_set(err, rc, "written by another version of vmscm");
    if (rc)
        vmscm_workfile_release(work);
    json_decref(json);
    return rc;
}

int vmscm_workfile_read_at(struct vmscm_workfile *work, const char *dir, const char *name,
    struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *path = NULL;
    int rc;

    *work = (struct vmscm_workfile){0};
    if ((rc = vmscm_path_join(&path, dir, name, err)) ||
        (rc = vmscm_file_read(&text, path, VMSCM_WORKFILE_MAX, err)))
        goto out;
    if ((rc = vmscm_workfile_decode(work, text.data, text.len, err)))
        vmscm_error_prefix(err, "%s", path);
out:
    vmscm_buf_release(&text);
    free(path);
    return rc;
}

int vmscm_workfile_read(struct vmscm_workfile *work, const char *dir, struct vmscm_error *err)
{
    return vmscm_workfile_read_at(work, dir, VMSCM_WORKFILE_NAME, err);
}

int vmscm_workfile_read_partial(struct vmscm_workfile *work, const char *dir,
    struct vmscm_error *err)
{
    return vmscm_workfile_read_at(work, dir, VMSCM_WORKFILE_PARTIAL "/" VMSCM_WORKFILE_STATE, err);
}

void vmscm_workfile_release(struct vmscm_workfile *work)
{
    for (size_t i = 0; i < work->disks.len; i++) {
        struct vmscm_workfile_disk *disk = &work->disks.items[i];
        for (size_t f = 0; f < disk->files.len; f++)
            free(disk->files.items[f].name);
        vmscm_vec_release(&disk->files);
        free(disk->id);
        free(disk->format);
        free(disk->bitmap);
    }
    vmscm_vec_release(&work->disks);
    free(work->repository);
    free(work->machine);
    free(work->request);
    free(work->thin.socket);
    *work = (struct vmscm_workfile){0};
}

int vmscm_workfile_set_thin(struct vmscm_workfile *work, const struct vmscm_workfile_thin *thin,
    struct vmscm_error *err)
{
    char *socket = NULL;
    int rc = thin->socket ? vmscm_str_dup(&socket, thin->socket, err) : 0;

    if (rc)
        return rc;
    free(work->thin.socket);
    work->thin = *thin;
    work->thin.socket = socket;
    return 0;
}

int vmscm_workfile_add_disk(struct vmscm_workfile_disk **out, struct vmscm_workfile *work,
    const char *id, const char *format, uint64_t size, struct vmscm_error *err)
{
    struct vmscm_workfile_disk *disk;
    int rc;

    if (vmscm_vec_add(&work->disks, &disk, err))
        return VMSCM_ENOMEM;
    if ((rc = vmscm_str_dup(&disk->id, id, err)) ||
        (rc = vmscm_str_dup(&disk->format, format, err)))
        return rc;
    disk->size = size;
    *out = disk;
    return 0;
}

static int look(struct stat *st, const char *dir, const char *name, struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_path_join(&path, dir, name, err);

    if (!rc && lstat(path, st) < 0)
        rc = errno == ENOENT ? vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: not there", path)
                             : vmscm_error_errno(err, errno, "%s", path);
    free(path);
    return rc;
}

int vmscm_workfile_add_file(struct vmscm_workfile_disk *disk, const char *dir, const char *name,
    struct vmscm_error *err)
{
    struct vmscm_workfile_file *file;
    struct stat st;
    int rc = look(&st, dir, name, err);

    if (rc)
        return rc;
    if (vmscm_vec_add(&disk->files, &file, err) || vmscm_str_dup(&file->name, name, err))
        return VMSCM_ENOMEM;
    file->size = (uint64_t)st.st_size;
    file->mtime_ns = nanoseconds(st.st_mtim);
    file->ctime_ns = nanoseconds(st.st_ctim);
    file->inode = (uint64_t)st.st_ino;
    return 0;
}

bool vmscm_workfile_same(const struct vmscm_workfile_file *file, const char *dir, bool *missing)
{
    struct stat st;
    int rc = look(&st, dir, file->name, NULL);

    *missing = rc == VMSCM_ENOTFOUND;
    return !rc && S_ISREG(st.st_mode) && (uint64_t)st.st_size == file->size &&
        nanoseconds(st.st_mtim) == file->mtime_ns && nanoseconds(st.st_ctim) == file->ctime_ns &&
        (uint64_t)st.st_ino == file->inode;
}

/* What the file system would stamp a change with now. */
static int64_t clock_of(const char *dir)
{
    char *path = NULL;
    struct stat st;
    int64_t now = 0;
    int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    /* One that a dead process left is in nobody's way for long. */
    if (fd < 0 && !vmscm_path_join(&path, dir, ".vmscm-clock", NULL)) {
        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlink(path);
        free(path);
    }
    if (fd >= 0 && fstat(fd, &st) == 0)
        now = nanoseconds(st.st_ctim);
    if (fd >= 0)
        close(fd);
    return now;
}

void vmscm_workfile_settle(struct vmscm_workfile *work, const char *dir)
{
    const struct timespec pause = {0, SETTLE_NS};
    int64_t last = 0, now;

    for (size_t i = 0; i < work->disks.len; i++)
        for (size_t f = 0; f < work->disks.items[i].files.len; f++)
            if (work->disks.items[i].files.items[f].ctime_ns > last)
                last = work->disks.items[i].files.items[f].ctime_ns;
    for (int i = 0; (now = clock_of(dir)) <= last && i < SETTLE_TRIES; i++)
        nanosleep(&pause, NULL);
    /* A change from before this, in the tick that is recorded, does not show: a file is read after
     * this, or was just written by ourselves. */
    work->clock = now;
}

bool vmscm_workfile_proves(const struct vmscm_workfile *work,
    const struct vmscm_workfile_disk *disk, const char *dir)
{
    for (size_t i = 0; i < disk->files.len; i++) {
        bool missing;
        if (disk->files.items[i].ctime_ns >= work->clock ||
            !vmscm_workfile_same(&disk->files.items[i], dir, &missing))
            return false;
    }
    return true;
}
