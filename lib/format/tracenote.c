/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/tracenote.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 2
#define UNIT_OF_1 16u /* our units in one of version 1 */
#define HEAD_LENGTH 32u
#define PLACE_LENGTH (1 + 13 + 1 + 6)

void vmscm_tracenote_release(struct vmscm_tracenote *note)
{
    for (size_t i = 0; i < note->disks.len; i++)
        free(note->disks.items[i]);
    vmscm_vec_release(&note->disks);
    vmscm_vec_release(&note->places);
    *note = (struct vmscm_tracenote){0};
}

static int malformed(struct vmscm_error *err, const char *what)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "boot trace: %s", what);
}

static bool is_id(const char *id, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (id[i] <= ' ' || id[i] > '~')
            return false;
    return len > 0 && len <= VMSCM_TRACENOTE_DISK;
}

int vmscm_tracenote_disk(uint32_t *index, struct vmscm_tracenote *note, const char *id,
    struct vmscm_error *err)
{
    char **slot, *copy = NULL;

    for (*index = 0; *index < note->disks.len; ++*index)
        if (strcmp(note->disks.items[*index], id) == 0)
            return 0;
    if (!is_id(id, strlen(id)))
        return malformed(err, "a disk's id that is none");
    if (note->disks.len == VMSCM_TRACENOTE_DISKS_MAX)
        return malformed(err, "too many disks");
    if (vmscm_str_dup(&copy, id, err) || vmscm_vec_add(&note->disks, &slot, err)) {
        free(copy);
        return VMSCM_ENOMEM;
    }
    *slot = copy;
    return 0;
}

/* However long the line becomes. */
static int append(struct vmscm_tracenote *note, uint32_t disk, uint64_t first, uint32_t count,
    struct vmscm_error *err)
{
    struct vmscm_tracenote_place *last =
        note->places.len ? &note->places.items[note->places.len - 1] : NULL;

    if (!count || first >= VMSCM_TRACENOTE_FIRST_MAX ||
        count > VMSCM_TRACENOTE_FIRST_MAX - first)
        return malformed(err, "a place that no disk has");
    if (count > VMSCM_TRACENOTE_UNITS_MAX - note->units)
        return malformed(err, "too many places");
    if (last && last->disk == disk && last->first + last->count == first) {
        last->count += count;
    } else {
        if (vmscm_vec_add(&note->places, &last, err))
            return VMSCM_ENOMEM;
        *last = (struct vmscm_tracenote_place){disk, count, first};
    }
    note->units += count;
    return 0;
}

int vmscm_tracenote_add(struct vmscm_tracenote *note, uint32_t disk, uint64_t first, uint32_t count,
    struct vmscm_error *err)
{
    const struct vmscm_tracenote_place *last =
        note->places.len ? &note->places.items[note->places.len - 1] : NULL;
    uint32_t more = PLACE_LENGTH;
    size_t before = note->places.len;
    int rc;

    if (!last || last->disk != disk)
        more += 2 + (uint32_t)strlen(note->disks.items[disk]);
    if (note->length + more > VMSCM_TRACENOTE_LINE_MAX - HEAD_LENGTH)
        return malformed(err, "too many places");
    rc = append(note, disk, first, count, err);
    if (note->places.len > before)
        note->length += more;
    return rc;
}

int vmscm_tracenote_encode(struct vmscm_buf *buf, const struct vmscm_tracenote *note,
    struct vmscm_error *err)
{
    uint32_t disk = UINT32_MAX;
    int rc = vmscm_buf_printf(buf, err, "%d %lld", VERSION, (long long)note->time);

    for (size_t i = 0; i < note->places.len && !rc; i++) {
        const struct vmscm_tracenote_place *p = &note->places.items[i];
        if (p->disk != disk)
            rc = vmscm_buf_printf(buf, err, " :%s", note->disks.items[p->disk]);
        disk = p->disk;
        if (!rc)
            rc = vmscm_buf_printf(buf, err, " %llx", (unsigned long long)p->first);
        if (!rc && p->count > 1)
            rc = vmscm_buf_printf(buf, err, "+%x", p->count);
    }
    return rc;
}

/* A number of at most 15 digits, as it is written: without zeros before it. */
static bool number(uint64_t *out, const char **at, const char *end, unsigned base)
{
    static const char digits[] = "0123456789abcdef";
    const char *start = *at, *digit;

    *out = 0;
    while (*at < end && **at && (digit = strchr(digits, **at)) && (unsigned)(digit - digits) < base) {
        if (++*at - start > 15)
            return false;
        *out = *out * base + (unsigned)(digit - digits);
    }
    return *at > start && (*start != '0' || *at - start == 1);
}

/* *scale: our units in one of its own. */
static int decode_head(struct vmscm_tracenote *note, uint32_t *scale, const char **at, const char *end,
    struct vmscm_error *err)
{
    uint64_t version, time;

    if (!number(&version, at, end, 10) || *at == end || *(*at)++ != ' ')
        return malformed(err, "no version");
    if (version != VERSION && version != 1)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "boot trace: of version %llu",
            (unsigned long long)version);
    if (!number(&time, at, end, 10) || time > VMSCM_TRACENOTE_TIME_MAX)
        return malformed(err, "no time");
    note->time = (int64_t)time;
    *scale = version == 1 ? UNIT_OF_1 : 1;
    return 0;
}

static int decode_disk(uint32_t *disk, struct vmscm_tracenote *note, const char **at, const char *end,
    struct vmscm_error *err)
{
    const char *stop = memchr(*at, ' ', (size_t)(end - *at));
    char id[VMSCM_TRACENOTE_DISK + 1];
    size_t len = (size_t)((stop ? stop : end) - *at);

    if (!is_id(*at, len))
        return malformed(err, "a disk's id that is none");
    memcpy(id, *at, len);
    id[len] = '\0';
    *at += len;
    return vmscm_tracenote_disk(disk, note, id, err);
}

static int decode_place(struct vmscm_tracenote *note, uint32_t disk, uint32_t scale, const char **at,
    const char *end, struct vmscm_error *err)
{
    uint64_t first, count = 1;

    if (!number(&first, at, end, 16) || first >= VMSCM_TRACENOTE_FIRST_MAX / scale)
        return malformed(err, "a place that no disk has");
    if (*at < end && **at == '+') {
        ++*at;
        if (!number(&count, at, end, 16) || count < 2 || count > VMSCM_TRACENOTE_UNITS_MAX / scale)
            return malformed(err, "a length that is none");
    }
    return append(note, disk, first * scale, (uint32_t)count * scale, err);
}

int vmscm_tracenote_decode(struct vmscm_tracenote *note, const char *line, size_t len,
    struct vmscm_error *err)
{
    const char *at = line, *end = line + len;
    uint32_t disk = UINT32_MAX, scale = 1;
    int rc;

    *note = (struct vmscm_tracenote){0};
    if (len > VMSCM_TRACENOTE_LINE_MAX)
        return malformed(err, "too long");
    rc = decode_head(note, &scale, &at, end, err);
    while (!rc && at < end) {
        if (*at++ != ' ' || at == end) {
            rc = malformed(err, "not words");
        } else if (*at == ':') {
            at++;
            rc = decode_disk(&disk, note, &at, end, err);
        } else if (disk == UINT32_MAX) {
            rc = malformed(err, "a place of no disk");
        } else {
            rc = decode_place(note, disk, scale, &at, end, err);
        }
    }
    if (!rc && !note->places.len)
        rc = malformed(err, "it has no places");
    /* In our units a place takes up to 4 bytes more. */
    note->length = (uint32_t)(len + (scale > 1 ? 4 * note->places.len : 0));
    if (rc)
        vmscm_tracenote_release(note);
    return rc;
}
