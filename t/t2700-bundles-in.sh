#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# OVF packages of all kinds on their way in, made by other programs.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk raw.img
package pkg raw.img
(cd pkg && tar -cf ../box.ova box.ovf box.mf box-disk1.vmdk)
vmscm init -q repo

# config MACHINE: its configuration as it is recorded
config() {
    git -C repo/.vmscm/git cat-file blob "$1:machine.json"
}

# machine_is NAME: its machine is the package's, its disk the raw image
machine_is() {
    config "$1" >"$TEST_DIR/show.json"
    jq -e '.name == "box" and .firmware == "uefi" and .cpus == 2 and
        .memory == 2147483648 and (.disks | length) == 1 and .disks[0].bus == "scsi" and
        .disks[0].id == "sda" and .nics[0].mac == "00:50:56:01:02:03" and
        .nics[0].model == "vmxnet3" and .nics[0].network == "VM Network"' "$TEST_DIR/show.json"
    vmscm -C repo cat "$1" | cmp - raw.img
}

check "the raw disk first" "vmscm -C repo checkin -q raw $PWD/raw.img"
check "an OVA is a machine, and its disk is stored already" '
    vmscm -C repo checkin --json ova "$PWD/box.ova" >j
    jq -e ".new == 0" j
    machine_is ova'
check "nothing is copied to read it" '
    strace -f -e trace=mkdir,mkdirat -o trace vmscm -C repo checkin -q ova2 "$PWD/box.ova"
    [ -s trace ] && [ -z "$(grep /tmp/bundle trace)" ]
    machine_is ova2'
check "the vendors files are kept as they are" '
    git -C repo/.vmscm/git cat-file blob ova:config/box.ovf | cmp - pkg/box.ovf
    git -C repo/.vmscm/git cat-file blob ova:config/box.mf | cmp - pkg/box.mf'
check "again it is unchanged" '
    vmscm -C repo checkin --json ova "$PWD/box.ova" | jq -e .unchanged'
check "an .ovf with its files" 'vmscm -C repo checkin -q ovf "$PWD/pkg/box.ovf"; machine_is ovf'
check "the directory" 'vmscm -C repo checkin -q dir "$PWD/pkg"; machine_is dir'
check "a checkout of it" '
    vmscm -C repo checkout ova "$PWD/out"
    qemu-img compare out/sda.vmdk raw.img'

for form in ustar gnu pax v7; do
    check "tar in the form $form, manifest last, members in a folder" '
        mkdir -p in-'$form'/some
        cp pkg/* in-'$form'/some
        (cd in-'$form' && tar --format='$form' -cf ../'$form'.ova ./some/box.ovf ./some/box-disk1.vmdk ./some/box.mf)
        vmscm -C repo checkin -q '$form' "$PWD/'$form'.ova"
        machine_is '$form
done
check "what a Mac adds is ignored" '
    mkdir mac && cp pkg/* mac && (cd mac && cp box.ovf ._box.ovf && echo x >._box.mf && tar -cf ../mac.ova ._box.ovf box.ovf ._box.mf box.mf box-disk1.vmdk)
    vmscm -C repo checkin -q mac "$PWD/mac.ova"; machine_is mac'
for pack in gzip xz zstd bzip2; do
    check -p $pack "a package packed with $pack" '
        '$pack' -q <box.ova >'$pack'.ova
        vmscm -C repo checkin -q '$pack' "$PWD/'$pack'.ova"
        machine_is '$pack'; [ -z "$(ls repo/.vmscm/tmp)" ]'
done
check -p zip "a zip archive" '
    (cd pkg && zip -q ../zip.ova box.ovf box.mf box-disk1.vmdk)
    vmscm -C repo checkin -q zip "$PWD/zip.ova"; machine_is zip; [ -z "$(ls repo/.vmscm/tmp)" ]'

for sum in sha1 sha256 sha512; do
    check "a manifest of $sum, with blanks and carriage returns" '
        rm -rf m && cp -r pkg m
        (cd m && manifest '$sum' box.ovf box-disk1.vmdk | sed "s/(/ (/; s/)= /) = /; s/\$/\r/" >box.mf)
        vmscm -C repo checkin -q m-'$sum' "$PWD/m"; machine_is m-'$sum
done
check_fails 4 "a digest that differs" '
    rm -rf m && cp -r pkg m
    sed -i "s/<Info>A machine/<Info>Another machine/" m/box.ovf
    vmscm -C repo checkin bad "$PWD/m"' 'box.ovf: is not what the manifest says: its SHA256 differs'
check "unless that is known" 'vmscm -C repo checkin -q --no-manifest known "$PWD/m"; machine_is known'
check_fails 4 "a manifest of a file that is not there" '
    rm -rf m && cp -r pkg m && sed "1s/(box.ovf)/(other.vmdk)/" pkg/box.mf >>m/box.mf
    vmscm -C repo checkin bad "$PWD/m"' 'other.vmdk: the manifest names it'
check_fails 4 "a manifest that names other files" '
    rm -rf m && cp -r pkg m && sed "1s/(box.ovf)/(..\/..\/raw.img)/" pkg/box.mf >>m/box.mf
    vmscm -C repo checkin bad "$PWD/m"' 'leaves the bundle'
check "a certificate is kept and reported" '
    rm -rf m && cp -r pkg m && echo cert >m/box.cert
    vmscm -C repo checkin -q cert "$PWD/m" 2>w; grep "not checked" w
    git -C repo/.vmscm/git cat-file blob cert:config/box.cert'

check "a disk compressed by gzip" '
    rm -rf m && cp -r pkg m && gzip -c pkg/box-disk1.vmdk >m/box-disk1.vmdk && rm m/box.mf
    OVF_FILE="ovf:compression=\"gzip\"" ovf_text box "box-disk1.vmdk=$(stat -c %s raw.img)" >m/box.ovf
    vmscm -C repo checkin -q gz "$PWD/m"; machine_is gz'
check "a disk in parts" '
    rm -rf m && cp -r pkg m && rm m/box.mf && split -b 1000000 -d -a 9 pkg/box-disk1.vmdk m/box-disk1.vmdk. && rm m/box-disk1.vmdk
    ls m
    OVF_FILE="ovf:chunkSize=\"1000000\"" ovf_text box "box-disk1.vmdk=$(stat -c %s raw.img)" >m/box.ovf
    (cd m && tar -cf ../parts.ova box.ovf box-disk1*)
    vmscm -C repo checkin -q parts "$PWD/parts.ova"; machine_is parts'
check "disks of other formats, in place in the archive" '
    rm -rf m && mkdir m && qemu-img convert -q -O qcow2 raw.img m/a.qcow2 && cp raw.img m/b.raw
    qemu-img convert -q -O vpc -o force_size=on raw.img m/c.vhd
    qemu-img convert -q -O vhdx raw.img m/d.vhdx
    qemu-img convert -q -O vdi raw.img m/e.vdi
    qemu-img convert -q -O vmdk raw.img m/f.vmdk
    size=$(stat -c %s raw.img)
    OVF_FORMAT=any ovf_text box a.qcow2=$size b.raw=$size c.vhd=$size d.vhdx=$size e.vdi=$size f.vmdk=$size >m/box.ovf
    (cd m && tar -cf ../formats.ova box.ovf ?.*)
    vmscm -C repo checkin --json formats "$PWD/formats.ova" | jq -e ".new == 0"
    for d in sda sdb sdc sdd sde sdf; do vmscm -C repo cat formats:$d | cmp - raw.img; done
    config formats | jq -e "[.disks[].format] == [\"qcow2\",\"raw\",\"vpc\",\"vhdx\",\"vdi\",\"vmdk\"]"'
check "an empty disk has no file" '
    rm -rf m && cp -r pkg m && rm m/box.mf
    sed -i "s/ ovf:fileRef=\"file1\"//" m/box.ovf
    vmscm -C repo checkin -q empty "$PWD/m"
    vmscm -C repo cat empty | cmp - <(head -c $(stat -c %s raw.img) /dev/zero)'
check "other files are kept" '
    rm -rf m && cp -r pkg m && rm m/box.mf && echo nvram >m/box.nvram
    sed -i "s|</References>|<File ovf:id=\"nv\" ovf:href=\"box.nvram\"/></References>|" m/box.ovf
    vmscm -C repo checkin -q nvram "$PWD/m"; machine_is nvram
    [ "$(git -C repo/.vmscm/git cat-file blob nvram:config/box.nvram)" = nvram ]'
check "a name with a blank, spelled out" '
    rm -rf m && cp -r pkg m && rm m/box.mf && mv m/box-disk1.vmdk "m/box disk.vmdk"
    sed -i "s/box-disk1.vmdk/box%20disk.vmdk/" m/box.ovf
    vmscm -C repo checkin -q blank "$PWD/m"; machine_is blank'

two_systems() {
    rm -rf two && mkdir two && cp pkg/box-disk1.vmdk two/a.vmdk && cp pkg/box-disk1.vmdk two/b.vmdk
    size=$(stat -c %s raw.img)
    ovf_text one a.vmdk="$size" b.vmdk="$size" | python3 -c '
import re, sys
text = sys.stdin.read()
system = re.search(r"  <VirtualSystem .*</VirtualSystem>\n", text, re.S).group(0)
drives = re.findall(r"      <Item>(?:(?!</Item>).)*ovf:/disk/.*?</Item>\n", system)
one = system.replace(drives[1], "")
two = system.replace(drives[0], "").replace("one", "two")
print(text.replace(system, "<VirtualSystemCollection ovf:id=\"all\"><Info>all</Info>" + one + two + "</VirtualSystemCollection>"))' >two/two.ovf
}
check_fails 2 "two machines: which one" '
    two_systems
    vmscm -C repo checkin bad "$PWD/two"' 'has 2 machines'
check "the one that is asked for" '
    two_systems
    vmscm -C repo checkin -q two "$PWD/two" --system two
    config two | jq -e ".name == \"two\" and (.disks | length) == 1"
    vmscm -C repo cat two | cmp - raw.img'
check_fails 2 "one that is not there" '
    two_systems
    vmscm -C repo checkin bad "$PWD/two" --system three' 'has no machine three'
check_fails 2 "--system without a bundle" 'vmscm -C repo checkin bad "$PWD/raw.img" --system x' 'only for a bundle'

done_testing
