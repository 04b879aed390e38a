#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Machines' folders as their hypervisors keep them, on their way in, and across vendors.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk old.img
cp old.img raw.img
noise 500000 7 | put raw.img 9000000
vmscm init -q repo
# What a snapshot of the machine's makes: a base, and what changed since.
mkdir vm
qemu-img convert -q -O vmdk old.img "vm/My VM.vmdk"
(cd vm && qemu-img create -q -f vmdk -F vmdk -b "My VM.vmdk" "My VM-000001.vmdk" &&
    qemu-io -f vmdk -c "write -q -P 0xa5 9000448 499712" "My VM-000001.vmdk")
cp "$TEST_SOURCE/t/fuzz/corpus/vmx/workstation" "vm/My VM.vmx"
echo nvram >"vm/My VM.nvram"
echo snapshots >"vm/My VM.vmsd"

# config MACHINE: its configuration as it is recorded
config() {
    git -C repo/.vmscm/git cat-file blob "$1:machine.json"
}

check "made: a snapshot that differs from its base" '
    qemu-img convert -O raw "vm/My VM-000001.vmdk" want.img
    [ $(cmp -l want.img old.img | wc -l) -gt 400000 ]'
check "a VMware folder: its top image, with all below it" '
    vmscm -C repo checkin -q vmx "$PWD/vm"
    vmscm -C repo cat vmx | cmp - want.img'
check "its machine" '
    config vmx | jq -e ".name == \"My \\\"VM\\\"\" and .cpus == 2 and .memory == 2147483648 and .firmware == \"uefi\" and
        .secure_boot and ([.disks[] | [.id, .bus]] == [[\"sda\", \"scsi\"]]) and
        ([.nics[] | [.model, .type, .network, .mac]] == [[\"vmxnet3\", \"user\", null, \"00:0c:29:aa:bb:01\"],
            [null, \"network\", \"VM Network\", \"00:50:56:01:02:03\"]])"'
check "its files are kept" '
    for f in "My VM.vmx" "My VM.nvram" "My VM.vmsd"; do
        git -C repo/.vmscm/git cat-file blob "vmx:config/$f" | cmp - "vm/$f"
    done'
check "by the name of its .vmx, the same" '
    vmscm -C repo checkin --json vmx "$PWD/vm/My VM.vmx" | jq -e ".unchanged"'

# vmx NAME LINE: a folder whose first disk is written so
vmx() {
    check "made: $1" "mkdir '$1' && cp vm/* '$1' && sed -i 's,^scsi0:0.fileName = \"My.*,$2,' '$1/My VM.vmx'"
}
vmx shadow 'scsi0:0.fileName = "/etc/shadow"'
check_fails 4 "a .vmx that points at /etc/shadow" 'vmscm -C repo checkin bad "$PWD/shadow"' 'My VM.vmx: /etc/shadow: a name that leaves'
vmx up 'scsi0:0.fileName = "../raw.img"'
check_fails 4 "or upwards" 'vmscm -C repo checkin bad "$PWD/up"' '\.\./raw.img: a name that leaves'
vmx spelled 'scsi0:0.fileName = "|2e|2e/raw.img"'
check_fails 4 "or upwards, in escapes" 'vmscm -C repo checkin bad "$PWD/spelled"' '\.\./raw.img: a name that leaves'
vmx gone 'scsi0:0.fileName = "gone.vmdk"'
check_fails 3 "a disk that is missing" 'vmscm -C repo checkin bad "$PWD/gone"' 'My VM.vmx: its disk "gone.vmdk" is missing'
vmx linked 'scsi0:0.fileName = "link.vmdk"'
check_fails 4 "a disk that is a link" 'ln -s ../raw.img linked/link.vmdk; vmscm -C repo checkin bad "$PWD/linked"' 'link.vmdk: is a symbolic link'
vmx odd 'scsi0:0.fileName = "unclosed'
check_fails 3 "a line that is none" 'vmscm -C repo checkin bad "$PWD/odd"' 'My VM.vmx: vmx: line 15'
vmx many 'numvcpus = "0"'
check_fails 3 "no CPUs" 'sed -i "/^numvcpus = .2/d" "many/My VM.vmx"; vmscm -C repo checkin bad "$PWD/many"' 'numvcpus: 0'

mkdir kvm
qemu-img convert -q -O qcow2 raw.img kvm/web.qcow2
cp raw.img kvm/web-data.img
echo vars >kvm/web_VARS.fd
cat >kvm/web.xml <<'END'
<domain type='kvm'>
  <name>web</name><memory unit='GiB'>2</memory><vcpu>2</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><nvram>/var/lib/libvirt/qemu/nvram/web_VARS.fd</nvram></os>
  <devices>
    <disk type='file' device='disk'><driver type='qcow2'/><source file='/var/lib/libvirt/images/web.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver type='raw'/><source file='/var/lib/libvirt/images/web-data.img'/><target dev='sda' bus='scsi'/></disk>
    <interface type='network'><source network='default'/><model type='virtio'/><mac address='52:54:00:00:00:01'/></interface>
  </devices>
</domain>
END
check "a libvirt folder" '
    vmscm -C repo checkin -q kvm "$PWD/kvm"
    vmscm -C repo cat kvm:vda | cmp - raw.img
    vmscm -C repo cat kvm:sda | cmp - raw.img
    config kvm | jq -e ".name == \"web\" and .machine_type == \"pc-q35-7.2\" and [.disks[].format] == [\"qcow2\", \"raw\"]"
    git -C repo/.vmscm/git cat-file blob kvm:config/web_VARS.fd | cmp - kvm/web_VARS.fd'
check "by the name of its XML" 'vmscm -C repo checkin --json kvm "$PWD/kvm/web.xml" | jq -e .unchanged'
check "as an archive" 'tar cf kvm.tar kvm && vmscm -C repo checkin --json kvm-tar "$PWD/kvm.tar" | jq -e ".new == 0" && vmscm -C repo cat kvm-tar:vda | cmp - raw.img'
check "a raw disk that its guest made look like another stays raw" '
    mkdir guest && cp kvm/* guest && qemu-img create -q -f qcow2 -F raw -b /etc/passwd guest/evil.qcow2 1M
    put guest/web-data.img 0 <guest/evil.qcow2 && rm guest/evil.qcow2
    vmscm -C repo checkin -q guest "$PWD/guest"
    vmscm -C repo cat guest:sda | cmp - guest/web-data.img'
check_fails 4 "a qcow2 disk that names a file of the host" '
    mkdir evil && cp kvm/* evil && qemu-img create -q -f qcow2 -F raw -b /etc/passwd evil/web.qcow2 1M
    vmscm -C repo checkin bad "$PWD/evil"' 'web.qcow2: .*outside'
check "two domains: which one" '
    mkdir pair && cp kvm/* pair && cp kvm/web.xml pair/other.xml
    rc=0; vmscm -C repo checkin bad "$PWD/pair" 2>e || rc=$?
    [ $rc = 2 ] && grep "has both" e'

# Across vendors.
check "VMware in, OVA out, in elsewhere: nothing is stored twice" '
    vmscm -C repo export -q vmx "$PWD/vmx.ova" 2>/dev/null
    vmscm -C repo checkin --json as-ova "$PWD/vmx.ova" | jq -e ".new == 0 and .new_chunks == 0"
    diff <(config vmx | jq -S "del(.disks[].format, .disks[].options)") <(config as-ova | jq -S "del(.disks[].format, .disks[].options)")
    vmscm -C repo cat as-ova | cmp - want.img
    vmscm init -q other && cd other
    vmscm checkin -q from-ova "$TEST_DIR/work/vmx.ova"
    vmscm checkin --json from-vmx "$TEST_DIR/work/vm" | jq -e ".new == 0"'
check "libvirt in, OVA out, in again: the same but for the images format" '
    vmscm -C repo export -q kvm "$PWD/kvm.ova" 2>/dev/null
    vmscm -C repo checkin --json kvm-ova "$PWD/kvm.ova" | jq -e ".new == 0"
    diff <(config kvm | jq -S "del(.disks[].format, .disks[].options)") <(config kvm-ova | jq -S "del(.disks[].format, .disks[].options)")'

done_testing
