#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Damage in a repository: found by fsck, never turned into wrong bytes, and no harm to what is whole.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk one.raw 8 1
sample_disk two.raw 8 2
vmscm init whole.vmscm --bare >/dev/null 2>&1
check 'two machines of two revisions' '
    vmscm -C whole.vmscm checkin one "$PWD/one.raw" -m "one, first"
    cp one.raw one-later.raw
    noise 200000 9 | put one-later.raw 3000000
    vmscm -C whole.vmscm checkin one "$PWD/one-later.raw" -m "one, second"
    vmscm -C whole.vmscm checkin two "$PWD/two.raw" -m "two"
    vmscm -C whole.vmscm tag one golden
    vmscm -C whole.vmscm comment one -m "a remark"
    vmscm -C whole.vmscm fsck --full'

# A fresh copy to damage.
fresh() {
    rm -rf bad.vmscm
    cp -r whole.vmscm bad.vmscm
}
flip() { # FILE OFFSET: change one byte, whatever it is
    local byte
    chmod u+w "$1"
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # an octal escape
    printf "\\$(printf %03o $((byte ^ 255)))" | put "$1" "$2"
}
fresh
no_fsck bad.vmscm

# Every part of every pack: header, records, index, trailer. A reader gets the right bytes, or none.
for pack in whole.vmscm/packs/pack-*; do
    name=$(basename "$pack")
    size=$(stat -c %s "$pack")
    step=$((size / 24))
    check "${name%%-*}: a changed byte anywhere in it is found, and never read as data" '
        for offset in 0 4 9 16 20 40 $(seq 80 "$step" $((size - 1))) $((size - 60)) $((size - 1)); do
            fresh
            flip "bad.vmscm/packs/$name" "$offset"
            rc=0
            vmscm -C bad.vmscm fsck --full >said 2>&1 || rc=$?
            [ $rc = 1 ] || fail "byte $offset: fsck ended with $rc: $(cat said)"
            for machine in one two; do
                want=two.raw
                [ $machine = two ] || want=one-later.raw
                rc=0
                vmscm -C bad.vmscm cat $machine >got 2>said || rc=$?
                case $rc in
                0) cmp got $want || fail "byte $offset: wrong bytes of $machine" ;;
                1 | 3) [ "$(grep -c "^vmscm: " said)" = 1 ] || fail "$(cat said)" ;;
                *) fail "byte $offset: cat ended with $rc: $(cat said)" ;;
                esac
            done
        done'
done

check_fails 1 'a pack that is gone' '
    fresh
    rm -f bad.vmscm/packs/pack-*
    vmscm -C bad.vmscm cat one >got' 'one\|missing\|damaged\|not'
check_fails 1 'fsck says which machine and disk it touches' '
    vmscm -C bad.vmscm fsck >found 2>&1 || rc=$?
    grep -q one found && grep -q two found
    exit $rc'
check 'a pack cut short is found' '
    fresh
    pack=$(ls bad.vmscm/packs/pack-* | head -n 1)
    chmod u+w "$pack"
    truncate -s -100 "$pack"
    rc=0
    vmscm -C bad.vmscm fsck >found 2>&1 || rc=$?
    [ $rc = 1 ]'
check 'a damaged or missing multi-pack index costs nothing but time' '
    fresh
    for index in $(find bad.vmscm/packs -type f ! -name "pack-*"); do
        flip "$index" $(($(stat -c %s "$index") / 2))
    done
    vmscm -C bad.vmscm cat two | cmp - two.raw
    find bad.vmscm/packs -type f ! -name "pack-*" -delete
    vmscm -C bad.vmscm cat two | cmp - two.raw
    vmscm -C bad.vmscm fsck --full'

check 'what dead writers left is told, and is no damage; a live one is left alone' '
    fresh
    touch bad.vmscm/trash/x
    mkdir -p bad.vmscm/quarantine/from-1/packs bad.vmscm/quarantine/from-2/packs
    touch bad.vmscm/quarantine/from-1/lock bad.vmscm/quarantine/from-2/lock
    head -c 1000 /dev/zero >bad.vmscm/tmp/pack-00000000000000000000000000000001.vpk
    head -c 2000 /dev/zero >bad.vmscm/tmp/pack-00000000000000000000000000000002.vpk
    flock bad.vmscm/tmp/pack-00000000000000000000000000000002.vpk \
        flock bad.vmscm/quarantine/from-2/lock vmscm -C bad.vmscm fsck >said
    grep "^tmp/pack-00000000000000000000000000000001.vpk: 1000 bytes" said
    ! grep "^tmp/pack-00000000000000000000000000000002" said
    grep "^trash: 1 file" said && grep "^quarantine: 1 interrupted transfer (0 bytes)" said && grep "^no damage" said
    [ "$(vmscm -C bad.vmscm fsck --json | jq -c "[.findings, (.notes | length)]")" = "[[],4]" ]
    [ -z "$(vmscm -C bad.vmscm fsck -q)" ]'
check 'one machine alone: only what it needs' '
    fresh
    pack=
    for pack in bad.vmscm/packs/pack-*; do
        mv "$pack" .
        vmscm -C bad.vmscm fsck --full one >said 2>&1 && break
        mv "${pack##*/}" "$pack"
    done
    grep "^no damage" said
    rc=0
    vmscm -C bad.vmscm fsck two >said 2>&1 || rc=$?
    [ $rc = 1 ] && grep -q "missing.*two" said && ! grep -q "(one" said'
check 'one revision in full: every chunk of it is read' '
    fresh
    for pack in bad.vmscm/packs/pack-*; do flip "$pack" 5000; done
    vmscm -C bad.vmscm fsck one
    for rev in one two; do
        rc=0
        vmscm -C bad.vmscm fsck --full $rev >said 2>&1 || rc=$?
        [ $rc = 1 ] && grep -q "($rev " said
    done
    rc=0
    vmscm -C bad.vmscm fsck -j 1 --full --json one~1 >one-job || rc=$?
    rc=0
    vmscm -C bad.vmscm fsck -j 4 --full --json one~1 >four-jobs || rc=$?
    cmp one-job four-jobs'

check 'a damaged ref: the other machine is as it was' '
    fresh
    rm -f bad.vmscm/git/packed-refs
    mkdir -p bad.vmscm/git/refs/heads
    echo garbage >bad.vmscm/git/refs/heads/one
    rc=0
    vmscm -C bad.vmscm show one >said 2>&1 || rc=$?
    [ $rc = 1 ]
    git --git-dir=whole.vmscm/git rev-parse two >bad.vmscm/git/refs/heads/two
    vmscm -C bad.vmscm cat two | cmp - two.raw
    vmscm -C bad.vmscm list >machines 2>said || true
    grep -q two machines
    rc=0
    vmscm -C bad.vmscm fsck >found 2>&1 || rc=$?
    [ $rc = 1 ] && grep -q one found
    id=$(vmscm -C whole.vmscm show --json one | jq -r .id)
    grep "^hint: its reflog leads to ${id%"${id#????????????}"}, " found
    vmscm -C bad.vmscm clone "$id" rescued
    vmscm -C bad.vmscm cat rescued | cmp - one-later.raw'
check 'a ref to an object that is not there' '
    fresh
    echo 0123456789012345678901234567890123456789 >bad.vmscm/git/refs/heads/one
    rc=0
    vmscm -C bad.vmscm show one >said 2>&1 || rc=$?
    [ $rc = 1 ]
    rc=0
    vmscm -C bad.vmscm fsck >found 2>&1 || rc=$?
    [ $rc = 1 ]'

# commit_with MACHINE PATH: a revision of MACHINE whose file PATH is standard input
commit_with() {
    local git="git --git-dir=bad.vmscm/git" blob tree commit
    export GIT_INDEX_FILE=$PWD/index GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@example.com \
        GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@example.com
    blob=$($git hash-object -w --stdin)
    $git read-tree "$1"
    $git update-index --add --cacheinfo "100644,$blob,$2"
    tree=$($git write-tree)
    commit=$($git commit-tree -p "$1" -m "made by hand" "$tree")
    $git update-ref "refs/heads/$1" "$commit"
}
n=0
for json in '' '{' '[]' 'null' '{}' '{"version":99}' '{"disks":"no"}' '{"disks":[{"id":"../x"}]}' \
    '{"version":1,"arch":"x86_64","disks":[{"id":"sda","size":-1}]}'; do
    n=$((n + 1))
    check "machine.json that is $(printf %q "$json")" '
        fresh
        printf %s "$json" | commit_with one machine.json
        for command in "show one" "checkout one out" "cat one"; do
            rc=0
            vmscm -C bad.vmscm $command >said 2>err || rc=$?
            case $rc in 1 | 3) ;; *) fail "$command: ended with $rc" ;; esac
            [ "$(grep -c "^vmscm: " err)" = 1 ] || fail "$command: $(cat err)"
        done
        rc=0
        vmscm -C bad.vmscm fsck >found 2>&1 || rc=$?
        [ $rc = 1 ]
        vmscm -C bad.vmscm cat one~1 | cmp - one-later.raw'
done
check 'a machine.json nested too deep' '
    fresh
    perl -e "print \"[\" x 200000" | commit_with one machine.json
    rc=0
    vmscm -C bad.vmscm show one >said 2>&1 || rc=$?
    [ $rc = 1 ]'
check 'a disk map that is not one' '
    fresh
    id=$(vmscm -C whole.vmscm show --json one | jq -r ".hardware.disks[0].id")
    noise 5000 | commit_with one "disks/$id"
    rc=0
    vmscm -C bad.vmscm cat one >got 2>said || rc=$?
    [ $rc = 1 ]
    rc=0
    vmscm -C bad.vmscm fsck >found 2>&1 || rc=$?
    [ $rc = 1 ]'
check 'config files that want to leave the checkout are not written' '
    fresh
    git=git\ --git-dir=bad.vmscm/git
    blob=$(echo evil | $git hash-object -w --stdin)
    sub=$(printf "100644 blob %s\t..\n" "$blob" | $git mktree 2>/dev/null || true)
    if [ -n "$sub" ]; then
        tree=$($git cat-file -p one^{tree} | { cat; printf "040000 tree %s\tconfig\n" "$sub"; } |
            sort -u -t"	" -k2 | $git mktree)
        commit=$(GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x \
            $git commit-tree -p one -m evil "$tree")
        $git update-ref refs/heads/one "$commit"
        rc=0
        vmscm -C bad.vmscm checkout one "$PWD/evil-out" >said 2>&1 || rc=$?
        [ $rc != 0 ]
        [ ! -f evil ]
    fi'
check 'damaged git objects are found' '
    fresh
    commit=$(git --git-dir=bad.vmscm/git rev-parse one)
    object=bad.vmscm/git/objects/${commit%"${commit#??}"}/${commit#??}
    if [ -e "$object" ]; then
        flip "$object" 20
        rc=0
        vmscm -C bad.vmscm fsck >found 2>&1 || rc=$?
        [ $rc = 1 ]
        rc=0
        vmscm -C bad.vmscm show one >said 2>&1 || rc=$?
        [ $rc = 1 ]
    fi
    vmscm -C bad.vmscm cat two | cmp - two.raw'
check 'a map whose last segment is shorter than its leaf is found' '
    vmscm init --bare "$PWD/short.vmscm" -q
    noise 16777216 7 >twice.raw
    cat twice.raw twice.raw >long.raw
    vmscm -C short.vmscm checkin -q x vda="$PWD/long.raw"
    git="git --git-dir=short.vmscm/git"
    $git cat-file blob x:disks/vda >map
    printf "\\000\\360\\377\\001" | put map 8
    map=$($git hash-object -w map)
    json=$($git cat-file blob x:machine.json | sed "s/33554432/33550336/" | $git hash-object -w --stdin)
    disks=$(printf "100644 blob %s\tvda\n" "$map" | $git mktree)
    tree=$(printf "040000 tree %s\tdisks\n100644 blob %s\tmachine.json\n" "$disks" "$json" | $git mktree)
    commit=$(GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x \
        $git commit-tree -m short "$tree")
    vmscm -C short.vmscm fsck
    $git update-ref refs/heads/x "$commit"
    rc=0
    vmscm -C short.vmscm fsck >found 2>&1 || rc=$?
    [ $rc = 1 ]
    grep -q "length" found
    rc=0
    vmscm -C short.vmscm cat x >out.raw 2>said || rc=$?
    [ $rc = 1 ]
    rm -rf short.vmscm long.raw twice.raw out.raw'

done_testing
