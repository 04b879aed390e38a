/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What may be told of a Windows product key: its channel, and its last five characters, as "slmgr
 * /dli" does. Pure. */
#ifndef PRODUCTKEY_H
#define PRODUCTKEY_H

#include <stddef.h>

#define PRODUCTKEY_PART 6 /* with the zero */

/* Of the registry's value DigitalProductId; "" if it holds none. */
void productkey_part(char part[PRODUCTKEY_PART], const unsigned char *id, size_t size);

/* Of DigitalProductId4: "Retail", "OEM:DM", "Volume:GVLK"; "" if it holds none. */
void productkey_channel(char *channel, size_t room, const unsigned char *id, size_t size);

#endif
