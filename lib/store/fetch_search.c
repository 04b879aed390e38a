/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All the places where a part may be: packs, the cache of what was brought, the trash, and elsewhere. */
#include "base/str.h"
#include "store/elsewhere.h"
#include "store/fetch_parts.h"

/* A part that is being looked for. */
struct search {
    const struct vmscm_id *id;
    int type;
    bool is_base; /* it must not need a base itself */
    const struct vmscm_fetch_target *to;
    struct vmscm_error first; /* what was wrong with the first that was found */
};

typedef struct vmscm_packfile *(*locate_fn)(
    struct vmscm_store *, struct vmscm_pack_entry *, const struct vmscm_id *, size_t);

#define NOT_THERE 1

/* Read it from the first place where it can be, by locate. *bad (may be NULL): a pack that is damaged. */
static int try_places(struct vmscm_fetch *fetch, struct search *s, struct vmscm_store *store,
    locate_fn locate, const struct vmscm_packfile **bad, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_pack_entry entry;
    struct vmscm_packfile *pack;

    for (size_t nth = 0; (pack = locate(store, &entry, s->id, nth)); nth++) {
        fetch->from = store;
        int rc = vmscm_fetch_to(fetch, s->to, pack, &entry, s->is_base, &why);
        fetch->from = fetch->store;
        if (!rc)
            return 0;
        if (rc == VMSCM_ENOMEM)
            return vmscm_error_copy(err, &why);
        if (bad && rc == VMSCM_EDAMAGED)
            *bad = pack;
        if (!s->first.code) {
            s->first = why;
            vmscm_error_prefix(&s->first, "%s", pack->path);
        }
    }
    return NOT_THERE;
}

/* In the cache, if there is one. What is damaged in it goes, and counts as never brought. */
static int try_cache(struct vmscm_fetch *fetch, struct search *s, bool reload, struct vmscm_error *err)
{
    struct vmscm_cache *cache =
        fetch->reach == VMSCM_FETCH_OWN ? NULL : vmscm_elsewhere_cache(fetch->store);
    struct vmscm_error before = s->first;
    bool changed;
    int rc;

    if (!cache || (reload && vmscm_store_reload(vmscm_cache_store(cache), &changed, NULL)))
        return NOT_THERE;
    for (;;) {
        const struct vmscm_packfile *bad = NULL;
        rc = try_places(fetch, s, vmscm_cache_store(cache), vmscm_store_locate, &bad, err);
        if (rc == NOT_THERE)
            s->first = before;
        if (rc != NOT_THERE || !bad)
            return rc;
        if (!vmscm_cache_drop(cache, bad))
            return NOT_THERE;
    }
}

/* Where it is neither here nor in the cache. *asked: there is such a place. */
static int try_elsewhere(struct vmscm_fetch *fetch, struct search *s, bool *asked,
    struct vmscm_error *err)
{
    const struct vmscm_elsewhere_want want = {.id = *s->id, .type = (enum vmscm_pack_type)s->type};
    struct vmscm_cache_holds holds = {.last = 0};
    int rc = NOT_THERE;

    *asked = fetch->reach == VMSCM_FETCH_ELSEWHERE && vmscm_elsewhere_of(fetch->store);
    if (*asked && !(rc = vmscm_elsewhere_bring_one(fetch->store, &want, &holds, err)))
        rc = try_cache(fetch, s, false, err);
    vmscm_cache_release(&holds);
    return rc;
}

static int tell_missing(const struct search *s, struct vmscm_error *err)
{
    char hex[VMSCM_HASH_HEX];
    const char *kind = s->type == VMSCM_PACK_LEAF ? "leaf" : "chunk";
    const struct vmscm_error *first = &s->first;

    vmscm_str_hex(hex, s->id->bytes, VMSCM_HASH_SIZE);
    if (first->code)
        vmscm_error_set(err, first->code == VMSCM_EUNSUPPORTED ? first->code : VMSCM_EDAMAGED,
            "%s %.16s: %s", kind, hex, first->message);
    else
        vmscm_error_set(err, VMSCM_EDAMAGED, "%s %.16s: missing", kind, hex);
    return vmscm_error_hint(err, "vmscm fsck tells what is damaged");
}

int vmscm_fetch_search(struct vmscm_fetch *fetch, int type, const struct vmscm_id *id, bool is_base,
    const struct vmscm_fetch_target *to, struct vmscm_error *err)
{
    struct search s = {
        .id = id, .type = type, .is_base = is_base, .to = to, .first = VMSCM_ERROR_INIT};
    bool changed, asked;
    int rc;

    /* In packs, in packs as they are now, in the trash; and in case that gc was quicker, again. */
    for (int again = 0; again < 5; again++) {
        locate_fn locate =
            again && again % 2 == 0 ? vmscm_store_locate_trash : vmscm_store_locate;
        if ((rc = try_places(fetch, &s, fetch->store, locate, NULL, err)) != NOT_THERE ||
            (again < 2 && (rc = try_cache(fetch, &s, again == 1, err)) != NOT_THERE))
            return rc;
        /* What changed may be known already, from another thread's look or one for a base. */
        if (again % 2 == 0 && again < 4 && (rc = vmscm_store_reload(fetch->store, &changed, err)))
            return rc;
    }
    rc = try_elsewhere(fetch, &s, &asked, err);
    return rc == NOT_THERE ? tell_missing(&s, err) : rc;
}
