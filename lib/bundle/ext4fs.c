/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What libext2fs would take from the clock or the machine is set: fs->now, the superblock's times, which
 * signs characters have in hashes of names.
 */
#include "bundle/ext4fs.h"
#include "bundle/ext4mk.h"

#include <errno.h>
#include <string.h>
#include <stdlib.h>

#define WINDOW (1u << 20)
#define BLOCK VMSCM_EXT4FS_BLOCK
#define TAIL ((uint32_t)sizeof(struct ext2_dir_entry_tail))

struct vmscm_ext4fs {
    ext2_filsys fs;
    blk64_t goal; /* where the next blocks are looked for */

    ext2_ino_t ino; /* of what is being written */
    ext2_extent_handle_t extents;
    uint64_t window_at; /* in the file, a multiple of its size; what was put there is from low to high */
    size_t low, high;
    uint8_t *window;

    struct vmscm_ext4fs_dir dir;
    uint64_t dir_blocks;
    uint32_t last; /* where the last entry of the block is */
};

static int failed(const struct vmscm_ext4fs *e, errcode_t code, struct vmscm_error *err)
{
    return vmscm_ext4mk_failed(e->fs, code, err);
}

int vmscm_ext4fs_create(struct vmscm_ext4fs **out, const char *path, const struct vmscm_ext4fs_needs *needs,
    struct vmscm_error *err)
{
    struct vmscm_ext4fs *e = calloc(1, sizeof *e);
    int rc;

    *out = NULL;
    if (!e || !(e->window = malloc(WINDOW))) {
        free(e);
        return vmscm_error_nomem(err);
    }
    if ((rc = vmscm_ext4mk_make(&e->fs, path, needs, err))) {
        vmscm_ext4fs_close(e);
        return rc;
    }
    *out = e;
    return 0;
}

void vmscm_ext4fs_close(struct vmscm_ext4fs *e)
{
    if (!e)
        return;
    if (e->extents)
        ext2fs_extent_free(e->extents);
    if (e->fs)
        ext2fs_free(e->fs);
    free(e->window);
    free(e);
}

int vmscm_ext4fs_finish(struct vmscm_ext4fs **fs, struct vmscm_error *err)
{
    struct vmscm_ext4fs *e = *fs;
    int rc = vmscm_ext4mk_finish(&e->fs, err);

    vmscm_ext4fs_close(e);
    *fs = NULL;
    return rc;
}

uint64_t vmscm_ext4fs_size(const struct vmscm_ext4fs *e)
{
    return ext2fs_blocks_count(e->fs->super) * BLOCK;
}

static uint16_t mode_of(const struct vmscm_ext4fs_inode *inode)
{
    static const uint16_t kinds[] = {
        LINUX_S_IFREG, LINUX_S_IFREG, LINUX_S_IFLNK, LINUX_S_IFCHR, LINUX_S_IFBLK, LINUX_S_IFDIR,
        LINUX_S_IFIFO};

    return (uint16_t)(kinds[inode->type - '0'] | (inode->mode & 07777));
}

/* Seconds in 34 bits, from -2^31 on, and nanoseconds. */
static void put_time(__u32 *seconds, __u32 *extra, const struct vmscm_tarmember_time *time)
{
    int64_t s = time->seconds, min = INT32_MIN, max = min + (INT64_C(1) << 34) - 1;

    s = s < min ? min : s > max ? max : s;
    *seconds = (uint32_t)s;
    *extra = (uint32_t)((uint64_t)(s - (int32_t)*seconds) >> 32 & 3) | time->nanoseconds << 2;
}

static void put_device(struct ext2_inode_large *raw, const struct vmscm_ext4fs_inode *inode)
{
    if (inode->major < 256 && inode->minor < 256)
        raw->i_block[0] = inode->major << 8 | inode->minor;
    else
        raw->i_block[1] = (inode->minor & 0xff) | inode->major << 8 | (inode->minor & ~0xffu) << 12;
}

static int reserve(struct vmscm_ext4fs *e, ext2_ino_t ino, uint64_t first, uint64_t count,
    struct vmscm_error *err)
{
    errcode_t code = ext2fs_fallocate(e->fs, EXT2_FALLOCATE_FORCE_INIT, ino, NULL, e->goal, first, count);

    return code ? failed(e, code, err) : 0;
}

/* A symbolic link of 60 bytes or more has a block of its own. */
static int put_target(struct vmscm_ext4fs *e, ext2_ino_t ino, const char *target, struct vmscm_error *err)
{
    struct vmscm_tarmember_span span = {0, strlen(target)};
    int rc;

    if ((rc = vmscm_ext4fs_begin(e, ino, &span, 1, err)) ||
        (rc = vmscm_ext4fs_write(e, 0, target, (size_t)span.length, err)))
        return rc;
    return vmscm_ext4fs_end(e, err);
}

int vmscm_ext4fs_put(struct vmscm_ext4fs *e, const struct vmscm_ext4fs_inode *inode, struct vmscm_error *err)
{
    union {
        struct ext2_inode_large large;
        struct ext2_inode small;
        uint8_t bytes[256];
    } raw = {.bytes = {0}};
    struct ext2_inode_large *r = &raw.large;
    size_t target = inode->target ? strlen(inode->target) : 0;
    bool is_dir = inode->type == '5', is_file = inode->type == '0', fast = target < sizeof r->i_block;
    struct vmscm_tarmember_time made = {e->fs->now, 0};
    ext2_extent_handle_t handle;
    errcode_t code = 0;

    r->i_mode = mode_of(inode);
    r->i_uid = (uint16_t)inode->uid;
    r->i_uid_high = (uint16_t)(inode->uid >> 16);
    r->i_gid = (uint16_t)inode->gid;
    r->i_gid_high = (uint16_t)(inode->gid >> 16);
    r->i_extra_isize = sizeof *r - EXT2_GOOD_OLD_INODE_SIZE;
    r->i_links_count = inode->links >= EXT2_LINK_MAX ? 1 : (uint16_t)inode->links;
    put_time(&r->i_mtime, &r->i_mtime_extra, &inode->mtime);
    put_time(&r->i_atime, &r->i_atime_extra, &inode->atime);
    put_time(&r->i_ctime, &r->i_ctime_extra, &inode->ctime);
    put_time(&r->i_crtime, &r->i_crtime_extra, &made);
    if (inode->type == '3' || inode->type == '4')
        put_device(r, inode);
    if (inode->type == '2')
        r->i_size = (uint32_t)target;
    if (is_file)
        ext2fs_inode_size_set(e->fs, &raw.small, inode->size);
    if (inode->type == '2' && fast)
        memcpy(r->i_block, inode->target, target);
    else if (is_dir || is_file || inode->type == '2') {
        r->i_flags |= EXT4_EXTENTS_FL;
        if (!(code = ext2fs_extent_open2(e->fs, inode->ino, &raw.small, &handle)))
            ext2fs_extent_free(handle);
    }
    if (!code)
        code = ext2fs_write_inode_full(e->fs, inode->ino, &raw.small, sizeof raw);
    if (code)
        return failed(e, code, err);
    if (inode->ino >= VMSCM_EXT4FS_FIRST)
        ext2fs_inode_alloc_stats2(e->fs, inode->ino, 1, is_dir);
    return inode->type == '2' && !fast ? put_target(e, inode->ino, inode->target, err) : 0;
}

int vmscm_ext4fs_xattr(struct vmscm_ext4fs *e, bool *kept, uint32_t ino, const char *name, const void *value,
    size_t len, struct vmscm_error *err)
{
    static const char *const kinds[] = {"user.", "trusted.", "security."};
    struct ext2_xattr_handle *handle = NULL;
    bool known = strcmp(name, "system.posix_acl_access") == 0 ||
        strcmp(name, "system.posix_acl_default") == 0;
    errcode_t code;

    for (size_t i = 0; i < 3; i++)
        known |= strncmp(name, kinds[i], strlen(kinds[i])) == 0 && name[strlen(kinds[i])];
    *kept = known && strlen(name) <= 255;
    if (!*kept)
        return 0;
    if (!(code = ext2fs_xattrs_open(e->fs, ino, &handle)) && !(code = ext2fs_xattrs_read(handle)))
        code = ext2fs_xattr_set(handle, name, value, len);
    if (handle)
        ext2fs_xattrs_close(&handle);
    *kept = code != EXT2_ET_EA_NO_SPACE && code != EINVAL;
    return *kept && code ? failed(e, code, err) : 0;
}

int vmscm_ext4fs_begin(struct vmscm_ext4fs *e, uint32_t ino, const struct vmscm_tarmember_span *spans,
    size_t count, struct vmscm_error *err)
{
    errcode_t code;

    for (size_t i = 0; i < count; ) {
        uint64_t first = spans[i].offset / BLOCK, end = 0;
        int rc;
        /* Spans may begin and end within one block. */
        for (; i < count && (!end || spans[i].offset / BLOCK <= end); i++)
            end = (spans[i].offset + spans[i].length + BLOCK - 1) / BLOCK;
        if ((rc = reserve(e, ino, first, end - first, err)))
            return rc;
    }
    e->ino = ino;
    e->window_at = e->low = e->high = 0;
    if ((code = ext2fs_extent_open(e->fs, ino, &e->extents)))
        return failed(e, code, err);
    return 0;
}

/* The window's blocks to where they are; what was not reserved is a hole. */
static int flush(struct vmscm_ext4fs *e, struct vmscm_error *err)
{
    size_t at = e->low / BLOCK, end = (e->high + BLOCK - 1) / BLOCK;
    errcode_t code = 0;

    while (at < end) {
        struct ext2fs_extent extent;
        blk64_t want = e->window_at / BLOCK + at;
        size_t skip, n;
        if ((code = ext2fs_extent_goto(e->extents, want)) == EXT2_ET_EXTENT_NOT_FOUND) {
            at++;
            code = 0;
            continue;
        }
        if (code || (code = ext2fs_extent_get(e->extents, EXT2_EXTENT_CURRENT, &extent)))
            break;
        skip = (size_t)(want - extent.e_lblk);
        n = extent.e_len - skip < end - at ? extent.e_len - skip : end - at;
        if ((code = io_channel_write_blk64(
                 e->fs->io, extent.e_pblk + skip, (int)n, e->window + at * BLOCK)))
            break;
        e->goal = extent.e_pblk + skip + n;
        at += n;
    }
    e->low = e->high = 0;
    return code ? failed(e, code, err) : 0;
}

int vmscm_ext4fs_write(struct vmscm_ext4fs *e, uint64_t offset, const void *data, size_t len,
    struct vmscm_error *err)
{
    const uint8_t *from = data;
    int rc;

    while (len) {
        uint64_t window = offset / WINDOW * WINDOW;
        size_t at = (size_t)(offset - window), n = WINDOW - at < len ? WINDOW - at : len;
        if (e->high && window != e->window_at && (rc = flush(e, err)))
            return rc;
        if (!e->high) {
            memset(e->window, 0, WINDOW);
            e->window_at = window;
            e->low = at;
        }
        memcpy(e->window + at, from, n);
        e->high = at + n;
        offset += n;
        from += n;
        len -= n;
    }
    return 0;
}

int vmscm_ext4fs_end(struct vmscm_ext4fs *e, struct vmscm_error *err)
{
    int rc = e->high ? flush(e, err) : 0;

    ext2fs_extent_free(e->extents);
    e->extents = NULL;
    return rc;
}

bool vmscm_ext4fs_dir_room(struct vmscm_ext4fs_dir *dir, size_t name_len)
{
    uint32_t len = (uint32_t)((8 + name_len + 3) & ~(size_t)3);
    bool begins = !dir->blocks || dir->at + len > BLOCK - TAIL;

    if (begins) {
        dir->at = 0;
        dir->blocks++;
    }
    dir->at += len;
    return begins;
}

int vmscm_ext4fs_dir_begin(struct vmscm_ext4fs *e, uint32_t ino, uint64_t blocks, struct vmscm_error *err)
{
    struct vmscm_tarmember_span span = {0, blocks * BLOCK};
    struct ext2_inode inode;
    errcode_t code;

    if ((code = ext2fs_read_inode(e->fs, ino, &inode)) ||
        (code = ext2fs_inode_size_set(e->fs, &inode, span.length)) ||
        (code = ext2fs_write_inode(e->fs, ino, &inode)))
        return failed(e, code, err);
    e->dir = (struct vmscm_ext4fs_dir){0, 0};
    e->dir_blocks = blocks;
    return vmscm_ext4fs_begin(e, ino, &span, 1, err);
}

/* The block that is full goes to where it belongs. */
static int put_dir_block(struct vmscm_ext4fs *e, struct vmscm_error *err)
{
    struct ext2_dir_entry *last = (struct ext2_dir_entry *)(e->window + e->last);
    struct ext2fs_extent extent;
    blk64_t want = e->dir.blocks - 1;
    errcode_t code = ext2fs_set_rec_len(e->fs, BLOCK - TAIL - e->last, last);

    ext2fs_initialize_dirent_tail(e->fs, EXT2_DIRENT_TAIL(e->window, BLOCK));
    if (!code && !(code = ext2fs_extent_goto(e->extents, want)) &&
        !(code = ext2fs_extent_get(e->extents, EXT2_EXTENT_CURRENT, &extent))) {
        e->goal = extent.e_pblk + (want - extent.e_lblk) + 1;
        code = ext2fs_write_dir_block4(e->fs, e->goal - 1, e->window, 0, e->ino);
    }
    return code ? failed(e, code, err) : 0;
}

int vmscm_ext4fs_dir_entry(struct vmscm_ext4fs *e, const char *name, uint32_t ino, char type,
    struct vmscm_error *err)
{
    static const uint8_t kinds[] = {EXT2_FT_REG_FILE, EXT2_FT_REG_FILE, EXT2_FT_SYMLINK, EXT2_FT_CHRDEV,
        EXT2_FT_BLKDEV, EXT2_FT_DIR, EXT2_FT_FIFO};
    size_t len = strlen(name);
    struct vmscm_ext4fs_dir next = e->dir;
    struct ext2_dir_entry *entry;
    errcode_t code;
    int rc;

    if (vmscm_ext4fs_dir_room(&next, len)) {
        if (e->dir.blocks && (rc = put_dir_block(e, err)))
            return rc;
        memset(e->window, 0, BLOCK);
        e->dir.at = 0;
    }
    e->last = e->dir.at;
    e->dir = next;
    entry = (struct ext2_dir_entry *)(e->window + e->last);
    entry->inode = ino;
    ext2fs_dirent_set_name_len(entry, (int)len);
    ext2fs_dirent_set_file_type(entry, kinds[type - '0']);
    memcpy(entry->name, name, len);
    code = ext2fs_set_rec_len(e->fs, next.at - e->last, entry);
    return code ? failed(e, code, err) : 0;
}

int vmscm_ext4fs_dir_end(struct vmscm_ext4fs *e, struct vmscm_error *err)
{
    int rc = put_dir_block(e, err);

    /* Blocks that are reserved beyond the names: lost+found has some. */
    while (!rc && e->dir.blocks < e->dir_blocks) {
        struct ext2_dir_entry *entry = (struct ext2_dir_entry *)e->window;
        memset(e->window, 0, BLOCK);
        e->last = 0;
        e->dir.blocks++;
        entry->inode = 0;
        rc = put_dir_block(e, err);
    }
    e->high = 0;
    ext2fs_extent_free(e->extents);
    e->extents = NULL;
    return rc;
}
