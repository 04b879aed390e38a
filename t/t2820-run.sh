#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# vmscm run: a revision started in qemu. The guests are boot sectors: they print on the serial console,
# then stop, or switch themselves off.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

for need in nbdkit qemu-system-x86_64; do
    why=$(missing $need)
    [ -z "$why" ] || skip_all "$why"
done
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built"

# sector FILE TEXT off|stay: a disk that a BIOS starts
sector() {
    python3 - "$@" <<'END'
import sys
path, text, end = sys.argv[1:]
print_all = bytes.fromhex("fa31c08ed8be0000baf803ac84c07403eeebf8")
last = bytes.fromhex("ba0406b80020ef") if end == "off" else b""
last += bytes.fromhex("f4ebfd")
at = 0x7c00 + len(print_all) + len(last)
code = bytearray(print_all + last)
code[6:8] = at.to_bytes(2, "little")
code += text.encode() + b"\0"
with open(path, "wb") as f:
    f.write(code.ljust(510, b"\0") + b"\x55\xaa")
    f.truncate(4 << 20)
END
}
sector stay.raw $'debian login: \r\n' stay
sector off.raw $'bye\r\n' off
noise 1000000 3 | put stay.raw 1000000
vmscm init --bare repo.vmscm >/dev/null 2>&1
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
# domain FILE BUS [EXTRA]
domain() {
    echo "<domain type='kvm'><name>m</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-9.9'>hvm</type>${3:-}</os><devices><disk type='file' device='disk'>
<driver name='qemu' type='raw'/><source file='/x/stay.raw'/><target dev='sda' bus='$2'/></disk>
<interface type='network'><mac address='52:54:00:12:34:56'/><source network='default'/><model type='virtio'/></interface>
</devices></domain>" >"$1"
}
check 'guests' '
    vmscm checkin stay vda=stay.raw -m stay
    vmscm checkin off vda=off.raw -m off
    for bus in virtio scsi sata ide nvme usb xen; do
        domain m.xml $bus
        vmscm checkin on-$bus --config=m.xml stay.raw -m "on $bus"
    done'
# nothing_left: no process and no file of a run
nothing_left() {
    [ -z "$(ls -d "$XDG_RUNTIME_DIR"/vmscm-* 2>/dev/null)" ] || fail "$(ls -d "$XDG_RUNTIME_DIR"/vmscm-*)"
    ! grep -lsF "$XDG_RUNTIME_DIR/vmscm-" /proc/[0-9]*/cmdline
}

check 'until it has printed something' '
    vmscm run --wait-for="text:debian login:" --timeout=120 stay >said
    grep -q "debian login:" said
    nothing_left'
check 'until it switches itself off' '
    vmscm run --timeout=120 off >said
    grep -q bye said
    nothing_left'
check 'the console in a file' '
    vmscm run --wait-for=text:login --timeout=120 --console-log=log stay >said
    [ ! -s said ]
    grep -q "debian login" log'
check 'a command once it is there, and its status' '
    rc=0
    vmscm run -q --wait-for=text:login --timeout=120 --run="echo \"port \$port\"; exit 5" --forward=47381:22 stay >said || rc=$?
    [ $rc = 5 ]
    grep -qx "port " said
    nothing_left'
for bus in virtio scsi sata ide nvme; do
    check "a disk on $bus" "vmscm run -q --wait-for=text:login --timeout=120 on-$bus"
done
if [ -e /usr/share/OVMF/OVMF_VARS_4M.fd ]; then
    check 'by UEFI, also when it is started again without KVM' '
        sed "s/<os>/<os firmware=\"efi\">/" m.xml | sed "s/bus=.xen./bus=\"virtio\"/" >uefi.xml
        vmscm checkin by-uefi --config=uefi.xml stay.raw
        vmscm run -q --wait-for=text:BdsDxe --timeout=300 by-uefi
        nothing_left'
else
    skip 'by UEFI, also when it is started again without KVM' 'OVMF is not installed'
fi
check 'on usb' 'vmscm run -q --wait-for=text:login --timeout=120 on-usb'
check_fails 1 'time is over' 'vmscm run -q --wait-for=text:nosuch --timeout=3 stay && exit 1; rc=$?; nothing_left; exit $rc' \
    'not there after 3 seconds'
check_fails 1 'a port that nobody answers at' '
    vmscm run -q --isolate --wait-for=port:22 --timeout=5 stay' 'port:22: not there after 5 seconds'
check_fails 1 'it ended before' 'vmscm run -q --wait-for=text:login --timeout=120 off' 'ended before'
check 'interrupted: nothing goes on' '
    vmscm run -q stay &
    pid=$!
    for _ in $(seq 200); do
        ! grep -lsF "$XDG_RUNTIME_DIR/vmscm-" /proc/[0-9]*/cmdline | grep -q . || break
        sleep 0.05
    done
    sleep 0.5
    kill -TERM $pid
    rc=0
    wait $pid || rc=$?
    [ $rc = 143 ]
    nothing_left'
check 'killed: nothing goes on' '
    vmscm run -q stay &
    pid=$!
    sleep 2
    kill -KILL $pid
    wait $pid || true
    sleep 1
    ! grep -lsF "$XDG_RUNTIME_DIR/vmscm-" /proc/[0-9]*/cmdline
    rm -rf "$XDG_RUNTIME_DIR"/vmscm-*'
check 'the revision is as it was' '
    vmscm cat stay | cmp - stay.raw
    [ "$(vmscm log --json stay | jq length)" = 1 ]'

check_fails 1 'no such revision' 'vmscm run nosuch' 'nosuch'
check_fails 3 'a bus that cannot be had, and the way out' 'vmscm run on-xen' 'on a bus that cannot be had here: xen'
check '--bus: that way' 'vmscm run -q --bus=virtio --wait-for=text:login --timeout=120 on-xen'
check_fails 2 'what to wait for: nonsense' 'vmscm run --wait-for=door:3 stay' 'neither port:N nor text'
check_fails 2 'a forward: nonsense' 'vmscm run --forward=22 stay' 'not HOST-PORT:GUEST-PORT'
check_fails 2 '--run alone' 'vmscm run --run=true stay' 'only with --wait-for'
check_fails 3 'no qemu' '
    mkdir -p bin
    for tool in vmscm nbdkit; do ln -sf "$(command -v $tool)" bin/; done
    PATH=$PWD/bin vmscm run stay' 'qemu-system-x86_64: not installed'
check_fails 3 'qemu says why it cannot' 'vmscm run --vnc=nonsense stay' 'qemu-system-x86_64: '

done_testing
