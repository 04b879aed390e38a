/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rowformat.h"

#include "memory.h"
#include "report.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The index of the field that begins here, behind "%(", and where its name ends; -1: there is no
 * such. */
static int find(const char *at, size_t *len, const char *const *fields)
{
    *len = strcspn(at, ")");
    for (int i = 0; at[*len] && fields[i]; i++)
        if (strlen(fields[i]) == *len && strncmp(fields[i], at, *len) == 0)
            return i;
    return -1;
}

static int complain(const char *at, const char *const *fields, struct vmscm_error *err)
{
    char *all = memory_dup("%(");
    size_t len = strcspn(at, ")");

    report_set(err, VMSCM_EUSAGE, "--format: \"%.*s\": no field and no \"%%%%\"",
        (int)(len > 40 ? 40 : len + (at[len] == ')')), at);
    for (size_t i = 0; fields[i]; i++) {
        char *longer = memory_printf("%s%s%s", all, fields[i], fields[i + 1] ? "), %(" : ")");
        free(all);
        all = longer;
    }
    report_hint(err, "fields are %s", all);
    free(all);
    return VMSCM_EUSAGE;
}

int rowformat_check(const char *format, const char *const *fields, bool json, struct vmscm_error *err)
{
    size_t len;

    if (json)
        return report_set(err, VMSCM_EUSAGE, "--format: not together with --json");
    for (const char *p = strchr(format, '%'); p; p = strchr(p, '%')) {
        if (p[1] == '%') {
            p += 2;
            continue;
        }
        if (p[1] != '(' || find(p + 2, &len, fields) < 0)
            return complain(p, fields, err);
        p += 2 + len;
    }
    return 0;
}

bool rowformat_has(const char *format, const char *field)
{
    const char *const only[] = {field, NULL};
    size_t len;

    for (const char *p = strchr(format, '%'); p; p = strchr(p, '%')) {
        if (p[1] == '(' && find(p + 2, &len, only) == 0)
            return true;
        p += 2; /* of "%%" both */
    }
    return false;
}

void rowformat_print(const char *format, const char *const *fields, const char *const *values)
{
    size_t len;

    while (*format) {
        const char *percent = strchrnul(format, '%');
        fwrite(format, 1, (size_t)(percent - format), stdout);
        format = percent;
        if (!*format)
            break;
        if (format[1] == '%') {
            putchar('%');
            format += 2;
            continue;
        }
        const char *value = values[find(format + 2, &len, fields)];
        text_put(stdout, value ? value : "");
        format += 2 + len + 1;
    }
    putchar('\n');
}
