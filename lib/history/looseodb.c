/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/looseodb.h"
#include "base/buf.h"
#include "base/str.h"
#include "codec/inflate.h"

#include <errno.h>
#include <fcntl.h>
#include <git2/sys/odb_backend.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* libgit2's own: packs have 2, loose objects 1. Of two with the same, who came first is first. */
#define PRIORITY 2

#define STORED_MAX ((size_t)512 << 20)
#define HEAD_MAX 64 /* "commit ", 20 digits and a NUL */

struct backend {
    git_odb_backend parent; /* first: it is how libgit2 knows this */
    char *objects;
};

/* For libgit2, whose errors are the thread's last message. */
static int fail(const char *path, const struct vmscm_error *err)
{
    char text[PATH_MAX + 600];

    if (err->code == VMSCM_ENOMEM) {
        git_error_set_oom();
    } else {
        snprintf(text, sizeof text, "%s: %.500s", path, err->message);
        git_error_set_str(err->code == VMSCM_EDAMAGED ? GIT_ERROR_ODB : GIT_ERROR_OS, text);
    }
    return GIT_ERROR;
}

/* The file's bytes; GIT_ENOTFOUND if there is none. */
static int load(uint8_t **out, size_t *len, char path[PATH_MAX], struct backend *b, const git_oid *oid)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char hex[GIT_OID_HEXSZ + 1];
    uint8_t *data = NULL;
    struct stat st;
    size_t n = 0;
    int fd, rc = 0;

    git_oid_tostr(hex, sizeof hex, oid);
    if (snprintf(path, PATH_MAX, "%s/%.2s/%s", b->objects, hex, hex + 2) >= PATH_MAX)
        return GIT_ENOTFOUND;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return GIT_ENOTFOUND;
    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = vmscm_error_errno(&err, errno, "object");
    } else if (!S_ISREG(st.st_mode) || st.st_size < 1 || st.st_size > (off_t)STORED_MAX) {
        rc = vmscm_error_set(&err, VMSCM_EDAMAGED, "not an object");
    } else if (!(data = malloc((size_t)st.st_size))) {
        rc = vmscm_error_nomem(&err);
    }
    while (!rc && n < (size_t)st.st_size) {
        ssize_t got = read(fd, data + n, (size_t)st.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = vmscm_error_errno(&err, errno, "object");
        else if (got == 0)
            rc = vmscm_error_set(&err, VMSCM_EDAMAGED, "ends too early");
        else
            n += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    if (rc) {
        free(data);
        return fail(path, &err);
    }
    *out = data;
    *len = n;
    return 0;
}

/* "TYPE LENGTH" and a NUL, of which head_len bytes in all. False: it is not that. */
static bool parse_head(git_object_t *type, size_t *size, size_t *head_len, const char *head, size_t len)
{
    const char *end = memchr(head, '\0', len), *space = end ? strchr(head, ' ') : NULL;
    char name[8];
    uint64_t n;

    if (!space || (size_t)(space - head) >= sizeof name)
        return false;
    memcpy(name, head, (size_t)(space - head));
    name[space - head] = '\0';
    *type = git_object_string2type(name);
    if (!git_object_typeisloose(*type) || (space[1] == '0' && space[2]) ||
        !vmscm_str_uint(&n, space + 1, 0, SIZE_MAX / 2))
        return false;
    *size = (size_t)n;
    *head_len = (size_t)(end - head) + 1;
    return true;
}

static int look(git_object_t *type, size_t *size, size_t *head_len, const char *path,
    const uint8_t *stored, size_t len)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char head[HEAD_MAX];
    size_t n = 0;

    if (vmscm_inflate_head(head, &n, sizeof head, stored, len, &err))
        return fail(path, &err);
    if (!parse_head(type, size, head_len, head, n) || *size / VMSCM_INFLATE_RATIO > len) {
        vmscm_error_set(&err, VMSCM_EDAMAGED, "not an object");
        return fail(path, &err);
    }
    return 0;
}

static int read_header(size_t *size, git_object_t *type, git_odb_backend *backend, const git_oid *oid)
{
    char path[PATH_MAX];
    uint8_t *stored = NULL;
    size_t len, head_len;
    int rc = load(&stored, &len, path, (struct backend *)backend, oid);

    if (!rc)
        rc = look(type, size, &head_len, path, stored, len);
    free(stored);
    return rc;
}

static int read_object(void **out, size_t *size, git_object_t *type, git_odb_backend *backend,
    const git_oid *oid)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char path[PATH_MAX];
    uint8_t *stored = NULL, *plain = NULL;
    size_t len, head_len;
    int rc = load(&stored, &len, path, (struct backend *)backend, oid);

    if (!rc)
        rc = look(type, size, &head_len, path, stored, len);
    if (rc)
        goto out;
    /* libgit2 wants a NUL behind the last byte, and its own memory. */
    if (!(plain = malloc(head_len + *size)) ||
        !(*out = git_odb_backend_data_alloc(backend, *size + 1))) {
        git_error_set_oom();
        rc = GIT_ERROR;
    } else if (vmscm_inflate(plain, head_len + *size, stored, len, &err)) {
        git_odb_backend_data_free(backend, *out);
        *out = NULL;
        rc = fail(path, &err);
    } else {
        memcpy(*out, plain + head_len, *size);
        ((char *)*out)[*size] = '\0';
    }
out:
    free(plain);
    free(stored);
    return rc;
}

/* libgit2's own backend knows which there are, but takes it that every backend can tell. */
static int each_object(git_odb_backend *backend, git_odb_foreach_cb each, void *data)
{
    (void)backend, (void)each, (void)data;
    return 0;
}

static void free_backend(git_odb_backend *backend)
{
    free(((struct backend *)backend)->objects);
    free(backend);
}

int vmscm_looseodb_guard(git_odb *odb, const char *objects, struct vmscm_error *err)
{
    struct backend *b = calloc(1, sizeof *b);
    int rc, e;

    if (!b)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_str_dup(&b->objects, objects, err))) {
        free(b);
        return rc;
    }
    b->parent.version = GIT_ODB_BACKEND_VERSION;
    b->parent.read = read_object;
    b->parent.read_header = read_header;
    b->parent.foreach = each_object;
    b->parent.free = free_backend;
    if ((e = git_odb_add_backend(odb, &b->parent, PRIORITY)) < 0) {
        rc = vmscm_git_error(err, e, VMSCM_EIO, "%s", objects);
        free_backend(&b->parent);
    }
    return rc;
}
