#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# A real Debian guest, with a boot loader and a kernel of its own, starts straight from the repository, until its
# login prompt: through run as a thin checkout, whose service is killed meanwhile, from nbd, and from a mount. What
# it wrote in the thin checkout is checked in, and starts too. Each way once; with VMSCM_TEST_BOOTS=all each way with
# either revision, one after the other, which takes some minutes.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-guest.sh
. "$TEST_SOURCE/t/lib-guest.sh"

why=$(guest_why_not)
[ -n "$why" ] || why=$(guest_bootable_why_not)
[ -n "$why" ] || why=$(missing nbdkit jq)
[ -z "$why" ] || skip_all "$why"
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"

guest=$(TMPDIR=/tmp guest_small 2>"$TEST_DIR/guest.log") &&
    guest=$(TMPDIR=/tmp guest_bootable "$guest" 2>"$TEST_DIR/guest.log") || {
    sed 's/^/# /' "$TEST_DIR/guest.log" | tail -n 30
    echo "Bail out! the guest could not be built"
    exit 1
}
vmscm init -q --bare repo.vmscm
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR guest
at_exit 'VMSCM_DIR=$TEST_DIR/work/repo.vmscm vmscm service stop -q 2>/dev/null'

# said N LOG: it got to its login prompt, and that was its Nth start
said() {
    grep -q "vmscm-guest: start $1" "$2" && grep -q "guest login:" "$2" || { tail -n 30 "$2"; return 1; }
}
# Each of them: REV LOG.
by_nbd() {
    vmscm nbd --run "bash -c '. \"$TEST_SOURCE/t/lib-guest.sh\"; guest_until_login raw \"\$uri\" \"$2\"'" "$1"
}
by_mount() {
    mkdir "mnt-$2"
    vmscm mount -q "$1" "mnt-$2"
    guest_until_login raw "mnt-$2/vda.raw" "$2"
    vmscm unmount "mnt-$2"
}
by_thin() {
    vmscm checkout -q --thin "$1" "thin-$2"
    guest_until_login qcow2 "thin-$2/vda.qcow2" "$2"
}
by_run() {
    vmscm run -q --emulate --memory=512 --wait-for="text:guest login:" --timeout=600 --console-log="$2" "$1"
}

check 'the guest is checked in' 'vmscm checkin web vda="$guest" -m installed && vmscm tag web golden'
# served: the service's nbdkit, once it has read so many bytes
served() {
    local service nbdkit
    for _ in $(seq 3000); do
        service=$(vmscm service --json | jq -r .pid)
        nbdkit=
        [ "$service" = null ] || read -r nbdkit <"/proc/$service/task/$service/children" || true
        if [ -n "$nbdkit" ] && [ "$(awk "/^rchar/ { print \$2 }" "/proc/$nbdkit/io")" -gt "$1" ]; then
            return 0
        fi
        sleep 0.2
    done
    fail "nobody reads"
}
check 'it starts as a thin checkout, takes a command at its login prompt, and powers down' '
    vmscm run --emulate --memory=512 --keep=next --wait-for="text:guest login:" --timeout=600 --console-log=log --exec "
        head -c 8000000 /dev/urandom >/srv/written && sync && sha256sum </srv/written" web >sum 2>err &
    pid=$!
    # In the middle of that its service is killed, and started again.
    served 20000000
    kill -KILL "$(vmscm service --json | jq -r .pid)"
    sleep 1
    vmscm service start
    wait $pid || { cat err >&2; false; }
    said 1 log
    ! grep "I/O error" log
    cat err >&2
    ! grep -q "did not power down" err
    [ "$(wc -c <sum)" = 68 ]'
check 'what it wrote is all that is read of it, and its next revision' '
    (cd next && vmscm checkin -v --json -m "started, and 8 MB written") >json 2>err
    held=$(sed -n "s/.* its overlay holds \([0-9]*\) of .*/\1/p" err)
    [ "$held" -gt 8000000 ]
    [ "$held" -lt 100000000 ]
    # Chunks that what was written begins or ends in are read whole.
    [ "$(jq .read json)" -lt $((2 * held)) ]
    vmscm cat next >next.raw
    qemu-img compare -q -f qcow2 -F raw next/vda.qcow2 next.raw
    rm next.raw
    vmscm cat web | cmp - "$guest"'

if [ "${VMSCM_TEST_BOOTS:-}" = all ]; then
    for how in nbd mount thin run; do
        check "by $how: the revision as installed" "by_$how web:golden $how-1; said 1 $how-1"
        check "by $how: the next one" "by_$how next $how-2; said 2 $how-2"
    done
else
    # At the same time: each takes half a minute of emulation.
    check 'the revision as installed starts from nbd, and the next one from a mount' '
        by_nbd web:golden nbd-1 &
        pid=$!
        by_mount next mount-2
        wait $pid
        said 1 nbd-1
        said 2 mount-2'
fi
check 'what was started is as it was' '
    vmscm cat web | cmp - "$guest"
    [ "$(vmscm log --json web | jq length)" = 1 ]
    [ "$(vmscm log --json next | jq length)" = 2 ]'
done_testing
