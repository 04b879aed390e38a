#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Bit rot: bits flip, files are cut short or lost. fsck --full reports it, or every read is right;
# never a wrong byte, a crash, a hang, or memory as a damaged number asks for. A sample of all the
# changes that there are; t/t3900-bitrot.sh makes every one.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/durability/lib-rot.sh
. "$TEST_SOURCE/t/durability/lib-rot.sh"

rot_repositories
check 'bits, lengths and files of a repository, one in many' '
    rot loose.vmscm -e 601'
check 'the same of one that plain git has packed' '
    rot packed.vmscm -e 601'
done_testing
