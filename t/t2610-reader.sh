#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# contrib/readers: a reader made from the pages alone, without vmscm, git or a library of theirs,
# restores what vmscm stored, whatever it was stored as, and says what is damaged.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

export PYTHONDONTWRITEBYTECODE=1
python=$(python_with zstandard)
[ -n "$python" ] || skip_all "python3-zstandard is not installed"
reader() { "$python" "$TEST_SOURCE/contrib/readers/vmscm_read.py" "$@"; }

# fails TEXT COMMAND...: exit status 1, one line on standard error that says so, nothing on output
fails() {
    local rc=0 text=$1
    shift
    "$@" >said 2>why || rc=$?
    [ $rc = 1 ] && [ ! -s said ] && [ "$(grep -cv '^warning: ' why)" = 1 ] && grep -q "$text" why ||
        fail "status $rc, $(cat said why)"
}

# change FILE SEED: 180 bytes at 40 places, as a database does
change() {
    local n
    noise $((40 * 180)) "$2" >bytes
    for n in $(seq 0 39); do
        dd if=bytes bs=180 skip="$n" count=1 status=none | put "$1" $((n * 250000 + $2 * 131))
    done
}

sample_disk web1.raw 40 1
truncate -s $((40 * 1048576 + 512)) web1.raw
noise 900 2 | put web1.raw $((40 * 1048576 - 388))
noise $((11 * 1048576 + 700)) 3 >db1.raw
cp web1.raw web2.raw
change web2.raw 4
noise 3000000 5 | put web2.raw 20000001
truncate -s 100G empty.raw
check 'a machine with three disks, its second revision, and others' '
    mkdir vm
    cat >vm/domain.xml <<XML
<domain type="kvm"><name>web</name><memory>1048576</memory><vcpu>2</vcpu>
<os><type arch="x86_64">hvm</type></os></domain>
XML
    vmscm init --bare repo.vmscm
    vmscm -C repo.vmscm checkin qa/web sda="$PWD/web1.raw" sdb="$PWD/db1.raw" \
        sdc="$PWD/empty.raw" --config "$PWD/vm/domain.xml" -m "first: Größe"
    vmscm -C repo.vmscm tag qa/web golden -m "it works"
    cp db1.raw db2.raw
    change db2.raw 6
    vmscm -C repo.vmscm checkin qa/web sda="$PWD/web2.raw" sdb="$PWD/db2.raw" sdc="$PWD/empty.raw"
    cp db2.raw db3.raw
    change db3.raw 7
    vmscm -C repo.vmscm checkin qa/web sda="$PWD/web2.raw" sdb="$PWD/db3.raw" sdc="$PWD/empty.raw"
    qemu-img convert -f raw -O qcow2 -c web2.raw web2.qcow2
    vmscm -C repo.vmscm checkin copy vda="$PWD/web2.qcow2" -m "another format"
    vmscm -C repo.vmscm clone qa/web:golden branch
    vmscm -C repo.vmscm comment qa/web:golden -m "seen by many"
    vmscm -C repo.vmscm comment qa/web:golden -m "and again"
    ls repo.vmscm/packs >packs'

restores_all() { # REPOSITORY
    reader "$1" cat qa/web:golden:sda | cmp - web1.raw
    reader "$1" cat qa/web~2:sdb | cmp - db1.raw
    reader "$1" cat qa/web^:sda | cmp - web2.raw
    reader "$1" cat qa/web~1:sdb >out.raw
    cmp out.raw db2.raw
    reader "$1" cat qa/web:sdb >out.raw
    cmp out.raw db3.raw
    reader "$1" cat copy >out.raw
    cmp out.raw web2.raw
    reader "$1" cat branch:sda >out.raw
    cmp out.raw web1.raw
}
check 'every disk of every revision, byte by byte' '
    restores_all repo.vmscm'
check 'what was tested: records with several parts, and with bases in other packs' '
    cat >kinds.py <<PY
import sys
sys.path.insert(0, "$TEST_SOURCE/contrib/readers")
import vmscm_read
repo = vmscm_read.Repository(sys.argv[1])
groups = deltas = plain = 0
for pack in repo.store.packs.values():
    for n in range(len(pack.ids)):
        how, bases, parts, data = pack.record(pack.find(pack.ids[n]))
        groups += len(parts) > 1
        plain += how == 0
        deltas += any(pack.find(b) is None for b in bases)
print(groups, deltas, plain, len(repo.store.packs))
PY
    read -r groups deltas plain packs < <("$python" kinds.py repo.vmscm)
    [ "$groups" -gt 10 ] && [ "$deltas" -gt 10 ] && [ "$plain" -gt 10 ] && [ "$packs" -ge 3 ]'
check 'a disk of 100 GiB of nothing costs nothing' '
    reader repo.vmscm cat qa/web:sdc >out.raw
    [ "$(stat -c %s out.raw)" = 107374182400 ]
    [ "$(stat -c %b out.raw)" -lt 100 ]
    rm out.raw'
check 'a revision by its id, and what leads to it' '
    id=$(vmscm -C repo.vmscm show --json qa/web:golden | jq -r .id)
    reader repo.vmscm cat "$id:sdb" | cmp - db1.raw
    reader repo.vmscm cat "$(echo "$id" | head -c 7):sdb" | cmp - db1.raw
    reader repo.vmscm list >list
    vmscm -C repo.vmscm list --json | jq -r ".[]|.id+\" \"+.machine" >want
    vmscm -C repo.vmscm tag -l --json | jq -r ".[]|.id+\" \"+.machine+\":\"+.tag" >>want
    LC_ALL=C sort -k 2 want | diff - list
    reader repo.vmscm log qa/web >log
    [ "$(grep "^revision" log | cut -c10-49)" = "$(vmscm -C repo.vmscm log --json qa/web | jq -r ".[].id")" ]
    grep -q "^revision $id qa/web:golden$" log
    grep -qx "    first: Größe" log
    grep -qx "    seen by many" log
    grep -A3 "seen by many" log | grep -qx "    and again"
    grep -qx "    Test User <test@example.com> on 20.*:" log'
check 'a whole revision, with its configuration' '
    reader repo.vmscm restore qa/web~1 all
    cmp all/sda.raw web2.raw
    cmp all/sdb.raw db2.raw
    [ -s all/sdc.raw ]
    cmp all/config/domain.xml vm/domain.xml
    git --git-dir repo.vmscm/git cat-file blob qa/web~1:machine.json | cmp - all/machine.json
    reader repo.vmscm show qa/web~1 | cmp - all/machine.json
    rm -r all'
check 'every part of every revision is verified' '
    reader repo.vmscm verify >said
    [ "$(grep -c "ok$" said)" = 4 ]
    [ "$(wc -l <said)" = 4 ]
    [ "$(reader repo.vmscm verify copy | wc -l)" = 1 ]'
check -p git 'packed git objects and refs, with deltas of both kinds' '
    cp -r repo.vmscm packed.vmscm
    git --git-dir packed.vmscm/git repack -q -a -d -f --depth=50
    git --git-dir packed.vmscm/git pack-refs --all
    git --git-dir packed.vmscm/git verify-pack -v packed.vmscm/git/objects/pack/*.idx >kinds
    grep -q "chain length" kinds
    [ -z "$(find packed.vmscm/git/objects packed.vmscm/git/refs -type f -path "*/??/*")" ]
    restores_all packed.vmscm
    reader packed.vmscm verify >said
    [ "$(grep -c "ok$" said)" = 4 ]
    pack=$(echo packed.vmscm/git/objects/pack/*.pack)
    git --git-dir packed.vmscm/git rev-list --all --objects | cut -d" " -f1 |
        git --git-dir packed.vmscm/git pack-objects -q --no-reuse-delta --stdout >refs.pack
    rm -f "${pack%.pack}".*
    git --git-dir packed.vmscm/git index-pack --stdin <refs.pack >hash
    restores_all packed.vmscm'
check 'many packs, with a multi-pack index and without' '
    cp -r repo.vmscm many.vmscm
    for n in 1 2 3 4 5 6 7 8; do
        cp db3.raw "db.$n"
        noise 50000 2$n | put "db.$n" $((n * 1000000))
        vmscm -C many.vmscm checkin db "$PWD/db.$n" -m "$n"
    done
    ls many.vmscm/packs/midx-*.vmx
    for n in 1 5 8; do reader many.vmscm cat db~$((8 - n)) | cmp - "db.$n"; done
    rm many.vmscm/packs/midx-*
    for n in 1 5 8; do reader many.vmscm cat db~$((8 - n)) | cmp - "db.$n"; done
    restores_all many.vmscm'

check 'a pruned revision is no damage, and what is in the trash is found' '
    cp -r many.vmscm gone.vmscm
    vmscm -C gone.vmscm prune --keep-last 1 db
    vmscm -C gone.vmscm gc --grace 0
    vmscm -C gone.vmscm gc --grace 0
    reader gone.vmscm verify >said
    [ "$(grep -c "pruned$" said)" = 7 ]
    grep -c "ok$" said
    fails "(the revision was pruned)" reader gone.vmscm cat db~3
    reader gone.vmscm cat db | cmp - db.8
    mv gone.vmscm/packs/pack-* gone.vmscm/trash
    reader gone.vmscm cat db | cmp - db.8
    mv gone.vmscm/trash/pack-* gone.vmscm/packs'
check 'what is not there is named' '
    fails "nothing: no such revision" reader repo.vmscm cat nothing
    fails "which disk? sda sdb sdc" reader repo.vmscm cat qa/web
    fails "no such disk; there are: sda sdb sdc" reader repo.vmscm cat qa/web:sdz
    fails "not so many before" reader repo.vmscm cat qa/web~7:sda
    fails "not a repository" reader vm list
    mkdir there
    fails "exists" reader repo.vmscm restore qa/web there
    rc=0; reader repo.vmscm || rc=$?; [ $rc = 2 ]'
check 'a later version is refused' '
    cp -r repo.vmscm later.vmscm
    git config --file later.vmscm/config core.repositoryformatversion 2
    fails "does not know" reader later.vmscm list
    rm -r later.vmscm'
check 'a flipped bit is found wherever it is, and hurts nothing else' '
    pack=repo.vmscm/packs/$(grep "^pack-" packs | head -n 1)
    size=$(stat -c %s "$pack")
    for place in 3 60 10000 $((size - 500)); do
        byte=$(od -An -tu1 -j "$place" -N 1 "$pack")
        printf "\\$(printf %o $((byte ^ 4)))" | put "$pack" "$place"
        for disk in qa/web:golden:sda=web1 qa/web:sdb=db3 copy=web2; do
            if reader repo.vmscm cat "${disk%=*}" >out.raw 2>why; then
                cmp out.raw "${disk#*=}.raw"
            else
                [ $? = 1 ] && ! grep -q Traceback why || fail "$(cat why)"
            fi
        done
        if reader repo.vmscm verify >said 2>&1; then
            [ "$place" != 10000 ]
        else
            grep -q "^[0-9a-f]*: " said
            grep -q Traceback said && fail "$(cat said)"
        fi
        printf "\\$(printf %o "$byte")" | put "$pack" "$place"
    done
    reader repo.vmscm verify
    for object in $(find repo.vmscm/git/objects/?? -type f | sort | head -n 4); do
        chmod u+w "$object"
        cp "$object" kept
        size=$(stat -c %s "$object")
        byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$object")
        printf "\\$(printf %o $((byte ^ 16)))" | put "$object" $((size / 2))
        reader repo.vmscm verify >said 2>&1 || { [ $? = 1 ] && ! grep -q Traceback said; }
        cat kept >"$object"
    done
    reader repo.vmscm verify'

done_testing
