/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "repo/findings.h"

void vmscm_findings_tell(struct vmscm_findings *findings, struct vmscm_fsck_finding finding)
{
    finding.machine = findings->machine;
    if (finding.note)
        findings->result->notes++;
    else
        findings->result->findings++;
    if (findings->found)
        findings->found(findings->data, &finding);
}
