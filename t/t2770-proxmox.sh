#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Proxmox VE's configurations with their disks, on their way in.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk raw.img
sample_disk data.img 8 2
vmscm init -q repo
cd repo || exit 1
mkdir vm
cp "$TEST_SOURCE/t/fuzz/corpus/proxmox/ovmf" vm/100.conf
qemu-img convert -q -O qcow2 ../raw.img vm/vm-100-disk-1.qcow2
cp ../data.img vm/vm-100-disk-2.raw
echo vars >vm/vm-100-disk-0.raw

check "a configuration with its disks" '
    vmscm checkin -q web vm
    vmscm cat web:sda | cmp - ../raw.img; vmscm cat web:vda | cmp - ../data.img'
check "its machine, as it is and not as a snapshot was" '
    machine web | jq -e ".name == \"web\" and .cpus == 4 and .memory == 2147483648 and .firmware == \"uefi\" and .secure_boot
        and .machine_type == \"pc-q35-7.2\" and ([.disks[] | [.id, .bus]] == [[\"sda\", \"scsi\"], [\"vda\", \"virtio\"]])
        and ([.nics[] | [.model, .mac, .type, .network]] == [[\"virtio\", \"bc:24:11:aa:bb:01\", \"bridge\", \"vmbr0\"], [\"e1000\", \"bc:24:11:aa:bb:02\", \"user\", null]])"'
check "its files are kept" '
    git -C .vmscm/git cat-file blob web:config/100.conf | cmp - vm/100.conf
    git -C .vmscm/git cat-file blob web:config/vm-100-disk-0.raw | cmp - vm/vm-100-disk-0.raw'
check "by its name, and in an archive" '
    vmscm checkin --json web vm/100.conf | jq -e .unchanged
    tar -C vm -cf vm.tar . && vmscm checkin --json web vm.tar | jq -e .unchanged'
check "for another vendor, and in again: nothing new" '
    vmscm export -q web web.ova 2>/dev/null && vmscm checkin --json web2 web.ova | jq -e ".new == 0"
    same_machine web web2'
check "a raw disk that its guest made look like another stays raw" '
    cp -r vm guest && qemu-img create -q -f qcow2 -F raw -b /etc/passwd evil.qcow2 1M
    put guest/vm-100-disk-2.raw 0 <evil.qcow2
    vmscm checkin -q guest guest && vmscm cat guest:vda | cmp - guest/vm-100-disk-2.raw'

# conf NAME SED: a folder with another configuration
conf() {
    check "made: $1" "cp -r vm '$1' && sed -i '$2' '$1/100.conf'"
}
check_fails 4 "a disk that names a file of the host" '
    cp -r vm evil && qemu-img create -q -f qcow2 -F raw -b /etc/passwd evil/vm-100-disk-1.qcow2 1M
    vmscm checkin bad evil' 'vm-100-disk-1.qcow2: .*outside'
check_fails 4 "a disk that is a link" '
    cp -r vm link && ln -sf ../../raw.img link/vm-100-disk-2.raw && vmscm checkin bad link' 'is a symbolic link'
conf shadow 's,local-lvm:vm-100-disk-2,/etc/shadow,'
check_fails 3 "only the folder is looked into" 'vmscm checkin bad shadow' 'its disk "shadow" is missing'
conf up 's,local-lvm:vm-100-disk-2,local:../..,'
check_fails 4 "a volume that climbs" 'vmscm checkin bad up' '\.\.: a name that leaves'
conf none 's,^scsi0: .*,scsi0: size=3G,'
check_fails 3 "a disk without a volume" 'vmscm checkin bad none' '100.conf: conf: scsi0: size=3G: no volume'
conf cpus 's,^cores: .*,cores: 0,'
check_fails 3 "no CPUs" 'vmscm checkin bad cpus' 'cores: 0: out of range'
conf many 's,^sockets: .*,sockets: 60000,'
check_fails 3 "too many" 'vmscm checkin bad many' 'more than 65536 CPUs'

done_testing
