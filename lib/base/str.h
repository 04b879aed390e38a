/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text: hexadecimal, numbers with units, nearest names. Pure. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lower-case hex of len bytes; out has room for 2 * len + 1. */
void vmscm_str_hex(char *out, const uint8_t *data, size_t len);

/* Exactly 2 * len hex digits of s, and nothing after them, into out; false otherwise. */
bool vmscm_str_unhex(uint8_t *out, size_t len, const char *s);

/* "4194304", "64k", "20M", "4G", "1T" (powers of 1024, either case, optional "B"/"iB") to bytes. */
int vmscm_str_size(uint64_t *out, const char *s, struct vmscm_error *err);

/* A decimal number in [min, max] and nothing after it. */
bool vmscm_str_uint(uint64_t *out, const char *s, uint64_t min, uint64_t max);

#define VMSCM_STR_AMOUNT 32
/* Bytes for people, "4.0 GiB", into out, VMSCM_STR_AMOUNT bytes, which is returned. */
const char *vmscm_str_amount(char *out, uint64_t bytes);

/* Edit distance (Damerau-Levenshtein, adjacent transpositions), capped at `cap`. */
unsigned vmscm_str_distance(const char *a, const char *b, unsigned cap);

bool vmscm_str_starts(const char *s, const char *prefix);
bool vmscm_str_ends(const char *s, const char *suffix);

/* True when s is valid UTF-8 without control characters (C0, DEL, C1). */
bool vmscm_str_printable(const char *s);

/* strdup that reports: *out is the caller's. */
int vmscm_str_dup(char **out, const char *s, struct vmscm_error *err);

/* printf into fresh memory: *out is the caller's. */
int vmscm_str_printf(char **out, struct vmscm_error *err, const char *fmt, ...) VMSCM_PRINTF(3, 4);

#endif
