#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The EXAMPLES of every manual page work. Each page's are run in order in a directory with an empty
# repository, disk.qcow2, disk2.vmdk and domain.xml, each line from that directory; first come the
# commands of its lines that start with `.\" Before:`.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk one.raw 8 1
sample_disk two.raw 8 2
qemu-img convert -O qcow2 one.raw disk.qcow2
qemu-img convert -O vmdk two.raw disk2.vmdk
cat >domain.xml <<'END'
<domain type='kvm'>
  <name>web</name>
  <memory unit='GiB'>2</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/disk.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
END

# The commands of a page's EXAMPLES, one a line, roff's escapes undone.
commands() {
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/p' "$1" |
        sed -n -e 's/^\.\\" Before: //p' -e 's/^\.Dl \$ //p' -e 's/^\$ //p' |
        sed -e 's/\\e/\\/g' -e 's/\\&//g' -e 's/\\(dq/"/g' -e "s/\\\\(aq/'/g" -e 's/\\-/-/g'
}

# What a page leaves thin checkouts with.
at_exit 'for r in "$TEST_DIR"/work/*/.vmscm; do
    [ ! -d "$r/git" ] || VMSCM_DIR=$r vmscm service stop -q; done 2>/dev/null'
for page in "$TEST_SOURCE"/man/vmscm*.1; do
    name=$(basename "$page" .1)
    commands "$page" >lines
    if [ ! -s lines ]; then
        check "$name has examples" false
        continue
    fi
    check "$name" '
        mkdir "$name"
        cp disk.qcow2 disk2.vmdk domain.xml "$name"
        cd "$name"
        vmscm init -q
        top=$PWD
        set +u
        while read -r line <&3; do
            eval "$line"
            cd "$top"
        done 3<../lines
        if [ "$name" = vmscm ]; then cmp disk.qcow2 ../disk.qcow2; fi'
    rm -f lines
done

done_testing
