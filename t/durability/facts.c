/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "facts.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmscm/disk.h>
#include <vmscm/fsck.h>
#include <vmscm/revision.h>

#define WHY_MAX 1000

/* An answer as it is put together, and the first error. */
struct answer {
    char *text;
    size_t len, room;
    struct vmscm_repo *repo;
    struct vmscm_error err;
    int rc;
};

static void out_of_memory(void)
{
    fprintf(stderr, "bitrot: out of memory\n");
    exit(3);
}

/* Separated by bytes that no text has, so that no two answers look alike. */
static void add(struct answer *a, const void *data, size_t len)
{
    while (a->len + len + 2 > a->room) {
        a->room = a->room ? 2 * a->room : 4096;
        if (!(a->text = realloc(a->text, a->room)))
            out_of_memory();
    }
    memcpy(a->text + a->len, data, len);
    a->len += len;
    a->text[a->len++] = '\x1f';
    a->text[a->len] = '\0';
}

static void __attribute__((format(printf, 2, 3))) say(struct answer *a, const char *format, ...)
{
    char text[8192];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add(a, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

static void say_hash(struct answer *a, const void *data, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";

    if (!EVP_Digest(data, len, digest, &n, EVP_sha256(), NULL))
        out_of_memory();
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    add(a, hex, 2 * (size_t)n);
}

static int see_machine(void *data, const struct vmscm_machine_entry *entry)
{
    if (entry->damage)
        say(data, "%s is damaged", entry->name);
    else
        say(data, "%s %s %s %lld %zu %llu", entry->name, entry->id, entry->summary,
            (long long)entry->time, entry->disk_count, (unsigned long long)entry->size);
    return 0;
}

static int see_tag(void *data, const struct vmscm_tag_entry *entry)
{
    say(data, "%s:%s %s %s %s %lld", entry->machine, entry->tag, entry->id, entry->message,
        entry->tagger.name, (long long)entry->tagger.time);
    return 0;
}

static int see_comment(void *data, const struct vmscm_signature *author, const char *text)
{
    say(data, "comment %s <%s> %lld %s", author->name, author->email, (long long)author->time, text);
    return 0;
}

static int see_file(void *data, const char *path, uint64_t size)
{
    say(data, "file %s %llu", path, (unsigned long long)size);
    return 0;
}

static int say_disk(struct answer *a, struct vmscm_revision *rev, const char *id)
{
    struct vmscm_disk *disk = NULL;
    void *data = NULL;
    int rc = vmscm_disk_open(&disk, rev, id, &a->err);

    if (!rc) {
        size_t size = (size_t)vmscm_disk_size(disk);
        /* Its size was compared with machine.json's: more than was written would be a lie. */
        if (size > 64u << 20)
            say(a, "disk %s has %zu bytes", id, size);
        else if (!(data = malloc(size + 1)))
            out_of_memory();
        else if (!(rc = vmscm_disk_pread(disk, data, size, 0, &a->err)))
            say_hash(a, data, size);
    }
    free(data);
    vmscm_disk_close(disk);
    return rc;
}

static int say_revision(struct answer *a, const char *id)
{
    struct vmscm_revision *rev = NULL;
    const struct vmscm_machine *machine;
    int rc = vmscm_revision_resolve(&rev, a->repo, id, &a->err);

    if (rc)
        return rc;
    struct vmscm_signature author = vmscm_revision_author(rev);
    say(a, "%s %s", vmscm_revision_id(rev), vmscm_revision_message(rev));
    say(a, "%s <%s> %lld %d", author.name, author.email, (long long)author.time, author.offset);
    for (size_t i = 0; i < vmscm_revision_parent_count(rev); i++)
        say(a, "parent %s", vmscm_revision_parent(rev, i));
    if ((rc = vmscm_revision_config_files(rev, see_file, a, &a->err)) ||
        (rc = vmscm_revision_machine(&machine, rev, &a->err)))
        goto out;
    say(a, "%s %s %u %llu", machine->name ? machine->name : "", machine->arch, machine->cpus,
        (unsigned long long)machine->memory);
    for (size_t i = 0; i < machine->disk_count && !rc; i++) {
        const struct vmscm_machine_disk *disk = &machine->disks[i];
        say(a, "disk %s %s %llu", disk->id, disk->format, (unsigned long long)disk->size);
        rc = say_disk(a, rev, disk->id);
    }
out:
    vmscm_revision_free(rev);
    return rc;
}

/* Which there are is a matter of a ref, like lists of machines and tags. */
static int say_comments(struct answer *a, const char *id)
{
    struct vmscm_revision *rev = NULL;
    int rc = vmscm_revision_resolve(&rev, a->repo, id, &a->err);

    if (!rc)
        rc = vmscm_revision_comments(rev, see_comment, a, &a->err);
    vmscm_revision_free(rev);
    return rc;
}

/* a->rc: 0, or the question has no answer. */
static void ask(struct answer *a, const char *question)
{
    struct vmscm_revision *rev = NULL;

    a->len = 0;
    add(a, "", 0);
    a->err = (struct vmscm_error)VMSCM_ERROR_INIT;
    if (strcmp(question, "machines") == 0) {
        a->rc = vmscm_revision_machines(a->repo, NULL, see_machine, a, &a->err);
    } else if (strcmp(question, "tags") == 0) {
        a->rc = vmscm_revision_tags(a->repo, NULL, see_tag, a, &a->err);
    } else if (strncmp(question, "name ", 5) == 0) {
        if (!(a->rc = vmscm_revision_resolve(&rev, a->repo, question + 5, &a->err)))
            say(a, "%s", vmscm_revision_id(rev));
        vmscm_revision_free(rev);
    } else if (strncmp(question, "comments ", 9) == 0) {
        a->rc = say_comments(a, question + 9);
    } else {
        a->rc = say_revision(a, question + strlen("revision "));
    }
}

/* Questions are asked once. */
static int learn(struct facts *facts, struct answer *a, char *why, const char *kind,
    const char *what, int may_fail)
{
    char *question = NULL;

    if (asprintf(&question, "%s%s%s", kind, *what ? " " : "", what) < 0)
        out_of_memory();
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->items[i].question, question) == 0) {
            free(question);
            return 0;
        }
    ask(a, question);
    if (a->rc) {
        if (!may_fail)
            snprintf(why, WHY_MAX, "%s: %.800s", question, a->err.message);
        free(question);
        return 1;
    }
    facts->items = realloc(facts->items, (facts->count + 1) * sizeof *facts->items);
    if (!facts->items)
        out_of_memory();
    facts->items[facts->count].question = question;
    if (!(facts->items[facts->count++].answer = strdup(a->text)))
        out_of_memory();
    return 0;
}

struct names {
    char *list[64];
    size_t count;
};

static void keep_name(struct names *names, char *name)
{
    if (!name || names->count == sizeof names->list / sizeof names->list[0])
        out_of_memory();
    names->list[names->count++] = name;
}

static int name_machine(void *data, const struct vmscm_machine_entry *entry)
{
    keep_name(data, strdup(entry->name));
    return 0;
}

static int name_tag(void *data, const struct vmscm_tag_entry *entry)
{
    char *name = NULL;

    if (asprintf(&name, "%s:%s", entry->machine, entry->tag) < 0)
        out_of_memory();
    keep_name(data, name);
    return 0;
}

/* A name, all that is before it in history, and all that it was. */
static int learn_name(struct facts *facts, struct answer *a, char *why, const char *name)
{
    struct vmscm_revision *rev = NULL;
    char spec[300], id[VMSCM_ID_HEX + 1];
    int rc = learn(facts, a, why, "name", name, 0);

    for (int n = 0; n < 100 && !rc; n++) {
        snprintf(spec, sizeof spec, "%.200s~%d", name, n);
        if (vmscm_revision_resolve(&rev, a->repo, spec, &a->err))
            break;
        snprintf(id, sizeof id, "%s", vmscm_revision_id(rev));
        vmscm_revision_free(rev);
        rc = learn(facts, a, why, "name", spec, 0) || learn(facts, a, why, "revision", id, 0) ||
            learn(facts, a, why, "comments", id, 0);
    }
    for (int n = 0; n < 100 && !rc && !strchr(name, ':'); n++) {
        snprintf(spec, sizeof spec, "%.200s@{%d}", name, n);
        if (learn(facts, a, why, "name", spec, 1))
            break;
    }
    return rc;
}

int facts_collect(struct facts *out, char *why, const char *path)
{
    struct answer a = {.err = VMSCM_ERROR_INIT};
    struct names names = {.count = 0};
    int rc = vmscm_repo_open(&a.repo, path, &a.err);

    memset(out, 0, sizeof *out);
    if (!rc)
        rc = vmscm_revision_machines(a.repo, NULL, name_machine, &names, &a.err);
    if (!rc)
        rc = vmscm_revision_tags(a.repo, NULL, name_tag, &names, &a.err);
    if (rc)
        snprintf(why, WHY_MAX, "%.200s: %.700s", path, a.err.message);
    rc = rc || learn(out, &a, why, "machines", "", 0) || learn(out, &a, why, "tags", "", 0);
    for (size_t i = 0; i < names.count; i++) {
        rc = rc || learn_name(out, &a, why, names.list[i]);
        free(names.list[i]);
    }
    vmscm_repo_close(a.repo);
    free(a.text);
    return rc != 0;
}

void facts_release(struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        free(facts->items[i].question);
        free(facts->items[i].answer);
    }
    free(facts->items);
    memset(facts, 0, sizeof *facts);
}

struct report {
    size_t damages;
    int no_memory;
    char first[WHY_MAX];
};

static void found(void *data, const struct vmscm_fsck_finding *finding)
{
    struct report *report = data;

    /* No hash covers reflogs: of these a note is all there can be. */
    if (finding->note && strncmp(finding->object, "git/logs/", 9) != 0)
        return;
    if (!report->damages++)
        snprintf(report->first, sizeof report->first, "%.200s: %.600s", finding->object,
            finding->text);
    report->no_memory |= strstr(finding->text, "out of memory") != NULL;
}

/* Memory is bounded by whoever asks: to run out of it is to have asked for what a file claims. */
static int too_much(char *why, const char *what, int rc, const struct vmscm_error *err)
{
    if (rc != VMSCM_ENOMEM && !(rc && strstr(err->message, "out of memory")))
        return 0;
    snprintf(why, WHY_MAX, "%.300s: wanted too much memory: %.600s", what, err->message);
    return 1;
}

int facts_check(const struct facts *facts, char *why, const char *path)
{
    struct vmscm_fsck_options options = {.full = 1, .jobs = 1};
    struct vmscm_fsck_result result;
    struct answer a = {.err = VMSCM_ERROR_INIT};
    struct report report = {.damages = 0};
    int rc = vmscm_repo_open(&a.repo, path, &a.err), reported, verdict = 1;

    memset(&result, 0, sizeof result);
    if (rc) {
        snprintf(why, WHY_MAX, "%.900s", a.err.message);
        return too_much(why, "open", rc, &a.err) ? 2 : 1;
    }
    rc = vmscm_fsck(a.repo, &options, NULL, found, &report, &result, &a.err);
    reported = rc || report.damages;
    if (too_much(why, "fsck", rc, &a.err) || report.no_memory) {
        verdict = 2;
        snprintf(why, WHY_MAX, "fsck wanted too much memory: %.900s",
            report.no_memory ? report.first : a.err.message);
        goto out;
    }
    if (!rc && result.findings) {
        verdict = 2;
        snprintf(why, WHY_MAX, "fsck says that all is well after it said: %.900s", report.first);
        goto out;
    }
    snprintf(why, WHY_MAX, "%.950s", report.damages ? report.first : a.err.message);
    for (size_t i = 0; i < facts->count; i++) {
        const struct fact *fact = &facts->items[i];
        int list = !strchr(fact->question, ' ') || strncmp(fact->question, "comments ", 9) == 0;
        int past = strstr(fact->question, "@{") != NULL;

        ask(&a, fact->question);
        if (too_much(why, fact->question, a.rc, &a.err)) {
            verdict = 2;
            goto out;
        }
        if (a.rc ? reported || past : strcmp(a.text, fact->answer) == 0)
            continue;
        if (!a.rc && reported && (list || past))
            continue;
        verdict = 2;
        if (a.rc)
            snprintf(why, WHY_MAX, "fsck found nothing, but %s: %.800s", fact->question,
                a.err.message);
        else
            snprintf(why, WHY_MAX, "%s, but %s is \"%.400s\" and was \"%.400s\"",
                reported ? "fsck reported it" : "fsck found nothing", fact->question, a.text,
                fact->answer);
        goto out;
    }
    verdict = reported;
out:
    vmscm_repo_close(a.repo);
    free(a.text);
    return verdict;
}
