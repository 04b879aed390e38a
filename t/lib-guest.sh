# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Real Debian guests for tests and measurements: built with mmdebstrap, kept in a cache outside the
# tree under a name made of their recipe, booted with qemu by direct kernel boot.
#
# A guest is a raw file with one ext4 file system, NAME.raw, and beside it NAME.boot/ (vmlinuz,
# initrd, packages). Its own systemd prints on the serial console, once it is up,
#     vmscm-guest: ready, N packages, HASH
# where HASH is of `dpkg-query -W`; then it powers itself off. So a boot proves both that the disk
# works and which of several states of it is the one that runs.
#
# guest_bootable makes a whole disk of one, which a BIOS starts, and which boots until its login prompt;
# before that it says
#     vmscm-guest: start N
# where N is how often this disk was started, which it keeps in a file.

GUEST_CACHE=${VMSCM_TEST_CACHE:-${TMPDIR:-/tmp}/vmscm-test-cache}

# Part of every recipe: raise it when what follows would build other guests.
GUEST_RECIPE=4

# Why guests cannot be made here; nothing if they can.
guest_why_not() {
    local tool
    if [ "$(id -u)" != 0 ]; then
        echo "making guests needs root"
        return
    fi
    for tool in mmdebstrap mke2fs flock chroot; do
        if ! command -v "$tool" >/dev/null; then
            echo "$tool is not installed"
            return
        fi
    done
    if ! losetup -f >/dev/null 2>&1; then
        echo "no loop devices"
    fi
}

# The mirror the host itself uses: what reaches one reaches the other.
guest_mirror() {
    local uri
    uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources \
        2>/dev/null | sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\/debian\)\/\{0,1\}$/\1/p
            s/^deb[[:space:]]\(\[[^]]*\][[:space:]]\)\{0,1\}\([^[:space:]]*\/debian\)\/\{0,1\}[[:space:]].*/\2/p' \
        | head -n 1)
    echo "${uri:-http://deb.debian.org/debian}"
}

# guest_key WORDS...: a short name for a recipe
guest_key() {
    printf '%s\n' "$GUEST_RECIPE" "$@" | sha256sum | cut -c 1-16
}

# What every guest gets: the unit that prints the line. guest_furnish ROOT
guest_furnish() {
    mkdir -p "$1/etc/systemd/system/multi-user.target.wants"
    cat >"$1/usr/local/sbin/guest-ready" <<'END'
#!/bin/sh
hash=$(dpkg-query -W | sha256sum | cut -c 1-16)
echo "vmscm-guest: ready, $(dpkg-query -W | wc -l) packages, $hash" >/dev/ttyS0
systemctl --no-block poweroff
END
    chmod 755 "$1/usr/local/sbin/guest-ready"
    cat >"$1/etc/systemd/system/guest-ready.service" <<'END'
[Unit]
Description=Say on the serial console that the guest is up
ConditionKernelCommandLine=guest.ready
After=sysinit.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/guest-ready
END
    ln -sf /etc/systemd/system/guest-ready.service \
        "$1/etc/systemd/system/multi-user.target.wants/guest-ready.service"
    echo guest >"$1/etc/hostname"
    echo '/dev/vda / ext4 errors=remount-ro 0 1' >"$1/etc/fstab"
}

# guest_keep_boot ROOT DIR: kernel, initrd and the package list out of a root file system
guest_keep_boot() {
    local kernel initrd
    mkdir -p "$2"
    kernel=$(find "$1/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)
    initrd=$(find "$1/boot" -name 'initrd.img-*' | sort -V | tail -n 1)
    cp "$kernel" "$2/vmlinuz" && cp "$initrd" "$2/initrd" &&
        LC_ALL=C chroot "$1" dpkg-query -W >"$2/packages"
}

# guest_line RAW: the line that a boot of it will print
guest_line() {
    local list=${1%.raw}.boot/packages
    echo "vmscm-guest: ready, $(wc -l <"$list") packages, $(sha256sum <"$list" | cut -c 1-16)"
}

# guest_make SUITE VARIANT PACKAGES SIZE: prints the path of the raw file; packages comma-separated
guest_make() {
    local suite=$1 variant=$2 packages=$3 size=$4 name tmp
    name=$GUEST_CACHE/$suite-$(guest_key "$@")
    mkdir -p "$GUEST_CACHE" || return 1
    (
        flock 9
        [ -e "$name.raw" ] && exit 0
        tmp=$(mktemp -d "$GUEST_CACHE/tmp.XXXXXX") || exit 1
        trap 'guest_unmount "$tmp/root"; rm -rf "$tmp"' EXIT
        # Installed into the mounted file system, as an installer does: files lie in the order and
        # the pieces that unpacking packages leaves, not in the neat order of a copied tree. Fixed
        # ids, so that only what differs in the guests differs in their images.
        mkdir "$tmp/root" &&
            truncate -s "$size" "$tmp/raw" &&
            mke2fs -q -t ext4 -U 6d5c1f5e-0c55-4a43-9d0b-4f7d5a0f2b11 \
                -E hash_seed=6d5c1f5e-0c55-4a43-9d0b-4f7d5a0f2b12,lazy_itable_init=1 "$tmp/raw" &&
            mount -o loop,noinit_itable,nobarrier "$tmp/raw" "$tmp/root" || exit 1
        mmdebstrap --quiet --mode=root --variant="$variant" --include="$packages" \
            --components=main --aptopt='APT::Install-Recommends "false"' \
            "$suite" "$tmp/root" "$(guest_mirror)" &&
            guest_furnish "$tmp/root" &&
            guest_keep_boot "$tmp/root" "$tmp/boot" &&
            # Else the packages' own files, unpacked and removed, would be half of the disk. What is
            # freed is trimmed only once the journal says so.
            sync -f "$tmp/root" && fstrim "$tmp/root" &&
            guest_unmount "$tmp/root" &&
            rm -rf "$name.boot" && mv "$tmp/boot" "$name.boot" && mv "$tmp/raw" "$name.raw"
    ) 9>"$name.lock" >&2 || return 1
    echo "$name.raw"
}

# guest_small: the smallest guest that boots, has a login prompt, can be powered down and answers by
# the guest agent; prints its path
guest_small() {
    guest_make bookworm apt \
        linux-image-cloud-amd64,initramfs-tools,systemd-sysv,dbus,qemu-guest-agent 1G
}

# Why no bootable disk can be made of a guest; nothing if it can.
guest_bootable_why_not() {
    local tool
    for tool in sfdisk extlinux qemu-system-x86_64; do
        command -v $tool >/dev/null || echo "$tool is not installed"
    done | head -n 1
}

# The boot record that starts the active partition, of extlinux's package.
guest_loader() {
    local file
    for file in /usr/lib/EXTLINUX/mbr.bin /usr/share/syslinux/mbr.bin; do
        if [ -e "$file" ]; then
            echo "$file"
            return
        fi
    done
    echo "extlinux has no mbr.bin" >&2
    return 1
}

# guest_bootable RAW: the guest as the only partition of a disk; prints the path of that
guest_bootable() {
    local from=$1 name
    name=${1%.raw}-$(guest_key bootable)
    (
        flock 9
        [ -e "$name.raw" ] && exit 0
        tmp=$(mktemp -d "$GUEST_CACHE/tmp.XXXXXX") || exit 1
        trap 'guest_unmount "$tmp/root"; rm -rf "$tmp"' EXIT
        mkdir "$tmp/root"
        size=$(stat -c %s "$from") &&
            loader=$(guest_loader) &&
            truncate -s $((size + (2 << 20))) "$tmp/raw" &&
            echo "2048,$((size / 512)),L,*" | sfdisk -q "$tmp/raw" &&
            dd if="$loader" of="$tmp/raw" conv=notrunc status=none &&
            dd if="$from" of="$tmp/raw" bs=1M seek=1 conv=notrunc,sparse status=none &&
            mount -o "loop,nobarrier,offset=$((1 << 20)),sizelimit=$size" "$tmp/raw" "$tmp/root" &&
            guest_furnish_bootable "$tmp/root" &&
            extlinux --install "$tmp/root/boot/extlinux" &&
            sync -f "$tmp/root" && guest_unmount "$tmp/root" &&
            mv "$tmp/raw" "$name.raw"
    ) 9>"$name.lock" >&2 || return 1
    echo "$name.raw"
}

guest_furnish_bootable() {
    local root=$1 kernel
    kernel=$(find "$root/boot" -name 'vmlinuz-*' -printf '%f\n' | sort -V | tail -n 1)
    echo '/dev/vda1 / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
    mkdir "$root/boot/extlinux"
    cat >"$root/boot/extlinux/extlinux.conf" <<END
DEFAULT linux
LABEL linux
LINUX /boot/$kernel
INITRD /boot/initrd.img-${kernel#vmlinuz-}
APPEND root=/dev/vda1 rw console=ttyS0 quiet net.ifnames=0
END
    cat >"$root/usr/local/sbin/guest-start" <<'END'
#!/bin/sh
n=$(cat /var/lib/guest-starts 2>/dev/null)
echo $((n + 1)) >/var/lib/guest-starts
sync
echo "vmscm-guest: start $((n + 1))" >/dev/ttyS0
END
    chmod 755 "$root/usr/local/sbin/guest-start"
    cat >"$root/etc/systemd/system/guest-start.service" <<'END'
[Unit]
Description=Count starts, and say the number on the serial console
Before=getty.target serial-getty@ttyS0.service
After=local-fs.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/guest-start
END
    ln -s /etc/systemd/system/guest-start.service \
        "$root/etc/systemd/system/multi-user.target.wants/guest-start.service"
}

# guest_change RAW NAME COMMAND...: NAME.raw, a copy of the guest after COMMAND, which gets the root of
# its mounted file system as its first argument; prints its path
guest_change() {
    local from=$1 name=$2 command=$3
    shift 3
    (
        flock 9
        [ -e "$name.raw" ] && exit 0
        tmp=$(mktemp -d "$GUEST_CACHE/tmp.XXXXXX") || exit 1
        trap 'guest_unmount "$tmp/root"; rm -rf "$tmp"' EXIT
        mkdir "$tmp/root" "$GUEST_CACHE/debs" 2>/dev/null
        cp --sparse=always "$from" "$tmp/raw" &&
            mount -o loop,nobarrier "$tmp/raw" "$tmp/root" &&
            mount -t tmpfs none "$tmp/root/run" &&
            mount -t proc none "$tmp/root/proc" &&
            mount --bind /dev "$tmp/root/dev" &&
            mkdir -p "$GUEST_CACHE/debs/partial" &&
            mount --bind "$GUEST_CACHE/debs" "$tmp/root/var/cache/apt/archives" &&
            "$command" "$tmp/root" "$@" >"$tmp/log" 2>&1 || {
            tail -n 20 "$tmp/log"
            exit 1
        }
        guest_keep_boot "$tmp/root" "$tmp/boot" && sync -f "$tmp/root" &&
            fstrim "$tmp/root" && guest_unmount "$tmp/root" &&
            rm -rf "$name.boot" && mv "$tmp/boot" "$name.boot" && mv "$tmp/raw" "$name.raw"
    ) 9>"$name.lock" >&2 || return 1
    echo "$name.raw"
}

# guest_install RAW PACKAGES: a copy of the guest with packages installed in it, in place, by its
# own apt; prints the path of the new raw file
guest_install() {
    guest_change "$1" "${1%.raw}-$(guest_key "$2")" guest_install_in "${2//,/ }"
}

guest_install_in() {
    local root=$1 packages=$2 rc
    cp /etc/resolv.conf "$root/etc/resolv.conf.guest" && cp -L /etc/hosts "$root/etc/hosts.guest"
    # The guest's own files stay as they are: only for the time of this are the host's in place.
    mv -f "$root/etc/resolv.conf" "$root/etc/resolv.conf.kept" 2>/dev/null
    mv -f "$root/etc/resolv.conf.guest" "$root/etc/resolv.conf"
    rm -f "$root/etc/hosts.guest"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" sh -ec '
        apt-get -qq update
        apt-get -qq -y -o Dpkg::Use-Pty=0 -o APT::Keep-Downloaded-Packages=true --no-install-recommends install "$@"
    ' sh $packages </dev/null
    rc=$?
    rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
    mv -f "$root/etc/resolv.conf.kept" "$root/etc/resolv.conf" 2>/dev/null
    return $rc
}

# Unmount a guest's root and all in it; fine if it is not mounted.
guest_unmount() {
    local rc=0
    if mountpoint -q "$1"; then
        umount -R "$1" || { sleep 1 && umount -R "$1"; } || rc=1
    fi
    return $rc
}

# guest_boot FORMAT IMAGE BOOT-DIR LOG [SECONDS]: boot until the guest has said its line and powered
# off; the console is kept in LOG. The image is not changed.
guest_boot() {
    local format=$1 image=$2 boot=$3 log=$4 seconds=${5:-600}
    timeout "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 768 \
        -nodefaults -no-user-config -no-reboot -display none -serial "file:$log" \
        -drive "file=$image,format=$format,if=virtio,snapshot=on" \
        -kernel "$boot/vmlinuz" -initrd "$boot/initrd" \
        -append "root=/dev/vda rw console=ttyS0 quiet guest.ready net.ifnames=0" </dev/null
}

# guest_until_login FORMAT IMAGE LOG [SECONDS [QEMU-OPTION...]]: start a bootable disk, until it asks who logs
# in; its console is kept in LOG. The image, a file or a URI, is not changed.
guest_until_login() {
    local format=$1 image=$2 log=$3 seconds=${4:-600} pid rc=1 end
    shift 3
    [ $# = 0 ] || shift
    : >"$log"
    qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 1 -m 512 \
        -nodefaults -no-user-config -no-reboot -display none -serial "file:$log" \
        -drive "file=$image,format=$format,if=virtio,snapshot=on,cache=unsafe" "$@" </dev/null &
    pid=$!
    end=$((SECONDS + seconds))
    while [ $SECONDS -lt $end ] && kill -0 $pid 2>/dev/null; do
        if grep -q 'login:' "$log"; then
            rc=0
            break
        fi
        sleep 0.2
    done
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    return $rc
}
