#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# On a file system that can clone files, a second checkout costs nothing; it is right all the same,
# and takes nothing from a checkout that was changed.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

why=$(missing ROOT LOOP mkfs.xfs)
[ -z "$why" ] || skip_all "$why"
truncate -s 400M xfs.img
mkfs.xfs -q -m reflink=1 xfs.img
mkdir xfs
mount -o loop xfs.img xfs 2>/dev/null || skip_all 'cannot mount XFS'
if ! { echo x >xfs/a && cp --reflink=always xfs/a xfs/b; } 2>/dev/null; then
    umount xfs
    skip_all 'XFS without reflinks'
fi

noise 40000000 1 >one.raw
truncate -s 80M one.raw
cp one.raw two.raw
noise 100000 2 | put two.raw 20000001
noise 30000 3 | put two.raw 70000000
fallocate -p -o 8M -l 1M two.raw

# new_blocks COMMAND...: KiB that it takes on the file system
new_blocks() {
    local before after
    sync -f xfs
    before=$(df -k --output=used xfs | tail -n 1)
    "$@" >&2
    sync -f xfs
    after=$(df -k --output=used xfs | tail -n 1)
    echo $((after - before))
}

check 'a machine, and a checkout of it' '
    vmscm init
    vmscm checkin m one.raw -m one
    vmscm checkin m two.raw -m two
    vmscm checkout m xfs/first
    cmp xfs/first/*.img two.raw'
check 'a second checkout shares its blocks' '
    [ "$(new_blocks vmscm checkout -v m xfs/second)" -lt 2000 ]
    grep -q "cloned from .*/xfs/first" "$TEST_DIR/err"
    cmp xfs/second/*.img two.raw'
check 'one of another revision writes what differs' '
    [ "$(new_blocks vmscm checkout m~1 xfs/third)" -lt 4000 ]
    cmp xfs/third/*.img one.raw
    cmp xfs/first/*.img two.raw'
check 'each can be changed, and checked in, alone' '
    echo x | put "$(echo xfs/second/*.img)" 1000
    cmp xfs/first/*.img two.raw
    (cd xfs/second && vmscm checkin --onto mine -m mine)
    vmscm cat mine | cmp - xfs/second/*.img
    vmscm cat m | cmp - two.raw'
check 'nothing is taken from a checkout that was changed' '
    rm -r xfs/second xfs/third
    disk=$(echo xfs/first/*.img)
    touch -r "$disk" times
    echo y | put "$disk" 3000
    touch -r times "$disk"
    vmscm checkout -v m xfs/fourth 2>said
    ! grep -q cloned said
    cmp xfs/fourth/*.img two.raw'
check 'nor from one whose state somebody else wrote' '
    rm -r xfs/first
    chown 1 xfs/fourth/.vmscm-checkout
    vmscm checkout -v m xfs/fifth 2>said
    ! grep -q cloned said
    cmp xfs/fifth/*.img two.raw
    chown 0 xfs/fourth/.vmscm-checkout'
check 'checkouts that are gone are forgotten' '
    [ "$(cat .vmscm/checkouts/* | sort | tr "\n" " ")" = \
        "$PWD/xfs/fifth $PWD/xfs/fourth " ]'
check 'notes that are not what they should be do no harm' '
    echo nonsense >.vmscm/checkouts/0123456789abcdef
    printf /nowhere >.vmscm/checkouts/1123456789abcdef
    mkdir .vmscm/checkouts/2123456789abcdef
    vmscm checkout -v m xfs/sixth 2>said
    grep -q cloned said
    cmp xfs/sixth/*.img two.raw
    rm -r .vmscm/checkouts
    vmscm checkout m xfs/seventh
    cmp xfs/seventh/*.img two.raw'
check 'a checkout over a checkout keeps what is shared' '
    vmscm checkout m xfs/eighth
    [ "$(new_blocks vmscm checkout m~1 xfs/eighth)" -lt 4000 ]
    cmp xfs/eighth/*.img one.raw'
check 'a disk with reserved space shares none' '
    [ "$(new_blocks vmscm checkout m xfs/full --format raw -o preallocation=falloc)" -gt 80000 ]'
check 'the other file system clears up' 'umount xfs'

done_testing
