/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "filesdiff.h"

#include "color.h"
#include "filetree.h"
#include "inspection.h"
#include "interrupt.h"
#include "json.h"
#include "memory.h"
#include "pager.h"
#include "report.h"
#include "table.h"
#include "text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmscm/diff.h>
#include <vmscm/inspect.h>

struct listing {
    json_t *json; /* one of the two */
    struct table *table;
    size_t counts[4], total; /* by the index of its change's name */
};

enum change { ADDED, REMOVED, CHANGED, ATTRIBUTES, SAME };

static const char *const names[] = {"added", "removed", "changed", "attributes"};

static enum change change_of(const struct filetree_file *before, const struct filetree_file *after)
{
    if (!before)
        return ADDED;
    if (!after)
        return REMOVED;
    if (filetree_differs(before, after))
        return CHANGED;
    return before->mode != after->mode || before->uid != after->uid || before->gid != after->gid
               ? ATTRIBUTES
               : SAME;
}

static json_t *describe(const struct filetree_file *file)
{
    json_t *object;
    char date[TEXT_MAX];

    if (!file)
        return json_null();
    object = json_object();
    json_put(object, "mode", json_number(file->mode));
    json_put(object, "uid", json_number(file->uid));
    json_put(object, "gid", json_number(file->gid));
    json_put(object, "size", json_number(file->size));
    json_put(object, "mtime", json_text(text_iso(date, file->mtime, 0)));
    if (S_ISLNK(file->mode))
        json_put(object, "target", json_text(file->target));
    return object;
}

static void add_json(json_t *list, enum change change, const struct filetree_file *before,
    const struct filetree_file *after)
{
    json_t *object = json_add(list, json_object());

    json_put(object, "path", json_text((after ? after : before)->path));
    json_put(object, "change", json_text(names[change]));
    json_put(object, "before", describe(before));
    json_put(object, "after", describe(after));
}

/* One text, or two with an arrow between. */
static void add_cell(struct table *table, const char *before, const char *after)
{
    if (before && after && strcmp(before, after) != 0)
        table_cell(table, "%s -> %s", before, after);
    else
        table_cell(table, "%s", after ? after : before);
}

static void add_row(struct table *table, enum change change, const struct filetree_file *before,
    const struct filetree_file *after)
{
    const struct filetree_file *files[2] = {before, after}, *one = after ? after : before;
    char mode[2][TEXT_MAX], owner[2][TEXT_MAX], size[2][TEXT_MAX];

    for (size_t i = 0; i < 2; i++) {
        if (!files[i])
            continue;
        text_mode(mode[i], (mode_t)files[i]->mode);
        snprintf(owner[i], TEXT_MAX, "%" PRIu64 ":%" PRIu64, files[i]->uid, files[i]->gid);
        /* Of a directory it says how many names it had room for. */
        if (S_ISDIR(files[i]->mode))
            snprintf(size[i], TEXT_MAX, "-");
        else
            snprintf(size[i], TEXT_MAX, "%" PRIu64, files[i]->size);
    }
    table_cell(table, "%s", names[change]);
    add_cell(table, before ? mode[0] : NULL, after ? mode[1] : NULL);
    add_cell(table, before ? owner[0] : NULL, after ? owner[1] : NULL);
    add_cell(table, before ? size[0] : NULL, after ? size[1] : NULL);
    if (S_ISLNK(one->mode))
        table_cell(table, "%s -> %s", one->path, one->target);
    else
        table_cell(table, "%s", one->path);
}

static int list_one(
    void *data, const struct filetree_file *before, const struct filetree_file *after)
{
    struct listing *listing = data;
    enum change change = change_of(before, after);

    if (change == SAME)
        return 0;
    listing->counts[change]++;
    listing->total++;
    if (listing->json)
        add_json(listing->json, change, before, after);
    else
        add_row(listing->table, change, before, after);
    return 0;
}

/* Whether the disks are the same, so that nothing has to be looked into. */
static int are_same(bool *same, struct vmscm_revision *const revs[2], struct vmscm_error *err)
{
    char keys[2][VMSCM_ID_HEX + 1];
    int rc = 0;

    for (size_t i = 0; i < 2 && !rc; i++)
        rc = vmscm_inspect_key(keys[i], revs[i], err);
    *same = !rc && strcmp(keys[0], keys[1]) == 0;
    return rc;
}

static void print_counts(const struct listing *listing)
{
    const char *before = "files: ";

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (listing->counts[i]) {
            printf("%s%zu %s", before, listing->counts[i], names[i]);
            before = ", ";
        }
    if (listing->total)
        putchar('\n');
}

int filesdiff_list(struct ctx *ctx, struct vmscm_revision *before, struct vmscm_revision *after,
    const char *device, struct vmscm_error *err)
{
    static const char *const columns[] = {"CHANGE", "MODE", "OWNER", ">SIZE", "PATH", NULL};
    struct vmscm_revision *const revs[2] = {before, after};
    struct filetree trees[2] = {{NULL, 0}, {NULL, 0}};
    struct listing listing = {NULL, NULL, {0}, 0};
    bool same;
    int rc = are_same(&same, revs, err);

    if (rc)
        return rc;
    interrupt_catch();
    if (!same && (rc = filetree_read(trees, ctx, revs, device, err)))
        goto out;
    if (ctx->common.json)
        listing.json = json_array();
    else
        listing.table = table_new(columns);
    filetree_each(trees, list_one, &listing);
    if (listing.json) {
        json_print(listing.json);
    } else if (!ctx->common.quiet && listing.total) {
        pager_start(ctx);
        table_print(listing.table, "");
        print_counts(&listing);
    }
    rc = listing.total != 0;
out:
    table_free(listing.table);
    filetree_release(&trees[0]);
    filetree_release(&trees[1]);
    return rc;
}

struct printing {
    struct ctx *ctx;
    const char *names[2];
    json_t *json; /* as pieces; NULL: as text */
    char *line; /* on a terminal, which gets no control characters */
    size_t len;
    bool begun;
};

/* A line of it, on a terminal. */
static void print_line(const struct printing *p)
{
    enum color color = p->line[0] == '+' ? COLOR_GOOD : p->line[0] == '-' ? COLOR_BAD : COLOR_OFF;
    const char *text = p->line, *tab;

    if (color != COLOR_OFF)
        fputs(color_get(p->ctx, color), stdout);
    for (; (tab = strchr(text, '\t')); text = tab + 1) {
        char *piece = memory_printf("%.*s", (int)(tab - text), text);
        text_put(stdout, piece);
        putchar('\t');
        free(piece);
    }
    text_put(stdout, text);
    if (color != COLOR_OFF)
        fputs(color_get(p->ctx, COLOR_OFF), stdout);
    putchar('\n');
}

static int put_piece(void *data, const char *text, size_t size)
{
    struct printing *p = data;

    if (!p->begun && !p->json) {
        printf("--- %s\n+++ %s\n", p->names[0], p->names[1]);
        p->begun = true;
    }
    if (!p->line && !p->json) {
        fwrite(text, 1, size, stdout);
        return ferror(stdout) != 0;
    }
    p->line = memory_grow(p->line, p->len + size + 1, 1);
    memcpy(p->line + p->len, text, size);
    p->len += size;
    p->line[p->len] = '\0';
    for (char *end; !p->json && (end = memchr(p->line, '\n', p->len));) {
        size_t used = (size_t)(end - p->line) + 1;
        *end = '\0';
        print_line(p);
        p->len -= used;
        memmove(p->line, p->line + used, p->len + 1);
    }
    return 0;
}

/* A side that has no such file is empty, and *there says so. */
static int read_side(char **text, size_t *size, bool *there, struct ctx *ctx,
    struct vmscm_revision *rev, const struct inspection_options *how, struct vmscm_error *err)
{
    int rc = inspection_run(text, size, ctx, rev, how, err);

    *there = rc == 0;
    if (rc == VMSCM_ENOTFOUND)
        *size = 0;
    return rc;
}

int filesdiff_content(struct ctx *ctx, struct vmscm_revision *before, struct vmscm_revision *after,
    const char *path, const char *device, struct vmscm_error *err)
{
    const struct inspection_options how = {.read = path, .device = device};
    struct vmscm_revision *const revs[2] = {before, after};
    struct printing p = {.ctx = ctx};
    char *texts[2] = {NULL, NULL}, *own[2] = {NULL, NULL};
    size_t sizes[2] = {0, 0};
    bool there[2] = {false, false}, same;
    int binary = 0, differs = 0, rc = are_same(&same, revs, err);

    if (rc)
        return rc;
    interrupt_catch();
    for (size_t i = 0; i < 2; i++) {
        rc = i && same ? rc : read_side(&texts[i], &sizes[i], &there[i], ctx, revs[i], &how, err);
        /* What one lacks is a difference; the first message stays if both do. */
        if (rc && (rc != VMSCM_ENOTFOUND || (i == 1 && !there[0]) || same))
            goto out;
    }
    *err = (struct vmscm_error)VMSCM_ERROR_INIT;
    rc = 0;
    differs = !same && (there[0] != there[1] || sizes[0] != sizes[1] ||
                           (sizes[0] && memcmp(texts[0], texts[1], sizes[0]) != 0));
    for (size_t i = 0; i < 2; i++)
        p.names[i] = own[i] = there[i] || same
                                  ? memory_printf("%.12s:%s", vmscm_revision_id(revs[i]), path)
                                  : memory_dup("/dev/null");
    if (ctx->common.json)
        p.json = json_object();
    else if (!ctx->common.quiet)
        pager_start(ctx);
    if (!p.json && (pager_running() || isatty(STDOUT_FILENO)))
        p.line = memory_dup("");
    if (differs && !ctx->common.quiet)
        rc = vmscm_diff_text(&binary, texts[0], sizes[0], texts[1], sizes[1], put_piece, &p, err);
    if (!rc && p.json) {
        json_put(p.json, "differs", json_boolean(differs));
        json_put(p.json, "binary", json_boolean(binary));
        json_put(
            p.json, "diff", binary || !differs ? json_null() : json_text(p.line ? p.line : ""));
        json_print(json_incref(p.json));
    } else if (!rc && binary) {
        printf("%s and %s differ, and are no text\n", own[0], own[1]);
    }
    rc = rc ? rc : differs;
out:
    json_decref(p.json);
    free(p.line);
    for (size_t i = 0; i < 2; i++) {
        free(texts[i]);
        free(own[i]);
    }
    return rc;
}
