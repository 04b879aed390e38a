#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Eight processes at work on one repository: what each was told is so.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
[ -e "$VMSCM_BUILD/durability/checker" ] || skip_all "the checker was not built"

case ${VMSCM_TEST_VARIANT:-default} in
durability) seconds=300 ;;
quick | asan) seconds=4 ;;
*) seconds=20 ;;
esac

check 'eight processes' '
    "$TEST_SOURCE/t/durability/concurrent.py" "$seconds" >said || { cat said; exit 1; }'
sed 's/^#*/# /' said
done_testing
