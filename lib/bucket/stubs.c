/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/stubs.h"
#include "base/path.h"
#include "base/str.h"
#include "format/pack.h"
#include "store/packlist.h"
#include "sys/file.h"
#include "sys/parallel.h"
#include "sys/space.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOBS 8u
#define WHOLE ((uint64_t)256 << 10) /* a pack of fewer bytes is got whole */
#define PIECE ((uint64_t)4 << 20)   /* of an index that is long */

/* Where the bytes come from: a pack that is here, or one in the bucket. */
struct from {
    struct vmscm_s3 *s3; /* NULL: fd */
    int fd;
    const uint8_t *name;
};

static int read_from(const struct from *from, void *out, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    char key[VMSCM_BLOCKS_KEY];

    vmscm_blocks_key(key, from->name);
    return from->s3 ? vmscm_s3_get_range(from->s3, key, out, len, offset, err)
                    : vmscm_file_pread(from->fd, out, len, offset, key, err);
}

/* The last bytes of a pack, its header, and where its index begins, which may be before those bytes. A guess
 * at how long it is saves a request: an entry is 48 bytes, and a chunk some 32 KiB. */
static int read_ends(struct vmscm_buf *tail, uint8_t header[VMSCM_PACK_HEADER_SIZE],
    uint64_t *index, const struct from *from, uint64_t size, struct vmscm_error *err)
{
    struct vmscm_pack_trailer trailer;
    uint64_t guess = size / 400 + WHOLE / 4;
    size_t len = size < WHOLE ? (size_t)size : (size_t)guess;
    int rc;

    if ((rc = vmscm_buf_reserve(tail, len, err)) ||
        (rc = read_from(from, tail->data, len, size - len, err)))
        return rc;
    tail->len = len;
    if ((rc = vmscm_pack_decode_trailer(
             &trailer, tail->data + len - VMSCM_PACK_TRAILER_SIZE, size, err)))
        return rc;
    uint64_t wanted = size - trailer.index_offset;
    *index = trailer.index_offset;
    if (len == size) {
        memcpy(header, tail->data, VMSCM_PACK_HEADER_SIZE);
        rc = 0;
    } else {
        rc = read_from(from, header, VMSCM_PACK_HEADER_SIZE, 0, err);
    }
    if (!rc && wanted < tail->len) {
        memmove(tail->data, tail->data + (tail->len - wanted), (size_t)wanted);
        tail->len = (size_t)wanted;
    }
    return rc ? rc : vmscm_pack_decode_header(header, err);
}

/* Bytes of a pack to the same place of a file, some at a time: an index is as long as it says. */
static int copy_pieces(int fd, const char *path, const char *dir, const struct from *from,
    uint64_t at, uint64_t end, struct vmscm_error *err)
{
    uint8_t *piece = at < end ? malloc(PIECE) : NULL;
    int rc = at < end && !piece ? vmscm_error_nomem(err) : 0;

    while (!rc && at < end) {
        size_t n = end - at < PIECE ? (size_t)(end - at) : (size_t)PIECE;
        if (!(rc = vmscm_space_check(dir, err)) && !(rc = read_from(from, piece, n, at, err)))
            rc = vmscm_file_pwrite(fd, piece, n, at, path, err);
        at += n;
    }
    free(piece);
    return rc;
}

static int write_stub(struct vmscm_mirror *m, const struct from *from, const struct vmscm_buf *tail,
    const uint8_t header[VMSCM_PACK_HEADER_SIZE], uint64_t index, uint64_t size,
    struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME], *to = NULL, *tmp = NULL;
    int fd = -1, rc;

    vmscm_packfile_format_name(file, from->name);
    if ((rc = vmscm_str_printf(&to, err, "%s/packs/%s", m->dir, file)) ||
        (rc = vmscm_str_printf(&tmp, err, "%s/tmp/%s.%ld", m->dir, file, (long)getpid())) ||
        (rc = vmscm_space_check(m->dir, err)) ||
        (rc = vmscm_file_open(&fd, tmp, O_WRONLY | O_CREAT | O_TRUNC, 0600, err)))
        goto out;
    if (ftruncate(fd, (off_t)size) < 0)
        rc = vmscm_error_errno(err, errno, "%s", tmp);
    if (!rc && !(rc = vmscm_file_pwrite(fd, header, VMSCM_PACK_HEADER_SIZE, 0, tmp, err)) &&
        !(rc = copy_pieces(fd, tmp, m->dir, from, index, size - tail->len, err)) &&
        !(rc = vmscm_file_pwrite(fd, tail->data, tail->len, size - tail->len, tmp, err)))
        rc = vmscm_file_fsync(fd, tmp, err);
    if (!rc && rename(tmp, to) < 0)
        rc = vmscm_error_errno(err, errno, "%s", to);
    if (rc)
        unlink(tmp);
    close(fd);
out:
    free(to);
    free(tmp);
    return rc;
}

static int make(struct vmscm_mirror *m, const struct from *from, uint64_t size, struct vmscm_error *err)
{
    uint8_t header[VMSCM_PACK_HEADER_SIZE];
    struct vmscm_buf tail = VMSCM_BUF_INIT;
    uint64_t index;
    int rc;

    if (size < VMSCM_PACK_HEADER_SIZE + VMSCM_PACK_TRAILER_SIZE || size > VMSCM_PACK_FILE_MAX)
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "not a pack");
    else if (!(rc = read_ends(&tail, header, &index, from, size, err)))
        rc = write_stub(m, from, &tail, header, index, size, err);
    vmscm_buf_release(&tail);
    return rc;
}

int vmscm_stubs_make(struct vmscm_mirror *m, int fd, uint64_t size,
    const uint8_t name[VMSCM_GENERATION_NAME], struct vmscm_error *err)
{
    const struct from from = {.fd = fd, .name = name};

    return make(m, &from, size, err);
}

struct work {
    struct vmscm_mirror *m;
    VMSCM_VEC(const struct vmscm_generation_object *) missing;
    atomic_size_t next, damaged, gone;
};

static int get_some(struct vmscm_parallel *p, unsigned index, struct vmscm_error *err)
{
    struct work *work = p->data;
    size_t i;
    int rc = 0;

    (void)index;
    while (!rc && !p->stop && (i = atomic_fetch_add(&work->next, 1)) < work->missing.len) {
        const struct vmscm_generation_object *o = work->missing.items[i];
        const struct from from = {.s3 = work->m->s3, .name = o->name};
        rc = make(work->m, &from, o->size, err);
        /* One that is damaged or has gone is missed when something in it is asked for. */
        if (rc == VMSCM_EDAMAGED || rc == VMSCM_ENOTFOUND) {
            atomic_fetch_add(rc == VMSCM_ENOTFOUND ? &work->gone : &work->damaged, 1);
            vmscm_error_clear(err);
            rc = 0;
        }
    }
    return rc;
}

static bool has(const struct vmscm_packlist *list, const uint8_t *name)
{
    size_t low = 0, high = list->packs.len;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(list->packs.items[mid].bytes, name, VMSCM_GENERATION_NAME);
        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* Whether it is to be here. */
static bool is_wanted(const struct vmscm_mirror *m, const struct vmscm_generation_object *o)
{
    return o && o->kind == VMSCM_GENERATION_PACK && o->listed && !(m->apart && o->condemned);
}

static bool is_pending(const struct vmscm_mirror *m, const uint8_t *name)
{
    for (size_t i = 0; i < m->pending.len; i++)
        if (memcmp(m->pending.items[i].bytes, name, VMSCM_GENERATION_NAME) == 0)
            return true;
    return false;
}

static int remove_others(struct vmscm_mirror *m, const struct vmscm_packlist *list,
    struct vmscm_error *err)
{
    char file[VMSCM_PACKFILE_NAME], *path = NULL;
    int rc = 0;

    for (size_t i = 0; i < list->packs.len && !rc; i++) {
        const struct vmscm_generation_object *o =
            vmscm_generation_find(&m->state, VMSCM_GENERATION_PACK, list->packs.items[i].bytes);
        if (is_wanted(m, o) || is_pending(m, list->packs.items[i].bytes))
            continue;
        vmscm_packfile_format_name(file, list->packs.items[i].bytes);
        if (!(rc = vmscm_str_printf(&path, err, "%s/packs/%s", m->dir, file)) && unlink(path) < 0 &&
            errno != ENOENT)
            rc = vmscm_error_errno(err, errno, "%s", path);
        free(path);
        path = NULL;
    }
    return rc;
}

/* others: those that are not to be here go. */
static int update(struct vmscm_mirror *m, bool others, size_t *gone, struct vmscm_error *err)
{
    struct work work = {.m = m};
    struct vmscm_packlist list = {0};
    const struct vmscm_generation_object **slot;
    char *dir = NULL;
    int rc;

    if (gone)
        *gone = 0;
    if ((rc = vmscm_mirror_path(&dir, m, "packs", err)) ||
        (rc = vmscm_packlist_read(&list, dir, err)) ||
        (others && (rc = remove_others(m, &list, err))))
        goto out;
    for (size_t i = 0; i < m->state.objects.len; i++) {
        const struct vmscm_generation_object *o = &m->state.objects.items[i];
        if (!is_wanted(m, o) || has(&list, o->name))
            continue;
        if ((rc = vmscm_vec_add(&work.missing, &slot, err)))
            goto out;
        *slot = o;
    }
    if (!work.missing.len)
        goto out;
    rc = vmscm_parallel_run(
        work.missing.len < JOBS ? (unsigned)work.missing.len : JOBS, get_some, &work, err);
    if (!rc && gone)
        *gone = work.gone;
    else
        work.damaged += work.gone;
    if (!rc && work.damaged)
        vmscm_handle_warn(m->events, "%zu packs are damaged or gone", (size_t)work.damaged);
    if (!rc)
        rc = vmscm_file_sync_dir(dir, err);
out:
    vmscm_packlist_release(&list);
    vmscm_vec_release(&work.missing);
    free(dir);
    return rc;
}

int vmscm_stubs_update(struct vmscm_mirror *m, size_t *gone, struct vmscm_error *err)
{
    return update(m, true, gone, err);
}

int vmscm_stubs_add(struct vmscm_mirror *m, size_t *gone, struct vmscm_error *err)
{
    return update(m, false, gone, err);
}
