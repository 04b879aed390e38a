#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# A repository in a bucket: made, pushed to, cloned and read in place; and an endpoint that misbehaves.
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
# What is kept of a bucket is no repository by itself.
mkdir -p "$XDG_CACHE_HOME/vmscm" && no_fsck "$XDG_CACHE_HOME/vmscm"
U=$(url r)
vmscm init -q a
sample_disk "$TEST_DIR/web.raw" 24 1
cp "$TEST_DIR/web.raw" "$TEST_DIR/web2.raw"
noise 700000 7 | put "$TEST_DIR/web2.raw" 9000000
(cd a && vmscm checkin -q web "$TEST_DIR/web.raw" -m one && vmscm remote add origin "$U")

check 'where there is no repository, that is said' '
    vmscm -C "$U" list 2>text && exit 1
    grep "there is no repository" text
    (cd a && vmscm push --all) 2>text && exit 1
    grep "there is no repository" text
'
check 'one is made, once' '
    vmscm init "$U"
    vmscm init "$U" 2>text && exit 1
    grep "there is a repository already" text
    vmscm -C "$U" list
    test "$(keys | wc -l)" = 1
'
check 'a first push: one pack, one object of history, one generation' '
    requests >/dev/null
    (cd a && vmscm push -q --all)
    requests >log
    test "$(grep -c "^PUT /bucket/r/packs/" log)" = 1
    test "$(grep -c "^PUT /bucket/r/history/" log)" = 1
    test "$(grep -c "^PUT /bucket/r/log/" log)" = 1
    grep -c . log
    (cd a && vmscm push --all) >text
'
check 'it is read in place' '
    vmscm -C "$U" list | grep "^web "
    vmscm -C "$U" log web | grep one
    vmscm -C "$U" cat web | cmp - "$TEST_DIR/web.raw"
    VMSCM_DIR=$U vmscm show web
    vmscm -C "$U" checkout -q web out
    cmp "out/$(ls out)" "$TEST_DIR/web.raw"
'
check 'what was read once is not asked for again' '
    requests >/dev/null
    vmscm -C "$U" cat web | cmp - "$TEST_DIR/web.raw"
    requests >log
    cat log
    ! grep "GET /bucket/r/packs/" log
'
check 'a torn piece in the cache is got anew' '
    for f in "$XDG_CACHE_HOME"/vmscm/s3/*/blocks/*; do printf x | put "$f" 1000; done
    vmscm -C "$U" cat web | cmp - "$TEST_DIR/web.raw"
'
check 'a checkout of it knows where it came from' '
    (cd out && vmscm status)
'
check_fails 4 'it is not changed in place' '
    vmscm -C "$U" tag web golden
' 'is not changed or checked in place'
check_fails 4 'what is kept here of it is no repository' '
    vmscm -C "$(echo "$XDG_CACHE_HOME"/vmscm/s3/*/)" list
' 'is what is kept here of'
check 'an incremental push sends what is new' '
    (cd a && vmscm checkin -q web "$TEST_DIR/web2.raw" -m two)
    requests >/dev/null
    (cd a && vmscm push -q)
    requests >log
    cat log
    bytes=$(awk "{ n += \$4 } END { print n }" log)
    new=$(awk "/PUT .*packs/ { n += \$4 } END { print n }" log)
    test "$bytes" -lt $((new * 102 / 100 + 65536))
    test "$new" -lt 1500000
'
check 'a push of a clone or a tag sends under 16 KiB' '
    cd a
    vmscm clone web copy
    vmscm tag web golden -m "good"
    requests >/dev/null
    vmscm push -q --all --tags
    requests >log
    cat log
    test "$(awk "{ n += \$4 } END { print n }" log)" -lt 16384
'
check 'another one clones it, pushes, and the first pulls' '
    vmscm clone -q "$U" b
    cd b
    vmscm cat copy | cmp - "$TEST_DIR/web2.raw"
    vmscm checkin -q copy "$TEST_DIR/web.raw" -m back
    vmscm comment copy -m "looked at"
    vmscm push -q
    cd ../a
    vmscm pull -q
    vmscm cat copy | cmp - "$TEST_DIR/web.raw"
    vmscm log copy | grep "looked at"
'
check_fails 4 'what would be lost is refused' '
    cd b
    vmscm checkin -q web "$TEST_DIR/web.raw" -m "b goes its way"
    (cd ../a && vmscm checkin -q web "$TEST_DIR/web.raw" -m "a goes its way" && vmscm push -q)
    vmscm push -q origin web
'
check 'a machine is removed there' '
    cd a
    vmscm push -q --delete origin copy
    ! vmscm -C "$U" log copy
'

# A user with another cache sees the same.
other() {
    XDG_CACHE_HOME=$TEST_DIR/other-cache vmscm "$@"
}
check 'one who comes new reads it' '
    mkdir -p "$TEST_DIR/other-cache"
    other -C "$U" cat web~1 | cmp - "$TEST_DIR/web2.raw"
'
no_fsck "$TEST_DIR/other-cache"

# push_with FAULTS: a new revision is pushed past them, and is there for one who comes new
push_with() {
    (cd a && vmscm clone web "m$RANDOM$RANDOM" && vmscm checkin -q web "$TEST_DIR/$2" -m "$2") || return
    faults "$1"
    (cd a && vmscm push -q --all) || { faults; return 1; }
    faults
    rm -rf "$TEST_DIR/other-cache/vmscm/s3"
    test "$(cd a && vmscm log --json web | jq -r ".[0].id")" = "$(other -C "$U" log --json web | jq -r ".[0].id")"
    other -C "$U" cat web | cmp - "$TEST_DIR/$2"
}
n=0
for fault in \
    '[{"action":"status","status":503,"code":"SlowDown","times":4}]' \
    '[{"action":"status","status":503,"code":"SlowDown","times":1,"headers":{"Retry-After":"1"}}]' \
    '[{"action":"status","status":500,"code":"InternalError","times":2,"method":"PUT"}]' \
    '[{"action":"drop","times":3}]' \
    '[{"action":"lose","times":1,"method":"PUT","match":"/packs/"}]' \
    '[{"action":"lose","times":1,"method":"PUT","match":"/log/"}]' \
    '[{"action":"lose","times":1,"method":"PUT","match":"/log/"},{"action":"drop","times":2,"method":"GET"}]' \
    '[{"action":"drop","times":2,"method":"PUT","match":"/log/"}]' \
    '[{"action":"repeat","times":1,"method":"PUT","match":"/log/"}]' \
    '[{"action":"status","status":409,"code":"ConditionalRequestConflict","times":2,"method":"PUT","match":"/log/"}]' \
    '[{"action":"status","status":503,"code":"SlowDown","times":2,"method":"PUT","match":"/log/"}]' \
    '[{"action":"truncate","times":3,"method":"GET"}]' \
    '[{"action":"status","status":400,"code":"RequestTimeout","times":1,"method":"PUT"}]'; do
    n=$((n + 1))
    noise 300000 $((n + 20)) | put "$TEST_DIR/web2.raw" $((n * 500000))
    cp "$TEST_DIR/web2.raw" "$TEST_DIR/f$n.raw"
    check "a push comes through: $fault" "push_with '$fault' f$n.raw"
    rm -f "$TEST_DIR/f$n.raw"
done

# refused STATUS CODE TEXT: an answer that stays so
refused() {
    faults "[{\"action\":\"status\",\"status\":$1,\"code\":\"$2\"$3}]"
}
check_fails 4 'wrong credentials are told' '
    AWS_SECRET_ACCESS_KEY=no vmscm -C "$U" list
' 'wrong credentials'
check_fails 4 'so is a key that is not known' '
    AWS_ACCESS_KEY_ID=NOBODY vmscm -C "$U" list
' 'wrong credentials'
check 'a session token is sent, and signed' '
    AWS_SESSION_TOKEN=session-token vmscm -C "$U" list
'
check_fails 4 'a token that is not valid is told' '
    AWS_SESSION_TOKEN=old vmscm -C "$U" list
' 'session token has expired'
check_fails 4 'an expired token is told' '
    refused 400 ExpiredToken ""
    vmscm -C "$U" list
' 'session token has expired'
check_fails 4 'a clock that is off is told, and how much' '
    refused 403 RequestTimeTooSkewed ",\"headers\":{\"Date\":\"Mon, 01 Jan 2024 00:00:00 GMT\"}"
    vmscm -C "$U" list
' 'clock of this machine is'
check_fails 4 'what may not be done is told' '
    refused 403 AccessDenied ""
    vmscm -C "$U" list
' 'access denied'
check_fails 3 'a full bucket is told' '
    (cd a && vmscm checkin -q web "$TEST_DIR/web.raw" -m full) 2>/dev/null
    refused 403 QuotaExceeded ",\"method\":\"PUT\""
    cd a && vmscm push -q
' 'no space left there'
check_fails 3 'another region is told' '
    refused 301 PermanentRedirect ",\"headers\":{\"x-amz-bucket-region\":\"eu-west-9\"}"
    vmscm -C "$U" list
' 'eu-west-9'
check_fails 3 'an answer that is none is told' '
    faults "[{\"action\":\"garbage\",\"method\":\"GET\",\"match\":\"list-type\"}]"
    vmscm -C "$U" list
' 'cannot be read'
check 'keys that were not asked for are passed over' '
    faults
    vmscm -C "$U" list >plain
    faults "[{\"action\":\"stray\",\"match\":\"list-type\",\"keys\":[\"\",\"x\",\"r/\",\"r/x\",\"r/lo\"]}]"
    vmscm -C "$U" list >strayed && vmscm -C "$U" gc -q
    rc=$?
    faults
    [ $rc = 0 ] && cmp plain strayed'
check_fails 1 'no bucket is told' '
    faults
    vmscm -C "s3://nobucket/r?endpoint=$FAKE" list
' 'there is no such bucket'
check_fails 3 'an endpoint that is not there is told' '
    vmscm -C "s3://bucket/r?endpoint=http://127.0.0.1:1" list
' 's3://bucket'
check_fails 4 'no credentials are told' '
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    vmscm -C "$U" list
' 'there are no credentials'
check_fails 4 'credentials in a URL are refused, and not repeated' '
    cd a && vmscm remote add bad "s3://me:geheim@bucket/r" 2>text || rc=$?
    cat text >&2
    ! grep geheim text
    exit $rc
' 'has credentials in it'
check_fails 4 'also as an option of it' '
    cd a && vmscm remote add bad "s3://bucket/r?secret_key=geheim"
' 'has credentials in it'
check_fails 2 'a bucket that can be none' 'vmscm init s3://UP/r' 'no name of a bucket'
check_fails 2 'an option that is none' 'vmscm init "s3://bucket/r?frob=1"' 'no option of an s3 URL'
check_fails 2 'a prefix that leaves its place' 'vmscm init "s3://bucket/a/../b"' 'no prefix'

check 'credentials and the endpoint come from files, by profile' '
    key=$AWS_ACCESS_KEY_ID secret=$AWS_SECRET_ACCESS_KEY
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    mkdir -p "$HOME/.aws"
    printf "[default]\naws_access_key_id = X\naws_secret_access_key = Y\n[work]\naws_access_key_id=%s\naws_secret_access_key=%s\n" \
        "$key" "$secret" >"$HOME/.aws/credentials"
    printf "[profile work]\nregion = eu-central-1\ns3 =\n  addressing_style = path\nendpoint_url = %s\n" "$FAKE" >"$HOME/.aws/config"
    AWS_PROFILE=work vmscm -C s3://bucket/r list
    vmscm -C "$U" list 2>text && exit 1
    grep "wrong credentials" text
    AWS_PROFILE=none vmscm -C "$U" list 2>text && exit 1
    grep "there is none of that name" text
    rm -r "$HOME/.aws"
'
check 'secrets are in no file and no message' '
    ! grep -rF "$AWS_SECRET_ACCESS_KEY" "$XDG_CACHE_HOME" a b "$TEST_DIR/err"
'
check 'who pushes at the same time loses nothing' '
    for i in 1 2 3 4 5 6 7 8; do
        (
            export XDG_CACHE_HOME=$TEST_DIR/other-cache/$((i % 4))
            vmscm clone -q "$U" p$i
            cd p$i
            noise 100000 $((i + 50)) | put "$TEST_DIR/r$i.raw" 100000
            vmscm checkin -q "own$i" "$TEST_DIR/r$i.raw" -m "of $i"
            vmscm checkin -q common "$TEST_DIR/r$i.raw" -m "common of $i"
            vmscm push -q origin "own$i" || touch ../lost
            if vmscm push -q origin common 2>err; then echo $i >>../winners; fi
        ) &
    done
    wait
    cat winners
    test ! -e lost
    test "$(wc -l <winners)" = 1
    for i in 1 2 3 4 5 6 7 8; do vmscm -C "$U" cat own$i | cmp - "$TEST_DIR/r$i.raw"; done
    vmscm -C "$U" cat common | cmp - "$TEST_DIR/r$(cat winners).raw"
    rm -rf p[1-8]
'
check 'a lazy clone has the history, and brings what is read' '
    rm -rf "$TEST_DIR/other-cache/vmscm/s3"
    vmscm -C "$U" cat web >want
    vmscm -C "$U" cat web~1 >before
    other clone -q --lazy "$U" lazy
    [ -z "$(find lazy -name "*.vpk")" ]
    vmscm -C lazy list -l | grep "^web .* none "
    other -C lazy cat web | cmp - want
    vmscm -C lazy list -l | grep "^web .* all "
    AWS_SECRET_ACCESS_KEY=no vmscm -C lazy cat web | cmp - want
    other -C lazy fetch -q --full web~1
    rm -rf lazy/.vmscm/cache
    AWS_SECRET_ACCESS_KEY=no vmscm -C lazy cat web~1 | cmp - before
    vmscm -C lazy fsck -q
    noise 200000 90 >"$TEST_DIR/new.raw"
    other -C lazy checkin -q lazily "$TEST_DIR/new.raw" -m one
    other -C lazy push -q origin lazily
    vmscm -C "$U" cat lazily | cmp - "$TEST_DIR/new.raw"
'

# Some ten packs.
noise 16000000 91 >"$TEST_DIR/long.raw"
check 'an upload says how far it is' '
    vmscm init -q "$(url w)"
    vmscm init -q w && cd w
    vmscm config receive.packSize 1m
    vmscm remote add origin "$(url w)"
    noise 3000000 92 >"$TEST_DIR/first.raw"
    vmscm checkin -q first "$TEST_DIR/first.raw" -m first
    vmscm push --progress --limit 2M origin first 2>text
    tr "\r" "\n" <text | grep "^uploading [1-9][0-9]*%, "
'
# cut_off: a push that fails when five packs are uploaded, and the number of packs that it had
cut_off() {
    vmscm config --user receive.packSize 1m
    vmscm checkin -q long "$TEST_DIR/long.raw" -m "$1"
    faults "[{\"action\":\"status\",\"status\":403,\"code\":\"AccessDenied\",\"method\":\"PUT\",\"match\":\"/packs/\",\"after\":5}]"
    requests >/dev/null
    ! vmscm push -q origin long || return
    faults
    requests >log
}
check 'what was uploaded is not uploaded again after an interruption' '
    cd w
    cut_off one
    vmscm push --json origin long >said
    requests >log
    cat log said
    again=$(awk "/^PUT .*packs/ { n += \$4 } END { print n }" log)
    [ "$again" -gt 4000000 ] && [ "$again" -lt 12000000 ]
    jq -e ".sent < 12100000 and .requests > 5" said
    rm -rf "$TEST_DIR/other-cache/vmscm/s3"
    other -C "$(url w)" cat long | cmp - "$TEST_DIR/long.raw"
    [ -z "$(find "$XDG_CACHE_HOME" -path "*/uploaded/*")" ]
'
check 'but what gc took away meanwhile is' '
    cd w
    noise 15000000 93 | put "$TEST_DIR/long.raw" 0
    cut_off two
    vmscm gc -q --grace 0 "$(url w)"
    vmscm gc -q --grace 0 "$(url w)"
    vmscm push -q origin long
    rm -rf "$TEST_DIR/other-cache/vmscm/s3"
    other -C "$(url w)" cat long | cmp - "$TEST_DIR/long.raw"
    vmscm config --user --unset receive.packSize
'
check 'an endpoint that ignores the condition is found out, and not pushed to' '
    kill $FAKE_PID
    fake_start --ignore-conditions
    vmscm init "$(url q)" 2>text && { kill $FAKE_PID; exit 1; }
    kill $FAKE_PID
    cat text
    grep "does not honour If-None-Match" text
'

done_testing
