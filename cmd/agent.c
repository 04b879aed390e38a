/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent.h"

#include "memory.h"
#include "qemuargs.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)64 << 20) /* an agent sends up to 16 MiB of each output, in base64 */
#define CALL_AGAIN 5000                   /* milliseconds */
#define LOOK_AGAIN 200
#define SILENCE 120000

bool agent_can_say(const char *command)
{
    json_t *text = json_string(command);

    json_decref(text);
    return text != NULL;
}

void agent_init(struct agent *a, const char *path, const char *command)
{
    *a = (struct agent){.path = path, .command = command, .fd = -1};
}

void agent_release(struct agent *a)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    free(a->line);
    a->line = NULL;
}

void agent_args(struct qemuargs *args, const char *path)
{
    char *where = qemuargs_escape(path);

    qemuargs_add(args, "-device");
    qemuargs_add(args, "virtio-serial-pci");
    qemuargs_add(args, "-chardev");
    qemuargs_add(args, "socket,id=agent,server=on,wait=off,path=%s", where);
    qemuargs_add(args, "-device");
    qemuargs_add(args, "virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
    free(where);
}

static int fail(struct vmscm_error *err, const char *why)
{
    return report_set(err, VMSCM_ETOOL, "guest agent: %s", why);
}

/* Guests may have anything in what they say; the message is cleaned where it is printed. */
static int refused(struct vmscm_error *err, const json_t *answer, const char *what)
{
    const char *why = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));

    return report_set(err, VMSCM_ETOOL, "guest agent: %s: %.200s", what, why ? why : "refused");
}

static void hang_up(struct agent *a)
{
    close(a->fd);
    a->fd = -1;
    a->asked = false;
    a->len = 0;
}

static bool call_up(struct agent *a)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", a->path);
    if (a->fd >= 0 && connect(a->fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        hang_up(a);
    return a->fd >= 0;
}

/* Takes over request. It is short: where it does not fit the socket, nobody reads. */
static void ask(struct agent *a, json_t *request, int64_t now)
{
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    /* 0xFF makes the agent forget what it may have received of another line. */
    char *line = text ? memory_printf("%s%s\n", a->state == AGENT_CALLS ? "\xff" : "", text) : NULL;
    size_t len = line ? strlen(line) : 0;

    if (!line)
        memory_die();
    json_decref(request);
    free(text);
    if (send(a->fd, line, len, MSG_NOSIGNAL) != (ssize_t)len)
        hang_up(a);
    else
        a->asked = true;
    a->until = now + SILENCE;
    free(line);
}

static void ask_next(struct agent *a, int64_t now)
{
    static const char *const shell[2][2] = {{"/bin/sh", "-c"}, {"cmd.exe", "/c"}};
    bool windows = a->status != 0; /* what AGENT_SYSTEM found */

    switch (a->state) {
    case AGENT_CALLS:
        a->next = now + CALL_AGAIN;
        ask(a, json_pack("{s:s, s:{s:I}}", "execute", "guest-sync-delimited", "arguments", "id",
                   (json_int_t)++a->call), now);
        break;
    case AGENT_SYSTEM:
        ask(a, json_pack("{s:s}", "execute", "guest-get-osinfo"), now);
        break;
    case AGENT_STARTS:
        ask(a, json_pack("{s:s, s:{s:s, s:[s, s], s:b}}", "execute", "guest-exec", "arguments",
                   "path", shell[windows][0], "arg", shell[windows][1], a->command,
                   "capture-output", 1), now);
        break;
    case AGENT_WAITS:
        a->next = now + LOOK_AGAIN;
        ask(a, json_pack("{s:s, s:{s:I}}", "execute", "guest-exec-status", "arguments", "pid",
                   (json_int_t)a->pid), now);
        break;
    case AGENT_DONE:
        break;
    }
}

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* RFC 4648, 4. Into text itself, which it never outgrows; the bytes, or -1. */
static ssize_t decode(char *text)
{
    size_t len = strlen(text), out = 0;
    unsigned bits = 0, have = 0;

    while (len && text[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        int value = digit(text[i]);
        if (value < 0)
            return -1;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        if ((have += 6) >= 8) {
            have -= 8;
            text[out++] = (char)(bits >> have);
        }
    }
    return (ssize_t)out;
}

static int print(FILE *to, const json_t *status, const char *key, struct vmscm_error *err)
{
    const char *text = json_string_value(json_object_get(status, key));
    char *bytes = text ? memory_dup(text) : NULL;
    ssize_t n = bytes ? decode(bytes) : 0;
    int rc = 0;

    if (n < 0)
        rc = fail(err, "its output is not base64");
    else if (n > 0 && (fwrite(bytes, 1, (size_t)n, to) != (size_t)n || fflush(to) != 0))
        rc = report_set(err, VMSCM_EIO, "output: %s", strerror(errno));
    free(bytes);
    return rc;
}

/* A signal's number is a shell's 128 and more, too. */
static int exit_status(const json_t *status)
{
    json_int_t code = json_integer_value(json_object_get(status, "exitcode"));
    json_int_t sig = json_integer_value(json_object_get(status, "signal"));

    if (sig > 0)
        return sig < 128 ? 128 + (int)sig : 255;
    return code >= 0 && code < 256 ? (int)code : 255;
}

static int take_status(struct agent *a, const json_t *status, struct vmscm_error *err)
{
    int rc;

    if (!json_is_boolean(json_object_get(status, "exited")))
        return fail(err, "its answer has no state of the command");
    if (!json_is_true(json_object_get(status, "exited")))
        return 0;
    if ((rc = print(stdout, status, "out-data", err)) ||
        (rc = print(stderr, status, "err-data", err)))
        return rc;
    if (json_is_true(json_object_get(status, "out-truncated")) ||
        json_is_true(json_object_get(status, "err-truncated")))
        report_warning("the guest's agent left out the end of what the command printed");
    a->status = exit_status(status);
    a->state = AGENT_DONE;
    return 0;
}

/* Takes an answer that is what was asked for. */
static int take(struct agent *a, const json_t *answer, struct vmscm_error *err)
{
    const json_t *result = json_object_get(answer, "return");
    const char *id;

    a->asked = false;
    switch (a->state) {
    case AGENT_CALLS:
        /* Those of earlier calls come first. */
        if (!json_is_integer(result) || json_integer_value(result) != a->call)
            a->asked = true;
        else
            a->state = AGENT_SYSTEM;
        a->next = a->asked ? a->next : 0;
        return 0;
    case AGENT_SYSTEM:
        /* Old ones do not know. */
        id = json_string_value(json_object_get(result, "id"));
        a->status = id && strcmp(id, "mswindows") == 0;
        a->state = AGENT_STARTS;
        return 0;
    case AGENT_STARTS:
        if (!result)
            return refused(err, answer, "the command was not started");
        if (!json_is_integer(json_object_get(result, "pid")))
            return fail(err, "its answer has no process");
        a->pid = json_integer_value(json_object_get(result, "pid"));
        a->state = AGENT_WAITS;
        a->next = 0;
        return 0;
    case AGENT_WAITS:
        return result ? take_status(a, result, err)
                      : refused(err, answer, "it lost the command");
    case AGENT_DONE:
        break;
    }
    return 0;
}

static int take_line(struct agent *a, struct vmscm_error *err)
{
    const char *text = a->line;
    size_t len = a->len;
    json_t *answer;
    int rc;

    a->len = 0;
    if (a->state == AGENT_CALLS) {
        /* What was meant for somebody else stands before this. */
        const char *begin = memrchr(text, 0xff, len);
        if (!begin)
            return 0;
        len -= (size_t)(begin + 1 - text);
        text = begin + 1;
    }
    if (!a->asked)
        return 0;
    answer = json_loadb(text, len, 0, NULL);
    if (!json_is_object(answer))
        rc = a->state == AGENT_CALLS ? 0 : fail(err, "what it answers is not JSON");
    else
        rc = take(a, answer, err);
    json_decref(answer);
    return rc;
}

static int receive(struct agent *a, struct vmscm_error *err)
{
    char buf[65536];
    ssize_t n = 0;
    int rc = 0;

    while (!rc && a->state != AGENT_DONE && (n = recv(a->fd, buf, sizeof buf, 0)) > 0)
        for (char *at = buf, *end = buf + n; at < end && !rc;) {
            char *newline = memchr(at, '\n', (size_t)(end - at));
            size_t part = (size_t)((newline ? newline : end) - at);
            if (a->len + part > LINE_MAX_BYTES)
                return fail(err, "what it answers is too long");
            if (a->len + part >= a->room) {
                a->room = (a->len + part + 1) * 2;
                a->line = memory_grow(a->line, a->room, 1);
            }
            memcpy(a->line + a->len, at, part);
            a->len += part;
            at += part + (newline != NULL);
            if (newline)
                rc = take_line(a, err);
        }
    if (rc || a->state == AGENT_DONE)
        return rc;
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        hang_up(a);
        if (a->state > AGENT_SYSTEM)
            return fail(err, "the connection to it ended");
    }
    return 0;
}

int agent_poll(struct agent *a, int64_t now, struct vmscm_error *err)
{
    int rc;

    if (a->state == AGENT_DONE || (a->fd < 0 && !call_up(a)))
        return 0;
    if ((rc = receive(a, err)) || a->fd < 0 || a->state == AGENT_DONE)
        return rc;
    if (a->asked && a->state != AGENT_CALLS && now > a->until)
        return fail(err, "it does not answer any more");
    /* Nobody may have been there to hear the first call. */
    if ((!a->asked || a->state == AGENT_CALLS) && now >= a->next)
        ask_next(a, now);
    return 0;
}
