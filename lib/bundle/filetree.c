/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/filetree.h"
#include "base/path.h"
#include "base/str.h"
#include "codec/checksum.h"

#include <string.h>

#define NONE VMSCM_FILETREE_NONE
#define FOLLOW_MAX 40 /* symbolic links in one name, as Linux has it */
#define PATH_MAX_BYTES 65536u
#define ENTRIES_MAX (1u << 24)

static int keep_name(uint64_t *at, struct vmscm_filetree *t, const char *name, size_t len,
    struct vmscm_error *err)
{
    if (t->names_cap - t->names_len < len + 1) {
        uint64_t cap = t->names_cap + t->names_cap / 2 + len + 4096;
        char *grown = realloc(t->names, cap);
        if (!grown)
            return vmscm_error_nomem(err);
        t->names = grown;
        t->names_cap = cap;
    }
    *at = t->names_len;
    memcpy(t->names + t->names_len, name, len);
    t->names[t->names_len + len] = '\0';
    t->names_len += len + 1;
    return 0;
}

static int add_file(uint32_t *out, struct vmscm_filetree *t, char type, uint32_t member, uint32_t parent,
    struct vmscm_error *err)
{
    struct vmscm_filetree_file *file;
    int rc = vmscm_vec_add(&t->files, &file, err);

    if (rc)
        return rc;
    *out = (uint32_t)(t->files.len - 1);
    *file = (struct vmscm_filetree_file){
        .member = member, .entries = NONE, .last = NONE, .parent = parent, .type = type};
    return 0;
}

static uint32_t bucket(const struct vmscm_filetree *t, uint32_t dir, const char *name, size_t len)
{
    return (uint32_t)vmscm_checksum_64(name, len, dir) & (t->bucket_count - 1);
}

static int grow(struct vmscm_filetree *t, struct vmscm_error *err)
{
    uint32_t count = t->bucket_count ? t->bucket_count * 4 : 1024;
    uint32_t *buckets;

    if (t->entries.len < t->bucket_count || t->bucket_count >= 1u << 24)
        return 0;
    if (!(buckets = malloc(count * sizeof *buckets)))
        return vmscm_error_nomem(err);
    memset(buckets, 0xff, count * sizeof *buckets);
    free(t->buckets);
    t->buckets = buckets;
    t->bucket_count = count;
    for (uint32_t i = 0; i < t->entries.len; i++) {
        struct vmscm_filetree_entry *e = &t->entries.items[i];
        const char *name = vmscm_filetree_name(t, e);
        uint32_t b = bucket(t, e->dir, name, strlen(name));
        e->chain = buckets[b];
        buckets[b] = i;
    }
    return 0;
}

int vmscm_filetree_begin(struct vmscm_filetree *t, struct vmscm_error *err)
{
    uint32_t root;
    int rc = grow(t, err);

    return rc ? rc : add_file(&root, t, '5', NONE, VMSCM_FILETREE_ROOT, err);
}

void vmscm_filetree_release(struct vmscm_filetree *t)
{
    vmscm_vec_release(&t->files);
    vmscm_vec_release(&t->entries);
    free(t->names);
    free(t->buckets);
    *t = (struct vmscm_filetree){0};
}

/* The entry of a name, removed or not; NONE: never was one. */
static uint32_t look_up(const struct vmscm_filetree *t, uint32_t dir, const char *name, size_t len)
{
    uint32_t i = t->buckets[bucket(t, dir, name, len)];

    for (; i != NONE; i = t->entries.items[i].chain) {
        const struct vmscm_filetree_entry *e = &t->entries.items[i];
        const char *has = vmscm_filetree_name(t, e);
        if (e->dir == dir && strncmp(has, name, len) == 0 && !has[len])
            break;
    }
    return i;
}

static int entry_for(uint32_t *out, struct vmscm_filetree *t, uint32_t dir, const char *name, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_filetree_file *d = &t->files.items[dir];
    struct vmscm_filetree_entry *e;
    uint64_t at;
    uint32_t b;
    int rc;

    if ((*out = look_up(t, dir, name, len)) != NONE)
        return 0;
    if (t->entries.len == ENTRIES_MAX)
        return vmscm_error_set(err, VMSCM_EREFUSED, "%.300s: more than %u names", name, ENTRIES_MAX);
    if ((rc = keep_name(&at, t, name, len, err)) || (rc = grow(t, err)) ||
        (rc = vmscm_vec_add(&t->entries, &e, err)))
        return rc;
    *out = (uint32_t)(t->entries.len - 1);
    b = bucket(t, dir, name, len);
    *e = (struct vmscm_filetree_entry){at, dir, NONE, NONE, t->buckets[b]};
    t->buckets[b] = *out;
    if (d->last == NONE)
        d->entries = *out;
    else
        t->entries.items[d->last].next = *out;
    d->last = *out;
    return 0;
}

static void put_entry(struct vmscm_filetree *t, uint32_t entry, uint32_t file)
{
    struct vmscm_filetree_entry *e = &t->entries.items[entry];
    bool is_dir = t->files.items[file].type == '5';

    e->file = file;
    t->files.items[e->dir].live++;
    t->files.items[e->dir].links += is_dir;
    if (!is_dir)
        t->files.items[file].links++;
}

/* 0, or -1: a directory that is not empty. */
static int remove_entry(struct vmscm_filetree *t, uint32_t entry)
{
    struct vmscm_filetree_entry *e = &t->entries.items[entry];
    struct vmscm_filetree_file *file = &t->files.items[e->file];

    if (file->type == '5' && file->live)
        return -1;
    t->files.items[e->dir].live--;
    t->files.items[e->dir].links -= file->type == '5';
    if (file->type == '5' || !--file->links)
        file->gone = true;
    e->file = NONE;
    return 0;
}

/* Where a name is: its directory, made if need be, and its last part, within text, which is the caller's. */
static int locate(struct vmscm_filetree *t, uint32_t *dir, char **last, char **text, const char *path,
    struct vmscm_error *err)
{
    unsigned followed = 0;
    char *rest, *slash, *longer;
    int rc;

    if ((rc = vmscm_str_dup(text, path, err)))
        return rc;
    *dir = VMSCM_FILETREE_ROOT;
    for (rest = *text; (slash = strchr(rest, '/')); ) {
        size_t len = (size_t)(slash - rest);
        const struct vmscm_filetree_file *file;
        uint32_t entry, made;
        if (!len || (len == 1 && rest[0] == '.')) {
            rest = slash + 1;
            continue;
        }
        if (len == 2 && rest[0] == '.' && rest[1] == '.') {
            *dir = t->files.items[*dir].parent;
            rest = slash + 1;
            continue;
        }
        if (len > 255)
            return vmscm_error_set(
                err, VMSCM_EINPUT, "%.300s: leads through a name that is too long", path);
        if ((rc = entry_for(&entry, t, *dir, rest, len, err)))
            return rc;
        if (t->entries.items[entry].file == NONE) {
            if ((rc = add_file(&made, t, '5', NONE, *dir, err)))
                return rc;
            put_entry(t, entry, made);
        }
        file = &t->files.items[t->entries.items[entry].file];
        if (file->type == '5') {
            *dir = t->entries.items[entry].file;
            rest = slash + 1;
            continue;
        }
        if (file->type != '2' || ++followed > FOLLOW_MAX)
            return vmscm_error_set(
                err, VMSCM_EINPUT, "%.300s: leads through a file that is no directory", path);
        if (t->names[file->target] == '/')
            *dir = VMSCM_FILETREE_ROOT;
        if (strlen(t->names + file->target) + strlen(slash) > PATH_MAX_BYTES)
            return vmscm_error_set(
                err, VMSCM_EINPUT, "%.300s: leads through links that are too long", path);
        if ((rc = vmscm_str_printf(&longer, err, "%s%s", t->names + file->target, slash)))
            return rc;
        free(*text);
        rest = *text = longer;
    }
    *last = rest;
    return 0;
}

static int confined(const char *path, struct vmscm_error *err)
{
    return vmscm_path_is_confined(path) ? 0
        : vmscm_error_set(err, VMSCM_EREFUSED, "%.300s: a name that leaves the archive", path);
}

static int add_hard_link(struct vmscm_filetree *t, uint32_t entry, const char *path, const char *link,
    struct vmscm_error *err)
{
    uint32_t dir, other, file;
    char *last, *text = NULL;
    int rc;

    while (link[0] == '.' && link[1] == '/')
        link++, link += strspn(link, "/");
    if ((rc = confined(link, err)) || (rc = locate(t, &dir, &last, &text, link, err)))
        goto out;
    other = look_up(t, dir, last, strlen(last));
    file = other == NONE ? NONE : t->entries.items[other].file;
    if (file == NONE || t->files.items[file].type == '5')
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%.300s: is a hard link to %.300s, which is %s", path, link,
            file == NONE ? "not there" : "a directory");
    else if (t->entries.items[entry].file == file)
        ; /* to itself, or once more */
    else if (t->entries.items[entry].file != NONE && remove_entry(t, entry))
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%.300s: was a directory before, and not empty", path);
    else
        put_entry(t, entry, file);
out:
    free(text);
    return rc;
}

static int add_named(struct vmscm_filetree *t, uint32_t *file, uint32_t member, char type, const char *path,
    const char *link, struct vmscm_error *err)
{
    uint32_t dir, entry, old;
    char *last, *text = NULL;
    int rc;

    if ((rc = confined(path, err)) || (rc = locate(t, &dir, &last, &text, path, err)) ||
        (rc = entry_for(&entry, t, dir, last, strlen(last), err)))
        goto out;
    if (type == '1') {
        rc = add_hard_link(t, entry, path, link ? link : "", err);
        goto out;
    }
    old = t->entries.items[entry].file;
    if (old != NONE && type == '5' && t->files.items[old].type == '5') {
        t->files.items[old].member = member;
        *file = old;
        goto out;
    }
    if (old != NONE && remove_entry(t, entry)) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%.300s: was a directory before, and not empty", path);
        goto out;
    }
    if ((rc = add_file(file, t, type, member, dir, err)))
        goto out;
    put_entry(t, entry, *file);
    if (type == '2') {
        uint64_t at = 0;
        rc = keep_name(&at, t, link ? link : "", strlen(link ? link : ""), err);
        t->files.items[*file].target = at;
    }
out:
    free(text);
    return rc;
}

int vmscm_filetree_add(struct vmscm_filetree *t, uint32_t *file, uint32_t member, char type, const char *path,
    const char *link, struct vmscm_error *err)
{
    *file = NONE;
    if (!type)
        return 0;
    if (path)
        return add_named(t, file, member, type, path, link, err);
    if (type != '5')
        return vmscm_error_set(err, VMSCM_EINPUT, ".: the root is no directory");
    t->files.items[VMSCM_FILETREE_ROOT].member = member;
    *file = VMSCM_FILETREE_ROOT;
    return 0;
}

int vmscm_filetree_ensure(struct vmscm_filetree *t, const char *name, struct vmscm_error *err)
{
    uint32_t entry = 0, made = 0;
    int rc = entry_for(&entry, t, VMSCM_FILETREE_ROOT, name, strlen(name), err);

    if (rc || t->entries.items[entry].file != NONE)
        return rc;
    if (!(rc = add_file(&made, t, '5', NONE, VMSCM_FILETREE_ROOT, err)))
        put_entry(t, entry, made);
    return rc;
}
