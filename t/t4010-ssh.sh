#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Push, fetch and clone over ssh: a real sshd on the loopback interface, with keys, and a forced command.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd)
[ -n "$sshd" ] || skip_all "sshd is not installed"
why=$(missing ssh ssh-keygen ROOT)
[ -z "$why" ] || skip_all "$why"

# The sanitizer's library is found through no environment that sshd passes on, nor is it needed.
conf=$TEST_DIR/sshd
mkdir -p "$conf" "$HOME/.ssh"
chmod 700 "$conf" "$HOME/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$conf/host"
ssh-keygen -q -t ed25519 -N '' -f "$conf/open"
ssh-keygen -q -t ed25519 -N '' -f "$conf/forced"
ssh-keygen -q -t ed25519 -N '' -f "$conf/reader"
ssh-keygen -q -t ed25519 -N '' -f "$conf/stranger"
hub="$TEST_DIR/work/the \$(touch x) & hub.vmscm"
ln -s "$hub" "$conf/hub"
{
    cat "$conf/open.pub"
    echo "restrict,command=\"'$VMSCM_BUILD/vmscm' remote-serve '$conf/hub'\" $(cat "$conf/forced.pub")"
    echo "restrict,command=\"'$VMSCM_BUILD/vmscm' remote-serve --read-only '$conf/hub'\" $(cat "$conf/reader.pub")"
} >"$conf/authorized"
chmod 600 "$conf/authorized"
port=
for try in $(shuf -i 20000-60000 -n 20); do
    cat >"$conf/config" <<END
Port $try
ListenAddress 127.0.0.1
HostKey $conf/host
AuthorizedKeysFile $conf/authorized
PidFile $conf/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
MaxSessions 100
END
    mkdir -p /run/sshd
    "$sshd" -f "$conf/config" -E "$conf/log" 2>/dev/null || continue
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ -s "$conf/pid" ] && break
        sleep 0.1
    done
    [ -s "$conf/pid" ] && port=$try && break
done
[ -n "$port" ] || skip_all "sshd does not start here"
at_exit 'kill "$(cat "$conf/pid")" 2>/dev/null'
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$conf/host.pub")" >"$conf/known"

# as KEY: ssh with that key
as() {
    echo "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile=$conf/known -i $conf/$1"
}
url="ssh://root@127.0.0.1:$port$hub"
VMSCM_SSH=$(as open)
export VMSCM_SSH

sample_disk one.raw 24 1
cp one.raw two.raw
noise 300000 7 | put two.raw 5000000
one=$PWD/one.raw two=$PWD/two.raw
tip() { vmscm -C "$1" log --json "$2" | jq -r ".[0].id"; }
vmscm init -q --bare "$hub"
vmscm init -q ann
vmscm -C ann checkin -q web "$one" -m one
vmscm -C ann remote add origin "$url"
vmscm -C ann config --user remote.origin.program "$VMSCM_BUILD/vmscm"

check 'a push, with a path that a shell would take apart' '
    vmscm -C ann push --json origin web >said
    jq -e ".round_trips <= 5 and .items[0].change == \"new\"" said
    [ "$(tip "$hub" web)" = "$(tip ann web)" ]
    vmscm -C "$hub" cat web | cmp - "$one"'
check 'a clone through a forced command, whatever path is asked for' '
    VMSCM_SSH=$(as forced) vmscm clone -q "ssh://root@127.0.0.1:$port/anything" ben
    [ "$(tip ben web)" = "$(tip ann web)" ]
    vmscm -C ben fsck --full -q'
check 'in the short form, with the program named in the configuration' '
    vmscm config --user core.sshCommand "$(as forced) -p $port"
    vmscm -C ben remote set-url origin "root@127.0.0.1:x"
    vmscm -C ben checkin -q web "$two" -m two
    unset VMSCM_SSH
    vmscm -C ben push -q
    [ "$(tip "$hub" web)" = "$(tip ben web)" ]'
check 'what the repository itself says to run is not run' '
    vmscm -C ben config core.sshCommand "touch $PWD/ran"
    vmscm -C ben config remote.origin.program "touch $PWD/ran"
    unset VMSCM_SSH
    vmscm -C ben fetch -q
    [ ! -e ran ]'
check 'what another pushed is pulled' '
    vmscm -C ann pull -q
    vmscm -C ann cat web | cmp - "$two"'
check 'a reader may fetch' 'VMSCM_SSH=$(as reader) vmscm -C ann fetch -q'
check_fails 4 'and not push' '
    vmscm -C ann checkin -q web "$one" -m three
    VMSCM_SSH=$(as reader) vmscm -C ann push' 'read-only'
check_fails 3 'a key that is not known' 'VMSCM_SSH=$(as stranger) vmscm -C ann push' 'ermission denied'
check_fails 3 'a host that is not known' '
    VMSCM_SSH="ssh -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o BatchMode=yes" vmscm -C ann push' '127.0.0.1'
check_fails 3 'nobody listens' '
    vmscm -C ann remote add gone "ssh://root@127.0.0.1:1/x"
    vmscm -C ann push gone web' 'refused'
check_fails 3 'no ssh' 'VMSCM_SSH=no-such-ssh vmscm -C ann push' 'not installed'
vmscm config --user --unset core.sshCommand
check_fails 3 'no vmscm there' '
    vmscm -C ann remote add bare "$url"
    vmscm -C ann config --user remote.bare.program /nowhere/vmscm
    vmscm -C ann fetch bare' '127.0.0.1'
check_fails 3 'no repository there' '
    vmscm -C ann remote add none "ssh://root@127.0.0.1:$port/nowhere"
    vmscm -C ann config --user remote.none.program "$VMSCM_BUILD/vmscm"
    vmscm -C ann fetch none' 'nowhere'
check_fails 3 'a shell there that prints something' '
    printf "#!/bin/sh\necho Welcome to this machine\nexec cat >/dev/null\n" >talks
    chmod 755 talks
    VMSCM_SSH="$PWD/talks" vmscm -C ann fetch' 'no vmscm'
check_fails 3 'a far side of a newer version' '
    printf "#!/bin/sh\n%s | { dd bs=1 count=16; dd bs=1 count=1 of=/dev/null; printf \"\\002\"; cat; } 2>/dev/null\n" \
        "vmscm remote-serve $conf/hub" >later
    chmod 755 later
    VMSCM_SSH="$PWD/later" vmscm -C ann fetch' 'speaks version 2 of the protocol'
check_fails 2 'a host that would be an option' 'vmscm -C ann fetch "ssh://-oProxyCommand=touch%20x/y"' 'no name of a host'
check 'nothing was run by that' '[ ! -e x ] && [ ! -e ann/x ]'

check 'eight push at once to one machine: what was acknowledged is there' '
    for i in 1 2 3 4 5 6 7 8; do
        VMSCM_SSH=$(as forced) vmscm clone -q "$url" "p$i"
        cp two.raw "p$i.raw"
        noise 50000 "2$i" | put "p$i.raw" $((i * 1000000))
        vmscm -C "p$i" checkin -q web "$PWD/p$i.raw" -m "by $i"
        vmscm -C "p$i" checkin -q "own$i" "$PWD/p$i.raw" -m "by $i"
    done
    for i in 1 2 3 4 5 6 7 8; do
        (VMSCM_SSH=$(as forced) vmscm -C "p$i" push -q origin web 2>"e$i" && rc=0 || rc=$?
         echo $rc >"s$i"
         VMSCM_SSH=$(as forced) vmscm -C "p$i" push -q origin "own$i" || echo bad >"bad$i") &
    done
    wait
    cat s? e?
    [ "$(grep -lx 0 s? | wc -l)" = 1 ]
    [ "$(grep -lx 4 s? | wc -l)" = 7 ]
    ! ls bad? 2>/dev/null
    winner=$(grep -lx 0 s?)
    [ "$(tip "$hub" web)" = "$(tip "p${winner#s}" web)" ]
    for i in 1 2 3 4 5 6 7 8; do vmscm -C "$hub" cat "own$i" | cmp - "p$i.raw"; done
    vmscm -C "$hub" fsck --full -q
    rm -rf p? p?.raw'

check 'a lazy clone over ssh brings what is read, and keeps one connection for it' '
    noise 9000000 77 >lazy.raw
    vmscm -C "$hub" checkin -q lazily "$PWD/lazy.raw" -m one
    rm -rf lz && VMSCM_SSH=$(as reader) vmscm clone -q --lazy "ssh://root@127.0.0.1:$port$conf/hub" lz
    [ "$(find lz/.vmscm/packs lz/.vmscm/cache -name "*.vpk" | wc -l)" = 0 ]
    before=$(grep -c "Accepted publickey" "$conf/log")
    VMSCM_SSH=$(as reader) vmscm -C lz checkout -v lazily ../lzco 2>said
    cat said
    grep "origin: brought [0-9]* bytes in [0-9] requests" said
    [ $(($(grep -c "Accepted publickey" "$conf/log") - before)) = 1 ]
    cmp lzco/*.img lazy.raw || cmp lzco/*.raw lazy.raw
    VMSCM_SSH=false vmscm -C lz cat lazily | cmp - lazy.raw
    rm -rf lz/.vmscm/cache
    ! VMSCM_SSH=false vmscm -C lz cat lazily >x 2>said
    cat said
    grep "only at origin" said
    vmscm -C "$hub" rm -q lazily
    rm -rf lz lzco'

done_testing
