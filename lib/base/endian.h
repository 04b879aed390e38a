/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Integers at unaligned addresses, little- and big-endian. Pure. */
#ifndef BASE_ENDIAN_H
#define BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define VMSCM_ENDIAN_GET(name, type, conv)                                                         \
    static inline type name(const void *p)                                                         \
    {                                                                                              \
        type v;                                                                                    \
        memcpy(&v, p, sizeof v);                                                                   \
        return conv(v);                                                                            \
    }
#define VMSCM_ENDIAN_PUT(name, type, conv)                                                         \
    static inline void name(void *p, type v)                                                       \
    {                                                                                              \
        v = conv(v);                                                                               \
        memcpy(p, &v, sizeof v);                                                                   \
    }

VMSCM_ENDIAN_GET(vmscm_get_le16, uint16_t, le16toh)
VMSCM_ENDIAN_GET(vmscm_get_le32, uint32_t, le32toh)
VMSCM_ENDIAN_GET(vmscm_get_le64, uint64_t, le64toh)
VMSCM_ENDIAN_GET(vmscm_get_be16, uint16_t, be16toh)
VMSCM_ENDIAN_GET(vmscm_get_be32, uint32_t, be32toh)
VMSCM_ENDIAN_GET(vmscm_get_be64, uint64_t, be64toh)
VMSCM_ENDIAN_PUT(vmscm_put_le16, uint16_t, htole16)
VMSCM_ENDIAN_PUT(vmscm_put_le32, uint32_t, htole32)
VMSCM_ENDIAN_PUT(vmscm_put_le64, uint64_t, htole64)
VMSCM_ENDIAN_PUT(vmscm_put_be32, uint32_t, htobe32)
VMSCM_ENDIAN_PUT(vmscm_put_be64, uint64_t, htobe64)

#endif
