/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An endpoint in this process: it gives the answers that a test wrote, one a request, the last one again and
 * again, and keeps what it was asked. With it, what checks a signature (AWS Signature Version 4) by itself.
 */
#ifndef FAKES3_H
#define FAKES3_H

#include "unit.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKES3_MAX 65536 /* bytes of a request */
#define FAKES3_REQUESTS 16
#define FAKES3_KEY "AKIAIOSFODNN7EXAMPLE" /* of the published examples */
#define FAKES3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

struct fakes3_answer {
    const char *status;  /* "200 OK" */
    const char *headers; /* lines, each with its end; NULL */
    const char *body;
    size_t len;  /* 0: body is text */
    size_t lack; /* bytes that are announced and not sent */
    bool echo;   /* the body is that of the request before */
};

struct fakes3 {
    int fd;
    pthread_t thread;
    const struct fakes3_answer *answers;
    size_t count, at;
    char requests[FAKES3_REQUESTS][FAKES3_MAX]; /* whole, with a NUL */
    size_t lengths[FAKES3_REQUESTS];
    char url[128];                              /* of the endpoint */
};

/* The value of a header line, into out; false: there is none. */
static inline bool fakes3_header(char *out, size_t size, const char *request, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = strstr(request, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        line += n + 1;
        line += strspn(line, " ");
        snprintf(out, size, "%.*s", (int)strcspn(line, "\r"), line);
        return true;
    }
    return false;
}

static inline void fakes3_hmac(unsigned char out[32], const void *key, size_t key_len, const char *text)
{
    unsigned len = 32;

    assert_non_null(HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text),
        out, &len));
}

static inline void fakes3_hex(char out[65], const unsigned char bytes[32])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static inline void fakes3_sha256(char out[65], const void *data, size_t len)
{
    unsigned char bytes[32];

    assert_true(EVP_Digest(data, len, bytes, NULL, EVP_sha256(), NULL));
    fakes3_hex(out, bytes);
}

/* The part of a request's Authorization that begins so, up to a comma. */
static inline void fakes3_part(char *out, size_t size, const char *request, const char *begin)
{
    char text[1024];

    assert_true(fakes3_header(text, sizeof text, request, "Authorization"));
    const char *at = strstr(text, begin);
    assert_non_null(at);
    at += strlen(begin);
    snprintf(out, size, "%.*s", (int)strcspn(at, ", "), at);
}

/* Whether a request's signature is what the specification makes of it:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
static inline bool fakes3_is_signed(const char *request, const char *secret)
{
    char scope[256], names[512], signature[128], text[8192], string[2048], value[1024], hash[65];
    char *day, *region, *save = NULL, key[128];
    unsigned char k[32];
    size_t path = strcspn(request, " ") + 1, target = strcspn(request + path, " ");
    size_t plain = strcspn(request + path, "? "), n;

    fakes3_part(scope, sizeof scope, request, "Credential=");
    fakes3_part(names, sizeof names, request, "SignedHeaders=");
    fakes3_part(signature, sizeof signature, request, "Signature=");
    n = (size_t)snprintf(text, sizeof text, "%.*s\n%.*s\n%.*s\n", (int)path - 1, request, (int)plain,
        request + path, plain < target ? (int)(target - plain - 1) : 0,
        request + path + plain + (plain < target));
    snprintf(string, sizeof string, "%s", names);
    for (char *name = strtok_r(string, ";", &save); name; name = strtok_r(NULL, ";", &save)) {
        assert_true(fakes3_header(value, sizeof value, request, name));
        n += (size_t)snprintf(text + n, sizeof text - n, "%s:%s\n", name, value);
    }
    assert_true(fakes3_header(value, sizeof value, request, "x-amz-content-sha256"));
    n += (size_t)snprintf(text + n, sizeof text - n, "\n%s\n%s", names, value);
    fakes3_sha256(hash, text, n);
    assert_true(fakes3_header(value, sizeof value, request, "x-amz-date"));
    day = strchr(scope, '/') + 1; /* after the key's name */
    snprintf(string, sizeof string, "AWS4-HMAC-SHA256\n%s\n%s\n%s", value, day, hash);
    region = strchr(day, '/');
    *region++ = '\0';
    *strchr(region, '/') = '\0';
    snprintf(key, sizeof key, "AWS4%s", secret);
    fakes3_hmac(k, key, strlen(key), day);
    fakes3_hmac(k, k, sizeof k, region);
    fakes3_hmac(k, k, sizeof k, "s3");
    fakes3_hmac(k, k, sizeof k, "aws4_request");
    fakes3_hmac(k, k, sizeof k, string);
    fakes3_hex(hash, k);
    return strcmp(hash, signature) == 0;
}

/* All of a request, its body among it; how long it is. */
static inline size_t fakes3_take(int fd, char *out)
{
    char length[32];
    size_t len = 0, want = FAKES3_MAX - 1;

    for (ssize_t n; len < want && (n = read(fd, out + len, want - len)) > 0;) {
        len += (size_t)n;
        out[len] = '\0';
        const char *end = strstr(out, "\r\n\r\n");
        if (!end)
            continue;
        want = (size_t)(end + 4 - out);
        if (fakes3_header(length, sizeof length, out, "Content-Length"))
            want += strtoul(length, NULL, 10);
    }
    return len;
}

static inline void fakes3_give(int fd, const struct fakes3_answer *a)
{
    size_t len = a->len ? a->len : a->body ? strlen(a->body) : 0;

    dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", a->status,
        len + a->lack, a->headers ? a->headers : "");
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, a->body + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    shutdown(fd, SHUT_WR);
}

static inline void *fakes3_serve(void *data)
{
    struct fakes3 *f = data;

    for (int fd; (fd = accept(f->fd, NULL, NULL)) >= 0; close(fd)) {
        if (f->at == FAKES3_REQUESTS)
            continue;
        f->lengths[f->at] = fakes3_take(fd, f->requests[f->at]);
        struct fakes3_answer answer = f->answers[f->at < f->count ? f->at : f->count - 1];
        if (answer.echo) {
            const char *before = f->requests[f->at - 1];
            answer.body = strstr(before, "\r\n\r\n") + 4;
            answer.len = f->lengths[f->at - 1] - (size_t)(answer.body - before);
        }
        fakes3_give(fd, &answer);
        f->at++;
    }
    return NULL;
}

static inline struct fakes3 *fakes3_open(const struct fakes3_answer *answers, size_t count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct fakes3 *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->answers = answers;
    f->count = count;
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(f->fd >= 0 && bind(f->fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        listen(f->fd, 4) == 0 && getsockname(f->fd, (struct sockaddr *)&at, &len) == 0);
    snprintf(f->url, sizeof f->url, "s3://bucket/team?endpoint=http://127.0.0.1:%u&region=eu-1",
        ntohs(at.sin_port));
    assert_int_equal(pthread_create(&f->thread, NULL, fakes3_serve, f), 0);
    setenv("AWS_ACCESS_KEY_ID", FAKES3_KEY, 1);
    setenv("AWS_SECRET_ACCESS_KEY", FAKES3_SECRET, 1);
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("AWS_PROFILE");
    setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    setenv("no_proxy", "127.0.0.1", 1);
    return f;
}

/* No more is asked: then what was is to be looked at. */
static inline void fakes3_stop(struct fakes3 *f)
{
    if (f->fd < 0)
        return;
    shutdown(f->fd, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->fd);
    f->fd = -1;
}

static inline void fakes3_close(struct fakes3 *f)
{
    fakes3_stop(f);
    free(f);
}

#endif
