/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bundle/ext4mk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define BLOCK VMSCM_EXT4FS_BLOCK
#define UNIT (UINT64_C(4) << 20)       /* sizes that are computed are multiples of it */
#define ROOM_MIN (UINT64_C(64) << 20)  /* that is free at least, if the size is computed */
#define PER_INODE (UINT64_C(16) << 10) /* bytes for each inode, as mke2fs has it */
#define SIZE_MIN (UINT64_C(4) << 20)
#define SIZE_MAX_BYTES (UINT64_C(1) << 50)

int vmscm_ext4mk_failed(ext2_filsys fs, errcode_t code, struct vmscm_error *err)
{
    uint64_t mib = fs ? ext2fs_blocks_count(fs->super) / 256 : 0;

    if (code == EXT2_ET_BLOCK_ALLOC_FAIL || code == EXT2_ET_INODE_ALLOC_FAIL)
        return vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "ext4: the files do not fit into %" PRIu64 " MiB", mib);
    if (code == ENOMEM || code == EXT2_ET_NO_MEMORY)
        return vmscm_error_nomem(err);
    if (code > 0 && code < 4096)
        return vmscm_error_errno(err, (int)code, "ext4");
    return vmscm_error_set(err, VMSCM_EIO, "ext4: libext2fs says 0x%lx", (unsigned long)code);
}

static void set_up(struct ext2_super_block *s, uint64_t size, const struct vmscm_ext4fs_needs *needs)
{
    uint64_t inodes = needs->inodes + needs->inodes / 4 + 64, by_size = size / PER_INODE;

    if (by_size > UINT32_MAX / 2)
        by_size = UINT32_MAX / 2;
    memset(s, 0, sizeof *s);
    s->s_rev_level = EXT2_DYNAMIC_REV;
    s->s_log_block_size = 2;
    s->s_log_cluster_size = 2;
    s->s_inode_size = 256;
    s->s_desc_size = EXT2_MIN_DESC_SIZE_64BIT;
    s->s_log_groups_per_flex = 4;
    s->s_inodes_count = (uint32_t)(inodes > by_size ? inodes : by_size);
    ext2fs_blocks_count_set(s, size / BLOCK);
    ext2fs_r_blocks_count_set(s, size / BLOCK / 20);
    ext2fs_set_feature_filetype(s);
    ext2fs_set_feature_extents(s);
    ext2fs_set_feature_64bit(s);
    ext2fs_set_feature_flex_bg(s);
    ext2fs_set_feature_sparse_super(s);
    ext2fs_set_feature_large_file(s);
    ext2fs_set_feature_huge_file(s);
    ext2fs_set_feature_dir_nlink(s);
    ext2fs_set_feature_extra_isize(s);
    ext2fs_set_feature_metadata_csum(s);
    ext2fs_set_feature_resize_inode(s);
    ext2fs_set_feature_dir_index(s);
    ext2fs_set_feature_xattr(s);
}

static void settle_super(ext2_filsys fs, const struct vmscm_ext4fs_needs *needs)
{
    struct ext2_super_block *s = fs->super;
    int64_t now = needs->time > 0 && needs->time < UINT32_MAX ? needs->time : 1;

    fs->now = (time_t)now;
    s->s_mkfs_time = s->s_lastcheck = s->s_wtime = (uint32_t)now;
    s->s_mkfs_time_hi = s->s_lastcheck_hi = s->s_wtime_hi = 0;
    memcpy(s->s_uuid, needs->uuid, sizeof s->s_uuid);
    memcpy(s->s_hash_seed, needs->hash_seed, sizeof s->s_hash_seed);
    s->s_checksum_type = EXT2_CRC32C_CHKSUM;
    s->s_def_hash_version = EXT2_HASH_HALF_MD4;
    s->s_flags = EXT2_FLAGS_SIGNED_HASH;
    s->s_creator_os = EXT2_OS_LINUX;
    s->s_max_mnt_count = -1;
    s->s_checkinterval = 0;
    s->s_min_extra_isize = s->s_want_extra_isize =
        sizeof(struct ext2_inode_large) - EXT2_GOOD_OLD_INODE_SIZE;
    s->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
    ext2fs_init_csum_seed(fs);
}

static errcode_t reserve_inodes(ext2_filsys fs)
{
    /* The root is a directory, and is among them. */
    for (ext2_ino_t i = EXT2_BAD_INO; i < EXT2_FIRST_INODE(fs->super); i++)
        ext2fs_inode_alloc_stats2(fs, i, 1, i == EXT2_ROOT_INO);
    return 0;
}

static errcode_t lay_out(ext2_filsys fs)
{
    struct ext2fs_journal_params journal = {0, 0};
    int blocks = ext2fs_default_journal_size(ext2fs_blocks_count(fs->super));
    errcode_t code;

    if ((code = ext2fs_allocate_tables(fs)))
        return code;
    /* The file is new, so that the tables are zeros. */
    for (dgrp_t g = 0; g < fs->group_desc_count; g++)
        ext2fs_bg_flags_set(fs, g, EXT2_BG_INODE_ZEROED);
    if ((code = reserve_inodes(fs)) || (code = ext2fs_create_resize_inode(fs)))
        return code;
    if (blocks <= 0)
        return 0;
    journal.num_journal_blocks = (blk_t)blocks;
    return ext2fs_add_journal_inode3(
        fs, &journal, ~UINT64_C(0), EXT2_MKJOURNAL_NO_MNT_CHECK | EXT2_MKJOURNAL_LAZYINIT);
}

/* *spare: the blocks that are free beyond what is needed; negative: so many are missing. */
static int try_size(ext2_filsys *out, int64_t *spare, const char *path, uint64_t size,
    const struct vmscm_ext4fs_needs *needs, struct vmscm_error *err)
{
    struct ext2_super_block super;
    errcode_t code;

    *out = NULL;
    if (truncate(path, 0) < 0 || truncate(path, (off_t)size) < 0)
        return vmscm_error_errno(err, errno, "%s", path);
    set_up(&super, size, needs);
    code = ext2fs_initialize(path, EXT2_FLAG_64BITS, &super, unix_io_manager, out);
    /* The inodes alone take more. */
    if (code == EXT2_ET_TOO_MANY_INODES || code == EXT2_ET_TOOSMALL) {
        *out = NULL;
        *spare = -(int64_t)(needs->blocks + needs->inodes / 12) - 256;
        return 0;
    }
    if (code)
        return vmscm_ext4mk_failed(NULL, code, err);
    settle_super(*out, needs);
    code = lay_out(*out);
    if (code && code != EXT2_ET_BLOCK_ALLOC_FAIL)
        return vmscm_ext4mk_failed(*out, code, err);
    *spare = code ? -(int64_t)needs->blocks - 256
                  : (int64_t)ext2fs_free_blocks_count((*out)->super) - (int64_t)needs->blocks;
    return 0;
}

static uint64_t round_up(uint64_t size)
{
    return (size + UNIT - 1) / UNIT * UNIT;
}

int vmscm_ext4mk_make(ext2_filsys *out, const char *path, const struct vmscm_ext4fs_needs *needs,
    struct vmscm_error *err)
{
    uint64_t need = needs->blocks * BLOCK, size = needs->size / BLOCK * BLOCK;
    uint64_t room = size ? 0 : need / 4 > ROOM_MIN ? need / 4 : ROOM_MIN;
    int64_t spare = 0;
    int rc;

    *out = NULL;
    if ((needs->size && needs->size < SIZE_MIN) || needs->size > SIZE_MAX_BYTES || need > SIZE_MAX_BYTES ||
        needs->inodes > UINT32_MAX / 4)
        return vmscm_error_set(err, VMSCM_EUSAGE, "ext4: a file system has from 4 MiB to 1 PiB");
    if (!size)
        size = round_up(need + needs->inodes * 320 + room + UNIT);
    /* What is missing grows with the size, by the tables, but far less. */
    for (unsigned turn = 0; turn < 16; turn++) {
        if ((rc = try_size(out, &spare, path, size, needs, err)))
            break;
        spare -= (int64_t)(room / BLOCK);
        if (spare >= 0)
            return 0;
        if (*out)
            ext2fs_free(*out);
        *out = NULL;
        if (needs->size) {
            rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED,
                "ext4: the files do not fit into %" PRIu64 " MiB: some %" PRIu64 " MiB are needed",
                needs->size >> 20, (size + (uint64_t)-spare * BLOCK + (2 * UNIT - 1)) >> 20);
            break;
        }
        size = round_up(size + (uint64_t)-spare * BLOCK + (uint64_t)-spare * BLOCK / 32);
        rc = vmscm_error_set(err, VMSCM_EUNSUPPORTED, "ext4: no size was found that is enough");
    }
    if (*out)
        ext2fs_free(*out);
    *out = NULL;
    return rc;
}

int vmscm_ext4mk_finish(ext2_filsys *fs, struct vmscm_error *err)
{
    errcode_t code;
    int rc;

    ext2fs_mark_super_dirty(*fs);
    ext2fs_mark_bb_dirty(*fs);
    ext2fs_mark_ib_dirty(*fs);
    code = ext2fs_set_gdt_csum(*fs);
    if (!code && !(code = ext2fs_close_free(fs)))
        return 0;
    rc = vmscm_ext4mk_failed(NULL, code, err);
    if (*fs)
        ext2fs_free(*fs);
    *fs = NULL;
    return rc;
}
