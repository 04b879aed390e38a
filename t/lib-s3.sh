# SPDX-License-Identifier: GPL-3.0-or-later
# An S3 endpoint of our own that can be told to misbehave: fake_start [OPTIONS], which sets FAKE, its URL, and
# exports credentials that it knows; faults JSON; requests, how many there were since the last time.
# shellcheck shell=bash

fake_start() {
    local port_file
    port_file=$(mktemp -u "$TEST_DIR/fake.XXXXXX")
    "$TEST_SOURCE/t/s3/fake.py" "$port_file" "$@" >"$port_file.log" 2>&1 &
    FAKE_PID=$!
    at_exit "kill $FAKE_PID 2>/dev/null"
    for _ in $(seq 100); do
        [ -e "$port_file" ] && break
        sleep 0.1
    done
    [ -e "$port_file" ] || return 1
    FAKE=http://127.0.0.1:$(cat "$port_file")
    AWS_ACCESS_KEY_ID=KEY AWS_SECRET_ACCESS_KEY=SECRET/with+signs
    export FAKE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
}

# faults JSON: what goes wrong from here on; nothing: nothing
faults() {
    curl -sf -X PUT --data-binary "${1:-[]}" "$FAKE/_fake/faults"
}

# requests: what was asked since the last time, a line each
requests() {
    curl -sf -X DELETE "$FAKE/_fake/log"
}

# keys: what there is, a line each with its size
keys() {
    curl -sf "$FAKE/_fake/keys"
}

# url PREFIX: of a repository in the fake's bucket
url() {
    echo "s3://bucket/$1?endpoint=$FAKE"
}
