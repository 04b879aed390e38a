#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Repair: what is good in damaged files is kept, what is lost comes from images and other repositories, and
# what stays lost is told, whatever the damage was and wherever the repair was interrupted.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-repair.sh
. "$TEST_SOURCE/t/lib-repair.sh"

biggest() { find bad.vmscm/packs -name "pack-*" -printf "%s %p\n" | sort -n | tail -n 1 | cut -d " " -f 2; }
fresh
no_fsck bad.vmscm

check 'nothing to do' '
    repair 0
    grep "^0 files set aside, 0 chunks saved, 0 chunks restored" said
    [ ! -e bad.vmscm/damaged ]
    all_there bad.vmscm'
check_fails 2 'a revision and --repair' 'vmscm -C bad.vmscm fsck --repair one'
check_fails 2 '--from without --repair' 'vmscm -C bad.vmscm fsck --from two.raw'

for part in header trailer index; do
    check "a damaged $part costs nothing" '
        for pack in whole.vmscm/packs/pack-*; do
            fresh
            bad=bad.vmscm/packs/${pack##*/}
            size=$(stat -c %s "$bad")
            case $part in
            header) flip "$bad" 2 ;;
            trailer) flip "$bad" $((size - 30)) ;;
            index) flip "$bad" $((size - 100)) ;;
            esac
            rc=0
            vmscm -C bad.vmscm fsck >found || rc=$?
            [ $rc = 1 ]
            repair 0
            grep "^1 file set aside" said
            cmp "bad.vmscm/damaged/${pack##*/}" "$pack" && fail "not the damaged one" || true
            all_there bad.vmscm
        done'
done
check 'a version that is not known, where all else is well: it was damage' '
    fresh
    flip "$(biggest)" 8
    repair 0
    all_there bad.vmscm'
check 'a pack of a later version stays, and is told' '
    fresh
    pack=$(biggest)
    flip "$pack" 8
    flip "$pack" 5000
    repair 1 --json
    jq -e ".set_aside == 0" said
    [ -e "$pack" ]
    grep -q "version" said
    never_wrong bad.vmscm'

check 'bits that flipped anywhere: never worse, and an image brings the rest back' '
    for pack in whole.vmscm/packs/pack-*; do
        bad=bad.vmscm/packs/${pack##*/}
        size=$(stat -c %s "$pack")
        for n in 1 2 3 4 5 6 7; do
            fresh
            flip "$bad" $((n * size / 8))
            rc=0
            vmscm -C bad.vmscm fsck --repair >said || rc=$?
            case $rc in
            0) all_there bad.vmscm ;;
            1)
                never_wrong bad.vmscm
                ! vmscm -C bad.vmscm fsck >found || fail "fsck finds nothing"
                repair 0 --from one.raw --from later.raw --from two.raw
                all_there bad.vmscm
                ;;
            *) fail "$(cat said)" ;;
            esac
        done
    done'
check 'a pack cut at any length' '
    size=$(stat -c %s "$(ls -S whole.vmscm/packs/* | head -n 1)")
    for n in 0 1 16 20 5000 $((size / 3)) $((size / 2)) $((size - 1)); do
        fresh
        truncate -s "$n" "$(biggest)"
        rc=0
        vmscm -C bad.vmscm fsck --repair >said || rc=$?
        [ $rc -le 1 ]
        never_wrong bad.vmscm
        repair 0 --from one.raw --from two.raw --from later.raw
        all_there bad.vmscm
    done'
check 'all packs gone: images in other formats bring everything back' '
    fresh
    rm bad.vmscm/packs/*
    qemu-img convert -O qcow2 -c one.raw one.qcow2
    qemu-img convert -O vmdk later.raw later.vmdk
    qemu-img convert -O vhdx two.raw two.vhdx
    repair 0 --json --from one.qcow2 --from later.vmdk --from two.vhdx
    jq -e ".restored > 100 and (.findings | length) == 0" said
    all_there bad.vmscm'
check 'or another repository, to which it does not matter who has what' '
    fresh
    rm bad.vmscm/packs/*
    repair 1 --from one.raw
    vmscm -C bad.vmscm cat one~1 | cmp - one.raw
    never_wrong bad.vmscm
    repair 0 --from whole.vmscm
    all_there bad.vmscm'
check 'data is found that has moved on the disk' '
    sample_disk large.raw 32 5
    vmscm init -q --bare moved.vmscm
    vmscm -C moved.vmscm checkin -q large "$PWD/large.raw"
    rm -f moved.vmscm/packs/*
    { tail -c 16M large.raw; head -c 4096 /dev/zero; head -c 16M large.raw; } >swapped.raw
    rc=0
    VMSCM_DIR=moved.vmscm vmscm fsck --repair --from swapped.raw >said || rc=$?
    [ $rc = 1 ] && grep "^swapped.raw: [0-9]* chunks and leaves restored" said
    { tail -c 16M large.raw; head -c 16M large.raw; } >swapped.raw
    VMSCM_DIR=moved.vmscm vmscm fsck --repair --from swapped.raw >said
    vmscm -C moved.vmscm cat large | cmp - large.raw'
check 'what leans on a chunk that is lost is there again when that is' '
    fresh
    for pack in bad.vmscm/packs/pack-*; do
        mv "$pack" .
        ! vmscm -C bad.vmscm fsck one >found || { mv "${pack##*/}" "$pack"; continue; }
        grep -q "its base .* is missing" found && break
        mv "${pack##*/}" "$pack"
    done
    grep -q "its base .* is missing" found
    repair 1
    # A bit of damage in the pack of those that lean on it sends it to damaged before they can be read.
    for pack in bad.vmscm/packs/pack-*; do flip "$pack" 20; done
    repair 1
    [ "$(ls bad.vmscm/damaged | wc -l)" = 2 ]
    repair 0 --from one.raw --from two.raw
    vmscm -C bad.vmscm cat one | cmp - later.raw || fail "$(cat said)"'

check 'a damaged multi-pack index is set aside' '
    vmscm init -q --bare many.vmscm
    for n in 1 2 3 4 5 6 7 8 9; do
        noise 100000 "3$n" >small.raw
        vmscm -C many.vmscm checkin -q m$n "$PWD/small.raw"
    done
    index=$(ls many.vmscm/packs/midx-*)
    chmod u+w "$index"
    flip "$index" $(($(stat -c %s "$index") / 2))
    vmscm -C many.vmscm fsck --repair >said
    [ -e "many.vmscm/damaged/${index##*/}" ]
    ls many.vmscm/packs/midx-*
    vmscm -C many.vmscm fsck --full
    vmscm -C many.vmscm cat m9 | cmp - small.raw
    vmscm -C many.vmscm fsck >said
    grep "^damaged: 1 file" said'

check 'hostile sources: nothing is believed' '
    fresh
    rm bad.vmscm/packs/*
    # A repository that has other bytes under the right ids.
    rm -rf liar.vmscm
    cp -r whole.vmscm liar.vmscm
    chmod -R u+w liar.vmscm
    for pack in liar.vmscm/packs/pack-*; do
        size=$(stat -c %s "$pack")
        for n in 1 2 3 4 5 6 7 8 9; do noise 3000 $n | put "$pack" $((n * size / 10)); done
    done
    rm -f liar.vmscm/packs/fifo
    mkfifo liar.vmscm/packs/pack-00000000000000000000000000000000.vpk
    ln -s /etc/passwd liar.vmscm/packs/pack-00000000000000000000000000000001.vpk
    # An image with other data, and one that is none.
    noise 8388608 77 >other.raw
    repair 1 --from liar.vmscm --from other.raw
    never_wrong bad.vmscm
    repair 0 --from whole.vmscm
    all_there bad.vmscm'
no_fsck liar.vmscm
check 'sources that cannot be used: refused before anything is done' '
    fresh
    flip "$(biggest)" 2
    cp -r bad.vmscm/packs before
    qemu-img create -q -f qcow2 -b /etc/passwd -F raw thief.qcow2 1M
    mkdir -p nothing
    for source in thief.qcow2 nothing not-there bad.vmscm; do
        rc=0
        VMSCM_DIR=bad.vmscm vmscm fsck --repair --from whole.vmscm --from $source >said 2>err || rc=$?
        [ $rc -ge 2 ] || fail "$source: ended with $rc"
        [ "$(grep -c "^vmscm: " err)" = 1 ]
    done
    diff -r before bad.vmscm/packs
    [ ! -e bad.vmscm/damaged ]'
check_fails 3 'while gc or another repair is at work' '
    fresh
    flock bad.vmscm/locks/gc vmscm -C bad.vmscm fsck --repair' 'at work'
check 'an unreadable part of an image is passed over' '
    fresh
    rm bad.vmscm/packs/*
    qemu-img convert -O qcow2 -c one.raw torn.qcow2
    truncate -s -70000 torn.qcow2
    VMSCM_DIR=bad.vmscm vmscm fsck --repair --from torn.qcow2 >said 2>&1 || true
    never_wrong bad.vmscm
    repair 0 --from whole.vmscm'

# History. Each of its objects is in a file of its own.
objects() { find bad.vmscm/git/objects -type f -path "*/??/*"; }
check 'damaged objects of history: set aside, and taken from another repository' '
    for what in flip cut empty gone; do
        fresh
        for object in $(objects); do
            case $what in
            flip) flip "$object" $(($(stat -c %s "$object") / 2)) ;;
            cut) truncate -s -3 "$object" ;;
            empty) truncate -s 0 "$object" ;;
            gone) rm "$object" ;;
            esac
        done
        repair 1
        [ $what = gone ] || find bad.vmscm/damaged -name "git-*" | grep -q .
        repair 0 --from whole.vmscm
        grep "whole.vmscm: commit [0-9a-f]* restored" said
        all_there bad.vmscm
        git --git-dir=bad.vmscm/git fsck --strict >fsck 2>&1 || fail "$(cat fsck)"
    done'
check 'one after the other: the others are not touched' '
    fresh
    for object in $(objects); do
        fresh
        flip "$object" 12
        repair 0 --from one.raw --from whole.vmscm
        grep "^1 file set aside" said || fail "$object: $(cat said)"
        all_there bad.vmscm >checked
    done'
check 'a pack of plain git that is damaged: what is good is unpacked' '
    fresh
    git --git-dir=bad.vmscm/git repack -adq
    cp -r bad.vmscm/git packed
    [ -z "$(objects)" ]
    chmod -R u+w bad.vmscm packed
    pack=$(ls bad.vmscm/git/objects/pack/*.pack)
    size=$(stat -c %s "$pack")
    for n in 1 2 3 4 5; do
        rm -rf bad.vmscm/git bad.vmscm/damaged
        cp -r packed bad.vmscm/git
        flip "$pack" $((n * size / 6))
        repair 0 --from whole.vmscm
        [ ! -e "$pack" ] && ls bad.vmscm/damaged/*.pack bad.vmscm/damaged/*.idx
        all_there bad.vmscm
    done'
check 'one whose header or trailer is damaged has all its objects' '
    rm -rf bad.vmscm/git
    cp -r packed bad.vmscm/git
    pack=$(ls bad.vmscm/git/objects/pack/*.pack)
    for offset in 0 6 11 $(($(stat -c %s "$pack") - 7)); do
        rm -rf bad.vmscm/git bad.vmscm/damaged
        cp -r packed bad.vmscm/git
        flip "$pack" "$offset"
        repair 0
        [ ! -e "$pack" ] && ls bad.vmscm/damaged/*.pack bad.vmscm/damaged/*.idx
        all_there bad.vmscm
    done'
check 'its index, damaged or gone, is made anew' '
    rm -rf bad.vmscm/git
    cp -r packed bad.vmscm/git
    pack=$(ls bad.vmscm/git/objects/pack/*.pack)
    index=${pack%.pack}.idx
    size=$(stat -c %s "$index")
    for n in 1 2 3 4 5 gone; do
        rm -rf bad.vmscm/git bad.vmscm/damaged
        cp -r packed bad.vmscm/git
        if [ $n = gone ]; then rm "$index"; else flip "$index" $((n * size / 6)); fi
        repair 0
        [ -e "$pack" ]
        all_there bad.vmscm
        git --git-dir=bad.vmscm/git fsck --strict >fsck 2>&1 || fail "$(cat fsck)"
    done'
check 'a hostile source of history' '
    fresh
    for object in $(objects); do rm "$object"; done
    rm -rf liar.vmscm
    cp -r whole.vmscm liar.vmscm
    chmod -R u+w liar.vmscm
    # Each object under the name of another.
    for object in $(cd liar.vmscm/git/objects && find ?? -type f); do
        echo "hello $object" | zlib-flate -compress >liar.vmscm/git/objects/$object 2>/dev/null ||
            echo "hello" >liar.vmscm/git/objects/$object
    done
    repair 1 --from liar.vmscm
    [ -z "$(objects)" ]
    repair 0 --from whole.vmscm
    all_there bad.vmscm'
check 'a ref is not changed: it is told what leads to a machine again' '
    fresh
    id=$(vmscm -C bad.vmscm show --json one~1 | jq -r .id)
    tip=$(cat bad.vmscm/git/refs/heads/one)
    echo 0123456789012345678901234567890123456789 >bad.vmscm/git/refs/heads/one
    repair 1
    grep "^hint: its reflog leads to ${tip%"${tip#????????????}"}, ${id%"${id#????????????}"}" said
    [ "$(cat bad.vmscm/git/refs/heads/one)" = 0123456789012345678901234567890123456789 ]'

check 'beside check-ins: each succeeds, and is there' '
    fresh
    flip "$(biggest)" 2
    for n in 1 2 3 4 5 6; do
        { cat one.raw; noise 100000 "5$n"; } >more$n.raw
        vmscm -C bad.vmscm checkin -q more$n "$PWD/more$n.raw" 2>said$n &
    done
    repair 0
    wait
    for n in 1 2 3 4 5 6; do
        vmscm -C bad.vmscm cat more$n | cmp - more$n.raw || fail "$(cat said$n)"
    done
    repair 0
    all_there bad.vmscm'

done_testing
