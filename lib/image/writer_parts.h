/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ways of writing an image; writer.c chooses. Contract as vmscm_writer_write. */
#ifndef IMAGE_WRITER_PARTS_H
#define IMAGE_WRITER_PARTS_H

#include "image/qcow2layout.h"
#include "image/writer.h"

/* writer_raw.c: by ourselves, with options->jobs threads. */
int vmscm_writer_raw_write(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err);

/* writer_raw.c: the same for a file made anew, in which layout says where data go, and all else is. No
 * readback, resume or update. */
int vmscm_writer_raw_write_laid(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, const struct vmscm_qcow2layout *layout,
    uint64_t *written, struct vmscm_error *err);

/* writer_own.c: qcow2 and streamOptimized vmdk with the options that are common, by ourselves, with
 * options->jobs threads. *done is false, and nothing was made, if qemu-img has to do it. */
int vmscm_writer_own_write(bool *done, struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err);

/* writer_qemu.c: qemu-img convert, reading from our NBD server. */
int vmscm_writer_qemu_write(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err);

/* writer_options.c: vmscm_writer_check_option. */
int vmscm_writer_options_check(enum vmscm_probe_format format, const char *name, const char *value,
    struct vmscm_error *err);

/* writer_options.c: the value of an option, or NULL. */
const char *vmscm_writer_options_get(const struct vmscm_writer_options *options, const char *name);

/* writer_options.c: what goes after qemu-img's -o: the options given and our own defaults; "" if
 * there is nothing. *out is the caller's. VMSCM_EUSAGE as vmscm_writer_check_option. */
int vmscm_writer_options_text(char **out, const struct vmscm_writer_options *options,
    struct vmscm_error *err);

#endif
