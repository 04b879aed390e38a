/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/history/revspec: names and specs as users write them, asked of a repository with
 * two machines, a tag and two revisions.
 */
#include "history/refs.h"
#include "history/revspec.h"
#include "sys/file.h"
#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir;
static struct vmscm_gitdb *db;

static void clean(void)
{
    vmscm_gitdb_close(db);
}

static void prepare(void)
{
    static const struct vmscm_signature who = {"A", "a@example.org", 1700000000, 0};
    static const struct vmscm_gitdb_file file = {"machine.json", "{}", 2};
    char git[300], locks[300], one[VMSCM_GITDB_ID], two[VMSCM_GITDB_ID];
    const char *parents[] = {one};

    dir = scratch_dir();
    snprintf(git, sizeof git, "%s/git", dir);
    snprintf(locks, sizeof locks, "%s/locks", dir);
    if (vmscm_file_mkdirs(locks, NULL) || vmscm_gitdb_init(git, NULL) ||
        vmscm_gitdb_open(&db, git, locks, NULL) ||
        vmscm_gitdb_commit(one, db, &file, 1, NULL, 0, &who, &who, "one", NULL) ||
        vmscm_gitdb_commit(two, db, &file, 1, parents, 1, &who, &who, "two", NULL) ||
        vmscm_refs_update(db, "refs/heads/web", "", one, &who, "one", NULL) ||
        vmscm_refs_update(db, "refs/heads/web", one, two, &who, "two", NULL) ||
        vmscm_refs_update(db, "refs/heads/qa/web", "", one, &who, "one", NULL) ||
        vmscm_refs_update(db, "refs/tags/web/golden", "", one, &who, "one", NULL))
        abort();
    atexit(clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revspec spec = {.machine = NULL};
    char *text = malloc(size + 1);
    int rc;

    if (!db)
        prepare();
    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    /* What may be a name is no path to elsewhere. */
    if (!vmscm_revspec_check_machine(text, &err) && (text[0] == '/' || strstr(text, "..")))
        abort();
    if (!vmscm_revspec_check_tag(text, &err) && strchr(text, '/'))
        abort();
    rc = vmscm_revspec_resolve(&spec, db, text, &err);
    if (rc == 0 && strspn(spec.id, "0123456789abcdef") != 40)
        abort();
    if (rc && ((rc != VMSCM_ENOTFOUND && rc != VMSCM_EUSAGE) || !err.message[0]))
        abort();
    vmscm_revspec_release(&spec);
    free(text);
    return 0;
}
