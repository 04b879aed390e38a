/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "monitor.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PROMPT "(qemu) "
#define PATIENCE 3000 /* milliseconds */

int monitor_connect(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Until it is ready for a command. */
static bool is_ready(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    char answer[4096];
    size_t len = 0;
    ssize_t n;

    while (len < sizeof answer - 1 && poll(&p, 1, PATIENCE) > 0 &&
        (n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0) {
        len += (size_t)n;
        answer[len] = '\0';
        if (len >= strlen(PROMPT) && strcmp(answer + len - strlen(PROMPT), PROMPT) == 0)
            return true;
    }
    return false;
}

bool monitor_powerdown(const char *path)
{
    static const char command[] = "system_powerdown\n";
    int fd = monitor_connect(path);
    /* It does what a line says only while its client is there. */
    bool done = fd >= 0 && is_ready(fd) &&
        send(fd, command, sizeof command - 1, MSG_NOSIGNAL) == (ssize_t)sizeof command - 1 &&
        is_ready(fd);

    if (fd >= 0)
        close(fd);
    return done;
}
