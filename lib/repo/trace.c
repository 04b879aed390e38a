/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Boot traces: made from reads, kept as notes on the git tree of the disks, followed when reading ahead. */
#include <vmscm/trace.h>

#include "base/vec.h"
#include "history/ident.h"
#include "history/notes.h"
#include "repo/refnames.h"
#include "repo/snapshot.h"
#include "repo/trace.h"
#include "sys/lockfile.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOM_LOG2 12u /* of the hash table, at first */

struct vmscm_trace {
    pthread_mutex_t lock; /* guards all below */
    struct vmscm_tracenote note;
    uint64_t *known; /* a hash table of the units that are in it, as key() has them; 0: free */
    unsigned room_log2; /* its size; at most half of it is used */
};

int vmscm_trace_new(struct vmscm_trace **out, struct vmscm_error *err)
{
    struct vmscm_trace *trace = calloc(1, sizeof *trace);

    if (!trace || !(trace->known = calloc((size_t)1 << ROOM_LOG2, sizeof *trace->known))) {
        free(trace);
        return vmscm_error_nomem(err);
    }
    trace->room_log2 = ROOM_LOG2;
    pthread_mutex_init(&trace->lock, NULL);
    *out = trace;
    return 0;
}

void vmscm_trace_free(struct vmscm_trace *trace)
{
    if (!trace)
        return;
    vmscm_tracenote_release(&trace->note);
    pthread_mutex_destroy(&trace->lock);
    free(trace->known);
    free(trace);
}

static uint64_t key(uint32_t disk, uint64_t unit)
{
    return ((uint64_t)disk + 1) << 50 | unit;
}

/* Where it is, or would be. */
static uint64_t *slot(const struct vmscm_trace *trace, uint64_t k)
{
    size_t last = ((size_t)1 << trace->room_log2) - 1;
    /* Fibonacci hashing: Knuth, The Art of Computer Programming 3, 6.4. */
    size_t at = (size_t)((k * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - trace->room_log2));

    for (; trace->known[at] && trace->known[at] != k; at = (at + 1) & last)
        continue;
    return &trace->known[at];
}

/* See to it that there is room for so many units. */
static int make_room(struct vmscm_trace *trace, size_t units, struct vmscm_error *err)
{
    struct vmscm_trace larger = {.room_log2 = trace->room_log2};

    while ((size_t)1 << larger.room_log2 < 2 * units)
        larger.room_log2++;
    if (larger.room_log2 == trace->room_log2)
        return 0;
    if (!(larger.known = calloc((size_t)1 << larger.room_log2, sizeof *larger.known)))
        return vmscm_error_nomem(err);
    for (size_t i = 0; i < (size_t)1 << trace->room_log2; i++)
        if (trace->known[i])
            *slot(&larger, trace->known[i]) = trace->known[i];
    free(trace->known);
    trace->known = larger.known;
    trace->room_log2 = larger.room_log2;
    return 0;
}

/* Under the lock. Whether it is new. */
static bool add_unit(struct vmscm_trace *trace, uint32_t disk, uint64_t unit)
{
    uint64_t *at = slot(trace, key(disk, unit));

    if (*at || make_room(trace, (size_t)trace->note.units + 1, NULL) ||
        vmscm_tracenote_add(&trace->note, disk, unit, 1, NULL))
        return false;
    *slot(trace, key(disk, unit)) = key(disk, unit);
    return true;
}

int vmscm_trace_add(struct vmscm_trace *trace, const char *disk, uint64_t offset, uint64_t len)
{
    uint64_t unit = offset >> VMSCM_TRACENOTE_UNIT_LOG2;
    uint64_t last = len ? (offset + len - 1) >> VMSCM_TRACENOTE_UNIT_LOG2 : unit;
    uint32_t index;
    int fresh = 0;

    pthread_mutex_lock(&trace->lock);
    if (len && offset + len > offset && !vmscm_tracenote_disk(&index, &trace->note, disk, NULL))
        for (; unit <= last && trace->note.units < VMSCM_TRACENOTE_UNITS_MAX; unit++)
            fresh |= add_unit(trace, index, unit);
    pthread_mutex_unlock(&trace->lock);
    return fresh;
}

/* Under the lock. */
static bool find_disk(uint32_t *index, const struct vmscm_trace *trace, const char *disk)
{
    for (*index = 0; *index < trace->note.disks.len; ++*index)
        if (strcmp(trace->note.disks.items[*index], disk) == 0)
            return true;
    return false;
}

int vmscm_trace_has(struct vmscm_trace *trace, const char *disk, uint64_t offset)
{
    uint32_t index;

    pthread_mutex_lock(&trace->lock);
    int has = find_disk(&index, trace, disk) &&
        *slot(trace, key(index, offset >> VMSCM_TRACENOTE_UNIT_LOG2)) != 0;
    pthread_mutex_unlock(&trace->lock);
    return has;
}

int vmscm_trace_text(char **text, struct vmscm_trace *trace, struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    int rc;

    pthread_mutex_lock(&trace->lock);
    trace->note.time = trace->note.time ? trace->note.time : (int64_t)time(NULL);
    rc = trace->note.places.len ? vmscm_tracenote_encode(&buf, &trace->note, err)
                                : vmscm_error_set(err, VMSCM_ENOTFOUND, "boot trace: nothing was read");
    pthread_mutex_unlock(&trace->lock);
    if (!rc && !(*text = vmscm_buf_steal(&buf)))
        rc = vmscm_error_nomem(err);
    vmscm_buf_release(&buf);
    return rc;
}

static int find_key(char *id, struct vmscm_repo *repo, const char *commit, struct vmscm_error *err)
{
    int rc = vmscm_gitdb_find_tree(id, repo->git, commit, VMSCM_HANDLE_DISK_DIR, err);

    return rc == VMSCM_ENOTFOUND
        ? vmscm_error_set(err, rc, "revision %.12s: has no disks", commit)
        : rc;
}

int vmscm_trace_record(struct vmscm_revision *rev, const char *text, struct vmscm_error *err)
{
    struct vmscm_signature who = {0};
    struct vmscm_tracenote note = {0};
    char id[VMSCM_GITDB_ID];
    int lock = -1, rc;

    if ((rc = vmscm_tracenote_decode(&note, text, strlen(text), err)) ||
        (rc = find_key(id, rev->repo, rev->info.id, err)) ||
        (rc = vmscm_handle_who(&who, NULL, rev->repo, err)) ||
        (rc = vmscm_handle_commit_lock(&lock, rev->repo, err)))
        goto out;
    rc = vmscm_notes_append(rev->repo->git, VMSCM_REFNAMES_TRACES, id, text, &who, err);
out:
    vmscm_lockfile_release(&lock);
    vmscm_ident_release(&who);
    vmscm_tracenote_release(&note);
    return rc;
}

/* The newest of the lines of a note; others' that mean nothing to us are passed over. */
static bool choose(struct vmscm_tracenote *best, const char *text)
{
    bool found = false;

    for (const char *end; *text; text = *end ? end + 1 : end) {
        struct vmscm_tracenote note;
        end = strchrnul(text, '\n');
        if (vmscm_tracenote_decode(&note, text, (size_t)(end - text), NULL))
            continue;
        if (found && note.time < best->time) {
            vmscm_tracenote_release(&note);
            continue;
        }
        vmscm_tracenote_release(best);
        *best = note;
        found = true;
    }
    return found;
}

int vmscm_trace_find(struct vmscm_tracenote *note, struct vmscm_repo *repo, const char *commit,
    struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    char id[VMSCM_GITDB_ID];
    int rc;

    *note = (struct vmscm_tracenote){0};
    if (!(rc = find_key(id, repo, commit, err)) &&
        !(rc = vmscm_notes_read(&text, repo->git, VMSCM_REFNAMES_TRACES, id, err)) &&
        !choose(note, vmscm_buf_str(&text)))
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "boot trace: none that is known");
    vmscm_buf_release(&text);
    return rc;
}

int vmscm_trace_read(struct vmscm_trace **out, struct vmscm_revision *rev, struct vmscm_error *err)
{
    struct vmscm_tracenote note = {0};
    struct vmscm_trace *trace = NULL;
    int rc;

    if ((rc = vmscm_trace_find(&note, rev->repo, rev->info.id, err)) ||
        (rc = vmscm_trace_new(&trace, err)) || (rc = make_room(trace, note.units, err)))
        goto out;
    trace->note = note;
    note = (struct vmscm_tracenote){0};
    for (size_t i = 0; i < trace->note.places.len; i++) {
        const struct vmscm_tracenote_place *p = &trace->note.places.items[i];
        for (uint64_t n = 0; n < p->count; n++)
            *slot(trace, key(p->disk, p->first + n)) = key(p->disk, p->first + n);
    }
    *out = trace;
    trace = NULL;
out:
    vmscm_trace_free(trace);
    vmscm_tracenote_release(&note);
    return rc;
}

int vmscm_trace_fetch(struct vmscm_trace *trace, struct vmscm_disk *disk,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    VMSCM_VEC(struct vmscm_disk_place) places = {0};
    uint32_t index;
    int rc = 0;

    pthread_mutex_lock(&trace->lock);
    if (find_disk(&index, trace, vmscm_disk_id(disk)))
        for (size_t i = 0; i < trace->note.places.len && !rc; i++) {
            const struct vmscm_tracenote_place *p = &trace->note.places.items[i];
            struct vmscm_disk_place *place;
            if (p->disk == index && !(rc = vmscm_vec_add(&places, &place, err)))
                *place = (struct vmscm_disk_place){p->first << VMSCM_TRACENOTE_UNIT_LOG2,
                    (uint64_t)p->count << VMSCM_TRACENOTE_UNIT_LOG2};
        }
    pthread_mutex_unlock(&trace->lock);
    if (!rc)
        rc = vmscm_disk_fetch(disk, places.items, places.len, events, err);
    vmscm_vec_release(&places);
    return rc;
}
