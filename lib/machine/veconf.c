/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/veconf.h"
#include "base/str.h"
#include "machine/model.h"

#include <stdlib.h>
#include <string.h>

#define NICS_MAX 256
#define CPUS_MAX 65536
#define PAGE 4096u
#define MEMORY_MAX (UINT64_C(1) << 50)
#define TEXT_MAX 1024

static const char *const telling[] = {"VE_ROOT", "VE_PRIVATE", "OSTEMPLATE", "PHYSPAGES", "PRIVVMPAGES"};

/* KEY=VALUE, with quotes around the value or without, in the line itself. False: it is none. */
static bool split(char **key, char **value, char *line)
{
    char *equals, *end;
    size_t len;

    line += strspn(line, " \t");
    if (!(equals = strchr(line, '=')) || equals == line || *line == '#')
        return false;
    *equals = '\0';
    *key = line;
    *value = equals + 1;
    if (**value == '"' || **value == '\'') {
        if (!(end = strchr(*value + 1, **value)))
            return false;
        ++*value;
    } else {
        len = strcspn(*value, " \t\r#");
        end = *value + len;
    }
    *end = '\0';
    return true;
}

bool vmscm_veconf_match(const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        const char *line = text + strspn(text, " \t");
        for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++) {
            size_t n = strlen(telling[i]);
            if (strncmp(line, telling[i], n) == 0 && line[n] == '=')
                return true;
        }
        text += len + (text[len] == '\n');
    }
    return false;
}

/* The limit of "BARRIER:LIMIT" or "LIMIT", in pages or with a unit; 0: it is none. */
static uint64_t limit_of(const char *value)
{
    static const char units[] = "bkmgtp";
    const char *colon = strrchr(value, ':'), *text = colon ? colon + 1 : value, *unit;
    size_t digits = strspn(text, "0123456789");
    uint64_t number, factor = PAGE;
    char plain[24];

    if (!digits || digits >= sizeof plain)
        return 0;
    memcpy(plain, text, digits);
    plain[digits] = '\0';
    if (!vmscm_str_uint(&number, plain, 1, UINT64_MAX))
        return 0;
    if (text[digits]) {
        if (!(unit = strchr(units, text[digits] | 0x20)) || text[digits + 1])
            return 0;
        factor = *unit == 'p' ? PAGE : UINT64_C(1) << 10 * (unit - units);
    }
    /* More than that is "unlimited" in a number. */
    return number <= MEMORY_MAX / factor ? number * factor : 0;
}

static bool is_text(const char *s)
{
    return *s && strlen(s) <= TEXT_MAX && vmscm_str_printable(s);
}

/* "debian-12-x86_64" or "centos-7-amd64-minimal". */
static const char *arch_of(const char *template)
{
    static const char *const names[][2] = {{"x86_64", "x86_64"}, {"amd64", "x86_64"},
        {"aarch64", "aarch64"}, {"arm64", "aarch64"}, {"i386", "i386"}, {"i686", "i386"}, {"x86", "i386"},
        {"ppc64le", "ppc64"}, {"ppc64el", "ppc64"}};

    for (const char *p = template; *p; p += strspn(p, "-.")) {
        size_t len = strcspn(p, "-.");
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strlen(names[i][0]) == len && strncmp(p, names[i][0], len) == 0)
                return names[i][1];
        p += len;
    }
    return NULL;
}

/* NAME=VALUE of "NAME=VALUE,NAME=VALUE", in the text itself. */
static int nic_part(struct vmscm_machine_nic *nic, char *part, struct vmscm_error *err)
{
    char *value = strchr(part, '=');

    if (!value)
        return 0;
    *value++ = '\0';
    if (strcmp(part, "mac") == 0)
        return vmscm_model_set_mac(nic, value, err);
    if ((strcmp(part, "bridge") != 0 && strcmp(part, "network") != 0) || !is_text(value))
        return 0;
    int rc = vmscm_model_set(&nic->network, value, err);
    return rc ? rc : vmscm_model_set(&nic->type, part, err);
}

/* NETIF: of several NICs, separated by semicolons. */
static int add_nics(struct vmscm_machine *machine, char *value, struct vmscm_error *err)
{
    int rc = 0;

    for (char *one, *rest = value; !rc && (one = strsep(&rest, ";"));) {
        struct vmscm_machine_nic *nic;
        if (!*one)
            continue;
        if (machine->nic_count == NICS_MAX)
            return vmscm_error_set(err, VMSCM_EINPUT, "more than %d NICs", NICS_MAX);
        rc = vmscm_model_add_nic(&nic, machine, err);
        for (char *part; !rc && (part = strsep(&one, ","));)
            rc = nic_part(nic, part, err);
    }
    return rc;
}

/* What counts less than another key, till all were read. */
struct found {
    uint64_t physical, private;
    bool named, venet;
};

static int take(struct vmscm_machine *m, struct found *f, const char *key, char *value,
    struct vmscm_error *err)
{
    uint64_t number;
    const char *arch;

    if (strcmp(key, "CPUS") == 0) {
        if (vmscm_str_uint(&number, value, 1, CPUS_MAX))
            m->cpus = (uint32_t)number;
    } else if (strcmp(key, "PHYSPAGES") == 0) {
        f->physical = limit_of(value);
    } else if (strcmp(key, "PRIVVMPAGES") == 0) {
        f->private = limit_of(value);
    } else if (strcmp(key, "NAME") == 0 && is_text(value)) {
        f->named = true;
        return vmscm_model_set(&m->name, value, err);
    } else if (strcmp(key, "HOSTNAME") == 0 && is_text(value) && !f->named) {
        return vmscm_model_set(&m->name, value, err);
    } else if (strcmp(key, "OSTEMPLATE") == 0 && (arch = arch_of(value))) {
        return vmscm_model_set(&m->arch, arch, err);
    } else if (strcmp(key, "NETIF") == 0) {
        vmscm_model_remove_nics(m);
        return add_nics(m, value, err);
    } else if (strcmp(key, "IP_ADDRESS") == 0) {
        f->venet = value[strspn(value, " ")] != '\0';
    }
    return 0;
}

int vmscm_veconf_parse(struct vmscm_machine *machine, const void *text, size_t len,
    struct vmscm_error *err)
{
    struct found f = {0};
    struct vmscm_machine_nic *nic;
    char *copy = malloc(len + 1), *rest = copy;
    int rc = 0;

    if (!copy)
        return vmscm_error_nomem(err);
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    for (char *line, *key, *value; !rc && (line = strsep(&rest, "\n"));)
        if (split(&key, &value, line))
            rc = take(machine, &f, key, value, err);
    if (f.physical || f.private)
        machine->memory = f.physical ? f.physical : f.private;
    /* The host's own network of containers, which has no other description. */
    if (!rc && f.venet && !machine->nic_count && !(rc = vmscm_model_add_nic(&nic, machine, err)))
        rc = vmscm_model_set(&nic->model, "venet", err);
    free(copy);
    return rc;
}
