/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "s3/explain.h"
#include "s3/answer.h"

#include <string.h>
#include <time.h>

#define SKEW 300 /* seconds that are worth a word */

static bool is_one_of(const char *code, const char *const *codes)
{
    for (; *codes; codes++)
        if (strcmp(code, *codes) == 0)
            return true;
    return false;
}

static int explain_skew(const struct vmscm_http_request *r, const char *place, struct vmscm_error *err)
{
    int64_t off = r->head.date ? (int64_t)time(NULL) - r->head.date : 0;
    int64_t size = off < 0 ? -off : off;

    if (size < SKEW)
        vmscm_error_set(err, VMSCM_EREFUSED, "%s: the clock of this machine differs too much from its own",
            place);
    else
        vmscm_error_set(err, VMSCM_EREFUSED, "%s: the clock of this machine is %lld minutes %s", place,
            (long long)(size / 60), off < 0 ? "behind" : "ahead");
    return vmscm_error_hint(err, "set the clock; signatures are good for minutes");
}

static int explain_forbidden(const struct vmscm_http_request *r, const char *code, const char *place,
    struct vmscm_error *err)
{
    static const char *const keys[] = {"InvalidAccessKeyId", "SignatureDoesNotMatch",
        "InvalidSecurity", "NotSignedUp", NULL};
    static const char *const expired[] = {"ExpiredToken", "ExpiredTokenException",
        "TokenRefreshRequired", "InvalidToken", "RequestExpired", NULL};

    if (strcmp(code, "RequestTimeTooSkewed") == 0)
        return explain_skew(r, place, err);
    if (is_one_of(code, expired)) {
        vmscm_error_set(err, VMSCM_EREFUSED, "%s: the session token has expired, or is not valid", place);
        return vmscm_error_hint(err, "log in again, as with 'aws sso login', and export the new credentials");
    }
    if (is_one_of(code, keys)) {
        vmscm_error_set(err, VMSCM_EREFUSED, "%s: wrong credentials (%s)", place, code);
        return vmscm_error_hint(
            err, "AWS_PROFILE, AWS_ACCESS_KEY_ID and ~/.aws/credentials say which are used");
    }
    if (strcmp(code, "QuotaExceeded") == 0)
        return vmscm_error_set(err, VMSCM_EIO, "%s: no space left there: the quota is used up", place);
    vmscm_error_set(err, VMSCM_EREFUSED, "%s: access denied%s%s%s", place, *code ? " (" : "", code,
        *code ? ")" : "");
    return vmscm_error_hint(err, "the credentials are known there, but may not do this");
}

int vmscm_explain_answer(const struct vmscm_http_request *r, const char *place,
    struct vmscm_error *err)
{
    char code[64], message[256];

    vmscm_answer_error(code, message, r->text.data, r->text.len);
    if (strcmp(code, "NoSuchBucket") == 0) {
        vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: there is no such bucket", place);
        return vmscm_error_hint(err, "vmscm makes none; is the endpoint the right one?");
    }
    if (r->status == 404)
        return vmscm_error_set(err, VMSCM_ENOTFOUND, "%s: there is no such object", place);
    if (r->status == 416)
        return vmscm_error_set(err, VMSCM_EDAMAGED, "%s: the object is shorter than it should be", place);
    if (strcmp(code, "QuotaExceeded") == 0 || r->status == 507)
        return vmscm_error_set(err, VMSCM_EIO, "%s: no space left there", place);
    if (r->status == 403 || r->status == 401 || strcmp(code, "ExpiredToken") == 0 ||
        strcmp(code, "InvalidToken") == 0 || strcmp(code, "TokenRefreshRequired") == 0 ||
        strcmp(code, "RequestTimeTooSkewed") == 0)
        return explain_forbidden(r, code, place, err);
    if (r->status / 100 == 3 || strcmp(code, "AuthorizationHeaderMalformed") == 0) {
        vmscm_error_set(err, VMSCM_EIO, "%s: is in another region%s%s", place, *r->head.region ? ": " : "",
            r->head.region);
        return vmscm_error_hint(err, "add region=NAME to the URL, or set AWS_REGION");
    }
    return vmscm_error_set(err, VMSCM_EIO, "%s: answers %u%s%s%s%s", place, r->status, *code ? " " : "",
        code, *message ? ": " : "", message);
}

int vmscm_explain_silence(const struct vmscm_http_request *r, const char *place,
    struct vmscm_error *err)
{
    if (vmscm_http_is_distrust(r)) {
        vmscm_error_set(err, VMSCM_EREFUSED, "%s: its certificate is not trusted: %s", place, r->why);
        return vmscm_error_hint(err, "AWS_CA_BUNDLE names a file of certificates that are");
    }
    return vmscm_error_set(err, VMSCM_EIO, "%s: %s", place, r->why);
}

bool vmscm_explain_is_passing(const struct vmscm_http_request *r)
{
    char code[64], message[256];

    if (r->status == 429 || (r->status >= 500 && r->status != 501 && r->status != 507))
        return true;
    if (r->status != 400 && r->status != 409)
        return false;
    vmscm_answer_error(code, message, r->text.data, r->text.len);
    return r->status == 409 || strcmp(code, "RequestTimeout") == 0;
}
