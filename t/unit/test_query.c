/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/catalog: versions compared as dpkg itself does, and the language of searches. */
#include "catalog/query.h"
#include "catalog/vercmp.h"
#include "unit.h"

#include <sys/wait.h>
#include <unistd.h>

static const char *const versions[] = {"0", "1", "1.0", "1.00", "1.0-1", "1.0-2", "1.0-10", "1.0~rc1",
    "1.0~rc1-1", "1.0~~", "1.0~~a", "1.0a", "1.0+b", "1.0.1", "1.10", "1.9", "2:0.1", "1:9", "10", "9",
    "1.0-1~bpo11+1", "1.0-1+deb12u2", "1.0-1+deb12u10", "3.0.11-1~deb12u2", "1.1.1w-0+deb11u1",
    "5.2.3790", "5.2", "1.0-a", "1-1-1", "007"};

static int dpkg(const char *a, const char *op, const char *b)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execlp("dpkg", "dpkg", "--force-bad-version", "--compare-versions", a, op, b, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void as_dpkg(void **state)
{
    const size_t count = sizeof versions / sizeof versions[0];

    (void)state;
    if (dpkg("1", "eq", "1") != 0) {
        skip();
        return;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            int got = vmscm_vercmp(versions[i], versions[k]);
            const char *op = got < 0 ? "lt" : got > 0 ? "gt" : "eq";
            if (dpkg(versions[i], op, versions[k]) != 0)
                fail_msg("dpkg does not say %s %s %s", versions[i], op, versions[k]);
            assert_int_equal(got < 0, vmscm_vercmp(versions[k], versions[i]) > 0);
        }
}

static void dotted(void **state)
{
    static const char *const ascending[] = {"", "0.9", "1.0~rc1", "1.0", "1.0.2u", "1.1.1", "1.1.1w",
        "3.0", "3.0.11", "10.0", "99999999999999999999999999999", "999999999999999999999999999990"};

    (void)state;
    for (size_t i = 0; i + 1 < sizeof ascending / sizeof ascending[0]; i++)
        if (vmscm_vercmp(ascending[i], ascending[i + 1]) >= 0)
            fail_msg("%s is not below %s", ascending[i], ascending[i + 1]);
    assert_true(vmscm_vercmp_within("12.5", "12"));
    assert_true(vmscm_vercmp_within("12", "12"));
    assert_true(vmscm_vercmp_within("1.0.2u", "1.0.2"));
    assert_false(vmscm_vercmp_within("120", "12"));
    assert_false(vmscm_vercmp_within("1", "12"));
}

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_dpkg), cmocka_unit_test(dotted),
        cmocka_unit_test(language), cmocka_unit_test(mistakes)};

    return unit_run(tests);
}
