# SPDX-License-Identifier: GPL-3.0-or-later
# What tests need that have libguestfs look into guests: sourced after lib-test.sh.
# shellcheck shell=bash

# appliance_needs PREREQUISITE...: all is here that an inspection takes, and these; else the file is skipped.
# Then there is an empty repository, too.
appliance_needs() {
    local why
    [ -x "$VMSCM_BUILD/vmscm-inspect" ] || skip_all "vmscm-inspect was not built: no libguestfs-dev"
    [ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"
    why=$(missing ROOT nbdkit qemu-system-x86_64 "$@")
    [ -z "$why" ] || skip_all "$why"
    ls /boot/vmlinuz-* >/dev/null 2>&1 || skip_all "no kernel is installed: libguestfs needs one"
    # The appliance is made once for all tests.
    export LIBGUESTFS_CACHEDIR=${LIBGUESTFS_CACHEDIR:-/var/tmp}
    # Not all that has /dev/kvm has a KVM that works, and it takes a minute to find out.
    export LIBGUESTFS_BACKEND_SETTINGS=${LIBGUESTFS_BACKEND_SETTINGS:-force_tcg}
    vmscm init -q --bare repo.vmscm
    VMSCM_DIR=$PWD/repo.vmscm
    export VMSCM_DIR
}
