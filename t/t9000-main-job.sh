#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# The main job on real input: a real Debian guest is checked in, changed by its own package manager,
# checked in again, cloned and tagged; both revisions are checked out in other formats, compared bit
# by bit with the originals, and booted.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-guest.sh
. "$TEST_SOURCE/t/lib-guest.sh"

why=$(guest_why_not)
[ -z "$why" ] || skip_all "$why"

first=$(TMPDIR=/tmp guest_small 2>"$TEST_DIR/guest.log") || {
    sed 's/^/# /' "$TEST_DIR/guest.log" | tail -n 30
    echo "Bail out! the guest could not be built"
    exit 1
}
second=$(guest_install "$first" sqlite3,make 2>"$TEST_DIR/guest.log") || {
    sed 's/^/# /' "$TEST_DIR/guest.log" | tail -n 30
    echo "Bail out! packages could not be installed in the guest"
    exit 1
}
first_line=$(guest_line "$first")
second_line=$(guest_line "$second")
export first second first_line second_line

check 'the two states of the guest differ' \
    '[ "$first_line" != "$second_line" ] && ! cmp -s "$first" "$second"'

check 'the guest as qcow2 is checked in' '
    qemu-img convert -O qcow2 "$first" web.qcow2
    vmscm init
    vmscm checkin web-server web.qcow2 -m "Debian as installed"
    vmscm tag web-server golden -m "before any packages"'

check 'it is changed, and checked in again' '
    before=$(stored .vmscm)
    rm web.qcow2
    qemu-img convert -O qcow2 "$second" web.qcow2
    vmscm checkin web-server web.qcow2 -m "sqlite3 and make installed"
    after=$(stored .vmscm)
    [ "$after" -gt "$before" ]
    # What was installed is a few MiB: the rest of the guest is not stored again.
    [ $((after - before)) -lt $((before / 2)) ] || fail "$before, then $after bytes"
    rm web.qcow2'

check 'a clone and a tag cost nothing' '
    before=$(stored .vmscm)
    vmscm clone web-server qa/web-test
    vmscm tag qa/web-test start
    [ "$(stored .vmscm)" = "$before" ]
    vmscm list >machines
    grep -q qa/web-test machines'

check 'the same disk in another format stores next to nothing' '
    qemu-img convert -O vmdk "$second" web.vmdk
    before=$(stored .vmscm)
    vmscm checkin qa/web-test web.vmdk -m "the same, as vmdk"
    rm web.vmdk
    after=$(stored .vmscm)
    [ $(((after - before) * 100)) -lt "$before" ] || fail "$before, then $after bytes"'

check 'the first revision comes out as vmdk, bit by bit' '
    vmscm checkout web-server:golden one --format vmdk
    disk=$(find one -name "*.vmdk")
    qemu-img info -f vmdk "$disk"
    qemu-img compare -f raw -F vmdk "$first" "$disk"
    qemu-img convert -f vmdk -O raw "$disk" one.raw
    [ "$(sha256sum <one.raw)" = "$(sha256sum <"$first")" ]
    rm one.raw
    mv "$disk" one.vmdk'

check 'the second revision comes out as raw, bit by bit' '
    vmscm checkout web-server two --format raw
    disk=$(find two -name "*.img" -o -name "*.raw")
    cmp "$disk" "$second"
    [ "$(sha256sum <"$disk")" = "$(sha256sum <"$second")" ]
    mv "$disk" two.img'

if [ -n "$(missing qemu-system-x86_64)" ]; then
    skip 'both boot' 'qemu-system-x86_64 is not installed'
else
    # At the same time: each takes half a minute of emulation.
    guest_boot vmdk one.vmdk "${first%.raw}.boot" one.console >one.log 2>&1 &
    one=$!
    guest_boot raw two.img "${second%.raw}.boot" two.console >two.log 2>&1 &
    two=$!
    at_exit "kill $one $two 2>/dev/null"
    wait $one
    wait $two
    check 'the first revision boots, with its packages' '
        grep -qF "$first_line" one.console || { cat one.log; tail -n 30 one.console; false; }'
    check 'the second revision boots, with the installed ones' '
        grep -qF "$second_line" two.console || { cat two.log; tail -n 30 two.console; false; }'
fi

check 'plain git reads the history' '
    git --git-dir=.vmscm/git log --format=%s web-server >subjects
    [ "$(cat subjects)" = "sqlite3 and make installed
Debian as installed" ]
    git --git-dir=.vmscm/git fsck --strict'

done_testing
