#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# What other programs make of what is exported: QEMU boots it, Vagrant adds it.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

export HOME=$PWD VAGRANT_HOME=$PWD/vagrant VAGRANT_CHECKPOINT_DISABLE=1
text="booted from what vmscm exported"
python3 "$TEST_SOURCE/t/bootdisk.py" boot.img 23456 "$text"
noise 5000000 4 | put boot.img 1000000
vmscm init -q repo
cd repo || exit 1
vmscm checkin -q --format raw web ../boot.img

# boots FORMAT IMAGE
boots() {
    local rc=0
    rm -f console
    timeout 300 qemu-system-x86_64 -accel tcg -m 64 -nodefaults -no-user-config -no-reboot -display none \
        -serial file:console -device isa-debug-exit,iobase=0xf4,iosize=1 \
        -drive "file=$2,format=$1,if=ide,snapshot=on" </dev/null || rc=$?
    [ $rc = 33 ] || fail "QEMU ended with $rc"
    grep "$text" console
}

check -p qemu-system-x86_64 "made: a disk that boots, and one that does not" '
    boots raw ../boot.img
    printf nothing | put ../boot.img 12009472 && cp ../boot.img ../other.img && ! boots raw ../other.img
    python3 "$TEST_SOURCE/t/bootdisk.py" ../boot.img 23456 "$text"'
check -p qemu-system-x86_64 "QEMU boots the disk of an OVA" '
    vmscm export -q web web.ova 2>/dev/null && mkdir ova && tar -C ova -xf web.ova && boots vmdk ova/*.vmdk'
check -p qemu-system-x86_64 "of the folders for VMware, libvirt and Hyper-V, and of a ploop directory" '
    vmscm export -q web web.vmx 2>/dev/null && boots vmdk web-*.vmdk
    vmscm export -q web web.xml && boots qcow2 web-*.qcow2
    vmscm export -q web web.ps1 2>/dev/null && boots vhdx web-*.vhdx
    vmscm export -q web web.hdd 2>/dev/null && boots parallels web.hdd/root.hds'
check -p qemu-system-x86_64 "of a box, and of an XVA, put together by its blocks" '
    vmscm export -q --format vagrant-libvirt web web.box 2>/dev/null && tar -xf web.box box.img && boots qcow2 box.img
    vmscm export -q web web.xva 2>/dev/null && mkdir xva && tar -C xva -xf web.xva && python3 - xva/Ref*/ <<END
import os, re, sys
out = open("from-xva.img", "wb")
out.truncate(16 << 20)
for name in sorted(os.listdir(sys.argv[1])):
    if re.fullmatch("[0-9]{8}", name):
        out.seek(int(name) << 20)
        out.write(open(sys.argv[1] + name, "rb").read())
END
    boots raw from-xva.img'
check -p qemu-system-x86_64 "and of a checkout for VMware" 'vmscm checkout -q --for vmx web esx 2>/dev/null && boots vmdk esx/*.vmdk'

check -p vagrant "Vagrant adds our box for libvirt, and takes its Vagrantfile" '
    vagrant box add --name mine --provider libvirt "$PWD/web.box"
    cmp "$VAGRANT_HOME/boxes/mine/0/libvirt/box.img" box.img
    mkdir project && cd project && vagrant init mine && vagrant validate --ignore-provider'
check -p vagrant "and the one for VirtualBox, with its manifest" '
    vmscm export -q --format vagrant-virtualbox web vb.box 2>/dev/null && vagrant box add --name mine --provider virtualbox "$PWD/vb.box"
    vagrant box list | grep -F "mine (virtualbox, 0)"
    cd "$VAGRANT_HOME/boxes/mine/0/virtualbox" && sed "s/^SHA256(\(.*\))= \(.*\)/\2  \1/" box.mf | sha256sum -c'

done_testing
