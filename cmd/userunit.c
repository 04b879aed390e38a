/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "userunit.h"

#include "memory.h"
#include "process.h"
#include "report.h"
#include "service.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As systemd.unit(5) and systemd.service(5) want a word: in quotes, with \, " and % doubled. $ is only
 * special in ExecStart, where $$ stands for it. NULL: it cannot be said. */
static char *quote(const char *s, bool command)
{
    char *out = memory_zero(strlen(s) * 2 + 3), *p = out;

    *p++ = '"';
    for (; *s; s++) {
        if ((unsigned char)*s < ' ') {
            free(out);
            return NULL;
        }
        if (*s == '\\' || *s == '"')
            *p++ = '\\';
        else if (*s == '%' || (*s == '$' && command))
            *p++ = *s;
        *p++ = *s;
    }
    *p = '"';
    return out;
}

/* The same where the whole line is the value: only % means something. */
static char *escape(const char *s)
{
    char *out = memory_zero(strlen(s) * 2 + 1), *p = out;

    for (; *s; s++) {
        if (*s == '%')
            *p++ = '%';
        *p++ = *s;
    }
    return out;
}

/* "vmscm-NAME", after the socket's name, with what a unit's name cannot have as _. */
static char *unit_name(const char *socket)
{
    char *name = memory_printf("vmscm-%s", strrchr(socket, '/') + 1);

    for (char *p = name; *p; p++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.", *p))
            *p = '_';
    return name;
}

/* ~/.config/systemd/user; NULL: err. */
static char *unit_dir(struct vmscm_error *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (config && config[0] == '/')
        return memory_printf("%s/systemd/user", config);
    if (home && home[0] == '/')
        return memory_printf("%s/.config/systemd/user", home);
    report_set(err, VMSCM_EIO, "HOME: not set");
    return NULL;
}

static int write_unit(const char *path, const char *text, struct vmscm_error *err)
{
    char *fresh = memory_printf("%s.new", path);
    FILE *f = fopen(fresh, "we");
    int rc = 0;

    if (!f || fputs(text, f) < 0 || fflush(f) || fsync(fileno(f)) || rename(fresh, path))
        rc = report_set(err, VMSCM_EIO, "%s: %s", path, strerror(errno));
    if (f)
        fclose(f);
    if (rc)
        unlink(fresh);
    free(fresh);
    return rc;
}

/* systemctl --user WORDS; VMSCM_ETOOL where that does not do. */
static int systemctl(struct vmscm_error *err, const char *verb, const char *flag, const char *unit)
{
    const char *argv[] = {"systemctl", "--user", "--quiet", verb, flag ? flag : unit,
        flag ? unit : NULL, NULL};
    char *path = process_find(argv[0]);
    int status;

    if (!path) {
        report_set(err, VMSCM_ETOOL, "systemctl: not installed");
        return report_hint(err, "without systemd, 'vmscm status' in a thin checkout starts the service");
    }
    free(path);
    status = process_run((char *const *)argv, true);
    if (!status)
        return 0;
    report_set(err, VMSCM_ETOOL, "systemctl --user %s: ended with status %d", verb, status);
    return report_hint(err, "is there a systemd of yours? 'systemctl --user status' tells");
}

/* Both files. */
static int write_units(const char *dir, const char *name, const char *repo, const char *socket,
    struct vmscm_error *err)
{
    char exe[4096], *unit[2] = {NULL, NULL}, *path[2];
    char *where = NULL, *program = NULL, *variable = NULL, *argument = NULL, *plain = NULL;
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    int rc = 0;

    exe[len > 0 ? len : 0] = '\0';
    path[0] = memory_printf("%s/%s.socket", dir, name);
    path[1] = memory_printf("%s/%s.service", dir, name);
    where = memory_printf("VMSCM_DIR=%s", repo);
    argument = memory_printf("--socket=%s", socket);
    char *quoted = quote(argument, true);
    program = quote(exe, true);
    variable = quote(where, false);
    plain = escape(socket);
    if (!quoted || !program || !variable) {
        rc = report_set(err, VMSCM_EUSAGE, "%s: a path with a control character in it", repo);
        goto out;
    }
    unit[0] = memory_printf("[Unit]\nDescription=vmscm: thin checkouts\n\n[Socket]\nListenStream=%s\n"
                            "SocketMode=0600\nDirectoryMode=0700\n\n[Install]\nWantedBy=sockets.target\n",
        plain);
    unit[1] = memory_printf("[Unit]\nDescription=vmscm: thin checkouts\n\n[Service]\n"
                            "ExecStart=%s service run %s\nEnvironment=%s\n", program, quoted, variable);
    for (size_t i = 0; i < 2 && !rc; i++)
        rc = write_unit(path[i], unit[i], err);
out:
    for (size_t i = 0; i < 2; i++) {
        free(unit[i]);
        free(path[i]);
    }
    free(where);
    free(argument);
    free(quoted);
    free(program);
    free(variable);
    free(plain);
    return rc;
}

int userunit_enable(const char *repo, const char *socket, struct vmscm_error *err)
{
    char *dir = unit_dir(err), *name = unit_name(socket), *unit = memory_printf("%s.socket", name);
    bool was;
    int rc = dir ? service_make_dirs(dir, 0777, err) : err->code;

    /* systemd listens instead of ours; who waits for it is then answered by that. */
    if (!rc && !(rc = write_units(dir, name, repo, socket, err)) &&
        !(rc = systemctl(err, "daemon-reload", NULL, NULL)) &&
        (!service_runs(socket, NULL) || !service_stop(socket, &was, NULL)))
        rc = systemctl(err, "enable", "--now", unit);
    free(dir);
    free(name);
    free(unit);
    return rc;
}

int userunit_disable(const char *socket, struct vmscm_error *err)
{
    static const char *const suffixes[] = {"socket", "service"};
    char *dir = unit_dir(err), *name = unit_name(socket), *unit = memory_printf("%s.socket", name);
    int rc = dir ? systemctl(err, "disable", "--now", unit) : err->code;

    for (size_t i = 0; i < 2 && !rc; i++) {
        char *path = memory_printf("%s/%s.%s", dir, name, suffixes[i]);
        if (unlink(path) < 0)
            rc = errno == ENOENT ? report_set(err, VMSCM_ENOTFOUND, "%s: not there", path)
                                 : report_set(err, VMSCM_EIO, "%s: %s", path, strerror(errno));
        free(path);
    }
    if (!rc)
        rc = systemctl(err, "daemon-reload", NULL, NULL);
    free(dir);
    free(name);
    free(unit);
    return rc;
}
