#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Garbage collection and repair where the clock jumps, and in repositories that a later version wrote.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

vmscm init >/dev/null 2>&1
noise 3000000 1 >a.raw
noise 2000000 2 >b.raw
noise 1000000 3 >c.raw
vmscm config gc.auto false >/dev/null
vmscm checkin -q a "$PWD/a.raw"
vmscm checkin -q b "$PWD/b.raw"
shim=$VMSCM_BUILD/durability/shim.so
now=$(date +%s)
day=86400
trash() { find .vmscm/trash -name '*.vpk' -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }
whole() {
    vmscm cat a | cmp - a.raw
    vmscm fsck -q --full
}

# A command with another clock than the file system's: SECONDS COMMAND...
at() {
    local when=$1
    shift
    ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 VMSCM_SHIM_TIME=$when LD_PRELOAD=$shim "$@"
}

if [ -e "$shim" ]; then
    check 'the clock goes back a day: nothing goes before its time, nor stays for ever' '
        vmscm rm -q b
        vmscm gc -q --grace 1h
        [ "$(trash)" -gt 1900000 ]
        at $((now - day)) vmscm checkin -q c "$PWD/c.raw" -m "of yesterday"
        at $((now - day)) vmscm log c | grep "$(date -d @$((now - day)) +%Y)"
        vmscm cat c | cmp - c.raw
        at $((now - day)) vmscm gc -q --grace 2d
        whole
        vmscm cat c | cmp - c.raw
        [ "$(trash)" -gt 1900000 ]'
    check 'what is in the trash comes back when it is needed, whatever the clock says' '
        vmscm checkin -q b "$PWD/b.raw"
        at $((now - day)) vmscm gc -q --grace 1h
        vmscm cat b | cmp - b.raw
        whole'
    check 'the clock goes on a day: what is needed stays, what is not goes' '
        vmscm rm -q c
        at $((now + day)) vmscm gc -q --grace 1h
        at $((now + day)) vmscm checkin -q a "$PWD/c.raw" -m "of tomorrow"
        at $((now + day + 7200)) vmscm gc -q --grace 1h
        [ "$(trash)" = 0 ]
        vmscm cat a | cmp - c.raw
        vmscm cat a~1 | cmp - a.raw
        vmscm cat b | cmp - b.raw'
    check 'and back: a check-in follows one of tomorrow' '
        vmscm checkin -q a "$PWD/b.raw" -m "of today"
        [ "$(vmscm log --json a | jq -r ".[].message" | tr "\n" ,)" = "of today,of tomorrow,," ] ||
            { vmscm log --json a; exit 1; }
        vmscm gc -q --grace 0
        vmscm cat a | cmp - b.raw
        vmscm cat a~2 | cmp - a.raw'
else
    skip 'a clock that jumps' 'the shim was not built'
fi

# Nothing in a repository that is not understood is touched.
listing() { (cd later.vmscm && find . -type f ! -path './locks/*' -exec sha256sum {} + | sort); }
later() { # WHAT SETTING VALUE SAID
    name=$2 value=$3 says=$4
    check "$1: nothing is collected, mended or changed" '
        rm -rf later.vmscm
        cp -a .vmscm later.vmscm
        git config -f later.vmscm/config "$name" "$value"
        listing >before
        for words in gc "gc --aggressive --grace 0" "gc --auto" fsck "fsck --repair" "prune --keep-last 1 a"; do
            rc=0
            vmscm -C later.vmscm $words >out 2>said || rc=$?
            cat said
            [ $rc = 3 ]
            grep -q "$says" said
            listing | cmp before -
        done'
}
later 'a repository of a later format' core.repositoryFormatVersion 99 'format\|newer'
vmscm config extensions.later yes >/dev/null
later 'a repository with an extension that is not known' core.repositoryFormatVersion 2 'extensions.later'
vmscm config --unset extensions.later >/dev/null
rm -rf later.vmscm

check 'a pack of a later version: gc removes nothing, and says so' '
    cp -a .vmscm later.vmscm
    pack=$(find later.vmscm/packs -name "*.vpk" -printf "%s %p\n" | sort -n | tail -n 1 | cut -d " " -f 2)
    chmod u+w "$pack"
    printf "\\143" | dd of="$pack" bs=1 seek=8 conv=notrunc status=none
    listing >before
    rc=0
    vmscm -C later.vmscm gc --grace 0 >out 2>said || rc=$?
    cat said
    [ $rc != 0 ]
    listing | cmp before -'
no_fsck later.vmscm

done_testing
