/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A generation of a repository that is kept as objects of a bucket: what one change made of it, and, of some,
 * all there is after it; vmscm-format-s3(5). Pure, no I/O, thread-safe.
 *
 * Nothing is allocated by what a count claims.
 */
#ifndef FORMAT_GENERATION_H
#define FORMAT_GENERATION_H

#include "base/buf.h"
#include "base/vec.h"
#include <stdbool.h>

#define VMSCM_GENERATION_VERSION 1
#define VMSCM_GENERATION_MAX (256u << 20) /* bytes of one */
#define VMSCM_GENERATION_HEAD 104
#define VMSCM_GENERATION_OID 20
#define VMSCM_GENERATION_NAME 16       /* bytes of an object's name, and of a transaction's id */
#define VMSCM_GENERATION_DIGEST 32
#define VMSCM_GENERATION_REF_MAX 1024  /* bytes of a ref's name */

enum vmscm_generation_kind { VMSCM_GENERATION_PACK = 1, VMSCM_GENERATION_HISTORY = 2 };
enum vmscm_generation_op {
    VMSCM_GENERATION_ADD = 1,
    VMSCM_GENERATION_CONDEMN = 2,
    VMSCM_GENERATION_REMOVE = 3,
};

/* A ref that changes; zeros: it is not there. */
struct vmscm_generation_change {
    uint8_t before[VMSCM_GENERATION_OID];
    uint8_t after[VMSCM_GENERATION_OID];
    char *name;
};

struct vmscm_generation_step {
    uint8_t op, kind;
    uint8_t name[VMSCM_GENERATION_NAME];
    uint64_t size; /* bytes of the object */
};

struct vmscm_generation_ref {
    uint8_t id[VMSCM_GENERATION_OID];
    char *name;
};

struct vmscm_generation_object {
    uint8_t kind;
    bool listed; /* it is part of the repository */
    uint8_t name[VMSCM_GENERATION_NAME];
    uint64_t size;
    uint64_t condemned; /* by which generation; 0: it is not */
    int64_t when;       /* that was, in seconds since 1970 */
};

/* What there is. Zero-initialised it is nothing. */
struct vmscm_generation_state {
    VMSCM_VEC(struct vmscm_generation_ref) refs;       /* sorted by name */
    VMSCM_VEC(struct vmscm_generation_object) objects; /* by kind and name */
};

struct vmscm_generation {
    uint64_t number; /* from 1 */
    uint64_t base;   /* the last one that is whole, up to this */
    int64_t when;    /* seconds since 1970, by the clock of who made it */
    uint8_t transaction[VMSCM_GENERATION_NAME];
    uint8_t previous[VMSCM_GENERATION_DIGEST]; /* of the one before: SHA-256 of its bytes; zeros of none */
    VMSCM_VEC(struct vmscm_generation_change) changes;
    VMSCM_VEC(struct vmscm_generation_step) steps;
    struct vmscm_generation_state state; /* after it, if base is number; else empty */
};

/* Append it. */
int vmscm_generation_encode(struct vmscm_buf *buf, const struct vmscm_generation *generation,
    struct vmscm_error *err);

/* VMSCM_EDAMAGED; VMSCM_EUNSUPPORTED: of another version. *out is released if it fails. */
int vmscm_generation_decode(struct vmscm_generation *out, const uint8_t *in, size_t len,
    struct vmscm_error *err);

void vmscm_generation_release(struct vmscm_generation *generation);

int vmscm_generation_change(struct vmscm_generation *generation, const char *name,
    const uint8_t before[VMSCM_GENERATION_OID], const uint8_t after[VMSCM_GENERATION_OID],
    struct vmscm_error *err);
int vmscm_generation_step(struct vmscm_generation *generation, unsigned op, unsigned kind,
    const uint8_t name[VMSCM_GENERATION_NAME], uint64_t size, struct vmscm_error *err);

/* What there is after one more. VMSCM_EDAMAGED: a ref was not what it is said to have been, or it is more
 * than a generation that is whole can say; *state is then of no use but to be released. */
int vmscm_generation_apply(struct vmscm_generation_state *state,
    const struct vmscm_generation *generation, struct vmscm_error *err);

/* Bytes that a generation takes to tell all of it. */
uint64_t vmscm_generation_size(const struct vmscm_generation_state *state);

/* Make out what from is; out is empty before. */
int vmscm_generation_copy(struct vmscm_generation_state *out,
    const struct vmscm_generation_state *from, struct vmscm_error *err);

/* Borrowed; NULL: there is none. */
struct vmscm_generation_object *vmscm_generation_find(const struct vmscm_generation_state *state,
    unsigned kind, const uint8_t name[VMSCM_GENERATION_NAME]);
struct vmscm_generation_ref *vmscm_generation_find_ref(const struct vmscm_generation_state *state,
    const char *name);

void vmscm_generation_release_state(struct vmscm_generation_state *state);

#endif
