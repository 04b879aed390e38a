/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib/machine/xmlbound: what would keep libxml2 busy for minutes is refused, and nothing else. */
#include "unit.h"

#include "machine/libvirt.h"
#include "machine/xmlbound.h"

#define LONG (1u << 20)

/* head, what is repeated as often as it fits or `times`, tail, then blanks up to LONG bytes. */
static char *make(const char *head, const char *repeated, size_t times, const char *tail)
{
    char *text = malloc(LONG + 1);
    size_t at = strlen(head), each = strlen(repeated);

    assert_non_null(text);
    memset(text, ' ', LONG);
    text[LONG] = '\0';
    memcpy(text, head, at);
    for (; times && at + each + strlen(tail) < LONG; times--, at += each)
        memcpy(text + at, repeated, each);
    memcpy(text + at, tail, strlen(tail));
    return text;
}

static void bounds(void **state)
{
    static const struct {
        const char *head, *repeated;
        size_t times;
        const char *tail;
        bool fits;
    } table[] = {
        {"<a", " b='c'", 1024, "/>", true},
        {"<a", " b='c'", 1025, "/>", false},
        {"<a", "\tb=\"c>\"", 1025, "/>", false},
        {"<a", " b='c'", SIZE_MAX, "", false},
        {"<a>", "<b c='d'/>", SIZE_MAX, "</a>", true},
        {"<a>", "it's \"", SIZE_MAX, "</a>", true},
        {"<a><!--", "<b 'c'", SIZE_MAX, "--></a>", true},
        {"<a><!--", "", 0, "--><b", true},
        {"<a><![CDATA[", "<b 'c'", SIZE_MAX, "]]></a>", true},
        {"<?xml version='1.0' encoding='UTF-8'?><a", " b='c'", 9, "/>", true},
        {"<?xml version='1.0' encoding = \"utf-8\"?><a", " b='c'", 9, "/>", true},
        {"\xef\xbb\xbf<?xml version='1.0'?><a", " b='c'", 9, "/>", true},
        {"\xef\xbb\xbf<?xml version='1.0'?><a", " b='c'", 1025, "/>", false},
        {"<?xml version='1.0' encoding='UTF-7'?><a", " b='c'", 9, "/>", false},
        {"<?xml version='1.0' encoding='utf-8x'?><a", " b='c'", 9, "/>", false},
        {"<?xml version='1.0' encoding='IBM037'?><a", " b='c'", 9, "/>", false},
        {"\x4c\x6f\xa7\x94", "", 0, "", false},
        {"\xff\xfe", "", 0, "", false},
        {"<a b='", "", 0, "", true},
        {"<", "", 0, "", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *text = make(table[i].head, table[i].repeated, table[i].times, table[i].tail);
        if (vmscm_xmlbound_fits(text, LONG) != table[i].fits)
            fail_msg("%s %zu times", table[i].head, table[i].times);
        text[LONG - 1] = '\0';
        assert_false(vmscm_xmlbound_fits(text, LONG));
        /* A short one is over soon, whatever it is. */
        assert_true(vmscm_xmlbound_fits(text, VMSCM_XMLBOUND_OTHER));
        free(text);
    }
    assert_true(vmscm_xmlbound_fits("", 0));
}

static void no_minutes(void **state)
{
    char *text = make("<domain", " a=''", SIZE_MAX, "/>");
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_machine *m = NULL;
    char **sources = NULL;

    (void)state;
    assert_fails(vmscm_libvirt_parse(&m, &sources, text, LONG, &err), &err, VMSCM_EINPUT,
        "too many attributes");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bounds), cmocka_unit_test(no_minutes)};

    return unit_run(tests);
}
