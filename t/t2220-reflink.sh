#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# On a file system that can clone files, a second checkout costs nothing; it is right all the same,
# and takes nothing from a checkout that was changed.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

why=$(missing ROOT LOOP)
[ -z "$why" ] || skip_all "$why"

noise 40000000 1 >one.raw
truncate -s 80M one.raw
cp one.raw two.raw
noise 100000 2 | put two.raw 20000001
noise 30000 3 | put two.raw 70000000
fallocate -p -o 8M -l 1M two.raw

# new_blocks COMMAND...: KiB that it takes on the file system
new_blocks() {
    local before after
    sync -f fs
    before=$(df -k --output=used fs | tail -n 1)
    "$@" >&2
    sync -f fs
    after=$(df -k --output=used fs | tail -n 1)
    echo $((after - before))
}

# on NAME COMMAND...: all of it, on a file system that the command makes in a file whose name it gets last
on() {
    local fs=$1
    shift
    if ! command -v "$1" >/dev/null; then
        skip "$fs: second checkouts share blocks" "$1 is not installed"
        return
    fi
    rm -rf .vmscm fs.img
    truncate -s 400M fs.img
    mkdir -p fs
    make_fs="$*"
    check "$fs is made" '$make_fs fs.img'
    if ! mount -o loop fs.img fs 2>/dev/null; then
        skip "$fs: second checkouts share blocks" "cannot mount it"
        return
    fi
    if ! { echo x >fs/a && cp --reflink=always fs/a fs/b; } 2>/dev/null; then
        umount fs
        skip "$fs: second checkouts share blocks" "it has no reflinks"
        return
    fi
    reflinks "$fs"
}

reflinks() { # NAME
    check "$1: a machine, and a checkout of it" '
        vmscm init
        vmscm checkin m one.raw -m one
        vmscm checkin m two.raw -m two
        vmscm checkout m fs/first
        cmp fs/first/*.img two.raw'
    check "$1: a second checkout shares its blocks" '
        [ "$(new_blocks vmscm checkout -v m fs/second)" -lt 2000 ]
        grep -q "cloned from .*/fs/first" "$TEST_DIR/err"
        cmp fs/second/*.img two.raw'
    check "$1: one of another revision writes what differs" '
        [ "$(new_blocks vmscm checkout m~1 fs/third)" -lt 4000 ]
        cmp fs/third/*.img one.raw
        cmp fs/first/*.img two.raw'
    check "$1: each can be changed, and checked in, alone" '
        echo x | put "$(echo fs/second/*.img)" 1000
        cmp fs/first/*.img two.raw
        (cd fs/second && vmscm checkin --onto mine -m mine)
        vmscm cat mine | cmp - fs/second/*.img
        vmscm cat m | cmp - two.raw'
    check "$1: nothing is taken from a checkout that was changed" '
        rm -r fs/second fs/third
        disk=$(echo fs/first/*.img)
        touch -r "$disk" times
        echo y | put "$disk" 3000
        touch -r times "$disk"
        vmscm checkout -v m fs/fourth 2>said
        ! grep -q cloned said
        cmp fs/fourth/*.img two.raw'
    check "$1: nor from one whose state somebody else wrote" '
        rm -r fs/first
        chown 1 fs/fourth/.vmscm-checkout
        vmscm checkout -v m fs/fifth 2>said
        ! grep -q cloned said
        cmp fs/fifth/*.img two.raw
        chown 0 fs/fourth/.vmscm-checkout'
    check "$1: checkouts that are gone are forgotten" '
        [ "$(cat .vmscm/checkouts/* | sort | tr "\n" " ")" = \
            "$PWD/fs/fifth $PWD/fs/fourth " ]'
    check "$1: notes that are not what they should be do no harm" '
        echo nonsense >.vmscm/checkouts/0123456789abcdef
        printf /nowhere >.vmscm/checkouts/1123456789abcdef
        mkdir .vmscm/checkouts/2123456789abcdef
        vmscm checkout -v m fs/sixth 2>said
        grep -q cloned said
        cmp fs/sixth/*.img two.raw
        rm -r .vmscm/checkouts
        vmscm checkout m fs/seventh
        cmp fs/seventh/*.img two.raw'
    check "$1: a checkout over a checkout keeps what is shared" '
        vmscm checkout m fs/eighth
        [ "$(new_blocks vmscm checkout m~1 fs/eighth)" -lt 4000 ]
        cmp fs/eighth/*.img one.raw'
    check "$1: a disk with reserved space shares none" '
        [ "$(new_blocks vmscm checkout m fs/full --format raw -o preallocation=falloc)" -gt 80000 ]'
    check "$1: the other file system clears up" 'umount fs'
}

on XFS mkfs.xfs -q -m reflink=1
on Btrfs mkfs.btrfs -q

done_testing
