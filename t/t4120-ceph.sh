#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow: A repository in a bucket of a real Ceph: its whole life, those who push at once, and those who are killed.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-ceph.sh
. "$TEST_SOURCE/t/lib-ceph.sh"

why=$(ceph_lacks)
[ -z "$why" ] || skip_all "$why"
why=$(missing python3 curl jq)
[ -z "$why" ] || skip_all "$why"
export XDG_CACHE_HOME=$HOME/.cache
unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_REGION AWS_SESSION_TOKEN AWS_ENDPOINT_URL AWS_CA_BUNDLE
at_exit ceph_stop
ceph_start "$TEST_DIR/ceph" && ceph_bucket vms || {
    tail -n 5 "$TEST_DIR/ceph/log" | sed 's/^/# /'
    skip_all "Ceph does not start here"
}
mkdir -p "$XDG_CACHE_HOME/vmscm" "$TEST_DIR/other" && no_fsck "$XDG_CACHE_HOME/vmscm" && no_fsck "$TEST_DIR/other"
U="s3://vms/team/one?endpoint=$CEPH_URL"
sample_disk "$TEST_DIR/web.raw" 40 1
cp "$TEST_DIR/web.raw" "$TEST_DIR/web2.raw"
noise 700000 7 | put "$TEST_DIR/web2.raw" 9000000

check 'init, push, clone, reading in place, fetch' '
    vmscm init "$U"
    vmscm init a && cd a
    vmscm checkin web "$TEST_DIR/web.raw" -m one
    vmscm remote add origin "$U"
    vmscm push --all
    vmscm -C "$U" list | grep "^web "
    vmscm -C "$U" log web | grep one
    vmscm -C "$U" cat web | cmp - "$TEST_DIR/web.raw"
    vmscm -C "$U" checkout -q web out
    cmp "out/$(ls out)" "$TEST_DIR/web.raw"
    vmscm clone -q "$U" ../b
    vmscm checkin web "$TEST_DIR/web2.raw" -m two
    vmscm tag web golden -m good
    vmscm push -q --tags
    cd ../b && vmscm pull -q && vmscm cat web:golden | cmp - "$TEST_DIR/web2.raw"
'
check_fails 1 'no bucket is told' 'vmscm init "s3://nobucket/x?endpoint=$CEPH_URL"' 'there is no such bucket'
check_fails 4 'wrong credentials are told' 'AWS_SECRET_ACCESS_KEY=no vmscm -C "$U" list' 'wrong credentials'
check_fails 4 'a key that is not known is told' 'AWS_ACCESS_KEY_ID=NOBODY vmscm -C "$U" list' 'wrong credentials'

# pusher N: its own machine, and one that all want, each by someone with a cache of his own
pusher() {
    export XDG_CACHE_HOME=$TEST_DIR/other/$1
    vmscm clone -q "$U" "p$1" && cd "p$1" || return
    noise 200000 $(($1 + 50)) >"$TEST_DIR/r$1.raw"
    vmscm checkin -q "own$1" "$TEST_DIR/r$1.raw" -m "of $1"
    vmscm checkin -q common "$TEST_DIR/r$1.raw" -m "common of $1"
    vmscm push -q origin "own$1" || touch ../lost
    if vmscm push -q origin common 2>err; then echo "$1" >>../winners; fi
}
check 'eight push at once: one wins what all want, nothing else is lost' '
    for i in 1 2 3 4 5 6 7 8; do pusher $i & done
    wait
    test ! -e lost
    test "$(wc -l <winners)" = 1
    for i in 1 2 3 4 5 6 7 8; do vmscm -C "$U" cat own$i | cmp - "$TEST_DIR/r$i.raw"; done
    vmscm -C "$U" cat common | cmp - "$TEST_DIR/r$(cat winners).raw"
    rm -rf p[1-8]
'
check 'who pushes is killed at any point: what was acknowledged is there, and the rest is whole' '
    cd b
    for i in $(seq 25); do
        noise 300000 $((100 + i)) >"$TEST_DIR/k.raw"
        vmscm checkin -q kill "$TEST_DIR/k.raw" -m $i
        if timeout -s KILL 0.$((RANDOM % 60 + 10)) vmscm push -q origin kill; then
            vmscm log --json kill | jq -r ".[0].id" >>acknowledged
        fi
        vmscm -C "$U" list >/dev/null
    done
    vmscm push -q origin kill
    vmscm -C "$U" log --json kill >there
    if [ -e acknowledged ]; then
        while read -r id; do grep -q "$id" there; done <acknowledged
    fi
    wc -l acknowledged || echo "none was quick enough"
    vmscm -C "$U" cat kill | cmp - "$TEST_DIR/k.raw"
    rm -f acknowledged
'
check 'gc removes what they left, and what was removed' '
    vmscm -C b push -q --delete origin kill
    vmscm gc --json --grace 0 "$U" | tee log
    jq -e ".freed_bytes > 300000" log
    vmscm gc --grace 0 "$U"
    rm -rf "$TEST_DIR/other"/*
    XDG_CACHE_HOME=$TEST_DIR/other vmscm clone -q "$U" c
    vmscm -C c fsck --full
    vmscm -C c cat web | cmp - "$TEST_DIR/web2.raw"
    vmscm -C c cat own3 | cmp - "$TEST_DIR/r3.raw"
'
check 'twenty make one generation: one does' '
    for i in $(seq 20); do
        (
            export XDG_CACHE_HOME=$TEST_DIR/other/t$i
            vmscm init -q "s3://vms/race?endpoint=$CEPH_URL" 2>err$i
            echo $? >>inits
        ) &
    done
    wait
    test "$(grep -c "^0$" inits)" = 1
'

done_testing
