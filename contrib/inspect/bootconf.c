/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bootconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENTRIES_MAX 512

/* The kernel's version where its file's name has it, else the name. */
static void put_entry(json_t *system, const char *loader, const char *title, const char *kernel)
{
    static const char *const prefixes[] = {"vmlinuz-", "vmlinux-", "kernel-"};
    const char *base = kernel ? strrchr(kernel, '/') : NULL;

    facts_text(system, "boot_loader", loader);
    facts_text(system, "default_boot", title);
    base = base ? base + 1 : kernel;
    for (size_t i = 0; base && i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(base, prefixes[i], strlen(prefixes[i])) == 0) {
            base += strlen(prefixes[i]);
            break;
        }
    facts_text(system, "default_kernel", base);
}

/* The rest of a line that begins with a word; NULL: it begins with another. */
static char *behind(char *line, const char *word, const char *separators)
{
    size_t len = strlen(word);

    line += strspn(line, " \t");
    if (strncasecmp(line, word, len) != 0 || !strspn(line + len, separators))
        return NULL;
    return line + len + strspn(line + len, separators);
}

/* In place: without quotes and what is behind them, or space and what is behind it. */
static char *unquote(char *s)
{
    char quote = *s == '"' || *s == '\'' ? *s : '\0';
    char *end;

    if (quote) {
        s++;
        end = strchr(s, quote);
        if (end)
            *end = '\0';
    } else {
        s[strcspn(s, "\r\n")] = '\0';
        for (size_t len = strlen(s); len && strchr(" \t", s[len - 1]);)
            s[--len] = '\0';
    }
    return s;
}

const char *bootconf_value(char **lines, const char *name)
{
    char *found = NULL, *value;

    for (size_t i = 0; lines && lines[i]; i++)
        if ((value = behind(lines[i], name, " \t=")))
            found = value;
    return found ? unquote(found) : NULL;
}

/* A first word of the line, in place. */
static char *word_of(char *s)
{
    s[strcspn(s, " \t\r")] = '\0';
    return s;
}

struct entry {
    const char *title, *id, *kernel;
    int in; /* the submenu it is in, an index; -1: none */
    int is_sub; /* is one itself */
    size_t number;
};

/* Whether `want` is its number, its title or its id. */
static int is_named(const struct entry *e, const char *want, size_t len)
{
    char number[24];

    snprintf(number, sizeof number, "%zu", e->number);
    return (strlen(number) == len && memcmp(number, want, len) == 0) ||
           (strlen(e->title) == len && memcmp(e->title, want, len) == 0) ||
           (e->id && strlen(e->id) == len && memcmp(e->id, want, len) == 0);
}

/* By a name with ">" between levels; of a submenu its first. */
static const struct entry *choose(const struct entry *all, size_t count, const char *want)
{
    int in = -1;
    const struct entry *found = NULL;

    for (;;) {
        size_t len = strcspn(want, ">");
        found = NULL;
        for (size_t i = 0; i < count && !found; i++)
            if (all[i].in == in && is_named(&all[i], want, len))
                found = &all[i];
        if (!found || !found->is_sub)
            return found;
        in = (int)(found - all);
        want = want[len] ? want + len + 1 : "0";
    }
}

/* The title and id of "menuentry 'TITLE' ... $menuentry_id_option 'ID' {". */
static void begin_entry(struct entry *e, char *rest)
{
    static const char *const marks[] = {"$menuentry_id_option", "--id"};
    char quote = *rest == '"' || *rest == '\'' ? *rest : ' ', *end;

    rest += quote != ' ';
    end = strchr(rest, quote);
    e->title = rest;
    if (!end)
        return;
    *end++ = '\0';
    for (size_t i = 0; i < 2 && !e->id; i++) {
        char *at = strstr(end, marks[i]);
        if (at) {
            at += strlen(marks[i]);
            at += strspn(at, " =\t");
            e->id = *at == '"' || *at == '\'' ? unquote(at) : word_of(at);
        }
    }
}

/* How many braces it opens more than it closes; a line of GRUB's opens them at its end. */
static int opens(const char *line)
{
    size_t len = strlen(line);

    while (len && strchr(" \t\r", line[len - 1]))
        len--;
    line += strspn(line, " \t");
    return (len && line[0] == '}') ? -1 : len && strchr(line, '{') && strrchr(line, '{')[1] == '\0';
}

int bootconf_grub(json_t *system, char **lines, const char *saved)
{
    struct entry *all = calloc(ENTRIES_MAX, sizeof *all);
    const struct entry *chosen;
    const char *want = "0";
    size_t count = 0, tops = 0, inner = 0;
    int depth = 0, sub = -1, sub_depth = 0;
    char *rest;

    for (size_t i = 0; all && lines[i]; i++) {
        char *line = lines[i];
        int change = opens(line), is_sub = (rest = behind(line, "submenu", " \t")) != NULL;
        char *value = behind(line, "set", " \t");
        if (value && (value = behind(value, "default", "=")) && !strstr(value, "next_entry"))
            want = unquote(value);
        if ((is_sub || (rest = behind(line, "menuentry", " \t"))) && count < ENTRIES_MAX) {
            all[count] = (struct entry){.in = is_sub ? -1 : sub,
                .is_sub = is_sub,
                .number = !is_sub && sub >= 0 ? inner++ : tops++};
            begin_entry(&all[count], rest);
            if (is_sub) {
                sub = (int)count;
                sub_depth = depth;
                inner = 0;
            }
            count++;
        } else if (count && !all[count - 1].kernel &&
                   ((rest = behind(line, "linux", " \t")) ||
                       (rest = behind(line, "linux16", " \t")) ||
                       (rest = behind(line, "linuxefi", " \t")))) {
            all[count - 1].kernel = word_of(rest);
        }
        depth += change;
        if (sub >= 0 && change < 0 && depth <= sub_depth)
            sub = -1;
    }
    if (strchr(want, '$'))
        want = *saved ? saved : "0";
    chosen = count ? choose(all, count, want) : NULL;
    /* As GRUB does with a name that is none of these. */
    if (!chosen && count)
        chosen = choose(all, count, "0");
    if (chosen)
        put_entry(system, "grub", chosen->title, chosen->kernel);
    free(all);
    return chosen != NULL;
}

int bootconf_grub_legacy(json_t *system, char **lines)
{
    const char *title = NULL, *kernel = NULL;
    long want = 0, number = -1;
    char *rest;

    for (size_t i = 0; lines[i]; i++) {
        if (number < 0 && (rest = behind(lines[i], "default", " \t=")))
            want = strtol(rest, NULL, 10);
        else if ((rest = behind(lines[i], "title", " \t=")) && ++number == want)
            title = unquote(rest);
        else if (title && !kernel && number == want && (rest = behind(lines[i], "kernel", " \t=")))
            kernel = word_of(rest);
    }
    if (title)
        put_entry(system, "grub legacy", title, kernel);
    return title != NULL;
}

int bootconf_extlinux(json_t *system, char **lines)
{
    const char *want = NULL, *label = NULL, *title = NULL, *kernel = NULL;
    int inside = 0;
    char *rest;

    for (size_t i = 0; lines[i]; i++) {
        if ((rest = behind(lines[i], "label", " \t"))) {
            if (inside)
                break;
            label = unquote(rest);
            inside = !want || strcmp(want, label) == 0;
        } else if (!label && (rest = behind(lines[i], "default", " \t"))) {
            want = unquote(rest);
        } else if (inside && (rest = behind(lines[i], "menu", " \t"))) {
            if ((rest = behind(rest, "label", " \t")))
                title = unquote(rest);
        } else if (inside && ((rest = behind(lines[i], "linux", " \t")) ||
                                 (rest = behind(lines[i], "kernel", " \t")))) {
            kernel = word_of(rest);
        }
    }
    if (inside)
        put_entry(system, "extlinux", title ? title : label, kernel);
    return inside;
}

int bootconf_ini(json_t *system, char **lines)
{
    const char *want = NULL;
    char *rest;

    for (size_t i = 0; lines[i]; i++) {
        if ((rest = behind(lines[i], "default", "= \t"))) {
            want = unquote(rest);
        } else if (want && (rest = behind(lines[i], want, "= \t"))) {
            put_entry(system, "ntldr", unquote(rest), NULL);
            return 1;
        }
    }
    return 0;
}

int bootconf_entry(json_t *system, const char *loader, char **lines)
{
    const char *title = NULL, *kernel = NULL;
    char *rest;

    for (size_t i = 0; lines[i]; i++) {
        if ((rest = behind(lines[i], "title", " \t")))
            title = unquote(rest);
        else if ((rest = behind(lines[i], "linux", " \t")) ||
                 (!kernel && (rest = behind(lines[i], "efi", " \t"))))
            kernel = word_of(rest);
    }
    if (title)
        put_entry(system, loader, title, kernel);
    return title != NULL;
}
