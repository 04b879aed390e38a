#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Allocations fail, in the library's unit tests and in commands: nothing crashes, and what is said is so.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
[ -e "$VMSCM_BUILD/durability/shim-memory.so" ] || skip_all "the shim was not built"

case ${VMSCM_TEST_VARIANT:-default} in
asan) skip_all "the sanitizer has allocations to itself" ;;
durability)
    places='--seconds 3600'
    stacks=
    ;;
*)
    places='--every 20 --seconds 180'
    stacks='--every 20'
    ;;
esac

# Tests that die leave their files in a /tmp of their own, which takes a mount.
check -p "ROOT addr2line" 'allocations of the unit tests' '
    "$TEST_SOURCE/t/durability/memory.py" $places units >said || { cat said; exit 1; }
    sed "s/^#*/# /" said >said.units'
check 'allocations of a check-in, a tag and a comment' '
    "$TEST_SOURCE/t/durability/memory.py" $stacks commands checkin-new tag comment >said || { cat said; exit 1; }
    sed "s/^#*/# /" said >said.commands'
cat said.units said.commands 2>/dev/null
done_testing
