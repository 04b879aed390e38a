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
# list_with FAULTS STATUS TEXT: what is listed meanwhile ends with that status and says that
list_with() {
    local got=0
    faults "$1"
    timeout 60 vmscm -C "$U" list 2>text || got=$?
    faults
    cat text
    [ "$got" = "$2" ] && grep "$3" text
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
    list_with "[{\"action\":\"endless\",\"status\":403}]" 4 "access denied"
'
check 'a list that does not get on is an error' '
    list_with "[{\"action\":\"standing\",\"match\":\"list-type\"}]" 3 "a list that does not get on"
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
check 'headers without an end are no answer' '
    list_with "[{\"action\":\"headers\"}]" 3 "longer than it can be"
'
check 'an answer that trickles is given up, as transfer.timeout says' '
    vmscm config --user transfer.timeout 1
    faults "[{\"action\":\"trickle\",\"times\":2}]"
    requests >/dev/null
    timeout 100 vmscm -C "$U" list >text
    grep "^one" text
    vmscm config --user --unset transfer.timeout
    [ "$(requests | grep -c "GET .*list-type")" -ge 1 ]
'
V=$(url v)
# goes_on ACTION PREFIX WHY: gc, which lists all, and an endless list of that kind
goes_on() {
    faults "[{\"action\":\"$1\",\"match\":\"prefix=${2//\//%2F}\",\"prefix\":\"$2\"}]"
    rc=0
    timeout 300 vmscm gc "$V" 2>text || rc=$?
    faults
    cat text
    [ "$(wc -l <text)" = 1 ] && [ $rc = 3 ] && grep "$3" text
}
check 'lists that go on for ever end' '
    noise 16777216 21 >"$TEST_DIR/x.raw" && noise 1000000 22 >"$TEST_DIR/y.raw"
    cat "$TEST_DIR/x.raw" "$TEST_DIR/y.raw" >"$TEST_DIR/xy.raw"
    vmscm init -q v && vmscm init -q "$V"
    vmscm -C v checkin -q xy "$TEST_DIR/xy.raw" && vmscm -C v push -q "$V" xy
    vmscm -C v checkin -q y "$TEST_DIR/y.raw" && vmscm -C v push -q "$V" y
    vmscm -C v push -q --delete "$V" xy
    goes_on round v/packs/ "round in circles"
    goes_on empty v/packs/ "has no end"
    goes_on empty v/log/ "has no end"
'
check 'packs that gc wrote anew while they were read are found where they are now' '
    anew -C "$V" list >/dev/null
    # Only index and header are had before the pack is gone.
    faults "[{\"action\":\"slow\",\"seconds\":10,\"method\":\"GET\",\"match\":\"/v/packs/\",\"after\":2,\"times\":1}]"
    requests >/dev/null
    XDG_CACHE_HOME=$TEST_DIR/other vmscm -C "$V" cat y >y.raw 2>text &
    reader=$!
    while [ "$(curl -sf "$FAKE/_fake/log" | grep -c "GET .*/v/packs/")" -lt 2 ]; do sleep 0.1; done
    sleep 1
    vmscm gc -q --grace 0 "$V" && vmscm gc -q --grace 0 "$V"
    wait $reader || { cat text; exit 1; }
    requests >log
    faults
    grep "GET .*/v/packs/.* 404" log
    cmp y.raw "$TEST_DIR/y.raw"
'
check 'packs that are gone for good are told in a line, and soon' '
    faults "[{\"action\":\"status\",\"status\":404,\"code\":\"NoSuchKey\",\"match\":\"/v/packs/\"}]"
    requests >/dev/null
    rc=0
    anew -C "$V" cat y >y.raw 2>text || rc=$?
    faults
    cat text
    [ $rc = 1 ] && grep "1 packs are gone" text && [ "$(grep -c "^vmscm: .*missing" text)" = 1 ]
    [ "$(requests | wc -l)" -lt 40 ]
'
python=$(python_with xxhash)
[ -n "$python" ] || skip "a newest generation whose last whole one is far away is refused at once" "python3-xxhash is not installed"
[ -z "$python" ] || check 'a newest generation whose last whole one is far away is refused at once' '
    "$python" - >forged <<END
import struct, sys, xxhash
body = b"VMSCMGEN" + bytes([1, 0, 0, 0, 0, 0, 0, 0]) + struct.pack("<QQQ", 1 << 20, 1, 0) + b"t" * 16 + b"p" * 32
body += bytes(16)
sys.stdout.buffer.write(body + struct.pack("<Q", xxhash.xxh3_64_intdigest(body)))
END
    curl -sf -X PUT --data-binary @forged "$FAKE/_fake/object?v/log/$(printf %016x $((~(1 << 20))))"
    requests >/dev/null
    rc=0
    anew -C "$V" list 2>text || rc=$?
    cat text
    [ $rc = 1 ] && grep "no base near it" text
    [ "$(requests | wc -l)" -lt 10 ]
'
check_fails 2 'a prefix does not end at a NUL' 'vmscm init "s3://bucket/c%00/x?endpoint=$FAKE"' '%00'

check -p TMPFS 'a bucket does not fill the disk' '
    mkdir "$TEST_DIR/tight"
    mount -t tmpfs -o size=60m none "$TEST_DIR/tight"
    rc=0
    XDG_CACHE_HOME=$TEST_DIR/tight vmscm -C "$U" list 2>text || rc=$?
    cat text
    umount "$TEST_DIR/tight"
    [ $rc = 3 ] && grep "no space left for what is coming" text && grep "^hint: " text
'
done_testing
