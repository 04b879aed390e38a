/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/s3/settings: the input is both files, ~/.aws/credentials and ~/.aws/config; a profile of
 * them is asked for. */
#include "memfile.h"
#include "s3/settings.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void point_at(int fd)
{
    static const char *const others[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"};
    char path[64];

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        unsetenv(others[i]);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1) || setenv("AWS_CONFIG_FILE", path, 1) ||
        setenv("AWS_PROFILE", "p", 1))
        abort();
}

/* Of one line, without blanks around it. */
static void check_value(const char *value)
{
    size_t len = value ? strlen(value) : 0;

    if (len && (strchr(value, '\n') || strchr(" \t", value[0]) || strchr(" \t\r", value[len - 1])))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_settings s = {0};
    bool first = fd < 0;

    memfile_set(&fd, data, size);
    if (first)
        point_at(fd);
    if (vmscm_settings_read(&s, &err)) {
        if (err.code != VMSCM_ENOTFOUND || s.access_key || s.profile)
            abort();
        return 0;
    }
    if (!s.access_key != !s.secret_key || (s.session_token && !s.access_key))
        abort();
    check_value(s.access_key);
    check_value(s.secret_key);
    check_value(s.session_token);
    check_value(s.region);
    check_value(s.endpoint);
    check_value(s.ca_bundle);
    vmscm_settings_release(&s);
    return 0;
}
