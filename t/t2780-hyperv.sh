#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Hyper-V: exported folders with checkpoints on their way in, the script and VHDX images on the way out.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

guid=0F0E6B5A-1111-2222-3333-444455556666
sample_disk old.img
sample_disk data.img 8 2
# Three states of a disk: what is zeros in the second was not in the first.
cp old.img new.img
noise 3000000 9 | put new.img 9000000
noise 700 8 | put new.img 100000
head -c 3145728 /dev/zero | put new.img 4194304
cp new.img newer.img
noise 5000 3 | put newer.img 9001000
vmscm init -q repo

# differences KIND DIR: base.KIND, and on top of it c1.aKIND and c2.aKIND
differences() {
    local as=$1
    [ "$1" = vhdx ] || as=vpc
    mkdir -p "$2"
    qemu-img convert -q -O "$as" "${@:3}" old.img "$2/base.$1"
    python3 "$TEST_SOURCE/t/differencing.py" "$1" "$2/c1.a$1" "$2/base.$1" old.img new.img
    python3 "$TEST_SOURCE/t/differencing.py" "$1" "$2/c2.a$1" "$2/c1.a$1" new.img newer.img
}

# configuration FILE...: one of Hyper-V's, up to 2012 R2, of these IDE disks
configuration() {
    local n=0 file
    cat <<END
<?xml version="1.0" encoding="${ENCODING:-UTF-16}" standalone="yes"?>
<configuration>
  <_2497f4de-e9fa-4204-80e4-4b75c46419c0_><VDEVVersion type="integer">256</VDEVVersion></_2497f4de-e9fa-4204-80e4-4b75c46419c0_>
  <_55225880-49c0-4438-9ce2-5a01402fd8cb_>
    <Connection><AltPortName type="string">Port</AltPortName><AltSwitchName type="string">External Switch</AltSwitchName></Connection>
    <MacAddress type="string">00-15-5D-01-07-DC</MacAddress><MacAddressIsStatic type="bool">False</MacAddressIsStatic>
  </_55225880-49c0-4438-9ce2-5a01402fd8cb_>
  <_65225880-49c0-4438-9ce2-5a01402fd8cb_>
    <Connection/><MacAddress type="string">00-00-00-00-00-00</MacAddress>
  </_65225880-49c0-4438-9ce2-5a01402fd8cb_>
  <_83f8638b-8dca-4152-9eda-2ca8b33039b4_><VDEVVersion type="integer">1280</VDEVVersion><controller0>
END
    for file in "$@"; do
        echo "<drive$n><pathname type=\"string\">C:\\VMs\\my web\\$file</pathname><type type=\"string\">${TYPE:-VHD}</type></drive$n>"
        n=$((n + 1))
    done
    cat <<END
    </controller0><controller1><drive0><pathname type="string">C:\\iso\\debian.iso</pathname><type type="string">ISO</type></drive0></controller1></_83f8638b-8dca-4152-9eda-2ca8b33039b4_>
  <_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_><secure_boot_enabled type="bool">True</secure_boot_enabled></_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_>
  <manifest><size type="integer">1</size><vdev001><device type="string">x</device><instance type="string">65225880-49C0-4438-9CE2-5A01402FD8CB</instance><name type="string">Microsoft Emulated Ethernet Port</name></vdev001></manifest>
  <properties><name type="string">web é</name><subtype type="integer">0</subtype></properties>
  <settings><memory><bank><size type="integer">2048</size></bank></memory><processors><count type="integer">4</count></processors></settings>
</configuration>
END
}

# exported DIR KIND FILE...: an export of a machine with these disks, its disks yet to be put there
exported() {
    mkdir -p "$1/Virtual Machines" "$1/Virtual Hard Disks" "$1/Snapshots"
    { printf '\377\376'; configuration "${@:2}" | iconv -t utf-16le; } >"$1/Virtual Machines/$guid.xml"
}

# vmcx FILE...: the same in the form since 2016, of a machine of the second generation
vmcx() {
    local disks='' n=0 file
    for file in "$@"; do
        disks=$disks${disks:+,}"\"drive$n\": {\"pathname\": \"C:\\\\VMs\\\\$file\", \"type\": \"VHD\"}"
        n=$((n + 1))
    done
    cat <<END
{"savedstate": {"x": 1}, "configuration": {
  "manifest": {"vdev001": {"instance": "d422512d-2bf2-4752-809d-7b82b5fcb1b4", "name": "Synthetic SCSI Controller"}},
  "_d422512d-2bf2-4752-809d-7b82b5fcb1b4_": {"ChannelInstanceGuid": "{x}", "controller0": {$disks}},
  "_55225880-49c0-4438-9ce2-5a01402fd8cb_": {"MacAddress": "00155D0107DD", "Connection": {"AltSwitchName": "Default Switch"}},
  "_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_": {"secure_boot_enabled": true},
  "properties": {"name": "new web", "subtype": 1},
  "settings": {"memory": {"bank": {"size": 3072}}, "processors": {"count": 2}}}}
END
}

check "made: images with differences, as another program reads them" '
    differences vhdx x && differences vhd d -o force_size=on
    [ "$(cmp -l old.img newer.img | wc -l)" -gt 3000000 ]'
check -p 7zz "7-Zip sees the same in them" '
    for kind in vhd vhdx; do
        dir=x && [ $kind = vhdx ] || dir=d
        mkdir $kind.out && for c in c1 c2; do cp $dir/$c.a$kind $dir/$c.$kind; done
        # It looks for the parent by the name that is in the image.
        7zz x -t$kind -y -o$kind.out $dir/c1.$kind >log && cmp $kind.out/* new.img
        rm $dir/c1.$kind $dir/c2.$kind; rm -r $kind.out
    done'

check "an exported folder, with checkpoints" '
    exported hv c2.avhdx data.vhdx && cp x/base.vhdx "hv/Virtual Hard Disks" && cp x/*.avhdx hv/Snapshots
    qemu-img convert -q -O vhdx data.img "hv/Virtual Hard Disks/Data.vhdx"
    mkdir -p "hv/Snapshots/$guid" && cp "hv/Virtual Machines/$guid.xml" hv/Snapshots
    vmscm -C repo checkin -v web "$PWD/hv" 2>log && grep "kind hyperv" log
    vmscm -C repo cat web:hda | cmp - newer.img && vmscm -C repo cat web:hdb | cmp - data.img'
check "its machine" '
    cd repo && machine web | jq -e ".name == \"web é\" and .cpus == 4 and .memory == 2147483648 and .firmware == \"bios\" and
        (.secure_boot | not) and ([.disks[] | [.id, .bus]] == [[\"hda\", \"ide\"], [\"hdb\", \"ide\"]]) and
        ([.nics[] | [.model, .type, .network, .mac]] == [[null, \"network\", \"External Switch\", \"00:15:5d:01:07:dc\"],
            [\"tulip\", \"network\", null, null]])"
    git -C .vmscm/git cat-file blob web:machine.json |
        jq -e "[.disks[].format] == [\"vhdx\", \"vhdx\"]"'
check "its configuration is kept" '
    git -C repo/.vmscm/git cat-file blob "web:config/Virtual Machines/$guid.xml" | cmp - "hv/Virtual Machines/$guid.xml"'
check "by the name of the configuration, and of the folder around it" '
    vmscm -C repo checkin --json web "$PWD/hv/Virtual Machines/$guid.xml" | jq -e .unchanged
    mkdir around && mv hv around/web
    vmscm -C repo checkin --json web "$PWD/around" | jq -e ".new == 0 and .read > 0"
    mv around/web hv'
check "as an archive: nothing is unpacked" '
    tar cf hv.tar hv && vmscm -C repo checkin -q tar "$PWD/hv.tar" && vmscm -C repo cat tar:hda | cmp - newer.img
    [ "$(git -C repo/.vmscm/git cat-file blob tar:machine.json)" = "$(git -C repo/.vmscm/git cat-file blob web:machine.json)" ]'
check "with the older images, and in UTF-8" '
    exported old c2.AVHD && (ENCODING=UTF-8; configuration c2.AVHD >"old/Virtual Machines/$guid.xml")
    cp d/base.vhd "old/Virtual Hard Disks" && mkdir "old/Snapshots/$guid" && cp d/*.avhd "old/Snapshots/$guid"
    vmscm -C repo checkin -q older "$PWD/old" && vmscm -C repo cat older | cmp - newer.img'
check "a .vmcx" '
    mkdir -p new/web && cp -r hv/* new/web && rm "new/web/Virtual Machines/"* && echo state >"new/web/Virtual Machines/$guid.vmgs"
    vmcx c2.avhdx data.vhdx | python3 "$TEST_SOURCE/t/vmcx.py" >"new/web/Virtual Machines/$guid.vmcx"
    vmscm -C repo checkin -q vmcx "$PWD/new" && vmscm -C repo cat vmcx:sda | cmp - newer.img
    cd repo && machine vmcx | jq -e ".name == \"new web\" and .cpus == 2 and .memory == 3221225472 and .firmware == \"uefi\" and
        .secure_boot and ([.disks[] | [.id, .bus]] == [[\"sda\", \"scsi\"], [\"sdb\", \"scsi\"]]) and
        ([.nics[] | [.model, .network, .mac]] == [[null, \"Default Switch\", \"00:15:5d:01:07:dd\"]])"
    git -C .vmscm/git cat-file blob "vmcx:config/web/Virtual Machines/$guid.vmgs" | grep state'
for odd in version=0x500 log=1 loop=1; do
    check "a .vmcx that cannot be read, $odd: its disks, with a warning" '
        vmcx c2.avhdx data.vhdx | python3 "$TEST_SOURCE/t/vmcx.py" '$odd' >"new/web/Virtual Machines/$guid.vmcx"
        vmscm -C repo checkin odd-'${odd%=*}' "$PWD/new" 2>err >out && cat err && grep "hardware is not known" err
        cd repo && machine odd-'${odd%=*}' | jq -e ".cpus == 1 and (.disks | length) == 2"
        for d in sda sdb; do vmscm cat odd-'${odd%=*}':$d | sha256sum; done | sort >got
        for d in ../newer.img ../data.img; do sha256sum <$d; done | sort | cmp - got'
done
check "options say what it cannot" '
    vmscm -C repo checkin -q --cpus 3 --memory 4096 --firmware uefi said "$PWD/new" 2>/dev/null
    cd repo && machine said | jq -e ".cpus == 3 and .memory == 4294967296 and .firmware == \"uefi\""'
check_fails 2 "but only of a bundle" 'vmscm -C repo checkin --cpus 3 said "$PWD/old.img"' 'only for a bundle'
check "and no more of them than it names" '
    vmcx data.vhdx | python3 "$TEST_SOURCE/t/vmcx.py" version=1 >"new/web/Virtual Machines/$guid.vmcx"
    vmscm -C repo checkin -q one "$PWD/new" 2>/dev/null && vmscm -C repo cat one | cmp - data.img'
check "which of two lines of checkpoints is the present state, a .vmcx says" '
    python3 "$TEST_SOURCE/t/differencing.py" vhdx new/web/Snapshots/c3.avhdx x/base.vhdx old.img new.img
    vmcx c3.avhdx | python3 "$TEST_SOURCE/t/vmcx.py" >"new/web/Virtual Machines/$guid.vmcx"
    vmscm -C repo checkin -q line "$PWD/new" && vmscm -C repo cat line | cmp - new.img'
check_fails 3 "but not one that cannot be read" '
    vmcx c3.avhdx c2.avhdx | python3 "$TEST_SOURCE/t/vmcx.py" version=1 >"new/web/Virtual Machines/$guid.vmcx"
    vmscm -C repo checkin bad "$PWD/new"' 'present state'
check "a Vagrant box for Hyper-V" '
    cp -r hv boxed && echo "{\"provider\": \"hyperv\"}" >boxed/metadata.json && tar cf boxed.box -C boxed metadata.json "Virtual Machines" "Virtual Hard Disks" Snapshots/c1.avhdx Snapshots/c2.avhdx
    vmscm -C repo checkin -q boxed "$PWD/boxed.box" && vmscm -C repo cat boxed:hda | cmp - newer.img
    vmscm -C repo checkin --json boxed "$PWD/boxed" | jq -e ".new == 0"
    git -C repo/.vmscm/git cat-file blob boxed:config/metadata.json | grep hyperv'

# wrong NAME COMMANDS: a folder bad/NAME that is as hv, then changed
wrong() {
    check "made: $1" "mkdir -p bad && cp -r hv bad/$1 && cd bad/$1 && $2"
}
wrong gone 'rm Snapshots/c1.avhdx'
check_fails 3 "a checkpoint that is missing" 'vmscm -C repo checkin bad "$PWD/bad/gone"' 'c2.avhdx: its disk "c1.avhdx" is missing'
wrong other 'python3 "$TEST_SOURCE/t/differencing.py" vhdx Snapshots/c1.avhdx ../../x/base.vhdx ../../old.img ../../new.img'
check_fails 3 "one that is another" 'vmscm -C repo checkin bad "$PWD/bad/other"' 'c1.avhdx: is not what .*c2.avhdx is the difference to'
wrong self 'python3 "$TEST_SOURCE/t/differencing.py" vhdx Snapshots/x Snapshots/c1.avhdx ../../old.img ../../new.img; mv Snapshots/x Snapshots/c1.avhdx
    { printf "\377\376"; configuration c1.avhdx | iconv -t utf-16le; } >"Virtual Machines/$guid.xml"'
check_fails 4 "one that is its own parent" 'vmscm -C repo checkin bad "$PWD/bad/self"' 'c1.avhdx: is its own parent'
wrong whole 'rm Snapshots/c2.avhdx; cp "Virtual Hard Disks/base.vhdx" Snapshots/c2.avhdx'
check "made: a disk that is whole is taken as it is" 'vmscm -C repo checkin -q whole "$PWD/bad/whole" && vmscm -C repo cat whole:hda | cmp - old.img'
wrong twice 'cp Snapshots/c2.avhdx "Virtual Hard Disks"'
check_fails 3 "two files of the name" 'vmscm -C repo checkin bad "$PWD/bad/twice"' 'both .*c2.avhdx and .*c2.avhdx are that'
wrong linked 'mv Snapshots/c1.avhdx ..; ln -s ../../c1.avhdx Snapshots'
check_fails 4 "a checkpoint that is a link" 'vmscm -C repo checkin bad "$PWD/bad/linked"' 'c1.avhdx: is a symbolic link'
wrong links 'mv Snapshots ../Elsewhere; ln -s ../Elsewhere Snapshots'
check_fails 3 "a folder that is a link is not followed" 'vmscm -C repo checkin bad "$PWD/bad/links"' '"c2.avhdx" is missing'
wrong shadow '{ printf "\377\376"; configuration "..\\..\\..\\etc\\shadow" | iconv -t utf-16le; } >"Virtual Machines/$guid.xml"'
check_fails 3 "a disk that is elsewhere" 'vmscm -C repo checkin bad "$PWD/bad/shadow"' '"shadow" is missing'
wrong dots '{ printf "\377\376"; configuration ".." | iconv -t utf-16le; } >"Virtual Machines/$guid.xml"'
check_fails 3 "a disk that is a folder" 'vmscm -C repo checkin bad "$PWD/bad/dots"' "a disk's file"
wrong physical '{ printf "\377\376"; TYPE=PHYS; configuration c2.avhdx | iconv -t utf-16le; } >"Virtual Machines/$guid.xml"'
check_fails 3 "a disk of the host" 'vmscm -C repo checkin bad "$PWD/bad/physical"' 'of the type PHYS is not in a file'
wrong entity '(ENCODING=UTF-8; configuration c2.avhdx | sed "s,<configuration>,<!DOCTYPE x [<!ENTITY e SYSTEM \"/etc/passwd\">]><configuration>,; s,web é,\&e;,") >"Virtual Machines/$guid.xml"'
check_fails 4 "an entity" 'vmscm -C repo checkin bad "$PWD/bad/entity"' 'document type'
wrong pair 'cp "Virtual Machines/$guid.xml" "Virtual Machines/other.xml"'
check_fails 2 "two machines" 'vmscm -C repo checkin bad "$PWD/bad/pair"' 'has both'
wrong dirty 'printf "\1" | put Snapshots/c2.avhdx 65584; printf "\1" | put Snapshots/c2.avhdx 131120; python3 - Snapshots/c2.avhdx <<END
import sys
sys.argv[1:] = ["vhd", "x", sys.argv[1], "/dev/null", "/dev/null"]
source = open("$TEST_SOURCE/t/differencing.py").read().split("form, child")[0]
exec(source)
data = bytearray(open(sys.argv[3], "rb").read())
for at in (65536, 131072):
    data[at:at + 4096] = sealed(bytes(data[at:at + 4096]))
open(sys.argv[3], "wb").write(data)
END'
check_fails 3 "a checkpoint whose log has changes yet to be applied" 'vmscm -C repo checkin bad "$PWD/bad/dirty"' 'not closed cleanly'
wrong cut 'truncate -s -1M Snapshots/c1.avhdx'
check_fails 3 "one that was cut short" 'vmscm -C repo checkin bad "$PWD/bad/cut"' 'c1.avhdx: truncated'
check_fails 3 "an image without its parent" 'vmscm -C repo checkin bad "$PWD/x/c1.avhdx"' 'no disk by itself'

# Out.
cd repo || exit 1
check "out: a script, and images beside it" '
    mkdir out && vmscm export --json web out/w.ps1 2>w | jq -e ".format == \"hyperv\""
    [ "$(ls out | paste -sd" ")" = "w-hda.vhdx w-hdb.vhdx w.ps1" ]
    qemu-img check -q out/w-hda.vhdx; qemu-img compare out/w-hda.vhdx ../newer.img
    grep -F "\$name = '"'"'web '"'"' + [char]0x00E9 + '"'"''"'"'" out/w.ps1
    grep -F "Type = '"'"'IDE'"'"'; Number = 0; Location = 1 }" out/w.ps1; grep "00155d0107dc" out/w.ps1
    ! LC_ALL=C grep -v "^#" out/w.ps1 | LC_ALL=C grep "[^ -~]"'
check "a disk can be where a new machine has a drive for CDs" '
    grep "Remove-VMDvdDrive" out/w.ps1
    for n in 1 2 3 4 5; do echo "<disk type=\"file\" device=\"disk\"><driver type=\"raw\"/><source file=\"x\"/><target dev=\"hd$n\" bus=\"ide\"/></disk>"; done >disks
    { echo "<domain><memory>1048576</memory><devices>"; cat disks; echo "</devices></domain>"; } >ide.xml
    truncate -s 4M a.img && vmscm checkin -q --config ide.xml ide a.img a.img a.img a.img a.img && vmscm export -q ide ide.ps1 2>w
    [ "$(grep -o "Type = .*" ide.ps1 | tr -d "\047};" | sed "s/ *$//" | paste -sd,)" = "Type = IDE Number = 0 Location = 0,Type = IDE Number = 0 Location = 1,Type = IDE Number = 1 Location = 0,Type = IDE Number = 1 Location = 1,Type = SCSI Number = 0 Location = 0" ]
    grep "disk hd5 is on scsi" w && vmscm checkin -q ide2 ide.ps1 && same_machine ide ide2'
check "and in again" 'vmscm checkin --json web2 out | jq -e ".new == 0" && same_machine web web2
    vmscm checkin --json web2 out/w.ps1 | jq -e .unchanged
    tar cf out.tar out && vmscm checkin --json web3 out.tar | jq -e ".new == 0" && same_machine web3 web2'
check "the same bytes each time" 'mv out first && mkdir out && vmscm export -q -j 7 web out/w.ps1 && diff -r out first
    vmscm export -q vmcx two.ps1 && [ "$(md5sum <two-sda.vhdx)" != "$(md5sum <out/w-hda.vhdx)" ]'
check "a second generation" '
    grep "generation = 2" two.ps1; grep -F "secureBoot = \$true" two.ps1; grep "SCSI.; Number = 0; Location = 1" two.ps1
    vmscm checkin -q two two.ps1 && same_machine two vmcx'
odd_machine >odd.xml
check "a machine with all that it has no words for" '
    vmscm checkin -q --config odd.xml odd ../old.img ../data.img ../c.img && vmscm export -q odd odd.ova 2>/dev/null && vmscm checkin -q odd odd.ova
    mkdir o && vmscm export odd o/odd.ps1 2>w >/dev/null
    grep "disk vda is on scsi: Hyper-V has no virtio" w; grep "no virtio" o/odd.ps1; grep "its memory is 1235222528 bytes" w
    vmscm checkin --json odd2 o | jq -e ".new == 0"; same_machine odd odd2'
check "what others changed counts more" '
    sed -i "s/^.memory.*/\$memory = 4294967296/" o/odd.ps1 && vmscm checkin -q odd3 o
    machine odd3 | jq -e ".memory == 4294967296 and .disks[0].bus == \"virtio\""'
check "a name stays in its quotes" '
    for name in "a'"'"'; Remove-Item x; '"'"'" "$(printf "b\342\200\231; Remove-Item x; \342\200\231c")" "\$(Remove-Item x)" "😀\`n"; do
        sed "s,<name>.*</name>,<name>$name</name>," odd.xml >n.xml && rm -f n.ps1 n-*.vhdx
        vmscm checkin -q --config n.xml n ../old.img ../data.img ../c.img && vmscm export -q n n.ps1 2>/dev/null
        grep "^.name = " n.ps1 | LC_ALL=C grep -vxE "\\\$name = ('"'"'([ -&(-~]|'"''"')*'"'"'( \+ \[char\]0x[0-9A-F]{4} \+ )?)+" && exit 1
        vmscm checkin -q n2 n.ps1 && same_machine n n2 || exit 1
    done'
check "a new identity has no MAC addresses" '
    vmscm export -q --new-identity web anew.ps1 && [ -z "$(grep -i 00155d anew.ps1)" ]
    vmscm checkin -q anew anew.ps1 && machine anew | jq -e "[.nics[].mac] == [null, null]"'
for change in 's/^.cpus.*/$cpus = (Get-Random)/' 's/File = .w-hda/File = "w-hda/' '/vmscm: end/d' 's/^.cpus.*/$cpus = 0/' \
    's/Mac = .0015/Mac = 0 + '"'"'0015/' 's/^.generation.*/$generation = 3/' 's/IDE/NVME/'; do
    check_fails 3 "a script that says something else: $change" 'rm -rf ps && cp -r out ps && sed -i '"'${change//\'/\'\\\'\'}'"' ps/w.ps1
        ! cmp -s ps/w.ps1 out/w.ps1 && vmscm checkin bad ps' 'w.ps1: '
done
check_fails 4 "a script whose disk is elsewhere" 'rm -rf ps && cp -r out ps && sed -i "s,.w-hda,'"'"'../out/w-hda," ps/w.ps1 && vmscm checkin bad ps' 'a name that leaves'

done_testing
