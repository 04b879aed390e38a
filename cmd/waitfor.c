/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qemu's user network takes a connection to a forwarded port before the guest has: only its own list of
 * connections tells whether the guest did. So a connection is made, and qemu asked what became of it.
 */
#include "waitfor.h"

#include "monitor.h"
#include "report.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROMPT "(qemu) "

int waitfor_parse(struct waitfor *w, const char *spec, struct vmscm_error *err)
{
    char *end;

    *w = (struct waitfor){.fd = -1, .probe = -1};
    if (!spec)
        return 0;
    if (strncmp(spec, "text:", 5) == 0 && spec[5] && strlen(spec + 5) < sizeof w->tail / 2) {
        w->text = spec + 5;
        return 0;
    }
    if (strncmp(spec, "port:", 5) == 0 && spec[5] >= '0' && spec[5] <= '9') {
        unsigned long port = strtoul(spec + 5, &end, 10);
        if (!*end && port > 0 && port < 65536) {
            w->port = (unsigned)port;
            return 0;
        }
    }
    return report_set(err, VMSCM_EUSAGE, "--wait-for: %s: neither port:N nor text:WORDS", spec);
}

void waitfor_console(struct waitfor *w, const char *bytes, size_t len)
{
    while (w->text && !w->met && len) {
        size_t n = sizeof w->tail - 1 - w->len;
        if (n > len)
            n = len;
        for (size_t i = 0; i < n; i++)
            w->tail[w->len++] = bytes[i] ? bytes[i] : ' ';
        w->tail[w->len] = '\0';
        w->met = strstr(w->tail, w->text) != NULL;
        /* Enough stays for what is cut in two. */
        size_t keep = strlen(w->text) < w->len ? strlen(w->text) : w->len;
        memmove(w->tail, w->tail + w->len - keep, keep);
        w->len = keep;
        bytes += n;
        len -= n;
    }
}

static int connect_port(unsigned port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Whether the list has an established connection to the guest's port:
 *   TCP[ESTABLISHED]   14       127.0.0.1 45678       10.0.2.15    22     0     0 */
static bool is_established(const char *list, unsigned port)
{
    const char *line = list;

    while ((line = strstr(line, "TCP[ESTABLISHED]"))) {
        char copy[256], *save = copy, *word;
        unsigned n = 0;
        snprintf(copy, sizeof copy, "%.*s", (int)strcspn(line, "\r\n"), line);
        while ((word = strsep(&save, " ")))
            if (*word && ++n == 6 && strtoul(word, NULL, 10) == port)
                return true;
        line++;
    }
    return false;
}

/* Something that the other side sent, or its end: -1 it has ended, 0 nothing, 1 bytes. */
static int peek(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n > 0 ? 1 : n == 0 || (errno != EAGAIN && errno != EINTR) ? -1 : 0;
}

void waitfor_poll(struct waitfor *w)
{
    ssize_t n;
    int state;

    if (!w->port || w->met)
        return;
    if (w->probe >= 0 && (state = peek(w->probe)) != 0) {
        w->met = state > 0;
        close(w->probe);
        w->probe = -1;
    }
    if (w->probe < 0)
        w->probe = connect_port(w->host);
    if (w->fd < 0 && (w->fd = monitor_connect(w->monitor)) < 0)
        return;
    while ((n = recv(w->fd, w->answer + w->answer_len, sizeof w->answer - 1 - w->answer_len, 0)) > 0) {
        w->answer_len += (size_t)n;
        w->answer[w->answer_len] = '\0';
        if (w->answer_len > sizeof w->answer / 2)
            break;
    }
    if (!w->answer_len || !strstr(w->answer, PROMPT))
        return;
    w->met = w->met || (w->probe >= 0 && is_established(w->answer, w->port));
    w->answer_len = 0;
    if (send(w->fd, "info usernet\n", 13, MSG_NOSIGNAL) < 0) {
        close(w->fd);
        w->fd = -1;
    }
}

void waitfor_release(struct waitfor *w)
{
    if (w->fd >= 0)
        close(w->fd);
    if (w->probe >= 0)
        close(w->probe);
    w->fd = w->probe = -1;
    w->answer_len = 0;
}
