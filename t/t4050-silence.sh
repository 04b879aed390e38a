#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Far sides that say nothing: they are given up, while those that are only busy are waited for.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

# In place of ssh: runs what it is to run there, here. The number of the process is left in a file.
cat >near <<'END'
#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
echo $$ >"$NEAR_PID"
eval "exec $1"
END
# The same through pipes, as some sshd does it.
cat >piped <<'END'
#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
cat | eval "$1" | cat
END
printf '#!/bin/sh\nexec sleep 1000\n' >mute
chmod 755 near piped mute
NEAR_PID=$PWD/pid
export NEAR_PID VMSCM_SSH=$PWD/near
noise 24000000 1 >one.raw
vmscm init -q --bare hub.vmscm
vmscm -C hub.vmscm config receive.packSize 1m
vmscm -C hub.vmscm config transfer.timeout 2
vmscm init -q ann
vmscm -C ann config transfer.timeout 2
vmscm -C ann checkin -q web "$PWD/one.raw" -m one
vmscm -C ann remote add hub "somewhere:$PWD/hub.vmscm"
vmscm -C ann config --user remote.hub.program "$(command -v vmscm)"

# await CONDITION: up to twenty seconds
await() {
    for _ in $(seq 400); do
        eval "$1" && return
        sleep 0.05
    done
    return 1
}
# gone PROCESS: it has ended, whether anybody has noticed or not
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.*[ZX]' "/proc/$1/status"; }
kept() { find hub.vmscm/quarantine -name "*.vpk" -path "*/packs/*" -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

check_fails 3 'one that never answers' 'VMSCM_SSH=$PWD/mute vmscm -C ann push hub web' \
    'somewhere: no sign of life for 2 seconds'
check 'one that is busy for longer is waited for' '
    exec 8>>hub.vmscm/locks/commit
    flock 8
    vmscm -C ann push --json hub web >said 8>&- &
    await "[ \$(kept) -gt 20000000 ] || [ -n \"\$(ls hub.vmscm/packs)\" ]"
    sleep 5
    exec 8>&-
    wait $!
    jq -e ".items[0].change == \"new\"" said'
check_fails 3 'one that stops in the middle of a push' '
    noise 24000000 2 >two.raw
    vmscm -C ann checkin -q web "$PWD/two.raw" -m two
    vmscm -C ann push --limit=8M hub web &
    await "[ \$(kept) -gt 2000000 ]"
    kill -STOP "$(cat pid)"
    wait $!' 'no sign of life for 2 seconds'
check 'what it had whole is used when it is run again' '
    kill -KILL "$(cat pid)" 2>/dev/null || true
    await "gone $(cat pid)"
    there=$(kept)
    [ "$there" -gt 1000000 ]
    vmscm -C ann push --json hub web >said
    [ "$(jq .sent said)" -le $((24000000 - there + 1200000)) ]'
check 'a client that stops is given up, too, and goes on afterwards' '
    noise 24000000 3 >three.raw
    vmscm -C ann checkin -q web "$PWD/three.raw" -m three
    vmscm -C ann push --limit=8M hub web 2>said &
    await "[ \$(kept) -gt 2000000 ]"
    server=$(cat pid)
    kill -STOP $!
    await "gone $server"
    kill -CONT $!
    ! wait $!
    cat said
    vmscm -C ann push -q hub web
    vmscm -C hub.vmscm cat web | cmp - three.raw'
check 'pipes will do, with nobody at fault' '
    noise 5000000 4 >four.raw
    vmscm -C ann checkin -q web "$PWD/four.raw" -m four
    VMSCM_SSH=$PWD/piped vmscm -C ann push -q hub web
    vmscm -C hub.vmscm cat web | cmp - four.raw
    VMSCM_SSH=$PWD/piped vmscm clone -q "somewhere:$PWD/hub.vmscm" ben 2>err || {
        cat err
        exit 1
    }
    vmscm -C ben cat web | cmp - four.raw'
check 'and for ever is waited with 0' '
    vmscm -C ann config transfer.timeout 0
    VMSCM_SSH=$PWD/mute timeout 4 vmscm -C ann fetch hub && rc=0 || rc=$?
    [ $rc = 124 ]'
check 'nothing else was harmed' '
    vmscm -C hub.vmscm fsck --full -q
    vmscm -C ann fsck -q'
done_testing
