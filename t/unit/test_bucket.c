/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log of a repository in a bucket, and what is remembered of uploads: against answers that are none. */
#include "fakes3.h"

#include "bucket/genlog.h"
#include "bucket/uploaded.h"
#include "sys/file.h"

#include <fcntl.h>

#define LIST(key) \
    "<ListBucketResult><Contents><Key>team/" key "</Key><Size>9</Size></Contents></ListBucketResult>"

static struct vmscm_s3 *open_s3(struct fakes3 **fake, const struct fakes3_answer *answers, size_t count,
    struct vmscm_error *err)
{
    struct vmscm_s3 *s3 = NULL;

    *fake = fakes3_open(answers, count);
    assert_done(vmscm_s3_open(&s3, (*fake)->url, NULL, 0, err), err);
    return s3;
}

/* A whole generation, of that number and transaction. */
static struct fakes3_answer generation(struct vmscm_buf *buf, uint64_t number, const uint8_t *transaction)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_generation g = {.number = number, .base = number, .when = 1};

    memcpy(g.transaction, transaction, sizeof g.transaction);
    buf->len = 0;
    assert_done(vmscm_generation_encode(buf, &g, &err), &err);
    return (struct fakes3_answer){.status = "200 OK", .body = (const char *)buf->data, .len = buf->len};
}

static const uint8_t anyone[VMSCM_GENERATION_NAME] = {1, 2, 3};

static void the_newest_is_what_sorts_first(void **state)
{
    static const struct fakes3_answer answers[] = {
        {.status = "200 OK", .body = LIST("log/fffffffffffffffd")},
        {.status = "200 OK", .body = "<ListBucketResult/>"},
        {.status = "200 OK", .body = "<ListBucketResult/>"},
        {.status = "200 OK", .body = LIST("log/0000000000000000")},
        {.status = "200 OK", .body = LIST("log/fffffffffffffffd.bak")},
        {.status = "200 OK", .body = LIST("log/")},
        {.status = "200 OK", .body = LIST("log/fffffffffffffffg")},
        {.status = "200 OK", .body = LIST("log/..")},
        {.status = "200 OK", .body = "garbage"},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, answers, 9, &err);
    uint64_t number = 99;

    (void)state;
    assert_done(vmscm_genlog_newest(&number, s3, &err), &err);
    assert_true(number == 2);
    assert_done(vmscm_genlog_any(&number, s3, &err), &err);
    assert_true(number == 0);
    assert_fails(vmscm_genlog_newest(&number, s3, &err), &err, VMSCM_ENOTFOUND, "no repository");
    vmscm_error_clear(&err);
    assert_done(vmscm_genlog_newest(&number, s3, &err), &err);
    assert_true(number == UINT64_MAX);
    for (int i = 0; i < 4; i++) {
        vmscm_error_clear(&err);
        assert_fails(vmscm_genlog_newest(&number, s3, &err), &err, VMSCM_EINPUT, "no generation's name");
    }
    vmscm_error_clear(&err);
    assert_fails(vmscm_genlog_newest(&number, s3, &err), &err, VMSCM_EINPUT, "cannot be read");
    vmscm_s3_close(s3);
    fakes3_close(f);
}

static void a_generation_is_the_one_that_was_asked_for(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf whole = VMSCM_BUF_INIT, later = VMSCM_BUF_INIT;
    const struct fakes3_answer good = generation(&whole, 7, anyone);
    struct vmscm_generation g;
    uint8_t digest[VMSCM_GENERATION_DIGEST];
    char hash[65], hex[65];
    uint64_t bytes;
    struct fakes3 *f;

    (void)state;
    assert_done(vmscm_buf_append(&later, whole.data, whole.len, &err), &err);
    later.data[later.len - 1] ^= 1;
    const struct fakes3_answer answers[] = {good, good,
        {.status = "200 OK", .body = (const char *)later.data, .len = later.len},
        {.status = "200 OK", .body = good.body, .len = good.len - 1},
        {.status = "200 OK", .body = ""}, {.status = "404 Not Found"}};
    struct vmscm_s3 *s3 = open_s3(&f, answers, 6, &err);
    assert_done(vmscm_genlog_read(&g, digest, &bytes, s3, 7, &err), &err);
    assert_true(g.number == 7 && bytes == good.len);
    fakes3_sha256(hash, good.body, good.len);
    fakes3_hex(hex, digest);
    assert_string_equal(hash, hex);
    vmscm_generation_release(&g);
    assert_fails(vmscm_genlog_read(&g, digest, &bytes, s3, 8, &err), &err, VMSCM_EDAMAGED, "another one");
    for (int i = 0; i < 3; i++) {
        vmscm_error_clear(&err);
        assert_fails(vmscm_genlog_read(&g, digest, &bytes, s3, 7, &err), &err, VMSCM_EDAMAGED,
            "/bucket/team/log/fffffffffffffff8");
    }
    vmscm_error_clear(&err);
    assert_fails(vmscm_genlog_read(&g, digest, &bytes, s3, 7, &err), &err, VMSCM_ENOTFOUND, "no such object");
    vmscm_s3_close(s3);
    fakes3_close(f);
    vmscm_buf_release(&whole);
    vmscm_buf_release(&later);
}

/* Who is told that it is there asks whose it is. */
static void of_those_who_make_one_one_does(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf other = VMSCM_BUF_INIT;
    const struct fakes3_answer answers[] = {
        {.status = "201 Created"},
        {.status = "412 Precondition Failed"}, generation(&other, 7, anyone),
        {.status = "503 Slow Down"}, {.status = "404 Not Found"}, {.status = "200 OK"},
        {.status = "503 Slow Down"}, {.status = "200 OK", .body = "garbage"},
        {.status = "403 No"},
    };
    struct vmscm_generation g = {.number = 7, .base = 7, .when = 1};
    uint8_t digest[VMSCM_GENERATION_DIGEST];
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, answers, 9, &err);
    uint64_t bytes;

    (void)state;
    assert_done(vmscm_genlog_create(&g, digest, &bytes, s3, &err), &err);
    assert_fails(vmscm_genlog_create(&g, digest, &bytes, s3, &err), &err, VMSCM_ECONFLICT, "someone else");
    vmscm_error_clear(&err);
    /* It was not made, so it is made now. */
    assert_done(vmscm_genlog_create(&g, digest, &bytes, s3, &err), &err);
    vmscm_error_clear(&err);
    assert_fails(vmscm_genlog_create(&g, digest, &bytes, s3, &err), &err, VMSCM_EIO, "not known");
    vmscm_error_clear(&err);
    assert_fails(vmscm_genlog_create(&g, digest, &bytes, s3, &err), &err, VMSCM_EREFUSED, "denied");
    vmscm_s3_close(s3);
    fakes3_stop(f);
    assert_int_equal(f->at, 9);
    vmscm_buf_release(&other);
    fakes3_close(f);
}

/* The answer was lost, and what was sent is there: that is told from what it says, not from a clock. */
static void one_whose_answer_was_lost_is_known_again(void **state)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_generation g = {.number = 7, .base = 7, .when = 1};
    static const struct fakes3_answer answers[] = {
        {.status = "503 Slow Down"}, {.status = "200 OK", .echo = true}};
    uint8_t digest[VMSCM_GENERATION_DIGEST];
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, answers, 2, &err);
    uint64_t bytes;

    (void)state;
    assert_done(vmscm_genlog_create(&g, digest, &bytes, s3, &err), &err);
    vmscm_s3_close(s3);
    fakes3_close(f);
}

static void an_endpoint_that_overwrites_is_found_out(void **state)
{
    static const struct fakes3_answer answers[] = {
        /* It keeps to it; */
        {.status = "200 OK"}, {.status = "412 Precondition Failed"}, {.status = "200 OK", .body = "1"},
        {.status = "204 No Content"},
        /* it says that it did both; */
        {.status = "200 OK"}, {.status = "200 OK"}, {.status = "200 OK", .body = "2"},
        {.status = "204 No Content"},
        /* it says no, and does it all the same. */
        {.status = "200 OK"}, {.status = "412 Precondition Failed"}, {.status = "200 OK", .body = "2"},
        {.status = "204 No Content"},
        {.status = "501 Not Implemented"},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct fakes3 *f;
    struct vmscm_s3 *s3 = open_s3(&f, answers, 13, &err);

    (void)state;
    assert_done(vmscm_genlog_probe(s3, &err), &err);
    assert_fails(vmscm_genlog_probe(s3, &err), &err, VMSCM_EREFUSED, "does not honour If-None-Match");
    vmscm_error_clear(&err);
    assert_fails(vmscm_genlog_probe(s3, &err), &err, VMSCM_EREFUSED, "does not honour If-None-Match");
    vmscm_error_clear(&err);
    assert_fails(vmscm_genlog_probe(s3, &err), &err, VMSCM_EIO, "answers 501");
    vmscm_s3_close(s3);
    fakes3_close(f);
}

/* The record of an upload: a file of the mirror's. */
static void uploads_are_remembered_for_a_while(void **state)
{
#define KEY "packs/0a000000000000000000000000000000"
    static const struct fakes3_answer answers[] = {
        {.status = "200 OK", .body = LIST(KEY)},
        {.status = "200 OK", .body = LIST(KEY)},
        {.status = "200 OK", .body = "<ListBucketResult/>"},
        {.status = "500 No"},
    };
    struct vmscm_error err = VMSCM_ERROR_INIT;
    const uint8_t pack[VMSCM_GENERATION_NAME] = {0xab, 1}, other[VMSCM_GENERATION_NAME] = {0xab, 2};
    struct vmscm_uploaded what = {.name = {10}, .seen = 5}, found;
    char dir[] = "/tmp/vmscm-unit-XXXXXX", key[VMSCM_BLOCKS_KEY], path[200];
    struct fakes3 *f;
    struct vmscm_mirror m = {.s3 = open_s3(&f, answers, 4, &err), .base = 5, .number = 6};
    bool there;

    (void)state;
    assert_non_null(m.dir = mkdtemp(dir));
    vmscm_blocks_key(key, what.name);
    assert_string_equal(key, KEY);
    assert_done(vmscm_uploaded_find(&found, &there, &m, pack, 9, &err), &err);
    assert_false(there);
    assert_done(vmscm_uploaded_note(&m, pack, &what, &err), &err);
    assert_done(vmscm_uploaded_find(&found, &there, &m, pack, 9, &err), &err);
    assert_true(there && found.seen == 5 && memcmp(found.name, what.name, sizeof what.name) == 0);
    /* Another size, or not there any more; */
    assert_done(vmscm_uploaded_find(&found, &there, &m, pack, 10, &err), &err);
    assert_false(there);
    assert_done(vmscm_uploaded_find(&found, &there, &m, pack, 9, &err), &err);
    assert_false(there);
    /* of a generation that is not read any more, or of a future; */
    m.base = 6;
    assert_done(vmscm_uploaded_find(&found, &there, &m, pack, 9, &err), &err);
    assert_false(there);
    m.base = m.number = 4;
    assert_done(vmscm_uploaded_find(&found, &there, &m, pack, 9, &err), &err);
    assert_false(there);
    m.base = 5, m.number = 6;
    /* torn. */
    snprintf(path, sizeof path, "%s/uploaded/ab010000000000000000000000000000", dir);
    assert_int_equal(truncate(path, 23), 0);
    assert_done(vmscm_uploaded_find(&found, &there, &m, pack, 9, &err), &err);
    assert_false(there);
    assert_int_equal(truncate(path, 25), 0);
    assert_done(vmscm_uploaded_find(&found, &there, &m, pack, 9, &err), &err);
    assert_false(there);
    /* Such are swept, and those that are too old; no others. */
    assert_done(vmscm_uploaded_note(&m, other, &what, &err), &err);
    vmscm_uploaded_sweep(&m);
    assert_false(vmscm_file_exists(path));
    snprintf(path, sizeof path, "%s/uploaded/ab020000000000000000000000000000", dir);
    assert_true(vmscm_file_exists(path));
    m.base = 6;
    vmscm_uploaded_sweep(&m);
    assert_false(vmscm_file_exists(path));
    assert_done(vmscm_uploaded_note(&m, other, &what, &err), &err);
    vmscm_uploaded_forget(&m, other);
    vmscm_uploaded_forget(&m, other);
    assert_false(vmscm_file_exists(path));
    vmscm_s3_close(m.s3);
    fakes3_stop(f);
    assert_int_equal(f->at, 3);
    fakes3_close(f);
    assert_done(vmscm_file_remove_tree(dir, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_is_what_sorts_first),
        cmocka_unit_test(a_generation_is_the_one_that_was_asked_for),
        cmocka_unit_test(of_those_who_make_one_one_does),
        cmocka_unit_test(one_whose_answer_was_lost_is_known_again),
        cmocka_unit_test(an_endpoint_that_overwrites_is_found_out),
        cmocka_unit_test(uploads_are_remembered_for_a_while),
    };

    return unit_run(tests);
}
