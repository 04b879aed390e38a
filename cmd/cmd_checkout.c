/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm checkout: write a revision's disks and configuration into a directory. */
#include "cmd.h"
#include "format.h"
#include "json.h"
#include "memory.h"
#include "progress.h"
#include "report.h"
#include "service.h"
#include "text.h"
#include <stdlib.h>
#include <vmscm/bundle.h>
#include <vmscm/checkout.h>

struct opts {
    const char *format;
    struct opt_list options;
    unsigned jobs;
    int verify;
    int force;
    int thin;
    const char *hypervisor;
};

#define FOR_CHOICES "libvirt|vmx|hyperv"

/* descriptor: the file for a hypervisor; NULL: none was made. */
static void print_json(const struct vmscm_revision *rev, const struct vmscm_checkout_result *r,
    const char *descriptor)
{
    json_t *root = json_object();

    json_put(root, "machine", json_text(vmscm_revision_machine_name(rev)));
    json_put(root, "id", json_text(vmscm_revision_id(rev)));
    json_put(root, "dir", json_text(r->dir));
    if (descriptor)
        json_put(root, "descriptor", json_text(descriptor));
    json_put(root, "size", json_number(r->size));
    json_put(root, "written", json_number(r->written));
    json_put(root, "seconds", json_real(r->seconds));
    json_print(root);
}

static void print_line(const struct vmscm_revision *rev, const struct vmscm_checkout_result *r)
{
    const char *machine = vmscm_revision_machine_name(rev);
    char id[TEXT_MAX], size[TEXT_MAX], written[TEXT_MAX], time[TEXT_MAX];

    if (machine) {
        text_put(stdout, machine);
        putchar(' ');
    }
    printf("%s  ", text_id(id, vmscm_revision_id(rev)));
    text_put(stdout, r->dir);
    printf("  %s, %s written, %s\n", text_size(size, r->size), text_size(written, r->written),
        text_seconds(time, r->seconds));
}

static int check(const struct opts *o, struct vmscm_error *err)
{
    if (o->hypervisor && (o->thin || o->format))
        return report_set(err, VMSCM_EUSAGE, "--for: not together with %s, it says the format",
            o->thin ? "--thin" : "--format");
    return 0;
}

static int describe(struct ctx *ctx, const struct opts *o, struct vmscm_revision *rev,
    const char *dir, char **descriptor, struct vmscm_error *err)
{
    struct vmscm_bundle_describe_options options = {o->hypervisor, 0, o->force};

    return vmscm_bundle_describe(descriptor, rev, dir, &options, progress_events(ctx), err);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_checkout_options options = {format_name(o->format), NULL, o->jobs,
        o->verify, o->force, NULL};
    struct vmscm_checkout_result result = {NULL, 0, 0, 0};
    struct vmscm_revision *rev = NULL;
    char *joined = NULL, *socket = NULL, *descriptor = NULL;
    const char *wanted = NULL;
    int rc = check(o, err);

    if (!rc && o->hypervisor)
        rc = vmscm_bundle_image_format(&options.format, &wanted, o->hypervisor, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < o->options.len; i++) {
        char *more = memory_printf("%s%s%s", joined ? joined : "", joined ? "," : "",
            o->options.items[i]);
        free(joined);
        joined = more;
    }
    options.options = joined ? joined : wanted;
    rc = ctx_repo(ctx, err);
    if (!rc && o->thin && !(options.thin = socket = service_socket(vmscm_repo_path(ctx->repo), err)))
        rc = err->code;
    if (!rc)
        rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err);
    if (!rc && o->hypervisor && argc > 1)
        rc = vmscm_bundle_describe_check(rev, argv[1],
            &(struct vmscm_bundle_describe_options){o->hypervisor, 0, o->force}, err);
    if (!rc)
        rc = vmscm_checkout(rev, argc > 1 ? argv[1] : NULL, &options, progress_events(ctx), &result,
            err);
    if (!rc && o->hypervisor)
        rc = describe(ctx, o, rev, result.dir, &descriptor, err);
    if (rc)
        goto out;
    progress_clear();
    if (o->thin && (rc = service_ensure(ctx, socket, err))) {
        report_hint(err, "the checkout is there; 'vmscm service start' in it tries again");
        goto out;
    }
    if (ctx->common.json)
        print_json(rev, &result, descriptor);
    else if (!ctx->common.quiet)
        print_line(rev, &result);
out:
    vmscm_checkout_result_release(&result);
    vmscm_revision_free(rev);
    free(joined);
    free(socket);
    free(descriptor);
    return rc;
}

static const struct opt table[] = {
    {0, "format", OPT_CHOICE, offsetof(struct opts, format), "FORMAT", FORMAT_CHOICES,
        "write the disks in this format, not the recorded one"},
    {0, "for", OPT_CHOICE, offsetof(struct opts, hypervisor), "FORMAT", FOR_CHOICES,
        "as this hypervisor wants it, with a descriptor that it reads"},
    {'o', "option", OPT_LIST, offsetof(struct opts, options), "NAME=VALUE", NULL,
        "an option of the format, as qemu-img's -o"},
    {'j', "jobs", OPT_UINT, offsetof(struct opts, jobs), "N", NULL, "work with N threads"},
    {0, "verify", OPT_FLAG, offsetof(struct opts, verify), NULL, NULL,
        "read back what the disks hold, and hash it"},
    {'f', "force", OPT_FLAG, offsetof(struct opts, force), NULL, NULL,
        "over a checkout, give up what was changed in it"},
    {0, "thin", OPT_FLAG, offsetof(struct opts, thin), NULL, NULL,
        "store only what is changed, over the revision as it is in the repository"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[OPTION]... REV [DIR]", "--thin REV [DIR]", NULL};

const struct cmd cmd_checkout = {
    .name = "checkout",
    .summary = "write a revision's disks into a directory",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision dir",
    .min_args = 1,
    .max_args = 2,
    .group = GROUP_WORK,
    .flags = CMD_JSON | CMD_PROGRESS,
    .run = run,
};
