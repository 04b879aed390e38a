/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Descriptors of a machine on its way out. What a reader gets to see of one is found by reading it: what
 * differs from the machine is told and noted, and put beside it as hints (machine/hint.h), so that in again
 * it is the same machine, field by field. Internal to lib/bundle.
 */
#ifndef BUNDLE_DESCRIPTOR_H
#define BUNDLE_DESCRIPTOR_H

#include "bundle/export.h"
#include "machine/description.h"

struct vmscm_descriptor_form {
    const char *name; /* for messages */
    int (*encode)(struct vmscm_buf *out, const struct vmscm_description *description,
        struct vmscm_error *err);
    /* Its inverse: *sources is parallel to the disks, and says description->files. */
    int (*parse)(struct vmscm_machine **out, char ***sources, const void *text, size_t len,
        struct vmscm_error *err);
    const char *suffix; /* of a recorded file of this form; NULL: none is of use */
    int (*adapt)(struct vmscm_buf *out, const void *text, size_t len,
        const struct vmscm_description *description, struct vmscm_error *err);
    /* Where the NVRAM of a recorded file was; *path stays NULL if it has none. */
    int (*nvram)(char **path, const void *text, size_t len, struct vmscm_error *err);
};

/* What is exported, and how. Zero-initialised but for x and form. */
struct vmscm_descriptor {
    struct vmscm_export *x;
    const struct vmscm_descriptor_form *form;
    struct vmscm_machine *machine; /* the exported one: without identity if that is wanted */
    void *recorded;                /* the file of this form that the machine came with, or NULL */
    size_t recorded_size;
    void *nvram; /* the machine's NVRAM in this form, or NULL */
    size_t nvram_size;
};

int vmscm_descriptor_open(struct vmscm_descriptor *d, struct vmscm_error *err);
void vmscm_descriptor_close(struct vmscm_descriptor *d);

/* The text. files: where each disk's image is; nvram: where the NVRAM is, if there is one. */
int vmscm_descriptor_encode(struct vmscm_buf *out, struct vmscm_descriptor *d,
    const char *const *files, const char *nvram, struct vmscm_error *err);

#endif
