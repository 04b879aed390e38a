/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/repairpacks.h"
#include "base/str.h"
#include "base/vec.h"
#include "store/check.h"
#include "store/salvage.h"
#include "sys/file.h"
#include "sys/lockfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct suspect {
    char file[VMSCM_PACKFILE_NAME];
    char why[256];    /* what was found first */
    bool unsupported; /* of a later version, if it is not damage that says so */
    bool leave;       /* it stays where it is */
    struct vmscm_salvage_counts counts;
};

struct packs {
    struct vmscm_repairing *r;
    VMSCM_VEC(struct suspect) suspects;
    struct vmscm_idset names; /* of suspects; padded with zeros */
    VMSCM_VEC(char *) indexes; /* damaged ones */
    uint64_t total;
    int rc; /* of what went wrong where a callback cannot return it */
    struct vmscm_error *err;
};

static struct vmscm_id key_of(const uint8_t name[VMSCM_MIDX_NAME_SIZE])
{
    struct vmscm_id key = {0};

    memcpy(key.bytes, name, VMSCM_MIDX_NAME_SIZE);
    return key;
}

/* Note that a pack is damaged, once. */
static void suspect(struct packs *p, const uint8_t name[VMSCM_MIDX_NAME_SIZE],
    const struct vmscm_error *why)
{
    struct vmscm_id key = key_of(name);
    struct suspect *s;
    uint64_t *value;
    bool added;

    if (p->rc || (p->rc = vmscm_idset_get(&p->names, &value, &added, &key, p->err)) || !added ||
        (p->rc = vmscm_vec_add(&p->suspects, &s, p->err)))
        return;
    vmscm_packfile_format_name(s->file, name);
    snprintf(s->why, sizeof s->why, "%.250s", why->message);
    s->unsupported = why->code == VMSCM_EUNSUPPORTED;
}

static void add_index(struct packs *p, const char *file)
{
    char **slot;

    if (!p->rc && !(p->rc = vmscm_vec_add(&p->indexes, &slot, p->err)))
        p->rc = vmscm_str_dup(slot, file, p->err);
}

static void on_file(void *data, const char *file, const struct vmscm_error *why)
{
    struct packs *p = data;
    struct vmscm_error text = *why;
    uint8_t name[VMSCM_MIDX_NAME_SIZE];
    const char *rest = strstr(why->message, file);

    /* "PATH: WHY" */
    if (rest && vmscm_str_starts(rest + strlen(file), ": "))
        snprintf(text.message, sizeof text.message, "%s", rest + strlen(file) + 2);
    if (vmscm_packfile_parse_name(name, file))
        suspect(p, name, &text);
    else if (why->code == VMSCM_EDAMAGED)
        add_index(p, file);
}

static void on_record(void *data, const struct vmscm_packfile *pack, const struct vmscm_id *id,
    const struct vmscm_error *why)
{
    struct packs *p = data;
    uint64_t *value;
    bool added;

    if (id && !p->rc)
        p->rc = vmscm_idset_get(&p->r->bad, &value, &added, id, p->err);
    /* A base that cannot be had, or a later version, is no damage of the pack. */
    if (why->code != VMSCM_ENOTFOUND && why->code != VMSCM_EUNSUPPORTED)
        suspect(p, pack->name, why);
}

static int on_bytes(void *data, uint64_t bytes)
{
    struct packs *p = data;
    const struct vmscm_events *events = p->r->events;
    struct vmscm_progress progress = {.phase = "checking packs", .done = bytes, .total = p->total};

    if (events && events->progress)
        events->progress(events->data, &progress);
    return vmscm_handle_canceled(events, NULL);
}

static int find_damage(struct packs *p, struct vmscm_error *err)
{
    struct vmscm_store *store = p->r->store;
    struct vmscm_check check = {.store = store,
        .jobs = p->r->jobs,
        .found = on_record,
        .progress = on_bytes,
        .data = p};
    bool changed;
    int rc;

    if ((rc = vmscm_store_reload(store, &changed, err)) || (rc = vmscm_store_examine(store, err)))
        return rc;
    vmscm_store_damage(store, on_file, p);
    for (size_t i = 0; i < vmscm_store_midx_count(store) && !p->rc; i++) {
        struct vmscm_midxfile *midx = vmscm_store_midx(store, i);
        if (!(rc = vmscm_midxfile_check(midx, err)))
            continue;
        if (rc == VMSCM_ENOMEM)
            return rc;
        vmscm_error_clear(err);
        add_index(p, vmscm_midxfile_name(midx));
    }
    for (size_t i = 0; i < vmscm_store_pack_count(store); i++)
        p->total += vmscm_store_pack(store, i)->trailer.index_offset;
    if (p->rc || (rc = vmscm_check_packs(&check, err)))
        return p->rc ? p->rc : rc;
    p->r->result->left.records = check.records;
    p->r->result->left.bytes = check.bytes;
    return p->rc;
}

static bool is_trusted(void *data, const struct vmscm_packfile *pack)
{
    const struct packs *p = data;
    struct vmscm_id key = key_of(pack->name);

    return !vmscm_idset_find(&p->names, &key);
}

static int is_canceled(void *data, struct vmscm_error *err)
{
    const struct packs *p = data;

    return vmscm_repairing_canceled(p->r, err);
}

/* Whether a file can be opened at all: if it cannot, that says nothing about what is in it. */
static bool can_open(const char *path, struct vmscm_error *why)
{
    int fd = -1;
    bool yes = !vmscm_file_open(&fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, why);

    if (fd >= 0)
        close(fd);
    return yes;
}

static int salvage(struct packs *p, struct suspect *s, struct vmscm_error *err)
{
    struct vmscm_salvage what = {.store = p->r->store,
        .repo_dir = p->r->repo->path,
        .level = p->r->level,
        .trusted = is_trusted,
        .canceled = is_canceled,
        .data = p};
    struct vmscm_error why = VMSCM_ERROR_INIT;
    char *path = NULL, object[VMSCM_PACKFILE_NAME + 8];
    int rc = vmscm_str_printf(&path, err, "%s/packs/%s", p->r->repo->path, s->file);

    if (rc)
        return rc;
    snprintf(object, sizeof object, "packs/%s", s->file);
    if (!can_open(path, &why)) {
        s->leave = true;
        vmscm_repairing_tell(p->r, object, "cannot be read, and is left as it is");
    } else if (!(rc = vmscm_salvage_pack(&what, path, &s->counts, err))) {
        const struct vmscm_salvage_counts *c = &s->counts;
        p->r->result->saved += c->copied;
        /* Whole, all that says otherwise being a version: as likely as not it is of a later one. */
        s->leave = c->unsupported || (s->unsupported && (!c->index_right || c->kept < c->claimed));
        if (s->leave)
            vmscm_repairing_tell(p->r, object,
                "%s; %llu chunks and leaves copied; left as it is, for a newer vmscm", s->why,
                (unsigned long long)c->copied);
    }
    free(path);
    return rc;
}

static int move_pack(struct packs *p, const struct suspect *s, struct vmscm_error *err)
{
    const struct vmscm_salvage_counts *c = &s->counts;
    char file[VMSCM_PACKFILE_NAME + 8], text[600], lost[60] = "";

    snprintf(file, sizeof file, "packs/%s", s->file);
    if (c->claimed)
        snprintf(lost, sizeof lost, " of %llu", (unsigned long long)c->claimed);
    snprintf(text, sizeof text, "%s; %llu chunks and leaves%s are good, %llu copied", s->why,
        (unsigned long long)(c->claimed ? c->kept : c->good), lost,
        (unsigned long long)c->copied);
    return vmscm_repairing_set_aside(p->r, file, s->file, false, text, err);
}

/* Who checks in found things in these packs, and looks again under this lock whether they are there. */
static int move_packs(struct packs *p, struct vmscm_error *err)
{
    int lock = -1, rc = 0;
    bool any = false;

    for (size_t i = 0; i < p->suspects.len; i++)
        any = any || !p->suspects.items[i].leave;
    if (any)
        rc = vmscm_handle_commit_lock_alone(&lock, p->r->repo, err);
    for (size_t i = 0; i < p->suspects.len && !rc; i++)
        if (!p->suspects.items[i].leave)
            rc = move_pack(p, &p->suspects.items[i], err);
    vmscm_lockfile_release(&lock);
    return rc;
}

static int move_indexes(struct packs *p, struct vmscm_error *err)
{
    char *path = NULL;
    int lock = -1, rc = 0;

    if (p->indexes.len && !(rc = vmscm_str_printf(&path, err, "%s/locks/midx", p->r->repo->path)))
        rc = vmscm_lockfile_acquire(&lock, path, VMSCM_LOCK_EXCLUSIVE, err);
    free(path);
    for (size_t i = 0; i < p->indexes.len && !rc; i++) {
        struct vmscm_error why = VMSCM_ERROR_INIT;
        char *file = NULL;
        path = NULL;
        if (!(rc = vmscm_str_printf(&file, err, "packs/%s", p->indexes.items[i])) &&
            !(rc = vmscm_str_printf(&path, err, "%s/%s", p->r->repo->path, file))) {
            if (can_open(path, &why)) /* it may have been replaced meanwhile */
                rc = vmscm_repairing_set_aside(p->r, file, p->indexes.items[i], false, "damaged", err);
            else if (why.code != VMSCM_ENOTFOUND)
                vmscm_repairing_tell(p->r, file, "cannot be read, and is left as it is");
        }
        free(file);
        free(path);
    }
    vmscm_lockfile_release(&lock);
    return rc;
}

int vmscm_repairpacks_run(struct vmscm_repairing *r, struct vmscm_error *err)
{
    struct packs p = {.r = r, .err = err};
    bool changed;
    int rc = find_damage(&p, err);

    for (size_t i = 0; i < p.suspects.len && !rc; i++)
        rc = salvage(&p, &p.suspects.items[i], err);
    if (!rc && !(rc = move_packs(&p, err)) && !(rc = move_indexes(&p, err)) &&
        !(rc = vmscm_store_reload(r->store, &changed, err)))
        rc = vmscm_store_reindex(r->store, err);
    for (size_t i = 0; i < p.indexes.len; i++)
        free(p.indexes.items[i]);
    vmscm_vec_release(&p.indexes);
    vmscm_vec_release(&p.suspects);
    vmscm_idset_release(&p.names);
    return rc;
}
