/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A configuration of OpenVZ from anywhere: what is taken from it can be stored. */
#include "machine/json.h"
#include "machine/model.h"
#include "machine/veconf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmscm_error err = VMSCM_ERROR_INIT;
    struct vmscm_buf buf = VMSCM_BUF_INIT;
    struct vmscm_machine *machine;

    if (vmscm_model_new(&machine, &err))
        abort();
    if (vmscm_veconf_parse(machine, data, size, &err) ? !err.message[0]
                                                      : vmscm_json_encode(&buf, machine, &err) != 0)
        abort();
    vmscm_buf_release(&buf);
    vmscm_model_free(machine);
    return 0;
}
