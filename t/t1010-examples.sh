#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The examples of the manual pages work: each page's lines that begin with "$ " are run in order by
# one shell, in a directory with disk.qcow2, disk2.vmdk, domain.xml and a fresh repository. A page
# that needs more says so in comments at its examples: '.\" Before: COMMAND'.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk disk.raw 16 1
sample_disk disk2.raw 16 2
qemu-img convert -O qcow2 disk.raw disk.qcow2
qemu-img convert -O vmdk disk2.raw disk2.vmdk
cat >domain.xml <<'END'
<domain type='kvm'>
  <name>web</name>
  <memory unit='MiB'>2048</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/web.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
END

examples() { # PAGE: a shell script
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE ALSO/p' "$1" |
        sed -n 's/^\.\\" Before: //p; s/^\$ //p' | sed 's/\\e/\\/g'
}

for page in "$TEST_SOURCE"/man/vmscm.1 "$TEST_SOURCE"/man/vmscm-*.1; do
    name=$(basename "$page" .1)
    mkdir "$name"
    cp disk.qcow2 disk2.vmdk domain.xml "$name"
    examples "$page" >"$name.sh"
    check "$name" "[ -s $name.sh ]; cd $name; vmscm init -q; bash -euo pipefail -x ../$name.sh 2>&9"
done

done_testing
