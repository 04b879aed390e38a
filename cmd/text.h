/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text for people: what others wrote made safe to print, sizes, times, widths. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <vmscm/revision.h>

/*
 * Names, messages and comments come from anyone. Control characters, bytes that are not UTF-8 and
 * marks that turn the direction of text are written as \xNN or \uNNNN, whether or not the output
 * is a terminal. Newlines and tabs too, but in text_put_lines.
 */
char *text_clean(const char *s); /* the caller's */
void text_put(FILE *out, const char *s);
/* Several lines, each after `indent`; blank lines stay empty. Ends in a newline if s is not "". */
void text_put_lines(FILE *out, const char *s, const char *indent);

/* Columns that a cleaned string takes on a terminal. */
size_t text_width(const char *s);

#define TEXT_MAX 48 /* room for what the next functions write; each returns its buffer */
const char *text_size(char *buf, uint64_t bytes);     /* "4.0 GiB", "152 MiB" */
const char *text_seconds(char *buf, double seconds);  /* "2.1 s", "3 min 20 s" */
const char *text_id(char *buf, const char *id);       /* the first seven digits */
const char *text_date(char *buf, int64_t time, int offset); /* "2026-11-22 18:33:43 +0000" */
const char *text_local(char *buf, int64_t time);      /* "2026-11-22 18:33", the user's zone */
const char *text_iso(char *buf, int64_t time, int offset);  /* "2026-11-22T18:33:43+00:00" */

const char *text_mode(char *buf, mode_t mode);          /* "-rw-r--r--" */

/* "1 disk", "2 disks". */
const char *text_count(char *buf, uint64_t n, const char *one);

/* Edit distance with adjacent transpositions, for "did you mean"; names over 32 bytes are far. */
unsigned text_distance(const char *a, const char *b);

#endif
