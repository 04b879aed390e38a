#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# A repository in a bucket: objects that are damaged or gone, lists that are behind, answers without an end.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-s3.sh
. "$TEST_SOURCE/t/lib-s3.sh"

why=$(missing python3 curl jq)
[ -z "$why" ] || skip_all "$why"
# shellcheck disable=SC2119 # options of its own
fake_start || skip_all "the fake endpoint does not start"
export XDG_CACHE_HOME=$HOME/.cache
unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_SESSION_TOKEN AWS_ENDPOINT_URL AWS_CA_BUNDLE
mkdir -p "$XDG_CACHE_HOME/vmscm" "$TEST_DIR/other" && no_fsck "$XDG_CACHE_HOME/vmscm" && no_fsck "$TEST_DIR/other"
U=$(url c)
noise 2000000 1 >"$TEST_DIR/one.raw"
noise 900000 2 >"$TEST_DIR/two.raw"
noise 400000 3 >"$TEST_DIR/three.raw"

# anew COMMAND...: as one who comes new
anew() {
    rm -rf "$TEST_DIR/other/vmscm"
    XDG_CACHE_HOME=$TEST_DIR/other vmscm "$@"
}
# shorten KEY: what is there of it is half of it
shorten() {
    curl -sf -X PUT --data-binary "$1" "$FAKE/_fake/shorten"
}

check 'two machines, a pack each' '
    vmscm init -q a && vmscm init "$U" && cd a && vmscm remote add origin "$U"
    vmscm checkin -q one "$TEST_DIR/one.raw" && vmscm push -q --all
    vmscm checkin -q two "$TEST_DIR/two.raw" && vmscm push -q --all
    test "$(keys | grep -c "^c/packs/")" = 2
'
check 'a list that is behind keeps nobody from pushing' '
    cp -r "$XDG_CACHE_HOME/vmscm" "$TEST_DIR/other/vmscm"
    vmscm clone -q "$U" b
    (cd b && vmscm clone one ours && XDG_CACHE_HOME=$TEST_DIR/other vmscm push -q --all)
    faults "[{\"action\":\"behind\",\"match\":\"list-type.*log\"}]"
    rc=0
    (cd a && vmscm clone two theirs && timeout 60 vmscm push -q --all) || rc=$?
    faults
    [ $rc = 0 ]
    anew -C "$U" list >text
    grep "^ours" text && grep "^theirs" text
'
check 'an error that has no end is an error' '
    faults "[{\"action\":\"endless\",\"status\":403}]"
    rc=0
    timeout 60 vmscm -C "$U" list 2>text || rc=$?
    faults
    cat text
    [ $rc = 4 ] && grep "access denied" text
'
check 'a list that does not get on is an error' '
    faults "[{\"action\":\"standing\",\"match\":\"list-type\"}]"
    rc=0
    timeout 60 vmscm -C "$U" list 2>text || rc=$?
    faults
    cat text
    [ $rc = 3 ] && grep "a list that does not get on" text
'
check 'history that is removed while it is about to be read is found again' '
    test "$(keys | grep -c "^c/history/")" -gt 1
    faults "[{\"action\":\"slow\",\"seconds\":8,\"times\":1,\"method\":\"GET\",\"match\":\"/history/\"}]"
    requests >/dev/null
    anew -C "$U" cat two >"$TEST_DIR/read.raw" &
    reader=$!
    while [ "$(curl -sf "$FAKE/_fake/log" | grep -c "GET .*/log/")" = 0 ]; do sleep 0.1; done
    sleep 1
    vmscm gc -q --aggressive --grace 0 "$U"
    test "$(keys | grep -c "^c/history/")" = 1
    wait $reader
    cmp "$TEST_DIR/read.raw" "$TEST_DIR/two.raw"
'
check 'a pack that is too short keeps nobody from the others' '
    (cd a && vmscm checkin -q three "$TEST_DIR/three.raw" && vmscm push -q --all)
    test "$(keys | grep -c "^c/packs/")" = 2
    key=$(keys | grep "^c/packs/" | sort -k 2 -n | tail -n 1 | cut -d " " -f 1)
    shorten "$key"
    anew -C "$U" cat three >read.raw 2>text || { cat text; exit 1; }
    cmp read.raw "$TEST_DIR/three.raw"
    grep "1 packs are damaged or gone" text
    rc=0
    vmscm -C "$U" cat one >read.raw || rc=$?
    [ $rc = 1 ]
'
check_fails 2 'a prefix does not end at a NUL' 'vmscm init "s3://bucket/c%00/x?endpoint=$FAKE"' '%00'

done_testing
