/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What differs between two texts, by libgit2's diff. Pure. */
#include "history/git.h"

#include <string.h>
#include <vmscm/diff.h>

struct sink {
    int (*each)(void *data, const char *text, size_t size);
    void *data;
    int rc; /* of each, which ended it */
    bool binary;
};

static int pass(struct sink *sink, const char *text, size_t size)
{
    sink->rc = sink->each(sink->data, text, size);
    return sink->rc ? GIT_EUSER : 0;
}

static int on_binary(const git_diff_delta *delta, const git_diff_binary *binary, void *payload)
{
    struct sink *sink = payload;

    (void)delta;
    (void)binary;
    sink->binary = true;
    return 0;
}

static int on_hunk(const git_diff_delta *delta, const git_diff_hunk *hunk, void *payload)
{
    (void)delta;
    return pass(payload, hunk->header, hunk->header_len);
}

static int on_line(const git_diff_delta *delta, const git_diff_hunk *hunk,
    const git_diff_line *line, void *payload)
{
    struct sink *sink = payload;
    int rc = 0;

    (void)delta;
    (void)hunk;
    /* Others tell that a text does not end in a newline, in words of their own. */
    if (line->origin == GIT_DIFF_LINE_CONTEXT || line->origin == GIT_DIFF_LINE_ADDITION ||
        line->origin == GIT_DIFF_LINE_DELETION)
        rc = pass(sink, &line->origin, 1);
    return rc ? rc : pass(sink, line->content, line->content_len);
}

int vmscm_diff_text(int *binary, const void *before, size_t before_size, const void *after,
    size_t after_size, int (*each)(void *data, const char *text, size_t size), void *data,
    struct vmscm_error *err)
{
    git_diff_options options;
    struct sink sink = {each, data, 0, false};
    int rc = vmscm_git_start(err);

    *binary = 0;
    if (rc)
        return rc;
    rc = git_diff_options_init(&options, GIT_DIFF_OPTIONS_VERSION);
    if (!rc)
        rc = git_diff_buffers(before, before_size, "a", after, after_size, "b", &options, NULL,
            on_binary, on_hunk, on_line, &sink);
    if (rc)
        rc = sink.rc ? sink.rc : vmscm_git_error(err, rc, VMSCM_ENOMEM, "diff");
    *binary = sink.binary;
    vmscm_git_stop();
    return rc;
}
