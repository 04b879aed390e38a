/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A script for Hyper-V from anywhere: what is taken from it can be stored, and is the same when it is written
 * and read again. */
#include "machine/hint.h"
#include "machine/hypervscript.h"
#include "machine/hypervwrite.h"
#include "machine/json.h"
#include "machine/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct vmscm_machine *machine, char **sources)
{
    struct vmscm_description description = {
        .machine = machine, .name = "machine", .files = (const char *const *)sources};
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf text = VMSCM_BUF_INIT;
    struct vmscm_machine *again;
    char **files;

    if (vmscm_hypervwrite_encode(&text, &description, &err))
        abort();
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] >= 0x7f)
            abort();
    if (vmscm_hypervscript_parse(&again, &files, text.data, text.len, &err) ||
        again->disk_count != machine->disk_count || again->nic_count != machine->nic_count)
        abort();
    for (size_t i = 0; i < again->disk_count; i++) {
        if (strcmp(files[i], sources[i]) != 0)
            abort();
        free(files[i]);
    }
    if (machine->name && strcmp(machine->name, again->name) != 0)
        abort();
    free(files);
    vmscm_model_free(again);
    vmscm_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_machine *machine;
    char **sources;

    if (vmscm_hypervscript_parse(&machine, &sources, data, size, &err))
        return 0;
    write_again(machine, sources);
    for (size_t i = 0; i < machine->disk_count; i++) {
        free(sources[i]);
        machine->disks[i].size = 1;
        if (vmscm_model_set(&machine->disks[i].format, "raw", &err))
            abort();
    }
    free(sources);
    if (vmscm_json_encode(&buf, machine, &err))
        abort();
    vmscm_buf_release(&buf);
    vmscm_model_free(machine);
    return 0;
}
