/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/image/nbdproto: all that a client sends, from its first word on. What is left
 * after the handshake are requests.
 */
#include "image/nbdproto.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX 65536 /* less than a socket holds */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t wire[VMSCM_NBD_REQUEST_SIZE];
    struct vmscm_nbd_session session;
    struct vmscm_nbd_request request;
    int fds[2];

    if (size > INPUT_MAX)
        size = INPUT_MAX;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        abort();
    if (size && send(fds[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        abort();
    if (shutdown(fds[1], SHUT_WR) < 0)
        abort();
    if (vmscm_nbdproto_handshake(fds[0], UINT64_C(5) << 30, &session)) {
        if (session.allocation && !session.structured)
            abort();
        while (vmscm_nbdproto_recv(fds[0], wire, sizeof wire) &&
            vmscm_nbdproto_parse(&request, wire))
            ;
    }
    close(fds[0]);
    close(fds[1]);
    return 0;
}
