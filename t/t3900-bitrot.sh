#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Bit rot, whole: t/t2150-bitrot.sh samples what this does for every bit, length and file. With
# t/check durability it is all of them, about an hour on two cores; else one in 29.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/durability/lib-rot.sh
. "$TEST_SOURCE/t/durability/lib-rot.sh"

[ "${VMSCM_TEST_VARIANT:-}" = durability ] && every=1 || every=29
rot_repositories
check "bits, lengths and files of a repository, one in $every" "
    rot loose.vmscm -e $every"
check "the same of one that plain git has packed, one in $every" "
    rot packed.vmscm -e $every"
done_testing
