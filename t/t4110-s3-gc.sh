#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Garbage collection of a repository in a bucket: what it removes, and its races with those who push.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-s3.sh
. "$TEST_SOURCE/t/lib-s3.sh"

why=$(missing python3 curl jq)
[ -z "$why" ] || skip_all "$why"
# shellcheck disable=SC2119 # options of its own
fake_start || skip_all "the fake endpoint does not start"
export XDG_CACHE_HOME=$HOME/.cache
unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_REGION AWS_SESSION_TOKEN AWS_ENDPOINT_URL AWS_CA_BUNDLE
mkdir -p "$XDG_CACHE_HOME/vmscm" "$TEST_DIR/other" && no_fsck "$XDG_CACHE_HOME/vmscm" && no_fsck "$TEST_DIR/other"
U=$(url g)
for i in 1 2 3 4; do noise 3000000 $i >"$TEST_DIR/d$i.raw"; done
cat "$TEST_DIR/d1.raw" "$TEST_DIR/d2.raw" >"$TEST_DIR/d12.raw"

# count KIND: objects of it in the bucket
count() {
    keys | grep -c "^g/$1/" || true
}
# whole: one who comes new can read every machine, and it is what it was here
whole() {
    local m
    rm -rf "$TEST_DIR/other/vmscm"
    XDG_CACHE_HOME=$TEST_DIR/other vmscm clone -q "$U" new
    vmscm -C new fsck --full
    for m in "$@"; do
        vmscm -C new cat "${m%=*}" | cmp - "$TEST_DIR/${m#*=}.raw" || return 1
    done
    rm -rf new
}

check 'what nothing needs is condemned, and removed by the next run after the grace' '
    vmscm init -q a
    vmscm init -q "$U"
    cd a
    vmscm remote add origin "$U"
    vmscm checkin -q web "$TEST_DIR/d1.raw" -m one
    vmscm push -q --all
    vmscm checkin -q junk "$TEST_DIR/d2.raw" -m junk
    vmscm push -q --all
    test "$(count packs)" = 2
    vmscm push -q --delete origin junk
    cd ..
    before=$(keys)
    vmscm -C "$U" gc -n
    test "$(keys)" = "$before"
    vmscm gc --json "$U" | tee log
    jq -e ".dropped_packs == 1 and .freed_bytes == 0 and .trash_bytes > 3000000" log
    test "$(count packs)" = 2
    vmscm gc "$U"
    test "$(count packs)" = 2
    vmscm gc --json --grace 0 "$U" | tee log
    jq -e ".freed_bytes > 3000000 and .trash_bytes == 0" log
    test "$(count packs)" = 1
    whole web=d1
'
check 'a push that relies on what is condemned rescues it' '
    cd a
    vmscm push -q origin junk
    vmscm push -q --delete origin junk
    vmscm gc -q "$U"
    requests >/dev/null
    vmscm push -q origin junk
    requests >log
    cat log
    ! grep "PUT /bucket/g/packs/" log
    cd ..
    vmscm gc --grace 0 "$U"
    vmscm gc --grace 0 "$U"
    whole web=d1 junk=d2
'
check 'an upload that gc took for garbage is made again' '
    cd a
    vmscm checkin -q late "$TEST_DIR/d3.raw" -m late
    faults "[{\"action\":\"slow\",\"seconds\":12,\"times\":1,\"method\":\"PUT\",\"match\":\"/g/log/\"}]"
    XDG_CACHE_HOME=$TEST_DIR/other vmscm push -q origin late &
    pusher=$!
    for i in $(seq 100); do
        test "$(count packs)" = 3 && test -z "$(curl -sf "$FAKE/_fake/log" | grep -c XX || true)" || true
        curl -sf "$FAKE/_fake/log" | grep -q "PUT /bucket/g/history/" && break
        sleep 0.1
    done
    faults
    sleep 0.5
    vmscm gc --json --grace 0 "$U" | tee log
    jq -e ".freed_bytes > 3000000" log
    wait $pusher
    cd ..
    vmscm gc --grace 0 "$U"
    whole web=d1 junk=d2 late=d3
' 
check 'what is garbage for the most part is written anew' '
    cd a
    vmscm checkin -q big "$TEST_DIR/d12.raw" -m big
    noise 6000000 9 >"$TEST_DIR/x.raw"
    noise 1000000 10 >"$TEST_DIR/y.raw"
    cat "$TEST_DIR/x.raw" "$TEST_DIR/y.raw" >"$TEST_DIR/xy.raw"
    vmscm checkin -q xy "$TEST_DIR/xy.raw" -m xy
    vmscm push -q --all
    vmscm checkin -q y "$TEST_DIR/y.raw" -m y
    vmscm push -q origin y
    vmscm push -q --delete origin xy
    vmscm gc --json --grace 0 "$U" | tee log
    jq -e ".repacked_packs >= 1 and .freed_bytes > 6000000" log
    cd ..
    whole web=d1 junk=d2 late=d3 big=d12 y=y
'
check 'history is put together' '
    cd a
    for i in 1 2 3 4 5 6 7 8; do vmscm tag web t$i -m $i; vmscm push -q --tags origin web; done
    before=$(count history)
    vmscm gc --grace 0 "$U"
    test "$(count history)" -lt "$before"
    test "$(count history)" -le 2
    cd ..
    whole web=d1 junk=d2 late=d3 big=d12
'
check 'one who was up to date follows' '
    vmscm -C "$U" cat web | cmp - "$TEST_DIR/d1.raw"
    vmscm -C "$U" cat late | cmp - "$TEST_DIR/d3.raw"
    (cd a && vmscm fetch -q)
'
check 'a generation is never removed' '
    n=$(count log)
    vmscm gc --grace 0 "$U"
    test "$(count log)" -ge "$n"
'
check 'gc over and over while others push and fetch: nothing is lost' '
    (while [ ! -e stop ]; do vmscm gc -q --grace 0 "$U" || { touch bad; exit 1; }; done) &
    gc=$!
    for p in 1 2 3; do
        (
            export XDG_CACHE_HOME=$TEST_DIR/other/$p
            vmscm clone -q "$U" p$p && cd p$p || exit 1
            for i in 1 2 3; do
                noise 400000 $((p * 10 + i)) >"$TEST_DIR/p$p$i.raw"
                vmscm checkin -q "m$p$i" "$TEST_DIR/p$p$i.raw" -m x
                vmscm push -q origin "m$p$i" || touch ../bad
                [ $i = 1 ] || vmscm push -q --delete origin "m$p$((i - 1))"
                vmscm fetch -q || touch ../bad
            done
        ) &
    done
    for j in $(jobs -p); do [ "$j" = $gc ] || wait $j; done
    touch stop
    wait $gc
    test ! -e bad
    whole web=d1 m13=p13 m23=p23 m33=p33
    rm -rf p1 p2 p3
'

done_testing
