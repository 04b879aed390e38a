/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads take segments of the disk in order. What is zero is left a hole: whole extents, and
 * 4 KiB blocks inside data. A qcow2 is written the same way, to the places that its layout has.
 */
#include "base/path.h"
#include "image/readback.h"
#include "image/writer_parts.h"
#include "sys/direct.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENT VMSCM_BLOCKDEV_PART
/* Read at once, and still in a core's own cache when it is written; a thread has two such buffers
 * at most. */
#define PIECE ((size_t)512 << 10)
#define BLOCK 4096u
#define WRITEBACK (16u << 20) /* bytes after which the kernel is asked to start writing */

struct job {
    struct vmscm_blockdev *source;
    const char *path;
    int fd;
    int direct; /* the same file, past the page cache; -1: not */
    const struct vmscm_writer_options *options;
    const struct vmscm_qcow2layout *layout; /* NULL: raw */
    bool compare; /* the file had contents */
    bool reserve; /* it has no holes to begin with, and gets none */
    struct vmscm_readback readback;
    atomic_ullong handed;
    pthread_mutex_t lock; /* guards all below, and calls of progress */
    uint64_t next;        /* segment that nobody has taken */
    uint64_t done;        /* bytes */
    uint64_t reached;     /* the furthest that was handed out */
    uint64_t written;
    bool failed;
    struct vmscm_error error; /* the first */
};

static bool is_zero(const uint8_t *p, size_t len)
{
    return !p[0] && memcmp(p, p + 1, len - 1) == 0;
}

/* True if the file has nothing but a hole there; false also where the file system cannot tell. */
static bool is_hole(const struct job *job, uint64_t offset, uint64_t len)
{
    off_t at = lseek(job->fd, (off_t)offset, SEEK_DATA);

    return (at < 0 && errno == ENXIO) || (at >= 0 && (uint64_t)at >= offset + len);
}

/* Make a range of the file zeros again. */
static int clear(struct job *job, uint64_t offset, uint64_t len, struct vmscm_error *err)
{
    static const uint8_t zeros[65536];
    int how = (job->reserve ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE) | FALLOC_FL_KEEP_SIZE;
    int rc = 0;

    if (is_hole(job, offset, len) || fallocate(job->fd, how, (off_t)offset, (off_t)len) == 0)
        return 0;
    while (!rc && len) {
        size_t n = len < sizeof zeros ? (size_t)len : sizeof zeros;
        rc = vmscm_file_pwrite(job->fd, zeros, n, offset, job->path, err);
        offset += n;
        len -= n;
    }
    return rc;
}

enum todo { TODO_NOTHING, TODO_WRITE, TODO_CLEAR };

/* What a block needs; old: what the file has there, NULL: a hole. */
static enum todo block_todo(const uint8_t *data, const uint8_t *old, size_t len)
{
    if (old && memcmp(data, old, len) == 0)
        return TODO_NOTHING;
    if (!is_zero(data, len))
        return TODO_WRITE;
    return old ? TODO_CLEAR : TODO_NOTHING;
}

static int put_at(const struct job *job, const uint8_t *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    size_t done = 0;
    int rc = job->direct < 0
        ? 0
        : vmscm_direct_put(job->direct, &done, data, len, offset, job->path, err);

    return rc || done == len
        ? rc
        : vmscm_file_pwrite(job->fd, data + done, len - done, offset + done, job->path, err);
}

static int put(const struct job *job, const uint8_t *data, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    int rc = 0;

    if (!job->layout)
        return put_at(job, data, len, offset, err);
    while (len && !rc) {
        uint64_t together = 0, place = vmscm_qcow2layout_find(job->layout, offset, &together);
        size_t n = len < together ? len : (size_t)together;
        if (!place)
            return vmscm_error_set(err, VMSCM_EDAMAGED,
                "%s: data at %llu, where none was told of", job->source->name,
                (unsigned long long)offset);
        rc = put_at(job, data, n, place, err);
        data += n;
        offset += n;
        len -= n;
    }
    return rc;
}

/* Runs of blocks that need the same are done at once. */
static int write_piece(struct job *job, const uint8_t *data, const uint8_t *old, size_t len,
    uint64_t offset, uint64_t *written, struct vmscm_error *err)
{
    int rc = 0;

    for (size_t start = 0, end; !rc && start < len; start = end) {
        enum todo todo = TODO_NOTHING;
        for (end = start; end < len;) {
            /* Blocks of the file, whatever the piece begins with. */
            size_t n = BLOCK - (size_t)((offset + end) % BLOCK);
            if (n > len - end)
                n = len - end;
            enum todo next = block_todo(data + end, old ? old + end : NULL, n);
            if (end > start && next != todo)
                break;
            todo = next;
            end += n;
        }
        if (todo == TODO_WRITE) {
            rc = put(job, data + start, end - start, offset + start, err);
            *written += end - start;
        } else if (todo == TODO_CLEAR) {
            rc = clear(job, offset + start, end - start, err);
        }
    }
    return rc;
}

/* buffers: two pieces, the second only if existing contents are compared. */
static int write_range(struct job *job, uint64_t offset, uint64_t end, uint8_t *buffers,
    uint64_t *written, struct vmscm_error *err)
{
    int rc = 0;

    while (!rc && offset < end) {
        uint64_t len;
        bool zero;
        if ((rc = vmscm_blockdev_extent(job->source, offset, &len, &zero, err)))
            return rc;
        if (len > end - offset)
            len = end - offset;
        if (zero) {
            rc = job->compare ? clear(job, offset, len, err) : 0;
            offset += len;
            continue;
        }
        size_t n = len < PIECE ? (size_t)len : PIECE;
        uint8_t *old = job->compare && !is_hole(job, offset, n) ? buffers + PIECE : NULL;
        rc = vmscm_blockdev_pread(job->source, buffers, n, offset, err);
        if (!rc && old)
            rc = vmscm_file_pread(job->fd, old, n, offset, job->path, err);
        if (!rc && job->options->readback)
            rc = vmscm_readback_note(&job->readback, offset, buffers, n, err);
        if (!rc)
            rc = write_piece(job, buffers, old, n, offset, written, err);
        offset += n;
    }
    return rc;
}

/* The first range that ends after offset. */
static size_t find_range(const struct vmscm_writer_options *o, uint64_t offset)
{
    size_t low = 0, high = o->range_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (o->ranges[mid].offset + o->ranges[mid].length <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Of a segment, all that is to be written. */
static int write_segment(struct job *job, uint64_t offset, uint64_t end, uint8_t *buffers,
    uint64_t *written, struct vmscm_error *err)
{
    const struct vmscm_writer_options *o = job->options;
    int rc = 0;

    if (!o->update)
        return write_range(job, offset, end, buffers, written, err);
    for (size_t i = find_range(o, offset); !rc && i < o->range_count; i++) {
        uint64_t from = o->ranges[i].offset, to = from + o->ranges[i].length;
        if (from >= end)
            break;
        rc = write_range(job, from > offset ? from : offset, to < end ? to : end, buffers,
            written, err);
    }
    return rc;
}

/* Takes the next segment; false: none is left, or there is no point. */
static bool take(struct job *job, uint64_t *offset, uint64_t *end)
{
    uint64_t size = job->source->size;

    pthread_mutex_lock(&job->lock);
    bool more = !job->failed && job->next * SEGMENT < size;
    if (more) {
        *offset = job->next++ * SEGMENT;
        *end = size - *offset < SEGMENT ? size : *offset + SEGMENT;
    }
    pthread_mutex_unlock(&job->lock);
    return more;
}

static void finish(struct job *job, uint64_t len, uint64_t written, int rc,
    const struct vmscm_error *err)
{
    const struct vmscm_writer_options *o = job->options;

    pthread_mutex_lock(&job->lock);
    job->written += written;
    if (!rc) {
        job->done += len;
        bool stop = !job->failed && o->progress && o->progress(o->data, job->done);
        stop |= o->events && o->events->canceled && o->events->canceled(o->events->data);
        if (stop && !job->failed) {
            job->failed = true;
            vmscm_error_set(&job->error, VMSCM_ECANCELED, "%s: canceled", job->path);
        }
    } else if (!job->failed) {
        job->failed = true;
        job->error = *err;
    }
    pthread_mutex_unlock(&job->lock);
}

static void *work(void *data)
{
    struct job *job = data;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    uint8_t *buffers = malloc(job->compare ? 2 * PIECE : PIECE);
    uint64_t offset, end;

    if (!buffers) {
        vmscm_error_nomem(&err);
        finish(job, 0, 0, VMSCM_ENOMEM, &err);
    }
    while (buffers && take(job, &offset, &end)) {
        uint64_t written = 0;
        int rc = write_segment(job, offset, end, buffers, &written, &err);
        /* Start writing back: there is less to wait for at the end. */
        if (!rc && written && job->layout)
            sync_file_range(job->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        else if (!rc && written)
            sync_file_range(
                job->fd, (off_t)offset, (off_t)(end - offset), SYNC_FILE_RANGE_WRITE);
        finish(job, end - offset, written, rc, &err);
    }
    free(buffers);
    return NULL;
}

static bool is_stopped(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    bool stopped = job->failed;
    pthread_mutex_unlock(&job->lock);
    return stopped;
}

/* How much further it is done when it is so up to `end`, as pieces come about in order. */
static uint64_t advance(struct job *job, uint64_t end)
{
    pthread_mutex_lock(&job->lock);
    uint64_t more = end > job->reached ? end - job->reached : 0;
    job->reached += more;
    pthread_mutex_unlock(&job->lock);
    return more;
}

static int write_handed(void *data, const void *bytes, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    struct job *job = data;
    uint64_t written = 0;
    size_t same = 0;
    int rc = write_piece(job, bytes, NULL, len, offset, &written, err);

    if (!rc && job->options->readback && job->direct >= 0)
        rc = vmscm_readback_compare(
            &job->readback, &same, job->direct, job->path, offset, bytes, len, err);
    if (!rc && job->options->readback && same < len)
        rc = vmscm_readback_note(&job->readback, offset + same, (const uint8_t *)bytes + same,
            len - same, err);
    finish(job, advance(job, offset + len), written, rc, err);
    /* One in a while starts writing back, for all that is there by then. */
    if (job->direct < 0 &&
        atomic_fetch_add(&job->handed, written) % WRITEBACK + written >= WRITEBACK)
        sync_file_range(job->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    /* Whatever stopped another thread is what the caller is told, whoever returns first. */
    return !rc && is_stopped(job) ? vmscm_error_copy(err, &job->error) : rc;
}

/* A new file of a source that knows its own best order. */
static int run_scatter(struct job *job, struct vmscm_error *err)
{
    uint64_t size = job->source->size;
    int rc;

    if (vmscm_direct_pays(job->source->data))
        job->direct = vmscm_direct_reopen(job->fd);
    if (!(rc = job->source->ops->scatter(
              job->source, 0, size, job->options->jobs, write_handed, job, err))) {
        /* The zeros are done, too. */
        finish(job, size - job->done, 0, 0, err);
        if (is_stopped(job))
            rc = vmscm_error_copy(err, &job->error);
    }
    if (job->direct >= 0)
        close(job->direct);
    return rc;
}

static int run(struct job *job, struct vmscm_error *err)
{
    unsigned want = job->options->jobs ? job->options->jobs : 1, started = 0;
    pthread_t *threads = calloc(want, sizeof *threads);

    if (!threads)
        return vmscm_error_nomem(err);
    while (started + 1 < want && pthread_create(&threads[started], NULL, work, job) == 0)
        started++;
    work(job);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return job->failed ? vmscm_error_copy(err, &job->error) : 0;
}

struct sync {
    struct job *job;
    int rc;
    struct vmscm_error error;
};

static void *sync_file(void *data)
{
    struct sync *sync = data;

    sync->rc = vmscm_file_fsync(sync->job->fd, sync->job->path, &sync->error);
    return NULL;
}

static bool is_canceled(void *data)
{
    const struct job *job = data;
    const struct vmscm_writer_options *o = job->options;

    return (o->progress && o->progress(o->data, job->done)) ||
        (o->events && o->events->canceled && o->events->canceled(o->events->data));
}

static int check_written(struct job *job, struct vmscm_error *err)
{
    const struct vmscm_writer_options *o = job->options;
    int rc = 0;

    if (o->readback)
        rc = vmscm_readback_check(&job->readback, job->fd, job->path, job->source->size, o->jobs,
            is_canceled, job, err);
    return rc || !o->written ? rc : o->written(o->data, err);
}

/* Syncing is waiting: the finished file is read back meanwhile. */
static int sync_and_check(struct job *job, struct vmscm_error *err)
{
    struct sync sync = {.job = job, .error = VMSCM_ERROR_INIT};
    pthread_t thread;
    int rc = 0;
    bool started = (job->options->written || job->options->readback) &&
        pthread_create(&thread, NULL, sync_file, &sync) == 0;

    if (!started)
        sync_file(&sync);
    if (started || !sync.rc)
        rc = check_written(job, err);
    if (started)
        pthread_join(thread, NULL);
    return rc ? rc : sync.rc ? vmscm_error_copy(err, &sync.error) : 0;
}

static int open_target(struct job *job, struct vmscm_error *err)
{
    const char *prealloc =
        job->layout ? NULL : vmscm_writer_options_get(job->options, "preallocation");
    bool keep = !job->layout && (job->options->resume || job->options->update);
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | (keep ? 0 : O_EXCL);
    uint64_t length =
        job->layout ? vmscm_qcow2layout_length(job->layout) : job->source->size;
    struct stat st;
    int rc = vmscm_file_open(&job->fd, job->path, flags, 0666, err);

    if (rc)
        return rc;
    if (fstat(job->fd, &st) < 0)
        return vmscm_error_errno(err, errno, "%s", job->path);
    if (!S_ISREG(st.st_mode))
        return vmscm_error_set(err, VMSCM_EEXIST, "%s: exists, and is not a file", job->path);
    job->compare = st.st_size > 0;
    if (ftruncate(job->fd, (off_t)length) < 0)
        return vmscm_error_errno(err, errno, "%s: setting its size", job->path);
    job->reserve = prealloc && strcmp(prealloc, "falloc") == 0;
    if (job->reserve) {
        int errnum = posix_fallocate(job->fd, 0, (off_t)job->source->size);
        if (errnum)
            return vmscm_error_errno(err, errnum, "%s: reserving space", job->path);
    }
    return job->layout ? vmscm_qcow2layout_write(job->layout, job->fd, job->path, err) : 0;
}

int vmscm_writer_raw_write_laid(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, const struct vmscm_qcow2layout *layout,
    uint64_t *written, struct vmscm_error *err)
{
    struct job job = {.source = source, .path = path, .fd = -1, .direct = -1, .options = options,
        .layout = layout, .error = VMSCM_ERROR_INIT};
    char *dir = NULL;
    int rc;

    pthread_mutex_init(&job.lock, NULL);
    vmscm_readback_init(&job.readback);
    rc = open_target(&job, err);
    bool opened = job.fd >= 0;
    if (!rc)
        rc = source->ops->scatter && !job.compare && !options->update ? run_scatter(&job, err)
                                                                      : run(&job, err);
    if (!rc)
        rc = sync_and_check(&job, err);
    if (opened) {
        int closed = vmscm_file_close(&job.fd, path, rc ? NULL : err);
        rc = rc ? rc : closed;
    }
    if (!rc && !(rc = vmscm_path_dirname(&dir, path, err)))
        rc = vmscm_file_sync_dir(dir, err);
    if (rc && opened && (layout || (!options->resume && !options->update)))
        unlink(path);
    *written = job.written;
    free(dir);
    vmscm_readback_release(&job.readback);
    pthread_mutex_destroy(&job.lock);
    return rc;
}

int vmscm_writer_raw_write(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err)
{
    return vmscm_writer_raw_write_laid(source, path, options, NULL, written, err);
}
