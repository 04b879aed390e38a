/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm show: a revision and the machine it records. */
#include "cmd.h"
#include "factsview.h"
#include "here.h"
#include "pager.h"
#include "table.h"
#include "text.h"
#include "view.h"

struct opts {
    const char *format;
};

static json_t *disk_json(const struct vmscm_machine_disk *disk)
{
    json_t *object = json_object(), *options;

    json_put(object, "id", json_text(disk->id));
    json_put(object, "target", json_text(disk->target));
    json_put(object, "bus", json_text(disk->bus));
    json_put(object, "format", json_text(disk->format));
    json_put(object, "size", json_number(disk->size));
    options = json_put(object, "options", json_object());
    for (size_t i = 0; i < disk->option_count; i++)
        json_put(options, disk->options[i].name, json_text(disk->options[i].value));
    return object;
}

static json_t *nic_json(const struct vmscm_machine_nic *nic)
{
    json_t *object = json_object();

    json_put(object, "mac", json_text(nic->mac));
    json_put(object, "model", json_text(nic->model));
    json_put(object, "type", json_text(nic->type));
    json_put(object, "network", json_text(nic->network));
    return object;
}

static json_t *machine_json(const struct vmscm_machine *machine)
{
    json_t *object = json_object(), *list;

    json_put(object, "name", json_text(machine->name));
    json_put(object, "arch", json_text(machine->arch));
    json_put(object, "machine_type", json_text(machine->machine_type));
    json_put(object, "firmware", json_text(machine->firmware));
    json_put(object, "secure_boot", json_boolean(machine->secure_boot));
    json_put(object, "cpus", json_number(machine->cpus));
    json_put(object, "memory", json_number(machine->memory));
    list = json_put(object, "disks", json_array());
    for (size_t i = 0; i < machine->disk_count; i++)
        json_add(list, disk_json(&machine->disks[i]));
    list = json_put(object, "nics", json_array());
    for (size_t i = 0; i < machine->nic_count; i++)
        json_add(list, nic_json(&machine->nics[i]));
    return object;
}

static int add_file(void *data, const char *path, uint64_t size)
{
    json_t *file = json_add(data, json_object());

    json_put(file, "path", json_text(path));
    json_put(file, "size", json_number(size));
    return 0;
}

static int show_json(struct vmscm_brief *brief, struct vmscm_revision *rev,
    const struct vmscm_machine *machine, const struct vmscm_revision_here *here, struct vmscm_error *err)
{
    json_t *root = NULL, *files;
    int rc = view_json(&root, brief, rev, NULL, err);

    if (rc)
        return rc;
    json_put(root, "hardware", machine_json(machine));
    json_t *facts = NULL;
    if ((rc = factsview_json(&facts, rev, err))) {
        json_decref(root);
        return rc;
    }
    json_put(root, "facts", facts);
    here_json(root, here);
    files = json_put(root, "config_files", json_array());
    rc = vmscm_revision_config_files(rev, add_file, files, err);
    if (rc)
        json_decref(root);
    else
        json_print(root);
    return rc;
}

/* "NAME=VALUE,..." in `at`, cut at its size. */
static void join_options(char *at, size_t size, const struct vmscm_machine_disk *disk)
{
    size_t len = 0;

    at[0] = '\0';
    for (size_t i = 0; i < disk->option_count && len < size; i++) {
        int n = snprintf(at + len, size - len, "%s%s=%s", i ? "," : "", disk->options[i].name,
            disk->options[i].value);
        len += n > 0 ? (size_t)n : 0;
    }
}

static void print_disks(const struct vmscm_machine *machine)
{
    static const char *const columns[] = {"DISK", "TARGET", "BUS", "FORMAT", ">SIZE", "OPTIONS",
        NULL};
    struct table *table = table_new(columns);
    char size[TEXT_MAX], options[512];

    for (size_t i = 0; i < machine->disk_count; i++) {
        const struct vmscm_machine_disk *disk = &machine->disks[i];
        join_options(options, sizeof options, disk);
        table_cell(table, "%s", disk->id);
        table_cell(table, "%s", disk->target ? disk->target : "-");
        table_cell(table, "%s", disk->bus ? disk->bus : "-");
        table_cell(table, "%s", disk->format);
        table_cell(table, "%s", text_size(size, disk->size));
        table_cell(table, "%s", options);
    }
    putchar('\n');
    table_print(table, "  ");
    table_free(table);
}

static void print_nics(const struct vmscm_machine *machine)
{
    static const char *const columns[] = {"NIC", "MODEL", "TYPE", "NETWORK", NULL};
    struct table *table = table_new(columns);

    for (size_t i = 0; i < machine->nic_count; i++) {
        const struct vmscm_machine_nic *nic = &machine->nics[i];
        table_cell(table, "%s", nic->mac ? nic->mac : "-");
        table_cell(table, "%s", nic->model ? nic->model : "-");
        table_cell(table, "%s", nic->type ? nic->type : "-");
        table_cell(table, "%s", nic->network ? nic->network : "-");
    }
    if (machine->nic_count > 0)
        putchar('\n');
    table_print(table, "  ");
    table_free(table);
}

static int print_file(void *data, const char *path, uint64_t size)
{
    struct table *table = data;
    char buf[TEXT_MAX];

    table_cell(table, "%s", path);
    table_cell(table, "%s", text_size(buf, size));
    return 0;
}

static int print_files(struct vmscm_revision *rev, struct vmscm_error *err)
{
    static const char *const columns[] = {"CONFIGURATION", ">SIZE", NULL};
    struct table *table = table_new(columns);
    int rc = vmscm_revision_config_files(rev, print_file, table, err);

    if (!rc) {
        putchar('\n');
        table_print(table, "  ");
    }
    table_free(table);
    return rc;
}

static int show_text(const struct ctx *ctx, struct vmscm_brief *brief, struct vmscm_revision *rev,
    const struct vmscm_machine *machine, const struct vmscm_revision_here *here,
    struct vmscm_error *err)
{
    char cpus[TEXT_MAX], memory[TEXT_MAX], part[HERE_MAX];
    int rc = view_print(ctx, brief, rev, VIEW_LONG, err);

    if (rc)
        return rc;
    putchar('\n');
    if (machine->name) {
        text_put(stdout, machine->name);
        fputs(": ", stdout);
    }
    text_put(stdout, machine->arch);
    if (machine->machine_type) {
        putchar(' ');
        text_put(stdout, machine->machine_type);
    }
    printf(", %s%s, %s, %s memory\n", machine->firmware,
        machine->secure_boot ? " with secure boot" : "", text_count(cpus, machine->cpus, "CPU"),
        text_size(memory, machine->memory));
    print_disks(machine);
    if (here->lazy) {
        fputs("\n  data: ", stdout);
        text_put(stdout, here_long(part, ctx, here));
        putchar('\n');
    }
    print_nics(machine);
    if ((rc = factsview_print(rev, err)))
        return rc;
    return print_files(rev, err);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    struct vmscm_revision *rev = NULL;
    const struct vmscm_machine *machine = NULL;
    struct vmscm_revision_here here;
    struct vmscm_brief *brief = NULL;
    const struct opts *o = values;
    int rc = o->format ? view_format_check(ctx, o->format, err) : 0;

    (void)argc;
    if (!rc)
        rc = ctx_repo(ctx, err);
    if (!rc)
        rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err);
    if (!rc)
        rc = vmscm_brief_open(&brief, ctx->repo, err);
    if (!rc && o->format) {
        rc = view_format(o->format, brief, rev, NULL, err);
        goto out;
    }
    if (!rc)
        rc = vmscm_revision_machine(&machine, rev, err);
    if (!rc)
        rc = here_get(&here, ctx, vmscm_revision_id(rev), err);
    if (!rc && ctx->common.json) {
        rc = show_json(brief, rev, machine, &here, err);
    } else if (!rc) {
        pager_start(ctx);
        rc = show_text(ctx, brief, rev, machine, &here, err);
    }
out:
    vmscm_brief_close(brief);
    vmscm_revision_free(rev);
    return rc;
}

static const struct opt table[] = {
    {0, "format", OPT_STRING, offsetof(struct opts, format), "FORMAT", NULL,
        "one line, with %(id), %(subject) and the like in it"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--format=FORMAT] REV", NULL};

const struct cmd cmd_show = {
    .name = "show",
    .summary = "show a revision and the machine it records",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_HISTORY,
    .flags = CMD_JSON | CMD_PAGER,
    .run = run,
};
