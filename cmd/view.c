/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "view.h"

#include "color.h"
#include "memory.h"
#include "rowformat.h"
#include "text.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct names {
    const struct ctx *ctx;
    bool any;
};

static int print_name(void *data, const char *machine, const char *tag)
{
    struct names *names = data;
    const struct ctx *ctx = names->ctx;

    printf("%s%s%s", color_get(ctx, COLOR_ID), names->any ? ", " : " (",
        color_get(ctx, tag ? COLOR_TAG : COLOR_MACHINE));
    text_put(stdout, machine);
    if (tag) {
        putchar(':');
        text_put(stdout, tag);
    }
    fputs(color_get(ctx, COLOR_OFF), stdout);
    names->any = true;
    return ferror(stdout) ? 1 : 0;
}

/* " (web, web:golden)", or nothing. */
static int print_names(const struct ctx *ctx, struct vmscm_revision *rev, struct vmscm_error *err)
{
    struct names names = {ctx, false};
    int rc = vmscm_revision_names(rev, print_name, &names, err);

    if (names.any)
        printf("%s)%s", color_get(ctx, COLOR_ID), color_get(ctx, COLOR_OFF));
    return rc;
}

static void print_person(const char *title, const struct vmscm_signature *who)
{
    fputs(title, stdout);
    text_put(stdout, who->name);
    fputs(" <", stdout);
    text_put(stdout, who->email);
    fputs(">", stdout);
}

static int print_comment(void *data, const struct vmscm_signature *author, const char *text)
{
    char date[TEXT_MAX];

    (void)data;
    print_person("\n    Comment by ", author);
    printf(", %s\n", text_date(date, author->time, author->offset));
    text_put_lines(stdout, text, "        ");
    return ferror(stdout) ? 1 : 0;
}

/* With `line` on a line of its own, with the date and the rules; else a word. */
static int print_pruned(const struct ctx *ctx, struct vmscm_revision *rev, bool line,
    struct vmscm_error *err)
{
    struct vmscm_signature by;
    const char *rule;
    char date[TEXT_MAX];
    int pruned, rc = line ? vmscm_revision_pruned(&pruned, &by, &rule, rev, err)
                          : vmscm_revision_pruned(&pruned, NULL, NULL, rev, err);

    if (rc == VMSCM_EDAMAGED)
        return 0; /* for fsck to tell: the revision may be whole */
    if (rc || !pruned)
        return rc;
    if (!line) {
        printf(" %s[pruned]%s", color_get(ctx, COLOR_BAD), color_get(ctx, COLOR_OFF));
        return 0;
    }
    printf("%sPruned: %s%s", color_get(ctx, COLOR_BAD),
        by.time ? text_date(date, by.time, by.offset) : "yes", color_get(ctx, COLOR_OFF));
    if (*by.name)
        print_person(" by ", &by);
    if (*rule) {
        fputs(", ", stdout);
        text_put(stdout, rule);
    }
    putchar('\n');
    return 0;
}

static void print_line(const char *title, const char *text)
{
    if (!text)
        return;
    fputs(title, stdout);
    text_put(stdout, text);
    putchar('\n');
}

static int print_brief(struct vmscm_brief *brief, struct vmscm_revision *rev, bool with_inside,
    struct vmscm_error *err)
{
    const char *inside = NULL, *changes;
    int rc = vmscm_brief_get(with_inside ? &inside : NULL, &changes, brief, rev, err);

    if (!rc) {
        print_line("Inside: ", inside);
        print_line("Change: ", changes);
    }
    return rc;
}

static int print_long(const struct ctx *ctx, struct vmscm_brief *brief, struct vmscm_revision *rev,
    bool inside, struct vmscm_error *err)
{
    struct vmscm_signature author = vmscm_revision_author(rev);
    const char *message = vmscm_revision_message(rev);
    char buf[TEXT_MAX];
    int rc;

    printf("%srevision %s%s", color_get(ctx, COLOR_ID), vmscm_revision_id(rev),
        color_get(ctx, COLOR_OFF));
    rc = print_names(ctx, rev, err);
    putchar('\n');
    if (rc)
        return rc;
    if (vmscm_revision_parent_count(rev) > 1) {
        fputs("Parents:", stdout);
        for (size_t i = 0; i < vmscm_revision_parent_count(rev); i++)
            printf(" %s", text_id(buf, vmscm_revision_parent(rev, i)));
        putchar('\n');
    }
    print_person("Author: ", &author);
    printf("\nDate:   %s\n", text_date(buf, author.time, author.offset));
    if ((rc = print_pruned(ctx, rev, true, err)) || (rc = print_brief(brief, rev, inside, err)))
        return rc;
    if (message && *message) {
        putchar('\n');
        text_put_lines(stdout, message, "    ");
    }
    return vmscm_revision_comments(rev, print_comment, NULL, err);
}

int view_print(const struct ctx *ctx, struct vmscm_brief *brief, struct vmscm_revision *rev, enum view view,
    struct vmscm_error *err)
{
    const char *message = vmscm_revision_message(rev);
    char id[TEXT_MAX], *line;
    int rc;

    if (view != VIEW_SHORT)
        return print_long(ctx, brief, rev, view == VIEW_INSIDE, err);
    printf("%s%s%s", color_get(ctx, COLOR_ID), text_id(id, vmscm_revision_id(rev)),
        color_get(ctx, COLOR_OFF));
    if (!(rc = print_names(ctx, rev, err)))
        rc = print_pruned(ctx, rev, false, err);
    line = strndup(message ? message : "", strcspn(message ? message : "", "\n"));
    if (line && *line) {
        putchar(' ');
        text_put(stdout, line);
    }
    free(line);
    putchar('\n');
    return rc;
}

static int add_name(void *data, const char *machine, const char *tag)
{
    json_t *name = json_add(data, json_object());

    json_put(name, "machine", json_text(machine));
    json_put(name, "tag", json_text(tag));
    return 0;
}

static int add_comment(void *data, const struct vmscm_signature *author, const char *text)
{
    json_t *comment = json_add(data, json_object());

    json_put(comment, "author", json_person(author));
    json_put(comment, "time", json_time(author->time, author->offset));
    json_put(comment, "text", json_text(text));
    return 0;
}

static int add_pruned(json_t *root, struct vmscm_revision *rev, struct vmscm_error *err)
{
    struct vmscm_signature by;
    const char *rule;
    int pruned, rc = vmscm_revision_pruned(&pruned, &by, &rule, rev, err);
    json_t *object = json_put(root, "pruned", !rc && pruned ? json_object() : json_null());

    if (rc == VMSCM_EDAMAGED)
        return 0;
    if (!rc && pruned) {
        json_put(object, "by", json_person(&by));
        json_put(object, "time", json_time(by.time, by.offset));
        json_put(object, "rule", json_text(rule));
    }
    return rc;
}

int view_json(json_t **out, struct vmscm_brief *brief, struct vmscm_revision *rev, const char *machine,
    struct vmscm_error *err)
{
    struct vmscm_signature author = vmscm_revision_author(rev);
    const char *inside = NULL, *changes = NULL;
    json_t *root = json_object(), *list;
    int rc;

    json_put(root, "id", json_text(vmscm_revision_id(rev)));
    json_put(root, "machine", json_text(machine ? machine : vmscm_revision_machine_name(rev)));
    list = json_put(root, "names", json_array());
    rc = vmscm_revision_names(rev, add_name, list, err);
    list = json_put(root, "parents", json_array());
    for (size_t i = 0; i < vmscm_revision_parent_count(rev); i++)
        json_add(list, json_text(vmscm_revision_parent(rev, i)));
    json_put(root, "author", json_person(&author));
    json_put(root, "time", json_time(author.time, author.offset));
    json_put(root, "message", json_text(vmscm_revision_message(rev)));
    if (!rc)
        rc = add_pruned(root, rev, err);
    if (!rc && !(rc = vmscm_brief_get(&inside, &changes, brief, rev, err))) {
        json_put(root, "inside", json_text(inside));
        json_put(root, "changes", json_text(changes));
    }
    list = json_put(root, "comments", json_array());
    if (!rc)
        rc = vmscm_revision_comments(rev, add_comment, list, err);
    if (rc) {
        json_decref(root);
        root = NULL;
    }
    *out = root;
    return rc;
}

/* In the order of what view_format() gives. */
static const char *const fields[] = {"machine", "id", "date", "author", "subject", "inside", "names",
    "pruned", "changes", NULL};

int view_format_check(const struct ctx *ctx, const char *format, struct vmscm_error *err)
{
    return rowformat_check(format, fields, ctx->common.json, err);
}

static int join_name(void *data, const char *machine, const char *tag)
{
    char **names = data;
    char *longer = memory_printf("%s%s%s%s%s", *names, **names ? ", " : "", machine, tag ? ":" : "",
        tag ? tag : "");

    free(*names);
    *names = longer;
    return 0;
}

int view_format(const char *format, struct vmscm_brief *brief, struct vmscm_revision *rev,
    const char *machine, struct vmscm_error *err)
{
    const bool with_inside = rowformat_has(format, "inside"), with_changes = rowformat_has(format, "changes");
    struct vmscm_signature author = vmscm_revision_author(rev);
    const char *message = vmscm_revision_message(rev);
    const char *inside = NULL, *changes = NULL;
    char date[TEXT_MAX], *names = memory_dup(""),
        *who = memory_printf("%s <%s>", author.name, author.email),
        *subject = memory_printf("%.*s", (int)strcspn(message ? message : "", "\n"), message ? message : "");
    int pruned = 0, rc = 0;

    if (with_inside || with_changes)
        rc = vmscm_brief_get(with_inside ? &inside : NULL, with_changes ? &changes : NULL, brief, rev, err);
    if (!rc && rowformat_has(format, "names"))
        rc = vmscm_revision_names(rev, join_name, &names, err);
    if (!rc && rowformat_has(format, "pruned") &&
        (rc = vmscm_revision_pruned(&pruned, NULL, NULL, rev, err)) == VMSCM_EDAMAGED)
        rc = 0;
    if (!rc) {
        const char *const values[] = {machine ? machine : vmscm_revision_machine_name(rev),
            vmscm_revision_id(rev), text_iso(date, author.time, author.offset), who, subject, inside, names,
            pruned ? "pruned" : NULL, changes};
        rowformat_print(format, fields, values);
    }
    free(names);
    free(subject);
    free(who);
    return rc;
}
