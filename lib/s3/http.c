/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "s3/http.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/digest.h"
#include "sys/file.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 15000L
#define STALL_SECONDS 60u /* of less than STALL_SPEED, unless set */
#define STALL_SPEED 1024u /* bytes a second */
#define ERROR_MAX (64u << 10) /* bytes of an answer that is an error */
#define HEAD_MAX (64u << 10)  /* bytes of headers */
#define PIECE (256u << 10)
#define HEX 65 /* digits of a SHA-256, and a NUL */

struct vmscm_http {
    pthread_mutex_t lock; /* guards the list and the traffic */
    VMSCM_VEC(CURL *) idle;
    struct vmscm_http_traffic traffic;
    atomic_bool canceled;
    const struct vmscm_events *events;
    uint64_t limit;
    unsigned patience; /* seconds */
    char *base;     /* URL that keys are put behind */
    char *bucket;   /* URL of the bucket */
    char *identity;
    char *signer;   /* "aws:amz:REGION:s3" */
    char *access_key, *secret_key, *session_token, *ca_bundle;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int dup_or_null(char **out, const char *s, struct vmscm_error *err)
{
    return s ? vmscm_str_dup(out, s, err) : 0;
}

/* Where requests go. A bucket with dots has no name that a certificate covers. */
static int make_urls(struct vmscm_http *h, const struct vmscm_address *a,
    const struct vmscm_settings *s, const char *region, struct vmscm_error *err)
{
    struct vmscm_buf prefix = VMSCM_BUF_INIT;
    const char *said = a->endpoint ? a->endpoint : s->endpoint;
    char *endpoint = NULL;
    int rc = said ? vmscm_address_endpoint(&endpoint, said, err)
                  : vmscm_str_printf(&endpoint, err, "https://s3.%s.amazonaws.com%s", region,
                        vmscm_str_starts(region, "cn-") ? ".cn" : "");
    bool path = a->style == VMSCM_ADDRESS_STYLE_PATH ||
        (a->style == VMSCM_ADDRESS_STYLE_ANY && (said || s->path_style || strchr(a->bucket, '.')));

    if (rc || (rc = vmscm_address_escape(&prefix, a->prefix, 1, err)) ||
        (rc = vmscm_str_printf(&h->identity, err, "%s/%s/%s", endpoint, a->bucket,
             vmscm_buf_str(&prefix))))
        goto out;
    if (path) {
        rc = vmscm_str_printf(&h->bucket, err, "%s/%s", endpoint, a->bucket);
    } else {
        char *host = strstr(endpoint, "://") + 3;
        rc = vmscm_str_printf(
            &h->bucket, err, "%.*s%s.%s/", (int)(host - endpoint), endpoint, a->bucket, host);
    }
    if (!rc)
        rc = vmscm_str_printf(
            &h->base, err, "%s%s%s", h->bucket, path ? "/" : "", vmscm_buf_str(&prefix));
out:
    vmscm_buf_release(&prefix);
    free(endpoint);
    return rc;
}

int vmscm_http_open(struct vmscm_http **out, const struct vmscm_address *address,
    const struct vmscm_settings *settings, const struct vmscm_events *events, uint64_t limit,
    struct vmscm_error *err)
{
    const char *region = address->region ? address->region
        : settings->region               ? settings->region
                                         : "us-east-1";
    struct vmscm_http *h = calloc(1, sizeof *h);
    int rc;

    if (!h)
        return vmscm_error_nomem(err);
    pthread_once(&once, start_curl);
    pthread_mutex_init(&h->lock, NULL);
    h->events = events;
    h->limit = limit;
    h->patience = STALL_SECONDS;
    if ((rc = make_urls(h, address, settings, region, err)) ||
        (rc = vmscm_str_printf(&h->signer, err, "aws:amz:%s:s3", region)) ||
        (rc = dup_or_null(&h->access_key, settings->access_key, err)) ||
        (rc = dup_or_null(&h->secret_key, settings->secret_key, err)) ||
        (rc = dup_or_null(&h->session_token, settings->session_token, err)) ||
        (rc = dup_or_null(&h->ca_bundle, settings->ca_bundle, err)))
        vmscm_http_close(h);
    else
        *out = h;
    return rc;
}

static void wipe(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

void vmscm_http_close(struct vmscm_http *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->idle.len; i++)
        curl_easy_cleanup(h->idle.items[i]);
    vmscm_vec_release(&h->idle);
    pthread_mutex_destroy(&h->lock);
    wipe(h->secret_key);
    wipe(h->session_token);
    free(h->access_key);
    free(h->ca_bundle);
    free(h->base);
    free(h->bucket);
    free(h->identity);
    free(h->signer);
    free(h);
}

const char *vmscm_http_identity(const struct vmscm_http *h)
{
    return h->identity;
}

void vmscm_http_patience(struct vmscm_http *h, unsigned seconds)
{
    h->patience = seconds;
}

void vmscm_http_cancel(struct vmscm_http *h)
{
    atomic_store(&h->canceled, true);
}

static bool is_canceled(struct vmscm_http *h)
{
    return atomic_load(&h->canceled) ||
        (h->events && h->events->canceled && h->events->canceled(h->events->data));
}

int vmscm_http_canceled(struct vmscm_http *h, struct vmscm_error *err)
{
    return is_canceled(h) ? vmscm_error_set(err, VMSCM_ECANCELED, "canceled") : 0;
}

static CURL *borrow(struct vmscm_http *h)
{
    CURL *curl = NULL;

    pthread_mutex_lock(&h->lock);
    if (h->idle.len)
        curl = h->idle.items[--h->idle.len];
    pthread_mutex_unlock(&h->lock);
    return curl ? curl : curl_easy_init();
}

static void give_back(struct vmscm_http *h, CURL *curl)
{
    CURL **slot;

    pthread_mutex_lock(&h->lock);
    if (vmscm_vec_add(&h->idle, &slot, NULL))
        curl_easy_cleanup(curl);
    else
        *slot = curl;
    pthread_mutex_unlock(&h->lock);
}

/* A request that is under way. */
struct running {
    struct vmscm_http *http;
    struct vmscm_http_request *r;
    CURL *curl;
    uint64_t sent; /* of the body */
    size_t passed; /* bytes of an answer that nobody waits for */
    size_t head;   /* bytes of headers */
    bool too_long, no_memory, unreadable, enough;
};

static size_t take_body(char *data, size_t size, size_t n, void *user)
{
    struct running *run = user;
    struct vmscm_http_request *r = run->r;
    long status = 0;
    size_t len = size * n;

    curl_easy_getinfo(run->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 300 || (!r->out && !r->buf)) {
        /* One without an end is not listened to. */
        run->passed += len;
        run->enough = run->passed > ERROR_MAX;
        if (status >= 300 && !run->enough && vmscm_buf_append(&r->text, data, len, NULL))
            run->no_memory = true;
        return run->no_memory || run->enough ? 0 : len;
    }
    if (len > (r->out ? r->out_len : r->max) - r->got) {
        run->too_long = true;
        return 0;
    }
    if (r->out)
        memcpy((char *)r->out + r->got, data, len);
    else if (vmscm_buf_append(r->buf, data, len, NULL)) {
        run->no_memory = true;
        return 0;
    }
    r->got += len;
    return len;
}

static size_t give_body(char *out, size_t size, size_t n, void *user)
{
    struct running *run = user;
    struct vmscm_http_request *r = run->r;
    uint64_t left = r->len - run->sent;
    size_t len = size * n < left ? size * n : (size_t)left;

    if (!len)
        return 0;
    if (r->body)
        memcpy(out, (const char *)r->body + run->sent, len);
    else if (vmscm_file_pread(r->fd, out, len, r->offset + run->sent, "a pack", NULL)) {
        run->unreadable = true;
        return CURL_READFUNC_ABORT;
    }
    run->sent += len;
    if (r->moved)
        r->moved(r->data, run->sent);
    return len;
}

/* libcurl sends a body again on a connection that turned out to be closed. */
static int seek_body(void *user, curl_off_t offset, int origin)
{
    struct running *run = user;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > run->r->len)
        return CURL_SEEKFUNC_CANTSEEK;
    run->sent = (uint64_t)offset;
    if (run->r->moved)
        run->r->moved(run->r->data, run->sent);
    return CURL_SEEKFUNC_OK;
}

static size_t take_header(char *line, size_t size, size_t n, void *user)
{
    struct running *run = user;

    run->head += size * n;
    if (run->head > HEAD_MAX) {
        run->too_long = true;
        return 0;
    }
    vmscm_answer_header(&run->r->head, line, size * n);
    return size * n;
}

static int look_up(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct running *run = user;

    (void)a, (void)b, (void)c, (void)d;
    return is_canceled(run->http);
}

/* The hash of the body, which is signed: who is between cannot change it. */
static int hash_body(char hex[HEX], const struct vmscm_http_request *r, struct vmscm_error *err)
{
    struct vmscm_digest *digest = NULL;
    uint8_t *piece = NULL, out[VMSCM_DIGEST_MAX];
    int rc = vmscm_digest_new(&digest, VMSCM_DIGEST_SHA256, err);

    if (!rc && r->len && r->body)
        rc = vmscm_digest_add(digest, r->body, (size_t)r->len, err);
    else if (!rc && r->len && !(piece = malloc(PIECE)))
        rc = vmscm_error_nomem(err);
    for (uint64_t at = 0; !rc && piece && at < r->len;) {
        size_t n = r->len - at < PIECE ? (size_t)(r->len - at) : PIECE;
        if (!(rc = vmscm_file_pread(r->fd, piece, n, r->offset + at, "a pack", err)))
            rc = vmscm_digest_add(digest, piece, n, err);
        at += n;
    }
    if (!rc && !(rc = vmscm_digest_finish(digest, out, err)))
        vmscm_str_hex(hex, out, vmscm_digest_size(VMSCM_DIGEST_SHA256));
    free(piece);
    vmscm_digest_free(digest);
    return rc;
}

static int add_header(struct curl_slist **list, struct vmscm_error *err, const char *name,
    const char *value)
{
    struct curl_slist *longer = NULL;
    char *line = NULL;
    int rc = vmscm_str_printf(&line, err, "%s: %s", name, value);

    if (!rc && !(longer = curl_slist_append(*list, line)))
        rc = vmscm_error_nomem(err);
    if (longer)
        *list = longer;
    wipe(line);
    return rc;
}

static int make_headers(struct curl_slist **list, struct vmscm_http *h,
    const struct vmscm_http_request *r, struct vmscm_error *err)
{
    char hex[HEX];
    int rc;

    if ((rc = hash_body(hex, r, err)) ||
        (rc = add_header(list, err, "x-amz-content-sha256", hex)))
        return rc;
    if (h->session_token && (rc = add_header(list, err, "x-amz-security-token", h->session_token)))
        return rc;
    if (r->create && (rc = add_header(list, err, "If-None-Match", "*")))
        return rc;
    return strcmp(r->method, "PUT") == 0
        ? add_header(list, err, "Content-Type", "application/octet-stream")
        : 0;
}

static void set_up(CURL *curl, struct vmscm_http *h, struct running *run, const char *url,
    struct curl_slist *headers)
{
    struct vmscm_http_request *r = run->r;

    /* What is not known to it fails when it runs. */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "vmscm/" VMSCM_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, r->why);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(
        curl, CURLOPT_LOW_SPEED_LIMIT, h->limit && h->limit < 2 * STALL_SPEED ? 1L : (long)STALL_SPEED);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)h->patience);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, run);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, run);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, run);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)PIECE);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)PIECE);
    if (h->ca_bundle)
        curl_easy_setopt(curl, CURLOPT_CAINFO, h->ca_bundle);
    if (h->limit) {
        curl_easy_setopt(curl, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)h->limit);
        curl_easy_setopt(curl, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)h->limit);
    }
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, h->signer);
    curl_easy_setopt(curl, CURLOPT_USERNAME, h->access_key);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, h->secret_key);
    if (r->range)
        curl_easy_setopt(curl, CURLOPT_RANGE, r->range);
    if (strcmp(r->method, "PUT") == 0) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->len);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(curl, CURLOPT_READDATA, run);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, seek_body);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, run);
    } else if (strcmp(r->method, "GET") != 0) {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    }
}

static void count(struct vmscm_http *h, CURL *curl)
{
    curl_off_t up = 0, down = 0;
    long header_up = 0, header_down = 0;

    curl_easy_getinfo(curl, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(curl, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &header_up);
    curl_easy_getinfo(curl, CURLINFO_HEADER_SIZE, &header_down);
    pthread_mutex_lock(&h->lock);
    h->traffic.requests++;
    h->traffic.sent += (uint64_t)up + (uint64_t)header_up;
    h->traffic.received += (uint64_t)down + (uint64_t)header_down;
    pthread_mutex_unlock(&h->lock);
}

void vmscm_http_traffic(struct vmscm_http *h, struct vmscm_http_traffic *out)
{
    pthread_mutex_lock(&h->lock);
    *out = h->traffic;
    pthread_mutex_unlock(&h->lock);
}

/* What became of it. */
static int conclude(struct running *run, CURLcode code, struct vmscm_error *err)
{
    struct vmscm_http_request *r = run->r;
    long status = 0;

    curl_easy_getinfo(run->curl, CURLINFO_RESPONSE_CODE, &status);
    if (run->enough && code == CURLE_WRITE_ERROR)
        code = CURLE_OK;
    r->curl = (int)code;
    r->status = code == CURLE_OK ? (unsigned)status : 0;
    if (run->no_memory || code == CURLE_OUT_OF_MEMORY)
        return vmscm_error_nomem(err);
    if (code == CURLE_ABORTED_BY_CALLBACK && is_canceled(run->http))
        return vmscm_http_canceled(run->http, err);
    if (run->unreadable)
        return vmscm_error_set(err, VMSCM_EIO, "what is to be sent cannot be read");
    if (run->too_long)
        return vmscm_error_set(err, VMSCM_EINPUT, "an answer that is longer than it can be");
    if (code != CURLE_OK) {
        if (!r->why[0])
            snprintf(r->why, sizeof r->why, "%s", curl_easy_strerror(code));
        return vmscm_error_set(err, VMSCM_EIO, "%s", r->why);
    }
    /* It is whole, as its length says: again it would be no longer. */
    if (r->out && status < 300 && r->got != r->out_len)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "is shorter than it should be");
    return 0;
}

int vmscm_http_run(struct vmscm_http *h, struct vmscm_http_request *r, struct vmscm_error *err)
{
    struct running run = {.http = h, .r = r};
    struct curl_slist *headers = NULL;
    struct vmscm_buf url = VMSCM_BUF_INIT;
    size_t buf_len = r->buf ? r->buf->len : 0;
    int rc;

    r->status = 0;
    r->got = r->text.len = 0;
    r->why[0] = '\0';
    memset(&r->head, 0, sizeof r->head);
    if ((rc = vmscm_http_canceled(h, err)) ||
        (rc = vmscm_buf_puts(&url, r->key ? h->base : h->bucket, err)) ||
        (r->key && (rc = vmscm_address_escape(&url, r->key, 1, err))) ||
        (r->query && (rc = vmscm_buf_printf(&url, err, "?%s", r->query))) ||
        (rc = make_headers(&headers, h, r, err)))
        goto out;
    if (!(run.curl = borrow(h))) {
        rc = vmscm_error_nomem(err);
        goto out;
    }
    set_up(run.curl, h, &run, vmscm_buf_str(&url), headers);
    rc = conclude(&run, curl_easy_perform(run.curl), err);
    count(h, run.curl);
    if (rc && r->buf)
        r->buf->len = buf_len;
    /* Settings point into what is freed here; the connection stays open. */
    curl_easy_reset(run.curl);
    give_back(h, run.curl);
out:
    curl_slist_free_all(headers);
    vmscm_buf_release(&url);
    return rc;
}

bool vmscm_http_is_distrust(const struct vmscm_http_request *r)
{
    return r->curl == CURLE_PEER_FAILED_VERIFICATION || r->curl == CURLE_SSL_CACERT_BADFILE ||
        r->curl == CURLE_SSL_ISSUER_ERROR;
}

bool vmscm_http_is_final(const struct vmscm_http_request *r)
{
    return vmscm_http_is_distrust(r) || r->curl == CURLE_COULDNT_RESOLVE_HOST ||
        r->curl == CURLE_COULDNT_RESOLVE_PROXY || r->curl == CURLE_URL_MALFORMAT ||
        r->curl == CURLE_UNSUPPORTED_PROTOCOL || r->curl == CURLE_SSL_CERTPROBLEM;
}

void vmscm_http_release(struct vmscm_http_request *r)
{
    vmscm_buf_release(&r->text);
}
