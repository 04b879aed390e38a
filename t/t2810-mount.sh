#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Revisions as files: vmscm mount and unmount.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

[ -w /dev/fuse ] || skip_all "no /dev/fuse to use"
sample_disk one.raw 24 1
sample_disk two.raw 8 2
mkdir mnt all probe
vmscm init --bare repo.vmscm >/dev/null 2>&1
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
cat >db.xml <<'END'
<domain type='kvm'><name>db</name><memory unit='GiB'>2</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/x/one.raw'/>
<target dev='vda' bus='virtio'/></disk><disk type='file' device='disk'><driver name='qemu' type='raw'/>
<source file='/x/two.raw'/><target dev='vdb' bus='virtio'/></disk></devices></domain>
END
check 'machines, tags, revisions' '
    vmscm checkin web vda=one.raw -m first
    vmscm tag web golden
    cp one.raw later.raw
    noise 100000 4 | put later.raw 2000000
    vmscm checkin web vda=later.raw -m second
    vmscm checkin qa/db --config=db.xml vda=one.raw vdb=two.raw -m both'
if ! vmscm mount web probe >/dev/null 2>&1; then
    done_testing_early=$(vmscm mount web probe 2>&1 | head -n 1)
    skip_all "cannot mount: $done_testing_early"
fi
vmscm unmount probe

check 'one revision: its disks and configuration, and nothing else' '
    vmscm mount qa/db mnt
    [ "$(cd mnt && find . -type f | sort | tr "\n" " ")" = "./config/domain.xml ./vda.raw ./vdb.raw " ]
    cmp mnt/vda.raw one.raw
    cmp mnt/vdb.raw two.raw
    cmp mnt/config/domain.xml db.xml
    [ "$(stat -c "%s %a" mnt/vdb.raw)" = "$(stat -c %s two.raw) 444" ]
    vmscm unmount mnt
    [ -z "$(ls mnt)" ]'
check 'holes are holes' '
    vmscm mount web:golden mnt
    cp --sparse=never one.raw full.raw
    cp mnt/vda.raw sparse.raw
    cmp sparse.raw one.raw
    python3 - <<END
import os
fd = os.open("mnt/vda.raw", os.O_RDONLY)
disk = open("one.raw", "rb").read()
at, data = 0, 0
while at < len(disk):
    try:
        start = os.lseek(fd, at, os.SEEK_DATA)
    except OSError:
        start = len(disk)
    assert not any(disk[at:start])
    if start == len(disk):
        break
    at = os.lseek(fd, start, os.SEEK_HOLE)
    data += at - start
    for block in range(start, at, 4096):
        assert any(disk[block:block + 4096])
assert 0 < data < len(disk)
END
    vmscm unmount mnt'
# part FILE FIRST SECTORS: those sectors of it
part() {
    dd if="$1" bs=512 skip="$2" count="$3" status=none
}
if [ -n "$(missing sfdisk)" ]; then
    skip 'partitions' 'sfdisk is not installed'
else
check '--partitions: of an MBR, with logical ones' '
    truncate -s 40M mbr.raw
    printf "label: dos\nstart=2048,size=49152,type=83\nstart=51200,type=5\nstart=53248,size=4096,type=83\nstart=59392,size=6144,type=82\n" |
        sfdisk -q mbr.raw
    put mbr.raw 1048576 <one.raw
    noise 2000000 8 | put mbr.raw $((53248 * 512))
    noise 2000000 9 | put mbr.raw $((59392 * 512))
    vmscm checkin parts vda=mbr.raw -m mbr
    vmscm mount --partitions parts mnt
    [ "$(cd mnt && find . | sort | tr "\n" " ")" = ". ./partitions ./partitions/vda1.raw ./partitions/vda5.raw ./partitions/vda6.raw ./vda.raw " ]
    cmp mnt/partitions/vda1.raw one.raw
    part mbr.raw 53248 4096 | cmp - mnt/partitions/vda5.raw
    part mbr.raw 59392 6144 | cmp - mnt/partitions/vda6.raw
    [ "$(debugfs -R "cat /small3" mnt/partitions/vda1.raw 2>/dev/null)" = "small file 3 of 1" ]
    [ "$(stat -c "%s %a" mnt/partitions/vda5.raw)" = "2097152 444" ]
    # Holes are holes, to the end of the partition.
    python3 - <<END
import os
fd = os.open("mnt/partitions/vda5.raw", os.O_RDONLY)
assert os.lseek(fd, 0, os.SEEK_HOLE) == 2002944
try:
    assert not os.lseek(fd, 2002944, os.SEEK_DATA)
except OSError:
    pass
assert os.pread(fd, 100, 4096 * 512 - 10) == bytes(10)
END
    [ ! -e mnt/partitions/vda2.raw ] && [ ! -e mnt/partitions/vda1.raw/x ] && [ ! -e mnt/partitionsx ]
    vmscm unmount mnt
    vmscm mount parts mnt
    [ ! -e mnt/partitions ]
    [ "$(ls mnt)" = vda.raw ]
    vmscm unmount mnt'
check '--partitions: of a GPT, also if its first table is damaged; the tree of all has them' '
    truncate -s 40M gpt.raw
    printf "label: gpt\nstart=2048,size=49152\nstart=53248,size=4096\n" | sfdisk -q gpt.raw
    put gpt.raw 1048576 <one.raw
    cp gpt.raw second.raw
    noise 512 1 | put second.raw 512
    cp gpt.raw neither.raw
    noise 512 1 | put neither.raw 512
    noise 512 1 | put neither.raw $((40 * 1048576 - 512))
    vmscm checkin parts nvme0=gpt.raw vda=second.raw vdb=neither.raw vdc=one.raw -m gpt
    vmscm mount --partitions --foreground --all all >said 2>&1 &
    for _ in $(seq 100); do [ -e all/parts/latest ] && break; sleep 0.05; done
    there=all/parts/latest/partitions
    [ "$(cd $there && find . -type f | sort | tr "\n" " ")" = "./nvme0p1.raw ./nvme0p2.raw ./vda1.raw ./vda2.raw " ]
    cmp $there/nvme0p1.raw one.raw
    cmp $there/vda1.raw one.raw
    part gpt.raw 53248 4096 | cmp - $there/vda2.raw
    vmscm unmount all
    wait
    [ "$(grep -c "^vmscm: warning: revision [0-9a-f]*: vdb: malformed partition table" said)" = 1 ]
    vmscm rm parts'
fi
check 'nothing in it can be changed' '
    vmscm mount web mnt
    ! touch mnt/new 2>/dev/null
    ! rm -f mnt/vda.raw 2>/dev/null
    ! dd if=/dev/zero of=mnt/vda.raw bs=512 count=1 conv=notrunc 2>/dev/null
    [ ! -e mnt/nosuch ] && [ ! -e mnt/vda.raw/below ]
    vmscm unmount mnt'
check 'many readers at once' '
    vmscm mount web mnt
    pids=
    for i in $(seq 32); do
        cmp mnt/vda.raw later.raw &
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid"; done
    vmscm unmount mnt'

check 'all: a tree of machines, tags and revisions' '
    vmscm mount --all all
    [ "$(ls all | tr "\n" " ")" = "qa web " ]
    [ "$(ls all/qa)" = db ]
    [ "$(ls all/web | tr "\n" " ")" = "latest revisions tags " ]
    [ "$(ls all/web/tags)" = golden ]
    [ "$(ls all/web/revisions | wc -l)" = 2 ]
    cmp all/web/latest/vda.raw later.raw
    cmp all/web/tags/golden/vda.raw one.raw
    cmp all/qa/db/latest/vdb.raw two.raw
    cmp all/qa/db/latest/config/domain.xml db.xml
    for id in $(ls all/web/revisions); do [ -f "all/web/revisions/$id/vda.raw" ]; done
    for bad in x web/x web/tags/x web/tags/golden/x web/latest/x web/revisions/x web/revisions/0123456789ab \
        qa/latest web/latest/vda.raw/x; do
        [ ! -e "all/$bad" ] || fail "$bad is there"
    done'
check 'all: what comes later appears' '
    vmscm checkin new vda=two.raw -m new
    vmscm tag web:golden later
    sleep 1.2
    cmp all/new/latest/vda.raw two.raw
    cmp all/web/tags/later/vda.raw one.raw
    vmscm tag -d web:later
    sleep 1.2
    [ ! -e all/web/tags/later ]'
check 'all: what is open outlives its machine, and gc' '
    exec 5<all/new/latest/vda.raw
    vmscm config gc.reflogExpire now
    vmscm rm new
    vmscm gc --grace=0
    cmp - two.raw <&5
    exec 5<&-'
check_fails 3 'in use: not unmounted' '
    exec 5<all/web/latest/vda.raw
    vmscm unmount all' 'in use'
check 'lazily it is' '
    exec 5<all/web/latest/vda.raw
    vmscm unmount --lazy all
    [ -z "$(ls all)" ]
    cmp - later.raw <&5'

check 'in the foreground: until it is interrupted' '
    vmscm mount --foreground web mnt >said &
    pid=$!
    for _ in $(seq 100); do [ -e mnt/vda.raw ] && break; sleep 0.05; done
    cmp mnt/vda.raw later.raw
    kill -TERM $pid
    wait $pid || true
    [ -z "$(ls mnt)" ]'
check 'the server is killed: a hint, and it can be cleared away' '
    vmscm mount --foreground web mnt >said &
    pid=$!
    for _ in $(seq 100); do [ -e mnt/vda.raw ] && break; sleep 0.05; done
    kill -KILL $pid
    wait $pid || true
    rc=0
    vmscm mount web mnt 2>said || rc=$?
    [ $rc = 3 ]
    grep -q "^vmscm: mnt: a mount whose server has died" said
    grep -q "^hint: vmscm unmount mnt" said
    vmscm unmount mnt
    vmscm mount web mnt
    vmscm unmount mnt'

check_fails 1 'no such revision' 'vmscm mount nosuch mnt' nosuch
check_fails 3 'no such directory' 'vmscm mount web nosuch' 'nosuch'
check_fails 3 'no directory' 'vmscm mount web one.raw' 'Not a directory'
check_fails 2 'no directory given' 'vmscm mount web' 'a revision and a directory'
check_fails 2 '--all with a revision' 'vmscm mount --all web mnt' 'just a directory'
check_fails 1 'not a mount' 'vmscm unmount mnt' 'not a mount'
check_fails 1 'not a mount of ours' 'vmscm unmount /proc' 'not a mount of vmscm'
check_fails 3 'twice on one directory' '
    vmscm mount web mnt
    rc=0
    vmscm mount web mnt || rc=$?
    vmscm unmount mnt
    exit $rc' 'already'
check_fails -p 'ROOT setpriv' 3 'a user without the right to mount: a hint' '
    chmod 755 "$TEST_DIR" "$TEST_DIR/work" mnt
    chmod -R a+rX repo.vmscm
    mkdir -p user && chmod 777 user
    cp -r "$VMSCM_BUILD/vmscm" "$VMSCM_BUILD"/libvmscm.so* user/ 2>/dev/null || true
    mode=$(stat -c %a /dev/fuse)
    unshare -m sh -c "
        mkdir -p user/dev && mount -t tmpfs none user/dev && : >user/dev/fuse && chmod 600 user/dev/fuse &&
        mount --bind user/dev/fuse /dev/fuse &&
        LD_LIBRARY_PATH=$PWD/user exec setpriv --reuid=65534 --regid=65534 --clear-groups \
            env HOME=/nonexistent VMSCM_DIR=$PWD/repo.vmscm user/vmscm mount web mnt"' '/dev/fuse'

cp -r repo.vmscm bad.vmscm
no_fsck bad.vmscm
check 'a damaged chunk: an error there, a line that names it, and the rest is right' '
    pack=$(ls -S bad.vmscm/packs/pack-* | head -n 1)
    chmod u+w "$pack"
    noise 64 3 | put "$pack" 1000000
    VMSCM_DIR=$PWD/bad.vmscm vmscm mount --foreground web:golden mnt >said 2>&1 &
    for _ in $(seq 100); do [ -e mnt/vda.raw ] && break; sleep 0.05; done
    python3 - <<END
import os
fd = os.open("mnt/vda.raw", os.O_RDONLY)
want = open("one.raw", "rb").read()
bad = good = 0
for at in range(0, len(want), 65536):
    try:
        got = os.pread(fd, 65536, at)
        assert got == want[at:at + len(got)]
        good, bad = (good + 1, bad) if len(got) == 65536 else (good, bad + 1)
    except OSError:
        bad += 1
assert 0 < bad < good / 4, (bad, good)
END
    vmscm unmount mnt
    wait
    grep -q "^vmscm: warning: revision [0-9a-f]*: vda, offset [0-9]*: chunk [0-9a-f]*: " said'

done_testing
