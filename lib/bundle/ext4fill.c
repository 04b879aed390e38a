/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/ext4fill.h"
#include "bundle/containerread.h"
#include "bundle/filetree.h"
#include "format/acltext.h"
#include "repo/handle.h"

#include <inttypes.h>
#include <string.h>

#define BLOCK VMSCM_EXT4FS_BLOCK
#define NONE VMSCM_FILETREE_NONE
#define IN_INODE 80u          /* bytes of attributes that are surely within the inode */
#define SPANS_PER_BLOCK 340u  /* extents in a block */
#define LOST_AND_FOUND "lost+found"
#define LOST_BLOCKS 4u
#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"
#define TARGET_MAX (BLOCK - 1)

struct fill {
    const struct vmscm_ext4fill_options *options;
    struct vmscm_blockdev *stream;
    struct vmscm_filetree tree;
    VMSCM_VEC(uint32_t) owners; /* of each member, the file that it is */
    uint32_t lost;              /* lost+found's file, if no member is it; else NONE */
    uint64_t blocks;            /* that members need */
    uint64_t done;
    unsigned warned;
    struct vmscm_ext4fs *fs;
};

/* One member after the other, with its map read if that is in its data. data and len: what of the data was
 * looked at beyond the map. */
struct member {
    struct vmscm_containerread *r;
    struct vmscm_tarmember m;
    const uint8_t *data;
    size_t len;
    uint32_t number;
};

static int begin(struct member *m, struct fill *f, struct vmscm_error *err)
{
    *m = (struct member){.number = NONE};
    return vmscm_containerread_open(&m->r, f->stream, err);
}

static void end(struct member *m)
{
    vmscm_containerread_close(m->r);
    vmscm_tarmember_release(&m->m);
}

static int damaged(const struct member *m, struct vmscm_error *err)
{
    return vmscm_error_set(
        err, VMSCM_EINPUT, "%.300s: ends before its end", m->m.path ? m->m.path : ".");
}

/* *more false: that was the last. */
static int next(struct member *m, bool *more, struct vmscm_error *err)
{
    const struct vmscm_container_group *group;
    uint64_t length;
    int rc = vmscm_containerread_next(m->r, &group, &length, err);

    *more = group != NULL;
    m->len = 0;
    if (rc || !group || (rc = vmscm_tarmember_decode(&m->m, group, err)))
        return rc;
    m->number++;
    while (m->m.map_in_data) {
        size_t used;
        if ((rc = vmscm_containerread_data(m->r, &m->data, &m->len, err)))
            return rc;
        if (!m->len)
            return damaged(m, err);
        if ((rc = vmscm_tarmember_map(&m->m, m->data, m->len, &used, err)))
            return rc;
        m->data += used;
        m->len -= used;
    }
    return 0;
}

static uint64_t blocks_of(const struct vmscm_tarmember *m)
{
    uint64_t blocks = 0, attributes = 0;

    for (size_t i = 0; i < m->spans.len; i++)
        blocks += m->spans.items[i].length / BLOCK + 2;
    if (!m->sparse)
        blocks += (m->stored + BLOCK - 1) / BLOCK;
    blocks += m->spans.len / SPANS_PER_BLOCK * 2 + (blocks > 32768 ? blocks / 32768 / 4 + 2 : 0);
    for (size_t i = 0; i < m->xattrs.len; i++)
        attributes += strlen(m->xattrs.items[i].name) + m->xattrs.items[i].len + 20;
    if (m->acl || m->default_acl || attributes > IN_INODE)
        blocks++;
    return blocks + (m->type == '2'); /* if it is a long one */
}

/* First: what there will be. */
static int look(struct fill *f, struct vmscm_error *err)
{
    struct member m;
    uint32_t *owner;
    bool more = true;
    int rc = begin(&m, f, err);

    while (!rc && !(rc = next(&m, &more, err)) && more) {
        if (m.m.size > VMSCM_EXT4FS_FILE_MAX)
            rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "%.300s: is too long for ext4", m.m.path);
        else if (m.m.type == '2' && (!m.m.link || !*m.m.link || strlen(m.m.link) > TARGET_MAX))
            rc = vmscm_error_set(err, VMSCM_EINPUT, "%.300s: is a symbolic link to %s",
                m.m.path ? m.m.path : ".", m.m.link && *m.m.link ? "a name that is too long" : "nothing");
        else if (!(rc = vmscm_vec_add(&f->owners, &owner, err)))
            rc = vmscm_filetree_add(&f->tree, owner, m.number, m.m.type, m.m.path, m.m.link, err);
        f->blocks += blocks_of(&m.m);
    }
    end(&m);
    return rc;
}

static bool is_there(const struct vmscm_filetree_file *file)
{
    return !file->gone;
}

/* The tree's files, but for the root, in order, have the numbers from the first that is free on. */
static int number(struct fill *f, uint32_t **numbers, uint64_t *count, struct vmscm_error *err)
{
    uint32_t ino = VMSCM_EXT4FS_FIRST;

    if (!(*numbers = calloc(f->tree.files.len, sizeof **numbers)))
        return vmscm_error_nomem(err);
    (*numbers)[VMSCM_FILETREE_ROOT] = VMSCM_EXT4FS_ROOT;
    /* lost+found is the first, as e2fsck expects it. */
    if (f->lost != NONE)
        (*numbers)[f->lost] = ino++;
    for (uint32_t i = 1; i < f->tree.files.len; i++)
        if (i != f->lost && is_there(&f->tree.files.items[i]))
            (*numbers)[i] = ino++;
    *count = ino - VMSCM_EXT4FS_FIRST;
    return 0;
}

/* Calls each for a directory's names. */
static int each_name(struct fill *f, uint32_t dir,
    int (*each)(void *data, const char *name, uint32_t file, struct vmscm_error *err), void *data,
    struct vmscm_error *err)
{
    uint32_t i = f->tree.files.items[dir].entries;
    int rc = 0;

    if (!(rc = each(data, ".", dir, err)))
        rc = each(data, "..", f->tree.files.items[dir].parent, err);
    for (; i != NONE && !rc; i = f->tree.entries.items[i].next) {
        const struct vmscm_filetree_entry *e = &f->tree.entries.items[i];
        if (e->file != NONE)
            rc = each(data, vmscm_filetree_name(&f->tree, e), e->file, err);
    }
    return rc;
}

static int count_name(void *data, const char *name, uint32_t file, struct vmscm_error *err)
{
    (void)file, (void)err;
    vmscm_ext4fs_dir_room(data, strlen(name));
    return 0;
}

static uint64_t dir_blocks(struct fill *f, uint32_t dir)
{
    struct vmscm_ext4fs_dir counted = {0, 0};

    each_name(f, dir, count_name, &counted, NULL);
    return dir == f->lost && counted.blocks < LOST_BLOCKS ? LOST_BLOCKS : counted.blocks;
}

struct naming {
    struct fill *f;
    const uint32_t *numbers;
};

static int put_name(void *data, const char *name, uint32_t file, struct vmscm_error *err)
{
    const struct naming *n = data;

    return vmscm_ext4fs_dir_entry(
        n->f->fs, name, n->numbers[file], n->f->tree.files.items[file].type, err);
}

static int put_dir(struct fill *f, const uint32_t *numbers, uint32_t dir, struct vmscm_error *err)
{
    struct naming n = {f, numbers};
    int rc = vmscm_ext4fs_dir_begin(f->fs, numbers[dir], dir_blocks(f, dir), err);

    if (!rc && !(rc = each_name(f, dir, put_name, &n, err)))
        rc = vmscm_ext4fs_dir_end(f->fs, err);
    return rc;
}

static int put_inode(struct fill *f, const uint32_t *numbers, uint32_t file,
    const struct vmscm_tarmember *m, struct vmscm_error *err)
{
    const struct vmscm_filetree_file *t = &f->tree.files.items[file];
    struct vmscm_tarmember_time now = {f->options->time, 0};
    struct vmscm_ext4fs_inode inode = {.ino = numbers[file], .type = t->type,
        .links = t->type == '5' ? t->links + (uint64_t)2 : t->links,
        .mode = file == f->lost ? 0700 : 0755, .mtime = now, .atime = now, .ctime = now};

    if (m) {
        inode.mode = m->mode;
        inode.uid = m->uid;
        inode.gid = m->gid;
        inode.major = m->major;
        inode.minor = m->minor;
        inode.size = m->size;
        inode.mtime = m->mtime;
        inode.atime = m->atime;
        inode.ctime = m->ctime;
        inode.target = m->type == '2' ? m->link : NULL;
    }
    if (t->type != '5' && t->links > 65000)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED,
            "%.300s: has %" PRIu32 " names, and ext4 allows 65000", m && m->path ? m->path : ".",
            t->links);
    return vmscm_ext4fs_put(f->fs, &inode, err);
}

static void lose(struct fill *f, const struct vmscm_tarmember *m, const char *what)
{
    if (f->warned++ < 20)
        vmscm_handle_warn(f->options->events, "%.300s: %.255s is left out: ext4 cannot hold it",
            m->path ? m->path : ".", what);
}

static int put_acl(struct fill *f, uint32_t ino, const struct vmscm_tarmember *m, const char *name,
    const char *text, struct vmscm_error *err)
{
    struct vmscm_buf value = VMSCM_BUF_INIT;
    bool names = false, kept = true;
    int rc = vmscm_acltext_encode(&value, &names, text, err);

    if (rc)
        vmscm_error_prefix(err, "%.300s", m->path ? m->path : ".");
    else if (value.len)
        rc = vmscm_ext4fs_xattr(f->fs, &kept, ino, name, value.data, value.len, err);
    if (!rc && !kept)
        lose(f, m, name);
    if (!rc && names && f->warned++ < 20)
        vmscm_handle_warn(f->options->events,
            "%.300s: entries of its access control list are left out: they have names, and no numbers",
            m->path ? m->path : ".");
    vmscm_buf_release(&value);
    return rc;
}

/* An archive may have a list twice, and only this has numbers for certain. */
static bool has_xattr(const struct vmscm_tarmember *m, const char *name)
{
    for (size_t i = 0; i < m->xattrs.len; i++)
        if (strcmp(m->xattrs.items[i].name, name) == 0)
            return true;
    return false;
}

static int put_attributes(struct fill *f, uint32_t ino, const struct vmscm_tarmember *m,
    struct vmscm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < m->xattrs.len && !rc; i++) {
        const struct vmscm_tarmember_xattr *x = &m->xattrs.items[i];
        bool kept = true;
        rc = vmscm_ext4fs_xattr(f->fs, &kept, ino, x->name, x->value, x->len, err);
        if (!rc && !kept)
            lose(f, m, x->name);
    }
    if (!rc && m->acl && !has_xattr(m, ACCESS))
        rc = put_acl(f, ino, m, ACCESS, m->acl, err);
    if (!rc && m->default_acl && m->type == '5' && !has_xattr(m, DEFAULT))
        rc = put_acl(f, ino, m, DEFAULT, m->default_acl, err);
    return rc;
}

static int progress(struct fill *f, uint64_t more, struct vmscm_error *err)
{
    f->done += more;
    return f->options->progress && f->options->progress(f->options->data, f->done)
        ? vmscm_error_set(err, VMSCM_ECANCELED, "ext4: canceled")
        : 0;
}

static int put_content(struct fill *f, uint32_t ino, struct member *m, struct vmscm_error *err)
{
    struct vmscm_tarmember_span all = {0, m->m.stored};
    const struct vmscm_tarmember_span *spans = m->m.sparse ? m->m.spans.items : &all;
    size_t count = m->m.sparse ? m->m.spans.len : m->m.stored != 0, at = 0;
    uint64_t within = 0, left = m->m.stored;
    int rc = vmscm_ext4fs_begin(f->fs, ino, spans, count, err);

    if (rc)
        return rc;
    while (left && !rc) {
        size_t n;
        if (!m->len && (rc = vmscm_containerread_data(m->r, &m->data, &m->len, err)))
            break;
        if (!m->len || at == count) {
            rc = damaged(m, err);
            break;
        }
        n = m->len < left ? m->len : (size_t)left;
        if (n > spans[at].length - within)
            n = (size_t)(spans[at].length - within);
        if ((rc = vmscm_ext4fs_write(f->fs, spans[at].offset + within, m->data, n, err)) ||
            (rc = progress(f, n, err)))
            break;
        m->data += n;
        m->len -= n;
        left -= n;
        if ((within += n) == spans[at].length)
            at++, within = 0;
    }
    if (rc)
        vmscm_ext4fs_end(f->fs, NULL);
    return rc ? rc : vmscm_ext4fs_end(f->fs, err);
}

/* Then: all of it, members in their order. */
static int fill(struct fill *f, const uint32_t *numbers, struct vmscm_error *err)
{
    struct member m;
    bool more = true;
    int rc = begin(&m, f, err);

    while (!rc && !(rc = next(&m, &more, err)) && more) {
        uint32_t file = m.number < f->owners.len ? f->owners.items[m.number] : NONE;
        const struct vmscm_filetree_file *t = file == NONE ? NULL : &f->tree.files.items[file];
        if (!t || !is_there(t) || t->member != m.number)
            continue;
        if ((rc = put_inode(f, numbers, file, &m.m, err)) ||
            (t->type == '0' && (rc = put_content(f, numbers[file], &m, err))) ||
            (t->type == '5' && (rc = put_dir(f, numbers, file, err))))
            break;
        rc = put_attributes(f, numbers[file], &m.m, err);
    }
    end(&m);
    /* Directories that are in names only. */
    for (uint32_t i = 0; i < f->tree.files.len && !rc; i++) {
        const struct vmscm_filetree_file *t = &f->tree.files.items[i];
        if (is_there(t) && t->member == NONE && !(rc = put_inode(f, numbers, i, NULL, err)))
            rc = put_dir(f, numbers, i, err);
    }
    return rc;
}

static int make_lost_and_found(struct fill *f, struct vmscm_error *err)
{
    size_t had = f->tree.files.len;
    int rc = vmscm_filetree_ensure(&f->tree, LOST_AND_FOUND, err);

    f->lost = !rc && f->tree.files.len > had ? (uint32_t)had : NONE;
    return rc;
}

int vmscm_ext4fill_make(const char *path, struct vmscm_blockdev *stream,
    const struct vmscm_ext4fill_options *options, struct vmscm_error *err)
{
    struct fill f = {.options = options, .stream = stream, .lost = NONE};
    struct vmscm_ext4fs_needs needs = {.size = options->size, .time = options->time};
    uint32_t *numbers = NULL;
    int rc;

    memcpy(needs.uuid, options->uuid, sizeof needs.uuid);
    memcpy(needs.hash_seed, options->hash_seed, sizeof needs.hash_seed);
    if ((rc = vmscm_filetree_begin(&f.tree, err)) || (rc = look(&f, err)) ||
        (rc = make_lost_and_found(&f, err)) || (rc = number(&f, &numbers, &needs.inodes, err)))
        goto out;
    needs.blocks = f.blocks;
    for (uint32_t i = 0; i < f.tree.files.len; i++)
        if (is_there(&f.tree.files.items[i]) && f.tree.files.items[i].type == '5')
            needs.blocks += dir_blocks(&f, i);
    if (!(rc = vmscm_ext4fs_create(&f.fs, path, &needs, err)) && !(rc = fill(&f, numbers, err)))
        rc = vmscm_ext4fs_finish(&f.fs, err);
out:
    vmscm_ext4fs_close(f.fs);
    vmscm_filetree_release(&f.tree);
    vmscm_vec_release(&f.owners);
    free(numbers);
    if (f.warned > 20)
        vmscm_handle_warn(options->events, "%u more of that kind", f.warned - 20);
    return rc;
}
