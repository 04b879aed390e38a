/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/reflog.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/refdir.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_MAX ((size_t)256 << 20)
#define TAIL 65536 /* bytes of a reflog that hold its last line */

static int log_path(char **out, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err)
{
    return vmscm_str_printf(out, err, "%s/logs/%s", db->path, ref);
}

static int load(struct vmscm_buf *buf, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err)
{
    char *path = NULL;
    int rc = log_path(&path, db, ref, err);

    if (rc)
        return rc;
    rc = vmscm_file_read(buf, path, LOG_MAX, err);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    }
    free(path);
    return rc;
}

static bool parse_id(char *out, const char *text, size_t len)
{
    uint8_t raw[20];

    if (len < 41 || text[40] != ' ')
        return false;
    memcpy(out, text, 40);
    out[40] = '\0';
    if (!vmscm_str_unhex(raw, sizeof raw, out))
        return false;
    vmscm_str_hex(out, raw, sizeof raw);
    return true;
}

static bool parse_line(struct vmscm_reflog_entry *out, const char *line, size_t len)
{
    const char *tab = memchr(line, '\t', len);
    const char *end = tab ? tab : line + len;
    char digits[20];
    uint64_t seconds;

    if (!parse_id(out->before, line, len) || !parse_id(out->after, line + 41, len - 41))
        return false;
    /* The time is between the last '>' before the tab and the zone. */
    while (end > line && end[-1] != '>')
        end--;
    if (end == line || *end != ' ')
        return false;
    size_t n = strspn(++end, "0123456789");
    if (n == 0 || n >= sizeof digits || end[n] != ' ')
        return false;
    memcpy(digits, end, n);
    digits[n] = '\0';
    if (!vmscm_str_uint(&seconds, digits, 0, INT64_MAX))
        return false;
    out->time = (int64_t)seconds;
    return true;
}

int vmscm_reflog_read(struct vmscm_reflog *out, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err)
{
    VMSCM_VEC(struct vmscm_reflog_entry) list = {0};
    struct vmscm_reflog_entry entry, *slot;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    int rc;

    *out = (struct vmscm_reflog){NULL, 0};
    if ((rc = load(&buf, db, ref, err)))
        goto out;
    for (const char *p = vmscm_buf_str(&buf), *end = p + buf.len; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t len = newline ? (size_t)(newline - p) : (size_t)(end - p);
        if (parse_line(&entry, p, len) && !vmscm_reflog_is_zero(entry.after)) {
            if ((rc = vmscm_vec_add(&list, &slot, err)))
                goto out;
            *slot = entry;
        }
        p += len + (newline != NULL);
    }
    out->entries = list.items;
    out->count = list.len;
    list.items = NULL;
out:
    free(list.items);
    vmscm_buf_release(&buf);
    return rc;
}

struct listing {
    int (*each)(void *data, const char *ref);
    void *data;
};

static int list_one(void *data, int dirfd, const char *file, const char *name)
{
    const struct listing *l = data;

    (void)dirfd;
    (void)file;
    return l->each(l->data, name + strlen("logs/"));
}

int vmscm_reflog_list(const struct vmscm_gitdb *db, int (*each)(void *data, const char *ref),
    void *data, struct vmscm_error *err)
{
    struct listing listing = {each, data};

    return vmscm_refdir_walk(db, "logs", "logs/", list_one, &listing, err);
}

/* A last line whose beginning a power cut left as zeros; a file system need not write in order. */
static bool is_torn(const char *line, const char *newline, const char *end)
{
    return newline + 1 == end && *line == '\0';
}

int vmscm_reflog_scan(const struct vmscm_gitdb *db, const char *ref,
    int (*each)(void *data, const char *before, const char *after), void *data,
    struct vmscm_error *err)
{
    char before[VMSCM_GITDB_ID], after[VMSCM_GITDB_ID];
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    size_t number = 0;
    int rc = load(&buf, db, ref, err);

    for (const char *p = vmscm_buf_str(&buf), *end = p + buf.len; !rc && p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t len = newline ? (size_t)(newline - p) : (size_t)(end - p);
        number++;
        if (parse_id(before, p, len) && parse_id(after, p + 41, len - 41))
            rc = each(data, before, after);
        else if (newline && !is_torn(p, newline, end))
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s/logs/%s: line %zu cannot be read",
                db->path, ref, number);
        p += len + (newline != NULL);
    }
    vmscm_buf_release(&buf);
    return rc;
}

void vmscm_reflog_release(struct vmscm_reflog *log)
{
    free(log->entries);
    *log = (struct vmscm_reflog){NULL, 0};
}

bool vmscm_reflog_is_zero(const char *id)
{
    return strspn(id, "0") == VMSCM_ID_HEX;
}

/* The bytes up to the end of the last line that is one; those before it are not looked at. */
static size_t whole_lines(const struct vmscm_buf *buf)
{
    struct vmscm_reflog_entry entry;
    size_t end = buf->len, start;

    while (end && buf->data[end - 1] != '\n')
        end--;
    if (!end)
        return 0;
    for (start = end - 1; start && buf->data[start - 1] != '\n';)
        start--;
    return parse_line(&entry, (const char *)buf->data + start, end - 1 - start) ? end : start;
}

/* The bytes of whole lines, without last ones that note a removal: it did not come to that. */
static size_t without_removal(const struct vmscm_buf *buf)
{
    struct vmscm_reflog_entry entry;
    size_t end = whole_lines(buf), start;

    for (; end; end = start) {
        for (start = end - 1; start && buf->data[start - 1] != '\n';)
            start--;
        if (!parse_line(&entry, (const char *)buf->data + start, end - 1 - start) ||
            !vmscm_reflog_is_zero(entry.after))
            break;
    }
    return end;
}

int vmscm_reflog_mend(const struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err)
{
    struct vmscm_buf tail = VMSCM_BUF_INIT;
    struct stat st;
    char *path = NULL;
    uint64_t at;
    size_t whole;
    int fd = -1, rc;

    if ((rc = log_path(&path, db, ref, err)))
        goto out;
    rc = vmscm_file_open(&fd, path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, err);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
        goto out;
    }
    if (rc)
        goto out;
    if (fstat(fd, &st) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", path);
        goto out;
    }
    at = st.st_size > TAIL ? (uint64_t)st.st_size - TAIL : 0;
    if ((rc = vmscm_buf_reserve(&tail, TAIL, err)) ||
        (rc = vmscm_file_pread_some(fd, tail.data, TAIL, at, &tail.len, path, err)))
        goto out;
    whole = whole_lines(&tail);
    /* Durable it becomes with the line that follows, or not at all. */
    if (whole < tail.len && (whole || !at) && ftruncate(fd, (off_t)(at + whole)) < 0)
        rc = vmscm_error_errno(err, errno, "%s", path);
out:
    if (fd >= 0)
        close(fd);
    vmscm_buf_release(&tail);
    free(path);
    return rc;
}

int vmscm_reflog_note_removal(const struct vmscm_gitdb *db, const char *ref, const char *id,
    struct vmscm_error *err)
{
    static const char zeros[] = "0000000000000000000000000000000000000000";
    struct vmscm_buf line = VMSCM_BUF_INIT;
    char *path = NULL;
    int fd = -1, rc;

    if ((rc = vmscm_reflog_mend(db, ref, err)) ||
        (rc = vmscm_buf_printf(&line, err, "%s %s vmscm <vmscm> %lld +0000\tremoved\n", id, zeros,
             (long long)time(NULL))) ||
        (rc = log_path(&path, db, ref, err)))
        goto out;
    rc = vmscm_file_open(&fd, path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0, err);
    if (rc == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
        goto out;
    }
    if (!rc && !(rc = vmscm_file_write(fd, line.data, line.len, path, err)))
        rc = vmscm_file_fsync(fd, path, err);
out:
    if (fd >= 0)
        close(fd);
    vmscm_buf_release(&line);
    free(path);
    return rc;
}

int vmscm_reflog_is_removed(bool *removed, const struct vmscm_gitdb *db, const char *ref,
    struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_reflog_entry entry;
    int rc = load(&buf, db, ref, err);

    *removed = false;
    if (!rc && buf.len && buf.data[buf.len - 1] == '\n') {
        size_t start = buf.len - 1;
        while (start && buf.data[start - 1] != '\n')
            start--;
        *removed = parse_line(&entry, (const char *)buf.data + start, buf.len - 1 - start) &&
            vmscm_reflog_is_zero(entry.after);
    }
    vmscm_buf_release(&buf);
    return rc;
}

/* The lines that stay. The last one that is not whole tells of nothing that happened. */
static int trim_lines(struct vmscm_buf *out, uint64_t *removed, const struct vmscm_buf *buf,
    enum vmscm_reflog_trim how, int64_t before, struct vmscm_error *err)
{
    struct vmscm_reflog_entry entry;
    const char *text = vmscm_buf_str(buf), *end = text + whole_lines(buf);
    char last[VMSCM_GITDB_ID] = "0000000000000000000000000000000000000000";
    uint64_t count = 0;

    for (const char *p = text, *next; p < end; p = next) {
        next = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
        size_t len = (size_t)(next - p) - 1;
        if (!parse_line(&entry, p, len)) {
            *removed = 0;
            return 0;
        }
        if (entry.time < before && (how != VMSCM_REFLOG_KEEP_NEWEST || next < end)) {
            count++;
            continue;
        }
        int rc = count ? vmscm_buf_puts(out, last, err)
                       : vmscm_buf_append(out, p, VMSCM_ID_HEX, err);
        if (rc || (rc = vmscm_buf_append(out, p + VMSCM_ID_HEX, (size_t)(next - p) - VMSCM_ID_HEX, err)))
            return rc;
        memcpy(last, entry.after, sizeof last);
    }
    *removed = count;
    return 0;
}

int vmscm_reflog_trim(uint64_t *removed, const struct vmscm_gitdb *db, const char *ref,
    enum vmscm_reflog_trim how, int64_t before, bool dry, struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT, rest = VMSCM_BUF_INIT;
    char *path = NULL, *dir = NULL;
    uint64_t count = 0;
    int rc = load(&buf, db, ref, err);

    if (rc)
        goto out;
    if (how == VMSCM_REFLOG_WHOLE)
        for (size_t i = 0; i < buf.len; i++)
            count += buf.data[i] == '\n';
    else if ((rc = trim_lines(&rest, &count, &buf, how, before, err)))
        goto out;
    *removed += count;
    if (dry || (!count && how != VMSCM_REFLOG_WHOLE) || (rc = log_path(&path, db, ref, err)))
        goto out;
    if (rest.len) {
        rc = vmscm_file_replace(path, rest.data, rest.len, 0666, err);
    } else if (unlink(path) < 0) {
        if (errno != ENOENT)
            rc = vmscm_error_errno(err, errno, "%s", path);
    } else if (!(rc = vmscm_path_dirname(&dir, path, err))) {
        rc = vmscm_file_sync_dir(dir, err);
    }
out:
    vmscm_buf_release(&buf);
    vmscm_buf_release(&rest);
    free(path);
    free(dir);
    return rc;
}

int vmscm_reflog_copy(const struct vmscm_gitdb *db, const char *from, const char *to,
    const char *id, const struct vmscm_signature *who, const char *why, struct vmscm_error *err)
{
    int minutes = who->offset < 0 ? -who->offset : who->offset;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char *path = NULL;
    int rc;

    if ((rc = load(&buf, db, from, err)))
        goto out;
    buf.len = without_removal(&buf);
    if ((rc = vmscm_buf_printf(&buf, err, "%s %s %s <%s> %lld %c%02d%02d\t%s\n", id, id, who->name,
             who->email, (long long)who->time, who->offset < 0 ? '-' : '+', minutes / 60,
             minutes % 60, why)) ||
        (rc = log_path(&path, db, to, err)))
        goto out;
    rc = vmscm_file_replace(path, buf.data, buf.len, 0666, err);
out:
    vmscm_buf_release(&buf);
    free(path);
    return rc;
}

int vmscm_reflog_is_copy(bool *is, bool *whole, const struct vmscm_gitdb *db, const char *from,
    const char *to, const char *why, struct vmscm_error *err)
{
    struct vmscm_buf old = VMSCM_BUF_INIT, fresh = VMSCM_BUF_INIT;
    struct vmscm_reflog_entry entry;
    size_t len = strlen(why), line;
    int rc;

    *is = *whole = false;
    if ((rc = load(&old, db, from, err)) || (rc = load(&fresh, db, to, err)))
        goto out;
    old.len = without_removal(&old);
    /* The last line gives the reason. */
    if (fresh.len < len + 2 || fresh.data[fresh.len - 1] != '\n' ||
        fresh.data[fresh.len - len - 2] != '\t' ||
        memcmp(fresh.data + fresh.len - len - 1, why, len) != 0)
        goto out;
    for (line = fresh.len - 1; line && fresh.data[line - 1] != '\n';)
        line--;
    /* Before it is the other one's past, or nothing and it says that the ref was new. */
    *whole = line == old.len && (!line || memcmp(fresh.data, old.data, line) == 0);
    *is = *whole ||
        (!line && parse_line(&entry, (const char *)fresh.data, fresh.len - 1) &&
            vmscm_reflog_is_zero(entry.before));
out:
    vmscm_buf_release(&old);
    vmscm_buf_release(&fresh);
    return rc;
}

int vmscm_reflog_clear(const struct vmscm_gitdb *db, const char *ref, struct vmscm_error *err)
{
    char *path = NULL;
    struct stat st;
    int rc = log_path(&path, db, ref, err);

    if (rc)
        return rc;
    for (char *p = path + strlen(db->path) + 1; !rc && (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && unlink(path) < 0)
            rc = vmscm_error_errno(err, errno, "%s", path);
        *p = '/';
    }
    if (!rc && vmscm_file_exists(path))
        rc = vmscm_file_remove_tree(path, err);
    free(path);
    return rc;
}
