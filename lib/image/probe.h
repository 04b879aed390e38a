/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an image file is, read by ourselves before any other program sees it. Nothing is trusted:
 * every length and offset is checked against the file and against fixed bounds before it is used;
 * memory is bounded whatever the file says.
 *
 * Formats and their sources:
 *   qcow2      docs/interop/qcow2.txt of QEMU
 *   vmdk       "Virtual Disk Format 5.0", VMware
 *   vdi        VirtualBox, VDICore.h's description of the header
 *   vpc        "Virtual Hard Disk Image Format Specification", Microsoft
 *   vhdx       [MS-VHDX]
 *   parallels  docs/interop/parallels.txt of QEMU
 *
 * Threading: functions here share no state.
 */
#ifndef IMAGE_PROBE_H
#define IMAGE_PROBE_H

#include "base/error.h"
#include "base/vec.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <vmscm/checkin.h>
#include <vmscm/machine.h>

enum vmscm_probe_format {
    VMSCM_PROBE_RAW,
    VMSCM_PROBE_QCOW2,
    VMSCM_PROBE_VMDK,
    VMSCM_PROBE_VDI,
    VMSCM_PROBE_VPC,
    VMSCM_PROBE_VHDX,
    VMSCM_PROBE_PARALLELS,
};

/* qcow2: where an image says its dirty bitmaps are. Not checked beyond lying in the file. */
struct vmscm_probe_bitmaps {
    bool possible; /* it could have some: version 3, no data file */
    bool stale;    /* something that does not know bitmaps wrote to the image since */
    uint32_t count; /* 0: it has none */
    uint32_t cluster; /* bytes */
    uint64_t offset, bytes; /* the directory */
};

#define VMSCM_PROBE_DEPTH_MAX 64  /* images in a backing chain */
#define VMSCM_PROBE_FILES_MAX 4096 /* extents of one vmdk */

/* Beside enum vmscm_allow, for files that were probed before and have not changed since, or before
 * a program that only touches the header: a qcow2's tables of clusters are not walked, which takes
 * its time in a large image, so that `compressed` is not known. */
#define VMSCM_PROBE_SHALLOW (1u << 16)

/* Beside those too: an image of vmdk, vdi, vpc or vhdx may be the difference to another, which is not looked
 * for: `link` says which one it must be, see image/chain.h. */
#define VMSCM_PROBE_CHILD (1u << 17)

/* How an image and what is on top of it know one another. */
struct vmscm_probe_link {
    bool has_id;         /* the format has ids */
    bool child;          /* it is nothing without its parent */
    uint8_t id[16];      /* its own */
    uint8_t parent[16];  /* of what it is the difference to */
    char *name;          /* what that file was called, without folders; NULL: not said */
};

/* A file an image is made of. */
struct vmscm_probe_file {
    char *path;     /* as opened: the image's directory joined with the name it gives */
    struct stat st; /* at probing */
    uint64_t offset, length; /* the part of it that counts: all (a length of 0 says so too), unless the
                                image is a member of an archive */
};

struct vmscm_probe {
    enum vmscm_probe_format format;
    char *path;           /* of the image */
    uint64_t size;        /* bytes the guest sees, by the rule qemu uses for this format */
    uint64_t snapshots;   /* internal snapshots, which are left out */
    bool compressed;      /* may hold compressed clusters */
    uint32_t cid;         /* vmdk: its content id, which an image on top of it names; else 0 */
    struct vmscm_probe_bitmaps bitmaps;
    struct vmscm_probe_link link;
    bool over;            /* qcow2: over the backing file that was said, which `backing` leaves out */
    bool dirty;           /* not closed cleanly, e.g. qcow2's dirty or corrupt bit, vhdx log */
    struct vmscm_machine_option *options; /* to make one like it: qemu-img's -o names */
    size_t option_count;
    VMSCM_VEC(struct vmscm_probe_file) files; /* [0] the image; then data file, extents */
    struct vmscm_probe *backing;              /* NULL: none */
};

/*
 * Probe path and, through its backing chain, everything it needs. format NULL: find out; a file
 * of no known magic is raw. A given format is held against the file: a mismatch is VMSCM_EINPUT,
 * except that "raw" is always believed. allow: enum vmscm_allow.
 *
 * Errors: VMSCM_ENOTFOUND, VMSCM_EIO; VMSCM_EINPUT: not a regular file, empty, truncated,
 * malformed, too large (over 2^62 bytes); VMSCM_EREFUSED, with the option that overrides it as the
 * hint where there is one: a backing or data file or extent outside the image's own directory,
 * json: and protocol names, an absolute or ".." extent path, unknown incompatible features, two
 * formats at once, a loop or too deep a chain, encryption; VMSCM_EUNSUPPORTED: a known format we
 * cannot read (qed, qcow1, ...: never silently raw).
 */
int vmscm_probe_open(struct vmscm_probe **out, const char *path, const char *format,
    unsigned allow, struct vmscm_error *err);
void vmscm_probe_close(struct vmscm_probe *probe); /* NULL is fine */

/* The same for an image that is only part of a file, as a member of an archive is. Such an image can
 * have no other files: VMSCM_EREFUSED. A length of 0: up to the end. */
int vmscm_probe_open_part(struct vmscm_probe **out, const char *path, uint64_t offset,
    uint64_t length, const char *format, unsigned allow, struct vmscm_error *err);

/* A qcow2 whose backing file is known, by name, to be something else than an image, which QEMU never
 * gets to see: with exactly this name `over` is set, and there is no backing chain; any other is
 * followed or refused as always. */
int vmscm_probe_open_over(struct vmscm_probe **out, const char *path, const char *backing_name,
    unsigned allow, struct vmscm_error *err);

/* Whether it is only part of its file. */
bool vmscm_probe_is_part(const struct vmscm_probe *probe);

/* "raw", "qcow2", ...; and back. */
const char *vmscm_probe_format_name(enum vmscm_probe_format format);
int vmscm_probe_format_parse(enum vmscm_probe_format *out, const char *name,
    struct vmscm_error *err);
/* "img", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "hdd". */
const char *vmscm_probe_format_suffix(enum vmscm_probe_format format);

/* VMSCM_EBUSY if any file of the chain is not what it was at probing (size, mtime, ctime, inode).
 */
int vmscm_probe_unchanged(const struct vmscm_probe *probe, struct vmscm_error *err);

#endif
