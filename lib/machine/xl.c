/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/xl.h"
#include "base/path.h"
#include "base/str.h"
#include "base/vec.h"
#include "machine/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB (UINT64_C(1) << 20)
#define MEMORY_MAX (UINT64_C(1) << 42) /* MiB */
#define CPUS_MAX 65536
#define SETTINGS_MAX 4096
#define VALUES_MAX 4096 /* of a list */
#define TEXT_MAX 1024
#define DISKS_MAX 256
#define NICS_MAX 256

struct setting {
    char *key;    /* into the text, as all values */
    char **value; /* one, or a list's */
    size_t count;
    bool list;
};

struct reading {
    char *at;
    unsigned line;
    VMSCM_VEC(struct setting) settings;
    struct vmscm_xl *out;
    struct vmscm_error *err;
};

static int bad(const struct reading *r, const char *what)
{
    return vmscm_error_set(r->err, VMSCM_EINPUT, "line %u: %s", r->line, what);
}

/* Blanks and comments; in a list line ends too. */
static void skip(struct reading *r, bool lines)
{
    for (;; r->at++) {
        if (*r->at == '#')
            r->at += strcspn(r->at, "\n");
        if (*r->at == '\n' && lines)
            r->line++;
        else if (!*r->at || !strchr(" \t\r", *r->at))
            return;
    }
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
        c == '-' || c == '.';
}

/* A string without its quotes, or a bare word or number, which *stop is the end of: to be cut off there
 * when what follows was looked at. */
static int read_value(char **value, char **stop, struct reading *r)
{
    char quote = *r->at;

    *stop = NULL;
    if (quote == '"' || quote == '\'') {
        *value = ++r->at;
        r->at += strcspn(r->at, quote == '"' ? "\"\n" : "'\n");
        if (*r->at != quote)
            return bad(r, "a string without an end");
        *r->at++ = '\0';
        return 0;
    }
    *value = r->at;
    while (is_word(*r->at))
        r->at++;
    *stop = r->at;
    return r->at == *value ? bad(r, "no value") : 0;
}

/* *next: what follows it, which r->at is at. */
static int add_value(struct setting *s, char *next, struct reading *r)
{
    char **grown, *stop;
    int rc;

    if (s->count == VALUES_MAX)
        return bad(r, "too long a list");
    if (!(grown = reallocarray(s->value, s->count + 1, sizeof *grown)))
        return vmscm_error_nomem(r->err);
    s->value = grown;
    if ((rc = read_value(&grown[s->count], &stop, r)))
        return rc;
    s->count++;
    skip(r, s->list);
    *next = *r->at;
    if (stop)
        *stop = '\0';
    return 0;
}

static int read_list(struct setting *s, struct reading *r)
{
    char next = ',';
    int rc;

    s->list = true;
    r->at++;
    while (next == ',') {
        skip(r, true);
        if (*r->at == ']') {
            next = ']';
            break;
        }
        if ((rc = add_value(s, &next, r)))
            return rc;
        if (next == ',')
            r->at++;
    }
    if (next != ']')
        return bad(r, next ? "something behind a value" : "a list without an end");
    r->at++;
    return 0;
}

static int read_setting(struct reading *r)
{
    struct setting *s;
    char *end, next;
    int rc;

    if (r->settings.len == SETTINGS_MAX)
        return bad(r, "too many settings");
    if ((rc = vmscm_vec_add(&r->settings, &s, r->err)))
        return rc;
    s->key = r->at;
    while (is_word(*r->at))
        r->at++;
    end = r->at;
    skip(r, false);
    if (end == s->key || (*r->at != '=' && !(*r->at == '+' && r->at[1] == '=')))
        return bad(r, "is no setting");
    r->at += *r->at == '+' ? 2 : 1;
    *end = '\0';
    skip(r, false);
    if (*r->at == '[') {
        if ((rc = read_list(s, r)))
            return rc;
        skip(r, false);
        next = *r->at;
    } else if ((rc = add_value(s, &next, r))) {
        return rc;
    }
    if (next && next != '\n' && next != ';')
        return bad(r, "something behind a setting");
    if (next == '\n')
        r->line++;
    if (next)
        r->at++;
    return 0;
}

/* The last one of a key counts. */
static const struct setting *find(const struct reading *r, const char *key)
{
    for (size_t i = r->settings.len; i-- > 0;)
        if (strcmp(r->settings.items[i].key, key) == 0)
            return &r->settings.items[i];
    return NULL;
}

/* NULL: there is none. */
static const char *get(const struct reading *r, const char *key)
{
    const struct setting *s = find(r, key);

    return s && !s->list ? s->value[0] : NULL;
}

static int get_number(uint64_t *out, const struct reading *r, const char *key, uint64_t max)
{
    const char *text = get(r, key);

    if (text && !vmscm_str_uint(out, text, 1, max))
        return vmscm_error_set(r->err, VMSCM_EINPUT, "%s: %.60s: out of range", key, text);
    return 0;
}

static int read_system(struct reading *r)
{
    struct vmscm_machine *m = r->out->machine;
    const char *name = get(r, "name"), *type = get(r, "type"), *builder = get(r, "builder");
    const char *bios = get(r, "bios"), *firmware = get(r, "firmware");
    uint64_t cpus = 1, memory = m->memory / MIB;
    bool hvm;
    int rc;

    if ((rc = get_number(&cpus, r, "vcpus", CPUS_MAX)) ||
        (rc = get_number(&memory, r, "memory", MEMORY_MAX)) ||
        (name && strlen(name) <= TEXT_MAX && vmscm_str_printable(name) && *name &&
            (rc = vmscm_model_set(&m->name, name, r->err))))
        return rc;
    m->cpus = (uint32_t)cpus;
    m->memory = memory * MIB;
    hvm = (type && strcmp(type, "hvm") == 0) || (builder && strcmp(builder, "hvm") == 0);
    if ((rc = vmscm_model_set(&m->machine_type,
             hvm                                    ? "xenfv"
                 : type && strcmp(type, "pvh") == 0 ? "xenpvh"
                                                    : "xenpv",
             r->err)))
        return rc;
    return (bios && strcmp(bios, "ovmf") == 0) ||
            (firmware && (strcmp(firmware, "uefi") == 0 || strcmp(firmware, "ovmf") == 0))
        ? vmscm_model_set(&m->firmware, "uefi", r->err)
        : 0;
}

/* What a disk's specification says. */
struct disk {
    const char *target, *format, *vdev;
    bool cdrom;
};

static char *trim(char *s)
{
    s += strspn(s, " \t");
    for (size_t len = strlen(s); len && strchr(" \t", s[len - 1]); len--)
        s[len - 1] = '\0';
    return s;
}

/* "KEY=..." */
static char *value_of(char *part, const char *key)
{
    size_t len = strlen(key);

    if (strncmp(part, key, len) != 0)
        return NULL;
    part += len + strspn(part + len, " \t");
    return *part == '=' ? trim(part + 1) : NULL;
}

/* The older form: what is before a colon says the format, and no other part does. */
static bool take_prefix(struct disk *d, char **target)
{
    static const char *const prefixes[][2] = {{"file:", "raw"}, {"phy:", "raw"}, {"raw:", "raw"},
        {"aio:", "raw"}, {"tap:", "raw"}, {"tap2:", "raw"}, {"qcow2:", "qcow2"}, {"qcow:", "qcow"},
        {"vhd:", "vhd"}, {"qed:", "qed"}};
    bool found = false;

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (vmscm_str_starts(*target, prefixes[i][0])) {
            *target += strlen(prefixes[i][0]);
            d->format = prefixes[i][1];
            found = true;
            i = SIZE_MAX; /* "tap:qcow2:": from the first one again */
        }
    return found;
}

static void split_disk(struct disk *d, char *text)
{
    bool old;
    size_t place = 0;

    for (char *part = text, *next; part; part = next) {
        char *value;
        /* All that follows is the target. */
        char *whole = part + strspn(part, " \t");
        if ((value = value_of(whole, "target"))) {
            d->target = value;
            return;
        }
        if ((next = strchr(part, ',')))
            *next++ = '\0';
        part = trim(part);
        if ((value = value_of(part, "format")))
            d->format = value;
        else if ((value = value_of(part, "vdev")))
            d->vdev = value;
        else if ((value = value_of(part, "devtype")))
            d->cdrom = strcmp(value, "cdrom") == 0;
        else if (strchr(part, '='))
            continue;
        else if (place == 0) {
            old = take_prefix(d, &part);
            d->target = part;
            place = old ? 2 : 1;
        } else if (place == 1) {
            d->format = *part ? part : NULL;
            place = 2;
        } else if (place == 2) {
            d->vdev = part;
            place = 3;
        } else {
            d->cdrom |= strcmp(part, "cdrom") == 0; /* or how it may be accessed */
        }
    }
}

static const char *bus_of(const char *vdev)
{
    return vmscm_str_starts(vdev, "hd") ? "ide" : vmscm_str_starts(vdev, "sd") ? "scsi" : "xen";
}

static int add_disk(struct reading *r, char *text)
{
    struct disk d = {NULL, NULL, NULL, false};
    struct vmscm_machine *m = r->out->machine;
    struct vmscm_machine_disk *disk;
    const char *format, *file;
    char id[16], **grown, *colon;
    int rc;

    split_disk(&d, text);
    if (d.vdev && (colon = strchr(d.vdev, ':'))) {
        *colon++ = '\0';
        d.cdrom |= strcmp(colon, "cdrom") == 0;
    }
    if (d.cdrom || !d.target || !*d.target)
        return 0;
    format = !d.format || strcmp(d.format, "raw") == 0 ? "raw"
        : strcmp(d.format, "qcow2") == 0               ? "qcow2"
        : strcmp(d.format, "vhd") == 0                 ? "vpc"
                                                       : NULL;
    if (!format)
        return vmscm_error_set(r->err, VMSCM_EUNSUPPORTED,
            "disk %.200s: the format %.60s is not supported", d.target, d.format);
    file = vmscm_path_basename(d.target);
    if (!vmscm_path_is_confined(file))
        return vmscm_error_set(r->err, VMSCM_EINPUT, "disk %.200s: is no file", d.target);
    if (m->disk_count == DISKS_MAX)
        return vmscm_error_set(r->err, VMSCM_EINPUT, "more than %d disks", DISKS_MAX);
    if (!(grown = reallocarray(r->out->sources, m->disk_count + 1, sizeof *grown)))
        return vmscm_error_nomem(r->err);
    r->out->sources = grown;
    grown[m->disk_count] = NULL;
    if (!d.vdev || strlen(d.vdev) >= sizeof id || vmscm_model_check_disk_id(d.vdev, NULL) ||
        vmscm_model_disk(m, d.vdev))
        vmscm_model_name_disk(id, m, d.vdev ? bus_of(d.vdev) : "xen");
    else
        snprintf(id, sizeof id, "%s", d.vdev);
    if ((rc = vmscm_model_add_disk(&disk, m, id, r->err)) ||
        (rc = vmscm_str_dup(&grown[m->disk_count - 1], file, r->err)) ||
        (rc = vmscm_model_set(&disk->target, id, r->err)) ||
        (rc = vmscm_model_set(&disk->format, format, r->err)))
        return rc;
    return vmscm_model_set(&disk->bus, bus_of(id), r->err);
}

static int set_text(char **field, const char *value, struct vmscm_error *err)
{
    return *value && strlen(value) <= TEXT_MAX && vmscm_str_printable(value)
        ? vmscm_model_set(field, value, err)
        : 0;
}

static int add_nic(struct reading *r, char *text)
{
    struct vmscm_machine_nic *nic;
    int rc;

    if (r->out->machine->nic_count == NICS_MAX)
        return vmscm_error_set(r->err, VMSCM_EINPUT, "more than %d NICs", NICS_MAX);
    if ((rc = vmscm_model_add_nic(&nic, r->out->machine, r->err)) ||
        (rc = vmscm_model_set(&nic->type, "bridge", r->err)))
        return rc;
    for (char *part = text, *next, *value; part && !rc; part = next) {
        if ((next = strchr(part, ',')))
            *next++ = '\0';
        part = trim(part);
        if ((value = value_of(part, "mac")))
            rc = vmscm_model_set_mac(nic, value, r->err);
        else if ((value = value_of(part, "bridge")))
            rc = set_text(&nic->network, value, r->err);
        else if ((value = value_of(part, "model")))
            rc = vmscm_model_check_disk_id(value, NULL) ? 0 /* no word that any NIC is called */
                                                       : vmscm_model_set(&nic->model, value, r->err);
    }
    return rc;
}

static int read_machine(struct reading *r)
{
    const struct setting *disks, *nics;
    int rc;

    if ((rc = vmscm_model_new(&r->out->machine, r->err)))
        return rc;
    vmscm_model_remove_nics(r->out->machine);
    if ((rc = read_system(r)))
        return rc;
    disks = find(r, "disk");
    for (size_t i = 0; disks && disks->list && i < disks->count && !rc; i++)
        rc = add_disk(r, disks->value[i]);
    nics = find(r, "vif");
    for (size_t i = 0; !rc && nics && nics->list && i < nics->count; i++)
        rc = add_nic(r, nics->value[i]);
    return rc;
}

/* A line that begins with the key, and then an equals sign, and this. */
static bool has_setting(const char *text, const char *key, const char *then)
{
    size_t len = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        const char *p = line + strspn(line, "\n");
        line = p;
        if (strncmp(p, key, len) != 0)
            continue;
        p += len + strspn(p + len, " \t");
        if (*p == '=' && strchr(then, p[1 + strspn(p + 1, " \t")]))
            return true;
    }
    return false;
}

bool vmscm_xl_match(const char *text)
{
    return has_setting(text, "name", "\"'") && has_setting(text, "disk", "[");
}

void vmscm_xl_release(struct vmscm_xl *xl)
{
    for (size_t i = 0; xl->sources && i < xl->machine->disk_count; i++)
        free(xl->sources[i]);
    free(xl->sources);
    vmscm_model_free(xl->machine);
    *xl = (struct vmscm_xl){NULL, NULL};
}

int vmscm_xl_parse(struct vmscm_xl *out, const void *text, size_t len, struct vmscm_error *err)
{
    struct reading r = {.line = 1, .out = out, .err = err};
    char *copy;
    int rc = 0;

    *out = (struct vmscm_xl){NULL, NULL};
    if (len > VMSCM_XL_MAX || memchr(text, '\0', len))
        return vmscm_error_set(err, VMSCM_EINPUT, "is no configuration of xl's");
    if (!(copy = strndup(text, len)))
        return vmscm_error_nomem(err);
    r.at = copy;
    for (skip(&r, true); *r.at && !rc; skip(&r, true)) {
        if (*r.at == ';')
            r.at++;
        else
            rc = read_setting(&r);
    }
    if (!rc)
        rc = read_machine(&r);
    for (size_t i = 0; i < r.settings.len; i++)
        free(r.settings.items[i].value);
    vmscm_vec_release(&r.settings);
    free(copy);
    if (rc)
        vmscm_xl_release(out);
    return rc;
}
