/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm checkin: record a machine's disks as a new revision. */
#include "cmd.h"
#include "format.h"
#include "housekeeping.h"
#include "inspecting.h"
#include "interrupt.h"
#include "memory.h"
#include "message.h"
#include "progress.h"
#include "report.h"
#include "text.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmscm/bundle.h>
#include <vmscm/checkin.h>
#include <vmscm/thin.h>

struct opts {
    struct opt_list message;
    const char *file;
    const char *config;
    const char *format;
    const char *author;
    const char *date;
    const char *onto;
    int force_parent;
    int reread;
    unsigned level;
    unsigned jobs;
    int allow_outside;
    int allow_ambiguous;
    const char *system;
    int no_manifest;
    unsigned cpus;
    unsigned memory;
    const char *firmware;
    const char *inspect;
};

static bool is_id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
        c == '_' || c == '-';
}

/* SOURCE is PATH or ID=PATH; a file that is named so as a whole is a PATH. *id is the caller's. */
static void parse_source(struct vmscm_checkin_disk *disk, char **id, const char *source)
{
    size_t len = 0;

    disk->path = source;
    while (is_id_char(source[len]))
        len++;
    if (len == 0 || source[len] != '=' || source[len + 1] == '\0' || access(source, F_OK) == 0)
        return;
    disk->id = *id = memory_printf("%.*s", (int)len, source);
    disk->path = source + len + 1;
}

/* A whole machine in another program's form, if the only source is one. */
static int find_bundle(const char **kind, const struct opts *o, int argc, char **argv,
    struct vmscm_error *err)
{
    struct vmscm_checkin_disk source = {0};
    char *id = NULL;
    int rc;

    *kind = NULL;
    if (argc != 2 || o->format || o->config)
        return 0;
    parse_source(&source, &id, argv[1]);
    rc = id || access(source.path, F_OK) != 0 ? 0 : vmscm_bundle_recognise(kind, source.path, err);
    free(id);
    return rc;
}

static int check_in_bundle(struct ctx *ctx, const struct opts *o,
    const struct vmscm_checkin_options *options, char **argv, struct vmscm_checkin_result *result,
    struct vmscm_error *err)
{
    struct vmscm_bundle_options bundle = {
        o->system, o->no_manifest, o->cpus, (uint64_t)o->memory << 20, o->firmware};
    int rc = ctx_repo(ctx, err);

    if (!rc)
        rc = vmscm_revision_set_author(ctx->repo, o->author, o->date, err);
    if (!rc)
        rc = vmscm_bundle_checkin(ctx->repo, argv[0], argv[1], &bundle, options,
            progress_events(ctx), result, err);
    return rc;
}

static int check_in_sources(struct ctx *ctx, const struct opts *o,
    const struct vmscm_checkin_options *options, int argc, char **argv,
    struct vmscm_checkin_result *result, struct vmscm_error *err)
{
    size_t count = (size_t)argc - 1;
    struct vmscm_checkin_disk *disks = memory_zero(count * sizeof *disks);
    char **ids = memory_zero(count * sizeof *ids);
    int rc;

    for (size_t i = 0; i < count; i++) {
        parse_source(&disks[i], &ids[i], argv[i + 1]);
        disks[i].format = format_name(o->format);
    }
    rc = ctx_repo(ctx, err);
    if (!rc)
        rc = vmscm_revision_set_author(ctx->repo, o->author, o->date, err);
    if (!rc)
        rc = vmscm_checkin(ctx->repo, argv[0], disks, count, options, progress_events(ctx), result,
            err);
    for (size_t i = 0; i < count; i++)
        free(ids[i]);
    free(ids);
    free(disks);
    return rc;
}

/* --force-parent: what the machine's tip is now, whatever the checkout was made from. */
static int moved_tip(char id[VMSCM_ID_HEX + 1], struct vmscm_repo *repo, const char *machine,
    struct vmscm_error *err)
{
    struct vmscm_revision *tip = NULL;
    int rc = vmscm_revision_resolve(&tip, repo, machine, err);

    if (!rc)
        memcpy(id, vmscm_revision_id(tip), VMSCM_ID_HEX + 1);
    vmscm_revision_free(tip);
    return rc;
}

static int check_in_workdir(struct ctx *ctx, const struct opts *o,
    struct vmscm_checkin_options *options, char **machine, struct vmscm_checkin_result *result,
    struct vmscm_error *err)
{
    struct vmscm_workdir *dir = NULL;
    char tip[VMSCM_ID_HEX + 1];
    int rc = vmscm_workdir_open(&dir, ".", err);

    if (rc == VMSCM_ENOTFOUND)
        report_hint(err, "outside a checkout, name the machine and its disks: vmscm checkin "
                         "MACHINE SOURCE...");
    if (!rc)
        rc = ctx_repo_at(ctx, vmscm_workdir_repository(dir), err);
    if (!rc)
        rc = vmscm_revision_set_author(ctx->repo, o->author, o->date, err);
    if (!rc && o->force_parent) {
        rc = moved_tip(tip, ctx->repo, vmscm_workdir_machine(dir), err);
        options->expected_base = tip;
    }
    if (!rc)
        *machine = memory_dup(o->onto ? o->onto : vmscm_workdir_machine(dir));
    if (!rc)
        rc = vmscm_workdir_thin_hold(dir, ctx->repo, err);
    if (!rc)
        rc = vmscm_workdir_checkin(dir, ctx->repo, o->onto, options, progress_events(ctx), result,
            err);
    vmscm_workdir_close(dir);
    return rc;
}

/* Takes facts over, which may be NULL. */
static void print_json(const char *machine, const struct vmscm_checkin_result *r, json_t *facts)
{
    json_t *root = json_object();

    json_put(root, "machine", json_text(machine));
    json_put(root, "id", json_text(r->id));
    json_put(root, "unchanged", json_boolean(r->unchanged));
    json_put(root, "size", json_number(r->size));
    json_put(root, "read", json_number(r->read));
    json_put(root, "new", json_number(r->fresh));
    json_put(root, "stored", json_number(r->stored));
    json_put(root, "chunks", json_number(r->chunks));
    json_put(root, "new_chunks", json_number(r->fresh_chunks));
    json_put(root, "seconds", json_real(r->seconds));
    if (facts)
        json_put(root, "facts", facts);
    json_print(root);
}

static void print_line(const char *machine, const struct vmscm_checkin_result *r)
{
    char id[TEXT_MAX], read[TEXT_MAX], fresh[TEXT_MAX], stored[TEXT_MAX], time[TEXT_MAX];

    text_put(stdout, machine);
    printf(" %s  %s", text_id(id, r->id), r->unchanged ? "unchanged, " : "");
    printf("%s read, ", text_size(read, r->read));
    if (!r->unchanged)
        printf("%s new, %s stored, ", text_size(fresh, r->fresh), text_size(stored, r->stored));
    printf("%s\n", text_seconds(time, r->seconds));
}

/* The check-in is done, whatever comes of this; as JSON, the facts, or null. */
static json_t *inspect_now(struct ctx *ctx, const char *id)
{
    struct inspecting w = {.ctx = ctx, .json = ctx->common.json ? json_array() : NULL};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_revision *rev = NULL;
    json_t *facts = NULL;

    interrupt_catch();
    if (vmscm_revision_resolve(&rev, ctx->repo, id, &err) || inspecting_one(&w, rev, &err)) {
        report_warning(err.message);
        report_more(&err);
    }
    if (w.json)
        facts = json_incref(json_object_get(json_array_get(w.json, 0), "facts"));
    json_decref(w.json);
    inspecting_release(&w);
    vmscm_revision_free(rev);
    return facts ? facts : json_null();
}

/* What was done, and --inspect. */
static void finish(struct ctx *ctx, const char *when, const char *machine,
    const struct vmscm_checkin_result *result)
{
    bool now = when && strcmp(when, "now") == 0, no = when && strcmp(when, "no") == 0;
    json_t *facts = NULL;

    progress_clear();
    if (!ctx->common.json && !ctx->common.quiet)
        print_line(machine, result);
    if (now)
        facts = inspect_now(ctx, result->id);
    if (ctx->common.json)
        print_json(machine, result, facts);
    else
        json_decref(facts);
    housekeeping_start(ctx);
    if (!now && !no && (when || !result->unchanged))
        housekeeping_inspect(ctx, when != NULL);
}

/* Options that make no sense together, or where they are. */
static int check(const struct opts *o, int argc, struct vmscm_error *err)
{
    if (argc == 1) {
        report_set(err, VMSCM_EUSAGE, "checkin: no SOURCE");
        return report_hint(err, "give the machine's disk images, or nothing inside a checkout");
    }
    if (argc > 0 && (o->onto || o->force_parent))
        return report_set(err, VMSCM_EUSAGE, "%s: only for a checkout",
            o->onto ? "--onto" : "--force-parent");
    if (o->onto && o->force_parent)
        return report_set(err, VMSCM_EUSAGE, "--onto: not together with --force-parent");
    if (argc == 0 && o->format)
        return report_set(err, VMSCM_EUSAGE, "--format: only with SOURCEs");
    if (o->allow_ambiguous && !o->format)
        return report_set(err, VMSCM_EUSAGE, "--allow-ambiguous: needs --format, which says what "
                                             "the image is");
    if (o->level > 19)
        return report_set(err, VMSCM_EUSAGE, "--level: %u: not between 1 and 19", o->level);
    return 0;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_checkin_options options = {0};
    struct vmscm_checkin_result result = {{0}, 0, 0, 0, 0, 0, 0, 0, 0};
    char *message = NULL, *machine = NULL;
    const char *kind = NULL;
    int rc = check(o, argc, err);

    if (!rc)
        rc = find_bundle(&kind, o, argc, argv, err);
    if (!rc && !kind && (o->system || o->no_manifest || o->cpus || o->memory || o->firmware))
        rc = report_set(err, VMSCM_EUSAGE, "%s: only for a bundle",
            o->system            ? "--system"
                : o->no_manifest ? "--no-manifest"
                : o->cpus        ? "--cpus"
                : o->memory      ? "--memory"
                                 : "--firmware");
    if (!rc)
        rc = message_read(&message, &o->message, o->file, err);
    if (rc)
        goto out;
    options.message = message;
    options.config = o->config;
    options.compression_level = (int)o->level;
    options.jobs = o->jobs;
    options.reread = o->reread;
    options.allow = (o->allow_outside ? (unsigned)VMSCM_ALLOW_OUTSIDE : 0) |
        (o->allow_ambiguous ? (unsigned)VMSCM_ALLOW_AMBIGUOUS : 0);
    if (argc > 0) {
        machine = memory_dup(argv[0]);
        rc = kind ? check_in_bundle(ctx, o, &options, argv, &result, err)
                  : check_in_sources(ctx, o, &options, argc, argv, &result, err);
    } else {
        rc = check_in_workdir(ctx, o, &options, &machine, &result, err);
    }
    if (rc)
        goto out;
    finish(ctx, o->inspect, machine, &result);
out:
    free(message);
    free(machine);
    return rc;
}

static const struct opt table[] = {
    {'m', "message", OPT_LIST, offsetof(struct opts, message), "TEXT", NULL,
        "what this revision is; each further one is a paragraph"},
    {'F', "file", OPT_STRING, offsetof(struct opts, file), "FILE", "file",
        "read the message from FILE, or standard input for '-'"},
    {0, "config", OPT_STRING, offsetof(struct opts, config), "XML", "file",
        "the machine's configuration, a libvirt domain"},
    {0, "format", OPT_CHOICE, offsetof(struct opts, format), "FORMAT", FORMAT_CHOICES,
        "take every SOURCE for this format"},
    {0, "system", OPT_STRING, offsetof(struct opts, system), "NAME", NULL,
        "which of the machines in a bundle"},
    {0, "no-manifest", OPT_FLAG, offsetof(struct opts, no_manifest), NULL, NULL,
        "do not check a bundle's digests"},
    {0, "cpus", OPT_UINT, offsetof(struct opts, cpus), "N", NULL,
        "a bundle's machine has so many, whatever it says"},
    {0, "memory", OPT_UINT, offsetof(struct opts, memory), "MIB", NULL, "and so much memory"},
    {0, "firmware", OPT_CHOICE, offsetof(struct opts, firmware), "KIND", "bios|uefi",
        "and this firmware"},
    {0, "author", OPT_STRING, offsetof(struct opts, author), "PERSON", NULL,
        "who made it, as 'Name <email>'"},
    {0, "date", OPT_STRING, offsetof(struct opts, date), "DATE", NULL, "when it was made"},
    {0, "onto", OPT_STRING, offsetof(struct opts, onto), "MACHINE", "machine",
        "record it as a new machine"},
    {0, "force-parent", OPT_FLAG, offsetof(struct opts, force_parent), NULL, NULL,
        "build on the machine's tip though it has moved"},
    {0, "reread", OPT_FLAG, offsetof(struct opts, reread), NULL, NULL,
        "read disks whole, also what is known to be unchanged"},
    {0, "level", OPT_UINT, offsetof(struct opts, level), "N", NULL, "zstd level, 1 to 19"},
    {0, "inspect", OPT_CHOICE, offsetof(struct opts, inspect), "WHEN", "now|later|no",
        "look into the disks now, in the background, or not; as inspect.auto says unless given"},
    {'j', "jobs", OPT_UINT, offsetof(struct opts, jobs), "N", NULL, "work with N threads"},
    {0, "allow-outside", OPT_FLAG, offsetof(struct opts, allow_outside), NULL, NULL,
        "follow backing and data files to other directories"},
    {0, "allow-ambiguous", OPT_FLAG, offsetof(struct opts, allow_ambiguous), NULL, NULL,
        "accept a file that is of two formats at once"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[OPTION]... MACHINE [ID=]SOURCE...", "[OPTION]...", NULL};

const struct cmd cmd_checkin = {
    .name = "checkin",
    .summary = "record a machine's disks as a new revision",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "machine file*",
    .max_args = -1,
    .group = GROUP_WORK,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
