/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hyper-V's configuration of a machine, a tree of keys, whichever file it was in: XML, UTF-8 or UTF-16, up to
 * Windows Server 2012 R2 (GUID.xml); and since 2016 a binary one (GUID.vmcx). Microsoft documents neither.
 * What is known of the latter's layout, version 0x400, is what the readers of Fox-IT's dissect.hypervisor
 * found: see machine/vmcx.h.
 *
 * Numbers and truth values are text in it, as the XML has them: "1024", "True".
 */
#ifndef MACHINE_HYPERVTREE_H
#define MACHINE_HYPERVTREE_H

#include "base/error.h"
#include "base/vec.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_HYPERVTREE_MAX (4u << 20)   /* bytes of a file */
#define VMSCM_HYPERVTREE_NODES 65536u
#define VMSCM_HYPERVTREE_NONE UINT32_MAX

struct vmscm_hypervtree_node {
    char *name;
    char *value; /* NULL: none */
    uint32_t parent, child, last, next; /* VMSCM_HYPERVTREE_NONE: there is none */
};

/* Zero-initialised is empty. The first node is the root. */
struct vmscm_hypervtree {
    VMSCM_VEC(struct vmscm_hypervtree_node) nodes;
};

/* Add one; the root has the parent VMSCM_HYPERVTREE_NONE. VMSCM_EINPUT: too many. */
int vmscm_hypervtree_add(uint32_t *out, struct vmscm_hypervtree *tree, uint32_t parent,
    const char *name, struct vmscm_error *err);
/* The child of that name, in any case; NONE for the parent NONE. */
uint32_t vmscm_hypervtree_find(const struct vmscm_hypervtree *tree, uint32_t parent,
    const char *name);
/* Of the child of that name; NULL: it is not there, or empty. */
const char *vmscm_hypervtree_value(const struct vmscm_hypervtree *tree, uint32_t parent,
    const char *name);
void vmscm_hypervtree_release(struct vmscm_hypervtree *tree);

/* From XML. VMSCM_EINPUT: no such document; VMSCM_EREFUSED: a document type. */
int vmscm_hypervtree_read_xml(struct vmscm_hypervtree *tree, const void *xml, size_t len,
    struct vmscm_error *err);

#endif
