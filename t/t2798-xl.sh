#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Xen's own configurations, of xl and xm, with their disks beside them.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk raw.img
sample_disk data.img 8 2
vmscm init -q repo
mkdir xen
cp raw.img xen/root.img
cp data.img xen/lv-data
qemu-img convert -q -O qcow2 data.img xen/more.qcow2
qemu-img convert -q -O vpc -o force_size=on data.img xen/old.vhd
cat >xen/web.cfg <<'END'
# a guest; disk = ['file:/etc/shadow,xvda,w']
name = "web"   # its name
type = 'hvm'; vcpus = 2
memory = 1536
firmware="ovmf"
vif = [ 'mac=00:16:3E:01:02:03, bridge=xenbr0, model=e1000',
        "bridge=xenbr1" ] # two
disk = [
    '/dev/vg/root.img,raw,xvda,rw',   # ours
    'phy:/dev/vg/lv-data,xvdb,w',
    'format=qcow2, vdev=hdc, access=rw, target=/srv/more.qcow2',
    "tap:vhd:/srv/old.vhd,sdd,w",
    'file:/iso/debian.iso,hdd:cdrom,r', '/iso/x.iso,,hde,cdrom',
]
cpus = [0, 1]
on_crash = 'restart'
END

check "a configuration and its disks" '
    vmscm -C repo checkin -v web "$PWD/xen" 2>log && grep "kind xl" log
    vmscm -C repo cat web:xvda | cmp - raw.img
    for d in xvdb hdc sdd; do vmscm -C repo cat web:$d | cmp - data.img; done'
check "its machine" '
    cd repo && machine web | jq -e ".name == \"web\" and .cpus == 2 and .memory == 1610612736 and .firmware == \"uefi\" and .machine_type == \"xenfv\" and
        ([.disks[] | [.id, .bus]] == [[\"hdc\", \"ide\"], [\"sdd\", \"scsi\"], [\"xvda\", \"xen\"], [\"xvdb\", \"xen\"]] or
        ([.disks[] | [.id, .bus]] == [[\"xvda\", \"xen\"], [\"xvdb\", \"xen\"], [\"hdc\", \"ide\"], [\"sdd\", \"scsi\"]])) and
        ([.nics[] | [.model, .type, .network, .mac]] == [[\"e1000\", \"bridge\", \"xenbr0\", \"00:16:3e:01:02:03\"], [null, \"bridge\", \"xenbr1\", null]])"
    git -C .vmscm/git cat-file blob web:config/web.cfg | cmp - ../xen/web.cfg'
check "by its name, whatever that is" 'vmscm -C repo checkin --json web "$PWD/xen/web.cfg" | jq -e .unchanged
    cp -r xen other && mv other/web.cfg other/web && vmscm -C repo checkin --json web2 "$PWD/other/web" | jq -e ".new == 0"'
check "as an archive" 'tar cf xen.tar xen && vmscm -C repo checkin --json tar "$PWD/xen.tar" | jq -e ".new == 0"'
check "a raw disk that its guest made look like another stays raw" '
    cp -r xen guest && qemu-img create -q -f qcow2 -F raw -b /etc/passwd guest/evil 1M && put guest/root.img 0 <guest/evil && rm guest/evil
    vmscm -C repo checkin -q guest "$PWD/guest" && vmscm -C repo cat guest:xvda | cmp - guest/root.img'
check "a paravirtual one of long ago" '
    mkdir pv && cp raw.img pv/disk1 && printf "kernel = \"/boot/vmlinuz\"\nmemory=64\nname=\"pv\"\nvif=[\"\"]\ndisk=[\"file:/xen/disk1,sda1,w\"]\nextra=\"a=[b\"\n" >pv/pv.cfg
    vmscm -C repo checkin -q pv "$PWD/pv" && vmscm -C repo cat pv:sda1 | cmp - raw.img && cd repo && machine pv | jq -e ".machine_type == \"xenpv\" and (.nics | length) == 1"'

# wrong NAME SED: xen, with its configuration changed
wrong() {
    check "made: $1" "mkdir -p bad && cp -r xen bad/$1 && sed -i '$2' bad/$1/web.cfg && ! cmp -s xen/web.cfg bad/$1/web.cfg"
}
wrong shadow 's,/dev/vg/root.img,/etc/shadow,'
check_fails 3 "a disk elsewhere is not looked for there" 'vmscm -C repo checkin bad "$PWD/bad/shadow"' '"shadow" is missing'
wrong up 's,/dev/vg/root.img,/dev/..,'
check_fails 3 "nor a folder" 'vmscm -C repo checkin bad "$PWD/bad/up"' 'is no file'
wrong format 's,root.img.raw,root.img\,qed,'
check_fails 3 "an unknown format" 'vmscm -C repo checkin bad "$PWD/bad/format"' 'format qed'
wrong open 's/^]$//'
check_fails 3 "a list without an end" 'vmscm -C repo checkin bad "$PWD/bad/open"' 'web.cfg: line'
wrong quote 's/restart.$/restart/'
check_fails 3 "a string without an end" 'vmscm -C repo checkin bad "$PWD/bad/quote"' 'web.cfg: line 16: a string without'
wrong number 's/^memory.*/memory = 0/'
check_fails 3 "no memory" 'vmscm -C repo checkin bad "$PWD/bad/number"' 'memory: 0'
wrong code 's/^cpus.*/import os/'
check_fails 3 "a program, as xm took them" 'vmscm -C repo checkin bad "$PWD/bad/code"' 'is no setting'
check_fails 4 "a disk that is a link" 'cp -r xen bad/link && rm bad/link/root.img && ln -s ../../raw.img bad/link/root.img && vmscm -C repo checkin bad "$PWD/bad/link"' 'symbolic link'
check_fails 4 "a qcow2 disk that names a file of the host" 'cp -r xen bad/evil && qemu-img create -q -f qcow2 -F raw -b /etc/passwd bad/evil/more.qcow2 1M && vmscm -C repo checkin bad "$PWD/bad/evil"' 'outside'

done_testing
