/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/qemumap.h"
#include "base/buf.h"
#include "image/qemu.h"
#include "sys/spawn.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
/* A map is read from metadata alone: seconds for the largest image. */
#define CPU_SECONDS 600

/* A non-negative integer member; 0 and false if it is not there, or not one. */
static bool get_number(const json_t *object, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(object, key);

    *out = 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static bool get_flag(const json_t *object, const char *key, bool *out)
{
    const json_t *v = json_object_get(object, key);

    *out = json_is_true(v);
    return json_is_boolean(v);
}

/* One extent a line, between brackets and commas. *object: NULL for a line that holds none. */
static int parse(json_t **object, const char *line, size_t len, struct vmscm_error *err)
{
    while (len && (*line == '[' || *line == ' ')) {
        line++;
        len--;
    }
    while (len &&
        (line[len - 1] == ']' || line[len - 1] == ',' || line[len - 1] == ' ' ||
            line[len - 1] == '\r'))
        len--;
    *object = len ? json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (len && !json_is_object(*object)) {
        json_decref(*object);
        *object = NULL;
        return vmscm_error_set(err, VMSCM_EINPUT, "not a line of a map");
    }
    return 0;
}

int vmscm_qemumap_line(struct vmscm_extentmap *map, const char *line, size_t len, uint64_t size,
    const struct vmscm_qemumap_layer *layers, size_t layer_count, struct vmscm_error *err)
{
    struct vmscm_extent e = {0};
    uint64_t depth;
    bool zero, data;
    json_t *object;
    int rc = parse(&object, line, len, err);

    if (rc || !object)
        return rc;
    if (!get_number(object, "start", &e.start) ||
        !get_number(object, "length", &e.length) || !get_number(object, "depth", &depth) ||
        !get_flag(object, "zero", &zero) || !get_flag(object, "data", &data) ||
        depth >= layer_count) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "not a line of a map");
    } else {
        /* Neither data nor zero: nothing in the chain has it, which every format reads as zeros. */
        if (zero || !data)
            e.kind = VMSCM_EXTENT_ZERO;
        else if (layers[depth].direct && get_number(object, "offset", &e.offset))
            e.kind = VMSCM_EXTENT_FILE;
        else
            e.kind = VMSCM_EXTENT_INDIRECT;
        e.file = layers[depth].file;
        rc = vmscm_extentmap_add(map, &e, size, err);
    }
    json_decref(object);
    return rc;
}

/* What becomes of the lines. */
struct sink {
    int (*line)(struct sink *sink, const char *line, size_t len, struct vmscm_error *err);
    const struct vmscm_probe *probe;
    uint64_t end; /* how far the lines reach */
    struct vmscm_extentmap *map;
    const struct vmscm_qemumap_layer *layers;
    size_t layer_count;
    struct vmscm_changes *changes;
};

static int line_to_map(struct sink *sink, const char *line, size_t len, struct vmscm_error *err)
{
    int rc = vmscm_qemumap_line(
        sink->map, line, len, sink->probe->size, sink->layers, sink->layer_count, err);

    sink->end = sink->map->end;
    return rc;
}

static int line_to_changes(struct sink *sink, const char *line, size_t len,
    struct vmscm_error *err)
{
    uint64_t start, length = 0;
    bool present;
    json_t *object;
    int rc = parse(&object, line, len, err);

    if (rc || !object)
        return rc;
    if (!get_number(object, "start", &start) || !get_number(object, "length", &length) ||
        start != sink->end || length > sink->probe->size - start)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "not a line of a map");
    else if (!get_flag(object, "present", &present))
        rc = vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "this QEMU does not tell what an overlay holds");
    else if (present)
        rc = vmscm_changes_add(sink->changes, start, length, err);
    if (!rc)
        sink->end += length;
    json_decref(object);
    return rc;
}

/* Reads the child's output to its end. */
static int read_lines(struct sink *sink, int fd, const struct vmscm_events *events,
    struct vmscm_error *err)
{
    static const size_t room = 65536;
    char *buf = malloc(room);
    size_t have = 0;
    int rc = 0;

    if (!buf)
        return vmscm_error_nomem(err);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, 100);
        if (events && events->canceled && events->canceled(events->data)) {
            rc = vmscm_error_set(err, VMSCM_ECANCELED, "%s: canceled", sink->probe->path);
            break;
        }
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        ssize_t n = read(fd, buf + have, room - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = vmscm_error_errno(err, errno, "%s: reading its map", sink->probe->path);
            break;
        }
        have += (size_t)n;
        char *line = buf, *end = buf + have, *newline;
        while (!rc && (newline = memchr(line, '\n', (size_t)(end - line)))) {
            rc = sink->line(sink, line, (size_t)(newline - line), err);
            line = newline + 1;
        }
        have = (size_t)(end - line);
        if (!rc && n == 0)
            rc = sink->line(sink, line, have, err);
        else if (!rc && have > LINE_MAX_BYTES)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "not a line of a map");
        if (rc || n == 0)
            break;
        memmove(buf, line, have);
    }
    free(buf);
    return rc;
}

/* The map of sink->probe, line by line. */
static int run(struct sink *sink, const struct vmscm_events *events, struct vmscm_error *err)
{
    const struct vmscm_probe *probe = sink->probe;
    struct vmscm_spawn child = VMSCM_SPAWN_INIT;
    struct vmscm_error failure = VMSCM_ERROR_INIT;
    struct vmscm_qemu_files files = {0};
    char *image = NULL;
    int rc;

    if ((rc = vmscm_qemu_describe(&image, probe, &failure)) ||
        (rc = vmscm_qemu_list_files(&files, probe, &failure)))
        goto out;
    const char *const argv[] = {"qemu-img", "map", "--output=json", image, NULL};
    struct vmscm_spawn_options options = {
        .argv = argv,
        .read_only = files.paths.items,
        .max_memory = vmscm_qemu_memory(probe),
        .max_cpu_seconds = CPU_SECONDS,
        .confined = true,
    };
    if ((rc = vmscm_spawn_start(&child, &options, true, &failure)) ||
        (rc = read_lines(sink, child.out, events, &failure)))
        goto out;
    rc = vmscm_spawn_wait(&child, &failure);
    if (!rc && sink->end != probe->size)
        rc = vmscm_error_set(&failure, VMSCM_EINPUT,
            "its header says %llu bytes, but QEMU maps %llu", (unsigned long long)probe->size,
            (unsigned long long)sink->end);
out:
    if (rc == VMSCM_ETOOL)
        rc = vmscm_qemu_explain(&failure, probe->path);
    if (rc && strncmp(failure.message, probe->path, strlen(probe->path)) != 0)
        vmscm_error_prefix(&failure, "%s", probe->path);
    if (rc)
        vmscm_error_copy(err, &failure);
    vmscm_spawn_kill(&child);
    vmscm_vec_release(&files.paths);
    free(image);
    return rc;
}

int vmscm_qemumap_read(struct vmscm_extentmap *map, const struct vmscm_probe *probe,
    const struct vmscm_qemumap_layer *layers, size_t layer_count,
    const struct vmscm_events *events, struct vmscm_error *err)
{
    struct sink sink = {
        line_to_map, probe, 0, .map = map, .layers = layers, .layer_count = layer_count};

    return run(&sink, events, err);
}

int vmscm_qemumap_changes(struct vmscm_changes *changes, const struct vmscm_probe *probe,
    unsigned depth, const struct vmscm_events *events, struct vmscm_error *err)
{
    struct vmscm_probe top[VMSCM_PROBE_DEPTH_MAX];
    struct sink sink = {line_to_changes, top, 0, .changes = changes};
    unsigned n = 0;

    /* The same layers, with nothing below them: what they do not hold is in no layer then. */
    for (; n < depth && n < VMSCM_PROBE_DEPTH_MAX && probe; n++, probe = probe->backing) {
        top[n] = *probe;
        top[n].backing = NULL;
        if (n)
            top[n - 1].backing = &top[n];
    }
    if (!n || n < depth)
        return vmscm_error_set(err, VMSCM_EUSAGE, "a backing chain is not that deep");
    return run(&sink, events, err);
}
