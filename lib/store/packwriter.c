/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/packwriter.h"
#include "base/buf.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/checksum.h"
#include "sys/direct.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define WRITE_BUFFER (4u << 20)
#define WRITE_WHOLE (64u << 10) /* a record not worth copying */
#define LEAVES_HELD (4u << 20)
#define WRITEBACK (8u << 20) /* bytes after which the kernel is asked to start writing */

struct encoded_entry {
    uint8_t bytes[VMSCM_PACK_ENTRY_SIZE];
};

struct held_leaf {
    struct vmscm_packwriter_part part;
    size_t at, len; /* in `leaves` */
};

struct vmscm_packwriter {
    char *repo_dir;
    char *path; /* under tmp/ */
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    int fd;
    uint64_t offset;    /* of the next record */
    uint64_t written;   /* of those, handed to the kernel */
    uint64_t writeback; /* of those, asked to be written out */
    bool direct;
    bool hasty;
    uint8_t *buffer; /* what comes next: WRITE_BUFFER bytes, */
    size_t buffered; /* so many of them used */
    struct vmscm_buf leaves;
    VMSCM_VEC(struct held_leaf) held;
    VMSCM_VEC(struct encoded_entry) entries;
};

static int tmp_lock(int *fd, const char *repo_dir, enum vmscm_lockfile_mode mode, bool wait,
    struct vmscm_error *err)
{
    char *path = NULL;
    int rc = vmscm_str_printf(&path, err, "%s/locks/tmp", repo_dir);

    if (!rc)
        rc = wait ? vmscm_lockfile_acquire(fd, path, mode, err)
                  : vmscm_lockfile_try(fd, path, mode, err);
    free(path);
    return rc;
}

int vmscm_packwriter_open(struct vmscm_packwriter **out, const char *repo_dir, bool direct,
    struct vmscm_error *err)
{
    struct vmscm_packwriter *w = calloc(1, sizeof *w);
    char file[VMSCM_PACKFILE_NAME];
    int lock = -1, rc;

    if (!w)
        return vmscm_error_nomem(err);
    w->fd = -1;
    if (!(w->buffer = vmscm_direct_alloc(WRITE_BUFFER))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    if (getrandom(w->name, sizeof w->name, 0) != sizeof w->name) {
        rc = vmscm_error_errno(err, errno, "random numbers");
        goto out;
    }
    vmscm_packfile_format_name(file, w->name);
    /* Shared: a sweep, which holds it alone, cannot see the file before it is locked. */
    if ((rc = vmscm_str_dup(&w->repo_dir, repo_dir, err)) ||
        (rc = vmscm_str_printf(&w->path, err, "%s/tmp/%s", repo_dir, file)) ||
        (rc = tmp_lock(&lock, repo_dir, VMSCM_LOCK_SHARED, true, err)) ||
        (rc = vmscm_file_open(&w->fd, w->path, O_RDWR | O_CREAT | O_EXCL, 0444, err)))
        goto out;
    if (flock(w->fd, LOCK_EX | LOCK_NB) < 0) {
        rc = vmscm_error_errno(err, errno, "%s: locking", w->path);
        goto out;
    }
    w->direct = direct && vmscm_direct_set(w->fd, true);
    vmscm_pack_encode_header(w->buffer);
    w->offset = w->buffered = VMSCM_PACK_HEADER_SIZE;
out:
    vmscm_lockfile_release(&lock);
    if (rc)
        vmscm_packwriter_abort(w);
    else
        *out = w;
    return rc;
}

void vmscm_packwriter_hasty(struct vmscm_packwriter *w)
{
    w->hasty = true;
}

static int write_out(struct vmscm_packwriter *w, const void *bytes, size_t len,
    struct vmscm_error *err)
{
    int rc = vmscm_direct_pwrite(w->fd, &w->direct, bytes, len, w->written, w->path, err);

    if (rc)
        return rc;
    w->written += len;
    /* Spread the writing out, so that the fsync at the end finds little left to do. */
    if (!w->direct && !w->hasty && w->written - w->writeback >= WRITEBACK) {
        sync_file_range(w->fd, (off_t)w->writeback, (off_t)(w->written - w->writeback),
            SYNC_FILE_RANGE_WRITE);
        w->writeback = w->written;
    }
    return 0;
}

static int flush(struct vmscm_packwriter *w, struct vmscm_error *err)
{
    int rc = write_out(w, w->buffer, w->buffered, err);

    w->buffered = 0;
    return rc;
}

/* Past the page cache only whole buffers can be written, so all goes through it. */
static int write_bytes(struct vmscm_packwriter *w, const uint8_t *bytes, size_t len,
    struct vmscm_error *err)
{
    int rc;

    if (!w->direct && len >= WRITE_WHOLE)
        return (rc = flush(w, err)) ? rc : write_out(w, bytes, len, err);
    while (len) {
        size_t part = WRITE_BUFFER - w->buffered;
        if (part > len)
            part = len;
        memcpy(w->buffer + w->buffered, bytes, part);
        w->buffered += part;
        bytes += part;
        len -= part;
        if (w->buffered == WRITE_BUFFER && (rc = flush(w, err)))
            return rc;
    }
    return 0;
}

/* What comes now is the end, which is read first, and no whole number of blocks. */
static int end_direct(struct vmscm_packwriter *w, struct vmscm_error *err)
{
    if (w->direct && (w->direct = vmscm_direct_set(w->fd, false)))
        return vmscm_error_set(err, VMSCM_EIO, "%s: O_DIRECT cannot be switched off", w->path);
    w->writeback = w->written;
    return 0;
}

static int append(struct vmscm_packwriter *w, const struct vmscm_packwriter_record *record,
    struct vmscm_error *err)
{
    struct encoded_entry *slot;

    if (w->offset + record->len > VMSCM_PACK_FILE_MAX / 2)
        return vmscm_error_set(err, VMSCM_EIO, "%s: pack is too large", w->path);
    for (size_t i = 0; i < record->part_count; i++) {
        struct vmscm_pack_entry entry = {.id = record->parts[i].id,
            .offset = (uint32_t)w->offset,
            .length = (uint32_t)record->len,
            .plain_len = record->parts[i].plain_len,
            .part = (uint16_t)i,
            .type = (uint8_t)record->type,
            .has_base = record->has_base};
        if (vmscm_vec_add(&w->entries, &slot, err))
            return VMSCM_ENOMEM;
        vmscm_pack_encode_entry(slot->bytes, &entry);
    }
    w->offset += record->len;
    return write_bytes(w, record->bytes, record->len, err);
}

static int write_leaves(struct vmscm_packwriter *w, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < w->held.len && !rc; i++) {
        const struct held_leaf *held = &w->held.items[i];
        struct vmscm_packwriter_record record = {.type = VMSCM_PACK_LEAF,
            .parts = &held->part,
            .part_count = 1,
            .bytes = w->leaves.data + held->at,
            .len = held->len};
        rc = append(w, &record, err);
    }
    w->held.len = 0;
    w->leaves.len = 0;
    return rc;
}

int vmscm_packwriter_add(struct vmscm_packwriter *w, const struct vmscm_packwriter_record *record,
    struct vmscm_error *err)
{
    struct held_leaf *held;
    int rc;

    if (record->type != VMSCM_PACK_LEAF || record->part_count != 1 || record->has_base)
        return append(w, record, err);
    if (vmscm_vec_add(&w->held, &held, err))
        return VMSCM_ENOMEM;
    *held = (struct held_leaf){
        .part = record->parts[0], .at = w->leaves.len, .len = record->len};
    if ((rc = vmscm_buf_append(&w->leaves, record->bytes, record->len, err)))
        return rc;
    return w->leaves.len >= LEAVES_HELD ? write_leaves(w, err) : 0;
}

const uint8_t *vmscm_packwriter_name(const struct vmscm_packwriter *w)
{
    return w->name;
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp(a, b, VMSCM_HASH_SIZE);
}

int vmscm_packwriter_finish(struct vmscm_packwriter *w, char *file, uint64_t *bytes,
    struct vmscm_error *err)
{
    uint8_t encoded[VMSCM_PACK_TRAILER_SIZE];
    struct vmscm_pack_trailer trailer;
    char *to = NULL, *dir = NULL;
    int rc = write_leaves(w, err);

    if (rc)
        goto out;
    *bytes = 0;
    file[0] = '\0';
    if (!w->entries.len)
        goto out;
    qsort(w->entries.items, w->entries.len, sizeof *w->entries.items, compare_entries);
    trailer.index_offset = w->offset;
    trailer.entry_count = (uint32_t)w->entries.len;
    trailer.index_checksum =
        vmscm_checksum_64(w->entries.items, w->entries.len * VMSCM_PACK_ENTRY_SIZE, 0);
    vmscm_pack_encode_trailer(encoded, &trailer);
    if ((rc = end_direct(w, err)) ||
        (rc = write_bytes(w, w->entries.items[0].bytes, w->entries.len * VMSCM_PACK_ENTRY_SIZE,
             err)) ||
        (rc = write_bytes(w, encoded, sizeof encoded, err)) || (rc = flush(w, err)) ||
        (!w->hasty && (rc = vmscm_file_fsync(w->fd, w->path, err))))
        goto out;
    vmscm_packfile_format_name(file, w->name);
    *bytes = w->written;
    if ((rc = vmscm_str_printf(&dir, err, "%s/packs", w->repo_dir)) ||
        (rc = vmscm_path_join(&to, dir, file, err)) ||
        (rc = vmscm_file_rename_new(w->path, to, err)))
        goto out;
    /* From here on the pack is no longer ours to remove. */
    free(w->path);
    w->path = NULL;
    rc = w->hasty ? 0 : vmscm_file_sync_dir(dir, err);
out:
    free(to);
    free(dir);
    vmscm_packwriter_abort(w);
    return rc;
}

void vmscm_packwriter_abort(struct vmscm_packwriter *w)
{
    if (!w)
        return;
    if (w->path && w->fd >= 0)
        unlink(w->path);
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w->repo_dir);
    free(w->buffer);
    vmscm_buf_release(&w->leaves);
    vmscm_vec_release(&w->held);
    vmscm_vec_release(&w->entries);
    free(w);
}

/* each(data, tmp's descriptor, file, bytes) for every pack under tmp/ whose writer is dead. *busy: it
 * cannot be told now, since a writer is about to begin. */
static int each_dead(const char *repo_dir, bool *busy,
    int (*each)(void *data, int dir, const char *file, uint64_t bytes), void *data,
    struct vmscm_error *err)
{
    char *path = NULL;
    DIR *d = NULL;
    int lock = -1, rc;

    rc = tmp_lock(&lock, repo_dir, VMSCM_LOCK_EXCLUSIVE, false, err);
    *busy = rc != 0;
    if (rc || (rc = vmscm_str_printf(&path, err, "%s/tmp", repo_dir)))
        goto out;
    if (!(d = opendir(path))) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    for (struct dirent *e; !rc && (e = readdir(d));) {
        uint8_t name[VMSCM_MIDX_NAME_SIZE];
        struct stat st;
        if (!vmscm_packfile_parse_name(name, e->d_name))
            continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0)
            rc = each(data, dirfd(d), e->d_name, (uint64_t)st.st_size);
        close(fd);
    }
out:
    if (d)
        closedir(d);
    free(path);
    vmscm_lockfile_release(&lock);
    return rc;
}

static int remove_dead(void *data, int dir, const char *file, uint64_t bytes)
{
    (void)data;
    (void)bytes;
    unlinkat(dir, file, 0);
    return 0;
}

int vmscm_packwriter_sweep(const char *repo_dir, struct vmscm_error *err)
{
    bool busy;
    int rc = each_dead(repo_dir, &busy, remove_dead, NULL, err);

    if (rc == VMSCM_EBUSY && busy) {
        vmscm_error_clear(err);
        rc = 0;
    }
    return rc;
}

struct tell_dead {
    int (*each)(void *data, const char *file, uint64_t bytes);
    void *data;
};

static int tell_dead(void *data, int dir, const char *file, uint64_t bytes)
{
    const struct tell_dead *tell = data;

    (void)dir;
    return tell->each(tell->data, file, bytes);
}

int vmscm_packwriter_abandoned(const char *repo_dir,
    int (*each)(void *data, const char *file, uint64_t bytes), void *data, struct vmscm_error *err)
{
    struct tell_dead tell = {each, data};
    bool busy;
    int rc = each_dead(repo_dir, &busy, tell_dead, &tell, err);

    /* Nor can it be told where no lock can be made: on a read-only file system. */
    if (busy && rc != VMSCM_ENOMEM) {
        vmscm_error_clear(err);
        rc = 0;
    }
    return rc;
}
