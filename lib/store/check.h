/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking packs byte by byte: every record's checksum and hash, that the index is sorted, and that
 * records fill the file. */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "store/idset.h"
#include "store/store.h"

struct vmscm_check {
    struct vmscm_store *store;
    unsigned jobs;
    /* For each damage; from one thread at a time. id: the record's, or NULL. */
    void (*found)(void *data, const struct vmscm_packfile *pack, const struct vmscm_id *id,
        const struct vmscm_error *why);
    /* After every few records; non-zero stops with VMSCM_ECANCELED. From one thread at a time. */
    int (*progress)(void *data, uint64_t bytes);
    void *data;
    uint64_t records, bytes; /* out */
};

/* 0 when all could be looked at, damaged or not. */
int vmscm_check_packs(struct vmscm_check *check, struct vmscm_error *err);

#endif
