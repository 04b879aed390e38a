#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Checkouts: they know where they come from, overwrite nobody's work, and can be interrupted.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk base.raw 16
check 'a machine' '
    qemu-img convert -O qcow2 base.raw base.qcow2
    vmscm init
    vmscm checkin web base.qcow2 -m "first"'

image_in() { # DIR: its only disk
    echo "$1/$(vmscm status --json "$1" | jq -r '.disks[0].file')"
}
tip() { vmscm show --json "$1" | jq -r .id; }

check 'a checkout is named after the machine if no name is given' '
    vmscm checkout web
    qemu-img compare -f qcow2 -F raw "$(image_in web)" base.raw'
check 'it is readable and writable by its owner' '
    [ -r "$(image_in web)" ] && [ -w "$(image_in web)" ]'
check 'status in it needs no arguments, and tells what is unchanged' '
    cd web
    [ "$(vmscm status --json | jq -r .machine)" = web ]
    [ "$(vmscm status --json | jq -r .disks[0].state)" = clean ]'
check 'status tells what was touched, and what is gone' '
    vmscm checkout web touched
    disk=$(image_in touched)
    qemu-io -f qcow2 -c "write -P 3 4M 4k" "$disk"
    [ "$(cd touched && vmscm status --json | jq -r .disks[0].state)" != clean ]
    rm "$disk"
    [ "$(cd touched && vmscm status --json | jq -r .disks[0].state)" = missing ]
    rm -r touched'
check_fails 1 'status outside a checkout' 'vmscm status' 'checkout'
check_fails 4 'a directory that is not empty is refused' '
    mkdir full
    echo mine >full/file
    vmscm checkout web full' 'empty'
check 'and is as it was' '[ "$(ls -A full)" = file ] && [ "$(cat full/file)" = mine ]'
check 'over a checkout of it, nothing is left to write' '
    vmscm checkout web --json >again
    [ "$(jq .written again)" = 0 ]'
check 'an empty directory is fine' 'mkdir empty && vmscm checkout web empty && rm -r empty'
check_fails 1 'a revision that is not there' 'vmscm checkout web~9 never'
check 'leaves no directory' '[ ! -e never ]'
check_fails 2 'a format nobody knows' 'vmscm checkout web never --format qed2' 'qed2'
check_fails 2 'an option that is none' 'vmscm checkout web never --format qcow2 -o no_such=1' 'no_such'
check 'leave nothing either' '[ ! -e never ] || [ -z "$(ls -A never)" ]'

# --- check-in from a checkout

check 'nothing changed: no new revision' '
    before=$(tip web)
    (cd web && vmscm checkin -m nothing)
    [ "$(tip web)" = "$before" ]'
check 'check-in in a checkout needs no arguments' '
    before=$(tip web)
    qemu-io -f qcow2 -c "write -P 1 4M 64k" "$(image_in web)"
    (cd web && vmscm checkin -m second)
    [ "$(vmscm show --json web | jq -r ".parents[0]")" = "$before" ]
    qemu-img convert -f qcow2 -O raw "$(image_in web)" want.raw
    vmscm cat web | cmp - want.raw'
check 'after which it is clean, on the new revision' '
    cd web
    [ "$(vmscm status --json | jq -r .disks[0].state)" = clean ]
    [ "$(vmscm status --json | jq -r .base)" = "$(tip web)" ]'
check 'below it works too' 'mkdir web/sub && cd web/sub && vmscm status && rmdir ../sub'

check 'two checkouts of one revision, one checked in' '
    vmscm checkout web mine
    vmscm checkout web theirs
    qemu-io -f qcow2 -c "write -P 2 5M 64k" "$(image_in theirs)"
    (cd theirs && vmscm checkin -m theirs)
    tip web >theirs.id
    qemu-io -f qcow2 -c "write -P 3 6M 64k" "$(image_in mine)"'
check_fails 4 'a tip that moved is not overwritten; the hint says what to do' \
    'cd mine && vmscm checkin -m mine' '^hint: .*--onto'
check 'nothing happened' '[ "$(tip web)" = "$(cat theirs.id)" ]'
check '--onto makes a new machine of it' '
    base=$(cd mine && vmscm status --json | jq -r .base)
    (cd mine && vmscm checkin --onto web-mine -m mine)
    [ "$(vmscm show --json web-mine | jq -r ".parents[0]")" = "$base" ]
    [ "$(tip web)" = "$(cat theirs.id)" ]
    qemu-img convert -f qcow2 -O raw "$(image_in mine)" want.raw
    vmscm cat web-mine | cmp - want.raw'
check_fails 3 '--onto a machine that is there is refused' '
    vmscm checkout web~1 third
    qemu-io -f qcow2 -c "write -P 9 7M 64k" "$(image_in third)"
    cd third && vmscm checkin --onto web -m third'
check '--force-parent checks it in, and loses nobody: theirs is a parent too' '
    (cd third && vmscm checkin --force-parent -m third)
    vmscm show --json web | jq -r ".parents[]" | grep -qx "$(cat theirs.id)"
    qemu-img convert -f qcow2 -O raw "$(image_in third)" want.raw
    vmscm cat web | cmp - want.raw'

# --- interruption

check 'a disk of pieces of another, in another order and some of them twice' '
    noise 60000000 21 >whole.raw
    vmscm checkin whole whole.raw -m whole
    truncate -s 200M pieces.raw
    for n in 0 1 2 3 4 5 6 7 8 9; do
        for at in $((n * 20000768 % 200003584)) $(((n * 73 + 19) % 10 * 16777216 + 8192)); do
            dd if=whole.raw bs=4096 skip=$(((9 - n) * 1400)) count=1300 status=none |
                put pieces.raw $((at / 4096 * 4096))
        done
    done
    truncate -s 200M pieces.raw
    vmscm checkin pieces pieces.raw -m pieces
    for jobs in 1 5; do
        rm -rf pieces
        vmscm checkout -j $jobs --verify pieces pieces
        cmp pieces/*.img pieces.raw
    done
    [ "$(stat -c %b pieces/*.img)" -le $(($(stat -c %b pieces.raw) + 64)) ]'

check 'a big machine' '
    noise 150000000 5 >big.raw
    vmscm checkin big big.raw -m big'
check 'a killed checkout leaves no half disk under its name; running it again completes it' '
    resumed=0
    for delay in 0.01 0.02 0.03 0.04 0.05 0.07 0.1 0.15 0.2 0.3; do
        rm -rf cut
        vmscm checkout big cut & pid=$!
        sleep $delay
        kill -9 $pid 2>/dev/null || true
        wait $pid || true
        for file in cut/*.img; do
            [ ! -e "$file" ] || cmp "$file" big.raw
        done
        [ ! -e cut/.vmscm-checkout ] || continue
        [ ! -d cut ] || resumed=$((resumed + 1))
        vmscm checkout big cut
        cmp "$(image_in cut)" big.raw
        [ "$(find cut -type f ! -path "cut/config/*" | wc -l)" = 2 ]
        [ ! -e cut/.vmscm-partial ]
    done
    [ $resumed -gt 0 ] || fail "every one was done before it could be killed"'
check 'Ctrl-C ends it with a clear line, and it can be taken up again' '
    rm -rf cut
    vmscm checkout big cut 2>said & pid=$!
    sleep 0.05
    kill -INT $pid 2>/dev/null || true
    wait $pid || true
    vmscm checkout big cut || [ -e cut/.vmscm-checkout ]
    cmp "$(image_in cut)" big.raw'
check 'damage found while checking out leaves no disk under its name' '
    cp -r .vmscm "$TEST_DIR/bad.vmscm"
    pack=$(ls -S "$TEST_DIR"/bad.vmscm/packs/pack-* | head -n 1)
    chmod u+w "$pack"
    printf XXXXXXXX | put "$pack" 50000000
    rc=0
    vmscm -C "$TEST_DIR/bad.vmscm" checkout big "$PWD/broken" 2>said || rc=$?
    [ $rc = 1 ]
    [ "$(grep -c "^vmscm: " said)" = 1 ]
    [ -z "$(find broken -name "*.raw" -o -name "*.img" 2>/dev/null)" ]'
[ ! -d "$TEST_DIR/bad.vmscm" ] || no_fsck "$TEST_DIR/bad.vmscm"

# --- machines with a configuration

cat >domain.xml <<'END'
<domain type='kvm'>
  <name>web-server</name>
  <memory unit='MiB'>3072</memory>
  <vcpu>3</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
  </os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/base.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:12:34:56'/>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
  </devices>
</domain>
END
check '--config records a libvirt domain' '
    vmscm checkin configured base.qcow2 --config domain.xml -m configured
    vmscm show --json configured >shown
    [ "$(jq .hardware.cpus shown)" = 3 ]
    [ "$(jq .hardware.memory shown)" = 3221225472 ]
    [ "$(jq -r .hardware.disks[0].target shown)" = vda ]
    [ "$(jq -r .hardware.disks[0].bus shown)" = virtio ]
    [ "$(jq -r .hardware.nics[0].mac shown)" = 52:54:00:12:34:56 ]'
check 'and a checkout has it, as it was' '
    vmscm checkout configured with-config
    find with-config -name domain.xml | head -n 1 | xargs cmp domain.xml'
check 'diff tells what of the configuration changed, and exits with 1' '
    sed "s/<vcpu>3/<vcpu>4/" domain.xml >domain4.xml
    vmscm checkin configured base.qcow2 --config domain4.xml -m "one more CPU"
    rc=0
    vmscm diff configured~1 configured >differs || rc=$?
    [ $rc = 1 ]
    grep -q cpus differs
    vmscm diff configured configured'
check 'diff tells which bytes of a disk changed' '
    rc=0
    vmscm diff --ranges --json web~1 web >differs || rc=$?
    [ $rc = 1 ]
    jq -e ".disks[0].changed > 0 and (.disks[0].ranges | length) > 0" differs'
check_fails 3 'a configuration that is no XML' '
    echo "<domain" >broken.xml
    vmscm checkin configured base.qcow2 --config broken.xml -m x' 'broken.xml'
check_fails 4 'a configuration that wants files of the host' '
    printf "<?xml version=\"1.0\"?>\n<!DOCTYPE d [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\n" >xxe.xml
    printf "<domain type=\"kvm\"><name>&x;</name></domain>\n" >>xxe.xml
    vmscm checkin xxe base.qcow2 --config xxe.xml -m x' 'xxe.xml'

done_testing
