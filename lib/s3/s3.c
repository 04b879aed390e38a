/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "s3/s3.h"
#include "base/str.h"
#include "s3/answer.h"
#include "s3/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define TRIES 8
#define WAIT_FIRST_MS 100u
#define WAIT_MAX_MS 12000u
#define WAIT_ASKED_MAX 60u /* seconds of Retry-After that are heeded */
#define PAGE 1000u
#define PAGES_MAX 8192u /* of a list; who needs more has millions of objects */
#define EMPTY 64u /* pages for which one counts that is empty, and says that more follow */

struct vmscm_s3 {
    struct vmscm_http *http;
    char *place;  /* for messages */
    char *prefix;
};

static int no_credentials(const struct vmscm_settings *settings, struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_EREFUSED, "AWS profile %.100s: there are no credentials",
        settings->profile ? settings->profile : "default");
    return vmscm_error_hint(err,
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write ~/.aws/credentials");
}

int vmscm_s3_open(struct vmscm_s3 **out, const char *url, const struct vmscm_events *events,
    uint64_t limit, struct vmscm_error *err)
{
    struct vmscm_s3 *s3 = calloc(1, sizeof *s3);
    struct vmscm_settings settings = {0};
    struct vmscm_address address = {0};
    int rc;

    if (!s3)
        return vmscm_error_nomem(err);
    if ((rc = vmscm_address_parse(&address, url, err)) || (rc = vmscm_settings_read(&settings, err)))
        goto out;
    if (!settings.access_key) {
        rc = no_credentials(&settings, err);
        goto out;
    }
    if ((rc = vmscm_str_printf(&s3->place, err, "s3://%s", address.bucket)) ||
        (rc = vmscm_str_dup(&s3->prefix, address.prefix, err)))
        goto out;
    rc = vmscm_http_open(&s3->http, &address, &settings, events, limit, err);
out:
    vmscm_address_release(&address);
    vmscm_settings_release(&settings);
    if (rc)
        vmscm_s3_close(s3);
    else
        *out = s3;
    return rc;
}

void vmscm_s3_close(struct vmscm_s3 *s3)
{
    if (!s3)
        return;
    vmscm_http_close(s3->http);
    free(s3->place);
    free(s3->prefix);
    free(s3);
}

const char *vmscm_s3_identity(const struct vmscm_s3 *s3)
{
    return vmscm_http_identity(s3->http);
}

void vmscm_s3_patience(struct vmscm_s3 *s3, unsigned seconds)
{
    vmscm_http_patience(s3->http, seconds);
}

void vmscm_s3_cancel(struct vmscm_s3 *s3)
{
    vmscm_http_cancel(s3->http);
}

void vmscm_s3_traffic(struct vmscm_s3 *s3, struct vmscm_http_traffic *out)
{
    vmscm_http_traffic(s3->http, out);
}

/* Sleep in pieces, so that a cancel is seen. */
static int sleep_ms(struct vmscm_s3 *s3, unsigned ms, struct vmscm_error *err)
{
    int rc = 0;

    while (ms && !(rc = vmscm_http_canceled(s3->http, err))) {
        unsigned piece = ms < 100 ? ms : 100;
        const struct timespec t = {0, (long)piece * 1000000L};
        nanosleep(&t, NULL);
        ms -= piece;
    }
    return rc;
}

/* Twice as long each time, and not the same for all who wait. */
int vmscm_s3_wait(struct vmscm_s3 *s3, unsigned n, struct vmscm_error *err)
{
    unsigned ms = n < 8 ? WAIT_FIRST_MS << (n - 1) : WAIT_MAX_MS;
    uint32_t random = 0;

    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint32_t)clock();
    if (ms > WAIT_MAX_MS)
        ms = WAIT_MAX_MS;
    return sleep_ms(s3, ms / 2 + random % (ms / 2 + 1), err);
}

/* Run it until there is an answer that stays the same. 0: it is good. */
static int run(struct vmscm_s3 *s3, struct vmscm_http_request *r, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    int rc;

    for (unsigned n = 1;; n++) {
        rc = vmscm_http_run(s3->http, r, &why);
        if (rc && (rc != VMSCM_EIO || !r->why[0]))
            return vmscm_error_copy(err, &why);
        if (rc)
            rc = vmscm_explain_silence(r, s3->place, &why);
        else if (r->status / 100 == 2)
            return 0;
        else
            rc = vmscm_explain_answer(r, s3->place, &why);
        bool again = r->status ? vmscm_explain_is_passing(r) : !vmscm_http_is_final(r);
        if (!again || n >= TRIES)
            return vmscm_error_copy(err, &why);
        if (r->head.retry_after) {
            unsigned asked = r->head.retry_after, s = asked < WAIT_ASKED_MAX ? asked : WAIT_ASKED_MAX;
            rc = sleep_ms(s3, s * 1000, err);
        } else {
            rc = vmscm_s3_wait(s3, n, err);
        }
        if (rc)
            return rc;
    }
}

int vmscm_s3_get(struct vmscm_s3 *s3, const char *key, struct vmscm_buf *buf, size_t max,
    struct vmscm_error *err)
{
    struct vmscm_http_request r = {.method = "GET", .key = key, .buf = buf, .max = max};
    int rc = run(s3, &r, err);

    if (rc)
        vmscm_error_prefix(err, "%s%s", s3->prefix, key);
    vmscm_http_release(&r);
    return rc;
}

int vmscm_s3_get_range(struct vmscm_s3 *s3, const char *key, void *out, size_t len, uint64_t offset,
    struct vmscm_error *err)
{
    char range[64];
    struct vmscm_http_request r = {
        .method = "GET", .key = key, .range = range, .out = out, .out_len = len};
    int rc;

    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)offset,
        (unsigned long long)(offset + len - 1));
    rc = run(s3, &r, err);
    if (!rc && r.status != 206)
        rc = vmscm_error_set(err, VMSCM_EINPUT, "%s: does not answer with the range that was asked for",
            s3->place);
    if (rc)
        vmscm_error_prefix(err, "%s%s", s3->prefix, key);
    vmscm_http_release(&r);
    return rc;
}

static int put(struct vmscm_s3 *s3, struct vmscm_http_request *r, struct vmscm_error *err)
{
    int rc = run(s3, r, err);

    vmscm_http_release(r);
    return rc;
}

int vmscm_s3_put(struct vmscm_s3 *s3, const char *key, const void *data, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_http_request r = {
        .method = "PUT", .key = key, .body = len ? data : "", .len = len};

    return put(s3, &r, err);
}

int vmscm_s3_put_file(struct vmscm_s3 *s3, const char *key, int fd, uint64_t len,
    void (*moved)(void *data, uint64_t bytes), void *data, struct vmscm_error *err)
{
    struct vmscm_http_request r = {
        .method = "PUT", .key = key, .fd = fd, .len = len, .moved = moved, .data = data};

    return put(s3, &r, err);
}

int vmscm_s3_create(struct vmscm_s3 *s3, const char *key, const void *data, size_t len,
    struct vmscm_error *err)
{
    struct vmscm_http_request r = {
        .method = "PUT", .key = key, .create = true, .body = len ? data : "", .len = len};
    int rc = vmscm_http_run(s3->http, &r, err);

    if (rc == VMSCM_EIO && r.why[0]) {
        rc = vmscm_explain_silence(&r, s3->place, err);
        if (!vmscm_http_is_final(&r))
            rc = VMSCM_EBUSY;
    } else if (!rc && r.status == 412) {
        rc = vmscm_error_set(err, VMSCM_EEXIST, "%s: %s%s: is there already", s3->place, s3->prefix, key);
    } else if (!rc && r.status / 100 != 2) {
        rc = vmscm_explain_answer(&r, s3->place, err);
        if (vmscm_explain_is_passing(&r))
            rc = VMSCM_EBUSY;
    }
    if (rc && err)
        err->code = (enum vmscm_code)rc;
    vmscm_http_release(&r);
    return rc;
}

int vmscm_s3_delete(struct vmscm_s3 *s3, const char *key, struct vmscm_error *err)
{
    struct vmscm_error why = VMSCM_ERROR_INIT;
    struct vmscm_http_request r = {.method = "DELETE", .key = key};
    int rc = run(s3, &r, &why);

    /* No bucket is another matter, but then nothing is left to be removed either. */
    if (rc && rc != VMSCM_ENOTFOUND)
        vmscm_error_copy(err, &why);
    vmscm_http_release(&r);
    return rc == VMSCM_ENOTFOUND ? 0 : rc;
}

struct listing {
    const char *prefix, *begin;
    size_t left; /* keys that are wanted still */
    size_t page; /* keys that a page may have yet */
    char last[VMSCM_ANSWER_KEY_MAX + 1]; /* the key before */
    int (*each)(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err);
    void *data;
};

/* Keys that are not asked for are passed over. */
static int take_key(void *data, const char *key, uint64_t size, int64_t modified,
    struct vmscm_error *err)
{
    struct listing *l = data;
    const char *name = key + strlen(l->prefix);

    if (!l->page--)
        return vmscm_error_set(err, VMSCM_EINPUT, "a list with more keys than were asked for");
    if (!l->left || !vmscm_str_starts(key, l->prefix) || !vmscm_str_starts(name, l->begin))
        return 0;
    /* They are sorted; one that is behind comes again. */
    if (strcmp(key, l->last) <= 0)
        return vmscm_error_set(err, VMSCM_EINPUT, "a list that goes round in circles");
    snprintf(l->last, sizeof l->last, "%s", key);
    l->left--;
    return l->each(l->data, name, size, modified, err);
}

static int make_query(struct vmscm_buf *query, const struct vmscm_s3 *s3, const char *begin,
    size_t page, const char *next, struct vmscm_error *err)
{
    int rc = 0;

    query->len = 0;
    /* Sorted by name, as they are signed. */
    if (next && ((rc = vmscm_buf_puts(query, "continuation-token=", err)) ||
                    (rc = vmscm_address_escape(query, next, 0, err)) ||
                    (rc = vmscm_buf_puts(query, "&", err))))
        return rc;
    if ((rc = vmscm_buf_printf(query, err, "list-type=2&max-keys=%zu&prefix=", page)) ||
        (rc = vmscm_address_escape(query, s3->prefix, 0, err)))
        return rc;
    return vmscm_address_escape(query, begin, 0, err);
}

int vmscm_s3_list(struct vmscm_s3 *s3, const char *begin, size_t max,
    int (*each)(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err),
    void *data, struct vmscm_error *err)
{
    struct listing listing = {
        .prefix = s3->prefix, .begin = begin, .left = max ? max : SIZE_MAX, .each = each, .data = data};
    struct vmscm_buf query = VMSCM_BUF_INIT, answer = VMSCM_BUF_INIT;
    char *next = NULL, *then = NULL;
    size_t pages = 0;
    int rc;

    do {
        struct vmscm_http_request r = {.method = "GET", .buf = &answer, .max = VMSCM_ANSWER_MAX};
        answer.len = 0;
        listing.page = 2 * PAGE;
        if ((rc = make_query(&query, s3, begin, listing.left < PAGE ? listing.left : PAGE, next, err)))
            break;
        r.query = vmscm_buf_str(&query);
        rc = run(s3, &r, err);
        vmscm_http_release(&r);
        if (!rc && !(rc = vmscm_answer_list(&then, answer.data, answer.len, take_key, &listing, err)) &&
            then && next && strcmp(then, next) == 0)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "a list that does not get on");
        else if (!rc && then && (pages += listing.page == 2 * PAGE ? EMPTY : 1) >= PAGES_MAX)
            rc = vmscm_error_set(err, VMSCM_EINPUT, "a list that has no end");
        if (rc == VMSCM_EINPUT)
            vmscm_error_prefix(err, "%s", s3->place);
        free(next);
        next = then;
        then = NULL;
    } while (!rc && next && listing.left);
    free(next);
    vmscm_buf_release(&query);
    vmscm_buf_release(&answer);
    return rc;
}
