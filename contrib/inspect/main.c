/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vmscm-inspect SOCKET ID=EXPORT...: what is on the disks that an NBD server has under these names, as
 * JSON on standard output: vmscm-format-facts(5). Or with --list=PATH or --read=PATH the entries of a
 * directory or a file's bytes, with --tree all files (tree.c). The only user of libguestfs.
 *
 * What looks at the guest is a process of its own, in a process group of its own with the appliance's
 * qemu, and is ended with it when time is up: whatever a guest does to it, there is an answer.
 * Status: 0, something was found out, which may be that it cannot be inspected; 1, there is no such file,
 * or it cannot be had; 2, usage; 3, nothing can be inspected here.
 */
#include "guest.h"
#include "kvm.h"
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)16 << 20)
#define OVERLAY_MAX ((rlim_t)8 << 30) /* bytes that a guest's journals may write to the appliance's files */
#define DISKS_MAX 64
#define KVM_SECONDS 60 /* an appliance that gets up with it at all is up in a few */

struct options {
    int timeout; /* seconds */
    int memory;  /* MiB */
    const char *list, *read, *device; /* of which one is what to do, or none */
    int tree;
    int accelerate; /* try KVM */
    int up;         /* where to write a byte once the appliance is up; -1: nowhere */
    const char *socket;
    char *ids[DISKS_MAX + 1];
    const char *exports[DISKS_MAX];
};

static volatile sig_atomic_t told_to_end;

static void end(int number)
{
    told_to_end = number;
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("vmscm-inspect: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* A document with what all have. */
static json_t *new_document(const char *status, const char *why)
{
    json_t *document = facts_object();

    facts_number(document, "schema", 1);
    facts_date(document, "date", time(NULL));
    facts_text(document, "status", status);
    facts_text(document, "error", why);
    return document;
}

static int print(json_t *document)
{
    /* jansson does not look whether a key was written. */
    int rc = json_dumpf(document, stdout, JSON_COMPACT) || putchar('\n') == EOF || fflush(stdout) ||
        ferror(stdout);

    json_decref(document);
    return rc ? 3 : 0;
}

/* It cannot be inspected, or nothing of it be had. */
static int tell_failure(const struct options *o, const char *why)
{
    if (!o->list && !o->read && !o->tree)
        return print(new_document("failed", why));
    say("%s", why ? why : "out of memory");
    return 1;
}

/* Of a message that goes on with what to read; the caller's. */
static char *first_line(const char *message)
{
    char *line = message ? strdup(message) : strdup("libguestfs: cannot begin");

    if (line)
        line[strcspn(line, "\n")] = '\0';
    return line;
}

/* An appliance with the disks, or with none; NULL, and *why is the caller's. */
static guestfs_h *launch(const struct options *o, int emulate, int with_disks, char **why)
{
    guestfs_h *g = guestfs_create_flags(GUESTFS_CREATE_NO_ENVIRONMENT);
    char server[256];
    char *const servers[] = {server, NULL};
    const char *cache = getenv("LIBGUESTFS_CACHEDIR"), *path = getenv("LIBGUESTFS_PATH");
    int bad = 0;

    *why = NULL;
    if (!g) {
        *why = strdup("libguestfs: cannot begin");
        return NULL;
    }
    guestfs_set_error_handler(g, NULL, NULL);
    snprintf(server, sizeof server, "unix:%s", o->socket);
    bad = guestfs_set_backend(g, "direct") || guestfs_set_network(g, 0) ||
        guestfs_set_memsize(g, o->memory) || guestfs_set_autosync(g, 0) ||
        guestfs_set_tmpdir(g, getenv("XDG_RUNTIME_DIR")) ||
        guestfs_set_cachedir(g, cache ? cache : "/var/tmp") ||
        (path && guestfs_set_path(g, path)) ||
        (emulate && guestfs_set_backend_setting(g, "force_tcg", "1"));
    for (size_t i = 0; with_disks && o->ids[i] && !bad; i++)
        bad = guestfs_add_drive_opts(g, o->exports[i], GUESTFS_ADD_DRIVE_OPTS_READONLY, 1,
            GUESTFS_ADD_DRIVE_OPTS_FORMAT, "raw", GUESTFS_ADD_DRIVE_OPTS_PROTOCOL, "nbd",
            GUESTFS_ADD_DRIVE_OPTS_SERVER, servers, -1);
    /* Without a disk there is nothing to launch. */
    if (!with_disks && !bad)
        bad = guestfs_add_drive_scratch(g, 1 << 20, -1);
    if (!bad && !guestfs_launch(g))
        return g;
    *why = first_line(guestfs_last_error(g));
    guestfs_close(g);
    return NULL;
}

/* KVM may be there and not work, so what is tried is what tells. */
static guestfs_h *start(const struct options *o, const char **accelerator, int *status)
{
    char *why = NULL;
    guestfs_h *g = NULL;

    *accelerator = "kvm";
    if (o->accelerate && !(g = launch(o, 0, 1, &why)))
        free(why);
    /* Nothing is left to hurry for, whichever it is. */
    if (o->up >= 0 && write(o->up, "", 1) != 1)
        say("%s", strerror(errno));
    if (g)
        return g;
    *accelerator = "tcg";
    if ((g = launch(o, 1, 1, &why)))
        return g;
    /* Is it the disks? */
    char *without = NULL;
    guestfs_h *empty = launch(o, 1, 0, &without);
    if (empty) {
        guestfs_close(empty);
        char *text = NULL;
        if (asprintf(&text, "the appliance does not start with these disks: %s", why) < 0)
            text = NULL;
        *status = tell_failure(o, text ? text : why);
        free(text);
    } else {
        say("the appliance does not start: %s", without);
        *status = 3;
    }
    free(without);
    free(why);
    return NULL;
}

static int have_file(const struct options *o, const struct guest *guest)
{
    char *why = NULL;
    int status = o->tree ? tree_tell(guest, o->device, &why)
        : o->list        ? files_list(guest, o->list, o->device, &why)
                         : files_read(guest, o->read, o->device, &why);

    if (status)
        status = tell_failure(o, why);
    free(why);
    guestfs_close(guest->g);
    return status;
}

static int inspect(const struct options *o)
{
    const char *accelerator;
    int status = 0;
    guestfs_h *g = start(o, &accelerator, &status);
    struct guest guest = {g, (char **)o->ids, NULL};
    struct guestfs_version *version;
    json_t *document, *systems;
    char tool[64];

    if (!g)
        return status;
    if (!o->device)
        guest.filesystems = guestfs_list_filesystems(g);
    if (o->list || o->read || o->tree) {
        status = have_file(o, &guest);
        guest_free_strings(guest.filesystems);
        return status;
    }
    document = new_document("ok", NULL);
    if ((version = guestfs_version(g))) {
        snprintf(tool, sizeof tool, "libguestfs %d.%d.%d", (int)version->major,
            (int)version->minor, (int)version->release);
        facts_text(document, "tool", tool);
        guestfs_free_version(version);
    }
    facts_text(document, "accelerator", accelerator);
    storage_read(&guest, document);
    systems = facts_list();
    char **roots = guestfs_inspect_os(g);
    if (!roots) {
        json_decref(document);
        json_decref(systems);
        char *why = first_line(guestfs_last_error(g));
        status = tell_failure(o, why);
        free(why);
    } else {
        for (size_t i = 0; roots[i]; i++) {
            char *root = guest_mountable(&guest, roots[i]);
            facts_add(systems, system_read(&guest, root));
            free(root);
        }
        facts_put(document, "systems", systems);
        status = print(document);
    }
    guest_free_strings(roots);
    guest_free_strings(guest.filesystems);
    guestfs_close(g);
    return status;
}

/* It, and the appliance's qemu, have no network, and none of the calls that neither needs. Which files and
 * programs they need is libguestfs's and supermin's own affair: so nothing is said of these. */
static void confine(void)
{
    struct vmscm_sandbox box = VMSCM_SANDBOX_INIT;
    struct vmscm_error err = VMSCM_ERROR_INIT;
    int failed = vmscm_sandbox_prepare(&box, NULL, NULL, NULL, &err) || vmscm_sandbox_enter(&box);

    if (failed) {
        say("it cannot be confined: %s", err.message);
        exit(3);
    }
    vmscm_sandbox_release(&box);
}

/* The process that looks; *from is what it prints. */
static pid_t begin(struct options *o, int *from, int *up)
{
    struct rlimit none = {0, 0}, overlay = {OVERLAY_MAX, OVERLAY_MAX};
    pid_t parent = getpid(), pid;
    int ends[2], up_ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    if (pipe2(up_ends, O_CLOEXEC) < 0) {
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    o->up = up_ends[1];
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(ends[1], STDOUT_FILENO) < 0)
            _exit(3);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        confine();
        setrlimit(RLIMIT_CORE, &none);
        setrlimit(RLIMIT_FSIZE, &overlay);
        exit(inspect(o));
    }
    close(ends[1]);
    close(up_ends[1]);
    *from = ends[0];
    *up = up_ends[0];
    if (pid > 0) {
        setpgid(pid, pid);
    } else {
        close(ends[0]);
        close(up_ends[0]);
    }
    return pid;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int pass_on(const char *bytes, size_t size)
{
    return fwrite(bytes, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : -1;
}

static const char too_long[] = "it took too long", not_up[] = "KVM does not get up";

/* What it prints, till it closes that: 0, or why no more is waited for. With through, as it comes. */
static const char *collect(const struct options *o, int from, int up, char **answer, size_t *len)
{
    int64_t until = now_ms() + (int64_t)o->timeout * 1000;
    int64_t up_until = now_ms() + (int64_t)KVM_SECONDS * 1000;
    struct pollfd poll_on[2] = {{from, POLLIN, 0}, {up, POLLIN, 0}};
    int through = o->read || o->tree;
    size_t room = 0;

    for (;;) {
        int64_t left = until - now_ms();
        if (told_to_end)
            return "interrupted";
        if (left <= 0)
            return too_long;
        if (o->accelerate && poll_on[1].fd >= 0 && now_ms() > up_until)
            return not_up;
        if (poll(poll_on, 2, left > 1000 ? 1000 : (int)left) <= 0)
            continue;
        /* A negative descriptor is passed over. */
        if (poll_on[1].revents)
            poll_on[1].fd = -1;
        if (!poll_on[0].revents)
            continue;
        if (*len == room) {
            room = room ? room * 2 : 65536;
            char *more = room > ANSWER_MAX ? NULL : realloc(*answer, room);
            if (!more)
                return "there is too much to say of it";
            *answer = more;
        }
        ssize_t n = read(from, *answer + *len, room - *len);
        if (n == 0 || (n < 0 && errno != EINTR))
            return NULL;
        *len += n > 0 ? (size_t)n : 0;
        if (through && n > 0) {
            if (pass_on(*answer, *len))
                return "cannot write";
            *len = 0;
        }
    }
}

static int supervise(struct options *o)
{
    char *answer = NULL, text[128];
    size_t len = 0;
    int from, up, state = 0, status;
    pid_t pid = begin(o, &from, &up);
    const char *why;
    siginfo_t info;

    if (pid < 0) {
        say("cannot begin: %s", strerror(errno));
        return 3;
    }
    why = collect(o, from, up, &answer, &len);
    if (why)
        kill(-pid, SIGKILL);
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    /* The appliance, if it was left; while the process is not reaped, the group is this one. */
    kill(-pid, SIGKILL);
    waitpid(pid, &state, 0);
    close(from);
    close(up);
    if (why == not_up && !told_to_end) {
        /* Its processor never leaves the kernel, as where KVM is within what is none: that stays so. */
        free(answer);
        kvm_note();
        o->accelerate = 0;
        return supervise(o);
    }
    if (told_to_end) {
        status = 128 + (int)told_to_end;
    } else if (why) {
        snprintf(text, sizeof text, why != too_long ? "%s" : "%s: over %d seconds",
            why, o->timeout);
        status = tell_failure(o, text);
    } else if (WIFSIGNALED(state)) {
        snprintf(text, sizeof text, "inspection was ended by signal %d", WTERMSIG(state));
        status = tell_failure(o, text);
    } else if ((status = WEXITSTATUS(state)) == 0) {
        status = pass_on(answer, len) ? 3 : 0;
    }
    free(answer);
    return status;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    remove(path);
    return 0;
}

/* For sockets and overlays; its name is short, as a socket's must be. */
static int make_private(char *dir, size_t size)
{
    const char *places[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (!places[i] || places[i][0] != '/' || strlen(places[i]) > 60)
            continue;
        snprintf(dir, size, "%s/vmscm-XXXXXX", places[i]);
        if (mkdtemp(dir))
            return 0;
    }
    say("no private directory: %s", strerror(errno));
    return -1;
}

static int usage(void)
{
    fputs("usage: vmscm-inspect [--timeout=SECONDS] [--memory=MIB] [--list=PATH|--read=PATH|--tree]"
          " [--device=DEVICE] SOCKET ID=EXPORT...\n", stderr);
    return 2;
}

static int parse(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {{"timeout", required_argument, NULL, 't'},
        {"memory", required_argument, NULL, 'm'}, {"list", required_argument, NULL, 'l'},
        {"read", required_argument, NULL, 'r'}, {"device", required_argument, NULL, 'd'},
        {"tree", no_argument, NULL, 'T'}, {NULL, 0, NULL, 0}};
    int letter;

    while ((letter = getopt_long(argc, argv, "", table, NULL)) != -1) {
        char *rest = NULL;
        if (letter == 'T') {
            o->tree = 1;
            continue;
        }
        if (letter == 'l' || letter == 'r' || letter == 'd') {
            *(letter == 'l' ? &o->list : letter == 'r' ? &o->read : &o->device) = optarg;
            continue;
        }
        long value = optarg ? strtol(optarg, &rest, 10) : 0;
        if (letter == '?' || value < 1 || value > 86400 || *rest)
            return -1;
        *(letter == 't' ? &o->timeout : &o->memory) = (int)value;
    }
    if (o->tree && (o->list || o->read))
        return -1;
    if ((o->list && (o->read || *o->list != '/')) || (o->read && *o->read != '/'))
        return -1;
    if (argc - optind < 2 || argc - optind > DISKS_MAX + 1 || strlen(argv[optind]) > 200)
        return -1;
    o->socket = argv[optind];
    for (int i = optind + 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return -1;
        *equals = '\0';
        o->ids[i - optind - 1] = argv[i];
        o->exports[i - optind - 1] = equals + 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.timeout = 1200, .memory = 1024};
    struct sigaction action = {.sa_handler = end};
    char dir[128];
    int status;

    if (parse(&o, argc, argv))
        return usage();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    if (make_private(dir, sizeof dir))
        return 3;
    setenv("XDG_RUNTIME_DIR", dir, 1);
    o.accelerate = kvm_is_worth_it();
    status = supervise(&o);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
