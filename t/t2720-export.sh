#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Whole machines on their way out, and in again; what other programs make of them.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk raw.img 40
sample_disk data.img 8 2
package pkg raw.img
echo "some nvram" >pkg/box.nvram
sed -i 's|</References>|<File ovf:id="nv" ovf:href="box.nvram"/></References>|' pkg/box.ovf
rm pkg/box.mf
vmscm init -q repo
cd repo || exit 1
odd_machine >web.xml
check "a machine from a package, one from libvirt" '
    vmscm checkin -q box ../pkg
    vmscm checkin -q --config web.xml web ../raw.img ../data.img ../c.img'

# machine NAME: its configuration, but for what its image files were
machine() {
    git -C .vmscm/git cat-file blob "$1:machine.json" | jq -S 'del(.disks[].format, .disks[].options)'
}

check "an OVA" 'vmscm export --json box box.ova | jq -e ".format == \"ova\" and .size == 41943040"'
check "its members are in DMTFs order" '
    [ "$(tar -tf box.ova | paste -sd" ")" = "box.ovf box.mf box-disk1.vmdk box.nvram" ]'
check "the manifest holds, in the one form that all accept" '
    mkdir x && tar -C x -xf box.ova && cd x
    [ -z "$(grep -v "^SHA256(box[-.a-z0-9]*)= [0-9a-f]\{64\}$" box.mf)" ]
    sed "s/SHA256(\(.*\))= \(.*\)/\2  \1/" box.mf | sha256sum -c
    [ $(wc -l <box.mf) = 3 ]'
check -p xmllint "the descriptor is XML" 'xmllint --noout x/box.ovf'
check "qemu finds nothing to complain of, and the same disk" '
    qemu-img check x/box-disk1.vmdk
    qemu-img compare x/box-disk1.vmdk ../raw.img
    cmp x/box.nvram ../pkg/box.nvram'
check "what the first package said of the operating system is kept" 'grep debian10_64Guest x/box.ovf'
check -p virt-v2v "virt-v2v reads it" '
    LIBGUESTFS_BACKEND=direct virt-v2v -i ova box.ova -o null --print-source >v2v
    grep "source name: box" v2v; grep "nr vCPUs: 2" v2v; grep "firmware: uefi" v2v
    grep "0 \[scsi\]" v2v; grep "VM Network.*vmxnet3" v2v'
check "in again: the same machine, field by field, the same disk, nothing new" '
    vmscm checkin --json again box.ova | jq -e ".new == 0"
    git -C .vmscm/git cat-file blob box:machine.json >m1
    git -C .vmscm/git cat-file blob again:machine.json >m2
    cmp m1 m2
    vmscm cat again | cmp - ../raw.img
    git -C .vmscm/git cat-file blob again:config/box.nvram | cmp - ../pkg/box.nvram'
check "and out again: the same but for what revision it is" '
    vmscm export -q again again.ova && mkdir y && tar -C y -xf again.ova
    diff <(sed "s/ *$//; s/again/box/g; s/revision [0-9a-f]*//" y/again.ovf) <(sed "s/ *$//; s/revision [0-9a-f]*//" x/box.ovf)
    qemu-img compare y/again-disk1.vmdk x/box-disk1.vmdk'

check "the same bytes whatever the number of threads, in a file or a pipe" '
    vmscm export -q -j 1 box 1.ova && vmscm export -q -j 7 box 7.ova
    cmp box.ova 1.ova && cmp box.ova 7.ova
    vmscm export --format ova box - | cat >pipe.ova
    cmp box.ova pipe.ova'
check "files" '
    mkdir files && vmscm export -q box files/other.ovf
    [ "$(ls files | paste -sd" ")" = "other-disk1.vmdk other.mf other.nvram other.ovf" ]
    vmscm checkin -q files files/other.ovf
    git -C .vmscm/git cat-file blob files:machine.json | cmp - m1'
for sum in sha1 sha512; do
    check "a manifest of $sum" '
        vmscm export -q --manifest '$sum' box '$sum'.ova
        tar -xOf '$sum'.ova box.mf | grep -c "^'${sum^^}'(.*)= " | grep -x 3
        vmscm checkin -q '$sum' '$sum'.ova'
done
check "no manifest" '
    vmscm export -q --manifest none box none.ova
    [ -z "$(tar -tf none.ova | grep mf)" ]; vmscm checkin -q none none.ova'
check "another level: smaller, and the same disk" '
    vmscm export -q --level 1 box l1.ova && vmscm export -q --level 9 box l9.ova
    [ $(stat -c %s l9.ova) -lt $(stat -c %s l1.ova) ]
    vmscm checkin -q l1 l1.ova && vmscm cat l1 | cmp - ../raw.img'
check "a new identity has no MAC addresses" '
    vmscm export -q --new-identity box new.ova
    [ -z "$(tar -xOf new.ova box.ovf | grep -i 00:50:56:01:02:03)" ]
    vmscm checkin -q new new.ova && [ "$(machine new | jq -r .nics[0].mac)" = null ]'

check "a machine that OVF has no words for: warnings, and notes in it" '
    vmscm export -q web web.ova 2>w
    grep "disk vda is on sata: OVF has no virtio" w
    grep "disk sda is on sata: OVF has no usb" w
    grep "NIC 1 is an E1000: OVF has no virtio" w
    tar -xOf web.ova web.ovf >web.ovf
    grep "OVF has no usb" web.ovf'
check -p xmllint "it is XML, too" 'xmllint --noout web.ovf'
check "in again: all of it is the same" '
    vmscm checkin --json web2 web.ova | jq -e ".new == 0"
    diff <(machine web) <(machine web2)
    for d in vda nvme0n1 sda; do cmp <(vmscm cat web2:$d) <(vmscm cat web:$d); done'
check "what others changed counts more than what we noted" '
    sed "s/2048MB/4096MB/; s/>2048</>4096</; s/>VmxNet3</>E1000e</; s/>SCSI/>SATA/; s/>lsilogic</>AHCI</; s/ResourceType>6</ResourceType>20</" x/box.ovf >x/new.ovf
    vmscm checkin -q changed x/new.ovf
    machine changed | jq -e ".memory == 4294967296 and .nics[0].model == \"e1000e\" and .disks[0].bus == \"sata\""'
check "a disk of no whole sectors is longer by zeros" '
    head -c 1000100 ../c.img >odd.img && vmscm checkin -q --format raw odd odd.img
    vmscm export -q odd odd.ova 2>w && grep "longer by 348 bytes" w
    vmscm checkin -q odd2 odd.ova
    vmscm cat odd2 | cmp - <(cat odd.img; head -c 348 /dev/zero)'
check "an empty disk, and a large one" '
    truncate -s 5T big.img && noise 70000 | put big.img 4999999995904 && vmscm checkin -q big big.img
    timeout 120 vmscm export -q big big.ova 2>w
    [ $(stat -c %s big.ova) -lt 2000000 ]
    vmscm checkin --json big2 big.ova | jq -e ".new == 0 and .size == 5497558138880"'

check_fails 3 "a file that is there" 'vmscm export box box.ova' 'box.ova: already exists'
check_fails 2 "a name that tells no format" 'vmscm export box out.what' 'does not tell the format'
check_fails 2 "several files to standard output" 'vmscm export --format ovf box - | cat; exit ${PIPESTATUS[0]}' 'several files'
check_fails 1 "no such machine" 'vmscm export nothing n.ova' 'nothing'
check_fails -p "ROOT TMPFS" 3 "a full disk" '
    mkdir -p full && mount -t tmpfs -o size=1m none full
    rc=0; vmscm export box full/box.ova || rc=$?
    [ -z "$(ls full)" ] || rc=99
    umount full; exit $rc' 'No space left'
check -p strace "what cannot be made sure of is taken back, and nothing else" '
    mkdir sync && cd sync && echo mine >bundle && echo mine >"my_box.ovf"
    for name in box.ova "my box.ovf"; do
        rc=0
        ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -o trace -P "$PWD" -e trace=fsync \
            -e inject=fsync:error=EIO \
            vmscm -C .. export -q box "$PWD/$name" 2>text || rc=$?
        cat text
        [ $rc = 3 ]
        rm trace text
        [ "$(ls -A | paste -sd" ")" = "bundle my_box.ovf" ]
    done'
check "what is killed leaves nothing of its name, and the next run removes what there is" '
    mkdir k
    for t in 0.02 0.05 0.1; do
        timeout -s KILL $t vmscm export -q web k/web.ova 2>/dev/null || true
        [ ! -e k/web.ova ] || { rm k/web.ova; continue; }
    done
    vmscm export -q web k/web.ova 2>/dev/null
    [ "$(ls -A k)" = web.ova ] && cmp k/web.ova web.ova'

done_testing
