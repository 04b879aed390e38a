/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm comment: add a remark to a revision, later. */
#include "cmd.h"
#include "memory.h"
#include "message.h"
#include "report.h"
#include "text.h"
#include <stdlib.h>
#include <unistd.h>
#include <vmscm/revision.h>

struct opts {
    struct opt_list message;
    const char *file;
    const char *author;
    const char *date;
};

static int edit(char **text, const struct vmscm_revision *rev, struct vmscm_error *err)
{
    char *about;
    int rc;

    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        report_set(err, VMSCM_EUSAGE, "comment: no text, and no terminal to ask for it");
        return report_hint(err, "give it with -m or -F");
    }
    about = memory_printf("A comment on revision %s.\nLines that begin with '#' are left out; "
                          "nothing else ends without one.\n",
        vmscm_revision_id(rev));
    rc = message_edit(text, about, err);
    free(about);
    return rc;
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    const struct opts *o = values;
    struct vmscm_revision *rev = NULL;
    char *text = NULL;
    int rc = ctx_repo(ctx, err);

    (void)argc;
    if (!rc)
        rc = vmscm_revision_set_author(ctx->repo, o->author, o->date, err);
    if (!rc)
        rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err);
    if (!rc)
        rc = message_read(&text, &o->message, o->file, err);
    if (!rc && !text)
        rc = edit(&text, rev, err);
    if (!rc && !*text)
        rc = report_set(err, VMSCM_EUSAGE, "comment: no text");
    if (!rc)
        rc = vmscm_revision_comment(rev, text, err);
    free(text);
    vmscm_revision_free(rev);
    return rc;
}

static const struct opt table[] = {
    {'m', "message", OPT_LIST, offsetof(struct opts, message), "TEXT", NULL,
        "the comment; each further one is a paragraph"},
    {'F', "file", OPT_STRING, offsetof(struct opts, file), "FILE", "file",
        "read it from FILE, or standard input for '-'"},
    {0, "author", OPT_STRING, offsetof(struct opts, author), "PERSON", NULL,
        "who says so, as 'Name <email>'"},
    {0, "date", OPT_STRING, offsetof(struct opts, date), "DATE", NULL, "when it was said"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[-m TEXT | -F FILE] REV", NULL};

const struct cmd cmd_comment = {
    .name = "comment",
    .summary = "add a remark to a revision",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_HISTORY,
    .run = run,
};
