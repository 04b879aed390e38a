#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Names: machines that cannot both be, and which disk of a machine a source is.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

# What `show` tells of a machine's disks: "vda raw 1048576", a line each.
disks() {
    vmscm show --json "$1" | jq -r '.hardware.disks[] | "\(.id) \(.format) \(.size)"'
}

setup() {
    vmscm init
    for i in 1 2 3; do
        head -c 200000 /dev/urandom >"$i.img"
        truncate -s "${i}M" "$i.img"
    done
    qemu-img convert -O qcow2 2.img 2.qcow2
    qemu-img convert -O vmdk 3.img 3.vmdk
}
check 'a repository, and three images' setup

clash() {
    vmscm checkin a 1.img && vmscm checkin qa/x/y 1.img
    for name in a/b a/b/c qa qa/x; do
        rc=0
        vmscm checkin "$name" 2.img 2>err || rc=$?
        [ "$rc" = 3 ]
        [ "$(wc -l <err)" = 1 ]
        grep -q "^vmscm: $name: there is a machine " err
    done
    # It was known before anything was stored or recorded.
    [ "$(vmscm stats --json | jq .packs)" = 1 ]
    [ "$(vmscm list --json | jq -r '.[].machine' | xargs)" = 'a qa/x/y' ]
    vmscm checkin qa/x/z 1.img && vmscm checkin ab 1.img
}
check 'a machine whose name is part of another is refused at once, and told which' clash

order() {
    vmscm checkin db 1.img 2.qcow2 3.vmdk
    disks db >before
    [ "$(xargs <before)" = 'vda raw 1048576 vdb qcow2 2097152 sda vmdk 3145728' ]
    [ "$(vmscm checkin --json db sda=3.vmdk vda=1.img vdb=2.qcow2 | jq .unchanged)" = true ]
    [ "$(vmscm checkin --json db vdb=2.qcow2 1.img 3.vmdk | jq .unchanged)" = true ]
    cp 1.img vda.img && cp 2.qcow2 vdb.qcow2 && cp 3.vmdk sda.vmdk
    [ "$(vmscm checkin --json db sda.vmdk vdb.qcow2 vda.img | jq .unchanged)" = true ]
    # One that is called after no disk takes what those that are leave.
    [ "$(vmscm checkin --json db 1.img sda.vmdk vdb.qcow2 | jq .unchanged)" = true ]
    disks db | cmp - before
}
check 'disks stay who they are, and in their order, however they are given' order

new_disk() {
    vmscm checkin db new=1.img vda.img vdb.qcow2 sda.vmdk
    disks db >after
    echo 'new raw 1048576' | cat before - | cmp - after
    vmscm cat db:vdb | cmp - 2.img
    vmscm cat db:sda | cmp - 3.img
    vmscm cat db:new | cmp - 1.img
}
check 'a disk more comes last' new_disk

domain() {
    cat >dom.xml <<'X'
<domain type='kvm'><name>dom</name><memory unit='MiB'>512</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
<disk type='file' device='disk'><source file='/x/1.img'/><target dev='sda' bus='scsi'/></disk>
<disk type='file' device='disk'><source file='/x/2.qcow2'/><target dev='vda' bus='virtio'/></disk>
</devices></domain>
X
    vmscm checkin dom --config dom.xml 2.qcow2 1.img
    [ "$(disks dom | xargs)" = 'sda raw 1048576 vda qcow2 2097152' ]
    # 1.img is sda, though another is given first.
    vmscm checkin dom2 --config dom.xml 3.vmdk 1.img
    [ "$(disks dom2 | xargs)" = 'sda raw 1048576 vda vmdk 3145728' ]
    vmscm cat dom2:sda | cmp - 1.img
    vmscm cat dom2:vda | cmp - 3.img
}
check 'a source that a domain names is that disk, whatever comes before it' domain

check_fails 2 'two sources with one id are refused' 'vmscm checkin dom vda=1.img vda=2.qcow2' 'two disks with the id vda'
parts() {
    vmscm checkin parts a=1.img a-flat=2.img a-s001=3.img
    for subformat in monolithicFlat twoGbMaxExtentSparse; do
        rc=0
        vmscm checkout parts out --format vmdk -o subformat=$subformat 2>err || rc=$?
        [ "$rc" = 3 ]
        grep -q '^vmscm: disk a: its files and those of disk a-' err
        [ ! -e out ]
    done
    vmscm checkout parts out --format vmdk
    qemu-img compare -f vmdk -F raw out/a.vmdk 1.img
    qemu-img compare -f vmdk -F raw out/a-flat.vmdk 2.img
}
check 'disks whose files would have one name are refused before anything is made' parts

check 'nothing is damaged' 'vmscm fsck --full'
done_testing
