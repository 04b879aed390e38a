/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A package's licence is that of all its files: the short names of stanzas with Files, each once. A name is
 * taken for an identifier of SPDX's where the specification of the form says what it means, or where it is
 * written as SPDX writes it. What cannot be read for sure spoils the whole: nothing is better than half.
 */
#include "copyright.h"
#include "inspect/licenseid.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORDS_MAX 64   /* of one licence */
#define STANZAS_MAX 64 /* that differ */
#define NAME_MAX_LENGTH 64

/* Text that grows till it is too long, which spoils it. */
struct text {
    char bytes[COPYRIGHT_LICENSE_MAX + 1];
    size_t len;
    int bad;
};

static void put(struct text *t, const char *bytes, size_t len)
{
    if (t->bad || len > COPYRIGHT_LICENSE_MAX - t->len) {
        t->bad = 1;
        return;
    }
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
    t->bytes[t->len] = '\0';
}

static void puts_to(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

static int is_same(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

/* Words of a licence, commas among them. */
struct words {
    char *list[WORDS_MAX + 1]; /* NULL ends */
    size_t at;
};

/* GNU's: LGPL-2.1+, GPLv3, GFDL-NIV-1.3+. Into out; 0: it is none. */
static int put_gnu(struct text *out, const char *name)
{
    static const char *const families[] = {"GFDL-NIV", "GFDL", "AGPL", "LGPL", "GPL"};
    char id[NAME_MAX_LENGTH + 32];
    const char *found, *p = NULL, *end;

    for (size_t i = 0; i < sizeof families / sizeof families[0] && !p; i++) {
        size_t len = strlen(families[i]);
        if (strncasecmp(name, families[i], len) == 0 && (name[len] == '-' || tolower(name[len]) == 'v'))
            p = name + len + 1;
    }
    if (!p || !isdigit((unsigned char)*p))
        return 0;
    size_t number = strspn(p, "0123456789."), family = (size_t)(p - 1 - name);
    int free = family > 4 && name[0] != 'L'; /* GFDL-NIV */
    end = p + number;
    int later = strcmp(end, "+") == 0 || is_same(end, "-or-later");
    if (*end && !later && !is_same(end, "-only"))
        return 0;
    snprintf(id, sizeof id, "%.*s-%.*s%s%s%s", free ? 4 : (int)family, name, (int)number, p,
        memchr(p, '.', number) ? "" : ".0", free ? "-no-invariants" : "", later ? "-or-later" : "-only");
    if ((found = vmscm_licenseid_find(id, strlen(id))))
        puts_to(out, found);
    return found != NULL;
}

/* An identifier of SPDX's; 0: there is none for sure. */
static int put_id(struct text *out, const char *name)
{
    static const char *const meant[][2] = {{"Expat", "MIT"}, {"CC0", "CC0-1.0"},
        {"OpenLDAP-2.8", "OLDAP-2.8"},
        {"QPL", "QPL-1.0"}, {"Zope-1.1", "ZPL-1.1"}, {"Zope-2.0", "ZPL-2.0"}, {"Zope-2.1", "ZPL-2.1"}};
    /* What SPDX calls so is one of many that are called so. */
    static const char *const unsure[] = {"Intel", "Xerox", "RSA-MD", "Fair", "Cube", "Glide",
        "Plexus", "Barr"};
    size_t len = strlen(name);
    const char *found;
    char longer[NAME_MAX_LENGTH + 4];

    for (size_t i = 0; i < sizeof unsure / sizeof unsure[0]; i++)
        if (is_same(name, unsure[i]))
            return 0;
    for (size_t i = 0; i < sizeof meant / sizeof meant[0]; i++)
        if (is_same(name, meant[i][0])) {
            puts_to(out, meant[i][1]);
            return 1;
        }
    if (put_gnu(out, name))
        return 1;
    /* GNU's without "only" or "or later" are what SPDX has given up. */
    if (strncasecmp(name, "GPL", 3) == 0 || strncasecmp(name + 1, "GPL", 3) == 0 ||
        strncasecmp(name, "GFDL", 4) == 0)
        return 0;
    int plus = name[len - 1] == '+';
    len -= (size_t)plus;
    snprintf(longer, sizeof longer, "%.*s.0", (int)len, name);
    if (!(found = vmscm_licenseid_find(name, len)) && len && isdigit((unsigned char)name[len - 1]))
        found = vmscm_licenseid_find(longer, strlen(longer));
    if (!found)
        return 0;
    puts_to(out, found);
    puts_to(out, plus ? "+" : "");
    return 1;
}

static void put_ref(struct text *out, const char *name)
{
    puts_to(out, "LicenseRef-deb-");
    for (; *name; name++)
        if (*name == '+')
            puts_to(out, "plus");
        else
            put(out, isalnum((unsigned char)*name) || *name == '.' ? name : "-", 1);
}

static int is_name(const char *word)
{
    static const char others[] = ".+-_~/:";
    size_t len = strlen(word);

    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)word[i]) && !strchr(others, word[i]))
            return 0;
    return len && len <= NAME_MAX_LENGTH && isalnum((unsigned char)word[0]) && !is_same(word, "and") &&
        !is_same(word, "or") && !is_same(word, "and/or") && !is_same(word, "with");
}

static const char *peek(const struct words *w)
{
    return w->list[w->at] ? w->list[w->at] : "";
}

static int is_end(const char *word)
{
    return is_same(word, "exception") || is_same(word, "exceptions");
}

/* "GPL-2 with Linux-syscall-note exception". */
static void put_exception(struct text *out, struct words *w, const char *name)
{
    static const char *const known[][2] = {{"Linux-syscall-note", "Linux-syscall-note"},
        {"LLVM", "LLVM-exception"}, {"Classpath", "Classpath-exception-2.0"},
        {"Bison", "Bison-exception-2.2"}};
    char all[NAME_MAX_LENGTH * 4], which[NAME_MAX_LENGTH * 2] = "";
    struct text id = {.len = 0};

    for (w->at++; is_name(peek(w)) && !is_end(peek(w)); w->at++) {
        size_t len = strlen(which);
        if (len + strlen(peek(w)) + 2 > NAME_MAX_LENGTH)
            out->bad = 1;
        else
            snprintf(which + len, sizeof which - len, "%s%s", len ? "-" : "", peek(w));
    }
    if (!*which || !is_end(peek(w))) {
        out->bad = 1;
        return;
    }
    w->at++;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (is_same(which, known[i][0]) && put_id(&id, name)) {
            put(out, id.bytes, id.len);
            puts_to(out, " WITH ");
            puts_to(out, known[i][1]);
            return;
        }
    snprintf(all, sizeof all, "%s-with-%s-exception", name, which);
    put_ref(out, all);
}

static void put_name(struct text *out, struct words *w)
{
    const char *name = peek(w);

    if (!is_name(name)) {
        out->bad = 1;
        return;
    }
    w->at++;
    if (is_same(peek(w), "with"))
        put_exception(out, w, name);
    else if (!put_id(out, name))
        put_ref(out, name);
}

/* Names with and, which binds tighter, and or; up to a comma or the end. *some: which of them there were. */
static void put_names(struct text *out, struct words *w, int *ands, int *ors)
{
    put_name(out, w);
    while (!out->bad && (is_same(peek(w), "and") || is_same(peek(w), "or"))) {
        int and = is_same(peek(w), "and");
        *ands |= and;
        *ors |= !and;
        puts_to(out, and ? " AND " : " OR ");
        w->at++;
        put_name(out, w);
    }
    if (*peek(w) && strcmp(peek(w), ",") != 0)
        out->bad = 1;
}

/* A line: *any_or, it has to be in parentheses where others are meant with it. A comma makes what is before
 * it one: "A or B, and C". */
static void put_line(struct text *out, struct words *w, int *any_or)
{
    int commas = 0, joins_or = 0, joins_and = 0;

    *any_or = 0;
    for (size_t i = 0; w->list[i]; i++)
        commas += strcmp(w->list[i], ",") == 0;
    for (int part = 0; part <= commas && !out->bad; part++) {
        struct text one = {.len = 0};
        int ands = 0, ors = 0;
        if (part) {
            int and = is_same(w->list[w->at + 1] ? w->list[w->at + 1] : "", "and");
            if (!and && !is_same(w->list[w->at + 1] ? w->list[w->at + 1] : "", "or")) {
                out->bad = 1;
                return;
            }
            joins_and |= and;
            joins_or |= !and;
            puts_to(out, and ? " AND " : " OR ");
            w->at += 2;
        }
        put_names(&one, w, &ands, &ors);
        out->bad |= one.bad;
        if (commas && (ands || ors))
            puts_to(out, "(");
        put(out, one.bytes, one.len);
        if (commas && (ands || ors))
            puts_to(out, ")");
        else
            *any_or |= ors;
    }
    *any_or |= joins_or;
    out->bad |= joins_and && joins_or;
}

/* The line in its words; it is cut in place. */
static void split(struct words *w, char *line, struct text *out)
{
    size_t count = 0;

    w->at = 0;
    for (char *word; (word = strsep(&line, " \t"));) {
        size_t len = strlen(word);
        int comma = len > 1 && word[len - 1] == ',';
        if (!len)
            continue;
        if (count + 2 > WORDS_MAX) {
            out->bad = 1;
            break;
        }
        if (comma)
            word[len - 1] = '\0';
        w->list[count++] = word;
        if (comma)
            w->list[count++] = (char *)",";
    }
    w->list[count] = NULL;
}

/* Licences so far, each once. */
struct found {
    char *list[STANZAS_MAX];
    int any_or[STANZAS_MAX];
    size_t count;
    int bad;
};

static void add_one(struct found *f, const char *license, size_t len, int any_or)
{
    for (size_t i = 0; i < f->count; i++)
        if (strlen(f->list[i]) == len && strncmp(f->list[i], license, len) == 0)
            return;
    if (f->bad || f->count == STANZAS_MAX || !(f->list[f->count] = strndup(license, len))) {
        f->bad = 1;
        return;
    }
    f->any_or[f->count++] = any_or;
}

/* All that are meant together are each for itself what all files are under. */
static void add(struct found *f, char *line)
{
    static const char and[] = " AND ";
    struct text one = {.len = 0};
    struct words words;
    int any_or = 0;

    split(&words, line, &one);
    if (!one.bad)
        put_line(&one, &words, &any_or);
    f->bad |= one.bad;
    const char *at = one.bytes, *end = any_or || strchr(at, '(') ? NULL : strstr(at, and);
    for (; end; end = strstr(at, and)) {
        add_one(f, at, (size_t)(end - at), 0);
        at = end + strlen(and);
    }
    add_one(f, at, strlen(at), any_or);
}

/* The value of a field if the line is of that; else NULL. */
static char *field(char *line, const char *name)
{
    size_t len = strlen(name);

    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    line += len + 1;
    line += strspn(line, " \t\r");
    for (len = strlen(line); len && isspace((unsigned char)line[len - 1]); len--)
        line[len - 1] = '\0';
    return line;
}

struct stanza {
    int files, number;
    char *license;
};

/* The licence of the first stanza is a summary, and counts where there is no other. */
static void end_stanza(struct found *f, struct stanza *s, char **summary)
{
    if (s->files && s->license && *s->license)
        add(f, s->license);
    else if (s->files)
        f->bad = 1;
    else if (s->number == 0 && s->license && *s->license)
        *summary = s->license;
    *s = (struct stanza){0, s->number + 1, NULL};
}

static void read_stanzas(struct found *f, char *rest)
{
    struct stanza stanza = {0, 0, NULL};
    char *line, *value, *summary = NULL;
    int open = 0;

    while ((line = strsep(&rest, "\n"))) {
        if (line[strspn(line, " \t\r")] == '\0') {
            if (open)
                end_stanza(f, &stanza, &summary);
            open = 0;
            continue;
        }
        open = 1;
        if (field(line, "Files"))
            stanza.files = 1;
        else if (!stanza.license && (value = field(line, "License")))
            stanza.license = value;
    }
    if (open)
        end_stanza(f, &stanza, &summary);
    if (!f->count && !f->bad && summary)
        add(f, summary);
}

static int is_machine_readable(const char *text)
{
    char line[256];
    char *value;

    text += strspn(text, " \t\r\n");
    snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
    value = field(line, "Format");
    if (!value)
        value = field(line, "Format-Specification");
    return value && (strcasestr(value, "copyright-format") || strcasestr(value, "dep5"));
}

char *copyright_license(const char *text)
{
    char *copy = is_machine_readable(text) ? strdup(text) : NULL, *license = NULL;
    struct found found = {.count = 0};
    struct text all = {.len = 0};

    if (!copy)
        return NULL;
    read_stanzas(&found, copy);
    for (size_t i = 0; i < found.count; i++) {
        int within = found.any_or[i] && found.count > 1;
        puts_to(&all, i ? " AND " : "");
        puts_to(&all, within ? "(" : "");
        puts_to(&all, found.list[i]);
        puts_to(&all, within ? ")" : "");
    }
    if (!found.bad && !all.bad && vmscm_licenseid_is_expression(all.bytes))
        license = strdup(all.bytes);
    for (size_t i = 0; i < found.count; i++)
        free(found.list[i]);
    free(copy);
    return license;
}
