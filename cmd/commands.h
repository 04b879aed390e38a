/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every command there is. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cmd.h"
#include <stdio.h>

extern const struct cmd cmd_bundle, cmd_cat, cmd_export, cmd_checkin, cmd_checkout, cmd_clone, cmd_comment,
    cmd_complete_words, cmd_completions, cmd_config, cmd_diff, cmd_fetch, cmd_fsck, cmd_gc,
    cmd_help, cmd_init, cmd_inspect, cmd_list, cmd_log, cmd_ls, cmd_mount, cmd_nbd, cmd_prune, cmd_pull,
    cmd_push, cmd_remote, cmd_remote_serve, cmd_rename, cmd_rm, cmd_run, cmd_sbom, cmd_search, cmd_service,
    cmd_show, cmd_stats, cmd_status, cmd_tag, cmd_thicken, cmd_unmount, cmd_version;

/* All of them, in the order in which help shows them; NULL ends. */
extern const struct cmd *const commands_all[];

/* What may stand before the command, and what it fills. */
struct globals {
    struct opt_list directories; /* -C */
    int version;
    struct common common;
};
extern const struct opt commands_globals[];

const struct cmd *commands_find(const char *name); /* NULL if there is none */
/* The command with the nearest name; NULL if none is near. */
const struct cmd *commands_nearest(const char *name);

/* What `vmscm -h` prints; the commands in their groups. */
void commands_overview(FILE *out);

#endif
