/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to S3: what is sent is signed, what is answered is not trusted, what passes is tried again. */
#include "fakes3.h"

#include "s3/s3.h"

#define LIST(inside) "<ListBucketResult>" inside "</ListBucketResult>"
#define CONTENTS(key) "<Contents><Key>" key "</Key><Size>5</Size></Contents>"
#define MORE(token) \
    "<IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGNED(names, signature) \
    "Authorization: AWS4-HMAC-SHA256 Credential=" FAKES3_KEY "/20130524/us-east-1/s3/aws4_request," \
    "SignedHeaders=" names ",Signature=" signature "\r\n"

static struct vmscm_s3 *open_s3(struct fakes3 **fake, const struct fakes3_answer *answers, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_s3 *s3 = NULL;

    *fake = fakes3_open(answers, count);
    assert_done(vmscm_s3_open(&s3, (*fake)->url, NULL, 0, err), err);
    return s3;
}

/* What this test measures by, measured by the examples of
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
static void the_published_examples_are_signed_so(void **state)
{
    static const char *const examples[] = {
        "GET /test.txt HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\n" SIGNED(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
        "Range: bytes=0-9\r\nx-amz-content-sha256: " EMPTY "\r\nx-amz-date: 20130524T000000Z\r\n\r\n",
        "GET /?lifecycle= HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\n" SIGNED(
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        "x-amz-date: 20130524T000000Z\r\nx-amz-content-sha256: " EMPTY "\r\n\r\n",
        "GET /?max-keys=2&prefix=J HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\n" SIGNED(
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
        "x-amz-date: 20130524T000000Z\r\nx-amz-content-sha256: " EMPTY "\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        assert_true(fakes3_is_signed(examples[i], FAKES3_SECRET));
        assert_false(fakes3_is_signed(examples[i], "another"));
    }
}

static void what_is_sent_is_signed_with_its_body(void **state)
{
    static const struct fakes3_answer ok = {.status = "200 OK"};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char hash[65], value[128];
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, &ok, 1, &err);

    (void)state;
    assert_done(vmscm_s3_put(s3, "a b/+%&\xc3\xa9", "hello", 5, &err), &err);
    assert_done(vmscm_s3_get(s3, "x", &buf, 10, &err), &err);
    assert_done(vmscm_s3_create(s3, "new", "", 0, &err), &err);
    assert_done(vmscm_s3_delete(s3, "old", &err), &err);
    vmscm_s3_close(s3);
    fakes3_stop(f);
    assert_int_equal(f->at, 4);
    for (size_t i = 0; i < f->at; i++) {
        assert_true(fakes3_is_signed(f->requests[i], FAKES3_SECRET));
        assert_null(strstr(f->requests[i], FAKES3_SECRET));
        fakes3_part(value, sizeof value, f->requests[i], "/eu-1/");
        assert_string_equal(value, "s3/aws4_request");
    }
    assert_ptr_equal(strstr(f->requests[0], "PUT /bucket/team/a%20b/%2B%25%26%C3%A9 HTTP"), f->requests[0]);
    fakes3_sha256(hash, "hello", 5);
    assert_true(fakes3_header(value, sizeof value, f->requests[0], "x-amz-content-sha256"));
    assert_string_equal(value, hash);
    assert_false(fakes3_header(value, sizeof value, f->requests[0], "If-None-Match"));
    /* That it is only made anew is signed as well: who is between cannot take that away. */
    assert_true(fakes3_header(value, sizeof value, f->requests[2], "If-None-Match"));
    assert_string_equal(value, "*");
    fakes3_part(value, sizeof value, f->requests[2], "SignedHeaders=");
    assert_non_null(strstr(value, "if-none-match"));
    vmscm_buf_release(&buf);
    fakes3_close(f);
}

static void what_passes_is_tried_again(void **state)
{
    static const struct fakes3_answer answers[] = {
        {.status = "503 Slow Down"},
        {.status = "400 Bad", .body = "<Error><Code>RequestTimeout</Code></Error>"},
        {.status = "200 OK", .body = "half", .lack = 4},
        {.status = "429 Slower", .headers = "Retry-After: 1\r\n"},
        {.status = "200 OK", .body = "all of it"},
        {.status = "403 No", .body = "<Error><Code>AccessDenied</Code></Error>"},
        {.status = "503 Slow Down"},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, answers, 7, &err);

    (void)state;
    assert_done(vmscm_buf_puts(&buf, "was here: ", &err), &err);
    assert_done(vmscm_s3_get(s3, "x", &buf, 9, &err), &err);
    assert_string_equal(vmscm_buf_str(&buf), "was here: all of it");
    assert_fails(vmscm_s3_get(s3, "x", &buf, 9, &err), &err, VMSCM_EREFUSED, "team/x: s3://bucket: access");
    /* Whether it was made is open, and only who asked can tell. */
    vmscm_error_clear(&err);
    assert_fails(vmscm_s3_create(s3, "x", "1", 1, &err), &err, VMSCM_EBUSY, "503");
    vmscm_s3_cancel(s3);
    assert_fails(vmscm_s3_get(s3, "x", &buf, 9, &err), &err, VMSCM_ECANCELED, "canceled");
    vmscm_s3_close(s3);
    fakes3_stop(f);
    assert_int_equal(f->at, 7);
    vmscm_buf_release(&buf);
    fakes3_close(f);
}

static void one_that_is_there_is_not_made(void **state)
{
    static const struct fakes3_answer answers[] = {
        {.status = "412 Precondition Failed"}, {.status = "403 No"}, {.status = "404 Not Found"}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, answers, 3, &err);

    (void)state;
    assert_fails(vmscm_s3_create(s3, "x", "1", 1, &err), &err, VMSCM_EEXIST, "is there already");
    vmscm_error_clear(&err);
    assert_fails(vmscm_s3_create(s3, "x", "1", 1, &err), &err, VMSCM_EREFUSED, "denied");
    vmscm_error_clear(&err);
    assert_done(vmscm_s3_delete(s3, "x", &err), &err); /* gone is gone */
    vmscm_s3_close(s3);
    fakes3_close(f);
}

static void answers_have_the_length_that_they_must(void **state)
{
    static const struct fakes3_answer answers[] = {
        {.status = "200 OK", .body = "0123456789"},
        {.status = "206 Partial Content", .body = "0123456789"},
        {.status = "206 Partial Content", .body = "012"},
        {.status = "200 OK", .body = "0123"},
        {.status = "206 Partial Content", .body = "0123"},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    char out[5] = "", range[64];
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, answers, 5, &err);

    (void)state;
    assert_fails(vmscm_s3_get(s3, "x", &buf, 9, &err), &err, VMSCM_EINPUT, "longer");
    assert_int_equal(buf.len, 0);
    vmscm_error_clear(&err);
    assert_fails(vmscm_s3_get_range(s3, "x", out, 4, 7, &err), &err, VMSCM_EINPUT, "longer");
    assert_string_equal(out + 4, "");
    vmscm_error_clear(&err);
    assert_fails(vmscm_s3_get_range(s3, "x", out, 4, 7, &err), &err, VMSCM_EDAMAGED, "shorter");
    vmscm_error_clear(&err);
    /* The beginning of it all is not what was asked for. */
    assert_fails(vmscm_s3_get_range(s3, "x", out, 4, 7, &err), &err, VMSCM_EINPUT, "range");
    vmscm_error_clear(&err);
    assert_done(vmscm_s3_get_range(s3, "x", out, 4, 7, &err), &err);
    assert_memory_equal(out, "0123", 4);
    vmscm_s3_close(s3);
    fakes3_stop(f);
    assert_true(fakes3_header(range, sizeof range, f->requests[4], "Range"));
    assert_string_equal(range, "bytes=7-10");
    vmscm_buf_release(&buf);
    fakes3_close(f);
}

static int count_key(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err)
{
    size_t *n = data;

    (void)modified, (void)err;
    assert_ptr_equal(strstr(key, "log/"), key);
    assert_int_equal(size, 5);
    ++*n;
    return 0;
}

static void lists_go_on_and_end(void **state)
{
    static const struct fakes3_answer answers[] = {
        {.status = "200 OK", .body = LIST(MORE("t/1=") CONTENTS("team/log/a") CONTENTS("other/log/b"))},
        {.status = "200 OK", .body = LIST(CONTENTS("team/log/c") CONTENTS("team/packs/d") CONTENTS("t"))},
        {.status = "200 OK", .body = LIST(CONTENTS("team/log/a") CONTENTS("team/log/b"))},
        {.status = "200 OK", .body = LIST(MORE("again"))},
        {.status = "200 OK", .body = LIST(MORE("again"))},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, answers, 5, &err);
    size_t n = 0;

    (void)state;
    /* What was not asked for is passed over. */
    assert_done(vmscm_s3_list(s3, "log/", 0, count_key, &n, &err), &err);
    assert_int_equal(n, 2);
    n = 0;
    assert_done(vmscm_s3_list(s3, "log/", 1, count_key, &n, &err), &err);
    assert_int_equal(n, 1);
    /* One that says it goes on where it was would have no end. */
    assert_fails(vmscm_s3_list(s3, "log/", 0, count_key, &n, &err), &err, VMSCM_EINPUT, "does not get on");
    vmscm_s3_close(s3);
    fakes3_stop(f);
    for (size_t i = 0; i < f->at; i++)
        assert_true(fakes3_is_signed(f->requests[i], FAKES3_SECRET));
    assert_non_null(strstr(f->requests[0],
        "GET /bucket?list-type=2&max-keys=1000&prefix=team%2Flog%2F HTTP"));
    assert_non_null(strstr(f->requests[1], "?continuation-token=t%2F1%3D&list-type=2&"));
    assert_non_null(strstr(f->requests[2], "&max-keys=1&"));
    assert_int_equal(f->at, 5);
    fakes3_close(f);
}

static void an_error_without_end_is_not_listened_to(void **state)
{
    static char body[1 << 20];
    const struct fakes3_answer answer = {.status = "403 No", .body = body, .len = sizeof body};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, &answer, 1, &err);
    struct vmscm_http_traffic traffic;

    (void)state;
    memset(body, 'x', sizeof body);
    assert_fails(vmscm_s3_get(s3, "x", &buf, 9, &err), &err, VMSCM_EREFUSED, "denied");
    vmscm_s3_traffic(s3, &traffic);
    assert_true(traffic.requests == 1);
    assert_true(traffic.received < sizeof body);
    vmscm_s3_close(s3);
    vmscm_buf_release(&buf);
    fakes3_close(f);
}

static void without_credentials_nothing_is_asked(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_s3 *s3;

    (void)state;
    unsetenv("AWS_ACCESS_KEY_ID");
    assert_fails(vmscm_s3_open(&s3, "s3://bucket", NULL, 0, &err), &err, VMSCM_EREFUSED, "no credentials");
    setenv("AWS_PROFILE", "nobody", 1);
    vmscm_error_clear(&err);
    assert_fails(vmscm_s3_open(&s3, "s3://bucket", NULL, 0, &err), &err, VMSCM_ENOTFOUND, "nobody");
    unsetenv("AWS_PROFILE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_examples_are_signed_so),
        cmocka_unit_test(what_is_sent_is_signed_with_its_body),
        cmocka_unit_test(what_passes_is_tried_again),
        cmocka_unit_test(one_that_is_there_is_not_made),
        cmocka_unit_test(answers_have_the_length_that_they_must),
        cmocka_unit_test(lists_go_on_and_end),
        cmocka_unit_test(an_error_without_end_is_not_listened_to),
        cmocka_unit_test(without_credentials_nothing_is_asked),
    };

    return unit_run(tests);
}
