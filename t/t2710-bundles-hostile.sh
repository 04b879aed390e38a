#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Bundles that mean harm: each is refused with the member's name; nothing outside is read or written, and
# memory and time are bounded.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk raw.img 8
package pkg raw.img
echo secret >secret
vmscm init -q repo
check "a good machine to lose" 'vmscm -C repo checkin -q good "$PWD/pkg"'

# refused FILE WHAT TEXT [STATUS]: within 30 seconds and 600 MB
refused() {
    check_fails "${4:-4}" "$2" "ulimit -v 2000000; timeout 30 vmscm -C repo checkin bad '$PWD/$1'" "$3"
}

# with FILE PYTHON: a package with something added to its archive
with() {
    check "made: $1" "tarball '$1' \"
add('box.ovf', read('pkg/box.ovf'))
add('box-disk1.vmdk', read('pkg/box-disk1.vmdk'))
$2\""
}

with climb.ova "add('../evil', b'x')"
refused climb.ova "a member that climbs out" '\.\./evil: a name that leaves the archive'
with climb2.ova "add('a/../../evil', b'x')"
refused climb2.ova "one that does so in between" 'evil: a name that leaves'
with absolute.ova "add('/etc/evil', b'x')"
refused absolute.ova "an absolute name" '/etc/evil: a name that leaves'
with link.ova "add('x.nvram', type=tarfile.SYMTYPE, linkname='/etc/shadow')"
refused link.ova "a symbolic link" 'x.nvram: is a symbolic link'
with hard.ova "add('x.nvram', type=tarfile.LNKTYPE, linkname='box.ovf')"
refused hard.ova "a hard link" 'x.nvram: is a hard link'
with device.ova "add('sda', type=tarfile.BLKTYPE, devmajor=8, devminor=0)"
refused device.ova "a device" 'sda: is a device'
with fifo.ova "add('pipe', type=tarfile.FIFOTYPE)"
refused fifo.ova "a FIFO" 'pipe: is a FIFO'
with twice.ova "add('box-disk1.vmdk', b'other')"
refused twice.ova "two members of one name" 'box-disk1.vmdk: there are two members'
with odd.ova "add('odd', type=b'Z')"
refused odd.ova "a member of an unknown kind" 'odd: is a member of an unknown kind'
check "made: the descriptor is a link" "tarball meta.ova \"
add('box.ovf', type=tarfile.SYMTYPE, linkname='/etc/passwd')
add('box-disk1.vmdk', read('pkg/box-disk1.vmdk'))\""
check_fails 4 "a descriptor that is a link" 'vmscm -C repo checkin bad "$PWD/meta.ova"' 'box.ovf: is a symbolic link'
check "made: many members" 'python3 - <<"END"
import tarfile, io
out = open("many.ova", "wb")
def header(name, size=0):
    info = tarfile.TarInfo(name); info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)
ovf = open("pkg/box.ovf", "rb").read()
out.write(header("box.ovf", len(ovf)) + ovf + bytes(-len(ovf) % 512))
for i in range(200000):
    out.write(header("m%07d" % i))
out.write(bytes(1024))
END'
refused many.ova "hundreds of thousands of members" 'more than 65536 members'
check "made: cut short" 'head -c 100000 <(tar -C pkg -cf - box.ovf box-disk1.vmdk) >short.ova'
refused short.ova "an archive that ends early" 'box-disk1.vmdk: truncated' 3
check "made: its size overflows" 'python3 - <<"END"
import tarfile
info = tarfile.TarInfo("box.ovf"); info.size = 1 << 62
open("huge.ova", "wb").write(info.tobuf(tarfile.GNU_FORMAT) + bytes(512))
END'
refused huge.ova "a member of 4 EiB" 'box.ovf' 3
check "made: a directory with links" '
    cp -r pkg linked && rm linked/box-disk1.vmdk linked/box.mf && ln -s ../raw.img linked/box-disk1.vmdk
    cp -r pkg linked2 && rm linked2/box.mf && ln -s ../secret linked2/box.mf
    mkdir linked3 && cp pkg/box.ovf linked3 && sed -i "s|box-disk1.vmdk|sub/box-disk1.vmdk|" linked3/box.ovf && ln -s ../pkg linked3/sub'
refused linked "a disk that is a link, in a directory" 'box-disk1.vmdk: is a symbolic link'
refused linked2 "a manifest that is a link" 'box.mf: is a symbolic link'
refused linked3 "a folder that is a link" 'sub: is a symbolic link'

# href NAME HREF: a package whose disk is that
href() {
    check "made: $1" "mkdir $1 && sed 's|box-disk1.vmdk|$2|' pkg/box.ovf >$1/box.ovf && cp pkg/box-disk1.vmdk $1"
}
href up ../raw.img
refused up "a href that leaves the package" '\.\./raw.img: a name that leaves'
href abs /etc/shadow
refused abs "an absolute href" '/etc/shadow: a name that leaves'
href url http://127.0.0.1/x.vmdk
refused url "a href on the network" 'is not in the package'
href spelled %2e%2e/raw.img
refused spelled "one that is spelled out" '\.\./raw.img: a name that leaves'
href away missing.vmdk
refused away "a file that is missing" 'missing.vmdk' 3

# descriptor NAME SED: a package with another descriptor
descriptor() {
    check "made: $1" "mkdir $1 && sed '$2' pkg/box.ovf >$1/box.ovf && cp pkg/box-disk1.vmdk $1"
}
descriptor entity '1a <!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
refused entity "an external entity" 'box.ovf: OVF: has a document type declaration'
descriptor bomb '1a <!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
refused bomb "an entity bomb" 'document type'
descriptor attached 's|ovf:/disk/vmdisk1|ovf:/disk/other|'
refused attached "a drive without a disk" 'a disk that is not there' 3
check "made: a descriptor of 5 MB" 'mkdir long && { cat pkg/box.ovf; head -c 5000000 /dev/zero | tr "\0" " "; } >long/box.ovf'
refused long "a descriptor that is too long" 'too long' 3
check "made: a deep one" 'mkdir deep && python3 -c "print(\"<Envelope>\" + \"<VirtualSystemCollection>\" * 100000)" >deep/box.ovf'
refused deep "a descriptor that is too deep" 'OVF: line' 3

check "made: a vmdk that names a file of the host" '
    mkdir extent && cp pkg/box.ovf extent && printf "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 16384 FLAT \"../raw.img\" 0\n" >extent/box-disk1.vmdk'
refused extent "a vmdk that names a file outside" 'box-disk1.vmdk: .*outside'
check "made: the same in an archive" '
    sed -i "s|\.\./raw.img|box.ovf|" extent/box-disk1.vmdk && tar -C extent -cf extent.ova box.ovf box-disk1.vmdk'
refused extent.ova "a vmdk in an archive that names another file" 'box-disk1.vmdk: .*cannot have'
check "made: a backing file, in an archive" '
    mkdir backed && qemu-img create -q -f qcow2 -F raw -b "$PWD/raw.img" backed/a.qcow2
    OVF_FORMAT=qcow ovf_text box a.qcow2=8388608 >backed/box.ovf && tar -C backed -cf backed.ova box.ovf a.qcow2'
refused backed.ova "a backing file, in an archive" 'a.qcow2: .*cannot have'
refused backed "a backing file outside the directory" 'a.qcow2: .*outside'

check "made: bombs" '
    { tar -C pkg -cf - --exclude=box-disk1.vmdk . | head -c -10240; python3 -c "
import tarfile
info = tarfile.TarInfo(\"box-disk1.vmdk\"); info.size = 1200 << 20
import sys; sys.stdout.buffer.write(info.tobuf(tarfile.USTAR_FORMAT))"; head -c 1200M /dev/zero; } | xz -0 -T2 >bomb.ova
    [ $(stat -c %s bomb.ova) -lt 1000000 ]'
check "made: a zstd frame whose window is of 2 GiB" '
    python3 - <<"END"
import tarfile
head = tarfile.TarInfo("box.ovf").tobuf(tarfile.USTAR_FORMAT)
open("window.ova", "wb").write(b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + (len(head) << 3 | 1).to_bytes(3, "little") + head)
open("small.ova", "wb").write(b"\x28\xb5\x2f\xfd\x00" + bytes([11 << 3]) + (len(head) << 3 | 1).to_bytes(3, "little") + head)
END'
refused window.ova "a zstd window that takes too much memory" 'window.ova: asks for too much memory'
refused small.ova "and one that does not is looked into" 'box.ovf: OVF: is empty' 3
refused bomb.ova "a compressed archive that becomes far too long" 'bomb.ova: becomes far too long'
check "the scratch file went" '[ -z "$(ls repo/.vmscm/tmp)" ]'
check "made: a gzip disk that is far longer than it says" '
    mkdir gzbomb && head -c 300M /dev/zero | gzip -1 >gzbomb/box-disk1.vmdk
    OVF_FILE="ovf:compression=\"gzip\"" ovf_text box box-disk1.vmdk=8388608 >gzbomb/box.ovf'
refused gzbomb "a compressed disk that becomes longer than it may" 'box-disk1.vmdk: .*too long'
check "made: a gzip disk of no bytes, before others" '
    mkdir gzempty && : >gzempty/box-disk1.vmdk && gzip -c pkg/box-disk1.vmdk >gzempty/more.nvram
    OVF_FILE="ovf:compression=\"gzip\"" ovf_text box box-disk1.vmdk=8388608 >gzempty/box.ovf
    tar -C gzempty --format=ustar -cf gzempty.ova box.ovf box-disk1.vmdk more.nvram'
refused gzempty "a compressed disk of no bytes" 'box-disk1.vmdk: .*is empty' 3
refused gzempty.ova "one in an archive: what follows it is not read" 'box-disk1.vmdk: .*is empty' 3
check -p zip "made: zip archives" '
    python3 - <<"END"
import zipfile
def make(name, add):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as z:
        z.write("pkg/box.ovf", "box.ovf"); z.write("pkg/box-disk1.vmdk", "box-disk1.vmdk"); add(z)
make("climb.zip.ova", lambda z: z.writestr("../evil", "x"))
def link(z):
    info = zipfile.ZipInfo("x.nvram"); info.create_system = 3; info.external_attr = 0o120777 << 16
    z.writestr(info, "/etc/shadow")
make("link.zip.ova", link)
make("twice.zip.ova", lambda z: z.writestr("box.ovf", "other"))
END'
refused climb.zip.ova "a zip member that climbs" '\.\./evil: a name that leaves'
refused link.zip.ova "a zip member that is a link" 'x.nvram: is a symbolic link'
refused twice.zip.ova "two zip members of one name" 'box.ovf: there are two members'

check "made: archives in disguise" '
    tar -C pkg -cf disk.img box.ovf box-disk1.vmdk && tar -C pkg -czf other.raw box.ovf box-disk1.vmdk
    tar -cf inner.ova -C pkg box.ovf box-disk1.vmdk && tar -cf outer.ova inner.ova'
refused disk.img "a disk whose guest wrote an archive into it" 'disk.img: is named as a disk image'
refused other.raw "or a compressed one" 'other.raw: is named as a disk image'
check "as a raw disk it is just that" '
    vmscm -C repo checkin -q --format raw rawdisk "$PWD/disk.img"; vmscm -C repo cat rawdisk | cmp - disk.img
    vmscm -C repo rm -q rawdisk 2>/dev/null || vmscm -C repo rm rawdisk'
check "an archive in an archive is not looked into" '
    vmscm -C repo checkin -q --format raw outer "$PWD/outer.ova" && vmscm -C repo rm outer
    gzip -k outer.ova'
refused outer.ova.gz "nor a packed one" 'holds no machine' 3

check "nothing came of all that" '
    [ "$(vmscm -C repo list --json | jq length)" = 1 ]
    [ -z "$(ls repo/.vmscm/tmp)" ] && [ ! -e evil ] && [ ! -e ../evil ]
    [ -z "$(git -C repo/.vmscm/git rev-list --all --objects | cut -d" " -f1 | git -C repo/.vmscm/git cat-file --batch | grep -a secret)" ]
    vmscm -C repo cat good | cmp - raw.img'

done_testing
