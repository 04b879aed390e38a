/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the parts of the shim share. The shim is loaded with LD_PRELOAD and stands between a program
 * and the C library, at each call by which files change ("a point"). Points are numbered from 1 in
 * the order in which they are reached; with one thread that order is always the same.
 *
 * Environment, read once, at the start:
 *   VMSCM_SHIM_ROOT    only files below this directory count; absolute, no links in it
 *   VMSCM_SHIM_MODE    count; kill, tear, after: die at a point, before it is done, with half of
 *                      it done (writing calls), or when it is done; fail; record; memory
 *   VMSCM_SHIM_POINT   which
 *   VMSCM_SHIM_ERRNO   fail: the errno, as a number; -1: write half of what was asked for
 *   VMSCM_SHIM_TIMES   fail, memory: how many points from there on; 0: all
 *   VMSCM_SHIM_READS   1: calls that only read are points too
 *   VMSCM_SHIM_LOG     a file to append to: a line a point (for kill and fail: just the one that was
 *                      acted on), or the records of shim_record.c
 *   VMSCM_SHIM_CHILDREN  1: programs that this one starts are loaded with it too, and count anew
 *   VMSCM_SHIM_TIME    what time(2) says, so that the same work makes the same commits; nothing
 *                      sleeps then
 *   VMSCM_SHIM_RANDOM  a number from which all that getrandom(2) gives follows, so that the same work
 *                      makes the same names
 *
 * There are two of them: shim.so for files, with all modes but `memory`, and shim-memory.so for that.
 *
 * Threading: any; in the mode `record`, one point at a time.
 */
#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum shim_mode {
    SHIM_OFF,
    SHIM_COUNT,
    SHIM_KILL,
    SHIM_TEAR,
    SHIM_AFTER,
    SHIM_FAIL,
    SHIM_RECORD,
    SHIM_MEMORY
};

enum shim_kind {
    SHIM_READ,   /* changes nothing */
    SHIM_SPACE,  /* may need space on the disk */
    SHIM_CHANGE, /* frees it, or needs none */
};

enum shim_act { SHIM_PASS, SHIM_ERROR, SHIM_HALF };

/* A point that is being passed. */
struct shim_point {
    const char *call;
    enum shim_act act;
    bool dies;   /* when it is done */
    bool locked; /* it is being recorded */
};

struct shim_config {
    enum shim_mode mode;
    uint64_t point, times;
    int error;
    bool reads;
};

extern struct shim_config shim_config;

/* Whether the shim has anything to do in this process. */
bool shim_active(void);

/* Absolute path of name in the directory at fd dir, without "." and ".."; true if it is below the
 * root. */
bool shim_path(char out[4096], int dir, const char *name);

/* The same for an open file; false also for one that has no name any more. */
bool shim_path_of(char out[4096], int fd);

/* Reach a point. May not return. SHIM_ERROR: errno is set, the call is not to be made. */
struct shim_point shim_enter(
    const char *call, enum shim_kind kind, bool halves, const char *path, const char *to);

/* Done with it; keeps errno. */
void shim_leave(const struct shim_point *point);

/* Append to the log. */
void shim_log(const void *data, size_t len);

/* shim_record.c: what was done, if the mode is `record`. Called within a point. */
void shim_record_name(const char *op, const char *path, const char *to);
void shim_record_write(const char *path, uint64_t offset, const void *data, size_t len);
void shim_record_range(const char *path, uint64_t offset, uint64_t len); /* as the file is now */
void shim_record_size(const char *op, const char *path, uint64_t size);

#endif
