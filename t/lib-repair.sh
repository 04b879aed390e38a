# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# For tests of repair, after lib-test.sh: a repository whole.vmscm, and what looks at a damaged copy of it,
# bad.vmscm.

# one: two revisions, the second in part stored against the first. two: another disk.
sample_disk one.raw 8 1
sample_disk two.raw 8 2
cp one.raw later.raw
for n in 1 2 3 4 5 6 7 8; do noise 180 "9$n" | put later.raw $((n * 300000)); done
noise 400000 99 | put later.raw 3000000
vmscm init --bare whole.vmscm >/dev/null 2>&1
vmscm -C whole.vmscm config gc.auto false
check 'two machines of two revisions, a pack for each revision' '
    cp one.raw disk.raw
    vmscm -C whole.vmscm checkin one vda="$PWD/disk.raw" -m first
    cp later.raw disk.raw
    vmscm -C whole.vmscm checkin one vda="$PWD/disk.raw" -m second
    vmscm -C whole.vmscm checkin two vda="$PWD/two.raw" -m two
    vmscm -C whole.vmscm tag one golden
    [ "$(ls whole.vmscm/packs | wc -l)" = 3 ]'

fresh() {
    rm -rf bad.vmscm
    cp -r whole.vmscm bad.vmscm
    chmod -R u+w bad.vmscm
}
flip() { # FILE OFFSET
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # an octal escape
    printf "\\$(printf %03o $((byte ^ 255)))" | put "$1" "$2"
}
# Each revision, as it was.
all_there() { # REPOSITORY
    vmscm -C "$1" cat one~1 | cmp - one.raw
    vmscm -C "$1" cat one | cmp - later.raw
    vmscm -C "$1" cat one:golden | cmp - later.raw
    vmscm -C "$1" cat two | cmp - two.raw
    vmscm -C "$1" fsck --full
}
# What is there of each revision is right, whatever is missing.
never_wrong() { # REPOSITORY
    local rev want
    for rev in one~1:one.raw one:later.raw two:two.raw; do
        want=${rev##*:}
        if vmscm -C "$1" cat "${rev%:*}" >got 2>said; then cmp got "$want"; fi
    done
}
repair() { # STATUS OPTIONS
    local want=$1 rc=0
    shift
    VMSCM_DIR=bad.vmscm vmscm fsck --repair "$@" >said 2>&1 || rc=$?
    [ $rc = "$want" ] || fail "repair ended with $rc: $(cat said)"
}
