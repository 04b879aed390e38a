#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Bad input: each gives one clear line and the right exit status, and loses nothing.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk base.raw 8
vmscm init >/dev/null 2>&1
check 'a good machine to lose' '
    vmscm checkin good base.raw -m good
    vmscm show --json good | jq -r .id >good.id'

# Whatever else happens: the good machine is there, as it was, and nothing else is.
unharmed() {
    check "after $1: nothing is lost, nothing is there that should not be" '
        [ "$(vmscm show --json good | jq -r .id)" = "$(cat good.id)" ]
        [ "$(vmscm list --json | jq "length")" = 1 ]
        vmscm cat good | cmp - base.raw'
}

# --- sources

check_fails 3 'a source that is not there' 'vmscm checkin x missing.raw -m x' 'missing.raw'
mkdir dir
check_fails 3 'a directory' 'vmscm checkin x dir -m x' 'dir'
mkfifo fifo
check_fails 3 'a FIFO' 'timeout 20 vmscm checkin x fifo -m x' 'fifo'
check_fails 3 'a character device' 'timeout 20 vmscm checkin x /dev/zero -m x' '/dev/zero'
: >empty.raw
check_fails 3 'an empty file' 'vmscm checkin x empty.raw -m x' 'empty'
check_fails 3 'a socket' '
    perl -MSocket -e "socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(q(sock)))"
    vmscm checkin x sock -m x' 'sock'
ln -s loop loop
check_fails 3 'a symbolic link to itself' 'vmscm checkin x loop -m x' 'loop'
ln -s base.raw link.raw
check 'a symbolic link to an image is followed' '
    vmscm checkin linked link.raw -m x
    vmscm rm linked'
check_fails -p LOOP 3 'a block device' '
    loop=$(losetup -f --show -r base.raw)
    trap "losetup -d $loop" EXIT
    timeout 20 vmscm checkin x "$loop" -m x' '/dev/loop'
unharmed 'odd sources'

qemu-img convert -O qcow2 base.raw whole.qcow2
check_fails 3 'a qcow2 file shorter than its clusters' '
    cp whole.qcow2 short.qcow2
    truncate -s -262144 short.qcow2
    vmscm checkin x short.qcow2 -m x' 'short.qcow2'
check_fails 3 'a flat vmdk whose extent is too short' '
    mkdir flat
    qemu-img convert -O vmdk -o subformat=monolithicFlat base.raw flat/a.vmdk
    truncate -s 1M flat/a-flat.vmdk
    vmscm checkin x flat/a.vmdk -m x' 'a-flat.vmdk'
check_fails 3 'a flat vmdk without its extent' '
    rm flat/a-flat.vmdk
    vmscm checkin x flat/a.vmdk -m x' 'a-flat.vmdk'
check_fails 3 'an overlay without its backing file' '
    qemu-img create -q -u -f qcow2 -b gone.qcow2 -F qcow2 orphan.qcow2 8M
    vmscm checkin x orphan.qcow2 -m x' 'gone.qcow2'

# Cut short at every field behind the one that says what it is: never a crash, never accepted, one
# line of explanation.
for format in qcow2 vmdk vdi vpc vhdx parallels; do
    case $format in vdi) magic=68 ;; *) magic=16 ;; esac
    check "$format cut short at every length up to its header's" '
        qemu-img convert -O "$format" base.raw "cut.$format"
        for length in 16 20 24 28 32 36 40 44 48 56 60 64 68 72 76 80 84 88 92 96 100 104 108 \
            112 128 256 340 384 400 448 511 512 513 767 1023 1024 1025 1535 1536 4096 65536 65537; do
            [ $length -ge $magic ] || continue
            head -c $length "cut.$format" >cut
            rc=0
            vmscm checkin x cut -m x 2>said || rc=$?
            case $rc in 3 | 4) ;; *) fail "$length bytes: exit status $rc" ;; esac
            [ "$(grep -c "^vmscm: " said)" = 1 ] || fail "$length bytes: $(cat said)"
        done'
done
unharmed 'truncated images'

# --- hostile images

check_fails 4 'backing file /etc/passwd' '
    qemu-img create -q -u -f qcow2 -b /etc/passwd -F raw evil.qcow2 1M
    vmscm checkin x evil.qcow2 -m x' 'backing'
check 'the refusal names the option that overrides it' \
    'vmscm checkin x evil.qcow2 -m x 2>said || true; grep "^hint: .*--allow" said'
check_fails 4 'backing file in a directory above' '
    mkdir sub
    qemu-img create -q -u -f qcow2 -b ../base.raw -F raw sub/up.qcow2 8M
    vmscm checkin x sub/up.qcow2 -m x' 'backing'
check_fails 4 'a json: name' '
    name="json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}"
    qemu-img create -q -u -f qcow2 -b "$name" -F raw json.qcow2 1M
    vmscm checkin x json.qcow2 -m x' 'json'
check_fails 4 'a protocol name' '
    qemu-img create -q -u -f qcow2 -b nbd://localhost/x -F raw nbd.qcow2 1M
    vmscm checkin x nbd.qcow2 -m x' 'nbd'
check_fails 4 'a symbolic link out of the directory as backing file' '
    mkdir linked
    ln -s /etc/passwd linked/base.raw
    qemu-img create -q -u -f qcow2 -b base.raw -F raw linked/top.qcow2 1M
    vmscm checkin x linked/top.qcow2 -m x' 'base.raw'
check_fails 4 'a data file elsewhere' '
    mkdir data elsewhere
    qemu-img create -q -f qcow2 -o "data_file=$PWD/elsewhere/secret" data/disk.qcow2 1M
    vmscm checkin x data/disk.qcow2 -m x' 'data'
descriptor() { # EXTENT-LINE
    printf '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n'
    printf 'createType="monolithicFlat"\n\n# Extent description\n%s\n\n' "$1"
    printf 'ddb.adapterType = "ide"\nddb.geometry.cylinders = "4"\nddb.geometry.heads = "16"\n'
    printf 'ddb.geometry.sectors = "63"\nddb.virtualHWVersion = "4"\n'
}
check_fails 4 'a vmdk extent with an absolute path' '
    descriptor "RW 4 FLAT \"/etc/passwd\" 0" >evil.vmdk
    vmscm checkin x evil.vmdk -m x' 'passwd'
check_fails 4 'a vmdk extent with ..' '
    mkdir -p deep
    descriptor "RW 2048 FLAT \"../base.raw\" 0" >deep/evil.vmdk
    vmscm checkin x deep/evil.vmdk -m x' 'base.raw'
check_fails 4 'two formats at once' '
    qemu-img convert -O vdi base.raw two.vdi
    printf "QFI\373\0\0\0\003" | put two.vdi 0
    vmscm checkin x two.vdi -m x' 'two.vdi'
check_fails 3 'a virtual size of 8 EiB' '
    cp whole.qcow2 vast.qcow2
    printf "\200\0\0\0\0\0\0\0" | put vast.qcow2 24
    vmscm checkin x vast.qcow2 -m x' 'vast.qcow2'
check_fails 4 'an incompatible feature that nobody knows' '
    qemu-img convert -O qcow2 base.raw feature.qcow2
    printf "\0\0\0\200" | put feature.qcow2 72
    vmscm checkin x feature.qcow2 -m x' 'feature'
check_fails 4 'a backing chain that bites its tail' '
    qemu-img create -q -u -f qcow2 -b tail.qcow2 -F qcow2 head.qcow2 1M
    mv head.qcow2 tail.qcow2
    vmscm checkin x tail.qcow2 -m x' 'tail.qcow2'
check_fails 3 'a table outside the file' '
    cp whole.qcow2 table.qcow2
    printf "\0\377\377\377\377\377\0\0" | put table.qcow2 40
    vmscm checkin x table.qcow2 -m x' 'table.qcow2'
check 'a raw disk into which a guest wrote a qcow2 header stays raw' '
    qemu-img create -q -u -f qcow2 -b /etc/passwd -F raw inner.qcow2 1M
    cp base.raw guest.raw
    vmscm checkin guest guest.raw -m one
    vmscm checkout guest in-guest
    disk=in-guest/$(vmscm status --json in-guest | jq -r ".disks[0].file")
    put "$disk" 0 <inner.qcow2
    (cd in-guest && vmscm checkin -m two)
    vmscm cat guest | cmp - "$disk"
    put guest.raw 0 <inner.qcow2
    qemu-img create -q -f qcow2 alone.qcow2 1M
    cp base.raw lone.raw
    put lone.raw 0 <alone.qcow2
    rc=0
    vmscm checkin guest lone.raw -m sly 2>said || rc=$?
    [ $rc = 4 ]
    grep -q "known to be raw" said
    grep -q "^hint: .*--format raw" said
    vmscm checkin guest guest.raw --format raw -m three
    vmscm cat guest | cmp - guest.raw
    [ "$(vmscm show --json guest | jq -r ".hardware.disks[0].format")" = raw ]
    vmscm rm guest'
unharmed 'hostile images'

# --- a source that changes while it is read

check_fails 3 'a source that changes while it is read' '
    noise 300000000 7 >moving.raw
    (
        while :; do
            printf x | put moving.raw 299999000
            sleep 0.01
        done
    ) &
    writer=$!
    trap "kill $writer" EXIT
    vmscm checkin x moving.raw -m x' 'changed\|moving.raw'
rm -f moving.raw
unharmed 'a moving source'

# --- names

for name in .. a/../b ../x /x x/ a//b . .hidden a.lock -x 'a b' 'a~b' 'a^b' 'a:b' 'a?b' 'a*b' 'a[b' \
    'a\b' 'a@{b' 'a..b' '' $'a\nb' $'a\tb' $'a\033[31mb' $'a\177b' $'a\300\257b'; do
    check_fails 2 "machine name $(printf %q "$name")" 'vmscm checkin -m x -- "$name" base.raw'
done
check_fails 2 'a machine name of 4,096 characters' '
    vmscm checkin -m x "$(printf "%4096s" | tr " " a)" base.raw'
check 'no message lets control characters through to the terminal' '
    vmscm checkin -m x -- $'"'a\\033[31mb'"' base.raw 2>said || true
    vmscm show -- $'"'a\\033[31mb'"' 2>>said || true
    vmscm checkin x -m x -- $'"'f\\033[31m.raw'"' 2>>said || true
    [ -s said ]
    ! LC_ALL=C grep -q "[[:cntrl:]]" said'
check_fails 2 'a tag name with ..' 'vmscm tag good ..'
check_fails 2 'a clone named -x' 'vmscm clone -- good -x'
check_fails 2 'a rename to a/../b' 'vmscm rename good a/../b'
check_fails 2 'an unknown option' 'vmscm list --no-such-option'
check_fails 2 'an unknown command' 'vmscm no-such-command'
check_fails 2 'no arguments where some are needed' 'vmscm checkout'
check_fails 1 'an unknown machine, with the nearest name as a hint' 'vmscm show goood' '^hint: .*good'
unharmed 'bad names'

# --- disk full

check -p TMPFS 'a small file system with a repository in it' '
    mkdir small
    mount -t tmpfs -o size=24m none small
    vmscm init small
    vmscm -C small checkin kept "$PWD/base.raw" -m kept
    noise 60000000 3 >big.raw'
if mountpoint -q small 2>/dev/null; then
    check_fails 3 'disk full in the middle' \
        'vmscm -C small checkin x "$PWD/big.raw" -m x' 'No space left'
    check 'what was there is there, and nothing new' '
        vmscm -C small cat kept | cmp - base.raw
        [ "$(vmscm -C small list --json | jq "length")" = 1 ]
        vmscm -C small fsck --full'
    check_fails 3 'checkout to a full disk' '
        vmscm init roomy
        vmscm -C roomy checkin big "$PWD/big.raw" -m big
        vmscm -C roomy checkout big "$PWD/small/out"' 'No space left'
    check 'no disk is there under its name' '[ -z "$(find small/out -name "*.raw" -o -name "*.img")" ]'
    rm -rf small/out
    check 'and the small one goes on' '
        vmscm -C small tag kept still
        vmscm -C small show kept:still
        vmscm -C small fsck --full'
fi

# --- no permission

as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent \
        XDG_CONFIG_HOME=/nonexistent "$@"
}
chmod 755 "$TEST_DIR" "$TEST_DIR/work"
if [ -n "$(missing ROOT setpriv)" ]; then
    skip 'no permission' "$(missing ROOT setpriv)"
elif ! as_nobody vmscm version >/dev/null 2>&1; then
    skip 'no permission' 'another user cannot run the programs where they are'
else
    check_fails 3 'a source that may not be read' '
        mkdir theirs
        chmod 777 theirs
        cp base.raw theirs/secret.raw
        chmod 600 theirs/secret.raw
        as_nobody vmscm init theirs
        as_nobody vmscm -C theirs checkin x secret.raw -m x' 'secret.raw: Permission denied'
    check_fails 3 'a repository that may not be written' '
        chmod 644 theirs/secret.raw
        as_nobody vmscm -C "$PWD" checkin x "$PWD/theirs/secret.raw" -m x' 'Permission denied'
    check_fails 3 'a directory that may not be written' 'as_nobody vmscm init dir/inner' \
        'Permission denied'
    check 'reading is not writing' 'as_nobody vmscm -C "$PWD" show good'
fi
unharmed 'a full disk and no permission'

# --- not a repository, or another's

mkdir "$TEST_DIR/nothing"
check_fails 1 'not a repository' 'cd "$TEST_DIR/nothing" && vmscm list' 'repository'
check_fails 1 'VMSCM_DIR that is none' 'VMSCM_DIR=$TEST_DIR/nothing vmscm list' 'repository'
check_fails 3 'a repository that is there already' 'vmscm init' 'exist\|already'
check_fails 3 'a repository of a newer format' '
    cp -r .vmscm "$TEST_DIR/newer.vmscm"
    git config -f "$TEST_DIR/newer.vmscm/config" core.repositoryformatversion 99
    vmscm -C "$TEST_DIR/newer.vmscm" list' 'newer\|format'
no_fsck "$TEST_DIR/newer.vmscm"

done_testing
