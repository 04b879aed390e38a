/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "history/reflist.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/refdir.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PACKED_MAX ((size_t)256 << 20) /* bytes of packed-refs */
#define HEX 40

struct entry {
    char *name;
    char id[VMSCM_GITDB_ID]; /* "": unreadable */
    bool packed;
};

struct list {
    VMSCM_VEC(struct entry) entries;
    struct vmscm_gitdb *db;
    const char *prefix;
    struct vmscm_error *err;
};

static bool is_id(const char *text)
{
    return strspn(text, "0123456789abcdef") >= HEX;
}

static int add(struct list *list, const char *name, const char *id, bool packed,
    struct vmscm_error *err)
{
    struct entry *entry;

    if (vmscm_vec_add(&list->entries, &entry, err))
        return VMSCM_ENOMEM;
    if (id) {
        memcpy(entry->id, id, HEX);
        entry->id[HEX] = '\0';
    }
    entry->packed = packed;
    return vmscm_str_dup(&entry->name, name, err);
}

/* A loose ref: 40 digits and a newline; what is not, such as a symbolic ref, is libgit2's to read.
 * One that went since the directory was read is no ref. */
static int add_loose(void *data, int dirfd, const char *file, const char *name)
{
    struct list *list = data;
    char text[HEX + 2] = "";
    int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), valid = 0;
    ssize_t got = fd < 0 ? -1 : read(fd, text, HEX + 1);
    git_oid oid;

    if (fd >= 0)
        close(fd);
    if (got == HEX + 1 && text[HEX] == '\n' && is_id(text) &&
        git_reference_name_is_valid(&valid, name) == 0 && valid)
        return add(list, name, text, false, list->err);
    int e = git_reference_name_to_id(&oid, list->db->repo, name);
    if (e == GIT_ENOTFOUND)
        return 0;
    if (e < 0)
        return add(list, name, NULL, false, list->err);
    git_oid_tostr(text, sizeof text, &oid);
    return add(list, name, text, false, list->err);
}

static bool is_peeled(const char *line)
{
    return *line == '^' && is_id(line + 1) && strlen(line) == HEX + 1;
}

/* "ID NAME" a line; those with "^" say what the tag before leads to, a first one with "#" how it was
 * written. */
static int read_packed(struct list *list, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char *path = NULL;
    int rc, valid;

    if ((rc = vmscm_str_printf(&path, err, "%s/packed-refs", list->db->path)))
        return rc;
    if ((rc = vmscm_file_read(&text, path, PACKED_MAX, err)) == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        free(path);
        return 0;
    }
    size_t len = text.len;
    if (!rc)
        rc = vmscm_buf_append(&text, "", 1, err);
    char *end = (char *)text.data + len;
    for (char *line = (char *)text.data, *next; !rc && line < end; line = next) {
        if (!(next = memchr(line, '\n', (size_t)(end - line))))
            next = end;
        *next++ = '\0';
        if ((*line == '#' && line == (char *)text.data) || is_peeled(line))
            continue;
        if (!is_id(line) || line[HEX] != ' ' ||
            git_reference_name_is_valid(&valid, line + HEX + 1) < 0 || !valid ||
            line + strlen(line) + 1 != next)
            rc = vmscm_error_set(err, VMSCM_EDAMAGED, "%s: not a list of refs", path);
        else if (vmscm_str_starts(line + HEX + 1, list->prefix))
            rc = add(list, line + HEX + 1, line, true, err);
    }
    vmscm_buf_release(&text);
    free(path);
    return rc;
}

/* By name; of two the loose one, which is newer, first. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (int)x->packed - (int)y->packed;
}

int vmscm_reflist_walk(struct vmscm_gitdb *db, const char *prefix,
    int (*each)(void *data, const char *ref, const char *id), void *data,
    struct vmscm_error *err)
{
    struct list list = {.db = db, .prefix = prefix, .err = err};
    char *dir = NULL;
    int rc;

    /* "refs/heads/" itself is the directory to look in. */
    rc = vmscm_str_ends(prefix, "/")
        ? vmscm_str_printf(&dir, err, "%.*s", (int)strlen(prefix) - 1, prefix)
        : vmscm_path_dirname(&dir, *prefix ? prefix : "refs/", err);
    /* Loose ones first: git packs a ref before it removes the file. */
    if (rc ||
        (rc = vmscm_refdir_walk(db, vmscm_str_starts(dir, "refs") ? dir : "refs", prefix,
             add_loose, &list, err)) ||
        (rc = read_packed(&list, err)))
        goto out;
    if (list.entries.len)
        qsort(list.entries.items, list.entries.len, sizeof *list.entries.items, compare);
    for (size_t i = 0; i < list.entries.len && !rc; i++) {
        const struct entry *entry = &list.entries.items[i];
        if (i && strcmp(entry->name, entry[-1].name) == 0)
            continue;
        rc = each(data, entry->name, entry->id[0] ? entry->id : NULL);
    }
out:
    for (size_t i = 0; i < list.entries.len; i++)
        free(list.entries.items[i].name);
    vmscm_vec_release(&list.entries);
    free(dir);
    return rc;
}
