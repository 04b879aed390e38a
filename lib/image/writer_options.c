/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Creation options that may be given, a table a format. Those that name a file, hold a secret or
 * set the size are not among them: the writer decides these.
 */
#include "base/buf.h"
#include "base/str.h"
#include "image/writer_parts.h"

#include <stdlib.h>
#include <string.h>

enum kind { KIND_END, KIND_WORD, KIND_SIZE, KIND_NUMBER };

struct known {
    const char *name;
    enum kind kind;
    const char *words;   /* WORD: those allowed, separated by spaces */
    uint64_t min, max;   /* SIZE, NUMBER */
    bool power_of_two;   /* likewise */
};

#define ON_OFF "on off"
#define PREALLOCATION                                                                              \
    {                                                                                              \
        "preallocation", KIND_WORD, "off falloc full", 0, 0, false                                 \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, KIND_END, NULL, 0, 0, false                                                          \
    }

static const struct known raw_options[] = {
    {"preallocation", KIND_WORD, "off falloc", 0, 0, false}, END};

static const struct known qcow2_options[] = {
    {"compat", KIND_WORD, "0.10 1.1 v2 v3", 0, 0, false},
    {"cluster_size", KIND_SIZE, NULL, 512, 2 << 20, true},
    {"compression_type", KIND_WORD, "zlib zstd", 0, 0, false},
    {"extended_l2", KIND_WORD, ON_OFF, 0, 0, false},
    {"lazy_refcounts", KIND_WORD, ON_OFF, 0, 0, false},
    {"refcount_bits", KIND_NUMBER, NULL, 1, 64, true},
    {"preallocation", KIND_WORD, "off metadata falloc full", 0, 0, false}, END};

static const struct known vmdk_options[] = {
    {"subformat", KIND_WORD,
        "monolithicSparse monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat streamOptimized",
        0, 0, false},
    {"adapter_type", KIND_WORD, "ide buslogic lsilogic legacyESX", 0, 0, false},
    {"compat6", KIND_WORD, ON_OFF, 0, 0, false},
    {"hwversion", KIND_NUMBER, NULL, 1, 100, false},
    {"toolsversion", KIND_NUMBER, NULL, 0, UINT32_MAX, false},
    {"zeroed_grain", KIND_WORD, ON_OFF, 0, 0, false}, PREALLOCATION, END};

static const struct known vdi_options[] = {
    {"static", KIND_WORD, ON_OFF, 0, 0, false}, PREALLOCATION, END};

static const struct known vpc_options[] = {
    {"subformat", KIND_WORD, "dynamic fixed", 0, 0, false},
    {"force_size", KIND_WORD, ON_OFF, 0, 0, false}, PREALLOCATION, END};

static const struct known vhdx_options[] = {
    {"subformat", KIND_WORD, "dynamic fixed", 0, 0, false},
    {"block_size", KIND_SIZE, NULL, 0, 256 << 20, false},
    {"log_size", KIND_SIZE, NULL, 1 << 20, 256 << 20, false},
    {"block_state_zero", KIND_WORD, ON_OFF, 0, 0, false}, PREALLOCATION, END};

static const struct known parallels_options[] = {
    {"cluster_size", KIND_SIZE, NULL, 512, 256 << 20, false}, PREALLOCATION, END};

static const struct known *options_of(enum vmscm_probe_format format)
{
    switch (format) {
    case VMSCM_PROBE_RAW:
        return raw_options;
    case VMSCM_PROBE_QCOW2:
        return qcow2_options;
    case VMSCM_PROBE_VMDK:
        return vmdk_options;
    case VMSCM_PROBE_VDI:
        return vdi_options;
    case VMSCM_PROBE_VPC:
        return vpc_options;
    case VMSCM_PROBE_VHDX:
        return vhdx_options;
    case VMSCM_PROBE_PARALLELS:
        return parallels_options;
    }
    return raw_options;
}

static bool is_word_of(const char *words, const char *value)
{
    size_t n = strlen(value);

    for (const char *w = words; n && *w;) {
        size_t len = strcspn(w, " ");
        if (len == n && memcmp(w, value, n) == 0)
            return true;
        w += len + (w[len] == ' ');
    }
    return false;
}

static bool is_number_of(const struct known *k, const char *value)
{
    uint64_t n;

    if (k->kind == KIND_SIZE ? vmscm_str_size(&n, value, NULL) != 0
                             : !vmscm_str_uint(&n, value, 0, UINT64_MAX))
        return false;
    return n >= k->min && n <= k->max && (!k->power_of_two || (n && (n & (n - 1)) == 0));
}

static int unknown_option(enum vmscm_probe_format format, const char *name,
    struct vmscm_error *err)
{
    struct vmscm_buf names = VMSCM_BUF_INIT;

    for (const struct known *k = options_of(format); k->name; k++)
        vmscm_buf_printf(&names, NULL, "%s%s", names.len ? ", " : "", k->name);
    vmscm_error_set(err, VMSCM_EUSAGE, "%s: not an option of format %s", name,
        vmscm_probe_format_name(format));
    vmscm_error_hint(err, "it has: %s", vmscm_buf_str(&names));
    vmscm_buf_release(&names);
    return VMSCM_EUSAGE;
}

int vmscm_writer_options_check(enum vmscm_probe_format format, const char *name, const char *value,
    struct vmscm_error *err)
{
    const struct known *k = options_of(format);

    while (k->name && strcmp(k->name, name) != 0)
        k++;
    if (!k->name)
        return unknown_option(format, name, err);
    if (k->kind == KIND_WORD ? is_word_of(k->words, value) : is_number_of(k, value))
        return 0;
    vmscm_error_set(err, VMSCM_EUSAGE, "%s=%s: not a value it can have", name, value);
    if (k->kind == KIND_WORD)
        vmscm_error_hint(err, "one of: %s", k->words);
    else
        vmscm_error_hint(err, "%s from %llu to %llu",
            k->power_of_two ? "a power of two" : "a number", (unsigned long long)k->min,
            (unsigned long long)k->max);
    return VMSCM_EUSAGE;
}

const char *vmscm_writer_options_get(const struct vmscm_writer_options *options, const char *name)
{
    const char *value = NULL;

    /* The last of several counts, as on a command line. */
    for (size_t i = 0; i < options->option_count; i++)
        if (strcmp(options->options[i].name, name) == 0)
            value = options->options[i].value;
    return value;
}

static int add_option(struct vmscm_buf *text, const char *name, const char *value,
    struct vmscm_error *err)
{
    return vmscm_buf_printf(text, err, "%s%s=%s", text->len ? "," : "", name, value);
}

int vmscm_writer_options_text(char **out, const struct vmscm_writer_options *options,
    struct vmscm_error *err)
{
    struct vmscm_buf text = VMSCM_BUF_INIT;
    int rc = 0;

    for (size_t i = 0; !rc && i < options->option_count; i++) {
        const struct vmscm_machine_option *o = &options->options[i];
        rc = vmscm_writer_options_check(options->format, o->name, o->value, err);
        /* Checked values hold no comma, so that nothing needs escaping. */
        if (!rc && vmscm_writer_options_get(options, o->name) == o->value)
            rc = add_option(&text, o->name, o->value, err);
    }
    if (!rc && options->format == VMSCM_PROBE_QCOW2 && !vmscm_writer_options_get(options, "compat"))
        rc = add_option(&text, "compat", "1.1", err);
    /* Otherwise the size is rounded up to what cylinders, heads and sectors can express. */
    if (!rc && options->format == VMSCM_PROBE_VPC &&
        !vmscm_writer_options_get(options, "force_size"))
        rc = add_option(&text, "force_size", "on", err);
    if (!rc) {
        *out = vmscm_buf_steal(&text);
        if (!*out)
            rc = vmscm_error_nomem(err);
    }
    vmscm_buf_release(&text);
    return rc;
}
