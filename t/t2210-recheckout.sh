#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Checking out over a checkout: only what differs is written, nothing that was changed is lost, and
# wherever it is killed, the directory never claims to be a revision that it is not.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

id_of() { vmscm show --json "$1" | jq -r .id; }
base_of() { vmscm status --json "$1" | jq -r .base; }
data_of() { du -k "$1" | cut -f 1; } # KiB

# Two states of a machine: between them blocks change, become zero and stop being zero.
noise 20000000 1 >one.raw
truncate -s 100M one.raw
noise 3000000 2 | put one.raw 70000000
cp one.raw two.raw
noise 70000 3 | put two.raw 5000001
noise 9000 4 | put two.raw 90000000
fallocate -p -o 8M -l 4M two.raw
fallocate -p -o 71000064 -l 4097 two.raw
sample_disk data.raw 8
qemu-img convert -O qcow2 data.raw data1.qcow2
cp data1.qcow2 data2.qcow2
qemu-io -f qcow2 -c 'write -P 7 3M 200k' -c 'write -z 5M 64k' data2.qcow2 >/dev/null
qemu-img convert -O raw data2.qcow2 data-two.raw
echo '<domain type="kvm"><name>m</name><memory unit="MiB">512</memory></domain>' >m1.xml
echo '<domain type="kvm"><name>m</name><memory unit="MiB">768</memory></domain>' >m2.xml

check 'a machine with two disks and two revisions' '
    vmscm init
    vmscm checkin m sys=one.raw data=data1.qcow2 --config m1.xml -m one
    vmscm checkin m sys=two.raw data=data2.qcow2 --config m2.xml -m two
    vmscm tag m~1 one
    vmscm tag m two'

# is REV DIR: DIR is a whole checkout of REV, and knows it
is() {
    local sys=one data=data
    [ "$1" = m:one ] || { sys=two data=data-two; }
    [ "$(base_of "$2")" = "$(id_of "$1")" ] &&
        cmp "$2/sys.img" $sys.raw &&
        qemu-img compare -f qcow2 -F raw "$2/data.qcow2" $data.raw &&
        [ "$(vmscm status --json "$2" | jq -r "[.disks[].state] | unique[]")" = clean ] &&
        [ ! -e "$2/.vmscm-partial" ] &&
        if [ "$1" = m:one ]; then cmp "$2"/config/*.xml m1.xml; else cmp "$2"/config/*.xml m2.xml; fi
}

check 'a checkout becomes one of another revision' '
    vmscm checkout m:one co
    is m:one co
    vmscm checkout m:two co
    is m:two co'
check 'and back' 'vmscm checkout m:one co && is m:one co'
check 'and to where it is' 'vmscm checkout m:one co && is m:one co'
check 'only what differs is written, and what became zero is a hole' '
    vmscm checkin s sys=one.raw -m one
    vmscm checkin s sys=two.raw -m two
    vmscm tag s~1 one
    vmscm tag s two
    vmscm checkout s~1 sparse
    before=$(data_of sparse/sys.img)
    vmscm checkout s sparse --json >out.json
    cmp sparse/sys.img two.raw
    [ "$(jq .written out.json)" -gt 79000 ]
    [ "$(jq .written out.json)" -lt 100000 ]
    [ "$(data_of sparse/sys.img)" -le $((before - 4000)) ]'
check 'with reserved space it stays reserved' '
    vmscm checkout s~1 full --format raw -o preallocation=falloc
    vmscm checkout s full
    cmp full/sys.img two.raw
    [ "$(data_of full/sys.img)" -ge 102400 ]'
check 'from inside, too' '
    cd co
    vmscm checkout m:two .
    cd ..
    is m:two co'
check 'it keeps the format that was asked for' '
    vmscm checkout m:one kept --format qcow2
    vmscm checkout m:two kept
    qemu-img compare -f qcow2 -F raw kept/sys.qcow2 two.raw
    [ ! -e kept/sys.img ]'
check 'unless another one is asked for' '
    vmscm checkout m:two kept --format raw
    cmp kept/sys.img two.raw
    cmp kept/data.img data-two.raw
    [ ! -e kept/sys.qcow2 ] && [ ! -e kept/data.qcow2 ]'
check 'disks that grow, shrink, come and go' '
    cp one.raw three.raw
    truncate -s 30M three.raw
    vmscm checkin m sys=three.raw more=one.raw -m three
    vmscm checkout m:two shape
    vmscm checkout m shape
    cmp shape/sys.img three.raw
    cmp shape/more.img one.raw
    [ ! -e shape/data.qcow2 ]
    vmscm checkout m:two shape
    is m:two shape
    [ ! -e shape/more.img ]'

# --- nothing is lost

check_fails 4 'a disk that was changed is not overwritten' '
    echo x | put co/sys.img 3
    cp co/sys.img changed.raw
    vmscm checkout m:one co' 'sys.img: changed'
check 'the checkout is as it was' '
    cmp co/sys.img changed.raw
    [ "$(base_of co)" = "$(id_of m:two)" ]
    [ ! -e co/.vmscm-partial ]'
check 'but with --force it is' 'vmscm checkout --force m:one co && is m:one co'
check '--force restores the revision that it is of' '
    echo x | put co/sys.img 60000000
    qemu-io -f qcow2 -c "write -P 9 1M 4k" co/data.qcow2
    vmscm checkout -f m:one co
    cmp co/sys.img one.raw
    qemu-img compare -f qcow2 -F raw co/data.qcow2 data.raw'
check 'a disk that is missing is nothing to lose' '
    rm co/sys.img
    vmscm checkout m:two co
    cmp co/sys.img two.raw'
check_fails 4 'a configuration file that was changed is not overwritten' '
    echo "<!-- mine -->" >>co/config/domain.xml
    vmscm checkout m:one co' 'config/domain.xml: changed'
check 'but with --force it is' '
    vmscm checkout -f m:one co
    cmp co/config/domain.xml m1.xml'
check_fails 4 'a file that is in the way is not overwritten' '
    echo mine >co/more.img
    vmscm checkout m co' 'more.img'
check 'and stays' '[ "$(cat co/more.img)" = mine ] && rm co/more.img'
check 'files that are in nobody'"'"'s way stay' '
    echo mine >co/notes
    vmscm checkout m co
    vmscm checkout m:one co
    [ "$(cat co/notes)" = mine ]
    rm co/notes'
check_fails 4 'a checkout of another repository is refused' '
    vmscm init other
    (cd other && vmscm checkin x ../one.raw -m x)
    vmscm checkout m:one co2
    (cd other && vmscm checkout x ../co2)' 'another repository'
check 'a running machine'"'"'s disk is refused, even with --force' '
    mkfifo hold
    qemu-io -f raw co/sys.img <hold & pid=$!
    exec 5>hold
    sleep 0.5
    rc=0
    vmscm checkout -f m:two co 2>said || rc=$?
    exec 5>&-
    wait $pid || true
    grep -q "running machine" said
    [ $rc = 3 ]
    [ "$(base_of co)" = "$(id_of m:one)" ]'

# --- reading back

# forge DIR: its state says that the disks are as they are now
forge() {
    python3 - "$1" <<'END'
import json, os, sys
path = sys.argv[1] + '/.vmscm-checkout'
work = json.load(open(path))
for disk in work['disks']:
    for file in disk['files']:
        st = os.stat(sys.argv[1] + '/' + file['name'])
        file['mtime'], file['ctime'] = st.st_mtime_ns, st.st_ctime_ns
        file['size'], file['inode'] = st.st_size, st.st_ino
        work['clock'] = max(work.get('clock', 0), st.st_ctime_ns + 1)
json.dump(work, open(path, 'w'))
END
}

check '--verify finds nothing in what is right' '
    vmscm checkout --verify m:one checked
    is m:one checked
    vmscm checkout --verify m:two checked
    is m:two checked
    vmscm checkout --verify m:two checked
    is m:two checked
    vmscm checkout --verify --format vmdk m:one checked-vmdk'
check_fails -p strace 3 'a write that did not happen' '
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -q -o /dev/null \
        -e inject=pwrite64:retval=4096:when=1 vmscm checkout --verify s:one lost' \
    'sys.img: offset [0-9]*: something else'
check 'leaves no disk, and can be gone on with' '
    [ ! -e lost/sys.img ] && [ ! -e lost/.vmscm-checkout ]
    vmscm checkout --verify s:one lost
    cmp lost/sys.img one.raw'
check_fails -p strace 3 'a write that did not happen over a checkout' '
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -q -o /dev/null \
        -e inject=pwrite64:retval=4096:when=1 vmscm checkout --verify s:two lost' \
    'sys.img: offset [0-9]*: something else'
check 'is mended when it is gone on with' '
    vmscm checkout --verify s:two lost
    cmp lost/sys.img two.raw'
check_fails 3 'a disk that rotted, though it looks unchanged' '
    echo rot | put lost/sys.img 19000000
    forge lost
    [ "$(vmscm status --json lost | jq -r ".disks[0].state")" = clean ]
    vmscm checkout --verify s:two lost' 'sys.img: offset 1[89][0-9]*: something else'
check_fails 3 'a hole that rotted' '
    vmscm checkout s:two lost
    echo rot | put lost/sys.img 50000000
    forge lost
    vmscm checkout --verify s:one lost' 'sys.img: offset [0-9]*: something else'
check_fails 3 'a qcow2 that rotted' '
    qemu-io -f qcow2 -c "write -P 9 3M 4k" checked/data.qcow2
    forge checked
    vmscm checkout --verify m:two checked' 'data.qcow2: offset [0-9]*: something else'

# --- interruption

noise 300000 5 >k1.raw
truncate -s 2M k1.raw
cp k1.raw k2.raw
noise 50000 6 | put k2.raw 20000
noise 50000 7 | put k2.raw 1500000
fallocate -p -o 128k -l 64k k2.raw
sample_disk k1.img 4
qemu-img convert -O qcow2 k1.img k1.qcow2
cp k1.qcow2 k2.qcow2
qemu-io -f qcow2 -c 'write -P 7 100k 200k' k2.qcow2 >/dev/null
qemu-img convert -O raw k2.qcow2 k2.img

# holds N DIR: the disks are those of revision N of machine k
holds() {
    cmp "$2/sys.img" "k$1.raw" && qemu-img compare -q -f qcow2 -F raw "$2/data.qcow2" "k$1.img" &&
        cmp "$2/config/domain.xml" "m$1.xml"
}

# killed_by COMMAND...: whether it, or a helper of it, is killed; it fails in no other way
killed_by() {
    local rc=0
    # Nothing can look for leaks in a process that is traced.
    (ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 "$@"; exit $?) >said 2>&1 || rc=$?
    [ $rc != 137 ] && ! grep -q "killed by signal 9" said || return 0
    [ $rc = 0 ] || { cat said >&2; exit 1; }
    return 1
}

# Killed at the Nth call of one kind, for every N until one is through.
killed_at() { # SYSCALL...
    local call n said
    for call; do
        n=1
        while :; do
            vmscm checkout -q -f k:1 cut
            killed_by strace -f -q -o /dev/null -e "inject=$call:signal=SIGKILL:when=$n" \
                vmscm checkout -q k:2 cut || break
            if [ -e cut/.vmscm-checkout ]; then
                case $(base_of cut) in
                "$(id_of k:1)") holds 1 cut || fail "$call $n: claims to be 1" ;;
                "$(id_of k:2)") holds 2 cut || fail "$call $n: claims to be 2" ;;
                *) fail "$call $n: claims to be something else" ;;
                esac
            else
                said=$(vmscm status cut 2>&1) && fail "$call $n: has a status"
                case $said in
                *"interrupted checkout"*) ;;
                *) fail "$call $n: $said" ;;
                esac
            fi
            vmscm checkout -q k:2 cut || fail "$call $n: cannot be gone on with"
            holds 2 cut || fail "$call $n: went on, and is wrong"
            [ "$(base_of cut)" = "$(id_of k:2)" ]
            [ ! -e cut/.vmscm-partial ]
            n=$((n + 1))
        done
        echo "$call: killed $((n - 1)) times"
        [ $n -gt 1 ] || fail "$call: never called"
    done
}

check 'something to be killed' '
    vmscm checkin k sys=k1.raw data=k1.qcow2 --config m1.xml -m one
    vmscm tag k 1
    vmscm checkin k sys=k2.raw data=k2.qcow2 --config m2.xml -m two
    vmscm tag k 2
    vmscm checkout k:1 cut'
check -p strace 'killed at any renaming it claims to be nothing that it is not, and can be gone on with' \
    'killed_at rename'
check -p strace 'and at any removal' 'killed_at unlink'
check -p strace 'and at any fsync' 'killed_at fsync'
check -p strace 'and at any write to the disk' 'killed_at pwrite64 fallocate'
check_fails -p strace 4 'one that was interrupted is not mixed with another revision' '
    vmscm checkout -f k:1 cut
    killed_by strace -f -q -o /dev/null -e inject=pwrite64:signal=SIGKILL:when=2 \
        vmscm checkout -q k:2 cut
    vmscm checkout k:1 cut' 'not empty'
check -p strace 'it can be gone on with from inside' '
    cd cut
    vmscm checkout k:2 .
    cd ..
    holds 2 cut'

done_testing
