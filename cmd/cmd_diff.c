/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm diff: what differs between two revisions. */
#include "cmd.h"
#include "color.h"
#include "factsdiff.h"
#include "filesdiff.h"
#include "memory.h"
#include "pager.h"
#include "report.h"
#include "table.h"
#include "text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <vmscm/checkout.h>
#include <vmscm/diff.h>

struct opts {
    int ranges;
    int files;
    const char *content, *device;
};

/* A disk's ranges, kept until the table of the disks is printed. */
struct ranges {
    char *disk;
    struct vmscm_diff_range *items;
    size_t len;
};

struct printer {
    const struct ctx *ctx;
    const struct opts *opts;
    json_t *fields, *disks; /* NULL: as text */
    struct table *table;
    struct ranges *ranges;
    size_t ranges_len;
};

static const char *kind_name(enum vmscm_diff_kind kind)
{
    static const char *const names[] = {"same", "changed", "added", "removed"};

    return names[kind];
}

static int on_field(void *data, const struct vmscm_diff_field *field)
{
    struct printer *p = data;

    if (p->fields) {
        json_t *object = json_add(p->fields, json_object());
        json_put(object, "path", json_text(field->path));
        json_put(object, "before", json_text(field->before));
        json_put(object, "after", json_text(field->after));
        return 0;
    }
    if (p->ctx->common.quiet)
        return 0;
    text_put(stdout, field->path);
    fputs(": ", stdout);
    if (field->before) {
        fputs(color_get(p->ctx, COLOR_BAD), stdout);
        text_put(stdout, field->before);
        fputs(color_get(p->ctx, COLOR_OFF), stdout);
    }
    fputs(field->before && field->after ? " -> " : field->after ? "added " : " removed", stdout);
    if (field->after) {
        fputs(color_get(p->ctx, COLOR_GOOD), stdout);
        text_put(stdout, field->after);
        fputs(color_get(p->ctx, COLOR_OFF), stdout);
    }
    putchar('\n');
    return 0;
}

static void add_disk_json(struct printer *p, const struct vmscm_diff_disk *disk)
{
    json_t *object = json_add(p->disks, json_object()), *list;

    json_put(object, "id", json_text(disk->id));
    json_put(object, "change", json_text(kind_name(disk->kind)));
    json_put(object, "before_size", json_number(disk->before_size));
    json_put(object, "after_size", json_number(disk->after_size));
    json_put(object, "changed", json_number(disk->changed));
    json_put(object, "stored", json_number(disk->stored));
    json_put(object, "range_count", json_number(disk->range_count));
    if (!p->opts->ranges)
        return;
    list = json_put(object, "ranges", json_array());
    for (size_t i = 0; i < disk->range_count; i++) {
        json_t *range = json_add(list, json_object());
        json_put(range, "offset", json_number(disk->ranges[i].offset));
        json_put(range, "length", json_number(disk->ranges[i].length));
    }
}

static void keep_ranges(struct printer *p, const struct vmscm_diff_disk *disk)
{
    struct ranges *kept;

    p->ranges = memory_grow(p->ranges, p->ranges_len + 1, sizeof *p->ranges);
    kept = &p->ranges[p->ranges_len++];
    kept->disk = memory_dup(disk->id);
    kept->len = disk->range_count;
    kept->items = memory_grow(NULL, kept->len, sizeof *kept->items);
    for (size_t i = 0; i < kept->len; i++)
        kept->items[i] = disk->ranges[i];
}

static int on_disk(void *data, const struct vmscm_diff_disk *disk)
{
    struct printer *p = data;
    char buf[TEXT_MAX];

    if (p->disks) {
        add_disk_json(p, disk);
        return 0;
    }
    if (disk->kind == VMSCM_DIFF_SAME)
        return 0;
    table_cell(p->table, "%s", disk->id);
    table_cell(p->table, "%s", kind_name(disk->kind));
    table_cell(p->table, "%s",
        text_size(buf, disk->kind == VMSCM_DIFF_REMOVED ? disk->before_size : disk->after_size));
    table_cell(p->table, "%s", text_size(buf, disk->changed));
    table_cell(p->table, "%zu", disk->range_count);
    table_cell(p->table, "%s", text_size(buf, disk->stored));
    if (p->opts->ranges)
        keep_ranges(p, disk);
    return 0;
}

static void print_ranges(const struct ranges *ranges)
{
    putchar('\n');
    text_put(stdout, ranges->disk);
    putchar('\n');
    for (size_t i = 0; i < ranges->len && !ferror(stdout); i++)
        printf("  %" PRIu64 " +%" PRIu64 "\n", ranges->items[i].offset, ranges->items[i].length);
}

static int compare(struct ctx *ctx, const struct opts *o, struct vmscm_revision *before,
    struct vmscm_revision *after, struct vmscm_error *err)
{
    static const char *const columns[] = {"DISK", "CHANGE", ">SIZE", ">CHANGED", ">RANGES",
        ">STORED", NULL};
    struct printer p = {ctx, o, NULL, NULL, NULL, NULL, 0};
    struct vmscm_diff_sink sink = {&p, on_field, on_disk, 0};
    json_t *root = NULL;
    int differs = 0, rc;

    if (ctx->common.json) {
        root = json_object();
        json_put(root, "before", json_text(vmscm_revision_id(before)));
        json_put(root, "after", json_text(vmscm_revision_id(after)));
        p.fields = json_put(root, "fields", json_array());
        p.disks = json_put(root, "disks", json_array());
    } else {
        p.table = table_new(columns);
        pager_start(ctx);
    }
    rc = vmscm_diff(before, after, &sink, &differs, err);
    if (!rc && root) {
        json_t *inside;
        json_put(root, "differs", json_boolean(differs));
        if (!(rc = factsdiff_json(&inside, before, after, err))) {
            json_put(root, "inside", inside);
            json_print(root);
            root = NULL;
        }
    } else if (!rc && !ctx->common.quiet) {
        table_print(p.table, "");
        for (size_t i = 0; i < p.ranges_len; i++)
            print_ranges(&p.ranges[i]);
        rc = factsdiff_print(before, after, err);
    }
    for (size_t i = 0; i < p.ranges_len; i++) {
        free(p.ranges[i].disk);
        free(p.ranges[i].items);
    }
    free(p.ranges);
    json_decref(root);
    table_free(p.table);
    return rc ? rc : differs != 0;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    struct vmscm_revision *before = NULL, *after = NULL;
    const struct opts *o = values;
    struct vmscm_workdir *dir = NULL;
    int rc = 0;

    if (!!o->ranges + !!o->files + !!o->content > 1)
        return report_set(err, VMSCM_EUSAGE, "diff: --ranges, --files and --content exclude each other");
    if (o->device && !o->files && !o->content)
        return report_set(err, VMSCM_EUSAGE, "--device: of --files or --content");
    if (o->content && *o->content != '/')
        return report_set(err, VMSCM_EUSAGE, "--content=%.200s: no path that begins with a slash",
            o->content);
    if (argc < 2) {
        rc = vmscm_workdir_open(&dir, ".", err);
        if (rc == VMSCM_ENOTFOUND) {
            rc = report_set(err, VMSCM_EUSAGE, "diff: two revisions are needed");
            report_hint(err, "one is enough inside a checkout, whose base it is compared with");
        }
    }
    if (!rc)
        rc = dir ? ctx_repo_at(ctx, vmscm_workdir_repository(dir), err) : ctx_repo(ctx, err);
    if (!rc)
        rc = vmscm_revision_resolve(&before, ctx->repo, argv[0], err);
    if (!rc)
        rc = vmscm_revision_resolve(&after, ctx->repo, dir ? vmscm_workdir_base(dir) : argv[1],
            err);
    if (!rc)
        rc = o->content ? filesdiff_content(ctx, before, after, o->content, o->device, err)
            : o->files  ? filesdiff_list(ctx, before, after, o->device, err)
                        : compare(ctx, o, before, after, err);
    vmscm_revision_free(before);
    vmscm_revision_free(after);
    vmscm_workdir_close(dir);
    return rc;
}

static const struct opt table[] = {
    {0, "ranges", OPT_FLAG, offsetof(struct opts, ranges), NULL, NULL,
        "list every range of bytes that differs"},
    {0, "files", OPT_FLAG, offsetof(struct opts, files), NULL, NULL,
        "list the files that differ, instead"},
    {0, "content", OPT_STRING, offsetof(struct opts, content), "PATH", NULL,
        "show what differs in this file, instead"},
    {0, "device", OPT_STRING, offsetof(struct opts, device), "DEVICE", NULL,
        "of files: in this file system, such as vda:1, instead of the operating system's"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[--ranges] REV [REV]",
    "--files|--content=PATH [--device=DEVICE] REV [REV]", NULL};

const struct cmd cmd_diff = {
    .name = "diff",
    .summary = "show what differs between two revisions",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision revision",
    .min_args = 1,
    .max_args = 2,
    .group = GROUP_HISTORY,
    .flags = CMD_JSON | CMD_PAGER,
    .run = run,
};
