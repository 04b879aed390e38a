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

/* Until it is ready for a command; its answer to the last one, cut short if it is long. */
static bool read_answer(char answer[4096], int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    size_t len = 0;
    ssize_t n;

    while (len < 4095 && poll(&p, 1, PATIENCE) > 0 &&
        (n = recv(fd, answer + len, 4095 - len, 0)) > 0) {
        len += (size_t)n;
        answer[len] = '\0';
        if (len >= strlen(PROMPT) && strcmp(answer + len - strlen(PROMPT), PROMPT) == 0)
            return true;
    }
    return false;
}

/* Have a line done, with its newline. It does what it says only while its client is there. */
static bool command(char answer[4096], const char *path, const char *line)
{
    int fd = monitor_connect(path);
    bool done = fd >= 0 && read_answer(answer, fd) &&
        send(fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line) &&
        read_answer(answer, fd);

    if (fd >= 0)
        close(fd);
    return done;
}

bool monitor_is_stuck(const char *path)
{
    char answer[4096];

    return command(answer, path, "info status\n") && strstr(answer, "(internal-error)");
}

bool monitor_powerdown(const char *path)
{
    char answer[4096];

    return command(answer, path, "system_powerdown\n");
}
