/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm clone: a copy of a machine, which costs nothing; or of a repository. */
#include "cmd.h"
#include "json.h"
#include "memory.h"
#include "progress.h"
#include "report.h"
#include "text.h"
#include "transfer.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/revision.h>

struct opts {
    int bare, lazy, mirror;
    const char *limit;
};

static int clone_machine(struct ctx *ctx, char **argv, struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    const char *name = argv[1];
    char id[TEXT_MAX];
    int rc = ctx_repo(ctx, err);

    if (!rc)
        rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err);
    if (!rc)
        rc = vmscm_revision_clone(rev, name, err);
    if (rc)
        goto out;
    if (ctx->common.json) {
        json_t *root = json_object();
        json_put(root, "machine", json_text(name));
        json_put(root, "id", json_text(vmscm_revision_id(rev)));
        json_print(root);
    } else if (!ctx->common.quiet) {
        text_put(stdout, name);
        printf(" %s\n", text_id(id, vmscm_revision_id(rev)));
    }
out:
    vmscm_revision_free(rev);
    return rc;
}

/* "/a/b.vmscm" is cloned to b, and so is "/a/b/.vmscm". "": it says none. */
static char *default_directory(const char *url, bool bare)
{
    char *text = memory_printf("%s", url), *slash;
    size_t len;

    if (vmscm_remote_is_bucket(url))
        text[strcspn(text, "?")] = '\0';
    for (len = strlen(text); len > 1 && text[len - 1] == '/';)
        text[--len] = '\0';
    if (len > 7 && strcmp(text + len - 7, "/.vmscm") == 0)
        text[len - 7] = '\0';
    slash = strrchr(text, '/');
    if (!slash)
        slash = strrchr(text, ':');
    char *name = memory_printf("%s", slash ? slash + 1 : text);
    free(text);
    len = strlen(name);
    if (len > 6 && strcmp(name + len - 6, ".vmscm") == 0)
        name[len - 6] = '\0';
    /* Where that is depends on where one is, and is no place for a clone to be made unasked. */
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        *name = '\0';
    if (bare && *name) {
        char *with = memory_printf("%s.vmscm", name);
        free(name);
        name = with;
    }
    return name;
}

static int clone_repository(struct ctx *ctx, const struct opts *o, int argc, char **argv,
    struct vmscm_error *err)
{
    struct vmscm_remote_options options = {.lazy = o->lazy, .mirror = o->mirror};
    int bare = o->bare || o->mirror;
    struct vmscm_remote_result result = {0};
    struct transfer transfer;
    char *dir = argc > 1 ? memory_printf("%s", argv[1]) : default_directory(argv[0], bare);
    char *path = NULL;
    int rc = transfer_limit(&options.limit, o->limit, err);

    if (!rc && !*dir) {
        report_set(err, VMSCM_EUSAGE, "%.500s: says no name for the clone", argv[0]);
        rc = report_hint(err, "name the directory: vmscm clone URL DIR");
    }
    if (!rc) {
        transfer_begin(&transfer, ctx, "cloned", 0);
        rc = vmscm_remote_clone(&path, argv[0], dir, bare, &options, progress_events(ctx), NULL,
            NULL, &result, err);
        if (!rc && !ctx->common.json && !ctx->common.quiet) {
            progress_clear();
            transfer.told = 1;
            text_put(stdout, path);
            putchar('\n');
        }
        transfer_end(&transfer, rc, &result, path);
    }
    vmscm_free(path);
    free(dir);
    return rc;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;

    if (vmscm_remote_is_url(argv[0]))
        return clone_repository(ctx, o, argc, argv, err);
    if (o->bare || o->lazy || o->mirror || o->limit)
        return report_set(err, VMSCM_EUSAGE, "%.200s: only a repository is cloned with --%s", argv[0],
            o->bare ? "bare" : o->lazy ? "lazy" : o->mirror ? "mirror" : "limit");
    if (argc < 2) {
        report_set(err, VMSCM_EUSAGE, "clone: too few arguments");
        return report_hint(err, "usage: vmscm clone REV NEW-MACHINE, or vmscm clone URL [DIR]");
    }
    return clone_machine(ctx, argv, err);
}

static const struct opt table[] = {
    {0, "bare", OPT_FLAG, offsetof(struct opts, bare), NULL, NULL,
        "of a repository: make DIR itself the repository"},
    {0, "lazy", OPT_FLAG, offsetof(struct opts, lazy), NULL, NULL,
        "of a repository: take only history; data comes when it is needed"},
    {0, "mirror", OPT_FLAG, offsetof(struct opts, mirror), NULL, NULL,
        "of a repository: bare, and whenever it is fetched all is as it is there"},
    {0, "limit", OPT_STRING, offsetof(struct opts, limit), "RATE", NULL,
        "at most so many bytes a second, such as 500k or 2M"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {
    "REV NEW-MACHINE", "[--bare|--mirror] [--lazy] [--limit=RATE] URL [DIR]", NULL};

const struct cmd cmd_clone = {
    .name = "clone",
    .summary = "copy a machine, at no cost, or a whole repository",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision machine",
    .min_args = 1,
    .max_args = 2,
    .group = GROUP_WORK,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
