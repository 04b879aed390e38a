/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disk formats that --format knows. */
#ifndef FORMAT_H
#define FORMAT_H

#include <stddef.h>
#include <string.h>

#define FORMAT_CHOICES "raw|qcow2|vmdk|vdi|vhd|vpc|vhdx|parallels"

/* The library's name of one: it calls VHD "vpc", as qemu does. */
static inline const char *format_name(const char *choice)
{
    return choice && strcmp(choice, "vhd") == 0 ? "vpc" : choice;
}

#endif
