/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmscm run: start a revision as a machine, which leaves nothing behind unless it is to be kept. */
#include "agent.h"
#include "child.h"
#include "cmd.h"
#include "export.h"
#include "interrupt.h"
#include "keep.h"
#include "memory.h"
#include "monitor.h"
#include "process.h"
#include "qemuargs.h"
#include "report.h"
#include "text.h"
#include "waitfor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define AGENT_SECONDS 300   /* that an agent has to answer in, where nothing was said */
#define POWERDOWN_SECONDS 60 /* that a guest which is kept has to power down in */
#define CLOSE_SECONDS 20     /* that qemu has to write out what it has of such disks */
#define STUCK_LOOKS 40       /* into whether a guest goes on after KVM failed, 50 ms or more apart */

struct opts {
    unsigned cpus, memory;
    const char *bus;
    struct opt_list forwards;
    int isolate;
    const char *vnc, *spice;
    const char *kernel, *initrd, *append;
    const char *wait_for;
    unsigned timeout;
    const char *exec;
    const char *run;
    const char *keep;
    int record;
    int emulate;
    const char *cache_size;
    const char *console_log;
};

/* One run. */
struct machine {
    struct ctx *ctx;
    struct opts o;
    struct export *export;
    struct vmscm_workdir *kept; /* instead of an export */
    const struct vmscm_machine *machine; /* the revision's */
    struct child qemu;
    struct waitfor wait;
    struct agent agent;
    char *agent_path;
    int64_t end; /* when to give up */
    char *dir;
    char *forward; /* of our own, for --wait-for */
    bool terminal; /* the console is the user's terminal, by qemu itself */
    struct termios tty; /* then: as it was */
    bool emulate;  /* without KVM, which failed, or is not wanted */
    bool begun;    /* the guest has printed something */
    int looks;     /* into whether it is stuck */
    int log;
};

static char *file_of(const void *data, const char *disk)
{
    const struct machine *m = data;

    return m->kept ? keep_file(m->kept, disk) : export_uri(m->export, disk);
}

/* A port that is free now. */
static unsigned free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned port = 0;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
        port = ntohs(addr.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

/* A port that is waited for must be forwarded. */
static int find_forward(struct machine *m, struct vmscm_error *err)
{
    struct opt_list *list = &m->o.forwards;
    unsigned host, guest;
    int rc;

    for (size_t i = 0; i < list->len; i++) {
        if ((rc = qemuargs_forward(&host, &guest, list->items[i], err)))
            return rc;
        if (guest == m->wait.port)
            m->wait.host = host;
    }
    if (!m->wait.port || m->wait.host)
        return 0;
    m->wait.host = free_port();
    m->forward = memory_printf("%u:%u", m->wait.host, m->wait.port);
    const char **items = memory_grow(NULL, list->len + 1, sizeof *items);
    if (list->len)
        memcpy(items, list->items, list->len * sizeof *items);
    items[list->len++] = m->forward;
    list->items = items;
    return 0;
}

static void add_consoles(struct qemuargs *args, const struct machine *m)
{
    qemuargs_add(args, "-display");
    qemuargs_add(args, "none");
    if (m->o.vnc || m->o.spice) {
        qemuargs_add(args, "-vga");
        qemuargs_add(args, "std");
        qemuargs_add(args, m->o.vnc ? "-vnc" : "-spice");
        qemuargs_add(args, m->o.vnc ? "%s" : "addr=127.0.0.1,disable-ticketing=on,port=%s",
            m->o.vnc ? m->o.vnc : m->o.spice);
    }
    qemuargs_add(args, "-serial");
    qemuargs_add(args, m->terminal ? "mon:stdio" : "stdio");
    if (!m->terminal) {
        qemuargs_add(args, "-chardev");
        qemuargs_add(args, "socket,id=monitor,server=on,wait=off,path=%s", m->wait.monitor);
        qemuargs_add(args, "-mon");
        qemuargs_add(args, "chardev=monitor,mode=readline");
    }
    if (m->o.kernel) {
        qemuargs_add(args, "-kernel");
        qemuargs_add(args, "%s", m->o.kernel);
    }
    if (m->o.initrd) {
        qemuargs_add(args, "-initrd");
        qemuargs_add(args, "%s", m->o.initrd);
    }
    if (m->o.append) {
        qemuargs_add(args, "-append");
        qemuargs_add(args, "%s", m->o.append);
    }
}

static int start_qemu(struct machine *m, struct vmscm_error *err)
{
    struct qemuargs args = {0};
    struct qemuargs_options options = {.cpus = m->o.cpus,
        .memory = m->o.memory,
        .bus = m->o.bus,
        .dir = m->dir,
        .isolate = m->o.isolate,
        .emulate = m->emulate,
        .forwards = &m->o.forwards,
        .kept = m->kept != NULL,
        .file = file_of,
        .data = m};
    int rc = qemuargs_machine(&args, m->machine, &options, err);

    if (!rc) {
        add_consoles(&args, m);
        if (m->o.exec)
            agent_args(&args, m->agent_path);
        rc = child_start(&m->qemu, (const char *const *)args.items, m->terminal ? 0 : CHILD_OUT,
            "qemu-system-x86", err);
        m->qemu.name = "qemu-system-x86_64";
        m->qemu.bad = "KVM internal error";
    }
    qemuargs_release(&args);
    return rc;
}

/* The thin checkout of a machine that is new, or was kept before. */
static int open_kept(struct machine *m, struct vmscm_revision **rev, struct vmscm_error *err)
{
    const char *name = m->o.keep, *slash = strrchr(name, '/'), *dir = slash ? slash + 1 : name;
    const char *machine = vmscm_revision_machine_name(*rev);
    struct vmscm_revision *copy = NULL;
    char tip[VMSCM_ID_HEX + 1];
    bool fresh = false;
    int rc;

    if (!vmscm_revision_name_check(name, err))
        return err->code;
    if (!machine || strcmp(machine, name) != 0) {
        rc = vmscm_revision_clone(*rev, name, err);
        fresh = !rc;
        if (rc == VMSCM_EEXIST)
            report_hint(err, "'vmscm run --keep=%s %s' goes on with that one", name, name);
        if (rc || (rc = vmscm_revision_resolve(&copy, m->ctx->repo, name, err)))
            return rc;
    }
    rc = keep_open(&m->kept, m->ctx, copy ? copy : *rev, dir, err);
    if (!rc && strcmp(vmscm_workdir_machine(m->kept), name) != 0)
        rc = report_set(err, VMSCM_EREFUSED, "%s: a checkout of another machine, %s", dir,
            vmscm_workdir_machine(m->kept));
    if (rc && fresh)
        vmscm_revision_remove(tip, m->ctx->repo, name, NULL);
    if (rc || !copy) {
        vmscm_revision_free(copy);
    } else {
        vmscm_revision_free(*rev);
        *rev = copy;
    }
    return rc;
}

static int start(struct machine *m, struct vmscm_revision **which, struct vmscm_error *err)
{
    struct vmscm_revision *rev = *which;
    const struct export_options export = {
        .cache_size = m->o.cache_size, .boot = 1, .record = m->o.record};
    int rc;

    if ((rc = vmscm_revision_check_disks(rev, err)) ||
        (rc = vmscm_revision_machine(&m->machine, rev, err)))
        return rc;
    if (!m->machine->disk_count)
        return report_set(err, VMSCM_ENOTFOUND, "%.12s: a machine without disks: nothing to start",
            vmscm_revision_id(rev));
    if (!(m->dir = export_private_dir(err)))
        return VMSCM_EIO;
    m->wait.monitor = memory_printf("%s/monitor", m->dir);
    m->agent_path = memory_printf("%s/agent", m->dir);
    agent_init(&m->agent, m->agent_path, m->o.exec);
    if ((rc = find_forward(m, err)))
        return rc;
    rc = m->o.keep ? open_kept(m, which, err)
                   : export_start(&m->export, m->ctx, rev, &export, err);
    if (!rc)
        rc = vmscm_revision_machine(&m->machine, *which, err);
    return rc ? rc : start_qemu(m, err);
}

/* qemu takes another accelerator by itself where KVM is not to be had, but where it is and does not work,
 * as in some nested machines, it aborts, or leaves the guest standing still. */
static bool kvm_failed(const struct machine *m)
{
    return !m->emulate && !m->begun && access(QEMUARGS_KVM, R_OK | W_OK) == 0 &&
        (m->qemu.noticed || m->qemu.status == 128 + SIGABRT || strcasestr(m->qemu.last, "kvm"));
}

static int start_again(struct machine *m, struct vmscm_error *err)
{
    report_warning("KVM does not work here: the guest is emulated, which is slow");
    if (m->terminal)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &m->tty);
    if (m->qemu.out >= 0)
        close(m->qemu.out);
    m->qemu = (struct child)CHILD_INIT;
    m->emulate = true;
    return start_qemu(m, err);
}

/* qemu says that KVM failed before the guest stands still; or it goes on, where it was a program in the
 * guest that KVM could not run. */
static bool is_stuck(struct machine *m)
{
    if (!m->qemu.noticed)
        return false;
    /* The monitor takes one at a time. */
    waitfor_release(&m->wait);
    if (monitor_is_stuck(m->wait.monitor))
        return true;
    if (++m->looks == STUCK_LOOKS) {
        m->looks = 0;
        m->qemu.noticed = false;
    }
    return false;
}

/* The console's bytes to whoever wants them. */
static void relay(struct machine *m)
{
    char buf[4096];
    ssize_t n;

    while (m->qemu.out >= 0 && (n = read(m->qemu.out, buf, sizeof buf)) > 0) {
        m->begun = true;
        waitfor_console(&m->wait, buf, (size_t)n);
        if (m->log >= 0 && write(m->log, buf, (size_t)n) != n) {
            close(m->log);
            m->log = -1;
            report_warning("the console's log cannot be written to any more");
        }
        if (m->log < 0 && !m->ctx->common.quiet && !m->o.exec) {
            fwrite(buf, 1, (size_t)n, stdout);
            fflush(stdout);
        }
    }
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One look at all: 0 it goes on, 1 it has ended, or a failure. */
static int look(struct machine *m, struct vmscm_error *err)
{
    struct pollfd p = {m->qemu.out, POLLIN, 0};
    bool stuck;

    poll(&p, m->qemu.out >= 0 ? 1 : 0, 50);
    if (interrupt_pending())
        return report_set(err, VMSCM_ECANCELED, "run: interrupted");
    if ((stuck = is_stuck(m)))
        child_stop(&m->qemu, false);
    if (!child_alive(&m->qemu, true)) {
        relay(m);
        /* Told to end it ends well. */
        bool failed = stuck || m->qemu.status;
        if (failed && kvm_failed(m))
            return start_again(m, err);
        if (!failed)
            return 1;
        child_failed(&m->qemu, err);
        return stuck ? report_hint(err, "with --emulate it does without KVM, which is slow") : VMSCM_ETOOL;
    }
    relay(m);
    if (p.revents & POLLHUP)
        poll(NULL, 0, 50);
    return m->export ? export_check(m->export, err) : 0;
}

/* The user's command, once the guest is there; its status. */
static int run_command(struct machine *m, struct vmscm_error *err)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)m->o.run, NULL};
    char *port = memory_printf("%u", m->wait.host);
    int status = 0, rc = 0;
    pid_t pid, got;

    if (m->wait.host)
        setenv("port", port, 1);
    free(port);
    if ((pid = process_start(argv, -1, false)) < 0)
        return report_set(err, VMSCM_ETOOL, "sh: %s", strerror(errno));
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 || (got < 0 && errno == EINTR))
        if (rc)
            poll(NULL, 0, 50);
        else if ((rc = look(m, err)) < 0)
            kill(pid, SIGTERM);
    return rc < 0 ? rc : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The command in the guest; its status. */
static int exec_command(struct machine *m, struct vmscm_error *err)
{
    int64_t agent = m->o.timeout ? m->end : now_ms() + AGENT_SECONDS * 1000;
    unsigned seconds = m->o.timeout ? m->o.timeout : AGENT_SECONDS;
    int rc;

    while (m->agent.state != AGENT_DONE) {
        if ((rc = look(m, err)) < 0)
            return rc;
        if (rc > 0)
            return report_set(err, VMSCM_ENOTFOUND, "--exec: the guest ended before the command");
        if ((rc = agent_poll(&m->agent, now_ms(), err)))
            return rc;
        if (m->agent.state < AGENT_STARTS && now_ms() >= agent) {
            report_set(err, VMSCM_ENOTFOUND, "guest agent: no answer after %u seconds", seconds);
            return report_hint(err, "qemu-guest-agent must be installed in the guest, and start with it");
        }
        if (m->agent.state != AGENT_DONE && now_ms() >= m->end)
            return report_set(err, VMSCM_ENOTFOUND, "--exec: still runs after %u seconds", seconds);
    }
    return m->agent.status;
}

/* So that what the guest has not written yet is on its disks. */
static void power_down(struct machine *m)
{
    int64_t end = now_ms() + POWERDOWN_SECONDS * 1000;
    bool asked;

    waitfor_release(&m->wait);
    asked = monitor_powerdown(m->wait.monitor);
    while (asked && now_ms() < end) {
        int rc = look(m, NULL);
        if (rc > 0)
            return;
        if (rc < 0)
            break;
    }
    report_warning("the guest did not power down: its disks are as after a power cut");
}

/* Until what is waited for is there, the guest ends, or time is over. */
static int wait_for(struct machine *m, struct vmscm_error *err)
{
    bool waits = m->wait.text || m->wait.port;
    int64_t next = 0;
    int rc;

    while (!m->wait.met) {
        if ((rc = look(m, err)) < 0)
            return rc;
        if (rc > 0 && waits && !m->wait.met)
            return report_set(err, VMSCM_ENOTFOUND, "%s: the guest ended before it came",
                m->o.wait_for);
        if (rc > 0)
            return 0;
        if (now_ms() >= next) {
            waitfor_poll(&m->wait);
            next = now_ms() + 300;
        }
        if (now_ms() >= m->end && !m->wait.met)
            return waits ? report_set(err, VMSCM_ENOTFOUND, "%s: not there after %u seconds",
                               m->o.wait_for, m->o.timeout)
                         : report_set(err, VMSCM_ENOTFOUND, "the guest: still runs after %u seconds",
                               m->o.timeout);
    }
    return 0;
}

/* The exit status, or a failure. */
static int serve(struct machine *m, struct vmscm_revision *rev, struct vmscm_error *err)
{
    int rc = 0, kept = 0;

    m->end = m->o.timeout ? now_ms() + (int64_t)m->o.timeout * 1000 : INT64_MAX;
    if (m->o.wait_for || !m->o.exec)
        rc = wait_for(m, err);
    if (!rc && m->o.exec)
        rc = exec_command(m, err);
    if (!rc && m->o.run)
        rc = run_command(m, err);
    if (rc >= 0 && m->kept && m->qemu.pid)
        power_down(m);
    if (rc >= 0 && m->o.record) {
        child_stop(&m->qemu, false);
        kept = export_record(m->export, rev, err);
    }
    return kept ? kept : rc;
}

static void remove_in(const char *dir, const char *name)
{
    char *path = memory_printf("%s/%s", dir, name);

    unlink(path);
    free(path);
}

static void stop(struct machine *m)
{
    if (m->kept && m->qemu.pid && child_alive(&m->qemu, false)) {
        kill(m->qemu.pid, SIGTERM);
        for (int i = 0; i < CLOSE_SECONDS * 20 && child_alive(&m->qemu, false); i++)
            poll(NULL, 0, 50);
    }
    child_stop(&m->qemu, false);
    if (m->terminal && m->machine)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &m->tty);
    if (m->qemu.out >= 0)
        close(m->qemu.out);
    export_stop(m->export);
    waitfor_release(&m->wait);
    agent_release(&m->agent);
    vmscm_workdir_close(m->kept);
    if (m->log >= 0)
        close(m->log);
    if (m->dir) {
        remove_in(m->dir, "monitor");
        remove_in(m->dir, "agent");
        remove_in(m->dir, "vars");
        rmdir(m->dir);
    }
    if (m->forward)
        free(m->o.forwards.items);
    free(m->forward);
    free((char *)m->wait.monitor);
    free(m->agent_path);
    free(m->dir);
}

static int run(struct ctx *ctx, const void *values, int argc, char **argv, struct vmscm_error *err)
{
    struct machine m = {.ctx = ctx, .o = *(const struct opts *)values, .log = -1};
    struct vmscm_revision *rev = NULL;
    int rc = waitfor_parse(&m.wait, m.o.wait_for, err);

    (void)argc;
    m.qemu = (struct child)CHILD_INIT;
    m.emulate = m.o.emulate;
    if (rc)
        return rc;
    agent_init(&m.agent, NULL, NULL);
    if (m.o.run && !m.o.wait_for && !m.o.exec)
        return report_set(err, VMSCM_EUSAGE, "--run: only with --wait-for or --exec");
    if (m.o.keep && (m.o.cache_size || m.o.record))
        return report_set(err, VMSCM_EUSAGE, "--%s: not with --keep",
            m.o.record ? "record" : "cache-size");
    if (m.o.exec && !agent_can_say(m.o.exec))
        return report_set(err, VMSCM_EUSAGE, "--exec: not UTF-8");
    if (m.o.vnc && m.o.spice)
        return report_set(err, VMSCM_EUSAGE, "--vnc and --spice: not both");
    if ((m.o.initrd || m.o.append) && !m.o.kernel)
        return report_set(err, VMSCM_EUSAGE, "--%s: only with --kernel",
            m.o.initrd ? "initrd" : "append");
    m.terminal = !m.o.wait_for && !m.o.exec && !m.o.console_log &&
        isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (m.o.console_log && (m.log = open(m.o.console_log,
                                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        return report_set(err, VMSCM_EIO, "%s: %s", m.o.console_log, strerror(errno));
    if ((rc = ctx_repo(ctx, err)) || (rc = vmscm_revision_resolve(&rev, ctx->repo, argv[0], err)))
        goto out;
    interrupt_catch();
    if (m.terminal) {
        tcgetattr(STDIN_FILENO, &m.tty);
        fputs("Ctrl-A X ends it.\n", stderr);
    }
    if (!(rc = start(&m, &rev, err)))
        rc = serve(&m, rev, err);
out:
    stop(&m);
    vmscm_revision_free(rev);
    return rc;
}

static const struct opt table[] = {
    {0, "cpus", OPT_UINT, offsetof(struct opts, cpus), "N", NULL,
        "processors; the default is what is recorded, or 1"},
    {0, "memory", OPT_UINT, offsetof(struct opts, memory), "MIB", NULL,
        "memory in MiB; the default is what is recorded, or 1024"},
    {0, "bus", OPT_CHOICE, offsetof(struct opts, bus), "BUS", "virtio|scsi|sata|ide|nvme|usb",
        "what all disks are attached to; the default is what is recorded, or virtio"},
    {0, "emulate", OPT_FLAG, offsetof(struct opts, emulate), NULL, NULL,
        "emulate the processor, though there be KVM"},
    {0, "forward", OPT_LIST, offsetof(struct opts, forwards), "HOST:GUEST", NULL,
        "a TCP port of this host leads to one of the guest"},
    {0, "isolate", OPT_FLAG, offsetof(struct opts, isolate), NULL, NULL,
        "the guest reaches nothing by its network"},
    {0, "vnc", OPT_STRING, offsetof(struct opts, vnc), "DISPLAY", NULL,
        "its screen by VNC, as qemu takes it: 127.0.0.1:1"},
    {0, "spice", OPT_STRING, offsetof(struct opts, spice), "PORT", NULL,
        "its screen by SPICE, on a port of this host"},
    {0, "kernel", OPT_STRING, offsetof(struct opts, kernel), "FILE", "file",
        "start this kernel, not what the disk has"},
    {0, "initrd", OPT_STRING, offsetof(struct opts, initrd), "FILE", "file", "with this initrd"},
    {0, "append", OPT_STRING, offsetof(struct opts, append), "WORDS", NULL,
        "and this command line"},
    {0, "wait-for", OPT_STRING, offsetof(struct opts, wait_for), "WHAT", NULL,
        "end once the guest answers at port:N, or has printed text:WORDS"},
    {0, "timeout", OPT_UINT, offsetof(struct opts, timeout), "SECONDS", NULL,
        "give up after so long"},
    {0, "exec", OPT_STRING, offsetof(struct opts, exec), "COMMAND", NULL,
        "run this command in the guest, through its agent, then end"},
    {0, "run", OPT_STRING, offsetof(struct opts, run), "COMMAND", NULL,
        "once what was waited for is there, run this shell command, then end"},
    {0, "keep", OPT_STRING, offsetof(struct opts, keep), "NAME", NULL,
        "keep what it writes, as a new machine's thin checkout"},
    {0, "record", OPT_FLAG, offsetof(struct opts, record), NULL, NULL,
        "keep what is read as the revision's boot trace, by which later starts read ahead"},
    {0, "console-log", OPT_STRING, offsetof(struct opts, console_log), "FILE", "file",
        "write the serial console to FILE"},
    {0, "cache-size", OPT_STRING, offsetof(struct opts, cache_size), "SIZE", NULL,
        "keep so much decompressed data; the default is 128M"},
    {0, NULL, OPT_FLAG, 0, NULL, NULL, NULL},
};

static const char *const usage[] = {"[OPTION]... REV", NULL};

const struct cmd cmd_run = {
    .name = "run",
    .summary = "start a revision as a machine",
    .usage = usage,
    .options = table,
    .options_size = sizeof(struct opts),
    .args = "revision",
    .min_args = 1,
    .max_args = 1,
    .group = GROUP_WORK,
    .run = run,
};
