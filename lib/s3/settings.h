/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Credentials and settings as the AWS tools find them: the environment, then ~/.aws/credentials and
 * ~/.aws/config, by profile. They are never logged, stored, or told in a message.
 */
#ifndef S3_SETTINGS_H
#define S3_SETTINGS_H

#include "base/error.h"

/* Zero-initialised is empty. */
struct vmscm_settings {
    char *access_key; /* these are NULL where nothing says them */
    char *secret_key;
    char *session_token;
    char *region;
    char *endpoint;
    char *ca_bundle;
    char *profile;  /* that was asked for */
    int path_style; /* the configuration asks for it */
};

/* VMSCM_ENOTFOUND: a profile that is named is nowhere; VMSCM_EIO: a file cannot be read. */
int vmscm_settings_read(struct vmscm_settings *out, struct vmscm_error *err);

/* Overwrites what is secret. */
void vmscm_settings_release(struct vmscm_settings *settings);

#endif
