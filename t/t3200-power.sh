#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Power is lost at every point of many commands, and of what no fsync made durable some is gone: what
# was acknowledged is there.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
[ -e "$VMSCM_BUILD/durability/shim.so" ] || skip_all "the shim was not built"

case ${VMSCM_TEST_VARIANT:-default} in
asan) skip_all "what the shim records with cannot be freed beside the sanitizer" ;;
durability) some='--limit 100 --resume 500' ;;
quick) some='--limit 4 --every 25 --resume 50' ;;
*) some='--limit 8 --every 4 --resume 100' ;;
esac

check 'power that is lost' '
    "$TEST_SOURCE/t/durability/power.py" $some >said || { cat said; exit 1; }
    [ "${VMSCM_TEST_VARIANT:-}" != durability ] ||
        [ "$(sed -n "s/.* commands, \([0-9]*\) states.*/\1/p" said)" -ge 100000 ]'
sed 's/^#*/# /' said
done_testing
