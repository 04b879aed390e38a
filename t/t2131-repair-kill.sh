#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# A repair that is killed, at each kind of call that changes something: nothing is lost that was there, and
# the next one does all that is left to do.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-repair.sh
. "$TEST_SOURCE/t/lib-repair.sh"

fresh
no_fsck bad.vmscm

# The damage that makes it do most, cut short at each of its calls that change something.
check -p strace 'killed anywhere: nothing is lost that was there, and it can be run again' '
    hurt() {
        fresh
        for pack in bad.vmscm/packs/pack-*; do
            flip "$pack" 2
            flip "$pack" $(($(stat -c %s "$pack") - 100))
        done
    }
    hurt
    strace -f -qq -o trace -e trace=openat,write,fsync,rename,renameat2,link,unlink,mkdir \
        vmscm -C bad.vmscm fsck --repair -j 1 >said
    all_there bad.vmscm >said
    points=0
    for call in openat renameat2 mkdir fsync write unlink; do
        count=$(grep -c " $call(" trace || true)
        step=$(((count + 19) / 20))
        for n in $(seq 1 "$step" "$count"); do
            hurt
            strace -f -qq -o /dev/null -e "inject=$call:signal=KILL:when=$n" \
                vmscm -C bad.vmscm fsck --repair -j 1 >said 2>&1 || true
            never_wrong bad.vmscm
            repair 0
            all_there bad.vmscm >said
            points=$((points + 1))
        done
    done
    echo "$points points"
    [ "$points" -ge 40 ]'

done_testing
