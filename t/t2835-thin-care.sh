#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Thin checkouts while they are in use: many readers at once, gc beside them, a repository that is moved, a disk
# that is full.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

for need in nbdkit qemu-io qemu-img jq; do
    why=$(missing $need)
    [ -z "$why" ] || skip_all "$why"
done
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"

# The service's nbdkit says in nbdkit.log what it has read when it is told to end.
mkdir said
cat >said/nbdkit <<END
#!/bin/sh
exec $(command -v nbdkit) -v "\$@" 2>>$PWD/nbdkit.log
END
chmod 755 said/nbdkit
PATH=$PWD/said:$PATH

sample_disk one.raw 24 1
vmscm init --bare repo.vmscm >/dev/null 2>&1
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
at_exit 'for r in "$TEST_DIR"/work/*.vmscm "$TEST_DIR"/work/*/*.vmscm "$TEST_DIR"/work/*/.vmscm; do
    [ ! -d "$r/git" ] || VMSCM_DIR=$r vmscm service stop -q; done 2>/dev/null'
# records: that the service's nbdkit has read of the store, which ends it
records() {
    local service nbdkit
    service=$(vmscm service --json | jq -r .pid)
    : >nbdkit.log
    read -r nbdkit <"/proc/$service/task/$service/children"
    kill -TERM "$nbdkit"
    for _ in $(seq 1200); do
        ! grep -q "records read" nbdkit.log || break
        sleep 0.05
    done
    sed -n "s/.*cache: \([0-9]*\) records read.*/\1/p" nbdkit.log
}
# behind FILE COMMAND...: QEMU does so in the background; its id is in pid
behind() {
    local file=$1 args=() c
    shift
    for c in "$@"; do args+=(-c "$c"); done
    stdbuf -oL qemu-io -f qcow2 "${args[@]}" "$file" >io 2>&1 &
    pid=$!
}
# awaits N TEXT: until that many of its lines have it
awaits() {
    for _ in $(seq 1200); do
        [ "$(grep -c "$2" io)" -lt "$1" ] || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    cat io >&2
    return 1
}

check 'a machine' 'vmscm checkin web vda=one.raw -m first'
check '20 thin checkouts read at once: the store is read once' '
    vmscm checkout --thin web thin0
    qemu-img compare -q -f qcow2 -F raw thin0/vda.qcow2 one.raw
    once=$(records)
    [ "$once" -gt 5 ]
    for i in $(seq 19); do vmscm checkout -q --thin web thin$i; done
    pids=
    for i in $(seq 0 19); do
        qemu-img compare -q -f qcow2 -F raw thin$i/vda.qcow2 one.raw &
        pids="$pids $!"
    done
    for p in $pids; do wait $p; done
    [ "$(records)" = "$once" ]
    rm -rf thin[0-9]*
    vmscm service forget --gone'

check 'gc runs, and takes away much, while one is read and written' '
    cp one.raw want.raw
    vmscm config gc.reflogExpire now
    vmscm checkout --thin web work
    vmscm checkin doomed vda=one.raw -m doomed
    (
        for i in 1 2 3 4 5 6 7 8; do
            noise 3000000 $i >more.raw
            vmscm checkin doomed vda=more.raw -m $i
            vmscm gc --grace=0
        done
        vmscm rm doomed
        vmscm gc --grace=0
        touch done
    ) >gc.log 2>&1 &
    gc=$!
    n=0
    while [ ! -e done ] || [ $n -lt 5 ]; do
        kill -0 $gc 2>/dev/null || [ -e done ]
        n=$((n + 1))
        at=$((n % 20 * 1048576))
        qemu-io -f qcow2 -c "write -P $((n % 200 + 1)) $at 20k" -c "read -P $((n % 200 + 1)) $at 20k" -c "read 0 24M" \
            work/vda.qcow2 >io 2>&1
        ! grep -q failed io
        head -c 20480 /dev/zero | tr "\0" "\\$(printf %o $((n % 200 + 1)))" | put want.raw $at
    done
    wait $gc
    qemu-img compare -q -f qcow2 -F raw work/vda.qcow2 want.raw
    (cd work && vmscm checkin -m "beside gc")
    vmscm cat web | cmp - want.raw'

check 'QEMU killed while it writes: the overlay is whole, and what was flushed is in it' '
    set --
    for i in $(seq 1 30); do set -- "$@" "write -P 11 $((i * 512))k 4k"; done
    set -- "$@" flush
    for i in $(seq 1 150); do set -- "$@" "write -P 12 $((i * 64))k 64k" "sleep 20"; done
    behind work/vda.qcow2 "$@"
    awaits 60 wrote
    kill -KILL $pid
    wait $pid || true
    [ "$(grep -c wrote io)" -lt 180 ]
    rc=0
    qemu-img check -q -f qcow2 work/vda.qcow2 || rc=$?
    # 3: what leaks is no harm.
    [ $rc = 0 ] || [ $rc = 3 ]
    (cd work && vmscm checkin -m "after a kill")
    vmscm cat web >got.raw
    python3 - <<END
disk = open("got.raw", "rb").read()
for i in range(1, 31):
    at = i * 512 << 10
    assert disk[at:at + 4096] in (bytes([11]) * 4096, bytes([12]) * 4096), i
END
    qemu-img compare -q -f qcow2 -F raw work/vda.qcow2 got.raw'
check 'the repository is moved while QEMU reads: it goes on, and so it does with the next service' '
    vmscm init -q --bare here.vmscm
    VMSCM_DIR=$PWD/here.vmscm
    vmscm checkin m vda=one.raw -m one
    vmscm checkout --thin m moved
    set --
    for i in $(seq 0 23); do set -- "$@" "read ${i}M 1M" "sleep 200"; done
    set -- "$@" "write -P 3 4M 4k"
    behind moved/vda.qcow2 "$@"
    awaits 2 "read 1048576"
    mv here.vmscm there.vmscm
    awaits 6 "read 1048576"
    rc=0
    env -u VMSCM_DIR vmscm status moved 2>err || rc=$?
    [ $rc = 1 ]
    grep -q "^hint: .*VMSCM_DIR" err
    VMSCM_DIR=$PWD/there.vmscm
    vmscm status moved
    wait $pid
    [ "$(grep -c "read 1048576" io)" = 24 ] || { cat io; false; }
    ! grep -q failed io
    cp one.raw want.raw
    head -c 4096 /dev/zero | tr "\0" "\3" | put want.raw 4194304
    (cd moved && vmscm checkin -m moved)
    vmscm cat m | cmp - want.raw'
check 'its service is told and ended from its new place, and no other is' '
    vmscm service start
    other=$(vmscm service --json | jq .pid)
    vmscm init -q --bare before.vmscm
    VMSCM_DIR=$PWD/before.vmscm
    vmscm checkin m vda=one.raw -m one
    vmscm checkout -q --thin m from-before
    pid=$(vmscm service --json | jq .pid)
    [ "$pid" != "$other" ]
    mv before.vmscm after.vmscm
    VMSCM_DIR=$PWD/after.vmscm
    [ "$(vmscm service --json | jq .pid)" = "$pid" ]
    vmscm service stop >out 2>&1
    [ ! -s out ]
    [ "$(vmscm service --json | jq .runs)" = false ]
    vmscm service stop 2>err
    grep -q "did not run" err
    [ "$(VMSCM_DIR=$PWD/repo.vmscm vmscm service --json | jq .pid)" = "$other" ]'
check 'the service is stopped and started while QEMU reads: it waits' '
    set --
    for i in $(seq 0 23); do set -- "$@" "read ${i}M 1M" "sleep 100"; done
    vmscm checkout --thin web waits
    behind waits/vda.qcow2 "$@"
    awaits 3 "read 1048576"
    vmscm service stop
    sleep 1
    vmscm service start
    wait $pid
    [ "$(grep -c "read 1048576" io)" = 24 ]
    ! grep -q failed io'

lacks_room() {
    vmscm init -q --bare full.vmscm
    VMSCM_DIR=$PWD/full.vmscm vmscm checkin far vda=one.raw -m far
    mkdir small
    mount -t tmpfs -o size=300m none small
    unset VMSCM_DIR
    vmscm clone -q --lazy "$PWD/full.vmscm" small/lazy
    (cd small/lazy && vmscm checkout -q --thin origin/far ../../scarce)
    fallocate -l $(($(df --output=avail -B 1 small | tail -n 1) - 1000000)) small/filler
    rc=0
    qemu-img compare -f qcow2 -F raw scarce/vda.qcow2 one.raw >compared 2>&1 || rc=$?
    [ $rc -gt 1 ]
    grep -q "Input/output error" compared
    id=$(VMSCM_DIR=full.vmscm vmscm show --json far | jq -r .id)
    grep -q "error: revision ${id:0:12}: .* only at origin: .*No space left on device" nbdkit.log
    rm small/filler
    qemu-img compare -q -f qcow2 -F raw scarce/vda.qcow2 one.raw
    qemu-io -f qcow2 -c "write -P 5 1M 64k" scarce/vda.qcow2 >io
    (cd scarce && vmscm checkin --onto mine -m "room again")
    cp one.raw want.raw
    head -c 65536 /dev/zero | tr "\0" "\5" | put want.raw 1048576
    vmscm -C small/lazy cat mine | cmp - want.raw
    vmscm -C small/lazy service stop
    vmscm -C small/lazy fsck
    umount small
}
check -p TMPFS 'a lazy clone on a full disk: what it lacks is told, and had once there is room' lacks_room
done_testing
