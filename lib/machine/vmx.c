/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/vmx.h"
#include "base/str.h"
#include "base/vec.h"
#include "machine/hint.h"
#include "machine/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINES_MAX 16384
#define MEMORY_MAX (UINT64_C(1) << 42) /* MiB */
#define CPUS_MAX 65536
#define TEXT_MAX 1024
#define NAME_MAX_BYTES 4095

/* Controllers of a kind, places on each, and NICs, as far as VMware has them. */
#define CONTROLLERS 16
#define PLACES 64
#define NICS 256

struct line {
    char *key, *value; /* into the text */
};

struct vmx {
    char *text;
    VMSCM_VEC(struct line) lines; /* sorted by key, the first of equal ones first */
    struct vmscm_error *err;
};

static int by_key(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int order = strcasecmp(x->key, y->key);

    /* All keys are in one text: what comes first there is the first. */
    return order ? order : (x->key > y->key) - (x->key < y->key);
}

/* The first line whose key is not before this one. */
static size_t lower_bound(const struct vmx *v, const char *key)
{
    size_t low = 0, high = v->lines.len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcasecmp(v->lines.items[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The value of a key, or NULL. */
static const char *value_of(const struct vmx *v, const char *key)
{
    size_t at = lower_bound(v, key);

    return at < v->lines.len && strcasecmp(v->lines.items[at].key, key) == 0
        ? v->lines.items[at].value
        : NULL;
}

/* Which numbers below count come right behind this in keys, with a '.' or ':' after them: to ask for each
 * place that there can be takes thousands of look-ups. */
static void find_numbers(bool *found, size_t count, const struct vmx *v, const char *begin)
{
    size_t len = strlen(begin);

    memset(found, 0, count * sizeof *found);
    for (size_t i = lower_bound(v, begin);
         i < v->lines.len && strncasecmp(v->lines.items[i].key, begin, len) == 0; i++) {
        const char *digits = v->lines.items[i].key + len;
        size_t n = strspn(digits, "0123456789"), number = 0;
        if (n == 0 || n > 3 || (*digits == '0' && n > 1) || !digits[n] || !strchr(".:", digits[n]))
            continue;
        for (size_t k = 0; k < n; k++)
            number = number * 10 + (size_t)(digits[k] - '0');
        if (number < count)
            found[number] = true;
    }
}

/* Of "DEVICE.NAME". */
static const char *get(const struct vmx *v, const char *device, const char *name)
{
    char key[80];

    snprintf(key, sizeof key, "%s.%s", device, name);
    return value_of(v, key);
}

static bool is_true(const char *value)
{
    return value && (strcasecmp(value, "TRUE") == 0 || strcmp(value, "1") == 0);
}

static bool is_false(const char *value)
{
    return value && (strcasecmp(value, "FALSE") == 0 || strcmp(value, "0") == 0);
}

/* |XX is a byte. In place. */
static void unescape(char *s)
{
    char *to = s, digits[3] = {0};
    uint8_t byte;

    for (; *s; s++) {
        if (*s == '|' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2])) {
            digits[0] = (char)tolower((unsigned char)s[1]);
            digits[1] = (char)tolower((unsigned char)s[2]);
            if (vmscm_str_unhex(&byte, 1, digits) && byte) {
                *to++ = (char)byte;
                s += 2;
                continue;
            }
        }
        *to++ = *s;
    }
    *to = '\0';
}

bool vmscm_vmx_split(char **key, char **value, char *text)
{
    char *equals = strchr(text, '='), *end;

    if (!equals)
        return false;
    for (end = equals; end > text && (end[-1] == ' ' || end[-1] == '\t'); end--)
        ;
    if (end == text)
        return false;
    *end = '\0';
    *key = text;
    *value = equals + 1 + strspn(equals + 1, " \t");
    end = *value + strlen(*value);
    while (end > *value && strchr(" \t\r", end[-1]))
        *--end = '\0';
    if (**value == '"') {
        if (end - *value < 2 || end[-1] != '"')
            return false;
        end[-1] = '\0';
        ++*value;
    }
    unescape(*value);
    return true;
}

static int read_lines(struct vmx *v)
{
    struct line *line;
    size_t number = 0;
    int rc;

    for (char *p = v->text, *next; p; p = next) {
        number++;
        if ((next = strchr(p, '\n')))
            *next++ = '\0';
        if (number == 1 && strncmp(p, "\xef\xbb\xbf", 3) == 0)
            p += 3;
        p += strspn(p, " \t\r");
        if (!*p || *p == '#')
            continue;
        if (v->lines.len == LINES_MAX)
            return vmscm_error_set(v->err, VMSCM_EINPUT, "vmx: more than %d lines", LINES_MAX);
        if ((rc = vmscm_vec_add(&v->lines, &line, v->err)))
            return rc;
        if (!vmscm_vmx_split(&line->key, &line->value, p))
            return vmscm_error_set(
                v->err, VMSCM_EINPUT, "vmx: line %zu is not KEY = \"VALUE\"", number);
    }
    if (v->lines.len)
        qsort(v->lines.items, v->lines.len, sizeof *v->lines.items, by_key);
    return 0;
}

/* A text that can be stored, or nothing. */
static int set_text(char **field, const char *value, struct vmscm_error *err)
{
    if (!value || !*value || strlen(value) > TEXT_MAX || !vmscm_str_printable(value))
        return 0;
    return vmscm_model_set(field, value, err);
}

static int read_machine(struct vmscm_machine *m, const struct vmx *v)
{
    const char *cpus = value_of(v, "numvcpus"), *memory = value_of(v, "memsize");
    const char *firmware = value_of(v, "firmware"), *guest = value_of(v, "guestOS");
    uint64_t number;
    int rc;

    if (cpus) {
        if (!vmscm_str_uint(&number, cpus, 1, CPUS_MAX))
            return vmscm_error_set(
                v->err, VMSCM_EINPUT, "vmx: numvcpus: %.60s: not a number of CPUs", cpus);
        m->cpus = (uint32_t)number;
    }
    if (memory) {
        if (!vmscm_str_uint(&number, memory, 1, MEMORY_MAX))
            return vmscm_error_set(
                v->err, VMSCM_EINPUT, "vmx: memsize: %.60s: not an amount of memory", memory);
        m->memory = number << 20;
    }
    m->secure_boot = is_true(value_of(v, "uefi.secureBoot.enabled"));
    if ((rc = set_text(&m->name, value_of(v, "displayName"), v->err)))
        return rc;
    if (guest && strncasecmp(guest, "arm", 3) == 0 &&
        (rc = vmscm_model_set(&m->arch, "aarch64", v->err)))
        return rc;
    return firmware && strcasecmp(firmware, "efi") == 0
        ? vmscm_model_set(&m->firmware, "uefi", v->err)
        : 0;
}

/* Whether what is at this place is a hard disk. */
static bool is_disk(const struct vmx *v, const char *device, const char *file)
{
    const char *type = get(v, device, "deviceType");
    size_t len = strlen(file);

    if (!is_true(get(v, device, "present")) || !*file || strcasecmp(file, "auto detect") == 0)
        return false;
    if (type && (strcasestr(type, "cdrom") || strcasecmp(type, "atapi-cdrom") == 0))
        return false;
    return len < 4 || strcasecmp(file + len - 4, ".iso") != 0;
}

static int add_disk(struct vmscm_vmx *out, const char *bus, const char *file,
    struct vmscm_error *err)
{
    struct vmscm_machine_disk *disk;

    if (strlen(file) > NAME_MAX_BYTES || !vmscm_str_printable(file))
        return vmscm_error_set(err, VMSCM_EINPUT, "vmx: a disk's file name is malformed");
    return vmscm_model_attach_file(&disk, &out->sources, out->machine, bus, file, err);
}

static int read_disks(struct vmscm_vmx *out, const struct vmx *v)
{
    static const char *const buses[] = {"ide", "scsi", "sata", "nvme"};
    bool controllers[CONTROLLERS], places[PLACES];
    char device[32];
    int rc;

    for (size_t b = 0; b < sizeof buses / sizeof buses[0]; b++) {
        find_numbers(controllers, CONTROLLERS, v, buses[b]);
        for (unsigned c = 0; c < CONTROLLERS; c++) {
            snprintf(device, sizeof device, "%s%u", buses[b], c);
            /* IDE's controllers have no line of their own. */
            if (!controllers[c] || is_false(get(v, device, "present")))
                continue;
            snprintf(device, sizeof device, "%s%u:", buses[b], c);
            find_numbers(places, PLACES, v, device);
            for (unsigned p = 0; p < PLACES; p++) {
                snprintf(device, sizeof device, "%s%u:%u", buses[b], c, p);
                const char *file = places[p] ? get(v, device, "fileName") : NULL;
                if (!file || !is_disk(v, device, file))
                    continue;
                if (out->machine->disk_count == 256)
                    return vmscm_error_set(v->err, VMSCM_EINPUT, "vmx: more than 256 disks");
                if ((rc = add_disk(out, buses[b], file, v->err)))
                    return rc;
            }
        }
    }
    return 0;
}

static int read_nic(struct vmscm_machine *m, const struct vmx *v, const char *device)
{
    static const struct {
        const char *name, *model;
    } models[] = {{"e1000", "e1000"}, {"e1000e", "e1000e"}, {"vmxnet3", "vmxnet3"},
        {"vmxnet", "vmxnet"}, {"vlance", "pcnet"}};
    const char *kind = get(v, device, "connectionType"), *model = get(v, device, "virtualDev");
    const char *mac = get(v, device, "address");
    struct vmscm_machine_nic *nic;
    int rc;

    if ((rc = vmscm_model_add_nic(&nic, m, v->err)) ||
        (rc = vmscm_model_set(&nic->type,
             !kind                                ? "network"
                 : strcasecmp(kind, "nat") == 0     ? "user"
                 : strcasecmp(kind, "bridged") == 0 ? "bridge"
                                                    : "network",
             v->err)) ||
        (rc = set_text(&nic->network, get(v, device, "networkName"), v->err)))
        return rc;
    for (size_t i = 0; model && i < sizeof models / sizeof models[0]; i++)
        if (strcasecmp(model, models[i].name) == 0 &&
            (rc = vmscm_model_set(&nic->model, models[i].model, v->err)))
            return rc;
    return vmscm_model_set_mac(nic, mac ? mac : get(v, device, "generatedAddress"), v->err);
}

static int read_nics(struct vmscm_machine *m, const struct vmx *v)
{
    bool nics[NICS];
    char device[32];
    int rc = 0;

    find_numbers(nics, NICS, v, "ethernet");
    for (unsigned n = 0; n < NICS && !rc; n++) {
        snprintf(device, sizeof device, "ethernet%u", n);
        if (nics[n] && is_true(get(v, device, "present")))
            rc = read_nic(m, v, device);
    }
    return rc;
}

bool vmscm_vmx_match(const char *text)
{
    /* Every program of VMware's writes both. */
    return strcasestr(text, "config.version") && strcasestr(text, "virtualHW.version") &&
        *text != '<';
}

void vmscm_vmx_release(struct vmscm_vmx *vmx)
{
    for (size_t i = 0; vmx->sources && i < vmx->machine->disk_count; i++)
        free(vmx->sources[i]);
    free(vmx->sources);
    free(vmx->nvram);
    vmscm_model_free(vmx->machine);
    *vmx = (struct vmscm_vmx){NULL, NULL, NULL};
}

int vmscm_vmx_parse(struct vmscm_vmx *out, const void *text, size_t len, struct vmscm_error *err)
{
    struct vmx v = {.err = err};
    const char *nvram;
    int rc;

    *out = (struct vmscm_vmx){NULL, NULL, NULL};
    if (len > VMSCM_VMX_MAX)
        return vmscm_error_set(err, VMSCM_EINPUT, "vmx: over %d bytes", VMSCM_VMX_MAX);
    if (!(v.text = strndup(text, len)))
        return vmscm_error_nomem(err);
    if ((rc = read_lines(&v)) || (rc = vmscm_model_new(&out->machine, err)))
        goto out;
    vmscm_model_remove_nics(out->machine);
    if ((rc = read_machine(out->machine, &v)) || (rc = read_disks(out, &v)) ||
        (rc = read_nics(out->machine, &v)))
        goto out;
    if ((rc = vmscm_hint_apply(out->machine, out->sources, value_of(&v, VMSCM_VMX_AS),
             value_of(&v, VMSCM_VMX_IS), err)))
        goto out;
    nvram = value_of(&v, "nvram");
    if (nvram && *nvram && strlen(nvram) <= NAME_MAX_BYTES)
        rc = vmscm_str_dup(&out->nvram, nvram, err);
out:
    if (rc)
        vmscm_vmx_release(out);
    vmscm_vec_release(&v.lines);
    free(v.text);
    return rc;
}
