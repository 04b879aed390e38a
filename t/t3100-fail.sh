#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The calls of commands fail, each in turn: what a command says is true, and nothing is lost.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
[ -e "$VMSCM_BUILD/durability/shim.so" ] || skip_all "the shim was not built"

case ${VMSCM_TEST_VARIANT:-default} in
durability) some= ;;
quick) some='--every 797' ;;
asan) some='--every 1997' ;;
*) some='--every 197' ;;
esac

check 'calls that fail' '
    "$TEST_SOURCE/t/durability/fail.py" $some >said || { cat said; exit 1; }'
sed 's/^#*/# /' said
check 'a push that cannot read what it is to send ends' '
    "$TEST_SOURCE/t/durability/fail.py" --at "open other.vmscm/git/objects" --every 29 push >said ||
        { cat said; exit 1; }'
sed 's/^#*/# /' said
check 'a clone of what cannot be read for the moment is not done' '
    "$TEST_SOURCE/t/durability/fail.py" --at "r.vmscm/git/objects" --every 97 clone-url >said ||
        { cat said; exit 1; }'
sed 's/^#*/# /' said
done_testing
