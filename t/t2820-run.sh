#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# vmscm run: a revision started in qemu. The guests are boot sectors: they print on the serial console,
# then stop, or switch themselves off.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

for need in nbdkit qemu-system-x86_64; do
    why=$(missing $need)
    [ -z "$why" ] || skip_all "$why"
done
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built"

# sector FILE TEXT off|stay: a disk that a BIOS starts
sector() {
    python3 - "$@" <<'END'
import sys
path, text, end = sys.argv[1:]
print_all = bytes.fromhex("fa31c08ed8be0000baf803ac84c07403eeebf8")
last = bytes.fromhex("ba0406b80020ef") if end == "off" else b""
last += bytes.fromhex("f4ebfd")
at = 0x7c00 + len(print_all) + len(last)
code = bytearray(print_all + last)
code[6:8] = at.to_bytes(2, "little")
code += text.encode() + b"\0"
with open(path, "wb") as f:
    f.write(code.ljust(510, b"\0") + b"\x55\xaa")
    f.truncate(4 << 20)
END
}
# writer FILE: another, which writes itself to sector 2, prints "bye" and switches itself off
writer() {
    sector "$1" bye off
    python3 - "$1" <<'END'
import sys
with open(sys.argv[1], "r+b") as f:
    old = bytearray(f.read(510))
    write = bytes.fromhex("31c08ed88ec0fbb80103bb007cb90300ba8000cd13")
    old[6:8] = (int.from_bytes(old[6:8], "little") + len(write)).to_bytes(2, "little")
    f.seek(0)
    f.write((write + bytes(old))[:510])
END
}
sector stay.raw $'debian login: \r\n' stay
sector off.raw $'bye\r\n' off
writer writes.raw
noise 1000000 3 | put stay.raw 1000000
vmscm init --bare repo.vmscm >/dev/null 2>&1
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
# domain FILE BUS [EXTRA]
domain() {
    echo "<domain type='kvm'><name>m</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-9.9'>hvm</type>${3:-}</os><devices><disk type='file' device='disk'>
<driver name='qemu' type='raw'/><source file='/x/stay.raw'/><target dev='sda' bus='$2'/></disk>
<interface type='network'><mac address='52:54:00:12:34:56'/><source network='default'/><model type='virtio'/></interface>
</devices></domain>" >"$1"
}
check 'guests' '
    vmscm checkin stay vda=stay.raw -m stay
    vmscm checkin off vda=off.raw -m off
    vmscm checkin writes vda=writes.raw -m writes
    for bus in virtio scsi sata ide nvme usb xen; do
        domain m.xml $bus
        vmscm checkin on-$bus --config=m.xml stay.raw -m "on $bus"
    done'
# nothing_left: no process and no file of a run
nothing_left() {
    [ -z "$(ls -d "$XDG_RUNTIME_DIR"/vmscm-* 2>/dev/null)" ] || fail "$(ls -d "$XDG_RUNTIME_DIR"/vmscm-*)"
    ! grep -lsF "$XDG_RUNTIME_DIR/vmscm-" /proc/[0-9]*/cmdline
}

# left_behind: after a kill, files may be, but no process is, once those had their time to end. With a
# sanitizer loaded into it, nbdkit hangs at its exit, and has to be helped.
left_behind() {
    for _ in $(seq 200); do
        set -- /proc/[0-9]*/cmdline # now, so that grep does not find itself
        pids=$(grep -lsF "$XDG_RUNTIME_DIR/vmscm-" "$@" | cut -d / -f 3)
        [ -n "$pids" ] || break
        [ "${VMSCM_TEST_VARIANT:-}" != asan ] || echo "$pids" | xargs kill -KILL 2>/dev/null || true
        sleep 0.05
    done
    rm -rf "$XDG_RUNTIME_DIR"/vmscm-*
    [ -z "$pids" ] || fail "processes go on: $pids"
}

check 'until it has printed something' '
    vmscm run --wait-for="text:debian login:" --timeout=120 stay >said
    grep -q "debian login:" said
    nothing_left'
check 'until it switches itself off' '
    vmscm run --timeout=120 off >said
    grep -q bye said
    nothing_left'
check 'the console in a file' '
    vmscm run --wait-for=text:login --timeout=120 --console-log=log stay >said
    [ ! -s said ]
    grep -q "debian login" log'
check 'a command once it is there, and its status' '
    rc=0
    vmscm run -q --wait-for=text:login --timeout=120 --run="echo \"port \$port\"; exit 5" --forward=47381:22 stay >said || rc=$?
    [ $rc = 5 ]
    grep -qx "port " said
    nothing_left'
for bus in virtio scsi sata ide nvme; do
    check "a disk on $bus" "vmscm run -q --wait-for=text:login --timeout=120 on-$bus"
done
if [ -e /usr/share/OVMF/OVMF_VARS_4M.fd ]; then
    check 'by UEFI, also when it is started again without KVM' '
        sed "s/<os>/<os firmware=\"efi\">/" m.xml | sed "s/bus=.xen./bus=\"virtio\"/" >uefi.xml
        vmscm checkin by-uefi --config=uefi.xml stay.raw
        vmscm run -q --wait-for=text:BdsDxe --timeout=300 by-uefi
        nothing_left'
else
    skip 'by UEFI, also when it is started again without KVM' 'OVMF is not installed'
fi
check 'on usb' 'vmscm run -q --wait-for=text:login --timeout=120 on-usb'
check 'what it reads until then is its boot trace, which later starts follow' '
    vmscm run -q --wait-for=text:login --timeout=120 --record stay
    git --git-dir=repo.vmscm/git notes --ref=traces list | cut -d " " -f 1 >blob
    git --git-dir=repo.vmscm/git cat-file blob "$(cat blob)" >note
    grep -qE "^2 [0-9]+ :vda 0([+ ]|$)" note
    vmscm run -q --wait-for=text:login --timeout=120 stay
    nothing_left'
at_exit 'VMSCM_DIR=$TEST_DIR/work/repo.vmscm vmscm service stop -q 2>/dev/null'
check 'what it writes is gone, unless it is kept' '
    vmscm run --timeout=120 writes >said
    grep -q bye said
    vmscm cat writes | cmp - writes.raw
    before=$(vmscm show --json writes | jq -r .id)
    vmscm run --timeout=120 --keep=qa/kept writes >said
    grep -q bye said
    nothing_left
    vmscm list >machines
    grep -q qa/kept machines
    [ "$(vmscm show --json qa/kept | jq -r .id)" = "$before" ]
    (cd kept && vmscm status) >said
    grep -q "^thin, over" said'
check 'as a new machine, whose next revision that is' '
    (cd kept && vmscm checkin -m kept)
    cp writes.raw want.raw
    head -c 512 writes.raw | put want.raw 1024
    vmscm cat qa/kept | cmp - want.raw
    vmscm cat writes | cmp - writes.raw
    [ "$(vmscm log --json qa/kept | jq length)" = 2 ]'
check 'which can be gone on with' '
    vmscm run -q --timeout=120 --keep=qa/kept qa/kept
    (cd kept && vmscm checkin --json | jq -e .unchanged)'
check_fails 3 'a machine of that name' 'vmscm run -q --timeout=120 --keep=off writes' 'off'
check 'nothing was made by that' '[ ! -e off ]'
check_fails 2 'a name that no machine can have' 'vmscm run --keep=a..b writes' 'not a machine name'
check_fails 4 'a directory with something in it, and no machine is made' '
    mkdir taken; touch taken/file
    rc=0
    vmscm run -q --keep=taken writes || rc=$?
    vmscm list >machines
    ! grep -q taken machines || exit 9
    exit $rc' 'taken'
check_fails 3 'one that runs already' '
    vmscm run -q --keep=twice stay &
    pid=$!
    for _ in $(seq 400); do
        set -- /proc/[0-9]*/cmdline
        ! grep -qsF "twice/vda.qcow2" "$@" || break
        sleep 0.05
    done
    sleep 2
    rc=0
    vmscm run -q --keep=twice twice || rc=$?
    kill -TERM $pid
    wait $pid || true
    nothing_left
    exit $rc' 'twice/vda.qcow2'
check_fails 1 'kept, and time is over: nothing goes on' '
    rc=0
    vmscm run -q --timeout=3 --keep=twice twice || rc=$?
    nothing_left
    exit $rc' 'still runs after 3 seconds'
# beside COMMAND: a guest with a command beside it, which runs; its id in pid
beside() {
    rm -f there
    vmscm run -q --wait-for=text:login --timeout=120 --run="echo \$\$ >there; $1" stay &
    pid=$!
    for _ in $(seq 1200); do [ ! -s there ] || break; sleep 0.1; done
    [ -s there ]
}
check 'killed, with a command beside it: no qemu and no server goes on' '
    beside "exec sleep 60"
    kill -KILL $pid
    wait $pid || true
    kill "$(cat there)"
    left_behind'
check 'the terminal gone, with a command beside it: that ends, too' '
    beside "exec sleep 60"
    kill -HUP $pid
    rc=0
    wait $pid || rc=$?
    [ $rc = 129 ]
    kill -0 "$(cat there)" 2>/dev/null && fail "the command goes on"
    nothing_left'

# A qemu of ours: with KVM it says that this failed, and the guest stands still or goes on, as the file
# status says; without, it is the real one.
mkdir stuck
cat >stuck/qemu-system-x86_64 <<'END'
#!/usr/bin/env python3
import os, socket, sys
if "kvm" not in sys.argv:
    print("again", file=open("started", "a"))
    path = [p for p in os.environ["PATH"].split(":") if not p.endswith("/stuck")]
    os.execvpe("qemu-system-x86_64", sys.argv, dict(os.environ, PATH=":".join(path)))
path = [a for a in sys.argv if "id=monitor" in a][0].split("path=")[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
print("KVM internal error. Suberror: 1\nEAX=00000000 EBX=00000000", file=sys.stderr, flush=True)
status = open("status").read().strip()
asked = 0
while True:
    client = server.accept()[0]
    client.sendall(b"QEMU monitor\r\n(qemu) ")
    for line in client.makefile():
        asked += 1
        # It says so a little later than it says that it failed.
        now = status if asked > 2 else "running"
        if os.path.exists("begins") and asked == 1:
            print("begins", flush=True)
        client.sendall(b"%s\r\nVM status: %s\r\n(qemu) " % (line.strip().encode(), now.encode()))
        if now == "running" and asked > 5:
            print("debian login: ", flush=True)
END
chmod 755 stuck/qemu-system-x86_64
if [ -w /dev/kvm ] && [ -r /dev/kvm ]; then
    check 'a guest that stands still because KVM failed is started again without it' '
        echo "paused (internal-error)" >status
        PATH=$PWD/stuck:$PATH vmscm run -q --wait-for=text:login --timeout=120 stay 2>said
        [ "$(cat started)" = again ]
        [ "$(cat said)" = "vmscm: warning: KVM does not work here: the guest is emulated, which is slow" ]
        nothing_left'
    check_fails 3 'one that has said something before: told, with the way out' '
        rm -f started
        touch begins
        rc=0
        PATH=$PWD/stuck:$PATH vmscm run -q --wait-for=text:login --timeout=120 stay || rc=$?
        rm begins
        [ ! -e started ]
        nothing_left
        exit $rc' 'KVM internal error'
    check '--emulate: KVM is not even tried' '
        PATH=$PWD/stuck:$PATH vmscm run -q --emulate --wait-for=text:login --timeout=120 stay 2>said
        [ "$(cat started)" = again ]
        [ ! -s said ]'
    check 'one that goes on all the same is left alone' '
        rm -f started
        echo running >status
        PATH=$PWD/stuck:$PATH vmscm run -q --wait-for=text:login --timeout=120 stay
        [ ! -e started ]
        nothing_left'
else
    why="no KVM here"
    skip "a guest that stands still because KVM failed is started again without it" "$why"
    skip "one that has said something before: told, with the way out" "$why"
    skip "--emulate: KVM is not even tried" "$why"
    skip "one that goes on all the same is left alone" "$why"
fi

# A qemu of ours: it answers as the agent of a guest, by the lines of the file answers, {ID} being what it
# was asked to repeat.
mkdir fake
cat >fake/qemu-system-x86_64 <<'END'
#!/usr/bin/env python3
import json, socket, sys
path = [a for a in sys.argv if a.startswith("socket,id=agent")][0].split("path=")[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
with open("answers", "rb") as f:
    answers = f.read().split(b"\n")[:-1]
client = server.accept()[0]
asked = client.makefile("rb")
with open("asked", "wb") as log:
    for answer in answers:
        line = asked.readline().strip(b"\xff")
        log.write(line)
        log.flush()
        number = json.loads(line).get("arguments", {}).get("id", 0)
        answer = answer.replace(b"{ID}", str(number).encode()).replace(b"{FF}", b"\xff")
        if b"{LONG}" in answer:
            answer = b"x" * (80 << 20)
        client.sendall(answer + b"\n")
while asked.readline():
    pass
END
chmod 755 fake/qemu-system-x86_64
sync_answer='{FF}{"return": {ID}}'
info='{"return": {"id": "debian"}}'
started='{"return": {"pid": 7}}'
# exec_with ANSWER...: run a command in such a guest
exec_with() {
    printf '%s\n' "$@" >answers
    PATH=$PWD/fake:$PATH vmscm run --timeout=60 --exec='echo "hi"' stay
}
check 'a command in the guest: what it prints, and its status' '
    rc=0
    exec_with "$sync_answer" "$info" "$started" "{\"return\": {\"exited\": false}}" "{\"return\": {\"exited\": true, \"exitcode\": 5, \"out-data\": \"aGkKAAE=\", \"err-data\": \"b29wcwo=\"}}" >said 2>err || rc=$?
    [ $rc = 5 ]
    printf "hi\n\0\1" | cmp - said
    grep -qx oops err
    jq -r ".arguments | .path?, .arg[]?" asked >words
    printf "%s\n" /bin/sh -c "echo \"hi\"" | cmp - <(grep -vx null words)
    nothing_left'
check 'in Windows by its shell; the status of a signal' '
    rc=0
    exec_with "$sync_answer" "{\"return\": {\"id\": \"mswindows\"}}" "$started" "{\"return\": {\"exited\": true, \"signal\": 9, \"out-truncated\": true}}" 2>err || rc=$?
    [ $rc = 137 ]
    grep -q "left out the end" err
    grep -q cmd.exe asked'
check 'an old agent, and noise before its first answer' '
    exec_with "noise{FF}{FF}{\"return\": {ID}}" "{\"error\": {\"class\": \"CommandNotFound\"}}" "$started" "{\"return\": {\"exited\": true, \"exitcode\": 0}}"'
check_fails 3 'an agent that may not' 'exec_with "$sync_answer" "$info" "{\"error\": {\"desc\": \"has been disabled\"}}"' \
    'guest agent: the command was not started: has been disabled'
check_fails 3 'an agent that talks nonsense' 'exec_with "$sync_answer" "$info" "nonsense"' 'guest agent: what it answers is not JSON'
check_fails 3 'a process that is none' 'exec_with "$sync_answer" "$info" "{\"return\": {\"pid\": \"x\"}}"' 'has no process'
check_fails 3 'a state that is none' 'exec_with "$sync_answer" "$info" "$started" "{\"return\": 3}"' 'no state of the command'
check_fails 3 'output that is no base64' 'exec_with "$sync_answer" "$info" "$started" "{\"return\": {\"exited\": true, \"out-data\": \"a*\"}}"' 'not base64'
check_fails 3 'an answer without an end' 'exec_with "$sync_answer" "{LONG}"' 'too long'
check_fails 1 'no agent in time' '
    rc=0
    vmscm run --timeout=5 --exec=true stay || rc=$?
    nothing_left
    exit $rc' 'guest agent: no answer after 5 seconds'
check_fails 1 'the guest ends before' 'vmscm run --timeout=120 --exec=true off' 'the guest ended before the command'
check_fails 1 'a command that goes on' '
    printf "%s\n" "$sync_answer" "$info" "$started" >answers
    for _ in $(seq 100); do echo "{\"return\": {\"exited\": false}}"; done >>answers
    PATH=$PWD/fake:$PATH vmscm run --timeout=3 --exec="sleep 100" stay' 'still runs after 3 seconds'
check_fails 2 'a command that is not UTF-8' 'vmscm run --exec="$(printf "\377")" stay' 'not UTF-8'
check_fails 2 'a trace of what is kept' 'vmscm run --keep=x --record stay' 'not with --keep'
check_fails 2 'a cache where none is' 'vmscm run --keep=x --cache-size=1M stay' 'not with --keep'

check_fails 1 'time is over' 'vmscm run -q --wait-for=text:nosuch --timeout=3 stay && exit 1; rc=$?; nothing_left; exit $rc' \
    'not there after 3 seconds'
check_fails 1 'a port that nobody answers at' '
    vmscm run -q --isolate --wait-for=port:22 --timeout=5 stay' 'port:22: not there after 5 seconds'
check_fails 1 'it ended before' 'vmscm run -q --wait-for=text:login --timeout=120 off' 'ended before'
check 'interrupted: nothing goes on' '
    vmscm run -q stay &
    pid=$!
    for _ in $(seq 200); do
        ! grep -lsF "$XDG_RUNTIME_DIR/vmscm-" /proc/[0-9]*/cmdline | grep -q . || break
        sleep 0.05
    done
    sleep 0.5
    kill -TERM $pid
    rc=0
    wait $pid || rc=$?
    [ $rc = 143 ]
    nothing_left'
check 'killed: nothing goes on' '
    vmscm run -q stay &
    pid=$!
    sleep 2
    kill -KILL $pid
    wait $pid || true
    left_behind'
check 'the revision is as it was' '
    vmscm cat stay | cmp - stay.raw
    [ "$(vmscm log --json stay | jq length)" = 1 ]'

check_fails 1 'no such revision' 'vmscm run nosuch' 'nosuch'
check_fails 3 'a bus that cannot be had, and the way out' 'vmscm run on-xen' 'on a bus that cannot be had here: xen'
check '--bus: that way' 'vmscm run -q --bus=virtio --wait-for=text:login --timeout=120 on-xen'
check_fails 2 'what to wait for: nonsense' 'vmscm run --wait-for=door:3 stay' 'neither port:N nor text'
check_fails 2 'a forward: nonsense' 'vmscm run --forward=22 stay' 'not HOST-PORT:GUEST-PORT'
check_fails 2 '--run alone' 'vmscm run --run=true stay' 'only with --wait-for or --exec'
check_fails 3 'no qemu' '
    mkdir -p bin
    for tool in vmscm nbdkit; do ln -sf "$(command -v $tool)" bin/; done
    PATH=$PWD/bin vmscm run stay' 'qemu-system-x86_64: not installed'
check_fails 3 'qemu says why it cannot' 'vmscm run --vnc=nonsense stay' 'qemu-system-x86_64: '

done_testing
