/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qemu's monitor, the one for people, at a socket that takes one client at a time. */
#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>

/* A connection that does not block; -1 and errno. */
int monitor_connect(const char *path);

/* Whether the guest stands still after something that its accelerator could not do. */
bool monitor_is_stuck(const char *path);

/* Press the guest's power button. */
bool monitor_powerdown(const char *path);

#endif
