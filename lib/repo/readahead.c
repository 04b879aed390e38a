/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/readahead.h"

#include <string.h>

#define AHEAD ((uint64_t)256 << 10)  /* a read this far beyond the last still follows it */
#define BEHIND ((uint64_t)16 << 20)  /* this far before its end it is late, no other sequence */
#define FOLLOWED 2u                  /* reads in sequence before it is believed */
#define WINDOW_MIN ((uint64_t)1 << 20)

void vmscm_readahead_init(struct vmscm_readahead *ra, uint64_t max)
{
    memset(ra, 0, sizeof *ra);
    pthread_mutex_init(&ra->lock, NULL);
    ra->max = max;
}

void vmscm_readahead_release(struct vmscm_readahead *ra)
{
    pthread_mutex_destroy(&ra->lock);
}

/* The sequence that a read at offset is of; the one unused for longest, emptied, if of none. */
static struct vmscm_readahead_stream *find(struct vmscm_readahead *ra, uint64_t offset)
{
    struct vmscm_readahead_stream *oldest = &ra->streams[0];

    for (unsigned i = 0; i < VMSCM_READAHEAD_STREAMS; i++) {
        struct vmscm_readahead_stream *s = &ra->streams[i];
        if (s->last && offset + BEHIND >= s->next && offset <= s->next + AHEAD)
            return s;
        if (s->last < oldest->last)
            oldest = s;
    }
    *oldest = (struct vmscm_readahead_stream){.next = offset};
    return oldest;
}

void vmscm_readahead_note(uint64_t *from, uint64_t *to, struct vmscm_readahead *ra,
    uint64_t offset, uint64_t len, uint64_t size)
{
    uint64_t end = offset + len;

    *from = *to = 0;
    if (!ra->max)
        return;
    pthread_mutex_lock(&ra->lock);
    struct vmscm_readahead_stream *s = find(ra, offset);
    s->last = ++ra->clock;
    if (offset >= s->next)
        s->hits++;
    else if (end <= s->next && s->hits)
        s->hits--; /* again, or late: hardly a sequence if that is so most times */
    if (end > s->next)
        s->next = end;
    if (s->hits > FOLLOWED) {
        if (s->asked < s->next)
            s->asked = s->next;
        if (s->window < WINDOW_MIN)
            s->window = WINDOW_MIN;
        /* Half of it is still ahead when more is asked for, so that it never runs dry. */
        if (s->asked - s->next <= s->window / 2) {
            *from = s->asked;
            *to = s->next + s->window < size ? s->next + s->window : size;
            if (*to <= *from)
                *from = *to = 0;
            else
                s->asked = *to;
            s->window = s->window * 2 < ra->max ? s->window * 2 : ra->max;
        }
    }
    pthread_mutex_unlock(&ra->lock);
}
