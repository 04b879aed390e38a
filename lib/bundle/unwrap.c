/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/unwrap.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (256u << 10)
#define HOLE 4096u
#define FREE_LIMIT (UINT64_C(1) << 30)
#define RATIO 1100u

enum vmscm_unwrap_kind vmscm_unwrap_match(const uint8_t *head, size_t len)
{
    static const struct {
        const char *magic;
        size_t len;
        enum vmscm_unwrap_kind kind;
    } kinds[] = {{"\x1f\x8b\x08", 3, VMSCM_UNWRAP_COMPRESSED},
        {"\xfd" "7zXZ\0", 6, VMSCM_UNWRAP_COMPRESSED},
        {"\x28\xb5\x2f\xfd", 4, VMSCM_UNWRAP_COMPRESSED}, {"BZh", 3, VMSCM_UNWRAP_COMPRESSED},
        {"PK\3\4", 4, VMSCM_UNWRAP_ZIP}};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (len >= kinds[i].len && memcmp(head, kinds[i].magic, kinds[i].len) == 0)
            return kinds[i].kind;
    return VMSCM_UNWRAP_NONE;
}

/* What libarchive reads from: a part of a file. */
struct from {
    int fd;
    const char *path;
    uint64_t offset, length;
    uint64_t at;
    uint64_t unpacked; /* by entries before */
    uint8_t piece[PIECE];
};

static la_ssize_t read_from(struct archive *a, void *data, const void **buffer)
{
    struct from *from = data;
    uint64_t left = from->length - from->at;
    size_t got;

    if (vmscm_file_pread_some(from->fd, from->piece, left < PIECE ? (size_t)left : PIECE,
            from->offset + from->at, &got, from->path, NULL)) {
        archive_set_error(a, EIO, "reading failed");
        return -1;
    }
    from->at += got;
    *buffer = from->piece;
    return (la_ssize_t)got;
}

static la_int64_t seek_from(struct archive *a, void *data, la_int64_t offset, int whence)
{
    struct from *from = data;
    la_int64_t base = whence == SEEK_CUR ? (la_int64_t)from->at
        : whence == SEEK_END             ? (la_int64_t)from->length
                                         : 0;

    if (offset < -base || offset > (la_int64_t)from->length - base) {
        archive_set_error(a, EINVAL, "outside the file");
        return ARCHIVE_FATAL;
    }
    from->at = (uint64_t)(base + offset);
    return base + offset;
}

static la_int64_t skip_from(struct archive *a, void *data, la_int64_t request)
{
    struct from *from = data;
    uint64_t left = from->length - from->at, n = (uint64_t)(request < 0 ? 0 : request);

    (void)a;
    n = n < left ? n : left;
    from->at += n;
    return (la_int64_t)n;
}

/* Only decoders that libarchive has itself: for others it would run programs. */
static void support_filters(struct archive *a)
{
    if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
        archive_read_support_filter_xz(a) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(a) != ARCHIVE_OK)
        archive_clear_error(a);
}

static int failed(struct archive *a, const char *path, struct vmscm_error *err)
{
    const char *why = archive_error_string(a);

    if (archive_errno(a) == ENOMEM)
        return vmscm_error_nomem(err);
    /* Of zstd, a window of over 128 MiB; of xz, a dictionary. */
    if (why && (strstr(why, "too much memory") || strstr(why, "memory limit")))
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: asks for too much memory to be unpacked", path);
    return vmscm_error_set(err, VMSCM_EINPUT, "%s: %s", path, why ? why : "cannot be unpacked");
}

/* Both are the caller's, whatever is returned: release. */
static int begin(struct archive **a, struct from **from, const char *path, uint64_t offset,
    uint64_t length, bool zip, struct vmscm_error *err)
{
    struct stat st;
    int rc;

    *a = NULL;
    if (!(*from = calloc(1, sizeof **from)))
        return vmscm_error_nomem(err);
    (*from)->fd = -1;
    if (!(*a = archive_read_new()))
        return vmscm_error_nomem(err);
    (*from)->path = path;
    (*from)->offset = offset;
    if ((rc = vmscm_file_open(&(*from)->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err)))
        return rc;
    if (fstat((*from)->fd, &st) < 0)
        return vmscm_error_errno(err, errno, "%s", path);
    if (offset > (uint64_t)st.st_size ||
        (length != VMSCM_UNWRAP_ALL && length > (uint64_t)st.st_size - offset))
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: ends early", path);
    (*from)->length = length == VMSCM_UNWRAP_ALL ? (uint64_t)st.st_size - offset : length;
    if (!(*from)->length)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: is empty, where it should be compressed", path);
    if (zip) {
        archive_read_support_format_zip_seekable(*a);
        archive_read_set_seek_callback(*a, seek_from);
    } else {
        support_filters(*a);
        archive_read_support_format_raw(*a);
    }
    archive_read_set_read_callback(*a, read_from);
    archive_read_set_skip_callback(*a, skip_from);
    archive_read_set_callback_data(*a, *from);
    if (archive_read_open1(*a) != ARCHIVE_OK)
        return failed(*a, path, err);
    return 0;
}

static void end(struct archive *a, struct from *from)
{
    if (a)
        archive_read_free(a);
    if (from && from->fd >= 0)
        close(from->fd);
    free(from);
}

static bool is_zero(const uint8_t *data, size_t len)
{
    return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

/* Write what is not zeros. */
static int put(int fd, const uint8_t *data, size_t len, uint64_t offset, const char *path,
    struct vmscm_error *err)
{
    int rc = 0;

    while (len && !rc) {
        size_t n = HOLE - offset % HOLE, run = 0;
        while (run < len && !(run && is_zero(data + run, n < len - run ? n : len - run))) {
            if (!run && is_zero(data, n < len ? n : len))
                break;
            run += n < len - run ? n : len - run;
            n = HOLE;
        }
        if (run)
            rc = vmscm_file_pwrite(fd, data, run, offset, path, err);
        else
            run = n < len ? n : len;
        data += run;
        len -= run;
        offset += run;
    }
    return rc;
}

/* The bytes of an archive's entry to a file that is made for them. name: for messages. */
static int drain(struct archive *a, struct from *from, const char *name, const char *to,
    uint64_t max, const struct vmscm_events *events, struct vmscm_error *err)
{
    int fd = -1, rc = vmscm_file_open(&fd, to, O_WRONLY | O_CREAT | O_EXCL, 0600, err);
    uint64_t done = 0;

    while (!rc) {
        const void *data;
        size_t len;
        la_int64_t offset;
        int got = archive_read_data_block(a, &data, &len, &offset);
        if (got == ARCHIVE_EOF)
            break;
        if (got != ARCHIVE_OK) {
            rc = failed(a, name, err);
            break;
        }
        if (offset < 0 || (uint64_t)offset < done) {
            rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: overlaps itself", name);
            break;
        }
        done = (uint64_t)offset + len;
        uint64_t all = from->unpacked + done;
        if (max ? done > max : all > FREE_LIMIT && all / RATIO > from->length) {
            rc = vmscm_error_set(err, VMSCM_EREFUSED, "%s: becomes far too long when unpacked", name);
            break;
        }
        if (events && events->canceled && events->canceled(events->data))
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", name);
        else if (len)
            rc = put(fd, data, len, (uint64_t)offset, to, err);
    }
    from->unpacked += done;
    if (!rc && ftruncate(fd, (off_t)done) < 0)
        rc = vmscm_error_errno(err, errno, "%s", to);
    if (!rc)
        rc = vmscm_file_close(&fd, to, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

int vmscm_unwrap_peek(uint8_t *out, size_t len, size_t *got, const char *path,
    struct vmscm_error *err)
{
    struct archive *a = NULL;
    struct from *from = NULL;
    struct archive_entry *entry;
    int rc = begin(&a, &from, path, 0, VMSCM_UNWRAP_ALL, false, err);

    *got = 0;
    if (!rc && archive_read_next_header(a, &entry) != ARCHIVE_OK)
        rc = failed(a, path, err);
    while (!rc && *got < len) {
        la_ssize_t n = archive_read_data(a, out + *got, len - *got);
        if (n < 0)
            rc = failed(a, path, err);
        if (n <= 0)
            break;
        *got += (size_t)n;
    }
    end(a, from);
    return rc;
}

int vmscm_unwrap_file(const char *to, const char *path, uint64_t offset, uint64_t length,
    uint64_t max, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct archive *a = NULL;
    struct from *from = NULL;
    struct archive_entry *entry;
    int rc = begin(&a, &from, path, offset, length, false, err);

    if (!rc && archive_read_next_header(a, &entry) != ARCHIVE_OK)
        rc = failed(a, path, err);
    if (!rc && archive_filter_count(a) < 2)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: is not compressed, though it should be", path);
    if (!rc)
        rc = drain(a, from, path, to, max, events, err);
    end(a, from);
    return rc;
}

struct vmscm_unwrap_stream {
    struct archive *a;
    struct from *from;
    struct stat st;
};

int vmscm_unwrap_stream_open(struct vmscm_unwrap_stream **out, const char *path, struct vmscm_error *err)
{
    struct vmscm_unwrap_stream *s = calloc(1, sizeof *s);
    struct archive_entry *entry;
    int rc;

    *out = NULL;
    if (!s)
        return vmscm_error_nomem(err);
    if (!(rc = begin(&s->a, &s->from, path, 0, VMSCM_UNWRAP_ALL, false, err)) &&
        archive_read_next_header(s->a, &entry) != ARCHIVE_OK)
        rc = failed(s->a, path, err);
    if (!rc && fstat(s->from->fd, &s->st) < 0)
        rc = vmscm_error_errno(err, errno, "%s", path);
    if (rc) {
        vmscm_unwrap_stream_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void vmscm_unwrap_stream_close(struct vmscm_unwrap_stream *s)
{
    if (!s)
        return;
    end(s->a, s->from);
    free(s);
}

int vmscm_unwrap_stream_read(struct vmscm_unwrap_stream *s, void *out, size_t len, size_t *got,
    struct vmscm_error *err)
{
    *got = 0;
    while (*got < len) {
        la_ssize_t n = archive_read_data(s->a, (uint8_t *)out + *got, len - *got);
        if (n < 0)
            return failed(s->a, s->from->path, err);
        if (!n)
            break;
        *got += (size_t)n;
        if ((s->from->unpacked += (uint64_t)n) > FREE_LIMIT && s->from->unpacked / RATIO > s->from->length)
            return vmscm_error_set(
                err, VMSCM_EREFUSED, "%s: becomes far too long when unpacked", s->from->path);
    }
    return 0;
}

const struct stat *vmscm_unwrap_stream_stat(const struct vmscm_unwrap_stream *s)
{
    return &s->st;
}

static int zip_entry(struct vmscm_members *members, struct archive *a, struct from *from,
    struct archive_entry *entry, const char *scratch, size_t number,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    const char *name = archive_entry_pathname(entry);
    mode_t type = archive_entry_filetype(entry);
    char *to = NULL;
    size_t len;
    int rc;

    if (!name)
        return vmscm_error_set(err, VMSCM_EINPUT, "%s: a member without a name", from->path);
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    len = strlen(name);
    if (type == AE_IFDIR || (len && name[len - 1] == '/') || vmscm_members_is_noise(name))
        return 0;
    if (!vmscm_path_is_confined(name))
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: %.300s: a name that leaves the archive",
            from->path, name);
    if (type != AE_IFREG || archive_entry_hardlink(entry))
        return vmscm_error_set(err, VMSCM_EREFUSED, "%s: %.300s: %s", from->path, name,
            type == AE_IFLNK ? "is a symbolic link" : "is no regular file");
    if (archive_entry_is_encrypted(entry))
        return vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "%s: %.300s: is encrypted", from->path, name);
    if ((rc = vmscm_str_printf(&to, err, "%s/%zu", scratch, number)))
        return rc;
    if (!(rc = drain(a, from, name, to, 0, events, err)))
        rc = vmscm_members_add(members, name, to, err);
    free(to);
    return rc;
}

int vmscm_unwrap_zip(struct vmscm_members *members, const char *path, const char *scratch,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    struct archive *a = NULL;
    struct from *from = NULL;
    struct archive_entry *entry;
    int rc = begin(&a, &from, path, 0, VMSCM_UNWRAP_ALL, true, err);

    for (size_t number = 0; !rc; number++) {
        int got = archive_read_next_header(a, &entry);
        if (got == ARCHIVE_EOF)
            break;
        if (got != ARCHIVE_OK)
            rc = failed(a, path, err);
        else if (number == VMSCM_MEMBERS_MAX)
            rc = vmscm_error_set(
                err, VMSCM_EREFUSED, "%s: more than %d members", path, VMSCM_MEMBERS_MAX);
        else
            rc = zip_entry(members, a, from, entry, scratch, number, events, err);
    }
    end(a, from);
    return rc ? rc : vmscm_members_settle(members, path, err);
}
