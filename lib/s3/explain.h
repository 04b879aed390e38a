/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What went wrong with a request, in one line, and what can be done about it. Pure but for the clock. */
#ifndef S3_EXPLAIN_H
#define S3_EXPLAIN_H

#include "s3/http.h"

/* An answer that is an error. place: "s3://BUCKET" or so, for messages. Returns a code, never 0. */
int vmscm_explain_answer(const struct vmscm_http_request *request, const char *place,
    struct vmscm_error *err);

/* No answer. */
int vmscm_explain_silence(const struct vmscm_http_request *request, const char *place,
    struct vmscm_error *err);

/* Whether the answer is one that the same request may not get again. */
bool vmscm_explain_is_passing(const struct vmscm_http_request *request);

#endif
