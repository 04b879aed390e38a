/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking up a revision, and what it tells. Names and remarks are in machines.c and tags.c. */
#include <vmscm/revision.h>

#include "base/str.h"
#include "history/holder.h"
#include "history/ident.h"
#include "history/revspec.h"
#include "machine/model.h"
#include "repo/names.h"
#include "repo/snapshot.h"

#include <stdlib.h>
#include <string.h>

int vmscm_revision_resolve(struct vmscm_revision **out, struct vmscm_repo *repo, const char *spec,
    struct vmscm_error *err)
{
    struct vmscm_revspec found = {0};
    int rc = vmscm_revspec_resolve(&found, repo->git, spec, err);

    if (rc)
        return rc;
    if (!(rc = vmscm_snapshot_open(out, repo, found.id, found.machine, err))) {
        (*out)->tag = found.tag;
        found.tag = NULL;
    }
    vmscm_revspec_release(&found);
    return rc;
}

void vmscm_revision_free(struct vmscm_revision *rev)
{
    if (!rev)
        return;
    vmscm_gitdb_info_release(&rev->info);
    vmscm_model_free(rev->machine);
    vmscm_pruned_note_release(&rev->note);
    free(rev->machine_name);
    free(rev->tag);
    free(rev);
}

const char *vmscm_revision_id(const struct vmscm_revision *rev)
{
    return rev->info.id;
}

const char *vmscm_revision_machine_name(const struct vmscm_revision *rev)
{
    /* Looked for when first asked: it may take a walk through history. */
    struct vmscm_revision *r = (struct vmscm_revision *)rev;

    if (!r->name_known) {
        r->name_known = 1;
        if (vmscm_holder_find(&r->machine_name, r->repo->git, r->info.id, NULL))
            r->machine_name = NULL;
    }
    return r->machine_name;
}

const char *vmscm_revision_message(const struct vmscm_revision *rev)
{
    return rev->info.message;
}

struct vmscm_signature vmscm_revision_author(const struct vmscm_revision *rev)
{
    return rev->info.author;
}

size_t vmscm_revision_parent_count(const struct vmscm_revision *rev)
{
    return rev->info.parent_count;
}

const char *vmscm_revision_parent(const struct vmscm_revision *rev, size_t n)
{
    return n < rev->info.parent_count ? rev->info.parents[n] : NULL;
}

int vmscm_revision_machine(const struct vmscm_machine **out, struct vmscm_revision *rev,
    struct vmscm_error *err)
{
    int rc = rev->machine ? 0
                          : vmscm_snapshot_machine(&rev->machine, rev->repo, rev->info.id, err);

    *out = rev->machine;
    return rc;
}

int vmscm_revision_check_disks(struct vmscm_revision *rev, struct vmscm_error *err)
{
    const struct vmscm_machine *machine;
    int rc = vmscm_revision_machine(&machine, rev, err);

    if (rc || !vmscm_machine_is_container(machine))
        return rc;
    vmscm_error_set(err, VMSCM_EUNSUPPORTED,
        "revision %.12s: is a container, which has files but no disk", rev->info.id);
    vmscm_error_hint(err, "'vmscm export %.12s FILE.tar' writes its files", rev->info.id);
    return VMSCM_EUNSUPPORTED;
}

int vmscm_revision_pruned(int *pruned, struct vmscm_signature *by, const char **rule,
    struct vmscm_revision *rev, struct vmscm_error *err)
{
    bool held = rev->repo->pruned != NULL;
    int rc = 0;

    *pruned = held && vmscm_pruned_has(rev->repo->pruned, rev->info.id);
    if (*pruned && !by && !rule)
        return 0;
    if ((!held || *pruned) && !rev->note.rule &&
        (rc = vmscm_pruned_read(&rev->note, rev->repo->git, rev->info.id, err)) ==
            VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    }
    *pruned = !rc && rev->note.rule;
    if (by)
        *by = rev->note.by;
    if (rule)
        *rule = rev->note.rule;
    return rc;
}

struct config_walk {
    int (*each)(void *data, const char *path, uint64_t size);
    void *data;
};

static int config_file(void *data, const char *path, const char *blob, uint64_t size)
{
    struct config_walk *walk = data;

    (void)blob;
    return walk->each(walk->data, path, size);
}

int vmscm_revision_config_files(struct vmscm_revision *rev,
    int (*each)(void *data, const char *path, uint64_t size), void *data, struct vmscm_error *err)
{
    struct config_walk walk = {each, data};
    int rc = vmscm_gitdb_walk_files(
        rev->repo->git, rev->info.id, VMSCM_HANDLE_CONFIG_DIR, config_file, &walk, err);

    return rc == VMSCM_ENOTFOUND ? 0 : rc;
}

int vmscm_revision_config_read(void **bytes, size_t *size, struct vmscm_revision *rev,
    const char *path, struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char *full = NULL;
    int rc = vmscm_str_printf(&full, err, VMSCM_HANDLE_CONFIG_DIR "/%s", path);

    if (!rc)
        rc = vmscm_gitdb_read_file(
            &buf, rev->repo->git, rev->info.id, full, VMSCM_HANDLE_CONFIG_FILE_MAX, err);
    free(full);
    if (!rc) {
        *size = buf.len;
        if (!(*bytes = vmscm_buf_steal(&buf)))
            rc = vmscm_error_nomem(err);
    }
    vmscm_buf_release(&buf);
    return rc;
}

int vmscm_revision_log(struct vmscm_revision *rev, size_t max,
    int (*each)(void *data, struct vmscm_revision *rev), void *data, struct vmscm_error *err)
{
    struct vmscm_revision *at = rev, *next;
    int rc = 0;

    for (size_t n = 0; !max || n < max; n++) {
        if ((rc = each(data, at)) || at->info.parent_count == 0)
            break;
        if ((rc = vmscm_snapshot_open(
                 &next, rev->repo, at->info.parents[0], rev->machine_name, err)))
            break;
        next->name_known = 1;
        if (at != rev)
            vmscm_revision_free(at);
        at = next;
    }
    if (at != rev)
        vmscm_revision_free(at);
    return rc;
}

int vmscm_revision_names(struct vmscm_revision *rev,
    int (*each)(void *data, const char *machine, const char *tag), void *data,
    struct vmscm_error *err)
{
    struct vmscm_names *names = rev->repo->names;
    int rc = names ? 0 : vmscm_names_read(&names, rev->repo->git, err);

    if (!rc)
        rc = vmscm_names_of(names, rev->info.id, each, data);
    if (names != rev->repo->names)
        vmscm_names_free(names);
    return rc;
}

int vmscm_revision_names_hold(struct vmscm_repo *repo, struct vmscm_error *err)
{
    struct vmscm_pruned *pruned = NULL;
    struct vmscm_names *names;
    int rc = vmscm_names_read(&names, repo->git, err);

    if (rc)
        return rc;
    /* What is damaged is told of each revision that is asked for. */
    rc = vmscm_pruned_load(&pruned, repo->git, err);
    if (rc && rc != VMSCM_EDAMAGED) {
        vmscm_names_free(names);
        return rc;
    }
    vmscm_names_free(repo->names);
    vmscm_pruned_free(repo->pruned);
    repo->names = names;
    repo->pruned = pruned;
    vmscm_error_clear(err);
    return 0;
}

int vmscm_revision_set_author(struct vmscm_repo *repo, const char *author, const char *date,
    struct vmscm_error *err)
{
    struct vmscm_signature sig = {0};
    int rc = 0;

    if (author) {
        if ((rc = vmscm_ident_parse_author(&sig, author, err)))
            return rc;
        vmscm_ident_release(&repo->author);
        repo->author = sig;
    }
    if (date) {
        struct vmscm_signature when = {0};
        if ((rc = vmscm_ident_parse_date(&when, date, err)))
            return rc;
        repo->when = when.time;
        repo->when_offset = when.offset;
        repo->has_when = 1;
    }
    return 0;
}

int vmscm_revision_name_check(const char *name, struct vmscm_error *err)
{
    return vmscm_revspec_check_machine(name, err) == 0;
}
