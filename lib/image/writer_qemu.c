/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qemu-img reads the disk from our NBD server and writes the image. For a format of one file that
 * file is made here, and the tool may touch nothing else; a vmdk of several files gets the
 * directory.
 */
#include "base/path.h"
#include "base/str.h"
#include "image/nbdserver.h"
#include "image/writer_parts.h"
#include "machine/jsontext.h"
#include "sys/file.h"
#include "sys/spawn.h"
#include "sys/tempdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY ((uint64_t)4 << 30) /* a vmdk of many extents has tables for each */
#define COROUTINES_MAX 16          /* qemu-img's own bound on -m */

struct convert {
    struct vmscm_blockdev *source;
    const struct vmscm_writer_options *options;
    char *path; /* absolute: a relative one with a colon would be a protocol to QEMU */
    char *dir;
    bool several; /* files */
    _Atomic uint64_t reached; /* end of the furthest read */
    _Atomic uint64_t read;
};

static void read_done(void *data, uint64_t offset, uint64_t len)
{
    struct convert *c = data;

    /* One thread at a time, as the server promises. */
    if (offset + len > c->reached)
        c->reached = offset + len;
    c->read += len;
}

static int make_absolute(struct convert *c, const char *path, struct vmscm_error *err)
{
    char *dir = NULL;
    int rc = vmscm_path_dirname(&dir, path, err);

    if (!rc)
        rc = vmscm_file_realpath(&c->dir, dir, err);
    if (!rc)
        rc = vmscm_path_join(&c->path, c->dir, vmscm_path_basename(path), err);
    free(dir);
    return rc;
}

/* Is this a file that a vmdk named path has beside it: NAME-flat.vmdk, NAME-s001.vmdk,
 * NAME-f001.vmdk? */
static bool is_extent_of(const char *name, const char *base)
{
    const char *dot = strrchr(base, '.'), *ext = dot ? dot : "";
    size_t stem = dot ? (size_t)(dot - base) : strlen(base);

    if (strncmp(name, base, stem) != 0 || name[stem] != '-')
        return false;
    name += stem + 1;
    if (vmscm_str_starts(name, "flat"))
        return strcmp(name + 4, ext) == 0;
    if (*name != 's' && *name != 'f')
        return false;
    size_t digits = strspn(++name, "0123456789");
    return digits >= 3 && strcmp(name + digits, ext) == 0;
}

/* Calls each(c, path) for the image and the files beside it that are its own. */
static int for_files(struct convert *c, int (*each)(const char *path, struct vmscm_error *err),
    struct vmscm_error *err)
{
    const char *base = vmscm_path_basename(c->path);
    DIR *d = opendir(c->dir);
    int rc = 0;

    if (!d)
        return vmscm_error_errno(err, errno, "%s", c->dir);
    for (struct dirent *e; !rc && (e = readdir(d));) {
        char *path = NULL;
        if (strcmp(e->d_name, base) != 0 && !(c->several && is_extent_of(e->d_name, base)))
            continue;
        rc = vmscm_path_join(&path, c->dir, e->d_name, err);
        if (!rc)
            rc = each(path, err);
        free(path);
    }
    closedir(d);
    return rc;
}

static int refuse_file(const char *path, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EEXIST, "%s: already exists", path);
}

static int remove_file(const char *path, struct vmscm_error *err)
{
    (void)err;
    unlink(path);
    return 0;
}

/* Waits for qemu-img, which says nothing on its stdout: the end of that is its end. */
static int watch(struct convert *c, struct vmscm_spawn *child, struct vmscm_error *err)
{
    const struct vmscm_writer_options *o = c->options;
    char sink[256];

    for (;;) {
        struct pollfd p = {.fd = child->out, .events = POLLIN};
        int ready = poll(&p, 1, 100);
        if ((o->progress && o->progress(o->data, c->reached)) ||
            (o->events && o->events->canceled && o->events->canceled(o->events->data)))
            return vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", c->path);
        if (ready <= 0)
            continue;
        ssize_t n = read(child->out, sink, sizeof sink);
        if (n == 0 || (n < 0 && errno != EINTR))
            return vmscm_spawn_wait(child, err);
    }
}

/* The source as qemu-img is to open it. */
static int describe_source(char **out, const char *socket, struct vmscm_error *err)
{
    json_t *object = json_pack("{s:s, s:{s:s, s:s}, s:s}", "driver", "nbd", "server", "type", "unix",
        "path", socket, "export", "");
    char *text = object ? vmscm_jsontext_dump(object, JSON_COMPACT) : NULL;
    int rc = text ? vmscm_str_printf(out, err, "json:%s", text) : vmscm_error_nomem(err);

    free(text);
    json_decref(object);
    return rc;
}

static int convert(struct convert *c, const char *socket, struct vmscm_error *err)
{
    struct vmscm_spawn child = VMSCM_SPAWN_INIT;
    char *source = NULL, *creation = NULL, coroutines[16];
    const char *const writable[] = {c->several ? c->dir : c->path, NULL};
    const char *const readable[] = {socket, NULL};
    unsigned n = 2 * (c->options->jobs ? c->options->jobs : 1);
    int rc;

    snprintf(coroutines, sizeof coroutines, "%u", n < COROUTINES_MAX ? n : COROUTINES_MAX);
    if ((rc = describe_source(&source, socket, err)) ||
        (rc = vmscm_writer_options_text(&creation, c->options, err)))
        goto out;
    const char *argv[] = {"qemu-img", "convert", "-O", vmscm_probe_format_name(c->options->format),
        "-S", "4k", "-m", coroutines, source, c->path, NULL, NULL, NULL};
    if (*creation) {
        argv[8] = "-o";
        argv[9] = creation;
        argv[10] = source;
        argv[11] = c->path;
    }
    struct vmscm_spawn_options options = {
        .argv = argv,
        .read_only = readable,
        .read_write = writable,
        .max_memory = MEMORY,
        .confined = true,
    };
    rc = vmscm_spawn_start(&child, &options, true, err);
    if (!rc)
        rc = watch(c, &child, err);
out:
    vmscm_spawn_kill(&child);
    free(source);
    free(creation);
    return rc;
}

/* Serves the source and converts from it. What the source itself failed with counts more than
 * what qemu-img made of that. */
static int serve_and_convert(struct convert *c, struct vmscm_error *err)
{
    struct vmscm_error failure = VMSCM_ERROR_INIT;
    struct vmscm_nbdserver *server = NULL;
    char *dir = NULL, *socket = NULL;
    int rc;

    if ((rc = vmscm_tempdir_make(&dir, NULL, err)) ||
        (rc = vmscm_path_join(&socket, dir, "nbd", err)) ||
        (rc = vmscm_nbdserver_start(
             &server, c->source, socket, c->options->jobs, read_done, c, err)))
        goto out;
    rc = convert(c, socket, err);
    vmscm_nbdserver_stop(server, &failure);
    if (failure.code && rc != VMSCM_ECANCELED)
        rc = vmscm_error_copy(err, &failure);
out:
    vmscm_tempdir_remove(dir);
    free(socket);
    return rc;
}

static bool has_several_files(const struct vmscm_writer_options *options)
{
    const char *subformat = vmscm_writer_options_get(options, "subformat");

    return options->format == VMSCM_PROBE_VMDK && subformat &&
        (strcmp(subformat, "monolithicFlat") == 0 || vmscm_str_starts(subformat, "twoGbMaxExtent"));
}

int vmscm_writer_qemu_write(struct vmscm_blockdev *source, const char *path,
    const struct vmscm_writer_options *options, uint64_t *written, struct vmscm_error *err)
{
    struct convert c = {
        .source = source, .options = options, .several = has_several_files(options)};
    bool ours = false;
    int rc;

    if ((rc = make_absolute(&c, path, err)) || (rc = for_files(&c, refuse_file, err)))
        goto out;
    if (!c.several && (rc = vmscm_file_make(c.path, err)))
        goto out;
    ours = true;
    if ((rc = serve_and_convert(&c, err)) ||
        (rc = for_files(&c, vmscm_file_sync, err)) || (rc = vmscm_file_sync_dir(c.dir, err)))
        goto out;
    *written = c.read;
    if (options->written && (rc = options->written(options->data, err)))
        goto out;
    if (options->progress && options->progress(options->data, source->size))
        rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", path);
out:
    if (rc && ours)
        for_files(&c, remove_file, NULL);
    free(c.path);
    free(c.dir);
    return rc;
}
