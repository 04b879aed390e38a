/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Licences of Debian's packages, which only their documentation tells. All files come in one stream, not by
 * thousands of calls. It goes through a pipe to a thread that reads no more than it wants, and closes it.
 */
#include "doctar.h"
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define DOC "/usr/share/doc"

struct reader {
    int fd;
    json_t *licenses, *links;
};

static void *read_stream(void *data)
{
    struct reader *reader = data;

    doctar_read(reader->fd, reader->licenses, reader->links);
    close(reader->fd);
    return NULL;
}

/* tar takes no list of names that are wanted among all: so it is told all that is not called "copyright". */
static char *const excluded[] = {(char *)"./*/[!c]*", (char *)"./*/c", (char *)"./*/c[!o]*", (char *)"./*/co",
    (char *)"./*/co[!p]*", (char *)"./*/cop", (char *)"./*/cop[!y]*", (char *)"./*/copy",
    (char *)"./*/copy[!r]*", (char *)"./*/copyr", (char *)"./*/copyr[!i]*", (char *)"./*/copyri",
    (char *)"./*/copyri[!g]*", (char *)"./*/copyrig", (char *)"./*/copyrig[!h]*", (char *)"./*/copyrigh",
    (char *)"./*/copyrigh[!t]*", (char *)"./*/copyright?*", NULL};

static void stream(guestfs_h *g, struct reader *reader)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    pthread_t thread;
    char path[32];
    int ends[2];

    if (pipe2(ends, O_CLOEXEC))
        return;
    reader->fd = ends[0];
    if (pthread_create(&thread, NULL, read_stream, reader)) {
        close(ends[0]);
        close(ends[1]);
        return;
    }
    sigaction(SIGPIPE, &ignore, &before);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    /* What it could not read to the end counts as far as it came. */
    guestfs_tar_out_opts(g, DOC, path, GUESTFS_TAR_OUT_OPTS_EXCLUDES, excluded,
        GUESTFS_TAR_OUT_OPTS_NUMERICOWNER, 1, -1);
    close(ends[1]);
    pthread_join(thread, NULL);
    sigaction(SIGPIPE, &before, NULL);
}

void licenses_read_deb(guestfs_h *g, json_t *apps)
{
    struct reader reader = {-1, facts_object(), facts_object()};

    if (json_array_size(apps) && guestfs_is_dir(g, DOC) == 1)
        stream(g, &reader);
    for (size_t i = 0; i < json_array_size(apps); i++) {
        json_t *app = json_array_get(apps, i);
        facts_text(app, "license", doctar_find(reader.licenses, reader.links, facts_get(app, "name")));
    }
    json_decref(reader.licenses);
    json_decref(reader.links);
}
