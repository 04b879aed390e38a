#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Over a slow line that loses packets: 50 ms there and back, 1 % lost, 20 Mbit/s, between two network namespaces, with a
# real sshd. Round trips are counted, and what was cut off goes on where it was.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd)
[ -n "$sshd" ] || skip_all "sshd is not installed"
why=$(missing ssh ssh-keygen ip python3 ROOT)
[ -z "$why" ] || skip_all "$why"

net=vmscm$$
coproc LINE { exec "$TEST_SOURCE/t/slowlink" "$net" 25 1 20 2>"$TEST_DIR/line.err"; }
line=$LINE_PID
read -r -t 30 said <&"${LINE[0]}" || said=
[ "$said" = ready ] ||
    skip_all "network namespaces with a line between them cannot be had: $(head -n 1 "$TEST_DIR/line.err")"
at_exit 'kill -CONT "$line" 2>/dev/null; kill "$line" 2>/dev/null; wait "$line" 2>/dev/null'

conf=$TEST_DIR/sshd
mkdir -p "$conf" /run/sshd
chmod 700 "$conf"
ssh-keygen -q -t ed25519 -N '' -f "$conf/host"
ssh-keygen -q -t ed25519 -N '' -f "$conf/key"
cat >"$conf/config" <<END
ListenAddress 10.77.0.2
HostKey $conf/host
AuthorizedKeysFile $conf/key.pub
PidFile $conf/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
END
ip netns exec "$net-b" "$sshd" -f "$conf/config" -E "$conf/log"
for _ in $(seq 50); do
    [ -s "$conf/pid" ] && break
    sleep 0.1
done
[ -s "$conf/pid" ] || skip_all "sshd does not start here"
at_exit 'kill "$(cat "$conf/pid")" 2>/dev/null'
echo "10.77.0.2 $(cut -d' ' -f1,2 "$conf/host.pub")" >"$conf/known"
VMSCM_SSH="ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile=$conf/known -i $conf/key"
export VMSCM_SSH

# far COMMAND...: at the near end of the line
far() { ip netns exec "$net-a" "$@"; }
# await CONDITION: up to a minute
await() {
    for _ in $(seq 600); do
        eval "$1" && return
        sleep 0.1
    done
    return 1
}
kept() { find hub.vmscm/quarantine -name "*.vpk" -path "*/packs/*" -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

noise 3000000 1 >one.raw
cp one.raw two.raw
noise 200000 2 | put two.raw 1000000
noise 6000000 3 >big.raw
vmscm init -q --bare hub.vmscm
vmscm -C hub.vmscm config receive.packSize 1m
vmscm -C hub.vmscm config transfer.timeout 15
vmscm init -q ann
vmscm -C ann config transfer.timeout 15
vmscm -C ann checkin -q web "$PWD/one.raw" -m one
vmscm -C ann remote add origin "ssh://root@10.77.0.2$PWD/hub.vmscm"
vmscm -C ann config --user remote.origin.program "$VMSCM_BUILD/vmscm"

check 'a first push takes at most five round trips' '
    far vmscm -C ann push --json origin web >said
    cat said
    jq -e ".round_trips <= 5 and .sent < 3000000 * 1.02 + 65536" said'
check 'so do what changed, a clone and a tag, with few bytes' '
    vmscm -C ann checkin -q web "$PWD/two.raw" -m two
    far vmscm -C ann push --json >said
    jq -e ".round_trips <= 5 and .sent < 200000 * 1.6 + 65536" said
    vmscm -C ann clone -q web qa
    far vmscm -C ann push --json origin qa >said
    jq -e ".round_trips <= 5 and .sent < 16384" said
    vmscm -C ann tag -q web golden
    far vmscm -C ann push --json origin web:golden >said
    jq -e ".round_trips <= 5 and .sent < 16384" said'
check 'and a clone of all, which is whole' '
    vmscm config --user core.sshCommand "$VMSCM_SSH"
    far env PATH="$PATH" vmscm clone --json "ssh://root@10.77.0.2$PWD/hub.vmscm" ben >said 2>err || {
        grep "on the PATH there" err
        vmscm init -q ben
        vmscm -C ben remote add origin "ssh://root@10.77.0.2$PWD/hub.vmscm"
        far vmscm -C ben pull --json origin "*" >said
    }
    jq -e ".round_trips <= 5" said
    vmscm -C ben cat web:golden | cmp - two.raw
    vmscm -C ben cat qa | cmp - two.raw
    vmscm -C ben fsck --full -q'
check_fails 3 'a line that goes dead is noticed' '
    vmscm -C ann checkin -q big "$PWD/big.raw" -m big
    far vmscm -C ann push --json origin big >said &
    await "[ \$(kept) -gt 2000000 ]"
    kill -STOP $line
    wait $!' 'no sign of life for 15 seconds'
check 'when it is back, what was whole is not sent again' '
    await "flock -n hub.vmscm/quarantine/from-*/lock true" || { find hub.vmscm -newer ann -type f; cat "$TEST_DIR/sshd/log"; exit 1; }
    kill -CONT $line
    there=$(kept)
    [ "$there" -gt 2000000 ]
    [ -z "$(vmscm -C hub.vmscm list --json | jq -r ".[] | select(.machine == \"big\")")" ]
    vmscm -C hub.vmscm fsck
    far vmscm -C ann push --json origin big >said
    cat said
    [ "$(jq .sent said)" -le $((6000000 - there + 200000)) ]
    [ "$(jq .round_trips said)" -le 5 ]
    vmscm -C hub.vmscm cat big | cmp - big.raw
    vmscm -C hub.vmscm fsck --full -q'
done_testing
