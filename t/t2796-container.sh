#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Containers: root file systems as tar archives, in and out.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

# grown NAME: a root file system of many small files, a few large ones, links, a device that is none
grown() {
    mkdir -p "$1"/etc/init.d "$1"/usr/bin "$1"/usr/share/doc "$1"/var/lib "$1"/dev
    python3 - "$1" <<'END'
import os, random, sys
top, r = sys.argv[1], random.Random(5)
for i in range(900):
    with open(f"{top}/usr/share/doc/file{i:04}", "wb") as f:
        f.write(r.randbytes(r.choice((0, 100, 511, 512, 513, 3000, 4096, 9000))))
for i in range(6):
    with open(f"{top}/usr/bin/tool{i}", "wb") as f:
        f.write(r.randbytes(1500000 + i))
END
    echo 'root:x:0:0::/root:/bin/sh' >"$1/etc/passwd"
    ln -s usr/bin "$1/bin"
    ln -s /usr/bin/tool1 "$1/etc/init.d/tool"
    ln "$1/usr/bin/tool2" "$1/usr/bin/again"
    mkfifo "$1/dev/pipe"
    mkdir -p "$1/var/lib/$(printf 'd%.0s' {1..120})"
    echo deep >"$1/var/lib/$(printf 'd%.0s' {1..120})/$(printf 'f%.0s' {1..90})"
    find "$1" -exec touch -h -d 2024-01-01 {} +
}
pack() { tar --sort=name --numeric-owner --owner=0 --group=0 -C "$1" -cf "$2" "${@:3}" .; }
stored() { du -sb repo/.vmscm/packs | cut -f1; }

grown tree
pack tree first.tar
vmscm init -q repo

check "an archive comes in as a container, and out bit by bit" '
    vmscm -C repo checkin -v ct/web "$PWD/first.tar" 2>log && grep "kind container" log
    vmscm -C repo export ct/web "$PWD/out.tar" && cmp first.tar out.tar && rm out.tar
    vmscm -C repo cat ct/web | cmp - first.tar && vmscm -C repo export --format tar ct/web - | cmp - first.tar'
check "what it is recorded as" '
    vmscm -C repo show --json ct/web >show && jq -e ".hardware.disks == [{id: \"rootfs\", target: null, bus: null, format: \"tar\", size: .hardware.disks[0].size, options: {}}]" show || cat show'
check "packed by gzip, xz and zstd, it is the same" '
    gzip -k first.tar && xz -k -0 first.tar && zstd -q -k first.tar
    for form in gz xz zst; do
        vmscm -C repo checkin --json ct/web "$PWD/first.tar.$form" | jq -e .unchanged
    done'
for format in ustar gnu posix; do
    check "as $format" "
        tar --format=$format -C tree --exclude='ddd*' -cf as.tar . && vmscm -C repo checkin -q ct/as '$PWD/as.tar'
        vmscm -C repo cat ct/as | cmp - as.tar && rm as.tar"
done
check "sparse members, of GNU and of pax; extended attributes" '
    mkdir -p odd/etc odd/usr && truncate -s 3000000 odd/etc/holes
    for i in $(seq 0 60); do echo x | dd of=odd/etc/holes bs=1 seek=$((i * 49152)) conv=notrunc status=none; done
    for format in gnu posix; do
        tar --format=$format -S -C odd -cf sparse.tar . && test "$(stat -c %s sparse.tar)" -lt 1000000
        vmscm -C repo checkin -q ct/sparse "$PWD/sparse.tar" && vmscm -C repo cat ct/sparse | cmp - sparse.tar
    done
    setfattr -n user.a -v b odd/usr && tar --xattrs --format=posix -C odd -cf attr.tar .
    vmscm -C repo checkin -q ct/attr "$PWD/attr.tar" && vmscm -C repo cat ct/attr | cmp - attr.tar'
check "as tar was before POSIX" '
    mkdir -p old/etc old/usr && echo old >old/etc/a && ln old/etc/a old/usr/b && ln -s ../etc/a old/usr/c && tar --format=v7 -C old -cf v7.tar .
    ! grep -q ustar v7.tar && vmscm -C repo checkin -v ct/v7 "$PWD/v7.tar" 2>log && grep "kind container" log && vmscm -C repo cat ct/v7 | cmp - v7.tar
    gzip -k v7.tar && vmscm -C repo checkin --json ct/v7 "$PWD/v7.tar.gz" | jq -e .unchanged'
# A hard link may have the file again, and its header may say a length though it has none.
links() {
    tarball "$1" "
for name in 'etc', 'usr': add(name, type=tarfile.DIRTYPE)
add('etc/a', b'a' * 700), add('usr/b', type=tarfile.LNKTYPE, linkname='etc/a'), add('usr/c', b'c' * 700)
L = tarfile.TarInfo('usr/d'); L.type, L.linkname, L.size = tarfile.LNKTYPE, 'etc/a', 700
out.addfile(L, $2)
add('usr/e', b'e' * 5000), add('usr/f', type=tarfile.LNKTYPE, linkname='usr/e')"
}
for data in "io.BytesIO(b'a' * 700)" None; do
    check "hard links that say a length, with data: $data" "
        links links.tar \"$data\" && vmscm -C repo checkin -q ct/links '$PWD/links.tar' && vmscm -C repo cat ct/links | cmp - links.tar
        vmscm -C repo export -q ct/links '$PWD/links.ext4' && e2fsck -fn links.ext4
        for f in etc/a usr/b usr/d; do debugfs -R \"stat /\$f\" links.ext4 2>/dev/null | grep 'Links: 3'; done
        debugfs -R 'cat /usr/f' links.ext4 2>/dev/null | tr -d e | cmp - /dev/null && rm links.ext4"
done
check "no end, garbage at the end and in the padding" '
    head -c -9000 first.tar >cut.tar && vmscm -C repo checkin -q ct/cut "$PWD/cut.tar" && vmscm -C repo cat ct/cut | cmp - cut.tar
    { cat first.tar && noise 7001 3; } >long.tar && vmscm -C repo checkin -q ct/long "$PWD/long.tar" && vmscm -C repo cat ct/long | cmp - long.tar
    python3 - <<"END"
import tarfile
data = bytearray(open("first.tar", "rb").read())
member = next(m for m in tarfile.open("first.tar") if m.isreg() and m.size % 512 == 100)
data[member.offset_data + member.size + 5] = 7
open("padding.tar", "wb").write(data)
END
    vmscm -C repo checkin -q ct/padding "$PWD/padding.tar" && vmscm -C repo cat ct/padding | cmp - padding.tar && rm -f cut.tar long.tar padding.tar'

# Each file moves by an odd number of blocks of tar, and all directories are newer.
check "a package at the beginning: hardly anything is stored again" '
    mkdir tree/aaa && noise 60000 9 >tree/aaa/package && echo new >tree/aaa/b && find tree -type d -exec touch -d 2024-05-05 {} +
    pack tree second.tar && before=$(stored)
    vmscm -C repo checkin -q ct/web "$PWD/second.tar" && vmscm -C repo cat ct/web | cmp - second.tar
    vmscm -C repo cat ct/web~1 | cmp - first.tar
    echo "# $(($(stored) - before)) bytes of $(stat -c %s second.tar)" && test $((($(stored) - before) * 20)) -lt "$(stat -c %s second.tar)"'
check "the files of a disk image, too, are stored once" '
    truncate -s 64M disk.raw && mke2fs -q -t ext4 -b 4096 -d tree disk.raw && before=$(stored) && vmscm -C repo checkin -q disk "$PWD/disk.raw"
    echo "# $(($(stored) - before)) bytes" && test $((($(stored) - before) * 3)) -lt "$(stat -c %s second.tar)"'

cat >101.conf <<'END'
# Resources
PHYSPAGES="0:524288"
CPUS="2"
VE_ROOT="/vz/root/$VEID"
OSTEMPLATE="debian-12-aarch64"
HOSTNAME="ct.example"
NETIF="ifname=eth0,bridge=vmbr0,mac=00:18:51:AA:BB:01,host_ifname=veth101.0;ifname=eth1"
END
check "with the configuration of OpenVZ beside it" '
    mkdir vz && ln first.tar vz/101.tar && cp 101.conf vz && vmscm -C repo checkin -q ct/vz "$PWD/vz/101.tar" && vmscm -C repo show --json ct/vz >show
    jq -e ".hardware | .cpus == 2 and .memory == 2147483648 and .name == \"ct.example\" and .arch == \"aarch64\"
        and .nics == [{mac: \"00:18:51:aa:bb:01\", model: null, type: \"bridge\", network: \"vmbr0\"}, {mac: null, model: null, type: null, network: null}]" show || cat show
    git -C repo/.vmscm/git cat-file blob ct/vz:config/101.conf | cmp - 101.conf'
check "the only one there, whatever the archive is called; of several, the one of its name" '
    mv vz/101.tar vz/rootfs.tar && vmscm -C repo checkin -q ct/vz2 "$PWD/vz/rootfs.tar" && vmscm -C repo show --json ct/vz2 | jq -e ".hardware.cpus == 2"
    sed s/CPUS=.*/CPUS=5/ 101.conf >vz/102.conf && vmscm -C repo checkin -q ct/vz3 "$PWD/vz/rootfs.tar" 2>log && grep "2 containers" log
    vmscm -C repo show --json ct/vz3 | jq -e ".hardware.cpus == 1"
    mv vz/rootfs.tar vz/102.tar && vmscm -C repo checkin -q ct/vz4 "$PWD/vz/102.tar" && vmscm -C repo show --json ct/vz4 | jq -e ".hardware.cpus == 5"
    vmscm -C repo checkin -q --cpus 3 ct/vz4 "$PWD/vz/102.tar" && vmscm -C repo show --json ct/vz4 | jq -e ".hardware.cpus == 3"'

for command in 'checkout ct/web' 'checkout --format raw ct/web' 'run ct/web' 'nbd ct/web' 'inspect ct/web' 'cat ct/web:/etc/passwd'; do
    check_fails 3 "$command says that there is no disk" "vmscm -C repo $command" 'is a container, which has files but no disk'
done
check "and leaves nothing" 'test ! -e web && test ! -e repo/web'
check_fails 3 "a container as a machine of another kind" 'vmscm -C repo export ct/web "$PWD/x.ova"' 'cannot hold a container'
check_fails 3 "a machine as a container" 'vmscm -C repo export disk "$PWD/x.tar"' 'a machine with disks'
check_fails 4 "one that is called as a disk" 'cp first.tar disk.img && vmscm -C repo checkin bad "$PWD/disk.img"' 'named as a disk image'
check "which it is, if one says so; and a machine again, where a container was" '
    vmscm -C repo checkin -q --format raw ct/web "rootfs=$PWD/disk.img" && vmscm -C repo cat ct/web | cmp - first.tar
    vmscm -C repo show --json ct/web | jq -e ".hardware.disks[0].format == \"raw\""'

# with FILE PYTHON: a root file system with something added
with() {
    check "made: $1" "tarball '$1' \"
add('etc/passwd', b'x')
add('usr/x', b'x')
$2\""
}
refused() {
    check_fails "${4:-4}" "$2" "timeout 30 vmscm -C repo checkin bad '$PWD/$1'" "$3"
}
with climb.tar "add('../evil', b'x')"
refused climb.tar "a member that climbs out" '\.\./evil: a name that leaves'
with absolute.tar "add('/etc/evil', b'x')"
refused absolute.tar "an absolute name" '/etc/evil: a name that leaves'
with hard.tar "add('usr/hard', type=tarfile.LNKTYPE, linkname='../../etc/shadow')"
refused hard.tar "a hard link that climbs out" 'usr/hard: is a hard link to ../../etc/shadow'
with odd.tar "add('odd', type=b'Z')"
refused odd.tar "a member of an unknown kind" 'odd: is a member of an unknown kind'
check "cut in the middle" 'head -c 5000000 first.tar >half.tar'
refused half.tar "a truncated one" 'truncated: the archive ends before its end' 3
check "repository is sound" 'vmscm -C repo fsck -q --full'
done_testing
