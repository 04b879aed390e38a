/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/promisor.h"
#include "base/str.h"
#include "format/leaf.h"
#include "remote/session.h"
#include "repo/promises.h"
#include "store/idset.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vmscm/remote.h>

#define BACKOFF 5.0     /* seconds until another try to connect */
#define ALONE_FEW 32    /* so few are asked for without bases at once: it saves a round trip */
#define COMMITS_MAX 60u /* named in one request: a server looks for few that no ref leads to */

struct promisor {
    char *path; /* the repository's */
    char *remote;
    const struct vmscm_events *events;
    struct vmscm_repo *repo; /* NULL: nothing was needed yet */
    struct vmscm_promises *promises;
    struct vmscm_session session;
    bool connected, used;
    double failed_at; /* 0: it did not */
    struct vmscm_error failure;
    struct vmscm_id recent; /* leaf in which a chunk was found */
    struct vmscm_idset asked; /* leaves that were, for what is being brought */
    uint64_t requests, received;
};

/* What one request asks for. */
struct asking {
    struct vmscm_buf commits; /* ids as they travel */
    struct vmscm_buf leaves;
    struct vmscm_buf entries; /* frames, each after its length of 4 bytes */
    struct vmscm_buf bytes;   /* of a leaf */
    size_t count;
};

static void release_asking(struct asking *a)
{
    vmscm_buf_release(&a->commits);
    vmscm_buf_release(&a->leaves);
    vmscm_buf_release(&a->entries);
    vmscm_buf_release(&a->bytes);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void hang_up(struct promisor *p, struct vmscm_error *err)
{
    if (!p->connected)
        return;
    if (p->session.stream)
        p->received += vmscm_stream_received(p->session.stream);
    vmscm_session_close(&p->session, err);
    p->connected = p->used = false;
}

/* One that could not be reached is not tried again at once: there may be thousands who ask. */
static int get_connected(struct promisor *p, struct vmscm_error *err)
{
    int rc;

    if (p->connected)
        return 0;
    if (p->failed_at > 0 && now() - p->failed_at < BACKOFF)
        return vmscm_error_copy(err, &p->failure);
    p->failed_at = 0;
    rc = vmscm_session_open(&p->session, p->repo, p->remote, p->events, 0, &p->failure);
    p->connected = true;
    if (!rc)
        return 0;
    hang_up(p, &p->failure);
    p->failed_at = now();
    return vmscm_error_copy(err, &p->failure);
}

static int put_all(struct promisor *p, const struct asking *a, bool alone, struct vmscm_error *err)
{
    struct vmscm_session *s = &p->session;
    size_t commits = a->commits.len / VMSCM_WIRE_OID_SIZE;
    int rc;

    /* Had, too: so it is only these revisions, and none before them. */
    if ((rc = vmscm_session_begin(s, VMSCM_WIRE_OP_DATA, alone ? VMSCM_WIRE_ALONE : 0, err)) ||
        (rc = vmscm_session_put_list(s, VMSCM_WIRE_COMMITS, VMSCM_WIRE_WANT, a->commits.data,
             commits, VMSCM_WIRE_OID_SIZE, err)) ||
        (rc = vmscm_session_put_list(s, VMSCM_WIRE_COMMITS, VMSCM_WIRE_HAVE, a->commits.data,
             commits, VMSCM_WIRE_OID_SIZE, err)) ||
        (rc = vmscm_session_put_list(s, VMSCM_WIRE_IDS, VMSCM_WIRE_WANT, a->leaves.data,
             a->leaves.len / VMSCM_HASH_SIZE, VMSCM_HASH_SIZE, err)))
        return rc;
    for (size_t at = 0; at < a->entries.len && !rc;) {
        const uint8_t *d = a->entries.data + at;
        size_t len = d[0] | (size_t)d[1] << 8 | (size_t)d[2] << 16 | (size_t)d[3] << 24;
        rc = vmscm_stream_put(s->stream, VMSCM_WIRE_ENTRIES, NULL, 0, d + 4, len, err);
        at += 4 + len;
    }
    return rc ? rc : vmscm_session_turn(s, VMSCM_WIRE_OP_DATA, err);
}

static int take_all(struct promisor *p, struct vmscm_elsewhere_take *take, struct vmscm_error *err)
{
    struct vmscm_stream_frame frame;
    bool over = false;
    int rc;

    while (!(rc = vmscm_session_next(&p->session, &frame, &over, err)) && !over) {
        if (frame.type == VMSCM_WIRE_RECORD)
            rc = vmscm_elsewhere_record(take, frame.data, frame.len, err);
        else if (frame.type != VMSCM_WIRE_TOTAL)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "answers something else than was asked");
        if (rc == VMSCM_EINPUT || rc == VMSCM_EUNSUPPORTED)
            vmscm_error_prefix(err, "%s", vmscm_stream_peer(p->session.stream));
        if (rc || (rc = vmscm_handle_canceled(p->events, err)))
            break;
    }
    return rc;
}

/* One request, and its answer. A connection that was lost since it was used last is made anew. */
static int ask(struct promisor *p, struct vmscm_elsewhere_take *take, const struct asking *a,
    bool alone, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc = 0;

    if (!a->count)
        return 0;
    for (int again = 0; again < 2; again++) {
        bool used = p->used;
        vmscm_error_clear(&why);
        if ((rc = get_connected(p, err)))
            return rc;
        p->requests++;
        if (!(rc = put_all(p, a, alone, &why)) && !(rc = take_all(p, take, &why))) {
            p->used = true;
            return vmscm_elsewhere_flush(take, err);
        }
        /* Where in an answer it stopped is not known. */
        hang_up(p, &why);
        if (!used || (rc != VMSCM_EIO && rc != VMSCM_ETOOL))
            break;
    }
    vmscm_error_copy(err, &why);
    return why.code ? (int)why.code : rc;
}

/* A revision that has the leaf is named. *known is false if there is none. */
static int name_commit(struct promisor *p, struct asking *a, bool *known,
    const struct vmscm_id *leaf, struct vmscm_error *err)
{
    uint8_t bytes[VMSCM_WIRE_OID_SIZE];
    const char *commit;
    int rc = vmscm_promises_find(p->promises, &commit, leaf, err);

    *known = !rc && commit;
    if (rc || !commit)
        return rc;
    if (!vmscm_str_unhex(bytes, sizeof bytes, commit))
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: no id", commit);
    for (size_t at = a->commits.len; at; at -= sizeof bytes)
        if (memcmp(a->commits.data + at - sizeof bytes, bytes, sizeof bytes) == 0)
            return 0;
    return vmscm_buf_append(&a->commits, bytes, sizeof bytes, err);
}

static bool is_known(const struct vmscm_id *id)
{
    static const struct vmscm_id none;

    return memcmp(id->bytes, none.bytes, sizeof none.bytes) != 0;
}

static int add_leaf(struct promisor *p, struct asking *a, const struct vmscm_id *leaf,
    struct vmscm_error *err)
{
    uint64_t *value;
    bool known, added;
    int rc = name_commit(p, a, &known, leaf, err);

    if (rc || !known || (rc = vmscm_idset_get(&p->asked, &value, &added, leaf, err)))
        return rc;
    a->count++;
    return vmscm_buf_append(&a->leaves, leaf->bytes, sizeof leaf->bytes, err);
}

/* The leaves that are wanted, and those without which it is not known what to ask for. */
static int get_leaves(struct promisor *p, struct vmscm_elsewhere_take *take,
    const struct vmscm_elsewhere_want *wants, size_t count, struct vmscm_error *err)
{
    struct asking a = {.count = 0};
    struct vmscm_idset seen = {0};
    uint64_t *value;
    bool added;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        bool itself = wants[i].type == VMSCM_PACK_LEAF;
        const struct vmscm_id *leaf = itself ? &wants[i].id : &wants[i].leaf;
        if (!is_known(leaf) || (rc = vmscm_idset_get(&seen, &value, &added, leaf, err)) || !added)
            continue;
        if (!itself && vmscm_elsewhere_read_leaf(take, leaf, &a.bytes, NULL) == 0)
            continue;
        if (!itself && (rc = vmscm_elsewhere_also(take, leaf, err)))
            break;
        if (!vmscm_elsewhere_came(take, leaf))
            rc = add_leaf(p, &a, leaf, err);
    }
    if (!rc)
        rc = ask(p, take, &a, true, err);
    vmscm_idset_release(&seen);
    release_asking(&a);
    return rc;
}

/* Which leaves that can be read here list chunks of which nobody said where they belong. */
struct looking {
    struct vmscm_elsewhere_take *take;
    struct vmscm_buf bytes;
    struct vmscm_elsewhere_want *wants;
    struct vmscm_idset unknown; /* one more than the number of its want; 0: it was found */
    size_t left;
};

/* Whether all are found with what this leaf lists. */
static bool look_in(void *data, const struct vmscm_id *leaf)
{
    struct looking *l = data;
    struct vmscm_leaf_entry *entries = NULL;
    size_t count = 0;
    uint32_t length;

    if (vmscm_elsewhere_read_leaf(l->take, leaf, &l->bytes, NULL) ||
        vmscm_leaf_decode(&entries, &count, &length, l->bytes.data, l->bytes.len, NULL))
        return false;
    for (size_t i = 0; i < count && l->left; i++) {
        uint64_t *number;
        bool added;
        if (entries[i].zero || !vmscm_idset_find(&l->unknown, &entries[i].id) ||
            vmscm_idset_get(&l->unknown, &number, &added, &entries[i].id, NULL) || !*number)
            continue;
        l->wants[*number - 1].leaf = *leaf;
        *number = 0;
        l->left--;
    }
    free(entries);
    return !l->left;
}

/* See which leaves list the chunks of which it is not known. */
static int find_leaves(struct promisor *p, struct vmscm_elsewhere_take *take,
    struct vmscm_elsewhere_want *wants, size_t count, struct vmscm_error *err)
{
    struct looking l = {.take = take, .wants = wants};
    uint64_t *number;
    bool added, found = false;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        if (is_known(&wants[i].leaf) ||
            (rc = vmscm_idset_get(&l.unknown, &number, &added, &wants[i].id, err)) || !added)
            continue;
        *number = i + 1;
        l.left++;
    }
    if (!rc && l.left && !(is_known(&p->recent) && look_in(&l, &p->recent)))
        rc = vmscm_promises_search(p->promises, &p->recent, &found, look_in, &l, err);
    vmscm_idset_release(&l.unknown);
    vmscm_buf_release(&l.bytes);
    return rc;
}

static int by_leaf(const void *a, const void *b)
{
    const struct vmscm_elsewhere_want *x = a, *y = b;
    int order = memcmp(x->leaf.bytes, y->leaf.bytes, sizeof x->leaf.bytes);

    return order ? order : memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

/* A leaf cannot be read: it did not come, or another process let go of it since. */
static int miss_leaf(struct promisor *p, const struct vmscm_elsewhere_take *take,
    const struct vmscm_id *leaf, struct vmscm_error *err)
{
    if (vmscm_idset_find(&p->asked, leaf) && !vmscm_elsewhere_came(take, leaf))
        return 0;
    vmscm_error_set(err, VMSCM_EBUSY, "what is brought is evicted at once");
    return vmscm_error_hint(err, "let cache.size be more");
}

/* Those that are of one leaf, sorted by id, as its entries. */
static int add_entries(struct promisor *p, struct asking *a, struct vmscm_elsewhere_take *take,
    const struct vmscm_elsewhere_want *wants, size_t count, struct vmscm_error *err)
{
    uint8_t bits[VMSCM_LEAF_BLOCKS / 8 + 1] = {0};
    struct vmscm_leaf_entry *entries = NULL;
    size_t entry_count = 0, set = 0;
    uint32_t length;
    bool known;
    int rc;

    if (!is_known(&wants->leaf))
        return 0;
    if (vmscm_elsewhere_read_leaf(take, &wants->leaf, &a->bytes, NULL))
        return miss_leaf(p, take, &wants->leaf, err);
    if ((rc = vmscm_leaf_decode(
             &entries, &entry_count, &length, a->bytes.data, a->bytes.len, err)) ||
        (rc = name_commit(p, a, &known, &wants->leaf, err)) || !known)
        goto out;
    for (size_t i = 0; i < entry_count; i++) {
        const struct vmscm_elsewhere_want key = {.id = entries[i].id, .leaf = wants->leaf};
        if (entries[i].zero || !bsearch(&key, wants, count, sizeof key, by_leaf))
            continue;
        bits[i / 8] |= (uint8_t)(1u << i % 8);
        set++;
    }
    if (!set)
        goto out;
    a->count += set;
    if (!(rc = vmscm_buf_put32(
              &a->entries, (uint32_t)(VMSCM_HASH_SIZE + 4 + (entry_count + 7) / 8), err)))
        rc = vmscm_wire_encode_entries(&a->entries, &wants->leaf, bits, entry_count, err);
out:
    free(entries);
    return rc;
}

/* The chunks that have not come yet, by leaf, in as many requests as their revisions take. */
static int get_chunks(struct promisor *p, struct vmscm_elsewhere_take *take,
    const struct vmscm_elsewhere_want *wants, size_t count, bool alone, struct vmscm_error *err)
{
    struct vmscm_elsewhere_want *left = calloc(count, sizeof *left);
    struct asking a = {.count = 0};
    const char *commit;
    size_t n = 0, len;
    int rc = left ? 0 : vmscm_error_nomem(err);

    for (size_t i = 0; i < count && !rc; i++) {
        if (wants[i].type == VMSCM_PACK_LEAF || vmscm_elsewhere_came(take, &wants[i].id))
            continue;
        left[n] = wants[i];
        /* One that only we have lists what others, there, do. */
        if (is_known(&left[n].leaf) &&
            !(rc = vmscm_promises_find(p->promises, &commit, &left[n].leaf, err)) && !commit)
            left[n].leaf = (struct vmscm_id){{0}};
        n++;
    }
    if (!rc)
        rc = find_leaves(p, take, left, n, err);
    if (n)
        qsort(left, n, sizeof *left, by_leaf);
    for (size_t at = 0; at < n && !rc; at += len) {
        for (len = 1; at + len < n && vmscm_hash_cmp(&left[at].leaf, &left[at + len].leaf) == 0; len++)
            ;
        rc = add_entries(p, &a, take, left + at, len, err);
        if (!rc && a.commits.len >= COMMITS_MAX * VMSCM_WIRE_OID_SIZE) {
            rc = ask(p, take, &a, alone, err);
            release_asking(&a);
            a.count = 0;
        }
    }
    if (!rc)
        rc = ask(p, take, &a, alone, err);
    release_asking(&a);
    free(left);
    return rc;
}

static int bring(void *data, const struct vmscm_elsewhere_want *wants, size_t count,
    struct vmscm_elsewhere_take *take, struct vmscm_error *err)
{
    struct promisor *p = data;
    int rc;

    if (!p->repo && (rc = vmscm_repo_open(&p->repo, p->path, err)))
        return rc;
    if (!p->promises && (rc = vmscm_promises_new(&p->promises, p->repo, p->remote, err)))
        return rc;
    vmscm_idset_release(&p->asked);
    if ((rc = get_leaves(p, take, wants, count, err)))
        return rc;
    if (count > ALONE_FEW && (rc = get_chunks(p, take, wants, count, false, err)))
        return rc;
    /* The rest, if any: what was stored against others that are not here. */
    return get_chunks(p, take, wants, count, true, err);
}

static void detach(void *data)
{
    struct promisor *p = data;

    hang_up(p, NULL);
    if (p->requests)
        vmscm_handle_note(p->events, "%s: brought %llu bytes in %llu requests", p->remote,
            (unsigned long long)p->received, (unsigned long long)p->requests);
    vmscm_idset_release(&p->asked);
    vmscm_promises_free(p->promises);
    vmscm_repo_close(p->repo);
    free(p->remote);
    free(p->path);
    free(p);
}

int vmscm_promisor_attach(struct vmscm_repo *repo, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    struct vmscm_elsewhere elsewhere = {.bring = bring};
    struct promisor *p;
    int rc;

    if (!repo->promisor)
        return 0;
    if (!(p = calloc(1, sizeof *p)))
        return vmscm_error_nomem(err);
    p->events = events;
    elsewhere.data = p;
    if ((rc = vmscm_str_dup(&p->remote, repo->promisor, err)) ||
        (rc = vmscm_str_dup(&p->path, repo->path, err))) {
        detach(p);
        return rc;
    }
    return vmscm_handle_attach(repo, &elsewhere, detach, err);
}

const char *vmscm_remote_promisor(const struct vmscm_repo *repo)
{
    return repo->promisor;
}

int vmscm_remote_attach(struct vmscm_repo *repo, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    return vmscm_promisor_attach(repo, events, err);
}
