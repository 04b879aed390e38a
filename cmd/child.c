/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "child.h"

#include "memory.h"
#include "process.h"
#include "report.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_TENTHS 30
#define LISTENER 3 /* SD_LISTEN_FDS_START */

/* sd_listen_fds(3): which process is meant, and how many descriptors from 3 on. */
static char listen_pid[] = "LISTEN_PID=0000000000";
static char listen_fds[] = "LISTEN_FDS=1";

/* In the new process: only what is safe after a fork. */
static int take_listener(int listener)
{
    unsigned pid = (unsigned)getpid(), unit = 1;
    char *digit = strchr(listen_pid, '=') + 1;

    /* Without zeros in front: some take these for octal. */
    while (pid / unit >= 10)
        unit *= 10;
    for (; unit; unit /= 10)
        *digit++ = (char)('0' + pid / unit % 10);
    *digit = '\0';
    return listener == LISTENER ? fcntl(listener, F_SETFD, 0) : dup2(listener, LISTENER);
}

static void become(const char *path, char *const argv[], int err, int out, int in, unsigned flags,
    int listener, pid_t parent)
{
    static const int signals[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (flags & (CHILD_NULL | CHILD_OUT)) {
        int null = open("/dev/null", O_RDWR);
        if (null < 0 || dup2(in >= 0 ? in : null, STDIN_FILENO) < 0 ||
            dup2(out >= 0 ? out : null, STDOUT_FILENO) < 0)
            _exit(127);
    }
    if (err >= 0 && dup2(err, STDERR_FILENO) < 0)
        _exit(127);
    if (listener >= 0 && take_listener(listener) < 0)
        _exit(127);
    execv(path, argv);
    _exit(127);
}

/* Only our end does not wait: the child's is as programs expect it. */
static int make_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -1 : 0;
}

static int start(struct child *child, const char *const argv[], unsigned flags, int listener,
    const char *package, struct vmscm_error *err)
{
    char *path = process_find(argv[0]);
    int ends[2] = {-1, -1}, out[2] = {-1, -1}, in[2] = {-1, -1};
    pid_t parent = getpid();

    *child = (struct child)CHILD_INIT;
    child->name = argv[0];
    if (!path) {
        report_set(err, VMSCM_ETOOL, "%s: not installed", argv[0]);
        return report_hint(err, "apt install %s", package);
    }
    if ((!(flags & CHILD_STDERR) && make_pipe(ends) < 0) || (flags & CHILD_OUT && make_pipe(out) < 0) ||
        (flags & CHILD_IN && pipe2(in, O_CLOEXEC) < 0)) {
        report_set(err, VMSCM_EIO, "%s: %s", argv[0], strerror(errno));
        for (size_t i = 0; i < 2; i++) {
            if (ends[i] >= 0)
                close(ends[i]);
            if (out[i] >= 0)
                close(out[i]);
        }
        free(path);
        return VMSCM_EIO;
    }
    fflush(NULL);
    child->pid = fork();
    if (child->pid == 0)
        become(path, (char *const *)argv, ends[1], out[1], in[0], flags, listener, parent);
    free(path);
    if (out[1] >= 0)
        close(out[1]);
    child->out = out[0];
    if (in[0] >= 0)
        close(in[0]);
    child->in = in[1];
    if (ends[1] >= 0)
        close(ends[1]);
    child->err = ends[0];
    if (child->pid > 0)
        return 0;
    child->pid = 0;
    if (ends[0] >= 0)
        close(ends[0]);
    child->err = -1;
    return report_set(err, VMSCM_EIO, "%s: %s", argv[0], strerror(errno));
}

int child_start(struct child *child, const char *const argv[], unsigned flags,
    const char *package, struct vmscm_error *err)
{
    return start(child, argv, flags, -1, package, err);
}

int child_start_listening(struct child *child, const char *const argv[], int listener,
    const char *package, struct vmscm_error *err)
{
    /* They are its own, and mean none of our other children. */
    putenv(listen_pid);
    putenv(listen_fds);
    int rc = start(child, argv, CHILD_NULL, listener, package, err);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    return rc;
}

static void end_line(struct child *child, bool tell)
{
    const char *text = child->line;
    size_t name = strlen(child->name);

    child->line[child->len] = '\0';
    child->len = 0;
    if (!*text || child->noticed)
        return;
    /* Its own name stands before ours otherwise. */
    if (strncmp(text, child->name, name) == 0 && strncmp(text + name, ": ", 2) == 0) {
        const char *error = strstr(text, "error: ");
        text = error ? error + strlen("error: ") : text + name + 2;
    }
    memmove(child->last, text, strlen(text) + 1);
    child->noticed = child->bad && strstr(text, child->bad);
    if (tell && !child->noticed)
        report_warning(child->last);
}

static void read_lines(struct child *child, bool tell)
{
    char buf[1024];
    ssize_t n;

    while (child->err >= 0 && (n = read(child->err, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] == '\n')
                end_line(child, tell);
            else if (child->len < sizeof child->line - 1)
                child->line[child->len++] = buf[i];
}

bool child_alive(struct child *child, bool tell)
{
    int status;
    pid_t got;

    if (!child->pid)
        return false;
    do
        got = waitpid(child->pid, &status, WNOHANG);
    while (got < 0 && errno == EINTR);
    read_lines(child, tell);
    if (got == 0)
        return true;
    end_line(child, tell);
    child->pid = 0;
    child->ended = true;
    child->status = got < 0 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status)
                                                     : 128 + WTERMSIG(status);
    if (child->err >= 0)
        close(child->err);
    child->err = -1;
    return false;
}

int child_failed(const struct child *child, struct vmscm_error *err)
{
    if (child->last[0])
        return report_set(err, VMSCM_ETOOL, "%s: %s", child->name, child->last);
    return report_set(err, VMSCM_ETOOL, "%s: ended with status %d", child->name, child->status);
}

void child_kill(struct child *child, bool tell)
{
    if (!child_alive(child, tell))
        return;
    kill(child->pid, SIGKILL);
    while (child_alive(child, tell))
        poll(NULL, 0, 5);
}

void child_stop(struct child *child, bool tell)
{
    if (!child_alive(child, tell))
        return;
    kill(child->pid, SIGTERM);
    for (int i = 0; child_alive(child, tell); i++) {
        if (i == STOP_TENTHS)
            kill(child->pid, SIGKILL);
        poll(NULL, 0, i < 10 ? 10 : 100);
    }
}
