#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Vagrant's boxes on their way in and out, for libvirt and VirtualBox.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk raw.img
sample_disk data.img 8 2
vmscm init -q repo
cd repo || exit 1
mkdir v1 v2 vb
qemu-img convert -q -O qcow2 ../raw.img v1/box.img
echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 1}' >v1/metadata.json
echo 'system("touch '"$PWD"'/ran"); File.write("ran", "")' | tee v1/Vagrantfile >vb/Vagrantfile
tar -C v1 -czf v1.box ./metadata.json ./Vagrantfile ./box.img
cp v1/box.img v2/one.qcow2
qemu-img convert -q -O qcow2 ../data.img v2/two.qcow2
echo '{"provider": "libvirt", "format": "qcow2", "architecture": "arm64", "disks": [{"path": "one.qcow2"}, {"path": "two.qcow2", "name": "data"}]}' >v2/metadata.json
package vb ../raw.img
echo '{"provider": "virtualbox"}' >vb/metadata.json

check "a box of version 1, packed by gzip, with a program that is kept and never run" '
    vmscm checkin -q v1 v1.box
    vmscm cat v1 | cmp - ../raw.img
    machine v1 | jq -e "[.disks[] | [.id, .bus]] == [[\"vda\", \"virtio\"]] and .arch == \"x86_64\""
    git -C .vmscm/git cat-file blob v1:config/Vagrantfile | cmp - v1/Vagrantfile
    git -C .vmscm/git cat-file blob v1:config/metadata.json | cmp - v1/metadata.json
    [ ! -e ran ]'
check "version 2, plain: disks are read in place" '
    tar -C v2 -cf v2.box metadata.json one.qcow2 two.qcow2
    vmscm checkin --json v2 v2.box | jq -e ".new < 10000000"
    vmscm cat v2:vda | cmp - ../raw.img; vmscm cat v2:vdb | cmp - ../data.img
    machine v2 | jq -e ".arch == \"aarch64\""'
check "a directory, and a zip archive" '
    vmscm checkin --json v1 v1 | jq -e .unchanged
    (cd v1 && python3 -c "
import zipfile
with zipfile.ZipFile(\"../zip.box\", \"w\") as z:
    for name in (\"metadata.json\", \"Vagrantfile\", \"box.img\"): z.write(name)")
    vmscm checkin --json v1 zip.box | jq -e .unchanged'
check "for VirtualBox: an OVF package, and the rest is kept" '
    (cd vb && tar -czf ../vb.box ./metadata.json ./Vagrantfile ./box.ovf ./box-disk1.vmdk)
    vmscm checkin -q vb vb.box && vmscm cat vb | cmp - ../raw.img
    machine vb | jq -e ".name == \"box\" and .cpus == 2"
    git -C .vmscm/git cat-file blob vb:config/Vagrantfile | cmp - vb/Vagrantfile
    [ ! -e ran ]'

# box NAME JSON: a box with such metadata
box() {
    check "made: $1" "mkdir '$1' && cp v1/box.img '$1' && cat >'$1/metadata.json' <<'END'
$2
END
tar -C '$1' -cf '$1.box' metadata.json box.img"
}
box up '{"provider": "libvirt", "disks": [{"path": "../raw.img"}]}'
check_fails 4 "a disk that is outside" 'vmscm checkin bad up.box' '\.\./raw.img: a name that leaves'
check_fails 4 "in a directory, too" 'cp ../raw.img . && vmscm checkin bad up' '\.\./raw.img: a name that leaves'
box absolute '{"provider": "libvirt", "disks": [{"path": "/etc/shadow"}]}'
check_fails 4 "an absolute name" 'vmscm checkin bad absolute' '/etc/shadow: a name that leaves'
box gone '{"provider": "libvirt", "disks": [{"path": "gone.img"}]}'
check_fails 3 "a disk that is missing" 'vmscm checkin bad gone.box' 'its disk "gone.img" is missing'
box other '{"provider": "hyperv"}'
check_fails 3 "another provider" 'vmscm checkin bad other.box' 'a box for hyperv'
box none '{"format": "qcow2"}'
check_fails 3 "no provider" 'vmscm checkin bad none.box' 'no provider'
box broken '{"provider": '
check_fails 3 "no JSON" 'vmscm checkin bad broken.box' 'metadata.json: line'
box names '{"provider": "libvirt", "disks": [{"path": 7}]}'
check_fails 3 "a disk without a name" 'vmscm checkin bad names.box' 'without the name'
check "a disk that is a link" '
    mkdir link && cp v1/metadata.json link && ln -s ../../raw.img link/box.img
    tar -C link -cf link.box metadata.json box.img'
check_fails 4 "is refused in an archive" 'vmscm checkin bad link.box' 'box.img: is a symbolic link'
check_fails 4 "and in a directory" 'vmscm checkin bad link' 'box.img: is a symbolic link'
check_fails 4 "a Vagrantfile that is a link" '
    mkdir link2 && cp v1/metadata.json v1/box.img link2 && ln -s /etc/passwd link2/Vagrantfile
    vmscm checkin bad link2' 'Vagrantfile: is a symbolic link'
check_fails 4 "a disk that names a file of the host" '
    mkdir evil && cp v1/metadata.json evil && qemu-img create -q -f qcow2 -F raw -b /etc/passwd evil/box.img 1M
    tar -C evil -cf evil.box metadata.json box.img && vmscm checkin bad evil.box' 'box.img: .*cannot have'

odd_machine >odd.xml
check "a machine with all there is" '
    vmscm checkin -q --config odd.xml web ../raw.img ../data.img ../c.img
    vmscm checkin -q plain ../raw.img'
check "out for libvirt, one disk: version 1, which qemu finds nothing to complain of" '
    vmscm export --json --format vagrant-libvirt plain plain.box | jq -e ".format == \"vagrant-libvirt\""
    [ "$(tar -tf plain.box | paste -sd" ")" = "metadata.json Vagrantfile box.img" ]
    tar -xOf plain.box metadata.json | jq -e ".provider == \"libvirt\" and .format == \"qcow2\" and .virtual_size == 1"
    tar -xf plain.box box.img && qemu-img check box.img && qemu-img compare box.img ../raw.img'
check "in again" '
    vmscm checkin --json plain2 plain.box | jq -e ".new == 0" && same_machine plain plain2'
check "several disks: version 2, in again, the same field by field" '
    vmscm export -q --format vagrant-libvirt web web.box 2>w; grep "Vagrant has no nvme" w
    vmscm checkin --json web2 web.box | jq -e ".new == 0"
    same_machine web web2
    for d in vda nvme0n1 sda; do cmp <(vmscm cat web2:$d) <(vmscm cat web:$d); done'
check "the same bytes in a pipe and a file, whatever the number of threads" '
    vmscm export -q -j 1 --format vagrant-libvirt web - 2>/dev/null | cat >pipe.box
    cmp pipe.box web.box'
check "the Vagrantfile says the hardware, in plain words" '
    tar -xOf web.box Vagrantfile >V; grep "libvirt.cpus = 3" V; grep "libvirt.memory = 1178" V; grep "machine_type = \"pc-q35-7.2\"" V'
check -p ruby "which ruby takes" 'ruby -c V'
check "a name that means harm does not come into the program" '
    sed "s/pc-q35-7.2/pc/; s,<model type=.virtio./>,<model type=\"a+b\"/>," odd.xml >e.xml
    vmscm checkin -q --config e.xml e ../raw.img ../data.img ../c.img
    vmscm export -q --format vagrant-libvirt e e.box 2>/dev/null
    [ -z "$(tar -xOf e.box Vagrantfile | grep "a+b")" ]'
check "a large disk that is nearly empty, of no whole clusters" '
    truncate -s 5000000000512 big.img && noise 70000 | put big.img 4999999900000 && vmscm checkin -q big big.img
    timeout 120 vmscm export -q --format vagrant-libvirt big big.box
    [ $(stat -c %s big.box) -lt 3000000 ]
    tar -xf big.box box.img && qemu-img check -q box.img
    vmscm checkin --json big2 big.box | jq -e ".new == 0 and .size == 5000000000512"'
check "out for VirtualBox" '
    vmscm export -q --format vagrant-virtualbox vb vb2.box
    [ "$(tar -tf vb2.box | paste -sd" ")" = "box.ovf box.mf metadata.json Vagrantfile box-disk1.vmdk" ]
    tar -xOf vb2.box Vagrantfile | grep "base_mac = \"005056010203\""
    tar -xOf vb2.box metadata.json | jq -e ".provider == \"virtualbox\""
    vmscm checkin --json vb3 vb2.box | jq -e ".new == 0" && same_machine vb vb3'
check_fails 2 "a name that does not tell which" 'vmscm export web x.box' 'does not tell the format'

done_testing
