#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Transfers whose either side is killed at any moment: nothing half-done is seen, what arrived whole is not
# sent again, and in the end all is there.
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
chmod 755 near
VMSCM_SSH=$PWD/near
NEAR_PID=$PWD/pid
export VMSCM_SSH NEAR_PID

noise 24000000 1 >one.raw
one=$PWD/one.raw
tip() { vmscm -C "$1" log --json "$2" 2>/dev/null | jq -r ".[0].id"; }
vmscm init -q ann
vmscm -C ann config receive.packSize 1m
vmscm -C ann checkin -q web "$one" -m one
want=$(tip ann web)

# kept REPOSITORY: bytes of whole packs in its quarantine
kept() { find "$1/quarantine" -name "*.vpk" -path "*/packs/*" -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

# new_hub: an empty repository. A far side that lost its client may still be at the old one, by its path.
new_hub() {
    [ ! -e pid ] || await "! kill -0 \$(cat pid) 2>/dev/null"
    rm -rf hub.vmscm
    vmscm init -q --bare hub.vmscm
    vmscm -C hub.vmscm config receive.packSize 1m
    vmscm -C ann config remote.hub.url >/dev/null || {
        vmscm -C ann remote add hub "somewhere:$PWD/hub.vmscm"
        vmscm -C ann config --user remote.hub.program "$(command -v vmscm)"
    }
}

# soon COMMAND...: in the background; its process in $started
soon() {
    "$@" >said 2>said.err &
    started=$!
}

# await CONDITION: up to ten seconds
await() {
    for _ in $(seq 200); do
        eval "$1" && return
        sleep 0.05
    done
    return 1
}

check 'who pushes is killed: what was whole there is not sent again' '
    new_hub
    soon vmscm -C ann push --limit=8M hub web
    await "[ \$(kept hub.vmscm) -gt 4000000 ]"
    kill -9 $started
    wait $started || true
    await "flock -n hub.vmscm/quarantine/from-*/lock true"
    there=$(kept hub.vmscm)
    [ "$there" -gt 4000000 ]
    [ -z "$(vmscm -C hub.vmscm list --json | jq -r ".[].machine")" ]
    vmscm -C hub.vmscm fsck --full | grep "^quarantine: 1 interrupted transfer"
    vmscm -C ann push --json hub web >said
    [ "$(jq .sent said)" -le $((24000000 - there + 1200000)) ]
    [ "$(tip hub.vmscm web)" = "$want" ]
    [ -z "$(ls hub.vmscm/quarantine)" ]
    vmscm -C hub.vmscm cat web | cmp - "$one"
    vmscm -C hub.vmscm fsck --full -q'
check 'the far side is killed' '
    new_hub
    soon vmscm -C ann push --limit=8M hub web
    await "[ \$(kept hub.vmscm) -gt 4000000 ]"
    kill -9 "$(cat pid)"
    ! wait $started
    cat said.err
    grep "^vmscm: somewhere: " said.err
    there=$(kept hub.vmscm)
    vmscm -C ann push --json hub web >said
    [ "$(jq .sent said)" -le $((24000000 - there + 1200000)) ]
    vmscm -C hub.vmscm cat web | cmp - "$one"'
check 'who clones is killed, and goes on' '
    soon vmscm clone --limit=8M ./ann ben
    await "[ -d ben/.vmscm/quarantine ]"
    vmscm -C ben config receive.packSize 1m
    await "[ \$(kept ben/.vmscm) -gt 0 ] || [ -n \"\$(ls ben/.vmscm/quarantine/from-*/tmp 2>/dev/null)\" ]"
    kill -9 $started
    wait $started || true
    [ -z "$(vmscm -C ben list --json | jq -r ".[].machine")" ]
    vmscm clone -q ./ann ben
    [ "$(tip ben web)" = "$want" ]
    vmscm -C ben cat web | cmp - "$one"'
check 'who fetches is killed: what was whole is not fetched again' '
    vmscm init -q eve
    vmscm -C eve config receive.packSize 1m
    vmscm -C eve remote add origin ../ann
    soon vmscm -C eve fetch --limit=8M
    await "[ \$(kept eve/.vmscm) -gt 4000000 ]"
    kill -9 $started
    wait $started || true
    there=$(kept eve/.vmscm)
    vmscm -C eve fetch --json >said
    [ "$(jq .received said)" -le $((24000000 - there + 1200000)) ]
    [ "$(jq .resumed said)" -ge 4 ]
    vmscm -C eve cat origin/web | cmp - "$one"'
check 'gc takes what nobody goes on with' '
    new_hub
    soon vmscm -C ann push --limit=8M hub web
    await "[ \$(kept hub.vmscm) -gt 2000000 ]"
    vmscm -C hub.vmscm gc -q
    [ "$(kept hub.vmscm)" -gt 2000000 ]
    kill -9 $started
    wait $started || true
    await "flock -n hub.vmscm/quarantine/from-*/lock true"
    vmscm -C hub.vmscm gc -q
    [ -z "$(ls hub.vmscm/quarantine)" ]'
check 'killed at many moments, either side, it comes to its end' '
    new_hub
    kills=0
    for i in $(seq 24); do
        [ "$(tip hub.vmscm web)" != "$want" ] || { kills=$((kills + 1)); new_hub; }
        soon vmscm -C ann push hub web
        sleep "0.$(printf %03d $((i * 17 % 400)))"
        if [ $((i % 2)) = 0 ]; then kill -9 $started; else kill -9 "$(cat pid)"; fi 2>/dev/null || true
        wait $started && rc=0 || rc=$?
        [ $rc != 0 ] || [ "$(tip hub.vmscm web)" = "$want" ]
        vmscm -C hub.vmscm fsck
    done
    await "vmscm -C ann push -q hub web"
    vmscm -C hub.vmscm cat web | cmp - "$one"
    vmscm -C hub.vmscm fsck --full -q'

done_testing
