#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Machines' folders on their way out, as libvirt and VMware keep them, and in again.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk raw.img
sample_disk data.img 8 2
noise 1000100 >odd.img
vmscm init -q repo
cd repo || exit 1
schema=/usr/share/libvirt/schemas/domain.rng
odd_machine >odd.xml
check "a machine with all there is, and one that says nothing" '
    vmscm checkin -q --config odd.xml first ../raw.img ../data.img ../c.img
    vmscm export -q first first.ova && vmscm checkin -q web first.ova && same_machine first web
    vmscm checkin -q plain ../raw.img'

check "libvirt: the domain, and images beside it" '
    mkdir kvm && vmscm export --json web kvm/my.xml 2>w | jq -e ".format == \"libvirt\""
    [ "$(ls kvm | paste -sd" ")" = "my-nvme0n1.qcow2 my-sda.qcow2 my-vda.qcow2 my.xml" ]
    grep "disk nvme0n1 is on sata: libvirt has no nvme" w; grep "no nvme" kvm/my.xml
    for d in vda nvme0n1 sda; do qemu-img check -q kvm/my-$d.qcow2; done
    qemu-img compare kvm/my-vda.qcow2 ../raw.img'
check -p xmllint "libvirts schema takes it" 'xmllint --noout --relaxng '$schema' kvm/my.xml'
check "and in again: the same machine, field by field, nothing new" '
    vmscm checkin --json web2 kvm | jq -e ".new == 0"
    same_machine web web2
    for d in vda nvme0n1 sda; do cmp <(vmscm cat web2:$d) <(vmscm cat web:$d); done'
check "in again, it is all the same from qcow2, but for what revision it is" '
    vmscm export -q web2 kvm2.xml && vmscm checkin -q web3 kvm2.xml
    [ "$(git -C .vmscm/git rev-parse web2:machine.json)" = "$(git -C .vmscm/git rev-parse web3:machine.json)" ]'
check -p xmllint "a machine of which little is known" '
    vmscm export -q plain plain.xml && xmllint --noout --relaxng '$schema' plain.xml
    vmscm checkin -q plain2 plain.xml && same_machine plain plain2'
check "VMware: the .vmx, and images beside it" '
    mkdir esx && vmscm export -q web esx/my.vmx 2>w
    [ "$(ls esx | paste -sd" ")" = "my-nvme0n1.vmdk my-sda.vmdk my-vda.vmdk my.vmx" ]
    grep "disk vda is on sata: VMware has no virtio" w
    grep "NIC 3 is of the model e1000: VMware has no rtl8139" w
    qemu-img compare esx/my-vda.vmdk ../raw.img
    [ "$(qemu-img info --output json esx/my-vda.vmdk | jq -r ".\"format-specific\".data.\"create-type\"")" = monolithicSparse ]'
check "and in again" '
    vmscm checkin --json web4 esx | jq -e ".new == 0"
    same_machine web web4
    for d in vda nvme0n1 sda; do cmp <(vmscm cat web4:$d) <(vmscm cat web:$d); done
    vmscm export -q plain plain.vmx && vmscm checkin -q plain3 plain.vmx && same_machine plain plain3'
check "what others changed counts more than what we noted" '
    sed -i "s/^memsize.*/memsize = \"4096\"/; s/^ethernet0.virtualDev.*/ethernet0.virtualDev = \"e1000e\"/" esx/my.vmx
    vmscm checkin -q changed esx
    machine changed | jq -e ".memory == 4294967296 and .nics[0].model == \"e1000e\" and .disks[0].bus == \"virtio\" and .name == \"web & \\\"more\\\"\""
    sed -i "s,<vcpu>3<,<vcpu>5<," kvm/my.xml && vmscm checkin -q changed kvm
    machine changed | jq -e ".cpus == 5 and .disks[1].bus == \"nvme\""'
check "hints that mean harm are passed over" '
    sed "s/^vmscm.is = .*/vmscm.is = \"{|22arch|22: |22..\/..|22}\"/" esx/my.vmx >esx/bad.vmx && rm esx/my.vmx
    vmscm checkin -q bad esx && machine bad | jq -e ".arch == \"x86_64\" and .disks[0].bus == \"sata\""'

check "the same bytes each time, whatever the number of threads" '
    for format in vmx libvirt; do
        mkdir a && vmscm export -q -j 1 --format $format web a/m 2>/dev/null && mv a b
        mkdir a && vmscm export -q -j 7 --format $format web a/m 2>/dev/null
        diff -r a b && rm -r a b
    done'
check "a new identity has no MAC addresses" '
    vmscm export -q --new-identity web new.xml 2>/dev/null
    [ -z "$(grep -i 52:54:00 new.xml)" ]
    vmscm checkin -q new new.xml && [ "$(machine new | jq -c "[.nics[].mac]")" = "[null,null,null]" ]'

mkdir vm
qemu-img convert -q -O vmdk ../raw.img "vm/My VM-000001.vmdk"
cp "$TEST_SOURCE/t/fuzz/corpus/vmx/workstation" "vm/My VM.vmx"
echo 'uuid.bios = "56 4d"' >>"vm/My VM.vmx"
echo nvram >"vm/My VM.nvram"
check "a .vmx of VMwares own: kept, but for the images names" '
    vmscm checkin -q vmx vm && vmscm export -q vmx out.vmx
    [ "$(ls out* | paste -sd" ")" = "out-sda.vmdk out.nvram out.vmx" ]
    cmp out.nvram "vm/My VM.nvram"
    diff "vm/My VM.vmx" out.vmx | grep "^>" | cmp - <(printf "> nvram = \"out.nvram\"\n> scsi0:0.fileName = \"out-sda.vmdk\"\n")
    vmscm checkin -q vmx2 out.vmx
    [ "$(git -C .vmscm/git rev-parse vmx:machine.json)" = "$(git -C .vmscm/git rev-parse vmx2:machine.json)" ]'
check "with a new identity" '
    vmscm export -q --new-identity vmx anew.vmx
    [ -z "$(grep -iE "uuid|generatedAddress|\.address " anew.vmx)" ]; grep virtualHW.version anew.vmx | grep 19
    vmscm checkin -q fresh anew.vmx && machine fresh | jq -e ".nics[0].mac == null and .secure_boot"'
mkdir dom
cp ../raw.img dom/web.img
echo vars >dom/web_VARS.fd
cat >dom/web.xml <<'END'
<domain type='qemu'>
  <name>kept</name><uuid>6d5c1f5e-0c55-4a43-9d0b-4f7d5a0f2b11</uuid><memory unit='GiB'>2</memory><vcpu>2</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><nvram>/var/lib/libvirt/qemu/nvram/web_VARS.fd</nvram></os>
  <clock offset='utc'/>
  <devices>
    <disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/><source dev='/dev/vg/web.img'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><source file='/iso'/><target dev='sda' bus='sata'/></disk>
    <interface type='network'><source network='default'/><model type='virtio'/><mac address='52:54:00:00:00:01'/></interface>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
END
check -p xmllint "a domain of libvirts own: kept, but for where the images are" '
    vmscm checkin -q dom dom && vmscm export -q dom outdom.xml
    cmp outdom.nvram dom/web_VARS.fd
    grep "cache=.none. *type=.qcow2\|type=.qcow2. cache=.none" outdom.xml
    grep "<source file=.$PWD/outdom-vda.qcow2" outdom.xml; grep "<nvram>$PWD/outdom.nvram<" outdom.xml
    grep 6d5c1f5e outdom.xml; grep urandom outdom.xml; grep "file=./iso" outdom.xml
    xmllint --noout --relaxng '$schema' outdom.xml
    vmscm checkin -q dom2 outdom.xml && same_machine dom dom2
    git -C .vmscm/git cat-file blob dom2:config/outdom.nvram | cmp - dom/web_VARS.fd
    vmscm export -q --new-identity dom fresh.xml && [ -z "$(grep -iE "6d5c1f5e|52:54" fresh.xml)" ] && grep urandom fresh.xml'

check "a disk of no whole sectors is longer by zeros" '
    vmscm checkin -q --format raw odd ../odd.img
    vmscm export -q odd odd-out.xml 2>w && grep "longer by 348 bytes" w
    vmscm checkin -q odd2 odd-out.xml
    vmscm cat odd2 | cmp - <(cat ../odd.img; head -c 348 /dev/zero)'
check_fails 3 "more disks than there are places" '
    for i in 1 2 3 4 5; do echo "<disk type=\"file\" device=\"disk\"><source file=\"a.img\"/><target dev=\"hd$i\" bus=\"ide\"/></disk>"; done >disks
    { echo "<domain><memory>1024</memory><devices>"; cat disks; echo "</devices></domain>"; } >ide.xml
    truncate -s 1M a.img && vmscm checkin -q --config ide.xml ide a.img a.img a.img a.img a.img
    vmscm export ide ide.vmx' 'no place for so many'
check "and nothing was left" '[ -z "$(ls -A | grep ide[.-]vmx)" ]'
check_fails 3 "a file that is there" 'touch t-vda.qcow2 && vmscm export plain t.xml && touch t-sda.qcow2 && rm t.xml && vmscm export plain t.xml' 'already exists'

done_testing
