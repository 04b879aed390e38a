/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a bucket is: s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME&style=path|host]. Pure.
 */
#ifndef S3_ADDRESS_H
#define S3_ADDRESS_H

#include "base/buf.h"

enum vmscm_address_style { VMSCM_ADDRESS_STYLE_ANY, VMSCM_ADDRESS_STYLE_PATH, VMSCM_ADDRESS_STYLE_HOST };

/* Zero-initialised is empty. */
struct vmscm_address {
    char *bucket;
    char *prefix;   /* "" or ends with a slash */
    char *endpoint; /* "https://HOST[:PORT]"; NULL: not said */
    char *region;   /* NULL: not said */
    enum vmscm_address_style style;
};

/* VMSCM_EUSAGE: none such; VMSCM_EREFUSED: it has credentials in it, which no message repeats. */
int vmscm_address_parse(struct vmscm_address *out, const char *url, struct vmscm_error *err);
void vmscm_address_release(struct vmscm_address *address);

/* SCHEME://HOST[:PORT] without a path or a user, of what names an endpoint; *out is the caller's. Errors as
 * above. */
int vmscm_address_endpoint(char **out, const char *text, struct vmscm_error *err);

/* Append s as it is written in a URL; slashes stay if they are kept. */
int vmscm_address_escape(struct vmscm_buf *buf, const char *s, int keep_slash, struct vmscm_error *err);

#endif
