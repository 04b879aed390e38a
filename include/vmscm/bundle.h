/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bundles: whole machines in other programs' export formats; see vmscm-bundles(7).
 *
 * Nothing in a bundle is trusted: names in it lead nowhere outside of it, links are refused, what is packed
 * is unpacked within bounds, and its disk images are looked at as any other image.
 */
#ifndef VMSCM_BUNDLE_H
#define VMSCM_BUNDLE_H

#include <vmscm/checkin.h>
#include <vmscm/error.h>
#include <vmscm/events.h>
#include <vmscm/repo.h>
#include <vmscm/revision.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmscm_bundle_options {
    const char *system; /* which of several machines in it, by id or name; NULL: its only one */
    int no_manifest;    /* 1: do not check digests that come with it */
    /* What counts instead of what it says, or does not say, of the machine: */
    unsigned cpus;        /* 0: what it says; at most 65536 */
    uint64_t memory;      /* bytes; 0: what it says */
    const char *firmware; /* "bios" or "uefi"; NULL: what it says */
};

/*
 * Whether path, a file or a directory, holds a machine rather than being a disk image: *kind is the
 * kind's name ("ovf", ...; static), or NULL if it is none. Looks at the content; but a file that is named
 * as disk images are, and looks like an archive, is refused: a guest can write anything into its disk.
 * Errors: VMSCM_EINPUT (not there, a damaged archive, a directory that is no machine), VMSCM_EIO,
 * VMSCM_EREFUSED. Thread-safe.
 */
VMSCM_API int vmscm_bundle_recognise(const char **kind, const char *path, struct vmscm_error *err);

/*
 * Check machine `name` in from a bundle. Promises, arguments and errors as of vmscm_checkin; the machine's
 * configuration is the bundle's, options->config must be NULL. options and bundle may be NULL. What has to
 * be unpacked needs room below the repository meanwhile.
 * Errors also: VMSCM_EUSAGE: which of several machines is not said; VMSCM_EREFUSED: unsafe, or a digest
 * that differs; VMSCM_EINPUT: no bundle, or one that is not whole.
 */
VMSCM_API int vmscm_bundle_checkin(struct vmscm_repo *repo, const char *name, const char *path,
    const struct vmscm_bundle_options *bundle, const struct vmscm_checkin_options *options,
    const struct vmscm_events *events, struct vmscm_checkin_result *result,
    struct vmscm_error *err);

struct vmscm_bundle_export_options {
    const char *format;   /* "ova", "ovf", "libvirt", "vmx", "hyperv", "ploop", "xva", ... */
    const char *manifest; /* "sha256", "sha1", "sha512" or "none"; NULL: sha256 */
    int new_identity;     /* 1: leave out MAC addresses, so that new ones are made */
    int level;            /* of zlib, 1 to 9; 0: 6 */
    unsigned jobs;        /* threads; 0: core.jobs, or one a core */
    uint64_t size;        /* of an ext4 file system, bytes; 0: what its files need, and room */
};

struct vmscm_bundle_export_result {
    uint64_t size;    /* bytes of guest address space */
    uint64_t written; /* bytes of the bundle */
    double seconds;
};

/*
 * Write a revision as a bundle: to a new file of the name path (and, but for archives, files beside it; of
 * ploop it is a directory), which is there only when all of it is, and durable; or, if path is NULL and the
 * format is a single file, to the descriptor fd, from the first byte to the last. The same revision and
 * options give the same bytes, with the same zlib. What the format cannot express is a warning each, and
 * is noted in the bundle. options must not be NULL; result may be.
 * Errors: VMSCM_EUSAGE: a format or manifest that is none; VMSCM_EEXIST: a file is there; VMSCM_EUNSUPPORTED:
 * the format cannot hold the machine; VMSCM_ENOTFOUND: it was pruned; VMSCM_EDAMAGED, VMSCM_EIO,
 * VMSCM_ECANCELED.
 */
VMSCM_API int vmscm_bundle_export(struct vmscm_revision *rev, const char *path, int fd,
    const struct vmscm_bundle_export_options *options, const struct vmscm_events *events,
    struct vmscm_bundle_export_result *result, struct vmscm_error *err);

struct vmscm_bundle_describe_options {
    const char *format; /* "libvirt", "vmx" or "hyperv" */
    int new_identity;   /* as of an export */
    int force;          /* 1: write over a file that is there */
};

/* The format of the images of such a bundle's folder, "qcow2", ..., and, if they must be made with options,
 * *options, as of a checkout; else NULL. Both are static. VMSCM_EUSAGE: not the format of a folder.
 * Thread-safe. */
VMSCM_API int vmscm_bundle_image_format(const char **image, const char **options, const char *format,
    struct vmscm_error *err);

/* VMSCM_EEXIST: a file of the name is in dir already, and options->force is not set, so that the next
 * function would fail. dir need not be there. Thread-safe. */
VMSCM_API int vmscm_bundle_describe_check(const struct vmscm_revision *rev, const char *dir,
    const struct vmscm_bundle_describe_options *options, struct vmscm_error *err);

/*
 * Write a descriptor beside the disks of a checkout of rev, which is of that image format, and the NVRAM if
 * there is one, so that the checkout is what an export has, and a checkout too. *path: where it is, absolute;
 * the caller frees it. What the format cannot express is a warning each, and is noted.
 * Errors: as of an export; VMSCM_EEXIST: a file is there; VMSCM_ENOTFOUND, VMSCM_EDAMAGED: dir is no
 * checkout, or VMSCM_EUSAGE: of something else.
 */
VMSCM_API int vmscm_bundle_describe(char **path, struct vmscm_revision *rev, const char *dir,
    const struct vmscm_bundle_describe_options *options, const struct vmscm_events *events,
    struct vmscm_error *err);

#ifdef __cplusplus
}
#endif
#endif
