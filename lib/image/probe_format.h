/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What probe.c and the one file a format share. Internal to lib/image/probe*.c.
 *
 * A format has two functions: one that says from a file's first and last bytes whether it claims to
 * be of this format, and one that reads its headers and tables. The latter also follows the tables
 * to every data block, so that a file that was cut short is noticed: QEMU reads what is missing as
 * zeros.
 */
#ifndef IMAGE_PROBE_FORMAT_H
#define IMAGE_PROBE_FORMAT_H

#include "image/probe.h"
#include <stddef.h>

#define VMSCM_PROBE_SIZE_MAX (UINT64_C(1) << 62) /* bytes the guest may see */

/* The ends of a file: all that decides its format. */
struct vmscm_probe_head {
    uint8_t first[4096]; /* zeros past the end of the file */
    size_t first_len;
    uint8_t last[512]; /* zeros if the file is shorter than that */
};

/* An open regular file. */
struct vmscm_probe_source {
    int fd;           /* -1: none */
    const char *path; /* borrowed */
    uint64_t offset;  /* of the image in it; all others count from there */
    uint64_t size;    /* of the image */
};

/* An image while it is read. */
struct vmscm_probe_image {
    struct vmscm_probe *probe; /* being filled in */
    struct vmscm_probe_source file;
    bool part;            /* of its file, which is an archive: no other file may be named */
    unsigned allow;       /* enum vmscm_allow */
    const char *over;     /* name of a backing file that is not followed; NULL: there is none */
    char *backing;        /* path of the backing file, confined; NULL: none */
    char *backing_format; /* as the header names it; NULL: it does not */
    uint32_t parent_cid;  /* vmdk: what the backing file's cid must be */
};

/* probe_file.c: reading with every bound checked. `what` names what is read, e.g. "L1 table". */

/* Open path if it is a regular file and not empty; never opens anything else. *st may be NULL. The
 * caller closes source->fd. */
int vmscm_probe_file_open(struct vmscm_probe_source *source, const char *path, struct stat *st,
    struct vmscm_error *err);

/* Exactly len bytes; VMSCM_EINPUT "PATH: truncated: ..." where the file does not have them. */
int vmscm_probe_file_read(const struct vmscm_probe_source *source, void *data, size_t len,
    uint64_t offset, const char *what, struct vmscm_error *err);

/* The same check without reading. */
int vmscm_probe_file_need(const struct vmscm_probe_source *source, uint64_t offset, uint64_t len,
    const char *what, struct vmscm_error *err);

/* Call each(data, index, entry) for a table of count entries of width (at most 64) bytes; for a
 * hole of the file only once, at its start: it is all zeros, and may be of any size. Non-zero from
 * each ends the walk and is returned. */
int vmscm_probe_file_table(const struct vmscm_probe_source *source, uint64_t offset, uint64_t count,
    size_t width,
    int (*each)(void *data, uint64_t index, const uint8_t *entry, struct vmscm_error *err),
    void *data, const char *what, struct vmscm_error *err);

/* The second-level tables that a first-level one points to. */
struct vmscm_probe_table {
    uint64_t offset;
    uint64_t index; /* in the first-level table */
};
struct vmscm_probe_tables {
    VMSCM_VEC(struct vmscm_probe_table) list;
};

/* Put them in the order they have in the file. False if one is used twice: with that, a small file
 * could have any amount of them. */
bool vmscm_probe_file_sort(struct vmscm_probe_tables *tables);

/* The path of a file that the image names, if it may be used: *path is the caller's. what is
 * "backing file", "data file" or "extent". plain: nothing but plain components will do. */
int vmscm_probe_file_link(char **path, const struct vmscm_probe_image *image, const char *name,
    const char *what, bool plain, struct vmscm_error *err);

/* Let only part of an open file count; length 0: up to its end. VMSCM_EINPUT if it has less. */
int vmscm_probe_file_narrow(struct vmscm_probe_source *source, uint64_t offset, uint64_t length,
    struct vmscm_error *err);

/* Open path and add it to the probe's files, which take it over in any case. */
int vmscm_probe_file_add(struct vmscm_probe_source *source, struct vmscm_probe *probe, char *path,
    struct vmscm_error *err);

/* An image that is nothing without its parent: so says its link. VMSCM_EUNSUPPORTED without
 * VMSCM_PROBE_CHILD. kind: for messages. */
int vmscm_probe_file_child(struct vmscm_probe_image *image, const char *kind, struct vmscm_error *err);

/* The parent's name, UTF-16 of so many bytes; nothing if it is none that a file can have. */
int vmscm_probe_file_parent_name(struct vmscm_probe *probe, const uint8_t *text, size_t len,
    bool big_endian, struct vmscm_error *err);

/* Record a creation option. */
int vmscm_probe_file_option(struct vmscm_probe *probe, struct vmscm_error *err, const char *name,
    const char *fmt, ...) VMSCM_PRINTF(4, 5);

/* The formats. */
bool vmscm_probe_qcow2_match(const struct vmscm_probe_head *head);
int vmscm_probe_qcow2_read(struct vmscm_probe_image *image, struct vmscm_error *err);
bool vmscm_probe_vmdk_match(const struct vmscm_probe_head *head);
int vmscm_probe_vmdk_read(struct vmscm_probe_image *image, struct vmscm_error *err);
bool vmscm_probe_vdi_match(const struct vmscm_probe_head *head);
int vmscm_probe_vdi_read(struct vmscm_probe_image *image, struct vmscm_error *err);
bool vmscm_probe_vpc_match(const struct vmscm_probe_head *head);
int vmscm_probe_vpc_read(struct vmscm_probe_image *image, struct vmscm_error *err);
bool vmscm_probe_vhdx_match(const struct vmscm_probe_head *head);
int vmscm_probe_vhdx_read(struct vmscm_probe_image *image, struct vmscm_error *err);
bool vmscm_probe_parallels_match(const struct vmscm_probe_head *head);
int vmscm_probe_parallels_read(struct vmscm_probe_image *image, struct vmscm_error *err);

/* A sparse vmdk extent (probe_sparse.c): the header at the file's start. */
struct vmscm_probe_sparse {
    uint64_t sectors;
    uint64_t descriptor;         /* offset of the embedded descriptor; 0: none */
    uint64_t descriptor_sectors;
    bool compressed;
    bool zeroed; /* a grain table can say that a grain is zeros */
    bool dirty;  /* not closed cleanly */
};
int vmscm_probe_sparse_read(struct vmscm_probe_sparse *out, const struct vmscm_probe_source *source,
    struct vmscm_error *err);

#endif
