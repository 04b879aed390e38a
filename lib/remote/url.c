/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/url.h"
#include "base/str.h"
#include "s3/address.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 4096

static int refuse_password(struct vmscm_error *err)
{
    vmscm_error_set(err, VMSCM_EREFUSED, "the URL: has a password in it");
    return vmscm_error_hint(err, "ssh asks for one, or uses your keys; write the URL without");
}

/* Names reach ssh's command line: nothing but what a name has. */
static bool is_host(const char *s)
{
    size_t len = strlen(s);

    if (len > 2 && s[0] == '[' && s[len - 1] == ']')
        return strspn(s + 1, "0123456789abcdefABCDEF:.%") == len - 2;
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr(".-_", *p))
            return false;
    return *s && *s != '-';
}

static bool is_user(const char *s)
{
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr(".-_+@\\", *p))
            return false;
    return *s && *s != '-';
}

/* [USER@]HOST[:PORT], len bytes of it. */
static int parse_authority(struct vmscm_url *out, const char *text, size_t len, bool with_port,
    struct vmscm_error *err)
{
    char *all = NULL, *host, *at, *colon;
    uint64_t port;
    int rc = vmscm_str_printf(&all, err, "%.*s", (int)len, text);

    if (rc)
        return rc;
    host = all;
    if ((at = strrchr(all, '@'))) {
        *at = '\0';
        host = at + 1;
        if (strchr(all, ':')) {
            rc = refuse_password(err);
            goto out;
        }
        if (!is_user(all)) {
            rc = vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: no name of a user", all);
            goto out;
        }
        if ((rc = vmscm_str_dup(&out->user, all, err)))
            goto out;
    }
    colon = strrchr(host, ':');
    if (with_port && colon && !strchr(colon, ']')) {
        if (!vmscm_str_uint(&port, colon + 1, 1, 65535)) {
            rc = vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: no number of a port", colon + 1);
            goto out;
        }
        out->port = (unsigned)port;
        *colon = '\0';
    }
    if (!is_host(host)) {
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: no name of a host", *host ? host : "\"\"");
        goto out;
    }
    rc = *host == '[' ? vmscm_str_printf(&out->host, err, "%.*s", (int)strlen(host) - 2, host + 1)
                      : vmscm_str_dup(&out->host, host, err);
out:
    free(all);
    return rc;
}

/* HOST:PATH, where nothing before the colon is a slash. */
static const char *short_form(const char *text)
{
    const char *p = text;

    if (*p == '[')
        p = strchr(p, ']') ? strchr(p, ']') : p;
    p += strcspn(p, ":/");
    return *p == ':' && p > text && p[1] ? p : NULL;
}

static int parse(struct vmscm_url *out, const char *text, struct vmscm_error *err)
{
    const char *rest, *colon;
    int rc;

    if (vmscm_str_starts(text, "file://")) {
        rest = text + strlen("file://");
        if (vmscm_str_starts(rest, "localhost/"))
            rest += strlen("localhost");
        if (*rest != '/')
            return vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: not file:///PATH", text);
        return vmscm_str_dup(&out->path, rest, err);
    }
    if (vmscm_str_starts(text, "ssh://")) {
        rest = text + strlen("ssh://");
        size_t len = strcspn(rest, "/");
        out->kind = VMSCM_URL_SSH;
        if ((rc = parse_authority(out, rest, len, true, err)))
            return rc;
        rest += len;
        if (!rest[0] || !rest[1])
            return vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: names no path", text);
        /* A path below a home directory is written /~/PATH. */
        return vmscm_str_dup(&out->path, rest + (rest[1] == '~'), err);
    }
    if (vmscm_str_starts(text, "s3://")) {
        struct vmscm_address address = {0};
        out->kind = VMSCM_URL_S3;
        rc = vmscm_address_parse(&address, text, err);
        vmscm_address_release(&address);
        return rc ? rc : vmscm_str_dup(&out->path, text, err);
    }
    if (strstr(text, "://")) {
        const char *at = strchr(strstr(text, "://") + 3, '@');
        if (at && memchr(strstr(text, "://") + 3, ':', (size_t)(at - strstr(text, "://") - 3)))
            return refuse_password(err);
        vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: a URL of a kind that is not known", text);
        return vmscm_error_hint(err, "known are paths, file://, ssh://, HOST:PATH and s3://");
    }
    colon = *text == '/' || *text == '.' || *text == '~' ? NULL : short_form(text);
    if (colon) {
        out->kind = VMSCM_URL_SSH;
        rc = parse_authority(out, text, (size_t)(colon - text), false, err);
        return rc ? rc : vmscm_str_dup(&out->path, colon + 1, err);
    }
    return vmscm_str_dup(&out->path, text, err);
}

int vmscm_url_parse(struct vmscm_url *out, const char *text, struct vmscm_error *err)
{
    int rc;

    memset(out, 0, sizeof *out);
    if (!*text || strlen(text) > URL_MAX || !vmscm_str_printable(text))
        return vmscm_error_set(err, VMSCM_EUSAGE, "the URL: is %s", *text ? "no text" : "empty");
    if (!(rc = parse(out, text, err)))
        rc = vmscm_str_dup(&out->text, text, err);
    if (!rc && out->path[0] == '-')
        rc = vmscm_error_set(err, VMSCM_EUSAGE, "%.200s: a path that begins with '-'", out->path);
    if (rc)
        vmscm_url_release(out);
    return rc;
}

void vmscm_url_release(struct vmscm_url *url)
{
    free(url->user);
    free(url->host);
    free(url->path);
    free(url->text);
    memset(url, 0, sizeof *url);
}

bool vmscm_url_is(const char *word)
{
    const char *colon;

    if (strstr(word, "://") || *word == '/' || *word == '.' || *word == '~')
        return true;
    /* MACHINE:TAG is no URL: a tag has no slash, and a host no path without one, but for what follows
     * a user's name. */
    colon = short_form(word);
    return colon && (strchr(colon, '/') || memchr(word, '@', (size_t)(colon - word)));
}
