/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Licences: expressions of SPDX's (lib/inspect/licenseid), Debian's files (contrib/inspect/copyright), and
 * the archive these come in (contrib/inspect/doctar). */
#include "copyright.h"
#include "doctar.h"
#include "inspect/licenseid.h"
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#define FORM "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
#define HEAD FORM "Upstream-Name: x\n\n"

static void expressions(void **state)
{
    static const char *const good[] = {"MIT", "mit", "GPL-2.0-or-later", "GPL-2.0+", "MIT AND ISC", "(MIT)",
        "MIT OR (ISC AND (Zlib))", "GPL-2.0-only WITH Linux-syscall-note", "LicenseRef-x.y-1",
        "LicenseRef-deb-a OR MIT", "(MIT OR ISC) AND Zlib"};
    static const char *const bad[] = {"", " ", "MIT ISC", "MIT and ISC", "MIT AND",
        "AND MIT", "MIT ANDISC", "(MIT",
        "MIT)", "GPLv2+", "GPL-2+", "MIT/X11", "LicenseRef-", "LicenseRef-12", "MIT WITH", "MIT WITH own",
        "MIT OR ()", "MITx", "MI", "Artistic License"};
    char deep[200];
    const char *at, *ref;
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!vmscm_licenseid_is_expression(good[i]))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (vmscm_licenseid_is_expression(bad[i]))
            fail_msg("taken: %s", bad[i]);
    memset(deep, '(', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    assert_false(vmscm_licenseid_is_expression(deep));
    assert_string_equal(vmscm_licenseid_find("bsd-3-clause", 12), "BSD-3-Clause");
    assert_string_equal(vmscm_licenseid_find("0BSD", 4), "0BSD");
    assert_string_equal(vmscm_licenseid_find("zpl-2.1", 7), "ZPL-2.1");
    assert_null(vmscm_licenseid_find("", 0));
    at = "LicenseRef-a AND MIT AND LicenseRef-b.c)";
    ref = vmscm_licenseid_next_ref(&at, &len);
    assert_true(len == 12 && strncmp(ref, "LicenseRef-a", len) == 0);
    ref = vmscm_licenseid_next_ref(&at, &len);
    assert_true(len == 14 && strncmp(ref, "LicenseRef-b.c", len) == 0);
    assert_null(vmscm_licenseid_next_ref(&at, &len));
}

/* NULL: none. */
static void check_text(const char *text, const char *want)
{
    char *got = copyright_license(text);

    if (want)
        assert_non_null(got);
    if (want)
        assert_string_equal(got, want);
    else if (got)
        fail_msg("%s: %s", text, got);
    free(got);
}

static void check_line(const char *line, const char *want)
{
    char text[4096];

    snprintf(text, sizeof text, HEAD "Files: *\nCopyright: 2026 x\nLicense: %s\n Text.\n", line);
    check_text(text, want);
}

static void names(void **state)
{
    (void)state;
    check_line("GPL-2+", "GPL-2.0-or-later");
    check_line("GPL-2", "GPL-2.0-only");
    check_line("GPLv3+", "GPL-3.0-or-later");
    check_line("gpl-2.0-or-later", "GPL-2.0-or-later");
    check_line("LGPL-2.1", "LGPL-2.1-only");
    check_line("AGPL-3+", "AGPL-3.0-or-later");
    check_line("GFDL-1.3+", "GFDL-1.3-or-later");
    check_line("GFDL-NIV-1.3", "GFDL-1.3-no-invariants-only");
    check_line("GPL", "LicenseRef-deb-GPL");
    check_line("GPL-9", "LicenseRef-deb-GPL-9");
    check_line("GPL-2-oracle", "LicenseRef-deb-GPL-2-oracle");
    check_line("Expat", "MIT");
    check_line("BSD-3-clause", "BSD-3-Clause");
    check_line("Apache-2", "Apache-2.0");
    check_line("Artistic", "LicenseRef-deb-Artistic");
    check_line("Artistic-2", "Artistic-2.0");
    check_line("MPL-1.1+", "MPL-1.1+");
    check_line("public-domain", "LicenseRef-deb-public-domain");
    check_line("LGPLv3+_or_GPLv2+", "LicenseRef-deb-LGPLv3plus-or-GPLv2plus");
}

static void lines(void **state)
{
    char longer[1400];

    (void)state;
    check_line("GPL-1+ or Artistic", "GPL-1.0-or-later OR LicenseRef-deb-Artistic");
    check_line("GPL-2 and MIT or ISC", "GPL-2.0-only AND MIT OR ISC");
    check_line("MIT or ISC, and Zlib", "(MIT OR ISC) AND Zlib");
    check_line("MIT, or ISC and Zlib", "MIT OR (ISC AND Zlib)");
    check_line("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note");
    check_line("Apache-2.0 with LLVM exception and MIT", "Apache-2.0 WITH LLVM-exception AND MIT");
    check_line("GPL-2+ with OpenSSL exception", "LicenseRef-deb-GPL-2plus-with-OpenSSL-exception");
    check_line("Artistic with Bison exception", "LicenseRef-deb-Artistic-with-Bison-exception");
    /* What is not clear is not told. */
    check_line("MIT, ISC", NULL);
    check_line("MIT, ISC and Zlib", NULL);
    check_line("MIT and/or ISC", NULL);
    check_line("MIT or", NULL);
    check_line("or MIT", NULL);
    check_line(",", NULL);
    check_line("GPL-2 with", NULL);
    check_line("GPL-2 with my exception clause", NULL);
    check_line("Permission to use, copy, modify", NULL);
    check_line("MIT, and ISC, or Zlib", NULL);
    check_line("\xc3\xa9t\xc3\xa9", NULL);
    check_line("(MIT)", NULL);
    check_line("", NULL);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    check_line(longer, NULL);
    for (size_t i = 3; i < sizeof longer - 1; i += 4)
        memcpy(longer + i - 3, "a or", 4);
    check_line(longer, NULL);
}

static void files(void **state)
{
    char many[16384] = HEAD;

    (void)state;
    check_text("", NULL);
    check_text("This is free software.\n\nLicense: MIT\n", NULL);
    check_text("Files: *\nLicense: MIT\n", NULL);
    check_text(HEAD, NULL);
    check_text(HEAD "Files: *\nLicense: MIT", "MIT");
    check_text("Format: http://svn.debian.org/wsvn/dep/web/deps/dep5.mdwn?rev=135\r\n\r\nFiles: *\r\n"
               "License: MIT\r\n", "MIT");
    /* A summary counts where there is nothing else; what is of no files is a text. */
    check_text("Format: x/copyright-format/1.0/\nLicense: ISC\n\nLicense: Zlib\n text\n", "ISC");
    check_text(FORM "License: ISC\n\nFiles: *\nLicense: MIT\n\nLicense: Zlib\n text\n", "MIT");
    check_text(HEAD "Files: *\nLicense: MIT or ISC\n\nFiles: a\n b\nLicense: Zlib\n\nFiles: c\n"
                    "License: MIT or ISC\n",
        "(MIT OR ISC) AND Zlib");
    check_text(HEAD "Files: *\nLicense: MIT\n\nFiles: c\nLicense: MIT and ISC\n", "MIT AND ISC");
    check_text(HEAD "Files: *\nLicense: MIT\n\nFiles: c\nCopyright: x\n", NULL);
    check_text(HEAD "Files: *\nLicense: MIT\n\nFiles: c\nLicense: a b c\n", NULL);
    check_text(HEAD "Files: *\nComment: License: ISC\nLicense: MIT\n License: Zlib\nLicense: X11\n", "MIT");
    for (size_t i = 0, len = strlen(many); i < 100; i++)
        len += (size_t)snprintf(many + len, sizeof many - len, "Files: %zu\nLicense: own-%zu\n\n", i, i);
    check_text(many, NULL);
}

/* A header as tar writes it, and its content in whole blocks. */
static size_t entry(char *at, const char *name, char kind, const char *content, const char *link)
{
    size_t size = strlen(content), sum = 0;

    memset(at, 0, 1024);
    snprintf(at, 100, "%s", name);
    snprintf(at + 124, 12, "%011o", (unsigned)size);
    at[156] = kind;
    snprintf(at + 157, 100, "%s", link);
    memcpy(at + 257, "ustar  ", 8);
    memset(at + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (unsigned char)at[i];
    snprintf(at + 148, 8, "%06o", (unsigned)(sum & 0777777));
    memcpy(at + 512, content, size);
    return size ? 1024 : 512;
}

static void read_archive(json_t *licenses, json_t *links, const char *bytes, size_t size)
{
    char path[] = "/tmp/vmscm-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    unlink(path);
    doctar_read(fd, licenses, links);
    close(fd);
}

static void archives(void **state)
{
    static char bytes[16 * 1024];
    json_t *licenses = facts_object(), *links = facts_object();
    size_t len = 0, whole;

    (void)state;
    len += entry(bytes + len, "./", '5', "", "");
    len += entry(bytes + len, "./a/", '5', "", "");
    len += entry(bytes + len, "./a/copyright", '0', HEAD "Files: *\nLicense: MIT\n", "");
    len += entry(bytes + len, "./b", '2', "", "a");
    len += entry(bytes + len, "./c/copyright", '2', "", "../b/copyright");
    len += entry(bytes + len, "./d/copyright", '1', "", "./a/copyright");
    len += entry(bytes + len, "./e", '2', "", "f");
    len += entry(bytes + len, "./f", '2', "", "e");
    len += entry(bytes + len, "./g", '2', "", "/etc/passwd");
    len += entry(bytes + len, "./h/x/copyright", '0', HEAD "Files: *\nLicense: ISC\n", "");
    len += entry(bytes + len, "./i/copyright", '6', "", "");
    len += entry(bytes + len, "./j/copyright", '0', HEAD "Files: *\nLicense: Zlib\n", "");
    whole = len;
    len += entry(bytes + len, "./k/copyright", '0', HEAD "Files: *\nLicense: ISC\n", "");
    bytes[whole + 148] = '7';
    read_archive(licenses, links, bytes, len);
    assert_string_equal(doctar_find(licenses, links, "a"), "MIT");
    assert_string_equal(doctar_find(licenses, links, "b"), "MIT");
    assert_string_equal(doctar_find(licenses, links, "c"), "MIT");
    assert_string_equal(doctar_find(licenses, links, "d"), "MIT");
    assert_string_equal(doctar_find(licenses, links, "j"), "Zlib");
    for (const char *p = "efghikl"; *p; p++) {
        const char name[] = {*p, '\0'};
        assert_null(doctar_find(licenses, links, name));
    }
    json_decref(licenses);
    json_decref(links);
    /* Cut anywhere, it is read as far as it goes. */
    for (size_t cut = 0; cut < whole; cut += 97) {
        licenses = facts_object();
        links = facts_object();
        read_archive(licenses, links, bytes, cut);
        assert_true(json_object_size(licenses) <= 2);
        json_decref(licenses);
        json_decref(links);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(expressions), cmocka_unit_test(names),
        cmocka_unit_test(lines), cmocka_unit_test(files), cmocka_unit_test(archives)};

    return unit_run(tests);
}
