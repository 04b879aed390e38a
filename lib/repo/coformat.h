/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In which format, with which options, the disks of a checkout are written. */
#ifndef REPO_COFORMAT_H
#define REPO_COFORMAT_H

#include "image/writer.h"
#include <vmscm/checkout.h>

/* What was asked for, as text: "format=FORMAT options=OPTIONS". *out is the caller's. */
int vmscm_coformat_request(char **out, const struct vmscm_checkout_options *asked,
    struct vmscm_error *err);

/* The inverse; NULL where something was not asked for. A text of another kind asks for nothing. */
int vmscm_coformat_parse(char **format, char **options, const char *request,
    struct vmscm_error *err);

/* Sets w's format and options: what was asked for, else what is recorded of the disk. w->options is
 * the caller's; its strings are borrowed from the disk and from *text, which is the caller's too. */
int vmscm_coformat_choose(struct vmscm_writer_options *w, char **text,
    const struct vmscm_checkout_options *asked, const struct vmscm_machine_disk *disk,
    struct vmscm_error *err);

/* Whether every disk can be had so: before anything is made. VMSCM_EUNSUPPORTED, VMSCM_EUSAGE. */
int vmscm_coformat_check(const struct vmscm_machine *machine,
    const struct vmscm_checkout_options *asked, struct vmscm_error *err);

#endif
