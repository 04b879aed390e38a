/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "s3/address.h"
#include "base/path.h"
#include "base/str.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME "s3://"
#define PREFIX_MAX 700 /* keys may have 1024 bytes */

static int refuse_credentials(struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_EREFUSED, "the URL: has credentials in it");
    return vmscm_error_hint(err,
        "they are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from ~/.aws/credentials");
}

static int unhex(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
        : c >= 'a' && c <= 'f'  ? c - 'a' + 10
        : c >= 'A' && c <= 'F'  ? c - 'A' + 10
                                : -1;
}

/* len bytes of a URL, with %XX decoded. */
static int unescape(char **out, const char *s, size_t len, struct vmscm_error *err)
{
    char *text, *to;
    int rc = vmscm_str_printf(&text, err, "%.*s", (int)len, s);

    if (rc)
        return rc;
    to = text;
    for (const char *p = text; *p; p++) {
        if (*p != '%') {
            *to++ = *p;
        } else if (p[1] == '0' && p[2] == '0') {
            free(text);
            return vmscm_error_set(err, VMSCM_EUSAGE, "the URL: %%00 in it");
        } else if (unhex(p[1]) >= 0 && unhex(p[2]) >= 0) {
            *to++ = (char)(unhex(p[1]) << 4 | unhex(p[2]));
            p += 2;
        } else {
            free(text);
            return vmscm_error_set(err, VMSCM_EUSAGE, "the URL: %% without two digits");
        }
    }
    *to = '\0';
    *out = text;
    return 0;
}

int vmscm_address_escape(struct vmscm_buf *buf, const char *s, int keep_slash, struct vmscm_error *err)
{
    int rc = 0;

    for (; *s && !rc; s++) {
        unsigned char c = (unsigned char)*s;
        if (isalnum(c) || strchr("-._~", c) || (c == '/' && keep_slash))
            rc = vmscm_buf_append(buf, s, 1, err);
        else
            rc = vmscm_buf_printf(buf, err, "%%%02X", c);
    }
    return rc;
}

static bool is_host(const char *s)
{
    size_t len = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_[:]");

    return len && !s[len] && *s != '-' && *s != ':';
}

int vmscm_address_endpoint(char **out, const char *text, struct vmscm_error *err)
{
    const char *scheme = "https://", *host = text;
    char *name = NULL;
    size_t len;
    int rc;

    if (strchr(text, '@'))
        return refuse_credentials(err);
    if (vmscm_str_starts(text, "http://"))
        scheme = "http://";
    if (vmscm_str_starts(text, scheme))
        host += strlen(scheme);
    len = strcspn(host, "/");
    if (host[len] && host[len + 1])
        return vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: an endpoint has no path", text);
    if ((rc = vmscm_str_printf(&name, err, "%.*s", (int)len, host)))
        return rc;
    if (!is_host(name))
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: no endpoint such as https://HOST:PORT", text);
    else
        rc = vmscm_str_printf(out, err, "%s%s", scheme, name);
    free(name);
    return rc;
}

static int set_option(struct vmscm_address *a, const char *key, char **value, struct vmscm_error *err)
{
    char *endpoint = NULL;
    int rc;

    if (strcmp(key, "endpoint") == 0) {
        if ((rc = vmscm_address_endpoint(&endpoint, *value, err)))
            return rc;
        free(a->endpoint);
        a->endpoint = endpoint;
        return 0;
    }
    if (strcmp(key, "region") == 0) {
        if (!vmscm_path_is_confined(*value) || strchr(*value, '/') || strchr(*value, ':'))
            return vmscm_error_set(err, VMSCM_EUSAGE, "region=%.100s: no name of a region", *value);
        free(a->region);
        a->region = *value;
        *value = NULL;
        return 0;
    }
    if (strcmp(key, "style") == 0) {
        a->style = strcmp(*value, "path") == 0 ? VMSCM_ADDRESS_STYLE_PATH : VMSCM_ADDRESS_STYLE_HOST;
        return strcmp(*value, "path") == 0 || strcmp(*value, "host") == 0
            ? 0
            : vmscm_error_set(err, VMSCM_EUSAGE, "style=%.100s: path or host is possible", *value);
    }
    if (strcasestr(key, "key") || strcasestr(key, "secret") || strcasestr(key, "token") ||
        strcasestr(key, "password"))
        return refuse_credentials(err);
    vmscm_error_set(err, VMSCM_EUSAGE, "%.100s: no option of an s3 URL", key);
    return vmscm_error_hint(err, "there are endpoint=URL, region=NAME and style=path|host");
}

static int parse_options(struct vmscm_address *a, const char *text, struct vmscm_error *err)
{
    int rc = 0;

    while (*text && !rc) {
        size_t len = strcspn(text, "&"), eq = strcspn(text, "=");
        char *key = NULL, *value = NULL;
        if (eq >= len)
            return vmscm_error_set(err, VMSCM_EUSAGE, "the URL: an option without a value");
        if (!(rc = unescape(&key, text, eq, err)) &&
            !(rc = unescape(&value, text + eq + 1, len - eq - 1, err)))
            rc = set_option(a, key, &value, err);
        free(key);
        free(value);
        text += len + (text[len] == '&');
    }
    return rc;
}

static int check_bucket(const char *bucket, struct vmscm_error *err)
{
    size_t len = strlen(bucket);

    if (len >= 3 && len <= 63 && isalnum((unsigned char)bucket[0]) &&
        strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len && !strstr(bucket, ".."))
        return 0;
    vmscm_error_set(err, VMSCM_EUSAGE, "%.100s: no name of a bucket", bucket);
    return vmscm_error_hint(err, "they have 3 to 63 lower-case letters, digits, dots and hyphens");
}

static int parse(struct vmscm_address *a, const char *url, struct vmscm_error *err)
{
    const char *rest = url + strlen(SCHEME);
    size_t whole = strcspn(rest, "?"), len = strcspn(rest, "/?");
    char *prefix = NULL;
    int rc;

    if (memchr(rest, '@', len))
        return refuse_credentials(err);
    if ((rc = unescape(&a->bucket, rest, len, err)) || (rc = check_bucket(a->bucket, err)))
        return rc;
    if (len < whole) {
        const char *from = rest + len + 1;
        size_t n = whole - len - 1;
        while (n && from[n - 1] == '/')
            n--;
        if ((rc = unescape(&prefix, from, n, err)))
            return rc;
    }
    if (!prefix || !*prefix)
        rc = vmscm_str_dup(&a->prefix, "", err);
    else if (strlen(prefix) > PREFIX_MAX || !vmscm_path_is_confined(prefix) ||
        !vmscm_str_printable(prefix))
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: no prefix that a repository can have", prefix);
    else
        rc = vmscm_str_printf(&a->prefix, err, "%s/", prefix);
    free(prefix);
    return rc || !rest[whole] ? rc : parse_options(a, rest + whole + 1, err);
}

int vmscm_address_parse(struct vmscm_address *out, const char *url, struct vmscm_error *err)
{
    int rc;

    memset(out, 0, sizeof *out);
    rc = vmscm_str_starts(url, SCHEME)
        ? parse(out, url, err)
        : vmscm_error_set(err, VMSCM_EUSAGE, "the URL: is not s3://BUCKET/PREFIX");
    if (rc)
        vmscm_address_release(out);
    return rc;
}

void vmscm_address_release(struct vmscm_address *a)
{
    free(a->bucket);
    free(a->prefix);
    free(a->endpoint);
    free(a->region);
    memset(a, 0, sizeof *a);
}
