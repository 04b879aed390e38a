#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Containers as disks: an ext4 file system with all that the archive has, which e2fsck accepts.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

# Owners, devices and attributes that only root could make on a disk are in an archive for everyone.
make_archive() {
    tarball "$1" "
import random
r = random.Random(7)
def pax(name, headers, data=b'', **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.pax_headers = headers
    for key, value in fields.items():
        setattr(info, key, value)
    out.addfile(info, io.BytesIO(data))
out.format, out.encoding, out.errors = tarfile.PAX_FORMAT, 'utf-8', 'surrogateescape'
D, S, L, C, B, F = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
pax('./', {'mtime': '1700000000.123456789'}, type=D, mode=0o755)
for name in 'etc', 'usr', 'usr/bin', 'usr/share', 'dev', 'var', 'many', 'tmp':
    pax('./' + name + '/', {'mtime': '1600000000.5'}, type=D, mode=0o1777 if name == 'tmp' else 0o755)
pax('./etc/passwd', {'SCHILY.xattr.user.note': 'hello', 'SCHILY.xattr.security.capability': 'x' * 20}, b'root:x:0:0::/:/bin/sh\n', mode=0o644, mtime=-86400)
pax('./etc/later', {'mtime': '9999999999.999999999'}, b'x', mode=0o600, uid=100000, gid=4000000000)
pax('./etc/listed', {'SCHILY.acl.access': 'user::rwx\nuser:lisa:r-x:502\ngroup::r-x\nmask::r-x\nother::r-x\n'}, b'y')
pax('./etc/attributes', {'SCHILY.xattr.user.long': 'l' * 3000}, b'z')
for i in range(2500):
    pax('./many/a-file-with-a-name-of-some-length-%04d' % i, {}, r.randbytes(r.choice((0, 1, 100, 4096, 5000))), mode=0o640, uid=i, gid=i + 1, mtime=1500000000 + i)
pax('./many/\u00e4\u00f6\u00fc', {}, b'umlauts')
pax('./usr/bin/large', {}, r.randbytes(9000000), mode=0o4755)
pax('./usr/bin/again', {}, type=L, linkname='./usr/bin/large')
pax('./bin', {}, type=S, linkname='usr/bin', mode=0o777)
pax('./usr/share/59', {}, type=S, linkname='f' * 59, mode=0o777)
pax('./usr/share/60', {}, type=S, linkname='s' * 60, mode=0o777)
pax('./usr/share/4095', {}, type=S, linkname='p' * 4095, mode=0o777)
pax('./dev/null', {}, type=C, devmajor=1, devminor=3, mode=0o666)
pax('./dev/large', {}, type=B, devmajor=300, devminor=70000, mode=0o660)
pax('./dev/pipe', {}, type=F, mode=0o600)
pax('./' + 'd' * 255 + '/', {}, type=D, mode=0o755)
pax('./' + 'd' * 255 + '/' + 'f' * 255, {}, b'deep')
"
}
make_archive root.tar
vmscm init -q repo && vmscm -C repo checkin -q ct "$PWD/root.tar"

check "all that the archive has is in an ext4 file system" '
    vmscm -C repo export ct "$PWD/ct.ext4" 2>log && ! grep warning log && e2fsck -fn ct.ext4
    "$TEST_SOURCE/t/ext4files.py" root.tar ct.ext4'
check "an access list, with the number of who is in it" '
    debugfs -R "ea_get -x /etc/listed system.posix_acl_access" ct.ext4 2>&1 | grep "02 00 05 00 f6 01 00 00" ||
    debugfs -R "ea_list /etc/listed" ct.ext4 2>&1 | tee /dev/stderr | grep "system.posix_acl_access"'
check "capabilities are where they are looked for" 'debugfs -R "ea_list /etc/passwd" ct.ext4 2>&1 | grep "security.capability (20)"'
check "long symbolic links" '
    for n in 60 4095; do debugfs -R "cat /usr/share/$n" ct.ext4 2>/dev/null | wc -c; done | paste -s | grep "60.4095"
    test "$(debugfs -R "cat /usr/share/60" ct.ext4 2>/dev/null)" = "$(printf "s%.0s" {1..60})"'
check "the same bytes again, to a file and to a pipe" '
    sleep 1.1 && vmscm -C repo export -q --format ext4 ct "$PWD/twice.ext4" && cmp ct.ext4 twice.ext4 && rm twice.ext4
    vmscm -C repo export --format ext4 ct - | cmp - ct.ext4'
check "another revision has another UUID" '
    make_archive second.tar && vmscm -C repo checkin -q other "$PWD/second.tar" -m other && vmscm -C repo export -q other "$PWD/other.ext4"
    uuid() { dumpe2fs -h "$1" 2>/dev/null | grep UUID; } && test -n "$(uuid ct.ext4)" && test "$(uuid ct.ext4)" != "$(uuid other.ext4)" && rm other.ext4'
check "as qcow2, to a file and to a pipe; and nothing is left in the repository" '
    vmscm -C repo export -q --format ext4-qcow2 ct "$PWD/ct.qcow2" && qemu-img compare -q -f qcow2 -F raw ct.qcow2 ct.ext4
    vmscm -C repo export --format ext4-qcow2 ct - | cmp - ct.qcow2 && test -z "$(ls -A repo/.vmscm/tmp)"'
check "many files of no bytes, which take but inodes" '
    python3 - <<"END"
import tarfile
with open("many.tar", "wb") as f:
    for n in range(40000):
        info = tarfile.TarInfo(("etc/%d" if n % 2 else "usr/%d") % n)
        f.write(info.tobuf(tarfile.USTAR_FORMAT))
    f.write(bytes(1024))
END
    vmscm -C repo checkin -q many "$PWD/many.tar" && vmscm -C repo export -q many "$PWD/many.ext4" && e2fsck -fn many.ext4 2>&1 | grep "40013/"
    rc=0; vmscm -C repo export -q --size 8 many "$PWD/x.ext4" 2>log || rc=$?; [ $rc = 3 ] && grep "do not fit into 8 MiB: some" log && rm many.tar many.ext4'
check "with a size that is asked for" '
    vmscm -C repo export -q --size 300 ct "$PWD/large.ext4" && test "$(stat -c %s large.ext4)" = $((300 << 20)) && e2fsck -fn large.ext4
    vmscm -C repo export -q --size 40 ct "$PWD/small.ext4" && test "$(stat -c %s small.ext4)" = $((40 << 20)) && e2fsck -fn small.ext4
    "$TEST_SOURCE/t/ext4files.py" root.tar small.ext4 && rm -f large.ext4 small.ext4'
check_fails 3 "with one that is too small" 'vmscm -C repo export --size 12 ct "$PWD/x.ext4"' 'do not fit into 12 MiB: some [0-9]* MiB are needed'
check_fails 2 "a size of what has none" 'vmscm -C repo export --size 12 ct "$PWD/x.tar"' 'no size to choose'
check "and leaves nothing" 'test -z "$(ls -A x.* .x* 2>/dev/null)"'
check "it can grow" 'truncate -s 500M ct.ext4 && resize2fs ct.ext4 && e2fsck -fn ct.ext4'
check "and comes in as a disk, whose files are stored already" '
    before=$(du -sb repo/.vmscm/packs | cut -f1) && rm ct.ext4 && vmscm -C repo export -q --format ext4 ct "$PWD/ct.raw" && vmscm -C repo checkin -q disk "$PWD/ct.raw"
    echo "# $(($(du -sb repo/.vmscm/packs | cut -f1) - before)) bytes of $(stat -c %s root.tar)"
    test $((($(du -sb repo/.vmscm/packs | cut -f1) - before) * 3)) -lt "$(stat -c %s root.tar)" && rm ct.raw'

for format in gnu posix; do
    check "sparse files, as $format has them" "
        mkdir -p odd/etc odd/usr && truncate -s 3000000 odd/etc/holes && truncate -s 90M odd/etc/empty
        for i in \$(seq 0 60); do echo x | dd of=odd/etc/holes bs=1 seek=\$((i * 49152 + i)) conv=notrunc status=none; done
        tar --format=$format -S -C odd -cf sparse.tar . && vmscm -C repo checkin -q sparse '$PWD/sparse.tar'
        vmscm -C repo export -q sparse '$PWD/sparse.ext4' && e2fsck -fn sparse.ext4
        \"\$TEST_SOURCE/t/ext4files.py\" sparse.tar sparse.ext4 && rm sparse.ext4"
done
check "as bsdtar's and pax's older maps have them" '
    python3 - <<"END"
import io, tarfile
out = tarfile.open("old.tar", "w", format=tarfile.PAX_FORMAT)
for name in "etc", "usr":
    info = tarfile.TarInfo(name); info.type = tarfile.DIRTYPE; info.mode = 0o755; out.addfile(info)
info = tarfile.TarInfo("GNUSparseFile.0/etc/holes")
info.size = 700
info.pax_headers = {"GNU.sparse.map": "0,500,9000,200", "GNU.sparse.size": "20000", "GNU.sparse.name": "etc/holes"}
out.addfile(info, io.BytesIO(b"a" * 500 + b"b" * 200))
out.close()
END
    vmscm -C repo checkin -q old "$PWD/old.tar" && vmscm -C repo export -q old "$PWD/old.ext4" && e2fsck -fn old.ext4
    "$TEST_SOURCE/t/ext4files.py" old.tar old.ext4'

check "members of one name, and links on the way to one, are as tar unpacks them" '
    tarball twice.tar "
D, S, L = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
add(\"etc/a\", b\"old\"), add(\"etc/b\", type=L, linkname=\"etc/a\"), add(\"etc/a\", b\"new\")
add(\"usr/lib/x\", b\"1\"), add(\"lib\", type=S, linkname=\"/usr/lib\"), add(\"lib/y\", b\"2\"), add(\"usr/lib\", type=D, mode=0o700)
add(\"etc/c\", b\"c\"), add(\"etc/c\", type=D, mode=0o711)"
    vmscm -C repo checkin -q twice "$PWD/twice.tar" && vmscm -C repo export -q twice "$PWD/twice.ext4" && e2fsck -fn twice.ext4
    for f in /etc/a=new /etc/b=old /usr/lib/x=1 /usr/lib/y=2; do test "$(debugfs -R "cat ${f%=*}" twice.ext4 2>/dev/null)" = "${f#*=}"; done
    debugfs -R "stat /usr/lib" twice.ext4 2>&1 | grep "directory *Mode: *0700" && debugfs -R "stat /etc/c" twice.ext4 2>&1 | grep "directory *Mode: *0711"'
check "attributes that ext4 cannot hold are a warning" '
    python3 - <<"END"
import io, tarfile
out = tarfile.open("odd.tar", "w", format=tarfile.PAX_FORMAT)
for name, headers in ("etc/a", {"SCHILY.xattr.user.long": "l" * 9000}), ("usr/b", {"SCHILY.xattr.com.apple.x": "1", "SCHILY.acl.access": "user::rwx\nuser:joe:rwx\n"}):
    info = tarfile.TarInfo(name); info.pax_headers = headers; out.addfile(info, io.BytesIO(b""))
out.close()
END
    vmscm -C repo checkin -q odd "$PWD/odd.tar" && vmscm -C repo export -q odd "$PWD/odd.ext4" 2>log && e2fsck -fn odd.ext4
    grep "etc/a: user.long is left out" log && grep "usr/b: com.apple.x is left out" log && grep "usr/b: entries of its access control list are left out" log'
# It came in, since it comes out as it was; but nobody could unpack it.
refused() {
    tarball bad.tar "add('etc/passwd', b'x'), add('usr/x', b'x'), $3"
    vmscm -C repo checkin -q bad "$PWD/bad.tar"
    check_fails "$1" "$2" 'vmscm -C repo export bad "$PWD/bad.ext4"' "$4"
}
refused 3 "a file in a file" "add('etc/passwd/x', b'')" 'etc/passwd/x: leads through a file that is no directory'
refused 3 "a hard link to nothing" "add('etc/x', type=tarfile.LNKTYPE, linkname='etc/y')" 'etc/x: is a hard link to etc/y, which is not there'
refused 3 "links in a circle" "add('a', type=tarfile.SYMTYPE, linkname='b'), add('b', type=tarfile.SYMTYPE, linkname='a'), add('a/x')" 'a/x: leads through'
refused 3 "a symbolic link to nothing" "add('a', type=tarfile.SYMTYPE)" 'a: is a symbolic link to nothing'
check "a killed one leaves nothing that the next one does not remove" '
    { timeout -s KILL 0.05 vmscm -C repo export -q ct "$PWD/killed.ext4" || true; } && rm -f killed.ext4
    vmscm -C repo export -q ct "$PWD/killed.ext4" && e2fsck -fn killed.ext4 && test "$(find . -maxdepth 1 -name "*killed*" | wc -l)" = 1'
check "repository is sound" 'vmscm -C repo fsck -q --full'
done_testing
