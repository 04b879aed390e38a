/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/hypervscript.h"
#include "base/endian.h"
#include "base/str.h"
#include "base/utf16.h"
#include "machine/hint.h"
#include "machine/hyperv.h"
#include "machine/model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DISKS_MAX (VMSCM_HYPERVSCRIPT_IDE + VMSCM_HYPERVSCRIPT_CONTROLLERS * VMSCM_HYPERVSCRIPT_PLACES)
#define NICS_MAX 256
#define CPUS_MAX 65536
#define MEMORY_MAX (UINT64_C(1) << 62)
#define TEXT_MAX 1024 /* characters of a text */
#define FIELDS_MAX 8

enum list { NOWHERE, DISKS, NICS };

struct reading {
    struct vmscm_machine *m;
    char **sources;
    char *as, *is;
    enum list in;
    unsigned line;
    struct vmscm_error *err;
};

/* "KEY = VALUE"; a text is without its apostrophes. */
struct field {
    char key[16];
    char *value;
};

bool vmscm_hypervscript_match(const char *text)
{
    static const char magic[] = VMSCM_HYPERVSCRIPT_MAGIC;
    size_t len = sizeof magic - 1;

    return strncmp(text, magic, len) == 0 && (text[len] == '\r' || text[len] == '\n');
}

static int bad(const struct reading *r)
{
    return vmscm_error_set(r->err, VMSCM_EINPUT, "line %u: is not what vmscm writes there", r->line);
}

static bool take(const char **p, const char *word)
{
    if (!vmscm_str_starts(*p, word))
        return false;
    *p += strlen(word);
    return true;
}

/* '...' + [char]0xNNNN + '...', as UTF-16 units. */
static bool read_text(uint8_t *units, size_t *count, const char **p)
{
    *count = 0;
    do {
        if (take(p, "[char]0x")) {
            char digits[5] = {0};
            for (size_t i = 0; i < 4 && isxdigit((unsigned char)**p); i++)
                digits[i] = *(*p)++;
            if (strlen(digits) != 4 || *count == TEXT_MAX)
                return false;
            vmscm_put_le16(units + 2 * (*count)++, (uint16_t)strtoul(digits, NULL, 16));
            continue;
        }
        if (!take(p, "'"))
            return false;
        for (; **p != '\'' || (*p)[1] == '\''; (*p)++) {
            if (**p < 0x20 || **p == 0x7f || *count == TEXT_MAX)
                return false;
            *p += **p == '\'';
            vmscm_put_le16(units + 2 * (*count)++, (uint16_t)**p);
        }
        (*p)++;
    } while (take(p, " + "));
    return true;
}

/* A text, a number, $true or $false. *out is the caller's. */
static int read_value(char **out, const struct reading *r, const char **p)
{
    uint8_t units[2 * TEXT_MAX];
    struct vmscm_buf text = VMSCM_BUF_INIT;
    size_t count, len;
    int rc;

    if (**p == '\'') {
        if (!read_text(units, &count, p))
            return bad(r);
        if (!(rc = vmscm_utf16_decode(&text, units, 2 * count, false, r->err)))
            rc = vmscm_str_dup(out, vmscm_buf_str(&text), r->err);
        vmscm_buf_release(&text);
        return rc;
    }
    len = strspn(*p, "0123456789");
    if (!len)
        len = vmscm_str_starts(*p, "$true") ? 5 : vmscm_str_starts(*p, "$false") ? 6 : 0;
    if (!len)
        return bad(r);
    rc = vmscm_str_printf(out, r->err, "%.*s", (int)len, *p);
    *p += len;
    return rc;
}

static int read_field(struct field *f, const struct reading *r, const char **p)
{
    size_t len = 0;

    while (isalpha((unsigned char)(*p)[len]))
        len++;
    if (!len || len >= sizeof f->key)
        return bad(r);
    memcpy(f->key, *p, len);
    f->key[len] = '\0';
    *p += len;
    return take(p, " = ") ? read_value(&f->value, r, p) : bad(r);
}

static void release(struct field *fields)
{
    for (size_t i = 0; i < FIELDS_MAX; i++)
        free(fields[i].value);
}

/* NULL: there is none. */
static const char *get(const struct field *fields, const char *key)
{
    for (size_t i = 0; i < FIELDS_MAX; i++)
        if (strcmp(fields[i].key, key) == 0)
            return fields[i].value;
    return NULL;
}

static int add_disk(struct reading *r, const struct field *fields)
{
    const char *file = get(fields, "File"), *type = get(fields, "Type");
    struct vmscm_machine_disk *disk;
    const char *bus;

    if (!file || !*file || !type || r->m->disk_count == DISKS_MAX)
        return bad(r);
    bus = strcmp(type, "IDE") == 0 ? "ide" : strcmp(type, "SCSI") == 0 ? "scsi" : NULL;
    if (!bus)
        return bad(r);
    return vmscm_model_attach_file(&disk, &r->sources, r->m, bus, file, r->err);
}

static int add_nic(struct reading *r, const struct field *fields)
{
    const char *network = get(fields, "Network"), *mac = get(fields, "Mac");
    const char *legacy = get(fields, "Legacy");
    struct vmscm_machine_nic *nic;
    char with_colons[18];
    size_t n = 0;
    int rc;

    if (!network || !mac || !legacy || strlen(mac) > 12 || r->m->nic_count == NICS_MAX ||
        strlen(network) > TEXT_MAX || !vmscm_str_printable(network))
        return bad(r);
    for (size_t i = 0; mac[i]; i++) {
        if (i && i % 2 == 0)
            with_colons[n++] = ':';
        with_colons[n++] = mac[i];
    }
    with_colons[n] = '\0';
    if ((rc = vmscm_model_add_nic(&nic, r->m, r->err)) ||
        (rc = vmscm_model_set(&nic->type, "network", r->err)) ||
        (rc = vmscm_model_set_mac(nic, with_colons, r->err)) ||
        (*network && (rc = vmscm_model_set(&nic->network, network, r->err))))
        return rc;
    return strcmp(legacy, "$true") == 0
        ? vmscm_model_set(&nic->model, VMSCM_HYPERV_LEGACY_NIC, r->err)
        : 0;
}

/* "@{ KEY = VALUE; KEY = VALUE }". */
static int read_item(struct reading *r, const char *p)
{
    struct field fields[FIELDS_MAX] = {{{0}, NULL}};
    size_t count = 0;
    int rc = take(&p, "@{ ") ? 0 : bad(r);

    while (!rc) {
        rc = count == FIELDS_MAX ? bad(r) : read_field(&fields[count++], r, &p);
        if (!rc && strcmp(p, " }") == 0)
            break;
        if (!rc && !take(&p, "; "))
            rc = bad(r);
    }
    if (!rc)
        rc = r->in == DISKS ? add_disk(r, fields) : add_nic(r, fields);
    release(fields);
    return rc;
}

static int set_system(struct reading *r, const struct field *f)
{
    uint64_t n;

    if (strcmp(f->key, "name") == 0 && *f->value && strlen(f->value) <= TEXT_MAX &&
        vmscm_str_printable(f->value))
        return vmscm_model_set(&r->m->name, f->value, r->err);
    if (strcmp(f->key, "generation") == 0 && vmscm_str_uint(&n, f->value, 1, 2))
        return vmscm_model_set(&r->m->firmware, n == 2 ? "uefi" : "bios", r->err);
    if (strcmp(f->key, "cpus") == 0 && vmscm_str_uint(&n, f->value, 1, CPUS_MAX)) {
        r->m->cpus = (uint32_t)n;
        return 0;
    }
    if (strcmp(f->key, "memory") == 0 && vmscm_str_uint(&n, f->value, 1, MEMORY_MAX)) {
        r->m->memory = n;
        return 0;
    }
    if (strcmp(f->key, "secureBoot") == 0 && *f->value == '$') {
        r->m->secure_boot = strcmp(f->value, "$true") == 0;
        return 0;
    }
    return bad(r);
}

static int read_assignment(struct reading *r, const char *p)
{
    struct field f = {{0}, NULL};
    int rc;

    if (strcmp(p, "$disks = @(") == 0 || strcmp(p, "$nics = @(") == 0) {
        r->in = p[1] == 'd' ? DISKS : NICS;
        return 0;
    }
    if (!take(&p, "$"))
        return bad(r);
    rc = read_field(&f, r, &p);
    if (!rc)
        rc = *p ? bad(r) : set_system(r, &f);
    free(f.value);
    return rc;
}

static int read_hint(struct reading *r, const char *p)
{
    char **to = take(&p, "# vmscm.as: ") ? &r->as : take(&p, "# vmscm.is: ") ? &r->is : NULL;

    return to && !*to ? vmscm_str_dup(to, p, r->err) : 0;
}

static int read_line(struct reading *r, const char *p)
{
    if (*p == '#')
        return read_hint(r, p);
    if (!r->in)
        return *p ? read_assignment(r, p) : 0;
    if (strcmp(p, ")") == 0) {
        r->in = NOWHERE;
        return 0;
    }
    return read_item(r, p + strspn(p, " "));
}

static int read_all(struct reading *r, char *text)
{
    bool begun = false;
    int rc = 0;

    for (char *line = text, *next; line && !rc; line = next) {
        r->line++;
        if ((next = strchr(line, '\n')))
            *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (strcmp(line, "# vmscm: end") == 0)
            return r->in ? bad(r) : 0;
        /* What is before are comments and parameters, the same each time. */
        if (!begun)
            begun = vmscm_str_starts(line, "# What the machine is;");
        else
            rc = read_line(r, line);
    }
    return rc ? rc : vmscm_error_set(r->err, VMSCM_EINPUT, "it has no end");
}

int vmscm_hypervscript_parse(struct vmscm_machine **out, char ***sources, const void *text,
    size_t len, struct vmscm_error *err)
{
    struct reading r = {.err = err};
    char *copy = NULL;
    int rc;

    *out = NULL;
    *sources = NULL;
    if (len > VMSCM_HYPERVSCRIPT_MAX || memchr(text, '\0', len))
        return vmscm_error_set(err, VMSCM_EINPUT, "is no script of ours");
    if (!(copy = strndup(text, len)))
        return vmscm_error_nomem(err);
    if (!vmscm_hypervscript_match(copy)) {
        rc = vmscm_error_set(err, VMSCM_EINPUT, "is no script of ours");
        goto out;
    }
    if ((rc = vmscm_model_new(&r.m, err)))
        goto out;
    vmscm_model_remove_nics(r.m);
    if ((rc = read_all(&r, copy)))
        goto out;
    if (strcmp(r.m->firmware, "uefi") != 0)
        r.m->secure_boot = 0;
    if ((rc = vmscm_hint_apply(r.m, r.sources, r.as, r.is, err)))
        goto out;
    *out = r.m;
    *sources = r.sources;
    r.m = NULL;
    r.sources = NULL;
out:
    for (size_t i = 0; r.sources && i < r.m->disk_count; i++)
        free(r.sources[i]);
    free(r.sources);
    vmscm_model_free(r.m);
    free(r.as);
    free(r.is);
    free(copy);
    return rc;
}
