#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# XVA archives, as XenServer and XCP-ng have them, on their way in and out.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"
# shellcheck source=t/lib-xva.sh
. "$TEST_SOURCE/t/lib-xva.sh"
[ -n "$xva_python" ] || skip_all "python3-xxhash is not installed"

sample_disk raw.img 40
truncate -s 42000384 raw.img
sample_disk data.img 8 2
vmscm init -q repo
cd repo || exit 1
vmscm checkin -q raw ../raw.img

check "an archive, by the book: nothing is copied, nothing stored anew" '
    xva box.xva ../raw.img
    [ $(tar -tf box.xva | wc -l) -lt 80 ]
    strace -f -e trace=mkdir,mkdirat -o trace vmscm checkin --json box box.xva | jq -e ".new == 0"
    [ -s trace ] && [ -z "$(grep /tmp/bundle trace)" ]
    vmscm cat box | cmp - ../raw.img'
check "its machine" '
    machine box | jq -e ".name == \"xen & box\" and .cpus == 2 and .memory == 2147483648 and .firmware == \"uefi\" and .secure_boot
        and ([.disks[] | [.id, .target, .bus]] == [[\"xvdb\", \"xvdb\", \"xen\"]])
        and ([.nics[] | [.mac, .type, .network]] == [[\"52:54:00:ab:00:01\", \"network\", \"LAN\"]])"
    git -C .vmscm/git cat-file blob box:config/ova.xml | cmp - <(tar -xOf box.xva ova.xml)'
check "with SHA-1" 'xva sha1.xva ../raw.img "sum = \"checksum\"" && vmscm checkin --json box sha1.xva | jq -e .unchanged'
for pack in gzip zstd; do
    check -p $pack "packed with $pack" '
        '$pack' -q <box.xva >'$pack'.xva
        strace -f -e trace=mkdir,mkdirat -o trace vmscm checkin --json box '$pack'.xva | jq -e .unchanged
        [ -s trace ] && [ -z "$(grep /tmp/bundle trace)" ] && [ -z "$(ls .vmscm/tmp)" ]'
done
check -p xz "with xz, and in a new repository, by any number of threads" '
    xz -0 <box.xva >xz.xva
    for jobs in 1 2 7; do
        vmscm init -q ../fresh$jobs && vmscm -C ../fresh$jobs checkin -q -j $jobs box "$PWD/xz.xva"
        vmscm -C ../fresh$jobs cat box | cmp - ../raw.img && vmscm -C ../fresh$jobs fsck -q --full && rm -rf ../fresh$jobs
    done'
check "empty blocks use up numbers, and stand for nothing" '
    xva idle.xva ../raw.img "
out = []
shift = 0
for n, piece in blocks:
    if n in (0, 5, 6):
        pass
    out.append((n + shift, piece))
    if n in (0, 3, 20):
        shift += 1
        out.append((n + shift, b\"\"))
        shift += 1
        out.append((n + shift, b\"\"))
blocks = out"
    [ "$(tar -tvf idle.xva | grep -c " 0 1970.*Ref:7/[0-9]*$")" -ge 2 ]
    vmscm checkin --json box idle.xva | jq -e .unchanged'
check "blocks of another length than 1 MiB" '
    xva small.xva ../raw.img "blocks = [(n, data[at:at + 65536]) for n, at in enumerate(range(0, len(data), 65536)) if data[at:at + 65536].strip(b\"\\0\") or at in (0, (len(data) - 1) // 65536 * 65536)]"
    vmscm checkin --json box small.xva | jq -e .unchanged'
check "a 300 GiB disk of 150,000 members" '
    truncate -s 1M one && "$xva_python" - <<"END"
import tarfile, xxhash
sum = xxhash.xxh64(b"x" * 512).hexdigest().upper().encode()
text = tarfile.open("box.xva").extractfile("ova.xml").read().replace(b"<value>42000384<", b"<value>%d<" % (75000 * 512))
with open("many.xva", "wb") as out:
    def put(name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        out.write(info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512))
    put("ova.xml", text)
    for n in range(75000):
        put("Ref:7/%08d" % n, b"x" * 512)
        put("Ref:7/%08d.xxhash" % n, sum)
END
    vmscm checkin -q many many.xva && vmscm cat many | tr -d x | wc -c | grep -x 0'
check "a snapshot beside the machine, which can be asked for by its name" '
    rc=0; vmscm checkin bad --system old box.xva 2>e || rc=$?; [ $rc = 3 ]; grep "its machine has no disk" e
    rc=0; vmscm checkin bad --system nobody box.xva 2>e || rc=$?; [ $rc = 2 ]; grep "has no machine nobody" e'

# A sanitizer's shadow is larger than any limit.
limit='ulimit -v 2000000'
[ "${VMSCM_TEST_VARIANT:-}" = asan ] && limit=:

# refused WHAT CODE TEXT [STATUS]
refused() {
    check_fails "${4:-4}" "$1" "xva bad.xva ../raw.img '$2'; $limit; timeout 60 vmscm checkin bad bad.xva" "$3"
}
refused "a block that is not what its digest says" 'hook = lambda name, b: [(name, b[:-1] + b"!" if name == "Ref:7/%08d" % blocks[2][0] else b)]' 'Ref:7: the block of 1048576 bytes at [0-9]* of the disk is not what its digest says'
check "unless that is known" 'vmscm checkin -q --no-manifest known bad.xva'
refused "a block twice" 'blocks.insert(1, blocks[0])' 'Ref:7/00000000: is out of order'
refused "blocks out of order" 'blocks[1], blocks[2] = blocks[2], blocks[1]' 'is out of order'
refused "the last block is missing" 'blocks.pop()' 'the last block is missing'
refused "the first block is missing" 'blocks.pop(0)' 'first block is missing'
refused "a block beyond the end" 'blocks.append((blocks[-1][0] + 1, b"x" * 512))' 'beyond the end'
refused "a number beyond all bounds" 'blocks.insert(1, (99999999, b"x"))' 'beyond the end'
refused "a number of too many digits" 'extra = [("Ref:7/99999999999999999999", b"x")]' 'no block of a disk'
refused "a block without a digest" 'hook = lambda name, b: [] if name.endswith("1.xxhash") else [(name, b)]' 'has no digest'
refused "the last one, too" 'hook = lambda name, b: [] if name.endswith("%08d.xxhash" % blocks[-1][0]) else [(name, b)]' 'last block has no digest'
refused "a digest without a block" 'extra = [("Ref:7/00000000.xxhash", b"0" * 16)]' 'does not follow its block'
refused "a digest that is none" 'hook = lambda name, b: [(name, b[:5] if name.endswith("0.xxhash") else b)]' 'is no digest'
refused "another member in the disks folder" 'extra = [("Ref:7/evil", b"x")]' 'no block of a disk'
refused "a member that climbs" 'extra = [("Ref:7/../../evil", b"x")]' 'evil: a name that leaves'
refused "an external entity" 'ova = "<!DOCTYPE value [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>" + ova' 'document type'
refused "a disk that is not there" 'ova = ova.replace("<value>Ref:7</value></member><member><name>type", "<value>Ref:8</value></member><member><name>type")' 'that is not there' 3
refused "a disk of no size" 'ova = ova.replace(str(size), "0")' 'virtual_size' 3
refused "a disk of 2^63 bytes" 'ova = ova.replace(str(size), str(1 << 63))' 'virtual_size' 3
refused "no machine" 'ova = "<value><struct></struct></value>"' 'no list of objects' 3
refused "no XML" 'ova = "x"' 'ova.xml' 3
check_fails 4 "a link" 'tarball link.xva "
add(\"ova.xml\", read(\"trace\"), type=tarfile.SYMTYPE, linkname=\"/etc/passwd\")"; vmscm checkin bad link.xva' 'ova.xml: is a symbolic link'
check_fails 3 "cut short" 'head -c 5000000 box.xva >short.xva; vmscm checkin bad short.xva' 'truncated'
check_fails 3 "cut short, packed" 'gzip <short.xva >short.xva.gz; vmscm checkin bad short.xva.gz' 'truncated'
check_fails 3 "packed, and cut short" 'head -c 5000000 gzip.xva >cut.xva; vmscm checkin bad cut.xva' 'cut.xva: .*truncated'
check_fails 4 "packed, with a block that is not what its digest says" '
    xva bad.xva ../raw.img "hook = lambda name, b: [(name, b[:-1] + b\"!\" if name == \"Ref:7/%08d\" % blocks[2][0] else b)]"
    zstd -q <bad.xva >bad.xva.zst; vmscm checkin bad bad.xva.zst' 'is not what its digest says'
check "which is passed over if one says so" 'vmscm checkin -q --no-manifest known bad.xva.zst'
check_fails 3 "a directory of it" 'mkdir dir && tar -C dir -xf box.xva && vmscm checkin bad dir' 'must be an archive'

odd_machine >odd.xml
vmscm checkin -q --config odd.xml web ../raw.img ../data.img ../c.img
check "out: blocks of 1 MiB, each with its digest, none of zeros but the first and last" '
    vmscm export --json box out.xva | jq -e ".format == \"xva\""
    diff <(tar -tf out.xva | sed s/Ref:1/Ref:7/) <(tar -tf box.xva)
    "$xva_python" - <<"END"
import tarfile, xxhash
t = tarfile.open("out.xva")
raw = open("../raw.img", "rb").read()
for m in t:
    if m.name.startswith("Ref:1/") and not m.name.endswith("h"):
        at = int(m.name[6:]) << 20
        data = t.extractfile(m).read()
        assert data == raw[at:at + (1 << 20)]
        assert t.extractfile(m.name + ".xxhash").read().decode() == "%016X" % xxhash.xxh64(data).intdigest()
END'
check -p xmllint "its descriptor is XML" 'tar -xOf out.xva ova.xml | xmllint --noout -'
check "in again" 'vmscm checkin --json again out.xva | jq -e ".new == 0" && same_machine box again'
check "a machine that Xen has no words for: all of it comes back" '
    vmscm export -q web web.xva 2>w
    grep "disk vda is on xen: XVA has no virtio" w; tar -xOf web.xva ova.xml | grep "XVA has no virtio"
    vmscm checkin --json web2 web.xva | jq -e ".new == 0"
    same_machine web web2
    for d in vda nvme0n1 sda; do cmp <(vmscm cat web2:$d) <(vmscm cat web:$d); done'
check -p zstd "packed, too: of several disks, in whatever order they are" '
    zstd -q <web.xva >web.zst && vmscm checkin --json web2 web.zst | jq -e .unchanged
    "$xva_python" - <<"END"
import tarfile
t, out = tarfile.open("web.xva"), tarfile.open("turned.xva", "w", format=tarfile.USTAR_FORMAT)
members = t.getmembers()
for m in members[:1] + sorted(members[1:], key=lambda m: m.name.split("/")[0], reverse=True):
    out.addfile(m, t.extractfile(m))
out.close()
END
    [ "$(tar -tf turned.xva | sed -n 2p)" != "$(tar -tf web.xva | sed -n 2p)" ]
    gzip -1 <turned.xva >turned.gz && vmscm checkin --json web2 turned.gz | jq -e .unchanged'
check "the same bytes in a pipe and a file, whatever the number of threads" '
    vmscm export -q -j 1 --format xva web - 2>/dev/null | cat >pipe.xva && cmp pipe.xva web.xva'
check "a new identity" '
    vmscm export -q --new-identity box new.xva
    [ -z "$(tar -xOf new.xva ova.xml | grep -i 52:54)" ]
    vmscm checkin -q new new.xva && machine new | jq -e ".nics[0].mac == null and .nics[0].network == \"LAN\""'
check "the same machine as OVA, XVA and libvirt: stored once" '
    vmscm init -q ../vendors && vmscm export -q web web.ova 2>w && vmscm export -q web web.xml 2>w
    cd ../vendors && vmscm checkin --json a ../repo/web.xva >a && vmscm checkin --json b ../repo/web.ova >b
    vmscm checkin --json c ../repo/web.xml >c
    jq -e ".new > 10000000" a; jq -e ".new == 0" b; jq -e ".new == 0" c
    same_machine a b; same_machine a c'

done_testing
