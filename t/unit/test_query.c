/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/catalog: the language of searches. */
#include "catalog/query.h"
#include "unit.h"

/* A query in full parentheses. */
static void write_query(char *out, size_t size, const struct vmscm_query *q)
{
    static const char *const compares[] = {":", "=", "<", "<=", ">", ">="};
    size_t len;

    if (q->kind == VMSCM_QUERY_TERM) {
        if (q->field == VMSCM_QUERY_WORD)
            snprintf(out, size, "[%s]", q->value);
        else
            snprintf(out, size, "%d%s%s%s%s", (int)q->field, q->version ? "" : compares[q->compare],
                q->value, q->version ? compares[q->compare] : "", q->version ? q->version : "");
        return;
    }
    snprintf(out, size, q->kind == VMSCM_QUERY_NOT ? "(not " : "(");
    len = strlen(out);
    write_query(out + len, size - len, q->left);
    if (q->right) {
        len = strlen(out);
        snprintf(out + len, size - len, q->kind == VMSCM_QUERY_AND ? " and " : " or ");
        len = strlen(out);
        write_query(out + len, size - len, q->right);
    }
    len = strlen(out);
    snprintf(out + len, size - len, ")");
}

static void check_query(const char *text, const char *expected)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_query *q = NULL;
    char out[1024];

    assert_done(vmscm_query_parse(&q, text, &err), &err);
    write_query(out, sizeof out, q);
    assert_string_equal(out, expected);
    vmscm_query_free(q);
}

static void language(void **state)
{
    (void)state;
    check_query("web", "[web]");
    check_query(" a  b c ", "(([a] and [b]) and [c])");
    check_query("a or b c", "([a] or ([b] and [c]))");
    check_query("(a OR b) and NOT c", "(([a] or [b]) and (not [c]))");
    check_query("not not a", "(not (not [a]))");
    check_query("\"and\" order android", "(([and] and [order]) and [android])");
    check_query("\"oracle 10g\"", "[oracle 10g]");
    check_query("version>=12", "4>=12");
    check_query("version:>=12", "4>=12");
    check_query("app:openssl<3", "10openssl<3");
    check_query("app:\"sql server\">=2019 (a)", "(10sql server>=2019 and [a])");
    check_query("app:openssl", "10:openssl");
    check_query("OS:windows", "1:windows");
    check_query("\"http://x\"", "[http://x]");
}

static void mistakes(void **state)
{
    static const struct {
        const char *text, *said, *hint;
    } bad[] = {{"", "column 1: a word", " <-- here"}, {"a or", "column 5: a word", "a or <-- here"},
        {"a and and b", "column 7: a word", "a and  <-- here"}, {"(a", "column 1: the paren", ""},
        {"a)", "column 2: no paren", "a <-- here"}, {"()", "column 2: a word", "( <-- here"},
        {"version:", "column 9: a value", "version: <-- here"}, {"a \"b", "column 3: the quotes", "a "},
        {"\"\"", "column 2: a word", ""}, {"os<3", "column 3: this field is not", "os <-- here"},
        {"app:x<", "column 7: a version", "app:x< <-- here"},
        {"os:windows foo:1", "column 12: there is no", "fields are"},
        {"not", "column 4: a word", "not <-- here"}};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_query *q;
    char many[VMSCM_QUERY_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_fails(vmscm_query_parse(&q, bad[i].text, &err), &err, VMSCM_EUSAGE, bad[i].said);
        if (!strstr(err.hint, bad[i].hint))
            fail_msg("%s: the hint is %s", bad[i].text, err.hint);
        assert_null(q);
    }
    memset(many, '(', sizeof many);
    many[1000] = '\0';
    assert_fails(vmscm_query_parse(&q, many, &err), &err, VMSCM_EUSAGE, "nested too deeply");
    for (size_t i = 0; i < 1000; i++)
        many[i] = i % 2 ? ' ' : 'a';
    assert_fails(vmscm_query_parse(&q, many, &err), &err, VMSCM_EUSAGE, "too many");
    memset(many, 'a', sizeof many);
    many[VMSCM_QUERY_MAX + 1] = '\0';
    assert_fails(vmscm_query_parse(&q, many, &err), &err, VMSCM_EUSAGE, "4096");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(language), cmocka_unit_test(mistakes)};

    return unit_run(tests);
}
