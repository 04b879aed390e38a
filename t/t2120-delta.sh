#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Small changes all over a disk, as databases make them: stored against the chunks of the revision
# before, read back right, and told of when such a chunk is damaged.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

# change FILE SEED: 180 bytes at 200 places, each in a page of its own.
change() {
    local n
    noise $((200 * 180)) "$2" >bytes
    for n in $(seq 0 199); do
        dd if=bytes bs=180 skip="$n" count=1 status=none |
            put "$1" $((n * 163840 + ($2 * 7919 + n * 4096) % 131072))
    done
}

noise $((32 * 1048576)) 1 >disk.raw
cp disk.raw first.raw
check 'a disk of noise' '
    vmscm init --bare repo.vmscm
    vmscm -C repo.vmscm checkin db "$PWD/disk.raw" -m first
    stored repo.vmscm >size'
check 'small changes cost an eighth of the pages they are in' '
    change disk.raw 2
    cp disk.raw second.raw
    vmscm -C repo.vmscm checkin db "$PWD/disk.raw" -m second
    grown=$(($(stored repo.vmscm) - $(cat size)))
    echo "$grown bytes for 200 pages of 4096"
    [ "$grown" -gt 36000 ] && [ "$grown" -lt 102400 ]'
check 'and changes of what was changed, no more' '
    change disk.raw 3
    stored repo.vmscm >size
    vmscm -C repo.vmscm checkin db "$PWD/disk.raw" -m third
    grown=$(($(stored repo.vmscm) - $(cat size)))
    [ "$grown" -lt 120000 ]'
check 'each revision comes back' '
    vmscm -C repo.vmscm cat db~2 | cmp - first.raw
    vmscm -C repo.vmscm cat db~1 | cmp - second.raw
    vmscm -C repo.vmscm cat db | cmp - disk.raw
    vmscm -C repo.vmscm checkout -q db "$PWD/out"
    cmp "$(find out -size +1M)" disk.raw
    vmscm -C repo.vmscm fsck --full'
check 'what is different altogether is stored by itself' '
    noise 4000000 9 | put disk.raw 8000000
    stored repo.vmscm >size
    vmscm -C repo.vmscm checkin db "$PWD/disk.raw" -m other
    grown=$(($(stored repo.vmscm) - $(cat size)))
    [ "$grown" -gt 4000000 ] && [ "$grown" -lt 4200000 ]
    vmscm -C repo.vmscm cat db | cmp - disk.raw'
check 'packs do not depend on the number of threads' '
    for jobs in 1 4; do
        vmscm init --bare j$jobs.vmscm
        for disk in first second; do
            cp $disk.raw same.raw
            vmscm -C j$jobs.vmscm checkin -j $jobs db "$PWD/same.raw" -m $disk
        done
        for pack in j$jobs.vmscm/packs/pack-*; do sha256sum <"$pack"; done | sort >j$jobs.sums
    done
    [ "$(wc -l <j1.sums)" = 2 ] && cmp j1.sums j4.sums'

# A byte in the first pack's records belongs to a chunk of the first revision; some of those of the later
# ones lean on it.
check_fails 1 'fsck --full names all that a damaged base takes with it' '
    cp -r j1.vmscm bad.vmscm
    pack=$(ls -S bad.vmscm/packs/pack-* | head -n 1)
    chmod u+w "$pack"
    head -c 100000 /dev/zero | put "$pack" 10000000
    vmscm -C bad.vmscm log --json db | jq -r ".[].id" >ids
    rc=0
    vmscm -C bad.vmscm fsck --full --json >found || rc=$?
    [ "$(wc -l <ids)" = 2 ]
    for id in $(cat ids); do
        grep -q "$id" found || fail "$id is not named"
    done
    exit $rc'
no_fsck bad.vmscm
check_fails 1 'fsck misses a base that is gone' '
    rm -rf bad.vmscm
    cp -r j1.vmscm bad.vmscm
    rm -f "$(ls -S bad.vmscm/packs/pack-* | head -n 1)"
    rc=0
    vmscm -C bad.vmscm fsck >found 2>&1 || rc=$?
    grep -q "its base .* is missing" found || fail "$(head -n 3 found)"
    exit $rc'
check 'what leaned on a base that is gone is stored anew when it is checked in again' '
    cp second.raw same.raw
    vmscm -C bad.vmscm checkin db "$PWD/same.raw" -m again
    vmscm -C bad.vmscm cat db | cmp - second.raw
    vmscm -C bad.vmscm checkin --json db "$PWD/same.raw" -m "and again" >result
    [ "$(jq .stored result)" = 0 ] || fail "$(jq -c . result)"'
check 'a base that another pack has against a base of its own is one' '
    vmscm init --bare two.vmscm
    for disk in second disk; do
        cp $disk.raw same.raw
        vmscm -C two.vmscm checkin db "$PWD/same.raw" -m $disk
    done
    n=0
    for pack in j1.vmscm/packs/pack-*; do
        n=$((n + 1))
        cp "$pack" two.vmscm/packs/pack-0000000000000000000000000000000$n.vpk
    done
    vmscm -C two.vmscm cat db | cmp - disk.raw
    vmscm -C two.vmscm fsck
    vmscm -C two.vmscm fsck --full'
check 'a damaged base is no reason not to check in' '
    rm -rf bad.vmscm
    cp -r j1.vmscm bad.vmscm
    pack=$(ls -S bad.vmscm/packs/pack-* | head -n 1)
    chmod u+w "$pack"
    head -c 4000000 /dev/zero | put "$pack" 10000000
    cp second.raw same.raw
    change same.raw 5
    vmscm -C bad.vmscm checkin db "$PWD/same.raw" -m "on damaged ones"'
done_testing
