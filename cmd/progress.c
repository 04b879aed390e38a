/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One line that is rewritten in place. The library calls from one thread at a time, so the state
 * needs no lock. Rate and time left are smoothed over some seconds: holes are passed at once, and a
 * bare average would promise too much after them.
 */
#include "progress.h"

#include "interrupt.h"
#include "memory.h"
#include "report.h"
#include "text.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static struct {
    bool shown;   /* there is a line on the terminal */
    double drawn; /* when */
    double since; /* of the last sample; 0: none */
    uint64_t done, read;
    double done_rate, read_rate; /* bytes a second */
} state;

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void progress_clear(void)
{
    if (state.shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    state.shown = false;
}

static void sample(const struct vmscm_progress *p, double t)
{
    double span = t - state.since;

    if (state.since > 0 && p->done >= state.done && p->read >= state.read) {
        if (span < 0.5)
            return;
        double weight = state.done_rate > 0 ? span / (span + 3) : 1;
        state.done_rate += weight * ((double)(p->done - state.done) / span - state.done_rate);
        state.read_rate += weight * ((double)(p->read - state.read) / span - state.read_rate);
    } else {
        state.done_rate = state.read_rate = 0; /* a new phase */
    }
    state.since = t;
    state.done = p->done;
    state.read = p->read;
}

/* "1.7/4.0 GiB", or "999.0 MiB/4.0 GiB". */
static void put_share(FILE *out, uint64_t done, uint64_t total)
{
    char a[TEXT_MAX], b[TEXT_MAX], *unit;

    text_size(a, done);
    text_size(b, total);
    unit = strchr(a, ' ');
    if (unit && strcmp(unit, strchr(b, ' ')) == 0)
        *unit = '\0';
    fprintf(out, "%s/%s", a, b);
}

/* What matters most comes first: a narrow terminal shows as much as fits. */
static void put_line(FILE *out, const struct vmscm_progress *p)
{
    uint64_t total = p->total > p->done ? p->total : p->done;
    char a[TEXT_MAX], b[TEXT_MAX];

    fputs(p->phase, out);
    if (p->total > 0) {
        fprintf(out, " %u%%, ", (unsigned)((double)p->done * 100 / (double)total));
        put_share(out, p->done, total);
    } else {
        fprintf(out, " %s", text_size(a, p->done));
    }
    if (state.read_rate >= 1)
        fprintf(out, ", %s/s", text_size(a, (uint64_t)state.read_rate));
    if (p->total > p->done && state.done_rate >= 1) {
        double left = (double)(p->total - p->done) / state.done_rate;
        if (left < 360000)
            fprintf(out, ", ETA %u:%02u", (unsigned)left / 60, (unsigned)left % 60);
    }
    if (p->fresh > 0 || p->stored > 0)
        fprintf(out, ", new %s, stored %s", text_size(a, p->fresh), text_size(b, p->stored));
    if (p->item) {
        fputs("  ", out);
        text_put(out, p->item);
    }
}

/* Cut a line where it would wrap, which no carriage return can take back. */
static void cut(char *s)
{
    struct winsize size;
    size_t columns = 80;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        columns = size.ws_col;
    while (*s && text_width(s) >= columns) {
        size_t len = strlen(s) - 1;
        while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
            len--;
        s[len] = '\0';
    }
}

static void on_progress(void *data, const struct vmscm_progress *p)
{
    double t = now();
    char *line = NULL;
    size_t size;
    FILE *out;

    (void)data;
    sample(p, t);
    if (t - state.drawn < 0.1)
        return;
    out = open_memstream(&line, &size);
    if (!out)
        memory_die();
    put_line(out, p);
    if (fclose(out))
        memory_die();
    cut(line);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    free(line);
    state.shown = true;
    state.drawn = t;
}

static void on_warning(void *data, const char *text)
{
    (void)data;
    report_warning(text);
}

static void on_note(void *data, const char *text)
{
    (void)data;
    progress_clear();
    text_put(stderr, text);
    fputc('\n', stderr);
}

static int on_canceled(void *data)
{
    (void)data;
    return interrupt_pending();
}

const struct vmscm_events *progress_events(const struct ctx *ctx)
{
    static struct vmscm_events events;
    const char *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    bool on = ctx->common.progress ? ctx->common.progress > 0 : terminal && !ctx->common.quiet;

    interrupt_catch();
    events.progress = on ? on_progress : NULL;
    events.warning = on_warning;
    events.note = ctx->common.verbose ? on_note : NULL;
    events.canceled = on_canceled;
    return &events;
}
