/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames over two descriptors: written in large pieces, read whole, counted, and not faster than allowed.
 * A peer that has gone is an error, no signal; so is one that gives no sign of life, if that is asked for.
 * Threading: one thread at a time.
 */
#ifndef REMOTE_STREAM_H
#define REMOTE_STREAM_H

#include "format/wire.h"
#include <stdbool.h>
#include <vmscm/events.h>

struct vmscm_stream;

struct vmscm_stream_frame {
    unsigned type; /* enum vmscm_wire_type */
    const uint8_t *data;
    size_t len;
};

/* The descriptors stay the caller's; they may be one. peer is for messages. events may be NULL. limit:
 * bytes a second, both ways together; 0: none. */
int vmscm_stream_open(struct vmscm_stream **out, int in, int out_fd, const char *peer,
    const struct vmscm_events *events, uint64_t limit, struct vmscm_error *err);
void vmscm_stream_close(struct vmscm_stream *s); /* NULL is fine. What was not flushed is lost. */

/* Give up on a peer that is silent for so many seconds, 0: never; and send it signs of life while there is
 * nothing to say, from a thread of the stream's own. Once, before anything else. */
int vmscm_stream_patience(struct vmscm_stream *s, unsigned seconds, struct vmscm_error *err);

/* A frame of two parts, of which either may be empty. */
int vmscm_stream_put(struct vmscm_stream *s, unsigned type, const void *head, size_t head_len,
    const void *data, size_t len, struct vmscm_error *err);
int vmscm_stream_put_buf(struct vmscm_stream *s, unsigned type, const struct vmscm_buf *buf,
    struct vmscm_error *err);
int vmscm_stream_flush(struct vmscm_stream *s, struct vmscm_error *err);

/* Writing failed since the other side takes nothing more. */
bool vmscm_stream_is_cut(const struct vmscm_stream *s);

/* Wait for what comes next; *more is false if the peer has hung up instead. What is to be written is
 * flushed first. */
int vmscm_stream_wait(struct vmscm_stream *s, bool *more, struct vmscm_error *err);

/* The next frame, borrowed until the next call. What is to be written is flushed first. VMSCM_EIO: the
 * peer has gone; VMSCM_EINPUT: it sent none. */
int vmscm_stream_get(struct vmscm_stream *s, struct vmscm_stream_frame *frame,
    struct vmscm_error *err);

/* XXH3-64 of all frames that were put, or got, each head and body with what came before as seed. */
uint64_t vmscm_stream_checksum_put(const struct vmscm_stream *s);
uint64_t vmscm_stream_checksum_got(const struct vmscm_stream *s);

uint64_t vmscm_stream_sent(const struct vmscm_stream *s);
uint64_t vmscm_stream_received(const struct vmscm_stream *s);
const char *vmscm_stream_peer(const struct vmscm_stream *s);

#endif
