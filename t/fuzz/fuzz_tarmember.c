/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A container's archive from anywhere, as files: what its members say of them, where a sparse one's bytes go,
 * and the tree that they leave behind. Checksums of headers are made right, as in fuzz_container. */
#include "base/endian.h"
#include "bundle/filetree.h"
#include "format/acltext.h"
#include "format/tarhead.h"
#include "format/tarmember.h"
#include "tarcopy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

static int pull(void *data, void *out, size_t len, bool *end, struct vmscm_error *err)
{
    struct input *in = data;

    (void)err;
    if ((*end = (size_t)(in->end - in->at) < len))
        return 0;
    memcpy(out, in->at, len);
    in->at += len;
    return 0;
}

static void check_spans(const struct vmscm_tarmember *m)
{
    uint64_t at = 0, sum = 0;

    for (size_t i = 0; i < m->spans.len; i++) {
        const struct vmscm_tarmember_span *s = &m->spans.items[i];
        if (!s->length || s->offset < at || s->offset + s->length > m->size)
            abort();
        at = s->offset + s->length;
        sum += s->length;
    }
    if (sum != m->stored)
        abort();
}

static void check_acl(const char *text)
{
    struct vmscm_buf value = VMSCM_BUF_INIT;
    bool names = false;

    if (text && !vmscm_acltext_encode(&value, &names, text, NULL))
        for (size_t i = 12; i < value.len; i += 8)
            if (vmscm_get_le16(value.data + i) < vmscm_get_le16(value.data + i - 8))
                abort();
    vmscm_buf_release(&value);
}

/* Every name leads to a file, every file that is there has as many names as it says. */
static void check_tree(const struct vmscm_filetree *t)
{
    uint32_t *names = calloc(t->files.len, sizeof *names), *dirs = calloc(t->files.len, sizeof *dirs);

    if (!names || !dirs)
        abort();
    for (size_t d = 0; d < t->files.len; d++)
        for (uint32_t i = t->files.items[d].entries; i != VMSCM_FILETREE_NONE; i = t->entries.items[i].next) {
            const struct vmscm_filetree_entry *e = &t->entries.items[i];
            if (e->dir != d || !*vmscm_filetree_name(t, e) || strchr(vmscm_filetree_name(t, e), '/'))
                abort();
            if (e->file == VMSCM_FILETREE_NONE)
                continue;
            names[e->file]++;
            dirs[d] += t->files.items[e->file].type == '5';
            if (t->files.items[e->file].gone)
                abort();
        }
    for (size_t i = 0; i < t->files.len; i++) {
        const struct vmscm_filetree_file *f = &t->files.items[i];
        if (f->type == '5' ? f->links != dirs[i] || (i && names[i] != !f->gone)
                           : f->links != names[i] || f->gone != !names[i])
            abort();
    }
    free(names);
    free(dirs);
}

static void unpack(const uint8_t *tar, size_t size)
{
    struct input in = {tar, tar + size};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_container_group group = {0};
    struct vmscm_tarmember m = {0};
    struct vmscm_filetree tree = {0};
    uint32_t file, number = 0;
    int rc = vmscm_filetree_begin(&tree, &err);

    while (!rc && !(rc = vmscm_container_next(&group, pull, &in, &err)) && !group.end) {
        uint64_t padded = vmscm_container_padded(group.size), left = (uint64_t)(in.end - in.at), gave = 0;
        if (!(rc = vmscm_tarmember_decode(&m, &group, &err))) {
            padded = padded < left ? padded : left;
            /* In pieces, as it comes. */
            while (!rc && m.map_in_data && gave < padded) {
                size_t n = padded - gave < 77 ? (size_t)(padded - gave) : 77, used = 0;
                rc = vmscm_tarmember_map(&m, in.at + gave, n, &used, &err);
                if (used > n || (!rc && m.map_in_data && used != n))
                    abort();
                gave += used;
            }
            if (m.sparse && !m.map_in_data && !rc)
                check_spans(&m);
            check_acl(m.acl);
            check_acl(m.default_acl);
            in.at += padded;
        }
        if (!rc)
            rc = vmscm_filetree_add(&tree, &file, number++, m.type, m.path, m.link, &err);
    }
    if (rc && !err.message[0])
        abort();
    check_tree(&tree);
    vmscm_filetree_release(&tree);
    vmscm_tarmember_release(&m);
    vmscm_container_release(&group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = tarcopy_make(data, size);

    unpack(copy, size);
    free(copy);
    return 0;
}
