/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mountfs.h"

#define FUSE_USE_VERSION 35
#include <fuse.h>
#include <fuse_lowlevel.h>

#include "memory.h"
#include "report.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include <vmscm/repo.h>

#define ID_SHOWN 12 /* digits of a revision's directory */
#define LISTED ((size_t)10000) /* revisions of a machine's directory */
#define KEPT 1.0 /* seconds that the kernel may believe a name of --all */

struct mountfs {
    struct revfs *fs;
    const struct mountfs_options *options;
};

static const struct mountfs *self(void)
{
    return fuse_get_context()->private_data;
}

static void tell(const char *message)
{
    if (self()->options->foreground)
        report_warning(message);
    else
        syslog(LOG_ERR, "%s", message);
}

/* The errno for an error; what is no answer but a failure is told. */
static int fail(int rc, const struct vmscm_error *err)
{
    if (rc == VMSCM_ENOTFOUND || rc == VMSCM_EUSAGE)
        return -ENOENT;
    tell(err->message);
    return rc == VMSCM_ENOMEM ? -ENOMEM : -EIO;
}

/* What a path is. */
enum kind {
    KIND_DIR,       /* above machines */
    KIND_MACHINE,
    KIND_LATEST,
    KIND_TAGS,
    KIND_TAG,
    KIND_REVISIONS,
    KIND_SNAP,      /* at or below a revision's directory */
};

struct place {
    enum kind kind;
    char *machine;  /* or the directory above machines; "" at the top */
    const char *name; /* of the tag or revision; in `copy` */
    const char *rest; /* of the path below the revision's directory; "" for that itself */
    char *copy;
};

static void release(struct place *p)
{
    free(p->machine);
    free(p->copy);
}

/* By its words alone: whether it is there is another question. */
static void parse(struct place *p, const char *path)
{
    static const char *const words[] = {"latest", "tags", "revisions"};
    static const enum kind kinds[] = {KIND_LATEST, KIND_TAGS, KIND_REVISIONS};

    *p = (struct place){.kind = KIND_DIR, .rest = ""};
    p->copy = memory_dup(path + 1);
    for (char *at = p->copy; at && *at; at = strchr(at, '/')) {
        at += *at == '/';
        char *end = strchrnul(at, '/');
        for (size_t i = 0; i < 3; i++)
            if (strlen(words[i]) == (size_t)(end - at) && at > p->copy &&
                memcmp(words[i], at, (size_t)(end - at)) == 0) {
                p->machine = memory_printf("%.*s", (int)(at - 1 - p->copy), p->copy);
                p->kind = kinds[i];
                if (*end) {
                    char *rest = strchrnul(end + 1, '/');
                    p->name = end + 1;
                    p->rest = *rest ? rest + 1 : rest;
                    *rest = '\0';
                    p->kind = i == 1 ? KIND_TAG : KIND_SNAP;
                    if (i == 0 || (i == 1 && *p->rest))
                        p->name = ""; /* nothing is below those */
                }
                return;
            }
    }
    p->machine = memory_dup(p->copy);
}

/* Names that a walk meets. */
struct names {
    const struct place *place;
    void *buf;
    fuse_fill_dir_t fill;
    char *last;    /* that was filled in */
    char id[VMSCM_ID_HEX + 1]; /* that was looked for */
    bool found;
};

static void add_name(struct names *n, const char *name, size_t len)
{
    char *copy = memory_printf("%.*s", (int)len, name);

    n->found = true;
    if (n->fill && (!n->last || strcmp(n->last, copy) != 0))
        n->fill(n->buf, copy, NULL, 0, 0);
    free(n->last);
    n->last = copy;
}

/* Machines at or below place->machine: what follows of their names. */
static int on_machine(void *data, const struct vmscm_machine_entry *entry)
{
    struct names *n = data;
    const char *dir = n->place->machine;
    size_t len = strlen(dir);

    if (strncmp(entry->name, dir, len) != 0 || (len && entry->name[len] != '/' && entry->name[len]))
        return 0;
    if (len && !entry->name[len]) {
        n->found = true;
        snprintf(n->id, sizeof n->id, "%s", entry->id ? entry->id : "");
        return 0;
    }
    const char *rest = entry->name + len + (len ? 1 : 0);
    add_name(n, rest, strcspn(rest, "/"));
    return 0;
}

static int on_tag(void *data, const struct vmscm_tag_entry *entry)
{
    struct names *n = data;

    if (!n->place->name) {
        add_name(n, entry->tag, strlen(entry->tag));
    } else if (strcmp(n->place->name, entry->tag) == 0) {
        n->found = true;
        snprintf(n->id, sizeof n->id, "%s", entry->id);
    }
    return 0;
}

static int on_revision(void *data, struct vmscm_revision *rev)
{
    add_name(data, vmscm_revision_id(rev), ID_SHOWN);
    return 0;
}

static int walk(void *data, struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct names *n = data;
    const struct place *p = n->place;
    struct vmscm_revision *rev = NULL;
    int rc;

    if (p->kind == KIND_DIR || p->kind == KIND_LATEST || p->kind == KIND_MACHINE)
        return vmscm_revision_machines(repo, NULL, on_machine, n, err);
    if (p->kind == KIND_TAG || (p->kind == KIND_TAGS && n->fill))
        return vmscm_revision_tags(repo, p->machine, on_tag, n, err);
    if ((rc = vmscm_revision_resolve(&rev, repo, p->machine, err)))
        return rc;
    n->found = true;
    if (p->kind == KIND_REVISIONS && n->fill)
        rc = vmscm_revision_log(rev, LISTED, on_revision, n, err);
    vmscm_revision_free(rev);
    return rc;
}

static bool is_partitions(const char *rest)
{
    return strncmp(rest, REVFS_PARTITIONS, strlen(REVFS_PARTITIONS)) == 0 &&
        (!rest[strlen(REVFS_PARTITIONS)] || rest[strlen(REVFS_PARTITIONS)] == '/');
}

/* The revision, with what is to be known of it for a path in its directory. */
static int look_up(struct revfs_snap **snap, const char *spec, const char *rest)
{
    const struct mountfs *m = self();
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int rc = revfs_snap(snap, m->fs, spec, &err);

    if (rc)
        return fail(rc, &err);
    if (!is_partitions(rest))
        return 0;
    if (!m->options->partitions)
        return -ENOENT;
    rc = revfs_partitions(m->fs, *snap, tell, &err);
    /* A pruned disk, say, is there, and cannot be read. */
    return rc == VMSCM_ENOTFOUND ? fail(VMSCM_EIO, &err) : rc ? fail(rc, &err) : 0;
}

/* The revision of a path below one. */
static int find_snap(struct revfs_snap **snap, const char **rest, struct place *p,
    const char *path)
{
    const struct mountfs *m = self();

    *p = (struct place){.kind = KIND_SNAP};
    if (m->options->id) {
        *rest = path + 1;
        return look_up(snap, m->options->id, *rest);
    }
    parse(p, path);
    *rest = p->rest;
    if (p->kind != KIND_SNAP)
        return 1;
    /* Only ids: names of other revisions would make endless many paths. */
    if (strlen(p->name) != ID_SHOWN || strspn(p->name, "0123456789abcdef") != ID_SHOWN)
        return -ENOENT;
    return look_up(snap, p->name, *rest);
}

static void set_attr(struct stat *st, mode_t mode, uint64_t size, int64_t time)
{
    st->st_mode = mode;
    st->st_nlink = S_ISDIR(mode) ? 2 : 1;
    st->st_size = (off_t)size;
    st->st_blocks = (blkcnt_t)((size + 511) / 512);
    st->st_blksize = 1 << 16;
    st->st_uid = getuid();
    st->st_gid = getgid();
    st->st_mtime = st->st_ctime = st->st_atime = time;
}

/* A place of the tree that is not in a revision: found? */
static int find_place(struct names *n, const struct place *p, void *buf, fuse_fill_dir_t fill)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int rc;

    *n = (struct names){.place = p, .buf = buf, .fill = fill};
    rc = revfs_walk(self()->fs, walk, n, &err);
    free(n->last);
    n->last = NULL;
    if (rc)
        return fail(rc, &err);
    return n->found || (p->kind == KIND_DIR && !*p->machine) ? 0 : -ENOENT;
}

static int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    const struct revfs_file *file;
    struct revfs_snap *snap;
    struct place p;
    struct names n;
    const char *rest;
    int is_dir, rc = find_snap(&snap, &rest, &p, path);

    (void)fi;
    if (rc == 0) {
        file = revfs_find(snap, rest, &is_dir);
        if (file)
            set_attr(st, S_IFREG | 0444, file->size, snap->time);
        else if (is_dir || strcmp(rest, REVFS_PARTITIONS) == 0)
            set_attr(st, S_IFDIR | 0555, 0, snap->time);
        else
            rc = -ENOENT;
    } else if (rc > 0 && !(rc = find_place(&n, &p, NULL, NULL))) {
        bool link = p.kind == KIND_LATEST || p.kind == KIND_TAG;
        set_attr(st, link ? S_IFLNK | 0777 : S_IFDIR | 0555, 0, 0);
    }
    release(&p);
    return rc;
}

static int fs_readlink(const char *path, char *buf, size_t size)
{
    struct place p;
    struct names n;
    int rc;

    if (self()->options->id)
        return -EINVAL;
    parse(&p, path);
    if (p.kind != KIND_LATEST && p.kind != KIND_TAG)
        rc = -EINVAL;
    else if (!(rc = find_place(&n, &p, NULL, NULL)))
        snprintf(buf, size, "%srevisions/%.*s", p.kind == KIND_TAG ? "../" : "", ID_SHOWN, n.id);
    release(&p);
    return rc;
}

static void fill_files(struct names *n, const struct revfs_file *files, size_t count,
    const char *dir)
{
    size_t len = strlen(dir);

    for (size_t i = 0; i < count; i++) {
        const char *p = files[i].path;
        if (len && (strncmp(p, dir, len) != 0 || p[len] != '/'))
            continue;
        p += len ? len + 1 : 0;
        /* Those of one directory follow one another. */
        add_name(n, p, strcspn(p, "/"));
    }
}

/* The names that a revision has in one of its directories. */
static void fill_snap(const struct revfs_snap *snap, const char *dir, void *buf,
    fuse_fill_dir_t fill)
{
    struct names n = {.buf = buf, .fill = fill};

    if (is_partitions(dir))
        fill_files(&n, snap->parts, snap->part_count, dir);
    else
        fill_files(&n, snap->files, snap->count, dir);
    if (!*dir && self()->options->partitions)
        add_name(&n, REVFS_PARTITIONS, strlen(REVFS_PARTITIONS));
    free(n.last);
}

static int fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
    struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    struct revfs_snap *snap;
    struct place p;
    struct names n;
    const char *rest;
    int rc = find_snap(&snap, &rest, &p, path);

    (void)offset, (void)fi, (void)flags;
    fill(buf, ".", NULL, 0, 0);
    fill(buf, "..", NULL, 0, 0);
    if (rc == 0) {
        fill_snap(snap, rest, buf, fill);
    } else if (rc > 0 && !(rc = find_place(&n, &p, buf, fill)) && *n.id && p.kind == KIND_DIR) {
        fill(buf, "latest", NULL, 0, 0);
        fill(buf, "tags", NULL, 0, 0);
        fill(buf, "revisions", NULL, 0, 0);
    }
    release(&p);
    return rc;
}

static int fs_open(const char *path, struct fuse_file_info *fi)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const struct revfs_file *file;
    struct revfs_handle *handle;
    struct revfs_snap *snap;
    struct place p;
    const char *rest;
    int is_dir, rc = find_snap(&snap, &rest, &p, path);

    if (rc == 0) {
        file = revfs_find(snap, rest, &is_dir);
        rc = !file ? -ENOENT : (fi->flags & O_ACCMODE) != O_RDONLY ? -EROFS : 0;
        if (!rc && (rc = revfs_open(&handle, self()->fs, snap, file, &err)))
            rc = rc == VMSCM_ENOTFOUND ? fail(VMSCM_EIO, &err) : fail(rc, &err);
        if (!rc) {
            fi->fh = (uint64_t)(uintptr_t)handle;
            fi->keep_cache = 1; /* it never changes */
        }
    }
    release(&p);
    return rc > 0 ? -ENOENT : rc;
}

static struct revfs_handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct revfs_handle *)(uintptr_t)fi->fh;
}

static int fs_read(const char *path, char *data, size_t len, off_t offset,
    struct fuse_file_info *fi)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    size_t got = 0;
    int rc = revfs_read(handle_of(fi), data, len, (uint64_t)offset, &got, &err);

    (void)path;
    if (rc == VMSCM_ENOTFOUND)
        rc = VMSCM_EDAMAGED;
    return rc ? fail(rc, &err) : (int)got;
}

static int fs_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    revfs_close(self()->fs, handle_of(fi));
    return 0;
}

static off_t fs_lseek(const char *path, off_t offset, int whence, struct fuse_file_info *fi)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct revfs_handle *h = handle_of(fi);
    uint64_t at = (uint64_t)offset, size = revfs_size(h), len;
    int rc, zero;

    (void)path;
    if (offset < 0 || at >= size)
        return -ENXIO;
    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return -EINVAL;
    for (; at < size; at += len) {
        if ((rc = revfs_extent(h, at, &len, &zero, &err)))
            return fail(rc, &err);
        if (!!zero == (whence == SEEK_HOLE))
            return (off_t)at;
    }
    return whence == SEEK_HOLE ? (off_t)size : -ENXIO;
}

static void *fs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    struct mountfs *m = fuse_get_context()->private_data;

    (void)conn;
    config->entry_timeout = config->attr_timeout = m->options->id ? 3600 : KEPT;
    config->negative_timeout = 0;
    config->use_ino = 0;
    return m;
}

static const struct fuse_operations operations = {.init = fs_init,
    .getattr = fs_getattr,
    .readlink = fs_readlink,
    .readdir = fs_readdir,
    .open = fs_open,
    .read = fs_read,
    .release = fs_release,
    .lseek = fs_lseek};

/* libfuse says why; our own line is to be the only one. */
static void silent(enum fuse_log_level level, const char *fmt, va_list args)
{
    (void)level, (void)fmt, (void)args;
}

static int serve(struct fuse *fuse, const struct mountfs_options *o, struct vmscm_error *err)
{
    struct fuse_loop_config config = {.clone_fd = 0, .max_idle_threads = 10};
    int rc;

    if (fuse_set_signal_handlers(fuse_get_session(fuse)))
        return report_set(err, VMSCM_EIO, "%s: signals cannot be handled", o->dir);
    rc = fuse_loop_mt(fuse, &config);
    fuse_remove_signal_handlers(fuse_get_session(fuse));
    return rc < 0 ? report_set(err, VMSCM_EIO, "%s: %s", o->dir, strerror(-rc)) : 0;
}

int mountfs_run(struct revfs *fs, const struct mountfs_options *o, struct vmscm_error *err)
{
    struct mountfs m = {fs, o};
    char *options = memory_printf("ro,fsname=%s,subtype=vmscm,default_permissions%s", o->source,
        o->allow_other ? ",allow_other" : "");
    char *argv[] = {(char *)"vmscm", (char *)"-o", options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse *fuse;
    int rc = 0;

    fuse_set_log_func(silent);
    fuse = fuse_new(&args, &operations, sizeof operations, &m);
    if (!fuse) {
        rc = report_set(err, VMSCM_EIO, "%s: FUSE does not start", o->dir);
    } else if (fuse_mount(fuse, o->dir)) {
        rc = report_set(err, VMSCM_EIO, "%s: cannot be mounted on: %s", o->dir, strerror(errno));
        report_hint(err, o->allow_other && getuid() ? "--allow-other needs user_allow_other in /etc/fuse.conf"
                                                    : "vmscm nbd serves the same without a mount");
    }
    if (!rc) {
        o->ready(o->data);
        if (!o->foreground && fuse_daemonize(0))
            rc = report_set(err, VMSCM_EIO, "%s: %s", o->dir, strerror(errno));
        if (!rc)
            rc = serve(fuse, o, err);
        fuse_unmount(fuse);
    }
    if (fuse)
        fuse_destroy(fuse);
    fuse_opt_free_args(&args);
    free(options);
    return rc;
}
