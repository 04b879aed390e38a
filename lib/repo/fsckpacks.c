/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/fsckpacks.h"
#include "base/str.h"
#include "store/check.h"
#include "store/packwriter.h"
#include "store/quarantine.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct packs {
    struct vmscm_findings *findings;
    const struct vmscm_events *events;
    struct vmscm_idset *bad;
    uint64_t total; /* bytes to read */
    struct vmscm_error *err;
    int rc; /* of what went wrong where a callback cannot return it */
};

static void damaged_file(void *data, const char *file, const struct vmscm_error *why)
{
    char object[300];

    snprintf(object, sizeof object, "packs/%s", file);
    vmscm_findings_tell(
        data, (struct vmscm_fsck_finding){.object = object, .text = why->message});
}

void vmscm_fsckpacks_known(struct vmscm_repo *repo, struct vmscm_findings *findings)
{
    vmscm_store_damage(repo->store, damaged_file, findings);
}

int vmscm_fsckpacks_structure(struct vmscm_repo *repo, struct vmscm_findings *findings,
    struct vmscm_error *err)
{
    struct vmscm_store *store;
    bool changed;
    int rc;

    if ((rc = vmscm_handle_store(&store, repo, err)) ||
        (rc = vmscm_store_reload(store, &changed, err)) || (rc = vmscm_store_examine(store, err)))
        return rc;
    vmscm_fsckpacks_known(repo, findings);
    for (size_t i = 0; i < vmscm_store_midx_count(store); i++) {
        struct vmscm_midxfile *midx = vmscm_store_midx(store, i);
        struct vmscm_error why = VMSCM_ERROR_INIT;
        if ((rc = vmscm_midxfile_check(midx, &why)) == VMSCM_ENOMEM)
            return vmscm_error_copy(err, &why);
        if (rc)
            damaged_file(findings, vmscm_midxfile_name(midx), &why);
    }
    findings->result->packs = vmscm_store_pack_count(store);
    return 0;
}

static void damaged_record(void *data, const struct vmscm_packfile *pack,
    const struct vmscm_id *id, const struct vmscm_error *why)
{
    struct packs *p = data;
    char object[64] = "packs/", text[256], hex[VMSCM_HASH_HEX];
    uint64_t *value;
    bool added;

    vmscm_packfile_format_name(object + strlen(object), pack->name);
    if (!id) {
        vmscm_findings_tell(
            p->findings, (struct vmscm_fsck_finding){.object = object, .text = why->message});
        return;
    }
    vmscm_str_hex(hex, id->bytes, VMSCM_HASH_SIZE);
    snprintf(text, sizeof text, "record %.16s: %.200s", hex, why->message);
    /* Its base is gone, or its pack went to the trash meanwhile: history tells if anyone misses it. */
    if (why->code != VMSCM_ENOTFOUND)
        vmscm_findings_tell(
            p->findings, (struct vmscm_fsck_finding){.object = object, .text = text});
    if (!p->rc)
        p->rc = vmscm_idset_get(p->bad, &value, &added, id, p->err);
}

static int on_bytes(void *data, uint64_t bytes)
{
    struct packs *p = data;
    struct vmscm_progress progress = {.phase = "checking packs", .done = bytes, .total = p->total};

    if (p->events && p->events->progress)
        p->events->progress(p->events->data, &progress);
    return vmscm_handle_canceled(p->events, NULL);
}

int vmscm_fsckpacks_bytes(struct vmscm_repo *repo, unsigned jobs,
    const struct vmscm_events *events, struct vmscm_findings *findings, struct vmscm_idset *bad,
    struct vmscm_error *err)
{
    struct packs packs = {.findings = findings, .events = events, .bad = bad, .err = err};
    struct vmscm_check check = {.store = repo->store,
        .jobs = jobs,
        .found = damaged_record,
        .progress = on_bytes,
        .data = &packs};
    int rc;

    for (size_t i = 0; i < vmscm_store_pack_count(repo->store); i++)
        packs.total += vmscm_store_pack(repo->store, i)->trailer.index_offset;
    if ((rc = vmscm_check_packs(&check, err)))
        return rc;
    findings->result->records += check.records;
    findings->result->bytes += check.bytes;
    return packs.rc;
}

static int abandoned(void *data, const char *file, uint64_t bytes)
{
    char object[300], text[100];

    snprintf(object, sizeof object, "tmp/%s", file);
    snprintf(text, sizeof text,
        "%llu bytes left by a process that died; the next check-in removes them",
        (unsigned long long)bytes);
    vmscm_findings_tell(
        data, (struct vmscm_fsck_finding){.object = object, .text = text, .note = 1});
    return 0;
}

/* Files right in a directory; one that is not there has none. */
static void count_files(const char *path, uint64_t *files, uint64_t *bytes)
{
    DIR *d = opendir(path);
    struct stat st;

    *files = *bytes = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            ++*files;
            *bytes += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        }
    if (d)
        closedir(d);
}

/* What transfers left that were interrupted. */
static int tell_quarantines(const struct vmscm_repo *repo, struct vmscm_findings *findings,
    struct vmscm_error *err)
{
    uint64_t count, bytes;
    char text[200];
    int rc = vmscm_quarantine_measure(repo->path, &count, &bytes, err);

    if (rc || !count)
        return rc;
    snprintf(text, sizeof text,
        "%llu interrupted transfer%s (%llu bytes): the next one goes on with it, or gc removes it",
        (unsigned long long)count, count == 1 ? "" : "s", (unsigned long long)bytes);
    vmscm_findings_tell(
        findings, (struct vmscm_fsck_finding){.object = "quarantine", .text = text, .note = 1});
    return 0;
}

int vmscm_fsckpacks_leftovers(const struct vmscm_repo *repo, struct vmscm_findings *findings,
    struct vmscm_error *err)
{
    static const struct {
        const char *dir, *what;
    } dirs[] = {
        {"trash", "that were removed by gc, which deletes them later"},
        {"damaged", "that were damaged, set aside by vmscm fsck --repair"},
    };
    int rc = vmscm_packwriter_abandoned(repo->path, abandoned, findings, err);

    if (!rc)
        rc = tell_quarantines(repo, findings, err);

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0] && !rc; i++) {
        char *path = NULL, text[200];
        uint64_t files, bytes;
        if ((rc = vmscm_str_printf(&path, err, "%s/%s", repo->path, dirs[i].dir)))
            break;
        count_files(path, &files, &bytes);
        free(path);
        if (!files)
            continue;
        snprintf(text, sizeof text, "%llu file%s (%llu bytes) %s", (unsigned long long)files,
            files == 1 ? "" : "s", (unsigned long long)bytes, dirs[i].what);
        vmscm_findings_tell(
            findings, (struct vmscm_fsck_finding){.object = dirs[i].dir, .text = text, .note = 1});
    }
    return rc;
}
