#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Disks of OpenVZ, Virtuozzo and Parallels: directories with a DiskDescriptor.xml, in and out.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk old.img
sample_disk data.img 8 2
cp old.img new.img
noise 3000000 9 | put new.img 9000000
noise 700 8 | put new.img 100000
cp new.img newer.img
noise 5000 3 | put newer.img 9001000
vmscm init -q repo

none="{00000000-0000-0000-0000-000000000000}"
base="{11111111-0000-0000-0000-000000000001}"
first="{22222222-0000-0000-0000-000000000002}"
top="{5fbaabe3-6958-40ff-92a7-860e329aab41}"

# image GUID FILE [TYPE], shot GUID PARENT, descriptor SECTORS IMAGES SHOTS
image() { echo "<Image><GUID>$1</GUID><Type>${3:-Compressed}</Type><File>$2</File></Image>"; }
shot() { echo "<Shot><GUID>$1</GUID><ParentGUID>$2</ParentGUID></Shot>"; }
descriptor() {
    cat <<END
<?xml version="1.0"?>
<Parallels_disk_image Version="1.0">
  <Disk_Parameters><Disk_size>$1</Disk_size><Cylinders>$(($1 / 512))</Cylinders><PhysicalSectorSize>4096</PhysicalSectorSize><Heads>16</Heads><Sectors>32</Sectors><Padding>${PADDING:-0}</Padding></Disk_Parameters>
  <StorageData><Storage><Start>0</Start><End>$1</End><Blocksize>2048</Blocksize>$2</Storage>${4:-}</StorageData>
  ${3:+<Snapshots>$3</Snapshots>}
</Parallels_disk_image>
END
}

# chain [IMAGE-OF-THE-BASE]: a disk with two snapshots
chain() {
    descriptor 49152 "$(image "$base" "${1:-root.hds}")$(image "$top" root.hds.2)$(image "$first" /vz/private/1/root.hdd/root.hds.1)" \
        "<TopGUID>$top</TopGUID>$(shot "$base" "$none")$(shot "$top" "$first")$(shot "$first" "${2:-$base}")"
}

check "a disk with snapshots" '
    mkdir -p ct/root.hdd && cd ct/root.hdd && qemu-img convert -q -O parallels ../../old.img root.hds
    python3 "$TEST_SOURCE/t/differencing.py" hds root.hds.1 root.hds ../../old.img ../../new.img
    python3 "$TEST_SOURCE/t/differencing.py" hds root.hds.2 root.hds.1 ../../new.img ../../newer.img
    qemu-img check -q root.hds.2
    chain >DiskDescriptor.xml && cd ../..
    vmscm -C repo checkin -v ct "$PWD/ct/root.hdd" 2>log && grep "kind ploop" log && grep "says nothing of the machine" log
    vmscm -C repo cat ct | cmp - newer.img
    git -C repo/.vmscm/git cat-file blob ct:config/DiskDescriptor.xml | cmp - ct/root.hdd/DiskDescriptor.xml'
check "by the name of the descriptor, of the folder around it, and as an archive" '
    vmscm -C repo checkin --json ct "$PWD/ct/root.hdd/DiskDescriptor.xml" | jq -e .unchanged
    vmscm -C repo checkin -q around "$PWD/ct" 2>/dev/null && vmscm -C repo cat around | cmp - newer.img
    tar cf ct.tar ct && vmscm -C repo checkin -q tar "$PWD/ct.tar" 2>/dev/null && vmscm -C repo cat tar | cmp - newer.img'
check "the state of a snapshot, if that is on top" '
    cp -r ct back && sed -i "s,<TopGUID>[^<]*,<TopGUID>$first," back/root.hdd/DiskDescriptor.xml
    vmscm -C repo checkin -q back "$PWD/back" 2>/dev/null && vmscm -C repo cat back | cmp - new.img'
check "a plain one; the older magic; no word of snapshots" '
    mkdir -p plain old1 && cp old.img plain/disk && descriptor 49152 "$(image "$top" disk Plain)" >plain/DiskDescriptor.xml
    vmscm -C repo checkin -q plain "$PWD/plain" 2>/dev/null && vmscm -C repo cat plain | cmp - old.img
    cp ct/root.hdd/root.hds old1 && python3 - old1/root.hds <<END
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
data[:16] = b"WithoutFreeSpace"
tracks, count = struct.unpack_from("<II", data, 28)
for n in range(count):
    entry, = struct.unpack_from("<I", data, 64 + 4 * n)
    struct.pack_into("<I", data, 64 + 4 * n, entry * tracks)
open(sys.argv[1], "wb").write(data)
END
    descriptor 49152 "$(image "$top" root.hds)" >old1/DiskDescriptor.xml
    vmscm -C repo checkin -q old1 "$PWD/old1" 2>/dev/null && vmscm -C repo cat old1 | cmp - old.img'
check "a raw base with a snapshot on top" '
    cp -r ct rawbase && cp old.img rawbase/root.hdd/root.hds && chain | sed "s,Compressed\(</Type><File>root.hds<\),Plain\1," >rawbase/root.hdd/DiskDescriptor.xml
    vmscm -C repo checkin -q rawbase "$PWD/rawbase" 2>/dev/null && vmscm -C repo cat rawbase | cmp - newer.img'
check "several disks" '
    mkdir -p vm && cp -r ct/root.hdd vm/harddisk.hdd && mkdir vm/harddisk2.hdd && cp data.img vm/harddisk2.hdd/d && descriptor 16384 "$(image "$top" d Plain)" >vm/harddisk2.hdd/DiskDescriptor.xml
    vmscm -C repo checkin -q vm "$PWD/vm" 2>/dev/null && vmscm -C repo cat vm:sda | cmp - newer.img && vmscm -C repo cat vm:sdb | cmp - data.img'

# wrong NAME COMMANDS: ct, then changed
wrong() {
    check "made: $1" "mkdir -p bad && cp -r ct/root.hdd bad/$1 && cd bad/$1 && { $2; }"
}
wrong absolute 'chain /etc/shadow >DiskDescriptor.xml'
check_fails 3 "an absolute path elsewhere is not looked for there" 'vmscm -C repo checkin bad "$PWD/bad/absolute"' '"/etc/shadow" is missing'
wrong up 'chain ../../old.img >DiskDescriptor.xml'
check_fails 4 "a path that climbs" 'vmscm -C repo checkin bad "$PWD/bad/up"' 'DiskDescriptor.xml: .*leaves'
wrong link 'rm root.hds && ln -s ../../ct/root.hdd/root.hds root.hds'
check_fails 4 "a link" 'vmscm -C repo checkin bad "$PWD/bad/link"' 'symbolic link'
wrong padding 'PADDING=8; chain >DiskDescriptor.xml'
check_fails 3 "padding" 'vmscm -C repo checkin bad "$PWD/bad/padding"' 'padding'
wrong split 'descriptor 49152 "$(image "$top" root.hds)" "" "<Storage><Start>49152</Start></Storage>" >DiskDescriptor.xml'
check_fails 3 "a disk of several parts" 'vmscm -C repo checkin bad "$PWD/bad/split"' 'several parts'
wrong circle 'chain root.hds "$top" >DiskDescriptor.xml'
check_fails 3 "snapshots in a circle" 'vmscm -C repo checkin bad "$PWD/bad/circle"' 'circle'
wrong orphan 'chain root.hds "{33333333-0000-0000-0000-000000000003}" >DiskDescriptor.xml'
check_fails 3 "a parent that is not there" 'vmscm -C repo checkin bad "$PWD/bad/orphan"' 'no image {3333'
wrong geometry 'sed -i "s,<Heads>16,<Heads>17," DiskDescriptor.xml'
check_fails 3 "a geometry that is not its size" 'vmscm -C repo checkin bad "$PWD/bad/geometry"' 'geometry'
wrong longer 'chain | sed "s/49152/65536/g; s/>96</>128</" >DiskDescriptor.xml'
check_fails 3 "a size that is not the images" 'vmscm -C repo checkin bad "$PWD/bad/longer"' 'is of 25165824 bytes, but'
wrong same 'sed -i "s,root.hds.2,root.hds.1," DiskDescriptor.xml'
check_fails 4 "an image on top of itself" 'vmscm -C repo checkin bad "$PWD/bad/same"' 'its own parent'
wrong raw 'sed -i "s,Compressed\(</Type><File>root.hds.2\),Plain\1," DiskDescriptor.xml'
check_fails 3 "a raw image on top" 'vmscm -C repo checkin bad "$PWD/bad/raw"' 'cannot be the difference'
wrong crypt 'sed -i "s,</Disk_Parameters>,<Encryption><Engine>{00000000-0000-0000-0000-000000000007}</Engine></Encryption>&," DiskDescriptor.xml'
check_fails 3 "encryption" 'vmscm -C repo checkin bad "$PWD/bad/crypt"' 'encryption'
wrong entity 'sed -i "s,<Parallels_disk_image,<!DOCTYPE x [<!ENTITY e SYSTEM \"/etc/passwd\">]>&," DiskDescriptor.xml'
check_fails 4 "an entity" 'vmscm -C repo checkin bad "$PWD/bad/entity"' 'document type'
wrong cut 'truncate -s -1M root.hds.1'
check_fails 3 "an image that was cut short" 'vmscm -C repo checkin bad "$PWD/bad/cut"' 'root.hds.1: truncated'

cd repo || exit 1
odd_machine >odd.xml
check "out: a directory, which QEMU reads" '
    vmscm export --json ct out.hdd 2>w | jq -e ".format == \"ploop\""; grep "no words for a machine" w
    [ "$(ls out.hdd | paste -sd" ")" = "DiskDescriptor.xml root.hds" ] && qemu-img compare -f parallels out.hdd/root.hds ../newer.img
    grep "<Cylinders>96</Cylinders>" out.hdd/DiskDescriptor.xml
    vmscm checkin --json ct2 out.hdd | jq -e ".new == 0"'
check "several disks, and a machine with all there is" '
    vmscm checkin -q --config odd.xml first ../old.img ../data.img ../c.img && vmscm export -q first first.ova 2>/dev/null && vmscm checkin -q web first.ova
    vmscm export -q web web.hdd 2>/dev/null && [ "$(ls web.hdd | paste -sd" ")" = "000-vda.hdd 001-nvme0n1.hdd 002-sda.hdd" ]
    vmscm checkin --json web2 web.hdd 2>e | jq -e ".new == 0"; [ ! -s e ]; same_machine web web2
    for d in vda nvme0n1 sda; do cmp <(vmscm cat web2:$d) <(vmscm cat web:$d); done'
check "the same bytes each time" 'mv web.hdd one && vmscm export -q -j 7 --format ploop web web.hdd 2>/dev/null && diff -r one web.hdd'
check "a new identity" 'vmscm export -q --new-identity web new.hdd 2>/dev/null && [ -z "$(grep -ri 52:54:00 new.hdd)" ]'
check_fails 2 "not to standard output" 'vmscm export --format ploop web - | cat; exit ${PIPESTATUS[0]}' 'cannot go to'
check_fails 3 "nor over what is there" 'vmscm export web web.hdd' 'already exists'

done_testing
