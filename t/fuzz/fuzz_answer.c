/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target of lib/s3/answer: what an endpoint answers, which may be anyone's. What begins with '<' is
 * a list and an error, anything else is lines of headers.
 */
#include "s3/answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t size)
{
    size_t len = strnlen(text, size);

    if (len == size)
        abort();
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            abort();
}

static int each(void *data, const char *key, uint64_t size, int64_t modified, struct vmscm_error *err)
{
    (void)size, (void)modified, (void)err;
    if (strlen(key) > VMSCM_ANSWER_KEY_MAX)
        abort();
    ++*(size_t *)data;
    return 0;
}

static void read_xml(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    char code[64], message[256], *next = NULL;
    size_t keys = 0;

    if (vmscm_answer_list(&next, data, size, each, &keys, &err) && (next || err.code != VMSCM_EINPUT))
        abort();
    free(next);
    vmscm_answer_error(code, message, data, size);
    check_text(code, sizeof code);
    check_text(message, sizeof message);
}

static void read_headers(const uint8_t *data, size_t size)
{
    struct vmscm_answer_head head = {0};

    for (size_t at = 0, len; at < size; at += len) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        /* In memory of its own, so that reading past its end is seen. */
        char *line = malloc(len = end ? (size_t)(end + 1 - data) - at : size - at);
        if (!line)
            abort();
        memcpy(line, data + at, len);
        vmscm_answer_header(&head, line, len);
        free(line);
        if (head.retry_after > 3600 || head.date < 0)
            abort();
        check_text(head.region, sizeof head.region);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && *data == '<')
        read_xml(data, size);
    else
        read_headers(data, size);
    return 0;
}
