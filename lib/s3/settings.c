/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "s3/settings.h"
#include "base/buf.h"
#include "base/path.h"
#include "base/str.h"
#include "sys/file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1u << 20)

/* A variable that is set and not empty, or NULL. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static int take(char **slot, const char *value, struct vmscm_error *err)
{
    return *slot || !value ? 0 : vmscm_str_dup(slot, value, err);
}

static int read_environment(struct vmscm_settings *s, struct vmscm_error *err)
{
    const char *profile = variable("AWS_PROFILE"), *key = variable("AWS_ACCESS_KEY_ID");
    const char *secret = variable("AWS_SECRET_ACCESS_KEY");
    int rc;

    /* A key of the one and a secret of another would only be refused. */
    if (key && secret &&
        ((rc = take(&s->access_key, key, err)) || (rc = take(&s->secret_key, secret, err)) ||
            (rc = take(&s->session_token, variable("AWS_SESSION_TOKEN"), err))))
        return rc;
    if ((rc = take(&s->profile, profile ? profile : variable("AWS_DEFAULT_PROFILE"), err)) ||
        (rc = take(&s->region, variable("AWS_REGION"), err)) ||
        (rc = take(&s->region, variable("AWS_DEFAULT_REGION"), err)) ||
        (rc = take(&s->endpoint, variable("AWS_ENDPOINT_URL_S3"), err)) ||
        (rc = take(&s->endpoint, variable("AWS_ENDPOINT_URL"), err)))
        return rc;
    return take(&s->ca_bundle, variable("AWS_CA_BUNDLE"), err);
}

/* What a line of a file sets, in the section that was asked for. */
struct pairs {
    char *access_key, *secret_key, *session_token;
    bool found;
};

static char *trim(char *s)
{
    size_t len;

    s += strspn(s, " \t");
    len = strlen(s);
    while (len && strchr(" \t\r", s[len - 1]))
        s[--len] = '\0';
    return s;
}

static int set(struct vmscm_settings *s, struct pairs *pairs, const char *key, const char *value,
    bool nested, struct vmscm_error *err)
{
    if (nested) {
        if (strcmp(key, "addressing_style") == 0)
            s->path_style = strcmp(value, "path") == 0;
        return strcmp(key, "endpoint_url") == 0 && *value ? take(&s->endpoint, value, err) : 0;
    }
    if (strcmp(key, "aws_access_key_id") == 0)
        return take(&pairs->access_key, value, err);
    if (strcmp(key, "aws_secret_access_key") == 0)
        return take(&pairs->secret_key, value, err);
    if (strcmp(key, "aws_session_token") == 0)
        return take(&pairs->session_token, value, err);
    if (strcmp(key, "region") == 0 && *value)
        return take(&s->region, value, err);
    if (strcmp(key, "endpoint_url") == 0 && *value)
        return take(&s->endpoint, value, err);
    return strcmp(key, "ca_bundle") == 0 && *value ? take(&s->ca_bundle, value, err) : 0;
}

/* Whether "[NAME]" or "[profile NAME]" is the section of the profile. */
static bool is_section(char *line, const char *profile)
{
    char *name = trim(line + 1), *end = strchr(name, ']');

    if (!end)
        return false;
    *end = '\0';
    name = trim(name);
    if (strcmp(name, profile) == 0)
        return true;
    return vmscm_str_starts(name, "profile") && strchr(" \t", name[strlen("profile")]) &&
        strcmp(trim(name + strlen("profile")), profile) == 0;
}

static int read_lines(struct vmscm_settings *s, struct pairs *pairs, char *text, const char *profile,
    struct vmscm_error *err)
{
    bool here = false, nested = false;
    int rc = 0;

    for (char *line = text, *next; line && !rc; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = '\0';
        bool indented = *line == ' ' || *line == '\t';
        char *words = trim(line), *eq;
        if (!*words || *words == '#' || *words == ';')
            continue;
        if (*words == '[') {
            here = is_section(words, profile);
            pairs->found = pairs->found || here;
            nested = false;
            continue;
        }
        if (!here || !(eq = strchr(words, '=')))
            continue;
        *eq = '\0';
        char *key = trim(words), *value = trim(eq + 1);
        /* "s3 =" and indented lines after it. */
        if (!indented)
            nested = strcmp(key, "s3") == 0 && !*value;
        if (!indented || nested)
            rc = set(s, pairs, key, value, indented, err);
    }
    return rc;
}

/* *found: there is such a profile. */
static int read_file(struct vmscm_settings *s, bool *found, const char *named, const char *name,
    const char *profile, struct vmscm_error *err)
{
    const char *path = variable(named), *home = variable("HOME");
    struct vmscm_buf text = VMSCM_BUF_INIT;
    struct pairs pairs = {0};
    char *made = NULL;
    int rc = 0;

    /* As the AWS tools are told that there is none. */
    if (path ? strcmp(path, "/dev/null") == 0 : !home)
        return 0;
    if (!path && !(rc = vmscm_str_printf(&made, err, "%s/.aws/%s", home, name)))
        path = made;
    if (!rc && (rc = vmscm_file_read(&text, path, FILE_MAX, err)) == VMSCM_ENOTFOUND) {
        vmscm_error_clear(err);
        rc = 0;
    } else if (!rc && text.len && !memchr(text.data, '\0', text.len)) {
        rc = read_lines(s, &pairs, (char *)text.data, profile, err);
    }
    *found = *found || pairs.found;
    if (!rc && !s->access_key && pairs.access_key && pairs.secret_key) {
        s->access_key = pairs.access_key;
        s->secret_key = pairs.secret_key;
        s->session_token = pairs.session_token;
        memset(&pairs, 0, sizeof pairs);
    }
    if (text.data)
        explicit_bzero(text.data, text.cap);
    free(pairs.access_key);
    free(pairs.secret_key);
    free(pairs.session_token);
    vmscm_buf_release(&text);
    free(made);
    return rc;
}

int vmscm_settings_read(struct vmscm_settings *out, struct vmscm_error *err)
{
    struct vmscm_settings s = {0};
    const char *profile;
    bool found = false;
    int rc;

    if ((rc = read_environment(&s, err)))
        goto out;
    profile = s.profile ? s.profile : "default";
    if ((rc = read_file(&s, &found, "AWS_SHARED_CREDENTIALS_FILE", "credentials", profile, err)) ||
        (rc = read_file(&s, &found, "AWS_CONFIG_FILE", "config", profile, err)))
        goto out;
    if (s.profile && !found && !s.access_key) {
        rc = vmscm_error_set(err, VMSCM_ENOTFOUND, "AWS profile %.100s: there is none of that name",
            s.profile);
        vmscm_error_hint(err, "AWS_PROFILE names a section of ~/.aws/credentials or ~/.aws/config");
        goto out;
    }
    *out = s;
    memset(&s, 0, sizeof s);
out:
    vmscm_settings_release(&s);
    return rc;
}

static void wipe(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

void vmscm_settings_release(struct vmscm_settings *s)
{
    wipe(s->secret_key);
    wipe(s->session_token);
    free(s->access_key);
    free(s->region);
    free(s->endpoint);
    free(s->ca_bundle);
    free(s->profile);
    memset(s, 0, sizeof *s);
}
