#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Checkouts whose repository was moved, whose disks grew, or that cannot be written.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

check 'a checkout' '
    mkdir old && cd old && vmscm init
    head -c 100000 /dev/urandom >disk.img && truncate -s 1M disk.img
    vmscm checkin web disk.img
    vmscm checkout web ../work'

move() {
    mv old new
    for command in status checkin list; do
        rc=0
        (cd work && vmscm $command) 2>err || rc=$?
        [ "$rc" = 1 ]
        grep -q '^vmscm: .*/old/.vmscm: ' err
        grep -q '^hint: .*VMSCM_DIR' err
    done
    cd work
    VMSCM_DIR=$TEST_DIR/work/new vmscm status --exit-code
    printf change | dd of=vda.img bs=1 seek=5000 conv=notrunc
    VMSCM_DIR=$TEST_DIR/work/new vmscm checkin
    vmscm status --exit-code
    vmscm list
}
check 'one whose repository was moved says what to do, and remembers it' move

grow() {
    cd work
    truncate -s 3M vda.img
    vmscm checkin
    [ "$(vmscm status --json | jq .disks[0].size)" = 3145728 ]
    [ "$(vmscm show --json web | jq .hardware.disks[0].size)" = 3145728 ]
}
check 'one whose disk grew knows its new size' grow

cat >unwritable.sh <<'E2'
mount --bind work work && mount -o remount,bind,ro work || exit 77
cd work && vmscm checkin 2>../err
E2
unwritable() {
    printf again | dd of=work/vda.img bs=1 seek=9000 conv=notrunc
    rc=0
    unshare -m sh unwritable.sh || rc=$?
    [ "$rc" = 3 ]
    grep -q '^vmscm: web [0-9a-f]* is recorded, but not in the checkout: ' err
    [ "$(grep -c '^hint: ' err)" = 1 ]
    vmscm -C new cat web | cmp - work/vda.img
    # Again it finds itself done, however often; with more in it, it is another revision's turn.
    cd work
    vmscm checkin --json | jq -e .unchanged
    vmscm status --exit-code
}
if unshare -m mount --bind work work 2>/dev/null; then
    check 'one that cannot be written says that the revision is recorded' unwritable
else
    skip 'one that cannot be written says that the revision is recorded' 'cannot mount here'
fi
done_testing
