/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "export.h"

#include "installed.h"
#include "interrupt.h"
#include "memory.h"
#include "report.h"
#include "storaged.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmscm/trace.h>

#define PLUGIN "nbdkit-vmscm-plugin.so"
#define ARGS 32
#define TRACE "trace"
#define TRACE_MAX ((size_t)4 << 20)

struct export {
    struct child server;
    char *dir;    /* private */
    char *socket; /* NULL: TCP */
    char *authority; /* HOST:PORT */
    bool tls;
};

char *export_private_dir(struct vmscm_error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *places[] = {runtime, getenv("TMPDIR"), "/tmp"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        /* A socket in it must fit a sockaddr_un. */
        if (!places[i] || places[i][0] != '/' || strlen(places[i]) > 70)
            continue;
        char *dir = memory_printf("%s/vmscm-XXXXXX", places[i]);
        if (mkdtemp(dir))
            return dir;
        free(dir);
    }
    report_set(err, VMSCM_EIO, "/tmp: no directory can be made in it: %s", strerror(errno));
    return NULL;
}

int export_check_socket(const char *path, struct vmscm_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    int fd, rc;

    if (strlen(path) >= sizeof addr.sun_path) {
        report_set(err, VMSCM_EUSAGE, "%s: too long a path for a socket", path);
        return report_hint(err, "at most %zu bytes", sizeof addr.sun_path - 1);
    }
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : report_set(err, VMSCM_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return report_set(err, VMSCM_EEXIST, "%s: is there already, and no socket", path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
        return report_set(err, VMSCM_EIO, "%s: %s", path, strerror(errno));
    rc = connect(fd, (struct sockaddr *)&addr, sizeof addr) ? errno : 0;
    close(fd);
    if (rc != ECONNREFUSED)
        return report_set(err, VMSCM_EBUSY, "%s: %s", path,
            rc && rc != EAGAIN ? strerror(rc) : "something listens there already");
    /* Left by one that was killed. */
    if (unlink(path) < 0)
        return report_set(err, VMSCM_EIO, "%s: %s", path, strerror(errno));
    return 0;
}

char *export_plugin(void)
{
    char *path = installed_find(PLUGIN, VMSCM_PLUGIN_DIR);

    /* Else wherever nbdkit looks. */
    return path ? path : memory_dup("vmscm");
}

struct words {
    const char *items[ARGS];
    size_t len;
    char *own[ARGS];
    size_t own_len;
};

static void add(struct words *w, const char *word)
{
    if (w->len < ARGS - 1)
        w->items[w->len++] = word;
}

/* As add, of a string that is freed with the list. */
static void add_own(struct words *w, char *word)
{
    if (w->own_len < ARGS)
        w->own[w->own_len++] = word;
    add(w, word);
}

static void add_listen(struct words *w, const struct export *x, const struct export_options *o)
{
    if (x->socket) {
        add(w, "-U");
        add(w, x->socket);
    } else {
        add_own(w, memory_printf("--port=%u", o->port));
        add_own(w, memory_printf("--ipaddr=%s", o->listen ? o->listen : "127.0.0.1"));
    }
    if (o->tls || o->tls_psk)
        add(w, "--tls=require");
    if (o->tls)
        add_own(w, memory_printf("--tls-certificates=%s", o->tls));
    if (o->tls_psk)
        add_own(w, memory_printf("--tls-psk=%s", o->tls_psk));
    if (o->tls_verify)
        add(w, "--tls-verify-peer");
}

static int start_writable(struct export *x, struct vmscm_revision *rev,
    const struct export_options *o, const char *pidfile, struct vmscm_error *err)
{
    const struct storaged daemon = {x->socket, x->dir, pidfile, o};
    const struct vmscm_machine *machine;
    struct qemuargs args = {0};
    int rc = vmscm_revision_machine(&machine, rev, err);

    if (!rc && !(rc = storaged_args(&args, machine, &daemon, err)))
        rc = child_start(&x->server, (const char *const *)args.items, CHILD_NULL,
            "qemu-system-common", err);
    x->server.name = "qemu-storage-daemon";
    qemuargs_release(&args);
    return rc;
}

static int start(struct export *x, struct ctx *ctx, struct vmscm_revision *rev,
    const struct export_options *o, const char *pidfile, struct vmscm_error *err)
{
    struct words w = {.len = 0};
    int rc;

    add(&w, "nbdkit");
    add(&w, "--foreground");
    add(&w, "--exit-with-parent");
    add(&w, "--readonly");
    add(&w, "--pidfile");
    add(&w, pidfile);
    add_listen(&w, x, o);
    add_own(&w, export_plugin());
    add_own(&w, memory_printf("repo=%s", vmscm_repo_path(ctx->repo)));
    add_own(&w, memory_printf("rev=%s", vmscm_revision_id(rev)));
    if (o->disk)
        add_own(&w, memory_printf("disk=%s", o->disk));
    if (o->cache_size)
        add_own(&w, memory_printf("cache-size=%s", o->cache_size));
    if (o->record)
        add_own(&w, memory_printf("record=%s/" TRACE, x->dir));
    if (o->boot)
        add(&w, "trace=always");
    rc = child_start(&x->server, w.items, CHILD_NULL, "nbdkit", err);
    for (size_t i = 0; i < w.own_len; i++)
        free(w.own[i]);
    return rc;
}

/* The server writes its id once it listens. */
static int wait_ready(struct export *x, const char *pidfile, struct vmscm_error *err)
{
    while (access(pidfile, F_OK) < 0) {
        if (!child_alive(&x->server, false)) {
            child_failed(&x->server, err);
            if (strstr(x->server.last, "cannot open") || strstr(x->server.last, "not found"))
                report_hint(err, "is " PLUGIN " installed? It is built where nbdkit-plugin-dev is");
            return VMSCM_ETOOL;
        }
        if (interrupt_pending())
            return report_set(err, VMSCM_ECANCELED, "%s: interrupted", x->server.name);
        poll(NULL, 0, 5);
    }
    return 0;
}

int export_start(struct export **out, struct ctx *ctx, struct vmscm_revision *rev,
    const struct export_options *o, struct vmscm_error *err)
{
    struct export *x = memory_zero(sizeof *x);
    char *pidfile = NULL;
    int rc;

    x->server = (struct child)CHILD_INIT;
    x->tls = o->tls || o->tls_psk;
    if (o->socket && (rc = export_check_socket(o->socket, err)))
        goto out;
    if (!(x->dir = export_private_dir(err))) {
        rc = VMSCM_EIO;
        goto out;
    }
    if (o->port)
        x->authority = memory_printf(strchr(o->listen ? o->listen : "", ':') ? "[%s]:%u" : "%s:%u",
            o->listen ? o->listen : "127.0.0.1", o->port);
    else
        x->socket = o->socket ? memory_dup(o->socket) : memory_printf("%s/nbd", x->dir);
    pidfile = memory_printf("%s/pid", x->dir);
    rc = o->writable ? start_writable(x, rev, o, pidfile, err)
                     : start(x, ctx, rev, o, pidfile, err);
    if (!rc)
        rc = wait_ready(x, pidfile, err);
out:
    free(pidfile);
    if (rc)
        export_stop(x);
    else
        *out = x;
    return rc;
}

static void remove_in(const char *dir, const char *name)
{
    char *path = memory_printf("%s/%s", dir, name);

    unlink(path);
    free(path);
}

int export_record(struct export *x, struct vmscm_revision *rev, struct vmscm_error *err)
{
    char *path = memory_printf("%s/" TRACE, x->dir), *text = memory_zero(TRACE_MAX);
    ssize_t n = -1;
    int fd, rc;

    child_stop(&x->server, true);
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        n = read(fd, text, TRACE_MAX - 1);
        close(fd);
    }
    rc = n > 0 ? vmscm_trace_record(rev, text, err)
               : report_set(err, VMSCM_ENOTFOUND, "--record: nothing was read");
    free(text);
    free(path);
    return rc;
}

void export_stop(struct export *x)
{
    if (!x)
        return;
    child_stop(&x->server, false);
    if (x->server.ended && x->socket)
        unlink(x->socket);
    if (x->dir) {
        remove_in(x->dir, "pid");
        remove_in(x->dir, "nbd");
        remove_in(x->dir, TRACE);
        storaged_clean(x->dir);
        rmdir(x->dir);
    }
    free(x->dir);
    free(x->socket);
    free(x->authority);
    free(x);
}

int export_check(struct export *x, struct vmscm_error *err)
{
    return child_alive(&x->server, true) ? 0 : child_failed(&x->server, err);
}

/* What may stand in a URI as it is, and %XX of all else. */
static char *encode(const char *s)
{
    char *out = memory_zero(strlen(s) * 3 + 1), *p = out;

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            strchr("-._~/", c))
            *p++ = *s;
        else
            p += snprintf(p, 4, "%%%02X", c);
    }
    return out;
}

char *export_uri(const struct export *x, const char *disk)
{
    char *cwd = x->socket && x->socket[0] != '/' ? getcwd(NULL, 0) : NULL;
    char *full = cwd ? memory_printf("%s/%s", cwd, x->socket) : NULL;
    char *name = encode(disk), *path = x->socket ? encode(full ? full : x->socket) : NULL;
    char *uri = path ? memory_printf("nbd%s+unix:///%s?socket=%s", x->tls ? "s" : "", name, path)
                     : memory_printf("nbd%s://%s/%s", x->tls ? "s" : "", x->authority, name);

    free(cwd);
    free(full);
    free(name);
    free(path);
    return uri;
}

const char *export_socket(const struct export *x)
{
    return x->socket;
}
