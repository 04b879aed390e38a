#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# A revision's disks over NBD: the plugin with nbdkit and its filters, and vmscm nbd.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

for need in nbdkit nbdinfo nbdcopy qemu-io; do
    why=$(missing $need)
    [ -z "$why" ] || skip_all "$why"
done
PLUGIN=$VMSCM_BUILD/nbdkit-vmscm-plugin.so
[ -e "$PLUGIN" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"
# The children that nbdkit itself forks for --run hang at their exit with a sanitizer loaded into it.
[ "${VMSCM_TEST_VARIANT:-}" != asan ] || skip_all "nbdkit --run hangs with a sanitizer"

sample_disk one.raw 24 1
sample_disk two.raw 8 2
vmscm init --bare repo.vmscm >/dev/null 2>&1
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR PLUGIN
check 'a machine of one disk, and one of two' '
    vmscm checkin web vda=one.raw -m first
    vmscm tag web golden
    vmscm checkin db vda=one.raw vdb=two.raw -m both'

# serve OPTIONS...: vmscm nbd in the background, its id in pid, once its URIs are in uris
serve() {
    rm -f uris
    vmscm nbd "$@" >uris 2>said &
    echo $! >pid
    for _ in $(seq 200); do
        [ ! -s uris ] || return 0
        sleep 0.05
    done
    cat said >&2
    return 1
}
# ended SIGNAL: stop it by this signal, and see that it ends by it
ended() {
    kill "-$1" "$(cat pid)"
    for _ in $(seq 200); do
        kill -0 "$(cat pid)" 2>/dev/null || return 0
        sleep 0.05
    done
    fail "still running"
}

check 'the whole disk, by many requests at once, and its holes exactly' '
    nbdkit -U - "$PLUGIN" web --run "nbdcopy \"\$uri\" got.raw && nbdinfo --map=base:allocation \"\$uri\" >map"
    cmp got.raw one.raw
    python3 - <<END
disk = open("one.raw", "rb").read()
at = 0
for line in open("map"):
    start, length, kind = [int(n) for n in line.split()[:3]]
    assert start == at
    at += length
    for block in range(start, at, 4096):
        zero = not any(disk[block:block + 4096])
        assert zero == (kind == 3), (block, kind)
assert at == len(disk)
END'
check 'what it says of itself' '
    nbdkit --dump-plugin "$PLUGIN" >dump
    grep -qx thread_model=parallel dump
    nbdkit -U - "$PLUGIN" web:golden disk=vda --run "nbdinfo \"\$uri\"" >info
    for line in "can_multi_conn: true" "can_cache: true" "is_read_only: true" "export-size: 25165824 (24M)"; do
        grep -q "$line" info
    done'
check 'disks of a machine by the names of exports' '
    nbdkit -U - "$PLUGIN" db --run "nbdinfo --list \"\$uri\"" >list
    grep -q "export=\"vda\"" list
    grep -q "export=\"vdb\"" list
    nbdkit -U - "$PLUGIN" db --run "nbdcopy \"nbd+unix:///vdb?socket=\$unixsocket\" got.raw"
    cmp got.raw two.raw
    nbdkit -U - "$PLUGIN" db disk=vdb --run "nbdcopy \"\$uri\" got.raw"
    cmp got.raw two.raw
    ! nbdkit -U - "$PLUGIN" db --run "nbdinfo --size nbd+unix:///vdz?socket=\$unixsocket" 2>said
    grep -q "no such disk" said
    ! nbdkit -U - "$PLUGIN" db --run "nbdinfo --size \"\$uri\"" 2>said
    grep -q "name one of them" said'
check 'the cow, cache and ip filters' '
    nbdkit -U - --filter=cow "$PLUGIN" web --run "
        qemu-io -f raw -c \"write -P 7 1M 64k\" -c \"read -P 7 1M 64k\" -c \"read 8M 1M\" \"\$uri\" &&
            nbdcopy \"\$uri\" got.raw"
    cp one.raw want.raw
    head -c 65536 /dev/zero | tr "\0" "\7" | put want.raw 1048576
    cmp got.raw want.raw
    nbdkit -U - --filter=cache "$PLUGIN" web cache-on-read=true --run "nbdcopy \"\$uri\" got.raw"
    cmp got.raw one.raw
    nbdkit -U - "$PLUGIN" web --run "nbdcopy --connections=8 --requests=32 \"\$uri\" got.raw"
    cmp got.raw one.raw'
check '32 readers at once, and the store is read once' '
    nbdkit -v -U - "$PLUGIN" web --run "
        pids=
        for i in \$(seq 32); do nbdcopy --connections=1 \"\$uri\" null: & pids=\"\$pids \$!\"; done
        for p in \$pids; do wait \$p || exit 1; done" 2>said
    reads=$(sed -n "s/.*cache: \([0-9]*\) records read.*/\1/p" said)
    records=$(nbdkit -v -U - "$PLUGIN" web --run "nbdcopy --connections=1 --requests=1 \"\$uri\" null:" 2>&1 |
        sed -n "s/.*cache: \([0-9]*\) records read.*/\1/p")
    [ "$reads" -gt 0 ] && [ "$reads" = "$records" ]'
for bad in "" "nosuch" "web disk=vdz" "web cache-size=0" "web cache-size=x" "web colour=red" "web:nosuch"; do
    check "the plugin refuses '$bad'" "! nbdkit -f -U - '$PLUGIN' $bad --run true 2>said; grep -q error said"
done

check 'vmscm nbd: a command beside it, and its status' '
    vmscm nbd --run "nbdcopy \"\$uri\" got.raw && test -S \"\$socket\"" web:golden
    cmp got.raw one.raw
    rc=0
    vmscm nbd --run "exit 7" db:vdb || rc=$?
    [ $rc = 7 ]
    vmscm nbd --run "nbdinfo --size \"\$uri\"" db:vdb >size
    [ "$(cat size)" = "$(stat -c %s two.raw)" ]
    [ -z "$(ls -d "$XDG_RUNTIME_DIR"/vmscm-* 2>/dev/null)" ]'
check 'until it is interrupted; its socket goes with it' '
    serve --socket=s web
    [ "$(cat uris)" = "nbd+unix:///vda?socket=$PWD/s" ]
    nbdcopy "$(cat uris)" got.raw
    cmp got.raw one.raw
    ended TERM
    [ ! -e s ]
    serve --json db
    [ "$(jq -r ".exports[1].disk" uris)" = vdb ]
    nbdcopy "$(jq -r ".exports[1].uri" uris)" got.raw
    cmp got.raw two.raw
    [ "$(jq -r ".exports[1].size" uris)" = "$(stat -c %s two.raw)" ]
    ended HUP
    [ -z "$(ls -d "$XDG_RUNTIME_DIR"/vmscm-* 2>/dev/null)" ]'
check 'killed: nothing goes on, and the socket it left is replaced' '
    serve --socket=s web
    kill -9 "$(cat pid)"
    sleep 0.3
    [ -S s ]
    ! nbdinfo --size "nbd+unix:///?socket=s" 2>/dev/null
    vmscm nbd --socket=s --run "nbdinfo --size \"\$uri\"" web'
check 'TCP, and the ip filter' '
    port=$((20000 + $$ % 20000))
    vmscm nbd --port=$port --run "nbdcopy \"\$uri\" got.raw" web
    cmp got.raw one.raw
    nbdkit -p $port -i 127.0.0.1 --filter=ip "$PLUGIN" web allow=anyipv4 deny=all --run "nbdinfo --size \"\$uri\""
    ! nbdkit -p $port -i 127.0.0.1 --filter=ip "$PLUGIN" web deny=anyipv4 --run "nbdinfo --size \"\$uri\"" 2>/dev/null'
check -p psktool 'TLS by pre-shared keys' '
    psktool -u alice -p keys.psk >/dev/null 2>&1
    vmscm nbd --socket=s --tls-psk=keys.psk --run "
        nbdinfo --size \"nbds+unix://alice@/vda?socket=s&tls-psk-file=$PWD/keys.psk\"" web
    ! vmscm nbd --socket=s --tls-psk=keys.psk --run "nbdinfo --size nbd+unix:///vda?socket=s" web 2>/dev/null'
check 'what is written is refused' '
    ! vmscm nbd --run "qemu-io -f raw -c \"write 0 4k\" \"\$uri\"" web >said 2>&1
    grep -qiE "permission denied|read-only" said'

check 'a boot trace: what was read, in order, and where' '
    vmscm nbd --record --run "qemu-io -r -f raw -c \"read 8M 64k\" -c \"read 0 512\" -c \"read 8M 128k\" -c \"read 4M 4k\" \"\$uri\"" web:golden
    id=$(vmscm show --json web:golden | jq -r .id)
    git --git-dir=repo.vmscm/git notes --ref=traces list >notes
    [ "$(wc -l <notes)" = 1 ]
    [ "$(cut -d " " -f 2 notes)" = "$(git --git-dir=repo.vmscm/git rev-parse "$id:disks")" ]
    git --git-dir=repo.vmscm/git cat-file blob "$(cut -d " " -f 1 notes)" >note
    [ "$(cut -d " " -f 1,3- note)" = "2 :vda 800+10 0 810+10 400" ]
    vmscm fsck --full'
check 'reads that follow it are read ahead, others not' '
    args=$(for n in $(seq 30); do printf " -c \"read %sk 4k\"" $((n * 128)); done)
    vmscm nbd --record --run "qemu-io -r -f raw $args \"\$uri\"" web:golden
    nbdkit -v -U - "$PLUGIN" web:golden --run "qemu-io -r -f raw $args \"\$uri\"" 2>said
    grep -q "boot trace: vda was fetched" said
    nbdkit -v -U - "$PLUGIN" web:golden --run "qemu-io -r -f raw -c \"read 0 4k\" -c \"read 12M 4M\" -c \"read 20M 2M\" \"\$uri\"" 2>said
    grep -q "boot trace:" said && fail "it was taken for a boot"
    nbdkit -v -U - "$PLUGIN" web:golden trace=always --run "nbdinfo --size \"\$uri\"; sleep 1" 2>said
    grep -q "boot trace: vda was fetched" said
    nbdkit -v -U - "$PLUGIN" web:golden trace=never --run "qemu-io -r -f raw $args \"\$uri\"" 2>said
    grep -q "boot trace:" said && fail "it was followed"
    vmscm nbd --run "nbdcopy \"\$uri\" got.raw" web:golden
    cmp got.raw one.raw'
check 'it travels, and a lazy clone fetches by it in few requests' '
    unset VMSCM_DIR
    vmscm clone --lazy "$PWD/repo.vmscm" lazy
    git --git-dir=lazy/.vmscm/git notes --ref=traces list | grep -q .
    cd lazy
    before=$(du -s --block-size=1 .vmscm | cut -f 1)
    nbdkit -v -U - "$PLUGIN" rev=origin/web:golden trace=always --run "nbdinfo --size \"\$uri\"; sleep 2" 2>../said
    grep -q "boot trace: vda was fetched" ../said
    after=$(du -s --block-size=1 .vmscm | cut -f 1)
    [ "$after" -gt $((before + 100000)) ]'
check 'notes that mean nothing are passed over' '
    tree=$(git --git-dir=repo.vmscm/git rev-parse "$(vmscm show --json web:golden | jq -r .id):disks")
    printf "3 99999999999 newer\n1 5 :vda ffffffffffffffffffffff\nnonsense\n1 7 :vdz 0\n1 6 :vda 3fffffffffff\n" >lines
    git --git-dir=repo.vmscm/git -c user.name=x -c user.email=x@x notes --ref=traces add -f -F lines "$tree"
    nbdkit -v -U - "$PLUGIN" web:golden trace=always --run "nbdcopy \"\$uri\" got.raw" 2>said
    cmp got.raw one.raw
    grep -q "boot trace: vda was fetched" said'
check_fails 1 'nothing was read' 'vmscm nbd --record --run true web' 'nothing was read'
check_fails 2 'a trace of what can be written to' 'vmscm nbd --record --writable=x --run true web' 'not with --writable'

if [ -n "$(missing qemu-storage-daemon)" ]; then
    skip 'vmscm nbd --writable' 'qemu-storage-daemon is not installed'
else
at_exit 'VMSCM_DIR=$TEST_DIR/work/repo.vmscm vmscm service stop -q 2>/dev/null'
cp one.raw want.raw
check '--writable: what is written is in a thin checkout, and can be checked in' '
    rm -rf "$XDG_RUNTIME_DIR"/vmscm-*
    vmscm nbd --writable=copy --run "qemu-io -f raw -c \"write -P 7 1M 64k\" -c flush \"\$uri\" && nbdcopy \"\$uri\" got.raw" web
    head -c 65536 /dev/zero | tr "\0" "\7" | put want.raw 1048576
    cmp got.raw want.raw
    vmscm cat web | cmp - one.raw
    vmscm status copy | grep -q "^thin, over"
    (cd copy && vmscm checkin -v -m written 2>../said)
    grep -q "its overlay holds 65536 of" said
    vmscm cat web | cmp - want.raw
    [ -z "$(ls -d "$XDG_RUNTIME_DIR"/vmscm-* 2>/dev/null)" ]'
check 'and gone on with, also after a kill' '
    serve --socket=s --writable=copy web
    qemu-io -f raw -c "write -P 3 4M 4k" -c flush "$(cat uris)"
    rc=0
    (cd copy && vmscm checkin) 2>busy || rc=$?
    [ $rc = 3 ]
    kill -9 "$(cat pid)"
    for _ in $(seq 200); do
        set -- /proc/[0-9]*/cmdline # now, so that grep does not find itself
        grep -qsF "$XDG_RUNTIME_DIR/vmscm-" "$@" || break
        sleep 0.05
    done
    ! grep -lsF "$XDG_RUNTIME_DIR/vmscm-" "$@" || fail "still running"
    rm -rf "$XDG_RUNTIME_DIR"/vmscm-*
    head -c 4096 /dev/zero | tr "\0" "\3" | put want.raw 4194304
    vmscm nbd --writable=copy --run "nbdcopy \"\$uri\" got.raw" web
    cmp got.raw want.raw
    (cd copy && vmscm checkin -m killed)
    vmscm cat web | cmp - want.raw'
check 'several disks, or one of them' '
    vmscm nbd --writable="both, now" --run "nbdinfo --list \"\$uri\"" db >list
    [ "$(grep -c "^export=" list)" = 2 ]
    vmscm nbd --writable="both, now" --run "qemu-io -f raw -c \"write -P 1 0 4k\" \"\$uri\"" db:vdb
    (cd "both, now" && vmscm checkin -m second)
    vmscm cat db:vda | cmp - one.raw
    ! vmscm cat db:vdb | cmp -s - two.raw
    serve --json --writable="both, now" db
    [ "$(jq -r ".exports[1].disk" uris)" = vdb ]
    nbdcopy "$(jq -r ".exports[0].uri" uris)" got.raw
    cmp got.raw one.raw
    ended TERM'
check -p psktool '--writable by TCP, with TLS' '
    psktool -u alice -p keys.psk >/dev/null 2>&1
    vmscm nbd --writable=copy --socket=s --tls-psk=keys.psk --run "
        nbdinfo --size \"nbds+unix://alice@/vda?socket=s&tls-psk-file=$PWD/keys.psk\"" web
    ! vmscm nbd --writable=copy --socket=s --tls-psk=keys.psk --run "nbdinfo --size nbd+unix:///vda?socket=s" web 2>/dev/null
    port=$((20001 + $$ % 20000))
    vmscm nbd --writable=copy --port=$port --run "nbdinfo --size \"\$uri\"" web
    [ -z "$(ls -d "$XDG_RUNTIME_DIR"/vmscm-* 2>/dev/null)" ]'
check_fails 4 'a checkout of another revision, and the way out' 'vmscm nbd --writable=copy --run true web~1' \
    'copy: a checkout of .*, not of'
check_fails 4 'a full checkout' 'vmscm checkout -q web full; vmscm nbd --writable=full --run true web' 'not a thin one'
check_fails 4 'a directory with something in it' 'mkdir mine; touch mine/file; vmscm nbd --writable=mine --run true web' 'mine'
check_fails 4 'an overlay over a file of ours is never opened' '
    vmscm checkout -q --thin web trap
    rm trap/vda.qcow2
    qemu-img create -q -u -f qcow2 -F raw -b /etc/passwd trap/vda.qcow2 24M
    vmscm nbd --writable=trap --run "nbdcopy \"\$uri\" got" web' 'vda.qcow2'
check_fails 3 'nor another image in its place' '
    cp one.raw trap/vda.qcow2
    vmscm nbd --writable=trap --run true web' 'not a qcow2 image'
check_fails 3 'no qemu-storage-daemon' '
    mkdir -p bin2
    for tool in vmscm nbdkit qemu-img; do ln -sf "$(command -v $tool)" bin2/; done
    PATH=$PWD/bin2 vmscm nbd --writable=copy web' 'qemu-storage-daemon: not installed'
check_fails 2 'a cache of what qemu serves' 'vmscm nbd --writable=copy --cache-size=1M web' 'not with --writable'
fi

check_fails 1 'no such revision' 'vmscm nbd --run true nosuch' 'nosuch'
check_fails 1 'no such disk' 'vmscm nbd --run true web:vdz' 'vdz'
# No check-in makes such a machine; others' tools may.
git_of() { git --git-dir=repo.vmscm/git -c user.name=x -c user.email=x@x "$@"; }
git_of update-ref refs/heads/diskless "$(git_of commit-tree -m none "$(printf "100644 blob %s\tmachine.json\n" "$(
    git_of cat-file blob web:machine.json | jq -c ".disks=[]" | git_of hash-object -w --stdin)" | git_of mktree)")"
check_fails 1 'a machine without a disk' 'vmscm nbd --run true diskless' 'a machine without disks'
check_fails 1 'nothing to start' 'vmscm run --timeout=60 diskless' 'a machine without disks'
check_fails 2 'a path too long for a socket' '
    vmscm nbd --socket="$(printf "a%.0s" $(seq 108))" web' 'too long'
check_fails 3 'a file that is no socket is left alone' '
    echo mine >file
    rc=0
    vmscm nbd --socket=file web || rc=$?
    [ "$(cat file)" = mine ]
    exit $rc' 'no socket'
check_fails 3 'a socket that is in use' '
    serve --socket=s web
    rc=0
    vmscm nbd --socket=s web || rc=$?
    ended TERM
    exit $rc' 'something listens there already'
check_fails 2 'a port that is none' 'vmscm nbd --port=70000 web' '70000'
check_fails 2 'options that do not go together' 'vmscm nbd --port=9 --socket=s web' 'not both'
check_fails 2 '--listen without a port' 'vmscm nbd --listen=0.0.0.0 web' 'only with --port'
check_fails 3 'no nbdkit' '
    mkdir -p bin
    ln -sf "$VMSCM_BUILD/vmscm" bin/vmscm
    PATH=$PWD/bin vmscm nbd web' 'nbdkit: not installed'

check 'a revision removed while it is served can be read to the end' '
    vmscm checkin gone vda=two.raw -m gone
    noise 3000000 5 >noise
    cp two.raw new.raw
    put new.raw 4000000 <noise
    vmscm checkin gone vda=new.raw -m more
    serve --socket=s --cache-size=1M gone
    vmscm config gc.reflogExpire now
    vmscm rm gone
    vmscm gc --grace=0
    vmscm gc --grace=0
    nbdcopy "nbd+unix:///?socket=s" got.raw
    cmp got.raw new.raw
    ended TERM
    vmscm gc --grace=0
    vmscm fsck --full'

cp -r repo.vmscm bad.vmscm
no_fsck bad.vmscm
check 'a damaged chunk: an error there, a line that names it, and the rest is right' '
    VMSCM_DIR=$PWD/bad.vmscm
    pack=$(ls -S bad.vmscm/packs/pack-* | head -n 1)
    chmod u+w "$pack"
    noise 64 3 | put "$pack" 1000000
    serve --socket=s web
    python3 - <<END
import subprocess
want = open("one.raw", "rb").read()
bad = good = 0
for at in range(0, len(want), 1 << 20):
    n = min(1 << 20, len(want) - at)
    r = subprocess.run(["qemu-io", "-r", "-f", "raw", "-c", "read %d %d" % (at, n),
        "nbd+unix:///?socket=s"], capture_output=True, text=True)
    if "Input/output error" in r.stdout + r.stderr:
        bad += 1
    else:
        assert "read %d/%d" % (n, n) in r.stdout, r
        good += 1
assert 0 < bad <= 3 and good > 10, (bad, good)
END
    ended TERM
    id=$(vmscm show --json web | jq -r .id)
    grep -q "^vmscm: warning: revision ${id:0:12}: vda, offset [0-9]*: chunk [0-9a-f]*: " said'

done_testing
