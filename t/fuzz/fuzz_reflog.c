/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/history/reflog: a reflog as a file, whoever wrote it. */
#include "history/reflog.h"
#include "sys/file.h"
#include "scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir;
static char path[512];

static void prepare(void)
{
    dir = scratch_dir();
    snprintf(path, sizeof path, "%s/logs/refs/heads", dir);
    if (vmscm_file_mkdirs(path, NULL))
        abort();
    snprintf(path, sizeof path, "%s/logs/refs/heads/web", dir);
}

static void check_id(const char *id)
{
    if (strlen(id) != 40 || strspn(id, "0123456789abcdef") != 40)
        abort();
}

static int see(void *data, const char *before, const char *after)
{
    check_id(before);
    check_id(after);
    ++*(size_t *)data;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_gitdb db = {.path = NULL};
    struct vmscm_reflog log;
    size_t lines = 0;
    int fd;

    if (!dir)
        prepare();
    db.path = dir;
    if ((fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600)) < 0 ||
        write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    if (vmscm_reflog_read(&log, &db, "refs/heads/web", &err))
        abort();
    for (size_t i = 0; i < log.count; i++) {
        check_id(log.entries[i].before);
        check_id(log.entries[i].after);
        if (log.entries[i].time < 0)
            abort();
    }
    int rc = vmscm_reflog_scan(&db, "refs/heads/web", see, &lines, &err);
    if (rc ? rc != VMSCM_EDAMAGED || !err.message[0] : log.count > lines)
        abort();
    vmscm_reflog_release(&log);
    return 0;
}
