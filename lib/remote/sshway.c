/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "remote/sshway.h"
#include "base/str.h"
#include "base/vec.h"
#include "repo/handle.h"
#include "sys/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 2000 /* ms in which ssh must end once there is nothing more to say */
#define MERCY 500     /* ms from then on, until it is killed */

struct ssh {
    pid_t pid;
    const struct vmscm_events *events;
    int said_fd;
    pthread_t listener;
    atomic_bool over; /* it has ended */
    struct vmscm_tail said;
    char *host;
    char *program; /* that is run here */
};

/* For a shell: in single quotes, and each of these in it as '\''. */
static int put_quoted(struct vmscm_buf *buf, const char *text, struct vmscm_error *err)
{
    int rc = vmscm_buf_puts(buf, "'", err);

    for (; *text && !rc; text++)
        rc = *text == '\'' ? vmscm_buf_puts(buf, "'\\''", err)
                           : vmscm_buf_append(buf, text, 1, err);
    return rc ? rc : vmscm_buf_puts(buf, "'", err);
}

/* One more argument: its text, with the NUL, at the end of the block. */
static int put_argument(struct vmscm_buf *block, size_t *count, const char *text, size_t len,
    struct vmscm_error *err)
{
    int rc = vmscm_buf_append(block, text, len, err);

    ++*count;
    return rc ? rc : vmscm_buf_append(block, "", 1, err);
}

/* Pointers to the texts, before them. */
static int make_array(char ***out, const struct vmscm_buf *block, size_t count,
    struct vmscm_error *err)
{
    char **array = malloc((count + 1) * sizeof *array + block->len), *text;

    if (!array)
        return vmscm_error_nomem(err);
    text = (char *)(array + count + 1);
    memcpy(text, block->data, block->len);
    for (size_t i = 0; i < count; i++) {
        array[i] = text;
        text += strlen(text) + 1;
    }
    array[count] = NULL;
    *out = array;
    return 0;
}

int vmscm_sshway_arguments(char ***out, const struct vmscm_url *url,
    const struct vmscm_transport_options *options, struct vmscm_error *err)
{
    const char *ssh = options->ssh && options->ssh[strspn(options->ssh, " ")] ? options->ssh : "ssh";
    struct vmscm_buf block = VMSCM_BUF_INIT, text = VMSCM_BUF_INIT;
    char port[16];
    size_t count = 0, len;
    int rc = 0;

    for (; *ssh && !rc; ssh += len) {
        ssh += strspn(ssh, " ");
        len = strcspn(ssh, " ");
        if (len)
            rc = put_argument(&block, &count, ssh, len, err);
    }
    if (!rc && url->port) {
        snprintf(port, sizeof port, "%u", url->port);
        if (!(rc = put_argument(&block, &count, "-p", 2, err)))
            rc = put_argument(&block, &count, port, strlen(port), err);
    }
    if (rc || (rc = put_argument(&block, &count, "--", 2, err)) ||
        (url->user && (rc = vmscm_buf_printf(&text, err, "%s@", url->user))) ||
        (rc = vmscm_buf_puts(&text, url->host, err)) ||
        (rc = put_argument(&block, &count, vmscm_buf_str(&text), text.len, err)))
        goto out;
    text.len = 0;
    if ((options->program && (rc = put_quoted(&text, options->program, err))) ||
        (!options->program && (rc = vmscm_buf_puts(&text, "vmscm", err))) ||
        (rc = vmscm_buf_puts(&text, " remote-serve ", err)) ||
        (rc = put_quoted(&text, url->path, err)) ||
        (rc = put_argument(&block, &count, vmscm_buf_str(&text), text.len, err)))
        goto out;
    rc = make_array(out, &block, count, err);
out:
    vmscm_buf_release(&block);
    vmscm_buf_release(&text);
    return rc;
}

/* What ssh says on its standard error: the end of it is kept. A connection that ssh shares with later
 * ones outlives it, with that descriptor; so the end of ssh is the end of listening. */
static void *listen_to(void *data)
{
    struct ssh *ssh = data;
    struct pollfd p = {ssh->said_fd, POLLIN, 0};
    char piece[512];

    for (;;) {
        bool over = atomic_load(&ssh->over);
        int ready = poll(&p, 1, over ? 0 : 50);
        if (ready == 0 && over)
            break;
        if (ready <= 0)
            continue;
        ssize_t n = read(ssh->said_fd, piece, sizeof piece);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        if (n > 0)
            vmscm_tail_add(&ssh->said, piece, (size_t)n);
    }
    return NULL;
}

static int spawn(struct ssh *ssh, char **argv, int fd, int said, struct vmscm_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t reset;
    int e;

    sigemptyset(&reset);
    sigaddset(&reset, SIGPIPE);
    if ((e = posix_spawn_file_actions_init(&actions)))
        return vmscm_error_errno(err, e, "%s", argv[0]);
    if ((e = posix_spawnattr_init(&attributes))) {
        posix_spawn_file_actions_destroy(&actions);
        return vmscm_error_errno(err, e, "%s", argv[0]);
    }
    if (!(e = posix_spawn_file_actions_adddup2(&actions, fd, 0)) &&
        !(e = posix_spawn_file_actions_adddup2(&actions, fd, 1)) &&
        !(e = posix_spawn_file_actions_adddup2(&actions, said, 2)) &&
        !(e = posix_spawnattr_setsigdefault(&attributes, &reset)) &&
        !(e = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF)))
        e = posix_spawnp(&ssh->pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (e == ENOENT) {
        vmscm_error_set(err, VMSCM_ETOOL, "%s: not installed", argv[0]);
        return vmscm_error_hint(err, "install openssh-client, or name another program in VMSCM_SSH");
    }
    return e ? vmscm_error_errno(err, e, "%s", argv[0]) : 0;
}

/* Whether it ended within so many ms. With events, nothing is waited for once it is canceled. */
static bool reap(pid_t pid, int *status, unsigned ms, const struct vmscm_events *events)
{
    for (;; ms -= 10) {
        pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR))
            return true;
        if (ms < 10 || vmscm_handle_canceled(events, NULL))
            return false;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
}

static void stop_hard(pid_t pid)
{
    int status;

    kill(pid, SIGTERM);
    if (reap(pid, &status, MERCY, NULL))
        return;
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}

static int start(void **state, int *fd, const struct vmscm_url *url,
    const struct vmscm_transport_options *options, struct vmscm_error *err)
{
    struct ssh *ssh = calloc(1, sizeof *ssh);
    char **argv = NULL;
    int fds[2] = {-1, -1}, said[2] = {-1, -1}, rc, e;

    if (!ssh)
        return vmscm_error_nomem(err);
    ssh->said_fd = -1;
    ssh->events = options->events;
    if ((rc = vmscm_sshway_arguments(&argv, url, options, err)) ||
        (rc = vmscm_str_dup(&ssh->host, url->host, err)) ||
        (rc = vmscm_str_dup(&ssh->program, argv[0], err)))
        goto out;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 || pipe2(said, O_CLOEXEC) < 0) {
        rc = vmscm_error_errno(err, errno, "%s", url->host);
        goto out;
    }
    if ((rc = spawn(ssh, argv, fds[1], said[1], err)))
        goto out;
    close(said[1]);
    said[1] = -1;
    ssh->said_fd = said[0];
    if ((e = pthread_create(&ssh->listener, NULL, listen_to, ssh))) {
        rc = vmscm_error_errno(err, e, "a thread");
        stop_hard(ssh->pid);
        goto out;
    }
    said[0] = -1;
    *fd = fds[0];
    fds[0] = -1;
    *state = ssh;
    ssh = NULL;
out:
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        if (said[i] >= 0)
            close(said[i]);
    }
    if (ssh) {
        free(ssh->host);
        free(ssh->program);
        free(ssh);
    }
    free(argv);
    return rc;
}

/* The last line that is not empty. */
static const char *last_words(struct vmscm_tail *said)
{
    char *line;

    said->text[said->len] = '\0';
    while (said->len && strchr("\r\n ", said->text[said->len - 1]))
        said->text[--said->len] = '\0';
    line = strrchr(said->text, '\n');
    line = line ? line + 1 : said->text;
    while (*line == '\r')
        line++;
    return line;
}

static int stop(void *state, struct vmscm_error *err)
{
    struct ssh *ssh = state;
    int status = 0, rc = 0;

    /* Its connection is closed; an ssh that hangs does not notice. */
    if (!reap(ssh->pid, &status, PATIENCE, ssh->events)) {
        stop_hard(ssh->pid);
        status = 0;
    }
    atomic_store(&ssh->over, true);
    pthread_join(ssh->listener, NULL);
    close(ssh->said_fd);
    if (status) {
        const char *words = last_words(&ssh->said);
        if (*words)
            rc = vmscm_error_set(err, VMSCM_ETOOL, "%s: %.600s", ssh->host,
                vmscm_str_starts(words, "vmscm: ") ? words + strlen("vmscm: ") : words);
        else
            rc = vmscm_error_set(err, VMSCM_ETOOL, "%s: %s ended with status %d", ssh->host,
                ssh->program, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
            vmscm_error_hint(err, "vmscm must be on the PATH there, or remote.NAME.program say where");
    }
    free(ssh->host);
    free(ssh->program);
    free(ssh);
    return rc;
}

static const struct vmscm_transport_kind kind = {start, stop, NULL};

const struct vmscm_transport_kind *vmscm_sshway_kind(void)
{
    return &kind;
}
