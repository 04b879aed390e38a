/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "service.h"

#include "child.h"
#include "export.h"
#include "interrupt.h"
#include "memory.h"
#include "process.h"
#include "report.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_MAX (1 << 20)   /* bytes, when it is begun anew */
#define BACKLOG 64
#define STOP_TENTHS 100
#define EARLY 2             /* seconds: an nbdkit that dies before failed to start */
#define EARLY_MAX 3         /* of these in a row, and it is given up */
#define PASSED 3            /* descriptor that systemd passes */

static int fail(struct vmscm_error *err, const char *path)
{
    return report_set(err, VMSCM_EIO, "%s: %s", path, strerror(errno));
}

/* FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t hash(const char *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h;
}

int service_make_dirs(char *path, mode_t mode, struct vmscm_error *err)
{
    for (char *slash = path; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        int rc = mkdir(path, mode) < 0 && errno != EEXIST ? fail(err, path) : 0;
        *slash = '/';
        if (rc)
            return rc;
    }
    return mkdir(path, mode) < 0 && errno != EEXIST ? fail(err, path) : 0;
}

char *service_socket(const char *repo, struct vmscm_error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"), *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    char *dir = NULL, *socket = NULL;
    struct stat st;

    if (runtime && runtime[0] == '/')
        dir = memory_printf("%s/vmscm", runtime);
    else if (state && state[0] == '/')
        dir = memory_printf("%s/vmscm", state);
    else if (home && home[0] == '/')
        dir = memory_printf("%s/.local/state/vmscm", home);
    if (!dir) {
        report_set(err, VMSCM_EIO, "HOME: not set, so there is no place for a socket");
        return NULL;
    }
    if (service_make_dirs(dir, 0700, err))
        goto out;
    if (stat(dir, &st) < 0)
        fail(err, dir);
    else if (st.st_uid != geteuid() || (st.st_mode & 022))
        report_set(err, VMSCM_EREFUSED, "%s: others can write there", dir);
    else
        socket = memory_printf("%s/%016llx", dir, (unsigned long long)hash(repo));
out:
    free(dir);
    return socket;
}

static char *beside(const char *socket, const char *suffix)
{
    return memory_printf("%s.%s", socket, suffix);
}

/* Whether a connection is taken. */
static bool answers(const char *socket_path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd, rc;

    if (strlen(socket_path) >= sizeof addr.sun_path ||
        (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
        return false;
    memcpy(addr.sun_path, socket_path, strlen(socket_path) + 1);
    rc = connect(fd, (struct sockaddr *)&addr, sizeof addr);
    close(fd);
    return rc == 0 || errno == EAGAIN;
}

/* What a lock says. */
struct holder {
    pid_t pid;  /* 0: it does not say */
    char *repo; /* the path that it was started with, ours to free; or NULL */
    unsigned long long device, inode; /* of that directory; 0: it does not say */
};

/* Whether somebody holds the lock; who (may be NULL) is filled in then. */
static bool read_lock(const char *socket, struct holder *who)
{
    char *path = beside(socket, "lock"), text[4300];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool held = false;
    ssize_t n;

    free(path);
    if (who)
        *who = (struct holder){0};
    if (fd < 0)
        return false;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        held = true;
        if (who && (n = read(fd, text, sizeof text - 1)) > 0) {
            text[n] = '\0';
            char *space = strchr(text, ' '), *end = strchr(text, '\n');
            long id = strtol(text, NULL, 10);
            if (space && end && id > 1) {
                who->pid = (pid_t)id;
                *end = '\0';
                who->repo = memory_dup(space + 1);
                who->device = strtoull(end + 1, &end, 10);
                who->inode = strtoull(end, NULL, 10);
            }
        }
    }
    close(fd);
    return held;
}

bool service_runs(const char *socket, pid_t *pid)
{
    struct holder holder;
    bool held = read_lock(socket, &holder);

    free(holder.repo);
    if (pid)
        *pid = holder.pid;
    /* systemd may listen while nothing of ours runs. */
    return held || answers(socket);
}

/* Whether it is this repository that is served there, perhaps by the path that it had before it was moved. */
static bool serves(const char *socket, const char *repo)
{
    struct holder holder;
    struct stat st;
    bool same = false;

    if (read_lock(socket, &holder) && holder.repo)
        same = strcmp(holder.repo, repo) == 0 ||
            (holder.inode && stat(repo, &st) == 0 && st.st_ino == holder.inode &&
                st.st_dev == holder.device);
    free(holder.repo);
    return same;
}

char *service_find(const char *repo, const char *socket)
{
    char *dir = memory_printf("%.*s", (int)(strrchr(socket, '/') - socket), socket), *found = NULL;
    DIR *d = opendir(dir);

    for (struct dirent *entry; d && !found && (entry = readdir(d));) {
        size_t len = strlen(entry->d_name);
        if (len <= 5 || strcmp(entry->d_name + len - 5, ".lock") != 0)
            continue;
        found = memory_printf("%s/%.*s", dir, (int)(len - 5), entry->d_name);
        if (!serves(found, repo)) {
            free(found);
            found = NULL;
        }
    }
    if (d)
        closedir(d);
    free(dir);
    return found;
}

/* *fd: the lock, which says who we are. */
static int take_lock(int *fd, const char *socket, const char *repo, struct vmscm_error *err)
{
    char *path = beside(socket, "lock"), *text = NULL;
    struct stat st = {0};
    int rc = 0;

    if ((*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
        rc = fail(err, path);
    } else if (flock(*fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK ? report_set(err, VMSCM_EBUSY, "%s: is served already", socket)
                                  : fail(err, path);
    } else {
        if (stat(repo, &st) < 0)
            rc = fail(err, repo);
        /* What it is, too: it may be moved while it is served. */
        text = memory_printf("%ld %s\n%llu %llu\n", (long)getpid(), repo, (unsigned long long)st.st_dev,
            (unsigned long long)st.st_ino);
        if (!rc && (ftruncate(*fd, 0) < 0 || write(*fd, text, strlen(text)) != (ssize_t)strlen(text)))
            rc = fail(err, path);
    }
    free(text);
    free(path);
    return rc;
}

static int listen_at(int *fd, const char *path, struct vmscm_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int rc = export_check_socket(path, err);
    mode_t mask;

    if (rc)
        return rc;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    if ((*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
        return fail(err, path);
    mask = umask(077);
    rc = bind(*fd, (struct sockaddr *)&addr, sizeof addr);
    umask(mask);
    return rc < 0 || listen(*fd, BACKLOG) < 0 ? fail(err, path) : 0;
}

/* What systemd passes; -1: nothing. */
static int passed(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    int fd = -1;

    if (pid && fds && strtol(pid, NULL, 10) == (long)getpid() && strtol(fds, NULL, 10) >= 1 &&
        fcntl(PASSED, F_SETFD, FD_CLOEXEC) == 0)
        fd = PASSED;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    return fd;
}

static bool is_waiting(int fd, int milliseconds)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, milliseconds) > 0;
}

/* Serve until nbdkit ends. */
static int serve_once(struct child *nbdkit, int fd, const char *repo, unsigned idle,
    struct vmscm_error *err)
{
    char *plugin = export_plugin(), *where = memory_printf("repo=%s", repo);
    char *limit = memory_printf("idle=%u", idle);
    const char *argv[] = {"nbdkit", "--foreground", "--readonly", plugin, where, "all=true", limit,
        NULL};
    int rc = child_start_listening(nbdkit, argv, fd, "nbdkit", err);

    while (!rc && child_alive(nbdkit, true)) {
        /* Told to end, nbdkit would answer what is asked meanwhile by errors, which guests see. One whose
         * connection is gone waits for the next server; and who only reads leaves nothing half done. */
        if (interrupt_pending())
            child_kill(nbdkit, true);
        else
            poll(NULL, 0, 50);
    }
    free(plugin);
    free(where);
    free(limit);
    return rc;
}

/* socket: that nobody can reach once it is gone; NULL: it is another's care. */
static int serve(int fd, const char *socket, const char *repo, unsigned idle,
    struct vmscm_error *err)
{
    struct child nbdkit = CHILD_INIT;
    unsigned early = 0, waited = 0;
    int rc = 0;

    while (!rc && !interrupt_pending() && (!idle || waited < idle * 10)) {
        struct timespec start, end;
        if (!is_waiting(fd, 100)) {
            if (++waited % 10 == 0 && socket && access(socket, F_OK) < 0)
                break;
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &start);
        if ((rc = serve_once(&nbdkit, fd, repo, idle, err)))
            break;
        clock_gettime(CLOCK_MONOTONIC, &end);
        early = nbdkit.status && end.tv_sec - start.tv_sec < EARLY ? early + 1 : 0;
        if (early == EARLY_MAX)
            rc = child_failed(&nbdkit, err);
        else if (nbdkit.status && !interrupt_pending())
            report_warning("nbdkit ended unasked, and is started again when it is needed");
        else if (idle && !is_waiting(fd, 0))
            break;
        waited = 0;
    }
    return rc;
}

int service_serve(struct ctx *ctx, const char *socket, unsigned idle, struct vmscm_error *err)
{
    const char *repo = vmscm_repo_path(ctx->repo);
    int fd = passed(), lock = -1, rc;
    bool own = fd < 0;

    interrupt_catch();
    if (!(rc = take_lock(&lock, socket, repo, err)) && own)
        rc = listen_at(&fd, socket, err);
    if (!rc) {
        puts(socket);
        fflush(stdout);
        /* Not to hold a file system that somebody wants to unmount. */
        if (socket[0] == '/' && repo[0] == '/' && chdir("/") < 0)
            report_warning("service: it stays where it was started");
        rc = serve(fd, own ? socket : NULL, repo, idle, err);
        /* Before the lock goes: the next one's is not ours to remove. */
        if (own)
            unlink(socket);
    }
    if (fd >= 0)
        close(fd);
    if (lock >= 0)
        close(lock);
    return rc ? rc : interrupt_pending() ? report_set(err, VMSCM_ECANCELED, "service: told to end") : 0;
}

/* What the service said last, when it would not start. */
static int tell_failure(const char *log, off_t from, struct vmscm_error *err)
{
    char text[1024], *line = NULL;
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, from) : -1;

    if (fd >= 0)
        close(fd);
    if (n > 0) {
        text[n] = '\0';
        line = strstr(text, "vmscm: ");
    }
    if (!line)
        return report_set(err, VMSCM_ETOOL, "service: it did not start: see %s", log);
    line[strcspn(line, "\n")] = '\0';
    return report_set(err, VMSCM_ETOOL, "service: %s", line + strlen("vmscm: "));
}

/* Wait for the line that it prints when it listens. */
static bool is_ready(int out)
{
    char byte;
    ssize_t n;

    do
        n = read(out, &byte, 1);
    while (n == 1 ? byte != '\n' : n < 0 && errno == EINTR);
    return n == 1;
}

static int start(const char *repo, const char *socket, struct vmscm_error *err)
{
    char *log = beside(socket, "log"), *where = memory_printf("--socket=%s", socket);
    char *argv[] = {(char *)"/proc/self/exe", (char *)"service", (char *)"run", where, NULL};
    int out = -1, said = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = 0;
    off_t from = 0;
    pid_t pid;

    if (said < 0) {
        rc = fail(err, log);
        goto out;
    }
    if ((from = lseek(said, 0, SEEK_END)) > LOG_MAX && ftruncate(said, 0) == 0)
        from = 0;
    if ((pid = process_detach(argv, "VMSCM_DIR", repo, &out, said)) < 0) {
        rc = report_set(err, VMSCM_ETOOL, "service: %s", strerror(errno));
        goto out;
    }
    if (!is_ready(out)) {
        process_wait(pid);
        /* Another one may have been quicker. */
        rc = service_runs(socket, NULL) ? 0 : tell_failure(log, from, err);
    }
out:
    if (out >= 0)
        close(out);
    if (said >= 0)
        close(said);
    free(where);
    free(log);
    return rc;
}

int service_ensure(struct ctx *ctx, const char *socket, struct vmscm_error *err)
{
    const char *repo = vmscm_repo_path(ctx->repo);
    struct holder holder;
    int rc = 0;

    if (read_lock(socket, &holder)) {
        const char *served = holder.repo;
        bool was, moved = served && strcmp(served, repo) != 0 && access(served, F_OK) < 0;
        if (moved && !(rc = service_stop(socket, &was, err))) {
            rc = start(repo, socket, err);
        } else if (served && strcmp(served, repo) != 0 && !moved) {
            report_set(err, VMSCM_EBUSY, "%s: another repository is served there, %s", socket, served);
            rc = report_hint(err, "'vmscm service stop' there ends that, process %ld", (long)holder.pid);
        }
    } else if (!answers(socket)) {
        char *dir = memory_printf("%.*s", (int)(strrchr(socket, '/') - socket), socket);
        rc = service_make_dirs(dir, 0700, err);
        free(dir);
        if (!rc)
            rc = start(repo, socket, err);
    }
    free(holder.repo);
    return rc;
}

int service_stop(const char *socket, bool *was, struct vmscm_error *err)
{
    struct holder holder, now;

    *was = read_lock(socket, &holder);
    free(holder.repo);
    if (!*was && answers(socket)) {
        report_set(err, VMSCM_EBUSY, "%s: systemd listens there, or another program", socket);
        return report_hint(err, "'systemctl --user stop' ends a unit of systemd's");
    }
    if (!*was)
        return 0;
    if (!holder.pid || kill(holder.pid, SIGTERM) < 0)
        return report_set(err, VMSCM_EIO, "%s: its process cannot be told to end", socket);
    for (int i = 0; i < STOP_TENTHS; i++) {
        bool held = read_lock(socket, &now);
        free(now.repo);
        if (!held || now.pid != holder.pid)
            return 0;
        poll(NULL, 0, 100);
    }
    return report_set(err, VMSCM_EBUSY, "%s: process %ld does not end", socket, (long)holder.pid);
}
