/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a command is: one const struct cmd. The parser, -h, the completions and the check of the
 * manual pages all read that one table.
 */
#ifndef CMD_H
#define CMD_H

#include <stddef.h>
#include <vmscm/error.h>
#include <vmscm/repo.h>

enum opt_type {
    OPT_FLAG,   /* int: 1 when given */
    OPT_SWITCH, /* int: 1 for --NAME, -1 for --no-NAME, 0 when neither was given */
    OPT_STRING, /* const char * */
    OPT_LIST,   /* struct opt_list: may be given any number of times */
    OPT_UINT,   /* unsigned */
    OPT_CHOICE, /* const char *: one of the words */
};

struct opt_list {
    const char **items;
    size_t len;
};

/* An option. A table ends with one whose name is NULL. */
struct opt {
    char letter; /* 0: none */
    const char *name;
    enum opt_type type;
    size_t offset;     /* of its value in the structure that the table fills */
    const char *arg;   /* what its argument is called; NULL: it takes none */
    const char *words; /* OPT_CHOICE: "one|of|these"; others: what completes it, as in cmd.args */
    const char *help;
};

/* What every command understands. */
struct common {
    int quiet;
    int verbose;
    int json;
    int progress;      /* OPT_SWITCH */
    int pager;         /* OPT_SWITCH */
    const char *color; /* "auto", "always", "never"; NULL: auto */
    int usage;         /* -h */
    int manual;        /* --help */
};

struct ctx {
    const struct cmd *cmd;
    struct common common;
    struct vmscm_repo *repo; /* NULL until ctx_repo opened it */
    int color;               /* 1: colour standard output */
};

enum cmd_group { GROUP_START, GROUP_WORK, GROUP_HISTORY, GROUP_REMOTE, GROUP_REPOSITORY, GROUP_HELP, GROUPS };

enum cmd_flag {
    CMD_JSON = 1,     /* understands --json */
    CMD_PROGRESS = 2, /* understands --progress */
    CMD_PAGER = 4,    /* may page its output */
    CMD_HIDDEN = 8,   /* for scripts of ours: not listed, no manual page */
};

struct cmd {
    const char *name;
    const char *summary;       /* one line, lower case, no period */
    const char *const *usage;  /* its forms without "vmscm NAME"; NULL ends */
    const struct opt *options; /* NULL: none of its own */
    size_t options_size;       /* of the structure that the options fill */
    const char *args;          /* what completes its arguments: "machine file*"; NULL: nothing */
    int min_args, max_args;    /* max_args -1: any number */
    enum cmd_group group;
    unsigned flags;
    /* 0, an exit status above 0 (the answer is "no"), or a negative enum vmscm_code and *err. */
    int (*run)(struct ctx *ctx, const void *options, int argc, char **argv,
        struct vmscm_error *err);
};

/* Open the repository to work on as ctx->repo: VMSCM_DIR's, else the one that serves the current
 * directory. Once open it stays. */
int ctx_repo(struct ctx *ctx, struct vmscm_error *err);
/* Where that repository is; the caller frees it with vmscm_free. */
int ctx_path(char **path, struct vmscm_error *err);
/* As ctx_repo, but path's where VMSCM_DIR is not set. */
int ctx_repo_at(struct ctx *ctx, const char *path, struct vmscm_error *err);

#endif
