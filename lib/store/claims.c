/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/claims.h"
#include "base/endian.h"
#include "base/error.h"

#include <stdlib.h>

#define ROOM_MIN 1024u

/* Open addressing; an empty slot has state 0. */
enum claim_state { CLAIM_EMPTY, CLAIM_TAKEN, CLAIM_QUEUED };

struct vmscm_claim {
    struct vmscm_id id;
    uint8_t state;
    unsigned pack; /* the queue's number */
};

int vmscm_claims_init(struct vmscm_claims *claims, struct vmscm_error *err)
{
    claims->room = ROOM_MIN;
    claims->slots = calloc(claims->room, sizeof *claims->slots);
    return claims->slots ? 0 : vmscm_error_nomem(err);
}

void vmscm_claims_release(struct vmscm_claims *claims)
{
    free(claims->slots);
    *claims = (struct vmscm_claims){0};
}

static struct vmscm_claim *find(struct vmscm_claim *slots, size_t room, const struct vmscm_id *id)
{
    size_t i = (size_t)vmscm_get_le64(id->bytes) & (room - 1);

    while (slots[i].state != CLAIM_EMPTY && vmscm_hash_cmp(&slots[i].id, id) != 0)
        i = (i + 1) & (room - 1);
    return &slots[i];
}

static bool keeps(const struct vmscm_claim *c, unsigned from)
{
    return c->state == CLAIM_TAKEN || (c->state == CLAIM_QUEUED && c->pack >= from);
}

/* A new table, a quarter full at most. */
int vmscm_claims_forget(struct vmscm_claims *claims, unsigned from, struct vmscm_error *err)
{
    size_t kept = 0, room = ROOM_MIN;

    for (size_t i = 0; i < claims->room; i++)
        kept += keeps(&claims->slots[i], from);
    while (room < 4 * kept)
        room *= 2;
    struct vmscm_claim *slots = calloc(room, sizeof *slots);
    if (!slots)
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < claims->room; i++)
        if (keeps(&claims->slots[i], from))
            *find(slots, room, &claims->slots[i].id) = claims->slots[i];
    free(claims->slots);
    *claims = (struct vmscm_claims){slots, room, kept};
    return 0;
}

int vmscm_claims_take(struct vmscm_claims *claims, const struct vmscm_id *id, bool *mine,
    struct vmscm_error *err)
{
    int rc;

    if (claims->count * 2 >= claims->room && (rc = vmscm_claims_forget(claims, 0, err)))
        return rc;
    struct vmscm_claim *c = find(claims->slots, claims->room, id);
    *mine = c->state == CLAIM_EMPTY;
    if (*mine) {
        *c = (struct vmscm_claim){.id = *id, .state = CLAIM_TAKEN};
        claims->count++;
    }
    return 0;
}

void vmscm_claims_queue(struct vmscm_claims *claims, const struct vmscm_id *id, unsigned pack)
{
    struct vmscm_claim *c = find(claims->slots, claims->room, id);

    c->state = CLAIM_QUEUED;
    c->pack = pack;
}
