#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# valgrind
# Several processes on one repository, and processes that die in the middle.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

case ${VMSCM_TEST_VARIANT:-default} in
valgrind) size=2000000 big=4000000 ;;
*) size=12000000 big=200000000 ;;
esac
vmscm init >/dev/null 2>&1
tip() { vmscm show --json "$1" | jq -r .id; }

check 'eight check-ins into one repository at once all succeed' '
    pids=
    for i in 1 2 3 4 5 6 7 8; do
        # Half of each disk is everyone'"'"'s, half its own.
        { noise $((size / 2)) 1; noise $((size / 2)) 10$i; } >disk$i.raw
    done
    for i in 1 2 3 4 5 6 7 8; do
        vmscm checkin "machine$i" disk$i.raw -m "number $i" -q &
        pids="$pids $!"
    done
    for pid in $pids; do wait $pid; done'
check 'and are right' '
    [ "$(vmscm list --json | jq "length")" = 8 ]
    for i in 1 2 3 4 5 6 7 8; do
        vmscm cat "machine$i" | cmp - disk$i.raw
    done'
check 'eight check-ins of one machine at once: each is there, one after the other' '
    pids=
    for i in 1 2 3 4 5 6 7 8; do
        vmscm checkin shared disk$i.raw -m "number $i" -q &
        pids="$pids $!"
    done
    for pid in $pids; do wait $pid; done
    [ "$(vmscm log --json shared | jq "length")" = 8 ]
    [ "$(git --git-dir=.vmscm/git log --format=%s shared | sort | uniq | wc -l)" = 8 ]'
check 'eight tags and eight comments at once all succeed' '
    pids=
    for i in 1 2 3 4 5 6 7 8; do
        vmscm tag shared "tag$i" & pids="$pids $!"
        vmscm comment shared -m "comment $i" & pids="$pids $!"
    done
    for pid in $pids; do wait $pid; done
    [ "$(vmscm tag -l shared --json | jq "length")" = 8 ]
    [ "$(vmscm show --json shared | jq ".comments | length")" = 8 ]'
check 'of eight that make one new name, one does' '
    pids=
    won=0
    for i in 1 2 3 4 5 6 7 8; do
        vmscm clone machine$i wanted 2>said$i & pids="$pids $!"
    done
    for pid in $pids; do wait $pid && won=$((won + 1)); done
    [ $won = 1 ]
    vmscm show wanted'
check 'readers and fsck run beside writers' '
    noise $size 77 >more.raw
    vmscm checkin more more.raw -q -m more & writer=$!
    for i in 1 2 3; do
        vmscm cat machine$i | cmp - disk$i.raw
        vmscm list >/dev/null
        vmscm fsck
    done
    wait $writer
    vmscm cat more | cmp - more.raw'

# --- death in the middle

noise "$big" 42 >big.raw
stored .vmscm >stored.before
check 'a check-in that is killed leaves no visible change' '
    vmscm list >before
    for delay in 0.05 0.1 0.2 0.4 0.8; do
        vmscm checkin big$delay big.raw -q -m big & pid=$!
        sleep $delay
        kill -9 $pid 2>/dev/null || true
        # Whoever was acknowledged is there; whoever was killed is not, or whole.
        if wait $pid 2>/dev/null; then
            vmscm cat big$delay | cmp - big.raw
            vmscm rm big$delay
        elif vmscm show big$delay >/dev/null 2>&1; then
            vmscm cat big$delay | cmp - big.raw
            vmscm rm big$delay
        fi
    done
    vmscm list >after
    cmp before after
    vmscm fsck'
check 'Ctrl-C ends a check-in with a line, and no visible change' '
    rc=0
    noise "$big" 43 >other.raw
    vmscm checkin other other.raw -q -m other 2>said & pid=$!
    sleep 0.15
    kill -INT $pid
    wait $pid || rc=$?
    # Where the machine is so quick that it was done, it is done.
    if [ $rc != 0 ]; then
        [ "$(grep -c "^vmscm: " said)" = 1 ]
        ! vmscm show other 2>/dev/null
    fi'
check 'running it again succeeds, and stores nothing twice' '
    vmscm checkin big big.raw -q -m big
    vmscm cat big | cmp - big.raw
    vmscm checkin other other.raw -q -m other
    # What is not compressible takes what it takes, and a little for the records. Of what killed
    # check-ins left, whole packs were used again, and the rest is not in packs.
    more=$(($(stored .vmscm) - $(cat stored.before)))
    [ $more -lt $((big * 2 + big / 25)) ] || fail "$more bytes for two of $big"
    vmscm fsck --full'
check 'how many threads work makes no difference to what is stored' '
    for jobs in 1 2 7; do
        vmscm init jobs$jobs
        vmscm -C jobs$jobs config core.jobs $jobs
        vmscm -C jobs$jobs checkin m "$PWD/disk1.raw" -q -m m --date @1700000000
    done
    for jobs in 2 7; do
        [ "$(git --git-dir=jobs1/.vmscm/git rev-parse m^{tree})" = \
            "$(git --git-dir=jobs$jobs/.vmscm/git rev-parse m^{tree})" ]
    done'

done_testing
