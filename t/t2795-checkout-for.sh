#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Checkouts that are a machine's folder for a hypervisor.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-bundle.sh
. "$TEST_SOURCE/t/lib-bundle.sh"

sample_disk raw.img
sample_disk data.img 8 2
vmscm init -q repo
cd repo || exit 1
odd_machine >odd.xml
check "made: a machine with NVRAM, of two revisions" '
    vmscm checkin -q --config odd.xml first ../raw.img ../data.img ../c.img
    vmscm export -q first first.ova 2>/dev/null && vmscm checkin -q web first.ova
    mkdir dom && cp ../raw.img dom/kept.img && echo vars >dom/kept_VARS.fd
    cat >dom/kept.xml <<END
<domain type="kvm"><name>kept</name><memory unit="GiB">2</memory><vcpu>2</vcpu>
  <os firmware="efi"><type arch="x86_64" machine="pc-q35-7.2">hvm</type><nvram>/var/kept_VARS.fd</nvram></os>
  <devices><disk type="file" device="disk"><driver type="raw"/><source file="/x/kept.img"/><target dev="vda" bus="virtio"/></disk>
  <rng model="virtio"><backend model="random">/dev/urandom</backend></rng></devices></domain>
END
    vmscm checkin -q kept dom'
check "VMware: its .vmx beside the disks, which are what that names" '
    vmscm checkout --json --for vmx web v 2>w >j
    [ "$(jq -r .descriptor j)" = "$PWD/v/web.vmx" ]; grep "VMware has no virtio" w
    for d in vda nvme0n1 sda; do grep "fileName = .$d.vmdk" v/web.vmx; qemu-img check -q v/$d.vmdk; done
    qemu-img compare v/vda.vmdk ../raw.img'
check "it is the machine folder that an export makes" '
    vmscm checkin --json folder v 2>/dev/null | jq -e ".new == 0" && same_machine folder web
    vmscm export -q web e.vmx 2>/dev/null && diff <(sed "s/e-\(vda\|sda\|nvme0n1\)/\1/" e.vmx) v/web.vmx'
check "and a checkout: what is written is found, and checked in" '
    (cd v && vmscm status --json | jq -e "[.disks[].state] | unique == [\"unchanged\"] or . == [\"clean\"]") || (cd v && vmscm status)
    qemu-io -f vmdk -c "write -q -P 7 1M 64k" v/vda.vmdk
    (cd v && vmscm checkin -q -m changed) && vmscm cat web:vda | cmp - <(qemu-img convert -O raw v/vda.vmdk x.raw && cat x.raw)
    same_machine web folder'
check "libvirt: absolute paths, its own domain kept, and the NVRAM" '
    vmscm checkout -q --for libvirt kept k && grep "<source file=.$PWD/k/vda.qcow2" k/kept.xml
    grep "<nvram>$PWD/k/kept.nvram<" k/kept.xml && cmp k/kept.nvram dom/kept_VARS.fd && grep urandom k/kept.xml
    qemu-img compare k/vda.qcow2 ../raw.img'
check -p xmllint "which libvirts schema takes" 'xmllint --noout --relaxng /usr/share/libvirt/schemas/domain.rng k/kept.xml'
check "and its dirty bitmap is there: nothing is read again" '
    (cd k && vmscm checkin --json | jq -e ".read == 0 and .new == 0")'
check "Hyper-V" '
    vmscm checkout -q --for hyperv web h 2>/dev/null && grep "File = .vda.vhdx" h/web.ps1
    vmscm checkin --json hv h 2>/dev/null | jq -e ".new == 0" && same_machine hv web'
check "of another revision, over it" '
    rm v/web.vmx && vmscm checkout -q --for vmx web~1 v 2>/dev/null && qemu-img compare v/vda.vmdk ../raw.img && grep "vmscm revision $(git -C .vmscm/git rev-parse web~1)" v/web.vmx'
check_fails 3 "a descriptor that is there is not written over, and no disk is" '
    sha256sum v/*.vmdk >before; echo mine >>v/web.vmx
    vmscm checkout --for vmx web v 2>e && exit 9; rc=$?; sha256sum -c --quiet before && grep mine v/web.vmx && cat e >&2; exit $rc' 'web.vmx: already exists'
check "but with -f" 'vmscm checkout -q -f --for vmx web v 2>/dev/null && ! grep mine v/web.vmx && vmscm cat web:vda | cmp - <(qemu-img convert -O raw v/vda.vmdk x.raw && cat x.raw)'
check_fails 2 "no format besides" 'vmscm checkout --for vmx --format raw web n' 'not together'
check_fails 2 "nor thin" 'vmscm checkout --for libvirt --thin web n' 'not together'
check_fails 2 "nor for what is no folder" 'vmscm checkout --for xva web n' 'xva'

done_testing
