#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Thin checkouts: overlays over a revision that a service of the repository serves, written by QEMU,
# checked in, thickened; and the service, gc, and everything else that may end meanwhile.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

for need in nbdkit qemu-io qemu-img jq; do
    why=$(missing $need)
    [ -z "$why" ] || skip_all "$why"
done
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"

sample_disk one.raw 24 1
sample_disk two.raw 8 2
vmscm init --bare repo.vmscm >/dev/null 2>&1
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
SOCKETS=$XDG_RUNTIME_DIR/vmscm
at_exit 'for r in "$TEST_DIR"/work/*.vmscm "$TEST_DIR"/work/*/*.vmscm; do
    [ ! -d "$r/git" ] || VMSCM_DIR=$r vmscm service stop -q; done 2>/dev/null'
# changed FILE COMMAND...: what qemu-io's commands make of a raw copy
changed() {
    local file=$1 args=() c
    shift
    for c in "$@"; do args+=(-c "$c"); done
    qemu-io -f raw "${args[@]}" "$file" >/dev/null
}
# written DIR/DISK COMMAND...: the same through the overlay, which fails as a whole if one of them does
written() {
    local file=$1 args=() c
    shift
    for c in "$@"; do args+=(-c "$c"); done
    qemu-io -f qcow2 "${args[@]}" "$file" >io 2>&1 || { cat io >&2; return 1; }
    ! grep -q "failed" io
}
service_pid() {
    vmscm service --json | jq -re .pid
}
# nbdkit_pid: the service's child
nbdkit_pid() {
    tr -d ' ' <"/proc/$(service_pid)/task/$(service_pid)/children"
}
gone() {
    for _ in $(seq 200); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.05
    done
    fail "$1 is still there"
}

check 'a machine of one disk, one of two, and one of a vast disk' '
    vmscm checkin web vda=one.raw -m first
    vmscm checkin db vda=one.raw vdb=two.raw -m both
    truncate -s 8T vast.raw
    echo begin | put vast.raw 0
    echo end | put vast.raw $((8 * 1024 ** 4 - 512))
    vmscm checkin vast vast.raw -m vast'
check 'one costs next to nothing, whatever the size' '
    vmscm checkout --json --thin vast >json
    [ "$(jq .written json)" = 0 ]
    [ "$(jq .size json)" = $((8 * 1024 ** 4)) ]
    [ "$(du -s --block-size=1 vast | cut -f1)" -lt 1048576 ]
    written vast/vda.qcow2 "read -v 0 512" "read -P 0 4T 64k"
    grep -q begin io'
check 'QEMU reads the revision through it' '
    vmscm checkout --thin web work
    [ "$(jq -r .thin.base work/.vmscm-checkout)" = "$(vmscm show --json web | jq -r .id)" ]
    qemu-img compare -q -f qcow2 -F raw work/vda.qcow2 one.raw
    vmscm status --exit-code work >said
    grep -q "^thin, over " said'
check 'what was written is all that is read, and the next revision' '
    written work/vda.qcow2 "write -P 7 1M 5k" "write -P 9 20M 64k" "write -z 2M 128k"
    cp one.raw want.raw
    changed want.raw "write -P 7 1M 5k" "write -P 9 20M 64k" "write -z 2M 128k"
    cd work
    ! vmscm status --exit-code >/dev/null
    vmscm checkin -v --json -m second >../json 2>../said
    grep -q "its overlay holds 262144 of 25165824 bytes since" ../said
    [ "$(jq .read ../json)" -lt 1500000 ]
    vmscm cat web | cmp - ../want.raw
    vmscm status --exit-code >/dev/null
    [ "$(vmscm show --json web | jq -r .hardware.disks[0].format)" = raw ]'
check 'and again: now only what is new' '
    written work/vda.qcow2 "write -P 3 4M 4k"
    changed want.raw "write -P 3 4M 4k"
    cd work
    vmscm checkin -v -m third 2>../said
    grep -q "dirty in its bitmap are" ../said
    vmscm cat web | cmp - ../want.raw
    vmscm checkin --json | jq -e .unchanged
    vmscm checkin --reread --json | jq -e .unchanged'
check 'a QEMU that was killed: its bitmap says nothing, its overlay all' '
    mkfifo feed
    stdbuf -oL qemu-io -f qcow2 work/vda.qcow2 <feed >io 2>&1 &
    pid=$!
    exec 5>feed
    echo "write -P 5 5M 4k" >&5
    echo flush >&5
    for _ in $(seq 200); do ! grep -q wrote io || break; sleep 0.05; done
    sleep 0.2
    kill -KILL $pid
    wait $pid || true
    exec 5>&-
    changed want.raw "write -P 5 5M 4k"
    cd work
    vmscm checkin -v -m killed 2>../said
    grep -q "its overlay holds" ../said
    vmscm cat web | cmp - ../want.raw'
check 'a disk that grew' '
    vmscm checkout --thin web grown
    qemu-img resize -q grown/vda.qcow2 40M
    written grown/vda.qcow2 "write -P 4 39M 4k"
    cp want.raw larger.raw
    truncate -s 40M larger.raw
    changed larger.raw "write -P 4 39M 4k"
    (cd grown && vmscm checkin --onto large -m larger)
    vmscm cat large | cmp - larger.raw
    (cd grown && vmscm checkin --reread --json | jq -e .unchanged)
    qemu-img compare -q -f qcow2 -F raw grown/vda.qcow2 larger.raw'
check 'several disks, and a check-in by name' '
    vmscm checkout --thin db
    written db/vdb.qcow2 "write -P 6 1M 64k"
    cp two.raw want2.raw
    changed want2.raw "write -P 6 1M 64k"
    vmscm checkin copy vdb=db/vdb.qcow2 -m "one of them"
    vmscm cat copy | cmp - want2.raw
    (cd db && vmscm checkin -m both)
    vmscm cat db:vda | cmp - one.raw
    vmscm cat db:vdb | cmp - want2.raw'

check 'nbdkit killed under a guest: it goes on' '
    written work/vda.qcow2 "read 0 64k"
    mkfifo feed2
    stdbuf -oL qemu-io -f qcow2 work/vda.qcow2 <feed2 >io 2>&1 &
    pid=$!
    exec 5>feed2
    echo "read 0 64k" >&5
    for _ in $(seq 200); do ! grep -q "read .* bytes at" io || break; sleep 0.05; done
    kill -KILL "$(nbdkit_pid)"
    echo "read 8M 1M" >&5
    exec 5>&-
    wait $pid
    [ "$(grep -c "read .* bytes at offset" io)" = 2 ]
    grep -q "ended unasked" "$SOCKETS"/*.log'
check 'the service holds no directory, and ends when its socket is gone' '
    vmscm service start
    pid=$(service_pid)
    [ "$(readlink "/proc/$pid/cwd")" = / ]
    vmscm service stop
    vmscm service start
    pid=$(service_pid)
    rm "$(vmscm service --json | jq -r .socket)"
    for _ in $(seq 200); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
    ! kill -0 "$pid" 2>/dev/null
    vmscm service start'
check 'the service killed: the next command starts it again, and the guest goes on' '
    mkfifo feed3
    stdbuf -oL qemu-io -f qcow2 work/vda.qcow2 <feed3 >io 2>&1 &
    pid=$!
    exec 5>feed3
    echo "read 0 64k" >&5
    for _ in $(seq 200); do ! grep -q "read .* bytes at" io || break; sleep 0.05; done
    old=$(service_pid)
    kill -KILL $old
    gone $old
    vmscm service >said
    grep -q "does not run" said
    echo "read 9M 1M" >&5
    vmscm status work >/dev/null
    [ "$(service_pid)" != $old ]
    exec 5>&-
    wait $pid
    [ "$(grep -c "read .* bytes at offset" io)" = 2 ]'
check 'started twice at once, it runs once' '
    vmscm service stop
    pids=
    for _ in 1 2 3 4 5 6; do vmscm service start & pids="$pids $!"; done
    for p in $pids; do wait $p; done
    vmscm service --json | jq -r "\"--socket=\\(.socket)\"" >pattern
    [ "$(grep -lzxF -f pattern /proc/[0-9]*/cmdline 2>/dev/null | wc -l)" = 1 ]
    written work/vda.qcow2 "read 0 64k"'
# nbdkit hangs at its own exit, in a destructor of p11-kit's, with a sanitizer loaded into it.
if [ "${VMSCM_TEST_VARIANT:-}" = asan ]; then
    skip 'it ends when nobody was connected for a while, and not before' 'nbdkit hangs at exit with a sanitizer'
    skip 'systemd passes the socket' 'nbdkit hangs at exit with a sanitizer'
else
check 'it ends when nobody was connected for a while, and not before' '
    vmscm service stop
    vmscm service run --idle=1 >ready &
    pid=$!
    for _ in $(seq 200); do [ ! -s ready ] || break; sleep 0.05; done
    written work/vda.qcow2 "read 0 64k" "sleep 2500" "read 10M 64k"
    wait $pid
    [ ! -e "$(cat ready)" ]'
check -p systemd-socket-activate 'systemd passes the socket' '
    vmscm service stop 2>/dev/null
    socket=$(vmscm service --json | jq -r .socket)
    systemd-socket-activate -E VMSCM_DIR -E PATH -E XDG_RUNTIME_DIR -E HOME -l "$socket" "$VMSCM_BUILD/vmscm" service run --idle=1 --socket="$socket" >/dev/null 2>said &
    pid=$!
    for _ in $(seq 200); do [ ! -S "$socket" ] || break; sleep 0.05; done
    vmscm service >said2
    grep -q "waits to be needed" said2 || grep -q "runs" said2
    written work/vda.qcow2 "read 0 64k"
    wait $pid
    rm -f "$socket"'
fi
units() {
    mkdir bin
    printf '#!/bin/sh\necho "$*" >>%s/calls\n' "$PWD" >bin/systemctl
    chmod 755 bin/systemctl
    PATH=$PWD/bin:$PATH
    vmscm service enable
    cat >want <<END
--user --quiet daemon-reload
--user --quiet enable --now vmscm-$(basename "$(vmscm service --json | jq -r .socket)").socket
END
    cmp calls want
    unit=$(ls "$XDG_CONFIG_HOME"/systemd/user/vmscm-*.socket)
    grep -qx "ListenStream=$(vmscm service --json | jq -r .socket)" "$unit"
    grep -qx "Environment=\"VMSCM_DIR=$VMSCM_DIR\"" "${unit%.socket}.service"
    [ -z "$(command -v systemd-analyze)" ] || systemd-analyze --user verify "${unit%.socket}.service" "$unit" 2>said || true
    vmscm service disable
    [ ! -e "$unit" ]
}
check 'units of systemd' units

check 'gc keeps what one stands on, though nothing else names it' '
    vmscm checkin lost vda=two.raw -m lost
    noise 3000000 77 | put two.raw 100000
    vmscm checkin lost vda=two.raw -m "will be lost"
    vmscm checkout --thin lost orphan
    before=$(vmscm show --json lost | jq -r .id)
    vmscm rm lost
    vmscm config gc.reflogExpire now 2>/dev/null || true
    vmscm gc --grace 0
    vmscm gc --grace 0
    qemu-img compare -q -f qcow2 -F raw orphan/vda.qcow2 two.raw
    written orphan/vda.qcow2 "write -P 1 0 4k"
    cp two.raw want3.raw
    changed want3.raw "write -P 1 0 4k"
    (cd orphan && vmscm checkin --onto found -m found)
    vmscm cat found | cmp - want3.raw'
check 'prune keeps it too' '
    vmscm checkin aged vda=two.raw -m 1
    vmscm checkout --thin aged aged
    vmscm checkin aged vda=one.raw -m 2
    vmscm prune --json --keep-last 1 aged | jq -e "[.. | .kept? // empty | arrays] | flatten | index(\"thin\") != null"
    vmscm gc --grace 0
    qemu-img compare -q -f qcow2 -F raw aged/vda.qcow2 two.raw'
check 'moved and copied checkouts are still known' '
    mv aged moved
    vmscm status moved >/dev/null
    cp -a moved copied
    vmscm status copied >/dev/null
    vmscm service --json >json
    jq -e ".checkouts | map(select(.dir | endswith(\"/moved\") or endswith(\"/copied\"))) | length == 2" json
    ! jq -e ".checkouts[] | select(.dir | endswith(\"/aged\"))" json'
check_fails 4 'one that is there is not forgotten' 'vmscm service forget copied' 'is a thin checkout'
check 'one that is gone is' '
    dir=$PWD/copied
    rm -rf copied
    [ "$(vmscm service --json | jq -r ".checkouts[] | select(.dir == \"$dir\").present")" = false ]
    vmscm service forget "$dir" >said
    grep -q "1 thin checkout forgotten" said
    rm -rf moved
    vmscm service forget --gone'
check_fails 1 'one that never was' 'vmscm service forget nowhere' 'no thin checkout is known there'

check 'thickened, one needs nothing' '
    (cd work && vmscm checkin)
    vmscm thicken --json work >json
    vmscm service stop 2>said
    qemu-img compare -q -f qcow2 -F raw work/vda.qcow2 want.raw
    ! qemu-img info --output=json work/vda.qcow2 | jq -e ".[\"backing-filename\"]"
    vmscm service --json | jq -e ".checkouts | map(select(.dir | endswith(\"/work\"))) | length == 0"
    cd work
    vmscm status --exit-code
    written vda.qcow2 "write -P 8 6M 4k"
    changed ../want.raw "write -P 8 6M 4k"
    vmscm checkin -v -m thick 2>../said
    grep -q "dirty in its bitmap" ../said
    vmscm cat web | cmp - ../want.raw'
check 'and one that was written to' '
    vmscm service start
    written db/vda.qcow2 "write -P 2 3M 4k"
    cp one.raw want4.raw
    changed want4.raw "write -P 2 3M 4k"
    vmscm service stop
    vmscm thicken db
    qemu-img compare -q -f qcow2 -F raw db/vda.qcow2 want4.raw
    (cd db && vmscm checkin -m "thick and new")
    vmscm cat db:vda | cmp - want4.raw'
check 'of a lazy clone: what it lacks is fetched when the guest reads it' '
    unset VMSCM_DIR
    vmscm clone --lazy "$PWD/repo.vmscm" lazy
    (cd lazy && vmscm checkout --thin origin/web ../lazier)
    qemu-img compare -q -f qcow2 -F raw lazier/vda.qcow2 want.raw
    cd lazier
    vmscm service stop'
check 'the repository moved: said, and gone on with' '
    mkdir away
    vmscm init --bare away/old.vmscm
    VMSCM_DIR=$PWD/away/old.vmscm vmscm checkin m vda=one.raw -m one
    VMSCM_DIR=$PWD/away/old.vmscm vmscm checkout --thin m away/m
    written away/m/vda.qcow2 "write -P 2 3M 4k"
    mv away/old.vmscm away/new.vmscm
    unset VMSCM_DIR
    rc=0
    vmscm status away/m 2>said || rc=$?
    [ $rc = 1 ]
    grep -q "^hint: .*VMSCM_DIR" said
    export VMSCM_DIR=$PWD/away/new.vmscm
    vmscm status away/m
    qemu-img compare -q -f qcow2 -F raw away/m/vda.qcow2 want4.raw
    (cd away/m && vmscm checkin -m moved)
    vmscm cat m | cmp - want4.raw
    cd away/m
    vmscm service stop'
full() {
    mkdir small
    mount -t tmpfs -o size=600k none small
    vmscm checkout --thin web small/thin
    cp want.raw full.raw
    written small/thin/vda.qcow2 "write -P 2 0 64k"
    changed full.raw "write -P 2 0 64k"
    rc=0
    written small/thin/vda.qcow2 "write -P 3 8M 1M" || rc=$?
    [ $rc != 0 ]
    grep -qi "no space left" io
    # What may have been written of that and what not is the guest's to know; the rest is as it was.
    rc=0
    vmscm checkout --thin web small/another 2>said || rc=$?
    [ $rc = 3 ]
    [ "$(grep -c "^vmscm: " said)" = 1 ]
    rc=0
    vmscm thicken small/thin 2>said || rc=$?
    [ $rc = 3 ]
    mount -o remount,size=64m small
    written small/thin/vda.qcow2 "write -P 3 8M 1M"
    changed full.raw "write -P 3 8M 1M"
    vmscm checkout --thin web small/another
    (cd small/thin && vmscm checkin --onto room -m "room again")
    vmscm cat room | cmp - full.raw
    vmscm thicken small/thin
    qemu-img compare -q -f qcow2 -F raw small/thin/vda.qcow2 full.raw
    umount small
    vmscm service forget --gone
}
check -p TMPFS 'a full disk: told, and gone on with when there is room' full
damage() {
    vmscm init --bare hurt.vmscm
    VMSCM_DIR=$PWD/hurt.vmscm
    vmscm checkin broken vda=one.raw -m one
    vmscm checkout --thin broken hurt
    python3 - hurt.vmscm/packs <<'END'
import glob, os, sys
pack = max(glob.glob(sys.argv[1] + "/*"), key=os.path.getsize)
data = bytearray(open(pack, "rb").read())
for i in range(len(data) * 2 // 3, len(data) * 3 // 4):
    data[i] ^= 0x55
os.chmod(pack, 0o644)
open(pack, "r+b").write(data)
END
    rc=0
    qemu-img compare -f qcow2 -F raw hurt/vda.qcow2 one.raw >said 2>&1 || rc=$?
    [ $rc -gt 1 ]
    grep -q "revision $(vmscm show --json broken | jq -r ".id[:12]")" "$(vmscm service --json | jq -r .socket)".log
    written hurt/vda.qcow2 "read 0 4k"
    vmscm service stop
}
check 'damage: an error to the guest, the revision named in the log, other places fine' damage
no_fsck hurt.vmscm
check_fails 2 'there is nothing to thicken' 'vmscm thicken work' 'not a thin checkout'

check_fails 4 'over another checkout' 'vmscm checkout --thin web work' 'is a checkout'
check_fails 4 'another checkout over one' 'vmscm checkout web grown' 'is a thin checkout'
check_fails 2 'with a format' 'vmscm checkout --thin --format raw web x' 'has no format'
check_fails 2 'too long a path for the socket' '
    XDG_RUNTIME_DIR=$PWD/$(printf "%0100d" 1); export XDG_RUNTIME_DIR
    mkdir "$XDG_RUNTIME_DIR"
    vmscm checkout --thin web x' 'too long a path for a socket'
check_fails 4 'a place that others can write to' '
    mkdir -p open/vmscm; chmod 777 open/vmscm
    XDG_RUNTIME_DIR=$PWD/open vmscm checkout --thin web x' 'others can write there'
done_testing
