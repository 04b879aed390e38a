# SPDX-License-Identifier: GPL-3.0-or-later
# A Ceph of one node with its S3 gateway, on loopback: ceph_start DIR, ceph_stop. Sets CEPH_URL, and
# exports the credentials of a user of it. Needs root: so do Ceph's own daemons to make their store.
# shellcheck shell=bash
# shellcheck disable=SC2034 # CEPH_URL is for who includes this

CEPH_PIDS=

# Why it cannot be had here; nothing if it can.
ceph_lacks() {
    local program
    for program in ceph-mon ceph-osd ceph-mgr radosgw radosgw-admin ceph ceph-authtool monmaptool; do
        command -v "$program" >/dev/null || {
            echo "$program is not installed (contrib/dependencies ceph)"
            return
        }
    done
    [ "$(id -u)" = 0 ] || echo "needs root"
}

# A port of loopback that nobody listens on.
ceph_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

ceph_run() {
    "$@" >>"$CEPH_DIR/log" 2>&1
}

ceph_start() {
    local mon port fsid i
    CEPH_DIR=$1
    mkdir -p "$CEPH_DIR"/{mon,mgr,osd,rgw,run}
    mon=$(ceph_port) port=$(ceph_port) fsid=$(cat /proc/sys/kernel/random/uuid)
    CEPH_CONF=$CEPH_DIR/ceph.conf
    export CEPH_CONF
    cat >"$CEPH_CONF" <<END
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon]
public addr = 127.0.0.1
ms bind msgr1 = false
keyring = $CEPH_DIR/keyring
run dir = $CEPH_DIR/run
admin socket = $CEPH_DIR/run/\$name.asok
pid file = $CEPH_DIR/run/\$name.pid
log file = $CEPH_DIR/\$name.log
crash dir = $CEPH_DIR/run
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
osd class update on start = true
bluestore block size = 8589934592
osd objectstore = bluestore
osd memory target = 939524096
# A node that stood still for a minute would wait for its own lease for ever.
osd heartbeat grace = 3600
auth allow insecure global id reclaim = false
[mon.a]
mon data = $CEPH_DIR/mon
[mgr.x]
mgr data = $CEPH_DIR/mgr
[osd.0]
osd data = $CEPH_DIR/osd
[client.rgw]
rgw data = $CEPH_DIR/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
END
    ceph_run ceph-authtool --create-keyring "$CEPH_DIR/keyring" --gen-key -n mon. --cap mon 'allow *' &&
        for i in client.admin mgr.x osd.0 client.rgw; do
            ceph_run ceph-authtool "$CEPH_DIR/keyring" --gen-key -n $i --cap mon 'allow *' --cap osd 'allow *' \
                --cap mgr 'allow *' --cap mds 'allow *' || return 1
        done
    ceph_run monmaptool --create --addv a "[v2:127.0.0.1:$mon]" --fsid "$fsid" "$CEPH_DIR/monmap" &&
        ceph_run ceph-mon -i a --mkfs --monmap "$CEPH_DIR/monmap" --keyring "$CEPH_DIR/keyring" || return 1
    ceph-mon -i a -f >>"$CEPH_DIR/log" 2>&1 &
    CEPH_PIDS=$!
    ceph-mgr -i x -f >>"$CEPH_DIR/log" 2>&1 &
    CEPH_PIDS="$! $CEPH_PIDS"
    ceph_run timeout 60 ceph osd new "$(cat /proc/sys/kernel/random/uuid)" || return 1
    ceph_run ceph-osd -i 0 --mkfs --osd-uuid "$(ceph osd dump -f json 2>/dev/null | jq -r '.osds[0].uuid')" || return 1
    ceph-osd -i 0 -f >>"$CEPH_DIR/log" 2>&1 &
    CEPH_PIDS="$! $CEPH_PIDS"
    radosgw -n client.rgw -f >>"$CEPH_DIR/log" 2>&1 &
    CEPH_PIDS="$! $CEPH_PIDS"
    CEPH_URL=http://127.0.0.1:$port
    for ((i = 0; i < 240; i++)); do
        [ "$(curl -s -o "$CEPH_DIR/probe" -w '%{http_code}' "$CEPH_URL/")" = 200 ] && break
        sleep 0.5
    done
    [ $i -lt 240 ] || return 1
    AWS_ACCESS_KEY_ID=VMSCMTEST AWS_SECRET_ACCESS_KEY=c2VjcmV0/of+tests
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    ceph_run radosgw-admin user create --uid=tester --display-name=Tester \
        --access-key=$AWS_ACCESS_KEY_ID --secret-key=$AWS_SECRET_ACCESS_KEY
}

# ceph_bucket NAME
ceph_bucket() {
    curl -sf -o "$CEPH_DIR/probe" --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
        -H "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" \
        -X PUT "$CEPH_URL/$1"
}

ceph_stop() {
    local pid
    for pid in $CEPH_PIDS; do
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    CEPH_PIDS=
    rm -rf "$CEPH_DIR"
}
