#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Transfers of which either side is killed at a random moment.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

case ${VMSCM_TEST_VARIANT:-default} in
durability) count=500 ;;
*) count=16 ;;
esac

check 'either side killed at random moments' '
    "$TEST_SOURCE/t/durability/sides.py" --count $count >said || { cat said; exit 1; }'
sed 's/^#*/# /' said
done_testing
