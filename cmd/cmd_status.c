/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm status: what has become of a checkout. */
#include "cmd.h"
#include "here.h"
#include "json.h"
#include "report.h"
#include "service.h"
#include "table.h"
#include "text.h"
#include <stdbool.h>
#include <string.h>
#include <vmscm/thin.h>

struct opts {
    int exit_code;
};

struct listing {
    json_t *json;        /* one of the two */
    struct table *table;
    bool clean;
};

static const char *state_name(enum vmscm_workdir_state state)
{
    switch (state) {
    case VMSCM_WORKDIR_CLEAN:
        return "clean";
    case VMSCM_WORKDIR_TOUCHED:
        return "touched";
    case VMSCM_WORKDIR_MISSING:
        return "missing";
    }
    return "unknown";
}

static int list_one(void *data, const struct vmscm_workdir_disk *disk)
{
    struct listing *listing = data;
    char size[TEXT_MAX];

    listing->clean = listing->clean && disk->state == VMSCM_WORKDIR_CLEAN;
    if (listing->json) {
        json_t *object = json_add(listing->json, json_object());
        json_put(object, "id", json_text(disk->id));
        json_put(object, "file", json_text(disk->file));
        json_put(object, "format", json_text(disk->format));
        json_put(object, "size", json_number(disk->size));
        json_put(object, "state", json_text(state_name(disk->state)));
        return 0;
    }
    table_cell(listing->table, "%s", disk->id);
    table_cell(listing->table, "%s", disk->file);
    table_cell(listing->table, "%s", disk->format);
    table_cell(listing->table, "%s", text_size(size, disk->size));
    table_cell(listing->table, "%s", state_name(disk->state));
    return 0;
}

/* The machine's tip, 40 digits; "" if the machine is gone. */
static int find_tip(char id[VMSCM_ID_HEX + 1], struct ctx *ctx, const char *machine,
    struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    int rc = vmscm_revision_resolve(&rev, ctx->repo, machine, err);

    id[0] = '\0';
    if (rc == VMSCM_ENOTFOUND)
        return 0;
    if (!rc)
        memcpy(id, vmscm_revision_id(rev), VMSCM_ID_HEX + 1);
    vmscm_revision_free(rev);
    return rc;
}

static void print_text(const struct ctx *ctx, const struct vmscm_workdir *dir, const char *tip,
    const struct vmscm_revision_here *here, const struct listing *listing)
{
    char id[TEXT_MAX], part[HERE_MAX];

    text_put(stdout, vmscm_workdir_machine(dir));
    printf(" %s  ", text_id(id, vmscm_workdir_base(dir)));
    text_put(stdout, vmscm_workdir_path(dir));
    putchar('\n');
    if (!*tip)
        fputs("the machine is gone; 'vmscm checkin --onto NAME' records this as a new one\n",
            stdout);
    else if (strcmp(tip, vmscm_workdir_base(dir)) != 0)
        printf("the machine has moved to %s since\n", text_id(id, tip));
    if (vmscm_workdir_thin_base(dir))
        printf("thin, over %s at %s\n", text_id(id, vmscm_workdir_thin_base(dir)),
            vmscm_workdir_thin_socket(dir));
    if (here->lazy) {
        fputs("data of the revision: ", stdout);
        text_put(stdout, here_long(part, ctx, here));
        putchar('\n');
    }
    putchar('\n');
    table_print(listing->table, "  ");
}

static void print_json(const struct vmscm_workdir *dir, const char *tip,
    const struct vmscm_revision_here *here, struct listing *listing)
{
    json_t *root = json_object();

    json_put(root, "path", json_text(vmscm_workdir_path(dir)));
    json_put(root, "repository", json_text(vmscm_workdir_repository(dir)));
    json_put(root, "machine", json_text(vmscm_workdir_machine(dir)));
    json_put(root, "base", json_text(vmscm_workdir_base(dir)));
    json_put(root, "tip", *tip ? json_text(tip) : json_null());
    json_put(root, "clean", json_boolean(listing->clean));
    if (vmscm_workdir_thin_base(dir)) {
        json_t *thin = json_put(root, "thin", json_object());
        json_put(thin, "over", json_text(vmscm_workdir_thin_base(dir)));
        json_put(thin, "socket", json_text(vmscm_workdir_thin_socket(dir)));
    }
    here_json(root, here);
    json_put(root, "disks", listing->json);
    listing->json = NULL;
    json_print(root);
}

/* What a thin checkout needs to be used. */
static int provide(struct ctx *ctx, struct vmscm_workdir *dir, struct vmscm_error *err)
{
    int rc;

    if (!vmscm_workdir_thin_socket(dir))
        return 0;
    rc = vmscm_workdir_thin_hold(dir, ctx->repo, err);
    return rc ? rc : service_ensure(ctx, vmscm_workdir_thin_socket(dir), err);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    static const char *const columns[] = {"DISK", "FILE", "FORMAT", ">SIZE", "STATE", NULL};
    const struct opts *o = values;
    struct listing listing = {NULL, NULL, true};
    struct vmscm_workdir *dir = NULL;
    struct vmscm_revision_here here;
    char tip[VMSCM_ID_HEX + 1];
    int rc = vmscm_workdir_open(&dir, argc > 0 ? argv[0] : ".", err);

    if (rc == VMSCM_ENOTFOUND && !err->hint[0])
        report_hint(err, "'vmscm checkout' makes one");
    if (!rc)
        rc = ctx_repo_at(ctx, vmscm_workdir_repository(dir), err);
    if (!rc)
        rc = find_tip(tip, ctx, vmscm_workdir_machine(dir), err);
    if (!rc)
        rc = here_get(&here, ctx, vmscm_workdir_base(dir), err);
    if (rc)
        goto out;
    if (ctx->common.json)
        listing.json = json_array();
    else
        listing.table = table_new(columns);
    rc = vmscm_workdir_status(dir, list_one, &listing, err);
    if (rc)
        goto out;
    if (ctx->common.json)
        print_json(dir, tip, &here, &listing);
    else if (!ctx->common.quiet)
        print_text(ctx, dir, tip, &here, &listing);
    if (!(rc = provide(ctx, dir, err)))
        rc = o->exit_code && !listing.clean;
out:
    json_decref(listing.json);
    table_free(listing.table);
    vmscm_workdir_close(dir);
    return rc;
}

static const struct opt table[] = {
    {0, "exit-code", OPT_FLAG, offsetof(struct opts, exit_code), NULL, NULL,
        "end with status 1 unless every disk is clean"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--exit-code] [DIR]", NULL};

const struct cmd cmd_status = {
    .name = "status",
    .summary = "show what has become of a checkout",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "dir",
    .max_args = 1,
    .group = GROUP_WORK,
    .flags = CMD_JSON,
    .run = run,
};
