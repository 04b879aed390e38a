/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bucket/genlog.h"
#include "base/str.h"
#include "codec/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ROOM "log/"
#define PROBE_ROOM "probe/"
#define KEY_SIZE (sizeof ROOM + 16)
#define TRIES 10

/* Lists begin with what sorts first, so the newest has the lowest key. */
static void key_of(char key[KEY_SIZE], uint64_t number)
{
    snprintf(key, KEY_SIZE, ROOM "%016llx", (unsigned long long)~number);
}

static int take_newest(void *data, const char *key, uint64_t size, int64_t modified,
    struct vmscm_error *err)
{
    uint64_t *number = data;
    uint8_t bytes[8];
    uint64_t value = 0;

    (void)size;
    (void)modified;
    if (!vmscm_str_unhex(bytes, sizeof bytes, key + strlen(ROOM)))
        return vmscm_error_set(err, VMSCM_EINPUT, "%.200s: is no generation's name", key);
    for (size_t i = 0; i < sizeof bytes; i++)
        value = value << 8 | bytes[i];
    *number = ~value;
    return 0;
}

int vmscm_genlog_any(uint64_t *number, struct vmscm_s3 *s3, struct vmscm_error *err)
{
    *number = 0;
    return vmscm_s3_list(s3, ROOM, 1, take_newest, number, err);
}

int vmscm_genlog_newest(uint64_t *number, struct vmscm_s3 *s3, struct vmscm_error *err)
{
    int rc = vmscm_genlog_any(number, s3, err);

    if (rc || *number)
        return rc;
    vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: there is no repository", vmscm_s3_identity(s3));
    return vmscm_error_hint(err, "vmscm init s3://BUCKET/PREFIX makes one");
}

static int digest_of(uint8_t digest[VMSCM_GENERATION_DIGEST], const struct vmscm_buf *buf,
    struct vmscm_error *err)
{
    struct vmscm_hash *hash = NULL;
    struct vmscm_id id;
    int rc = vmscm_hash_new(&hash, err);

    if (!rc && !(rc = vmscm_hash_compute(hash, &id, buf->data, buf->len, err)))
        memcpy(digest, id.bytes, VMSCM_GENERATION_DIGEST);
    vmscm_hash_free(hash);
    return rc;
}

int vmscm_genlog_read_short(struct vmscm_generation *out, uint8_t digest[VMSCM_GENERATION_DIGEST],
    uint64_t *bytes, size_t max, struct vmscm_s3 *s3, uint64_t number, struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char key[KEY_SIZE];
    int rc;

    key_of(key, number);
    if ((rc = vmscm_s3_get(s3, key, &buf, max, err)) ||
        (rc = digest_of(digest, &buf, err)))
        goto out;
    *bytes = buf.len;
    if (!(rc = vmscm_generation_decode(out, buf.data, buf.len, err)) && out->number != number) {
        vmscm_generation_release(out);
        rc = vmscm_error_set(err, VMSCM_EDAMAGED, "a generation that is another one");
    }
    if (rc)
        vmscm_error_prefix(err, "%s%s", vmscm_s3_identity(s3), key);
out:
    vmscm_buf_release(&buf);
    return rc;
}

int vmscm_genlog_read(struct vmscm_generation *out, uint8_t digest[VMSCM_GENERATION_DIGEST],
    uint64_t *bytes, struct vmscm_s3 *s3, uint64_t number, struct vmscm_error *err)
{
    return vmscm_genlog_read_short(out, digest, bytes, VMSCM_GENERATION_MAX, s3, number, err);
}

/* Whose it is that is there. */
static int look(bool *ours, struct vmscm_s3 *s3, const struct vmscm_generation *g,
    struct vmscm_error *err)
{
    uint8_t digest[VMSCM_GENERATION_DIGEST];
    struct vmscm_generation there = {0};
    uint64_t bytes;
    int rc = vmscm_genlog_read(&there, digest, &bytes, s3, g->number, err);

    *ours = !rc && memcmp(there.transaction, g->transaction, sizeof g->transaction) == 0;
    vmscm_generation_release(&there);
    return rc;
}

/* One attempt. VMSCM_EBUSY: it is open whether it was made, but it is not there; again. */
static int try(struct vmscm_s3 *s3, const char *key, const struct vmscm_buf *buf,
    const struct vmscm_generation *g, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    bool ours;
    int rc = vmscm_s3_create(s3, key, buf->data, buf->len, err);

    if (rc != VMSCM_EBUSY && rc != VMSCM_EEXIST)
        return rc;
    /* Whether it is ours or another's that is there, or was made though no answer came, only it can
     * tell. */
    if (!(rc = look(&ours, s3, g, &why)) && ours) {
        vmscm_error_clear(err);
        return 0;
    }
    if (!rc)
        return vmscm_error_set(err, VMSCM_ECONFLICT, "%s: was changed by someone else meanwhile",
            vmscm_s3_identity(s3));
    if (rc == VMSCM_ENOTFOUND)
        return VMSCM_EBUSY;
    vmscm_error_set(err, VMSCM_EIO, "%s: it is not known whether the change was made: %s",
        vmscm_s3_identity(s3), why.message);
    return vmscm_error_hint(err, "doing it again tells, and does no harm");
}

int vmscm_genlog_create(struct vmscm_generation *g, uint8_t digest[VMSCM_GENERATION_DIGEST],
    uint64_t *bytes, struct vmscm_s3 *s3, struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char key[KEY_SIZE];
    int rc;

    key_of(key, g->number);
    if (getrandom(g->transaction, sizeof g->transaction, 0) != sizeof g->transaction)
        return vmscm_error_set(err, VMSCM_EIO, "random numbers: there are none");
    if ((rc = vmscm_generation_encode(&buf, g, err)) || (rc = digest_of(digest, &buf, err)))
        goto out;
    *bytes = buf.len;
    rc = VMSCM_EBUSY;
    for (unsigned n = 1; n <= TRIES && rc == VMSCM_EBUSY; n++) {
        if (n > 1 && (rc = vmscm_s3_wait(s3, n - 1, err)))
            break;
        rc = try(s3, key, &buf, g, err);
    }
    if (rc == VMSCM_EBUSY) {
        rc = VMSCM_EIO;
        if (err)
            err->code = VMSCM_EIO;
    }
out:
    vmscm_buf_release(&buf);
    return rc;
}

/* Until an answer comes. */
static int create_surely(struct vmscm_s3 *s3, const char *key, const char *text,
    struct vmscm_error *err)
{
    int rc = VMSCM_EBUSY, waited;

    for (unsigned n = 1; n <= TRIES && rc == VMSCM_EBUSY; n++) {
        if (n > 1 && (waited = vmscm_s3_wait(s3, n - 1, err)))
            return waited;
        rc = vmscm_s3_create(s3, key, text, 1, err);
    }
    return rc;
}

static int probe(struct vmscm_s3 *s3, const char *key, struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc = create_surely(s3, key, "1", err);

    /* One whose answer was lost may have done it. */
    if (rc && rc != VMSCM_EEXIST)
        return rc;
    rc = create_surely(s3, key, "2", err);
    if (rc && rc != VMSCM_EEXIST)
        return rc;
    bool honoured = rc == VMSCM_EEXIST;
    vmscm_error_clear(err);
    if (!(rc = vmscm_s3_get(s3, key, &text, 1, err)) &&
        (!honoured || text.len != 1 || text.data[0] != '1')) {
        vmscm_error_set(err, VMSCM_EREFUSED, "%s: does not honour If-None-Match", vmscm_s3_identity(s3));
        rc = vmscm_error_hint(
            err, "two that push at once could overwrite each other there; nothing is pushed");
    }
    vmscm_buf_release(&text);
    return rc;
}

int vmscm_genlog_probe(struct vmscm_s3 *s3, struct vmscm_error *err)
{
    uint8_t name[16];
    char hex[33], *key = NULL;
    int rc;

    if (getrandom(name, sizeof name, 0) != sizeof name)
        return vmscm_error_set(err, VMSCM_EIO, "random numbers: there are none");
    vmscm_str_hex(hex, name, sizeof name);
    if ((rc = vmscm_str_printf(&key, err, PROBE_ROOM "%s", hex)))
        return rc;
    rc = probe(s3, key, err);
    vmscm_s3_delete(s3, key, NULL);
    free(key);
    return rc;
}
