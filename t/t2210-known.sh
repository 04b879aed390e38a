#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Known changes: a checkout that is checked in again is read only where it changed, and whatever
# happened to its files meanwhile, what is recorded is what they hold.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk base.raw 48
check 'a machine, and checkouts of it' '
    qemu-img convert -O qcow2 base.raw base.qcow2
    vmscm init
    vmscm checkin web vda=base.qcow2
    vmscm checkout web w
    vmscm checkout web r --format raw
    [ -f w/vda.qcow2 ] && [ -f r/vda.img ]'

# ci [OPTION]...: check the checkout w in. What -v said is in how, what --json said in said.
ci() {
    (cd w && vmscm checkin -v --json "$@") >said 2>how
}
field() { jq -r ".$1" said; }
# Whatever was recorded last is what the image of w holds: read whole, nothing differs.
right() {
    local tip
    tip=$(field id)
    ci --reread
    [ "$(field id)" = "$tip" ] && [ "$(field unchanged)" = true ] &&
        [ "$(field read)" -gt 1000000 ] && ! grep "^disk vda: " how
}
# Little of the 48 MiB was read.
little() {
    [ "$(field read)" -lt 2000000 ]
}
io() { # COMMANDS of qemu-io, on w's disk
    local args=() c
    for c in "$@"; do args+=(-c "$c"); done
    # What a killed check-in had started may have a moment to go.
    for _ in $(seq 100); do
        qemu-io -f qcow2 "${args[@]}" w/vda.qcow2 >io 2>&1 && break
        grep "Failed to get" io >/dev/null || break
        sleep 0.1
    done
    cat io
    ! grep -i -e "can.t open" -e failed io
}

check 'unchanged: nothing is read, and -v says why' '
    ci
    [ "$(field unchanged)" = true ] && [ "$(field read)" = 0 ]
    grep "disk vda: by size, times and inode" how
    right'
check 'changed: its dirty bitmap tells what' '
    io "write -P 7 5M 64k" "write -P 8 20M 4k"
    ci
    grep "disk vda: dirty in its bitmap are" how
    [ "$(field unchanged)" = false ] && little
    right'
check 'again and again, with writes and discards of every kind' '
    RANDOM=7
    for round in 1 2 3 4 5 6 7 8; do
        ops=()
        for op in 1 2 3 4 5 6; do
            at=$((RANDOM * 1440))
            case $((RANDOM % 4)) in
            0) ops+=("write -P $((RANDOM % 255)) $at $((RANDOM % 9000 + 1))") ;;
            1) ops+=("write -z $((at / 512 * 512)) $((RANDOM % 200 * 512 + 512))") ;;
            2) ops+=("discard $((at / 65536 * 65536)) 192k") ;;
            *) ops+=("write -P $((RANDOM % 255)) $((at / 4096 * 4096)) $((RANDOM % 90 * 4096 + 4096))") ;;
            esac
        done
        io "${ops[@]}"
        ci
        grep "disk vda: dirty in its bitmap are" how
        right
    done'
check 'there is one bitmap in use, and one from before at most' '
    [ "$(qemu-img info --output=json w/vda.qcow2 |
        jq "[.[\"format-specific\"].data.bitmaps[].name] | length")" -le 2 ]'

# A QEMU that exports w's disk for writing; it ends with `quit`, or when it is killed.
vm_start() {
    rm -f qmp.in vm.sock
    mkfifo qmp.in
    qemu-system-x86_64 -M none -nodefaults -display none -qmp stdio -blockdev \
        driver=qcow2,node-name=d,file.driver=file,file.filename=w/vda.qcow2 <qmp.in >qmp.out 2>&1 &
    vm=$!
    exec 8>qmp.in
    cat >&8 <<QMP
{"execute":"qmp_capabilities"}
{"execute":"nbd-server-start","arguments":{"addr":{"type":"unix","data":{"path":"$PWD/vm.sock"}}}}
{"execute":"block-export-add","arguments":{"type":"nbd","id":"e","node-name":"d","writable":true}}
QMP
    for _ in $(seq 200); do
        qemu-io -f raw -c 'read 0 512' "nbd+unix:///d?socket=$PWD/vm.sock" >/dev/null 2>&1 && return
        sleep 0.05
    done
    cat qmp.out
    return 1
}
vm_kill() {
    disown "$vm"
    kill -9 "$vm"
    while kill -0 "$vm" 2>/dev/null; do sleep 0.02; done
    exec 8>&-
}
guest_io() { # COMMAND of qemu-io, as the guest
    qemu-io -f raw -c "$1" "nbd+unix:///d?socket=$PWD/vm.sock"
}

check -p qemu-system-x86_64 'a QEMU that ran the machine and shut down kept the bitmap' '
    vm_start
    guest_io "write -P 21 9M 12k"
    guest_io "write -P 22 31M 512k"
    echo "{\"execute\":\"quit\"}" >&8
    wait $vm
    exec 8>&-
    ci
    grep "disk vda: dirty in its bitmap are" how
    [ "$(field unchanged)" = false ] && little
    qemu-io -r -f qcow2 -c "read -P 21 9M 12k" w/vda.qcow2 | grep -v failed
    right'
check_fails -p qemu-system-x86_64 3 'a QEMU that is still running' '
    vm_start
    guest_io "write -P 23 9M 12k"
    rc=0
    (cd w && vmscm checkin) || rc=$?
    vm_kill
    exit $rc' 'a running machine writes to it'
check -p qemu-system-x86_64 'a QEMU that was killed lost it: all is read' '
    io "read 0 512"
    vm_start
    guest_io "write -P 24 10M 16k"
    guest_io "flush"
    vm_kill
    ci
    grep "disk vda: read whole: QEMU was killed" how
    [ "$(field unchanged)" = false ] && ! little
    right
    io "write -P 25 10M 16k"
    ci
    grep "disk vda: dirty in its bitmap are" how
    right'

check 'a program that knows no bitmaps wrote to it: all is read' '
    io "write -P 31 3M 64k"
    printf "\0" | put w/vda.qcow2 95
    vmscm checkin web vda=w/vda.qcow2 -v --json 2>how >said
    grep "disk vda: read whole: a program that does not keep bitmaps" how
    ! little
    ci --force-parent
    grep "disk vda: read whole: " how
    right'
check 'the disk as it was at another time has another bitmap' '
    io "write -P 32 4M 64k"
    ci
    cp w/vda.qcow2 old.qcow2
    io "write -P 33 6M 64k"
    ci
    io "write -P 34 7M 64k"
    ci
    cp old.qcow2 w/vda.qcow2
    ci
    grep "disk vda: read whole: the bitmap that was made for it is gone" how
    [ "$(field unchanged)" = false ]
    right'
check 'a bitmap that was switched off is not used' '
    io "write -P 34 8M 64k"
    name=$(jq -r .disks[0].bitmap w/.vmscm-checkout)
    qemu-img bitmap --disable w/vda.qcow2 "$name"
    io "write -P 35 9M 64k"
    ci
    grep "disk vda: read whole: its bitmap was switched off" how
    right'
check 'bitmaps of others are left alone' '
    qemu-img bitmap --add w/vda.qcow2 backup0
    io "write -P 36 10M 64k"
    ci
    little
    qemu-img info w/vda.qcow2 | grep "name: backup0"
    right'
check 'another size: all is read' '
    qemu-img resize w/vda.qcow2 50M
    ci
    grep "disk vda: read whole: its size has changed" how
    [ "$(field size)" = $((50 << 20)) ]
    right'
check 'made smaller and as large as before: all is read' '
    io "write -P 37 48M 1M"
    ci
    qemu-img resize -q --shrink w/vda.qcow2 47M
    qemu-img resize -q w/vda.qcow2 50M
    ci
    grep "disk vda: read whole: it was made smaller and larger again" how
    [ "$(field unchanged)" = false ]
    right
    io "write -P 37 48M 1M"
    ci
    qemu-img resize -q --shrink w/vda.qcow2 $((48 * 1048576 + 512000))
    qemu-img resize -q w/vda.qcow2 50M
    io "write -P 38 49M 4k"
    ci
    right
    io "write -P 39 48M 1M" "write -P 40 40M 100k"
    ci
    qemu-img resize -q --shrink w/vda.qcow2 40M
    qemu-img resize -q w/vda.qcow2 50M
    io "write -P 41 48M 1M" "write -P 41 42000000 4k"
    ci
    right'
check 'a check-in that died before the checkout knew of it' '
    io "write -P 41 11M 64k"
    cp w/.vmscm-checkout before
    ci
    io "write -P 42 12M 64k"
    cp before w/.vmscm-checkout
    ci --force-parent
    grep "disk vda: dirty in its bitmap are" how
    little
    right'
leaks() { # clusters of w's disk that nothing uses
    qemu-img check --output=json w/vda.qcow2 >checked 2>/dev/null || true
    jq ".leaks // 0" checked
}
check 'a check-in that is killed, wherever it is: the next one is right' '
    before=$(leaks)
    for delay in 0.01 0.03 0.06 0.09 0.12 0.15 0.2 0.3; do
        io "write -P $((RANDOM % 255)) $((RANDOM * 1400)) 20k"
        (cd w && timeout -s KILL $delay vmscm checkin --force-parent -q) || true
        io "write -P $((RANDOM % 255)) $((RANDOM * 1400)) 20k"
        ci --force-parent
        right
    done
    [ "$(leaks)" = "$before" ]'
check 'a new machine from a checkout' '
    io "write -P 43 13M 64k"
    ci --onto other
    little
    right'

cr() { # ci, for the raw checkout r
    (cd r && vmscm checkin -v --json "$@") >said 2>how
}
check 'raw: unchanged is not read; written to is read, whatever its times were set to' '
    cr --onto raw
    grep "disk vda: by size, times and inode" how
    [ "$(field read)" = 0 ]
    touch -r r/vda.img stamp
    printf x | put r/vda.img 5000000
    touch -r stamp r/vda.img
    cr
    grep "disk vda: read whole: its file was written to" how
    [ "$(field new)" -gt 0 ]'
check 'raw: a write right after a check-in is always seen' '
    for i in 1 2 3 4 5 6 7 8 9 10; do
        printf "x$i" | put r/vda.img $((i * 4096))
        cr
        printf "y$i" | put r/vda.img $((i * 4096))
        cr
        [ "$(field unchanged)" = false ]
    done
    vmscm cat raw | cmp - r/vda.img'
check 'another file of the same size and times' '
    cp -p r/vda.img copy
    printf z | put copy 70000
    touch -r r/vda.img copy
    mv copy r/vda.img
    cr
    [ "$(field unchanged)" = false ]'

overlay() { # OPTION...: check ov.qcow2 in as machine over
    vmscm checkin over vda=ov.qcow2 -v --json "$@" >said 2>how
}
check 'an overlay on a checkout: what it holds is read' '
    vmscm checkout web base
    qemu-img create -q -f qcow2 -b base/vda.qcow2 -F qcow2 ov.qcow2
    qemu-io -f qcow2 -c "write -P 51 2M 64k" -c "write -z 30M 1M" -c "discard 40M 64k" ov.qcow2
    overlay --allow-outside
    grep "disk vda: its overlay holds" how
    little
    id=$(field id)
    overlay --allow-outside --reread
    [ "$(field id)" = "$id" ] && [ "$(field unchanged)" = true ]'
check 'an overlay on an overlay' '
    qemu-img create -q -f qcow2 -b ov.qcow2 -F qcow2 ov2.qcow2
    qemu-io -f qcow2 -c "write -P 52 33M 64k" ov2.qcow2
    vmscm checkin over vda=ov2.qcow2 --allow-outside -v --json >said 2>how
    grep "disk vda: its overlay holds" how
    little
    id=$(field id)
    vmscm checkin over vda=ov2.qcow2 --allow-outside --reread --json >said
    [ "$(field id)" = "$id" ]'
check 'an overlay whose backing file is another one now: all is read' '
    qemu-io -f qcow2 -c "write -P 53 1M 64k" base/vda.qcow2
    overlay --allow-outside
    grep "disk vda: read whole: the backing file is not as it was checked out" how
    [ "$(field unchanged)" = false ]
    id=$(field id)
    overlay --allow-outside --reread
    [ "$(field id)" = "$id" ]'
check 'a checkout that got a backing file is read whole' '
    vmscm checkout web backed
    cp base.raw backed/under.raw
    qemu-img rebase -u -b under.raw -F raw backed/vda.qcow2
    (cd backed && vmscm checkin --onto backed -v --json) >said 2>how
    grep "disk vda: read whole: it has files that its checkout does not know" how'

check 'a checkout of another repository says nothing here' '
    vmscm init elsewhere
    io "write -P 61 14M 64k"
    vmscm -C elsewhere checkin web "vda=$PWD/w/vda.qcow2" -v --json >said 2>how
    grep "disk vda: read whole: its checkout.s revision is not in this repository" how
    [ "$(field new)" -gt 1000000 ]'
check 'a checkout that says nonsense is not believed' '
    vmscm checkout web n
    io "write -P 62 15M 64k"
    jq ".disks[0].bitmap = \"../../x\"" n/.vmscm-checkout >t
    cp t n/.vmscm-checkout
    qemu-io -f qcow2 -c "write -P 63 15M 64k" n/vda.qcow2
    vmscm checkin nonsense vda=n/vda.qcow2 -v --json >said 2>how
    grep "disk vda: read whole: the bitmap that was made for it is gone" how
    vmscm cat nonsense | cmp - <(qemu-img convert -O raw n/vda.qcow2 n.raw && cat n.raw)'
check 'qcow2 of version 2 holds no bitmaps, and is read' '
    vmscm checkout web old -o compat=0.10
    qemu-io -f qcow2 -c "write -P 64 1M 64k" old/vda.qcow2
    (cd old && vmscm checkin --onto old -v --json) >said 2>how
    grep "disk vda: read whole: it has no dirty bitmap" how
    vmscm cat old >out.raw
    qemu-img compare -f raw -F qcow2 out.raw old/vda.qcow2'

check 'with core.bitmaps false there are none' '
    vmscm config core.bitmaps false
    vmscm checkout web plain
    ! qemu-img info plain/vda.qcow2 | grep "name: vmscm-"
    qemu-io -f qcow2 -c "write -P 65 1M 64k" plain/vda.qcow2
    (cd plain && vmscm checkin --onto plain)
    ! qemu-img info plain/vda.qcow2 | grep "name: vmscm-"
    vmscm config --unset core.bitmaps'

done_testing
