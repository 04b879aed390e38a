/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm export: write a revision as a whole machine for another program. */
#include "cmd.h"
#include "json.h"
#include "progress.h"
#include "report.h"
#include "text.h"
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <vmscm/bundle.h>

struct opts {
    const char *format;
    const char *manifest;
    int new_identity;
    unsigned level;
    unsigned size;
    unsigned jobs;
};

#define EXPORT_CHOICES                                                                             \
    "ova|ovf|libvirt|vmx|hyperv|ploop|xva|vagrant-libvirt|vagrant-virtualbox|tar|ext4|ext4-qcow2"

/* The format that the file's name tells; NULL: none. */
static const char *format_of(const char *path)
{
    static const char *const suffixes[][2] = {
        {"ova", "ova"}, {"ovf", "ovf"}, {"xml", "libvirt"}, {"vmx", "vmx"},
        {"ps1", "hyperv"}, {"hdd", "ploop"}, {"xva", "xva"}, {"tar", "tar"},
        {"ext4", "ext4"}};
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (strcasecmp(dot + 1, suffixes[i][0]) == 0)
            return suffixes[i][1];
    return NULL;
}

static void print_json(const struct vmscm_revision *rev, const char *path, const char *format,
    const struct vmscm_bundle_export_result *r)
{
    json_t *root = json_object();

    json_put(root, "machine", json_text(vmscm_revision_machine_name(rev)));
    json_put(root, "id", json_text(vmscm_revision_id(rev)));
    json_put(root, "file", json_text(path));
    json_put(root, "format", json_text(format));
    json_put(root, "size", json_number(r->size));
    json_put(root, "written", json_number(r->written));
    json_put(root, "seconds", json_real(r->seconds));
    json_print(root);
}

static void print_line(const struct vmscm_revision *rev, const char *path,
    const struct vmscm_bundle_export_result *r)
{
    const char *machine = vmscm_revision_machine_name(rev);
    char id[TEXT_MAX], size[TEXT_MAX], written[TEXT_MAX], time[TEXT_MAX];

    if (machine) {
        text_put(stdout, machine);
        putchar(' ');
    }
    printf("%s  ", text_id(id, vmscm_revision_id(rev)));
    text_put(stdout, path);
    printf("  %s, %s written, %s\n", text_size(size, r->size), text_size(written, r->written),
        text_seconds(time, r->seconds));
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_bundle_export_options options = {.manifest = o->manifest,
        .new_identity = o->new_identity,
        .level = (int)o->level,
        .jobs = o->jobs,
        .size = (uint64_t)o->size << 20};
    struct vmscm_bundle_export_result result = {0, 0, 0};
    struct vmscm_revision *rev = NULL;
    const char *path = strcmp(argv[1], "-") == 0 ? NULL : argv[1];
    int rc;

    (void)argc;
    options.format = o->format ? o->format : path ? format_of(path) : NULL;
    if (!options.format) {
        report_set(err, VMSCM_EUSAGE, "%s: does not tell the format", argv[1]);
        return report_hint(err, "--format says which of " EXPORT_CHOICES);
    }
    if (o->level > 9)
        return report_set(err, VMSCM_EUSAGE, "--level %u: 1 to 9 are possible", o->level);
    if (!path && isatty(STDOUT_FILENO))
        return report_set(err, VMSCM_EREFUSED, "standard output: a terminal, no place for a bundle");
    if (!path && ctx->common.json)
        return report_set(err, VMSCM_EUSAGE, "--json: standard output is for the bundle");
    rc = ctx_repo(ctx, err);
    if (!rc)
        rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err);
    if (!rc)
        rc = vmscm_bundle_export(
            rev, path, STDOUT_FILENO, &options, progress_events(ctx), &result, err);
    if (!rc && path) {
        progress_clear();
        if (ctx->common.json)
            print_json(rev, path, options.format, &result);
        else if (!ctx->common.quiet)
            print_line(rev, path, &result);
    }
    vmscm_revision_free(rev);
    return rc;
}

static const struct opt table[] = {
    {0, "format", OPT_CHOICE, offsetof(struct opts, format), "FORMAT", EXPORT_CHOICES,
        "write it so; the default is what FILE is called"},
    {0, "manifest", OPT_CHOICE, offsetof(struct opts, manifest), "KIND",
        "sha256|sha1|sha512|none", "digests of an OVF package; the default is sha256"},
    {0, "new-identity", OPT_FLAG, offsetof(struct opts, new_identity), NULL, NULL,
        "let new MAC addresses be made"},
    {0, "level", OPT_UINT, offsetof(struct opts, level), "N", NULL,
        "compress disks with this zlib level, 1 to 9"},
    {0, "size", OPT_UINT, offsetof(struct opts, size), "MIB", NULL,
        "let the ext4 file system be so large"},
    {'j', "jobs", OPT_UINT, offsetof(struct opts, jobs), "N", NULL, "work with N threads"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[OPTION]... REV FILE", NULL};

const struct cmd cmd_export = {
    .name = "export",
    .summary = "write a whole machine for another program",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision file",
    .min_args = 2,
    .max_args = 2,
    .group = GROUP_WORK,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
