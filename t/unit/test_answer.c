/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/s3/answer: headers. Lists and errors are in test_s3.c. */
#include "unit.h"

#include "s3/answer.h"

static void take(struct vmscm_answer_head *head, const char *line)
{
    size_t len = strlen(line);
    char *copy = malloc(len ? len : 1);

    /* It need not be terminated. */
    assert_non_null(copy);
    memcpy(copy, line, len);
    vmscm_answer_header(head, copy, len);
    free(copy);
}

static void headers(void **state)
{
    struct vmscm_answer_head head = {0};

    (void)state;
    take(&head, "HTTP/1.1 503 Slow Down\r\n");
    take(&head, "RETRY-AFTER:\t 120 \r\n");
    take(&head, "Date: Mon, 30 Nov 2026 09:47:36 GMT\r\n");
    take(&head, "x-amz-bucket-region:eu-central-1");
    take(&head, "\r\n");
    assert_int_equal(head.retry_after, 120);
    assert_int_equal(head.date, 1796032056);
    assert_string_equal(head.region, "eu-central-1");
}

static void odd_headers(void **state)
{
    static const char *const lines[] = {"", "\r\n", "date", "Date:", "Date: \t\r\n", "Date: soon",
        "Retry-After: -1", "Retry-After: 3601", "Retry-After: 99999999999999999999", "Retry-After: 1s",
        "Retry-After-All: 5", "x-amz-bucket-regions: a", "x-amz-bucket-region: \x1b\x9b\x7f\r\n",
        "x-amz-bucket-region: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct vmscm_answer_head head = {0};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        take(&head, lines[i]);
        if (head.retry_after || head.date || head.region[0])
            fail_msg("%s: was taken for something", lines[i]);
    }
    take(&head, "x-amz-bucket-region: \x1b[1meu\n");
    assert_string_equal(head.region, "[1meu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers), cmocka_unit_test(odd_headers)};

    return unit_run(tests);
}
