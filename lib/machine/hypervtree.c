/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/hypervtree.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/utf16.h"
#include "machine/xml.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NONE VMSCM_HYPERVTREE_NONE

int vmscm_hypervtree_add(uint32_t *out, struct vmscm_hypervtree *tree, uint32_t parent,
    const char *name, struct vmscm_error *err)
{
    struct vmscm_hypervtree_node *node;
    uint32_t index = (uint32_t)tree->nodes.len;
    int rc;

    if (index == VMSCM_HYPERVTREE_NODES)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "configuration: more than %u keys", VMSCM_HYPERVTREE_NODES);
    if ((rc = vmscm_vec_add(&tree->nodes, &node, err)))
        return rc;
    node->parent = parent;
    node->child = node->last = node->next = NONE;
    if ((rc = vmscm_str_dup(&node->name, name, err)))
        return rc;
    if (parent != NONE) {
        struct vmscm_hypervtree_node *above = &tree->nodes.items[parent];
        if (above->last == NONE)
            above->child = index;
        else
            tree->nodes.items[above->last].next = index;
        above->last = index;
    }
    *out = index;
    return 0;
}

uint32_t vmscm_hypervtree_find(const struct vmscm_hypervtree *tree, uint32_t parent,
    const char *name)
{
    uint32_t i = parent == NONE ? NONE : tree->nodes.items[parent].child;

    while (i != NONE && strcasecmp(tree->nodes.items[i].name, name) != 0)
        i = tree->nodes.items[i].next;
    return i;
}

const char *vmscm_hypervtree_value(const struct vmscm_hypervtree *tree, uint32_t parent,
    const char *name)
{
    uint32_t i = vmscm_hypervtree_find(tree, parent, name);
    const char *value = i == NONE ? NULL : tree->nodes.items[i].value;

    return value && *value ? value : NULL;
}

void vmscm_hypervtree_release(struct vmscm_hypervtree *tree)
{
    for (size_t i = 0; i < tree->nodes.len; i++) {
        free(tree->nodes.items[i].name);
        free(tree->nodes.items[i].value);
    }
    vmscm_vec_release(&tree->nodes);
}

/* An element and all below it. Without recursion: how deep they are is the file's affair. */
static int add_elements(struct vmscm_hypervtree *tree, const xmlNode *root, struct vmscm_error *err)
{
    const xmlNode *n = root;
    uint32_t at = NONE;
    int rc = 0;

    for (;;) {
        const xmlNode *down = NULL;
        if ((rc = vmscm_hypervtree_add(&at, tree, at, (const char *)n->name, err)))
            return rc;
        for (down = n->children; down && down->type != XML_ELEMENT_NODE; down = down->next)
            ;
        if (!down && (rc = vmscm_xml_get(&tree->nodes.items[at].value, n, NULL, err)))
            return rc;
        if (down) {
            n = down;
            continue;
        }
        /* The next one, beside it or beside what it is in. */
        for (;; n = n->parent) {
            const xmlNode *beside = n->next;
            if (n == root)
                return 0;
            while (beside && beside->type != XML_ELEMENT_NODE)
                beside = beside->next;
            at = tree->nodes.items[at].parent;
            if (beside) {
                n = beside;
                break;
            }
        }
    }
}

/* As UTF-8, without the declaration, which would say that it is UTF-16. */
static int to_utf8(struct vmscm_buf *out, size_t *skip, const uint8_t *text, size_t len,
    struct vmscm_error *err)
{
    bool big = text[0] == 0xfe;
    const char *end;
    int rc = vmscm_utf16_decode(out, text + 2, len - 2, big, err);

    *skip = 0;
    if (!rc && vmscm_str_starts(vmscm_buf_str(out), "<?xml") &&
        (end = strstr(vmscm_buf_str(out), "?>")))
        *skip = (size_t)(end + 2 - vmscm_buf_str(out));
    return rc;
}

static int read_xml(struct vmscm_hypervtree *tree, const void *xml, size_t len,
    struct vmscm_error *err)
{
    const uint8_t *text = xml;
    struct vmscm_buf plain = VMSCM_BUF_INIT;
    const xmlNode *root;
    xmlDocPtr doc = NULL;
    size_t skip = 0;
    int rc = 0;

    if (len > VMSCM_HYPERVTREE_MAX)
        return vmscm_error_set(
            err, VMSCM_EINPUT, "configuration: over %u bytes", VMSCM_HYPERVTREE_MAX);
    if (len > 2 && ((text[0] == 0xff && text[1] == 0xfe) || (text[0] == 0xfe && text[1] == 0xff))) {
        if ((rc = to_utf8(&plain, &skip, text, len, err)))
            goto out;
        text = plain.data + skip;
        len = plain.len - skip;
    }
    if ((rc = vmscm_xml_read(&doc, "configuration", text, len, VMSCM_HYPERVTREE_MAX * 2, err)))
        goto out;
    root = xmlDocGetRootElement(doc);
    if (!root || !vmscm_xml_is(root, "configuration"))
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "configuration: is not one of Hyper-V's machines");
    else
        rc = add_elements(tree, root, err);
out:
    xmlFreeDoc(doc);
    vmscm_buf_release(&plain);
    return rc;
}

int vmscm_hypervtree_read_xml(struct vmscm_hypervtree *tree, const void *xml, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_xml_watch watch;
    int rc;

    vmscm_xml_begin(&watch);
    rc = read_xml(tree, xml, len, err);
    if (!vmscm_xml_end(&watch))
        return rc;
    return vmscm_error_nomem(err);
}
