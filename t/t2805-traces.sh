#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Boot traces in the plugin, through vmscm nbd alone, so that a sanitizer sees it: recorded, followed by many
# readers at once, left in the middle, and made by others.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

for need in nbdkit nbdcopy qemu-io; do
    why=$(missing $need)
    [ -z "$why" ] || skip_all "$why"
done
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"

# shellcheck source=t/lib-nbdkit.sh
. "$TEST_SOURCE/t/lib-nbdkit.sh"

sample_disk one.raw 24 1
vmscm init --bare repo.vmscm >/dev/null 2>&1
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
check 'a machine' 'vmscm checkin web vda=one.raw vdb=one.raw -m first'
# Reads of places that lie apart, as a boot's
reads=$(for n in $(seq 30); do printf " -c 'read %sk 4k'" $((n * 128)); done)
export reads MORE=
# sound: nothing was wrong in nbdkit
sound() {
    ! grep -E "Sanitizer|runtime error" nbdkit.log
}
# traces: the note with the newest of them
traces() {
    git --git-dir=repo.vmscm/git notes --ref=traces list | cut -d " " -f 1 |
        xargs git --git-dir=repo.vmscm/git cat-file blob
}

check 'a trace is recorded, of both disks, while many read' '
    vmscm nbd --record --run "
        qemu-io -r -f raw $reads nbd+unix:///vda?socket=\$socket >/dev/null &&
        for i in 1 2 3 4 5 6 7 8; do nbdcopy nbd+unix:///vdb?socket=\$socket null: & done; wait" web
    traces | grep -qE ":vda .*20 40 60 80 a0 c0 .*:vdb"
    sound'
check 'reads that follow it are read ahead, while others read all' '
    : >nbdkit.log
    vmscm nbd --run "
        for i in 1 2 3 4 5 6 7 8; do
            qemu-io -r -f raw $reads nbd+unix:///vda?socket=\$socket >/dev/null &
            nbdcopy nbd+unix:///vdb?socket=\$socket got\$i &
        done; wait" web
    grep -q "boot trace: vda was fetched" nbdkit.log
    for i in 1 2 3 4 5 6 7 8; do cmp got$i one.raw; done
    sound'
check 'who leaves while that goes on ends it' '
    for i in 1 2 3; do
        MORE=trace=always vmscm nbd --run "qemu-io -r -f raw -c \"read 0 4k\" nbd+unix:///vdb?socket=\$socket" web
    done
    sound'
check 'what others may have written there' '
    tree=$(git --git-dir=repo.vmscm/git rev-parse "$(vmscm show --json web | jq -r .id):disks")
    {
        printf "3 99999999999 newer\n1 5 :vda ffffffffffffffffffffff\nnonsense\n1 7 :vdz 0\n1 6 :vda 3fffffffffff\n"
        printf "1 9 :vda"; for i in $(seq 3000); do printf " %x" $((i * 7 % 500)); done
        printf " 0 ffff :vdb 3fffffffff00\n"
    } >lines
    git --git-dir=repo.vmscm/git -c user.name=x -c user.email=x@x notes --ref=traces add -f -F lines "$tree"
    MORE=trace=always vmscm nbd --run "nbdcopy nbd+unix:///vda?socket=\$socket got1; nbdcopy nbd+unix:///vdb?socket=\$socket got2" web
    cmp got1 one.raw
    cmp got2 one.raw
    sound'
check 'a lazy clone fetches by it' '
    unset VMSCM_DIR
    vmscm clone -q --lazy "$PWD/repo.vmscm" lazy
    cd lazy
    : >../nbdkit.log
    MORE=trace=always vmscm nbd --run "nbdcopy nbd+unix:///vda?socket=\$socket ../got1" origin/web
    cmp ../got1 ../one.raw
    cd ..
    sound'
done_testing
