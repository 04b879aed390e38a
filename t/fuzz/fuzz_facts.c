/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of lib/inspect/facts: a note of inspections, of which any line may be anyone's. */
#include "inspect/facts.h"

#include <stdlib.h>
#include <string.h>
#include <vmscm/inspect.h>
#include <vmscm/repo.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *line = NULL, *summary = NULL;
    struct vmscm_facts facts, again;

    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (!vmscm_facts_choose(&facts, text, NULL)) {
        /* What was chosen is kept as one line, and is the same again. */
        if (vmscm_facts_line(&line, &facts, NULL) || strchr(line, '\n') ||
            vmscm_inspect_summary(&summary, line, NULL) ||
            vmscm_facts_parse(&again, line, strlen(line), NULL) ||
            !json_equal(facts.root, again.root))
            abort();
        vmscm_facts_release(&again);
        vmscm_free(summary);
        free(line);
    }
    vmscm_facts_release(&facts);
    free(text);
    return 0;
}
