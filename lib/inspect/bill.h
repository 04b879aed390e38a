/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a bill of materials lists, and the two forms it is written in. */
#ifndef INSPECT_BILL_H
#define INSPECT_BILL_H

#include "base/error.h"
#include "base/vec.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct vmscm_bill_item {
    char *name, *version; /* version may be "" */
    char *purl;           /* NULL of an operating system */
    char *cpe;            /* NULL: not known */
    const char *note, *publisher, *license; /* borrowed; "": none */
    bool system;
    size_t number; /* of several that are the same */
};

struct vmscm_bill {
    const char *machine, *revision; /* borrowed */
    char time[32];                  /* when it was checked in: 2026-11-30T12:00:00Z */
    char uuid[37];                  /* of the revision and all items */
    VMSCM_VEC(struct vmscm_bill_item) items; /* in an order that only their content makes */
};

/* facts: what vmscm_facts_parse() gave, which has to outlive it. Release it in any case. */
int vmscm_bill_init(struct vmscm_bill *bill, const json_t *facts, const char *machine,
    const char *revision, int64_t time, struct vmscm_error *err);
void vmscm_bill_release(struct vmscm_bill *bill);

/* NULL: no memory. */
json_t *vmscm_cyclonedx_make(const struct vmscm_bill *bill);
json_t *vmscm_spdx_make(const struct vmscm_bill *bill);

/* Into a document that is being made, of which *good is whether there was memory for all of it: value is
 * taken over, and may be NULL where there was none. Returns value, borrowed. */
json_t *vmscm_bill_put(bool *good, json_t *object, const char *key, json_t *value);
json_t *vmscm_bill_add(bool *good, json_t *list, json_t *value);

#endif
