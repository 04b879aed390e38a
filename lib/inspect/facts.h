/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts about what is on disks: reading and checking documents of vmscm-format-facts(5), which may come
 * from anywhere. Pure.
 */
#ifndef INSPECT_FACTS_H
#define INSPECT_FACTS_H

#include "base/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMSCM_FACTS_MAX ((size_t)16 << 20) /* bytes of a document */
#define VMSCM_FACTS_TEXT_MAX 4096          /* bytes of a string that the schema knows */
#define VMSCM_FACTS_LIST_MAX 100000        /* items of a list */

struct vmscm_facts {
    json_t *root;
    int64_t time; /* when it was found out, seconds since 1970 */
    bool failed;
};

/* What the schema knows has the types and limits that it says; other members are left alone. Release
 * *out in any case. VMSCM_EINPUT; VMSCM_EUNSUPPORTED: another schema. */
int vmscm_facts_parse(struct vmscm_facts *out, const char *text, size_t size,
    struct vmscm_error *err);
void vmscm_facts_release(struct vmscm_facts *facts);

/* Of the lines of a note, the newest that did not fail, or else the newest failure; what is no document
 * is passed over. VMSCM_ENOTFOUND: there is none. */
int vmscm_facts_choose(struct vmscm_facts *out, const char *note, struct vmscm_error *err);

/* In one line, in the order of its members; the caller's. */
int vmscm_facts_line(char **out, const struct vmscm_facts *facts, struct vmscm_error *err);

/* A string member, "" if there is none; borrowed. */
const char *vmscm_facts_text(const json_t *object, const char *key);

#endif
