/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said about S3, and what it says: URLs, lists, errors, and which of them pass. */
#include "unit.h"

#include "s3/address.h"
#include "s3/answer.h"
#include "s3/explain.h"

static void urls_are_read(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_address a;

    (void)state;
    assert_done(vmscm_address_parse(&a, "s3://vms", &err), &err);
    assert_string_equal(a.bucket, "vms");
    assert_string_equal(a.prefix, "");
    assert_null(a.endpoint);
    assert_null(a.region);
    assert_int_equal(a.style, VMSCM_ADDRESS_STYLE_ANY);
    vmscm_address_release(&a);
    assert_done(vmscm_address_parse(
                    &a, "s3://vms/a%20b/c//?style=path&endpoint=http://h:9000/&region=eu-1", &err),
        &err);
    assert_string_equal(a.prefix, "a b/c/");
    assert_string_equal(a.endpoint, "http://h:9000");
    assert_string_equal(a.region, "eu-1");
    assert_int_equal(a.style, VMSCM_ADDRESS_STYLE_PATH);
    vmscm_address_release(&a);
    /* Without a scheme it is a safe one. */
    assert_done(vmscm_address_parse(&a, "s3://vms?endpoint=h&endpoint=g&style=host", &err), &err);
    assert_string_equal(a.endpoint, "https://g");
    assert_int_equal(a.style, VMSCM_ADDRESS_STYLE_HOST);
    vmscm_address_release(&a);
}

static void urls_that_are_none(void **state)
{
    static const struct {
        const char *url, *why;
        int rc;
    } bad[] = {
        {"http://vms/x", "is not s3://", VMSCM_EUSAGE},
        {"s3://", "no name of a bucket", VMSCM_EUSAGE},
        {"s3://ab", "no name of a bucket", VMSCM_EUSAGE},
        {"s3://Upper", "no name of a bucket", VMSCM_EUSAGE},
        {"s3://a..b", "no name of a bucket", VMSCM_EUSAGE},
        {"s3://-abc", "no name of a bucket", VMSCM_EUSAGE},
        {"s3://a%2Fbc", "no name of a bucket", VMSCM_EUSAGE},
        {"s3://vms/../x", "no prefix", VMSCM_EUSAGE},
        {"s3://vms/a/%2e%2e/x", "no prefix", VMSCM_EUSAGE},
        {"s3://vms//x", "no prefix", VMSCM_EUSAGE},
        {"s3://vms/a%0Ab", "no prefix", VMSCM_EUSAGE},
        {"s3://vms/a%00b", "%00 in it", VMSCM_EUSAGE},
        {"s3://vms/a%4", "without two digits", VMSCM_EUSAGE},
        {"s3://vms/a%g0", "without two digits", VMSCM_EUSAGE},
        {"s3://vms?region", "without a value", VMSCM_EUSAGE},
        {"s3://vms?style=x", "path or host", VMSCM_EUSAGE},
        {"s3://vms?region=a/b", "no name of a region", VMSCM_EUSAGE},
        {"s3://vms?region=a:b", "no name of a region", VMSCM_EUSAGE},
        {"s3://vms?color=red", "no option", VMSCM_EUSAGE},
        {"s3://vms?endpoint=https://h/path", "no path", VMSCM_EUSAGE},
        {"s3://vms?endpoint=file:///etc/passwd", "no ", VMSCM_EUSAGE},
        {"s3://vms?endpoint=https://", "no endpoint", VMSCM_EUSAGE},
        {"s3://vms?endpoint=-x", "no endpoint", VMSCM_EUSAGE},
        {"s3://KEY:hunter2@vms/x", "credentials", VMSCM_EREFUSED},
        {"s3://vms?endpoint=https://KEY:hunter2@h", "credentials", VMSCM_EREFUSED},
        {"s3://vms?aws_secret_access_KEY=hunter2", "credentials", VMSCM_EREFUSED},
        {"s3://vms?Token=hunter2", "credentials", VMSCM_EREFUSED},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_address a;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        vmscm_error_clear(&err);
        assert_fails(vmscm_address_parse(&a, bad[i].url, &err), &err, bad[i].rc, bad[i].why);
        assert_null(a.bucket);
        /* What it had is not repeated. */
        assert_null(strstr(err.message, "hunter2"));
        assert_null(strstr(err.hint, "hunter2"));
    }
}

static void prefixes_have_a_limit(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_address a;
    char url[800] = "s3://vms/";

    (void)state;
    /* Of pieces, as a component has a limit of its own. */
    size_t at = strlen(url);
    for (size_t i = 0; i < 700; i++)
        url[at++] = i % 100 == 99 && i < 699 ? '/' : 'x';
    assert_done(vmscm_address_parse(&a, url, &err), &err);
    assert_int_equal(strlen(a.prefix), 701);
    vmscm_address_release(&a);
    url[at] = 'x';
    assert_fails(vmscm_address_parse(&a, url, &err), &err, VMSCM_EUSAGE, "no prefix");
}

static void names_are_escaped(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;

    (void)state;
    assert_done(vmscm_address_escape(&buf, "a/b +%&\xc3\xa9~", 1, &err), &err);
    assert_done(vmscm_address_escape(&buf, "/=", 0, &err), &err);
    assert_string_equal(vmscm_buf_str(&buf), "a/b%20%2B%25%26%C3%A9~%2F%3D");
    vmscm_buf_release(&buf);
}

struct keys {
    size_t count;
    char last[VMSCM_ANSWER_KEY_MAX + 1];
    uint64_t size;
    int64_t modified;
    int stop;
};

static int take(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err)
{
    struct keys *k = data;

    (void)err;
    k->count++;
    snprintf(k->last, sizeof k->last, "%s", key);
    k->size = size;
    k->modified = modified;
    return k->stop;
}

static int list(struct keys *k, char **next, const char *xml, struct vmscm_error *err)
{
    vmscm_error_clear(err);
    return vmscm_answer_list(next, xml, strlen(xml), take, k, err);
}

#define CONTENTS(key, size) "<Contents><Key>" key "</Key><Size>" size "</Size></Contents>"
#define LIST(inside) "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"urn:x\">" inside "</ListBucketResult>"

static void lists_are_read(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct keys k = {0};
    char *next;

    (void)state;
    assert_done(list(&k, &next, LIST(""), &err), &err);
    assert_int_equal(k.count, 0);
    assert_null(next);
    assert_done(list(&k, &next,
                    LIST("<IsTruncated>true</IsTruncated>"
                         "<NextContinuationToken>a&amp;b</NextContinuationToken>"
                         "<Contents><LastModified>1970-01-02T00:00:01.000Z</LastModified>"
                         "<Size>18446744073709551615</Size><Key>x&lt;<![CDATA[y]]></Key></Contents>"),
                    &err),
        &err);
    assert_int_equal(k.count, 1);
    assert_string_equal(k.last, "x<y");
    assert_true(k.size == UINT64_MAX);
    assert_int_equal(k.modified, 86401);
    assert_string_equal(next, "a&b");
    free(next);
    k.stop = VMSCM_ECANCELED;
    assert_int_equal(list(&k, &next, LIST(CONTENTS("a", "1") CONTENTS("b", "2")), &err), VMSCM_ECANCELED);
    assert_string_equal(k.last, "a");
    assert_null(next);
}

static void lists_that_are_none(void **state)
{
    static const char *const bad[] = {
        "", " ", "no XML", "<a/>", "<Error><Code>x</Code></Error>", "<ListBucketResult>",
        LIST("<Contents/>"), LIST("<Contents><Key>a</Key></Contents>"),
        LIST("<Contents><Size>1</Size></Contents>"), LIST(CONTENTS("a", "")), LIST(CONTENTS("a", "-1")),
        LIST(CONTENTS("a", "0x10")), LIST(CONTENTS("a", "18446744073709551616")),
        LIST("<IsTruncated>true</IsTruncated>"),
        /* Entities grow, and name files. */
        "<!DOCTYPE ListBucketResult [<!ENTITY a \"aaaa\">]>" LIST(CONTENTS("&a;", "1")),
        "<!DOCTYPE ListBucketResult SYSTEM \"file:///etc/passwd\">" LIST(""),
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct keys k = {0};
    char *next, *text, *key;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_fails(list(&k, &next, bad[i], &err), &err, VMSCM_EINPUT, "a list that");
        assert_null(next);
    }
    assert_int_equal(k.count, 0);
    /* Longer than a key or an answer can be. */
    assert_non_null(key = calloc(1, VMSCM_ANSWER_KEY_MAX + 2));
    memset(key, 'k', VMSCM_ANSWER_KEY_MAX + 1);
    assert_non_null(text = malloc(VMSCM_ANSWER_MAX + 2));
    snprintf(text, VMSCM_ANSWER_MAX, LIST(CONTENTS("%s", "1")), key);
    assert_fails(list(&k, &next, text, &err), &err, VMSCM_EINPUT, "a list that");
    snprintf(text, VMSCM_ANSWER_MAX, LIST(CONTENTS("%s", "1")), key + 1);
    assert_done(list(&k, &next, text, &err), &err);
    memset(text, ' ', VMSCM_ANSWER_MAX + 1);
    memcpy(text, LIST(""), strlen(LIST("")));
    assert_done(vmscm_answer_list(&next, text, VMSCM_ANSWER_MAX, take, &k, &err), &err);
    assert_fails(vmscm_answer_list(&next, text, VMSCM_ANSWER_MAX + 1, take, &k, &err), &err, VMSCM_EINPUT,
        "a list that");
    free(key);
    free(text);
}

static void what_an_error_says_is_bounded(void **state)
{
    char code[64], message[256], xml[2000];
    const char *text = "<Error><Code>No&#9;Such</Code><Message>a\nb\xc3\xa9</Message></Error>";

    (void)state;
    vmscm_answer_error(code, message, text, strlen(text));
    assert_string_equal(code, "NoSuch");
    assert_string_equal(message, "ab");
    snprintf(xml, sizeof xml, "<Error><Code>%0500d</Code><Message>%01000d</Message></Error>", 0, 0);
    vmscm_answer_error(code, message, xml, strlen(xml));
    assert_int_equal(strlen(code), 63);
    assert_int_equal(strlen(message), 255);
    vmscm_answer_error(code, message, NULL, 0);
    assert_string_equal(code, "");
    vmscm_answer_error(code, message, "<html><Code>x</Code></html>", 27);
    assert_string_equal(code, "");
}

/* What is made of an answer of that status with that code in it. */
static int explain(unsigned status, const char *code, bool *passes, struct vmscm_error *err)
{
    struct vmscm_http_request r = {.method = "GET", .status = status, .text = VMSCM_BUF_INIT};
    int rc;

    vmscm_error_clear(err);
    if (*code)
        assert_done(vmscm_buf_printf(&r.text, err,
                        "<Error><Code>%s</Code><Message>m</Message></Error>", code),
            err);
    rc = vmscm_explain_answer(&r, "s3://b", err);
    *passes = vmscm_explain_is_passing(&r);
    vmscm_http_release(&r);
    return rc;
}

static void answers_are_told_apart(void **state)
{
    static const struct {
        unsigned status;
        const char *code;
        int rc;
        bool passes;
        const char *why;
    } cases[] = {
        {404, "NoSuchBucket", VMSCM_ENOTFOUND, false, "no such bucket"},
        {404, "NoSuchKey", VMSCM_ENOTFOUND, false, "no such object"},
        {404, "", VMSCM_ENOTFOUND, false, "no such object"},
        {416, "InvalidRange", VMSCM_EDAMAGED, false, "shorter"},
        {403, "QuotaExceeded", VMSCM_EIO, false, "no space left"},
        {507, "", VMSCM_EIO, false, "no space left"},
        {403, "AccessDenied", VMSCM_EREFUSED, false, "access denied"},
        {401, "", VMSCM_EREFUSED, false, "access denied"},
        {403, "InvalidAccessKeyId", VMSCM_EREFUSED, false, "wrong credentials"},
        {403, "SignatureDoesNotMatch", VMSCM_EREFUSED, false, "wrong credentials"},
        {400, "ExpiredToken", VMSCM_EREFUSED, false, "expired"},
        {403, "RequestTimeTooSkewed", VMSCM_EREFUSED, false, "clock"},
        {301, "PermanentRedirect", VMSCM_EIO, false, "another region"},
        {307, "", VMSCM_EIO, false, "another region"},
        {400, "AuthorizationHeaderMalformed", VMSCM_EIO, false, "another region"},
        {400, "RequestTimeout", VMSCM_EIO, true, "answers 400 RequestTimeout: m"},
        {400, "InvalidArgument", VMSCM_EIO, false, "answers 400"},
        {409, "OperationAborted", VMSCM_EIO, true, "answers 409"},
        {412, "PreconditionFailed", VMSCM_EIO, false, "answers 412"},
        {429, "", VMSCM_EIO, true, "answers 429"},
        {500, "InternalError", VMSCM_EIO, true, "answers 500"},
        {501, "NotImplemented", VMSCM_EIO, false, "answers 501"},
        {502, "", VMSCM_EIO, true, "answers 502"},
        {503, "SlowDown", VMSCM_EIO, true, "answers 503 SlowDown"},
        {504, "", VMSCM_EIO, true, "answers 504"},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    bool passes;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(explain(cases[i].status, cases[i].code, &passes, &err), &err, cases[i].rc, cases[i].why);
        if (passes != cases[i].passes)
            fail_msg("%u %s: tried again or not", cases[i].status, cases[i].code);
        assert_non_null(strstr(err.message, "s3://b: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(urls_that_are_none),
        cmocka_unit_test(prefixes_have_a_limit),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(lists_that_are_none),
        cmocka_unit_test(what_an_error_says_is_bounded),
        cmocka_unit_test(answers_are_told_apart),
    };

    return unit_run(tests);
}
