/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "message.h"

#include "memory.h"
#include "process.h"
#include "report.h"
#include "text.h"
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_MAX ((size_t)1 << 20)

/* Cut empty lines at the beginning, and white space at the end. */
static void trim(char *s)
{
    size_t start = strspn(s, "\r\n"), len = strlen(s);

    while (len > start && isspace((unsigned char)s[len - 1]))
        len--;
    memmove(s, s + start, len - start);
    s[len - start] = '\0';
}

/* All of a file, of at most MESSAGE_MAX bytes and without NUL. */
static int slurp(char **out, FILE *in, const char *name, struct vmscm_error *err)
{
    char *text = memory_zero(MESSAGE_MAX + 2);
    size_t len = fread(text, 1, MESSAGE_MAX + 1, in);
    int rc = 0;

    if (ferror(in))
        rc = report_set(err, VMSCM_EIO, "%.500s: %s", name, strerror(errno));
    else if (len > MESSAGE_MAX)
        rc = report_set(err, VMSCM_EINPUT, "%.500s: longer than 1 MiB", name);
    else if (strlen(text) != len)
        rc = report_set(err, VMSCM_EINPUT, "%.500s: not text", name);
    if (rc) {
        free(text);
        return rc;
    }
    *out = memory_dup(text);
    free(text);
    return 0;
}

int message_read(char **out, const struct opt_list *paragraphs, const char *file,
    struct vmscm_error *err)
{
    int rc = 0;

    *out = NULL;
    if (file && paragraphs->len > 0)
        return report_set(err, VMSCM_EUSAGE, "-F: not together with -m");
    if (file && strcmp(file, "-") == 0) {
        rc = slurp(out, stdin, "standard input", err);
    } else if (file) {
        FILE *in = fopen(file, "re");
        if (!in)
            return report_set(err, VMSCM_EIO, "%.500s: %s", file, strerror(errno));
        rc = slurp(out, in, file, err);
        fclose(in);
    }
    for (size_t i = 0; i < paragraphs->len; i++) {
        char *joined = memory_printf("%s%s%s", *out ? *out : "", *out ? "\n\n" : "",
            paragraphs->items[i]);
        trim(joined);
        free(*out);
        *out = joined;
    }
    if (*out)
        trim(*out);
    return rc;
}

/* Leave out the lines that begin with '#'. */
static void strip_remarks(char *s)
{
    char *to = s;

    while (*s) {
        char *end = strchrnul(s, '\n');
        size_t len = (size_t)(end - s) + (*end == '\n');
        if (*s != '#') {
            memmove(to, s, len);
            to += len;
        }
        s += len;
    }
    *to = '\0';
}

static int run_editor(char *path, struct vmscm_error *err)
{
    const char *editor = getenv("VISUAL");
    char *argv[] = {(char *)"sh", (char *)"-c", NULL, (char *)"sh", path, NULL};
    int status;

    if (!editor || !*editor)
        editor = getenv("EDITOR");
    if (!editor || !*editor)
        editor = "vi";
    /* As git: it may be a command with options. */
    argv[2] = memory_printf("%s \"$@\"", editor);
    status = process_run(argv, false);
    free(argv[2]);
    if (status != 0)
        return report_set(err, VMSCM_ETOOL, "%.200s: the editor ended with status %d", editor,
            status);
    return 0;
}

int message_edit(char **out, const char *about, struct vmscm_error *err)
{
    const char *dir = getenv("TMPDIR");
    char *path = memory_printf("%s/vmscm-message.XXXXXX", dir && *dir ? dir : "/tmp");
    int fd = mkstemp(path), rc;
    bool made = fd >= 0;
    FILE *file = made ? fdopen(fd, "r+") : NULL;

    *out = NULL;
    if (!file) {
        rc = report_set(err, VMSCM_EIO, "%.500s: %s", path, strerror(errno));
        goto out;
    }
    fputc('\n', file);
    text_put_lines(file, about, "# ");
    if (fflush(file)) {
        rc = report_set(err, VMSCM_EIO, "%.500s: %s", path, strerror(errno));
        goto out;
    }
    rc = run_editor(path, err);
    if (rc)
        goto out;
    /* An editor may have put a new file in its place. */
    fclose(file);
    file = fopen(path, "re");
    if (!file) {
        rc = report_set(err, VMSCM_EIO, "%.500s: %s", path, strerror(errno));
        goto out;
    }
    rc = slurp(out, file, path, err);
    if (rc)
        goto out;
    strip_remarks(*out);
    trim(*out);
out:
    if (file)
        fclose(file);
    if (made)
        unlink(path);
    free(path);
    return rc;
}
