/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A new ext4 file system in a file, the same bytes each time: blocks of 4 KiB, inodes of 256 bytes, a
 * journal, checksums, room to grow. Inodes are given by number, files written from their start to their end.
 * With ext4mk.h the only user of libext2fs. One thread at a time. Internal to lib/bundle.
 */
#ifndef BUNDLE_EXT4FS_H
#define BUNDLE_EXT4FS_H

#include "base/error.h"
#include "format/tarmember.h"

#define VMSCM_EXT4FS_BLOCK 4096u
#define VMSCM_EXT4FS_ROOT 2u
#define VMSCM_EXT4FS_FIRST 11u /* the first inode that is free */
#define VMSCM_EXT4FS_FILE_MAX ((UINT64_C(1) << 44) - VMSCM_EXT4FS_BLOCK)

struct vmscm_ext4fs;

struct vmscm_ext4fs_needs {
    uint64_t size;   /* of the file, bytes; 0: what is needed and some room */
    uint64_t blocks; /* that what will be written needs, at most */
    uint64_t inodes; /* that will be written, besides the root */
    uint8_t uuid[16], hash_seed[16];
    int64_t time; /* when it is said to be made, seconds since 1970 */
};

/* path: an empty file. VMSCM_EUNSUPPORTED: it does not fit into the size, which err says with the size that
 * is needed; VMSCM_EUSAGE: no size that it can have. */
int vmscm_ext4fs_create(struct vmscm_ext4fs **out, const char *path, const struct vmscm_ext4fs_needs *needs,
    struct vmscm_error *err);
/* Write what is to be written yet, durably. Closes it whatever it returns; *fs becomes NULL. */
int vmscm_ext4fs_finish(struct vmscm_ext4fs **fs, struct vmscm_error *err);
void vmscm_ext4fs_close(struct vmscm_ext4fs *fs); /* to be thrown away; NULL is fine */
uint64_t vmscm_ext4fs_size(const struct vmscm_ext4fs *fs);

struct vmscm_ext4fs_inode {
    uint32_t ino;
    char type; /* as of format/tarmember.h */
    uint32_t mode, uid, gid, major, minor;
    uint64_t size; /* of a regular file */
    uint64_t links; /* of a directory: as "." and ".." count */
    struct vmscm_tarmember_time mtime, atime, ctime;
    const char *target; /* of a symbolic link, of at most 4095 bytes */
};

/* Once for each number, and before what else is done with it. */
int vmscm_ext4fs_put(struct vmscm_ext4fs *fs, const struct vmscm_ext4fs_inode *inode,
    struct vmscm_error *err);
/* *kept false: ext4 has no room for it, or no such kind. */
int vmscm_ext4fs_xattr(struct vmscm_ext4fs *fs, bool *kept, uint32_t ino, const char *name, const void *value,
    size_t len, struct vmscm_error *err);

/* A regular file that has bytes in these spans, and no others; then some of them, in order; then its end. */
int vmscm_ext4fs_begin(struct vmscm_ext4fs *fs, uint32_t ino, const struct vmscm_tarmember_span *spans,
    size_t count, struct vmscm_error *err);
int vmscm_ext4fs_write(struct vmscm_ext4fs *fs, uint64_t offset, const void *data, size_t len,
    struct vmscm_error *err);
int vmscm_ext4fs_end(struct vmscm_ext4fs *fs, struct vmscm_error *err);

/* A directory's entries: what a block has no room for is in the next. */
struct vmscm_ext4fs_dir {
    uint32_t at;       /* bytes used of the last block */
    uint64_t blocks;
};
/* Zero-initialised, then for each name, "." and ".." too: count. True: it begins a block. */
bool vmscm_ext4fs_dir_room(struct vmscm_ext4fs_dir *dir, size_t name_len);

/* blocks: as counted. Then each entry, in that order; then its end. */
int vmscm_ext4fs_dir_begin(struct vmscm_ext4fs *fs, uint32_t ino, uint64_t blocks, struct vmscm_error *err);
int vmscm_ext4fs_dir_entry(struct vmscm_ext4fs *fs, const char *name, uint32_t ino, char type,
    struct vmscm_error *err);
int vmscm_ext4fs_dir_end(struct vmscm_ext4fs *fs, struct vmscm_error *err);

#endif
