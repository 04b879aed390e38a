/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What kind of bundle something is: by a file's first bytes, or by the names of its members. Internal to
 * lib/bundle.
 */
#ifndef BUNDLE_KIND_H
#define BUNDLE_KIND_H

#include "bundle/load.h"
#include "bundle/unwrap.h"

struct vmscm_kind {
    const char *name;
    /* Whether a member of this name is such a bundle's descriptor. */
    bool (*is_descriptor)(const char *name);
    /* Whether a file that begins so is one. text: NUL-terminated. */
    bool (*is_text)(const char *text, size_t len);
    int (*load)(struct vmscm_load *load, struct vmscm_error *err);
};

/* How a file is packed, and of what kind it is as far as its first bytes tell. */
struct vmscm_kind_file {
    bool directory;
    bool tar;
    enum vmscm_unwrap_kind packed;
    const struct vmscm_kind *kind; /* of a descriptor; NULL: it is none */
};

/* Of the bundle whose descriptor has this name; NULL: it is none. */
const struct vmscm_kind *vmscm_kind_of_member(const char *name);

/* Of the bundle whose descriptor is called so and begins so, where only its text tells; NULL: it is none.
 * text: NUL-terminated. */
const struct vmscm_kind *vmscm_kind_of_text(const char *name, const char *text, size_t len);
/* Whether the text must be looked at to tell. */
bool vmscm_kind_may_be_text(const char *name);

/* Of a container's root file system, which nothing in it is the descriptor of. */
const struct vmscm_kind *vmscm_kind_container(void);

/* VMSCM_EINPUT: not there. */
int vmscm_kind_look(struct vmscm_kind_file *out, const char *path, struct vmscm_error *err);

/* The kind that members are of, and *name, their descriptor (the caller's). *out NULL: of none.
 * VMSCM_EUSAGE: there are several descriptors. where: for messages. */
int vmscm_kind_find(const struct vmscm_kind **out, char **name, struct vmscm_members *members,
    const char *where, struct vmscm_error *err);

#endif
