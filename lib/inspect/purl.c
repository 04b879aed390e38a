/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "inspect/purl.h"
#include "base/buf.h"
#include "base/str.h"
#include "inspect/facts.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int vmscm_purl_version(char **out, const json_t *application, struct vmscm_error *err)
{
    const json_t *epoch = json_object_get(application, "epoch");
    const char *release = vmscm_facts_text(application, "release");
    const char *version = vmscm_facts_text(application, "version");
    char number[32] = "";

    if (json_integer_value(epoch) > 0)
        snprintf(number, sizeof number, "%lld:", (long long)json_integer_value(epoch));
    return vmscm_str_printf(out, err, "%s%s%s%s", number, version,
        *version && *release ? "-" : "", release);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Percent-encoded but for what the specification says is not. */
static int put(struct vmscm_buf *buf, const char *before, const char *text, bool lower,
    struct vmscm_error *err)
{
    int rc = vmscm_buf_puts(buf, before, err);

    for (const char *p = text; *p && !rc; p++) {
        char c = lower && *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        rc = is_alnum(c) || strchr(".-_~:", c) ? vmscm_buf_append(buf, &c, 1, err)
                                               : vmscm_buf_printf(buf, err, "%%%02X", (unsigned char)c);
    }
    return rc;
}

static const char *vendor(const char *distro)
{
    return strcmp(distro, "rhel") == 0 ? "redhat" : distro;
}

/* PyPI's names are in lower case, with dashes; npm's may have a scope, "@scope/name", which is a
 * namespace. */
static int put_name(struct vmscm_buf *buf, const char *type, const char *name, bool lower,
    struct vmscm_error *err)
{
    bool python = strcmp(type, "pypi") == 0;
    char *copy = NULL, *slash;
    int rc = vmscm_str_dup(&copy, name, err);

    for (char *p = copy; p && *p && python; p++)
        if (*p == '_')
            *p = '-';
    slash = !rc && strcmp(type, "npm") == 0 && *copy == '@' ? strchr(copy, '/') : NULL;
    if (slash) {
        *slash = '\0';
        rc = put(buf, "/", copy, false, err);
    }
    if (!rc)
        rc = put(buf, "/", slash ? slash + 1 : copy, lower || python, err);
    free(copy);
    return rc;
}

int vmscm_purl_make(char **out, const json_t *system, const json_t *application,
    struct vmscm_error *err)
{
    static const char *const types[][2] = {
        {"deb", "deb"}, {"rpm", "rpm"}, {"apk", "apk"}, {"pacman", "alpm"}};
    const char *format = vmscm_facts_text(system, "package_format"), *type = "generic";
    const char *distro = vmscm_facts_text(system, "distro"), *arch = vmscm_facts_text(application, "arch");
    const char *release = vmscm_facts_text(system, "version");
    const json_t *epoch = json_object_get(application, "epoch");
    const char *next = "?";
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char *version = NULL;
    int rc;

    /* What has another origin is none of the system's packages. */
    const char *origin = vmscm_facts_text(application, "origin");
    for (size_t i = 0; i < sizeof types / sizeof types[0] && !*origin; i++)
        if (strcmp(format, types[i][0]) == 0)
            type = types[i][1];
    bool packaged = strcmp(type, "generic") != 0, rpm = strcmp(type, "rpm") == 0;
    if (strcmp(origin, "pip") == 0)
        type = "pypi";
    else if (strcmp(origin, "npm") == 0)
        type = "npm";
    if ((rc = vmscm_purl_version(&version, application, err)) ||
        (rc = vmscm_buf_printf(&buf, err, "pkg:%s", type)) ||
        (packaged && *distro && (rc = put(&buf, "/", vendor(distro), true, err))) ||
        (rc = put_name(&buf, type, vmscm_facts_text(application, "name"), packaged && !rpm, err)))
        goto out;
    /* Of rpm the epoch is a qualifier, and otherwise of the version. */
    const char *behind = rpm && json_integer_value(epoch) > 0 ? strchr(version, ':') + 1 : version;
    if (*behind && (rc = put(&buf, "@", behind, false, err)))
        goto out;
    if (packaged && *arch) {
        if ((rc = put(&buf, "?arch=", arch, false, err)))
            goto out;
        next = "&";
    }
    if (packaged && *distro && *release) {
        if ((rc = vmscm_buf_puts(&buf, next, err)) || (rc = put(&buf, "distro=", distro, false, err)) ||
            (rc = put(&buf, "-", release, false, err)))
            goto out;
        next = "&";
    }
    if (rpm && json_integer_value(epoch) > 0 &&
        (rc = vmscm_buf_printf(&buf, err, "%sepoch=%lld", next, (long long)json_integer_value(epoch))))
        goto out;
    if (!(*out = vmscm_buf_steal(&buf)))
        rc = vmscm_error_nomem(err);
out:
    free(version);
    vmscm_buf_release(&buf);
    return rc;
}

/* Quoted as a formatted string of CPE 2.3. */
static int put_quoted(struct vmscm_buf *buf, const char *text, size_t len, struct vmscm_error *err)
{
    int rc = len ? 0 : vmscm_buf_puts(buf, "*", err);

    for (size_t i = 0; i < len && !rc; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f)
            c = '_';
        else if (c >= 'A' && c <= 'Z')
            c = (unsigned char)(c - 'A' + 'a');
        if (!is_alnum((char)c) && !strchr(".-_", (char)c))
            rc = vmscm_buf_puts(buf, "\\", err);
        if (!rc)
            rc = vmscm_buf_append(buf, &c, 1, err);
    }
    return rc;
}

/* part: "a" or "o"; name: "VENDOR:PRODUCT"; update: "" is any. */
static int make_cpe(char **out, const char *part, const char *name, const char *version,
    const char *update, struct vmscm_error *err)
{
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    int rc;

    if ((rc = vmscm_buf_printf(&buf, err, "cpe:2.3:%s:%s:", part, name)) ||
        (rc = put_quoted(&buf, version, strlen(version), err)) || (rc = vmscm_buf_puts(&buf, ":", err)) ||
        (rc = put_quoted(&buf, update, strlen(update), err)) ||
        (rc = vmscm_buf_puts(&buf, ":*:*:*:*:*:*", err)))
        goto out;
    if (!(*out = vmscm_buf_steal(&buf)))
        rc = vmscm_error_nomem(err);
out:
    vmscm_buf_release(&buf);
    return rc;
}

static int windows_cpe(char **out, const json_t *system, struct vmscm_error *err)
{
    static const struct {
        const char *in, *name, *version;
    } products[] = {{"Server 2003 R2", "microsoft:windows_server_2003", "r2"},
        {"Server 2003", "microsoft:windows_server_2003", "-"},
        {"Server 2008 R2", "microsoft:windows_server_2008", "r2"},
        {"Server 2008", "microsoft:windows_server_2008", "-"},
        {"Server 2012 R2", "microsoft:windows_server_2012", "r2"},
        {"Server 2012", "microsoft:windows_server_2012", "-"},
        {"Server 2016", "microsoft:windows_server_2016", "-"},
        {"Server 2019", "microsoft:windows_server_2019", "-"},
        {"Server 2022", "microsoft:windows_server_2022", "-"},
        {"Windows XP", "microsoft:windows_xp", "-"}, {"Vista", "microsoft:windows_vista", "-"},
        {"Windows 7", "microsoft:windows_7", "-"}, {"Windows 8.1", "microsoft:windows_8.1", "-"},
        {"Windows 8", "microsoft:windows_8", "-"}, {"Windows 10", "microsoft:windows_10", "-"},
        {"Windows 11", "microsoft:windows_11", "-"}};
    const char *product = vmscm_facts_text(system, "product");
    const json_t *pack = json_object_get(system, "service_pack");
    char update[32] = "";

    if (json_integer_value(pack) > 0)
        snprintf(update, sizeof update, "sp%lld", (long long)json_integer_value(pack));
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++)
        if (strstr(product, products[i].in))
            return make_cpe(out, "o", products[i].name, products[i].version, update, err);
    return 0;
}

static int system_cpe(char **out, const json_t *system, struct vmscm_error *err)
{
    static const char *const names[][2] = {{"debian", "debian:debian_linux"},
        {"ubuntu", "canonical:ubuntu_linux"}, {"fedora", "fedoraproject:fedora"},
        {"rhel", "redhat:enterprise_linux"}, {"centos", "centos:centos"},
        {"oraclelinux", "oracle:linux"}, {"alpinelinux", "alpinelinux:alpine_linux"},
        {"sles", "suse:linux_enterprise_server"}, {"freebsd", "freebsd:freebsd"},
        {"openbsd", "openbsd:openbsd"}, {"netbsd", "netbsd:netbsd"}};
    const char *distro = vmscm_facts_text(system, "distro");

    if (strcmp(vmscm_facts_text(system, "type"), "windows") == 0)
        return windows_cpe(out, system, err);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(distro, names[i][0]) == 0)
            return make_cpe(out, "o", names[i][1], vmscm_facts_text(system, "version"), "", err);
    return 0;
}

int vmscm_purl_cpe(char **out, const json_t *system, const json_t *application,
    struct vmscm_error *err)
{
    /* Names of packages, and, with a star, what names of Windows programs begin with. */
    static const char *const names[][2] = {{"openssl", "openssl:openssl"}, {"nginx", "f5:nginx"},
        {"apache2", "apache:http_server"}, {"httpd", "apache:http_server"},
        {"openssh-server", "openbsd:openssh"}, {"openssh-client", "openbsd:openssh"},
        {"openssh", "openbsd:openssh"}, {"bash", "gnu:bash"}, {"libc6", "gnu:glibc"},
        {"glibc", "gnu:glibc"}, {"sudo", "sudo_project:sudo"}, {"curl", "haxx:curl"},
        {"systemd", "systemd_project:systemd"}, {"postfix", "postfix:postfix"},
        {"7-Zip*", "7-zip:7-zip"}, {"Oracle home*", "oracle:database_server"},
        {"Microsoft SQL Server*", "microsoft:sql_server"}};
    const char *name = vmscm_facts_text(application, "name");

    *out = NULL;
    if (!application)
        return system_cpe(out, system, err);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = strcspn(names[i][0], "*");
        if (strncmp(name, names[i][0], len) == 0 && (names[i][0][len] || !name[len]))
            return make_cpe(out, "a", names[i][1], vmscm_facts_text(application, "version"), "", err);
    }
    return 0;
}
