#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Searching: facts that another program found, and what is said of revisions; a catalog that is missing,
# old, damaged or cannot be written.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

vmscm init -q --bare repo.vmscm
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
# make MACHINE SYSTEMS [FILESYSTEMS]: check a disk of its own in, with these facts
make() {
    truncate -s 1M "$1.raw"
    echo "$RANDOM$1" | dd of="$1.raw" conv=notrunc status=none
    vmscm checkin -q "$1" vda="$1.raw" -m "first of $1"
    echo "{\"schema\": 1, \"date\": \"2026-11-30T12:00:00Z\", \"status\": \"ok\", \"systems\": [$2],
        \"filesystems\": [${3:-}]}" >"$1.json"
    vmscm inspect -q --from="$1.json" "$1"
}
# found QUERY MACHINE...: exactly these match
found() {
    local query=$1 got rc=0
    shift
    vmscm search --json "$query" >found.json || rc=$?
    got=$(jq -r '.[].machine' found.json | tr '\n' ' ')
    [ "${got% }" = "$*" ] || fail "$query: $got instead of $*"
    if [ $# = 0 ]; then [ $rc = 1 ]; else [ $rc = 0 ]; fi
}
# Parts of facts.
oracle() {
    echo '{"name": "Oracle home OraDb10g_home1", "version": "10.2.0", "publisher": "Oracle Corporation"}'
}
w2003() {
    echo '"type": "windows", "distro": "windows", "product": "Microsoft Windows Server 2003", "version": "5.2"'
}

check 'a fleet' '
    make db-2003 "{$(w2003), \"service_pack\": 2, \"build\": \"3790\", \"applications\": [$(oracle)]}" "{\"type\": \"ntfs\"}"
    make db-sp1 "{$(w2003), \"service_pack\": 1, \"applications\": [$(oracle)]}"
    make plain-2003 "{$(w2003), \"service_pack\": 2, \"applications\": [{\"name\": \"7-Zip\", \"version\": \"9.20\"}],
        \"patches\": [{\"name\": \"KB925902\", \"date\": \"2007-04-12T00:00:00+00:00\"}]}"
    make db-11g "{$(w2003), \"service_pack\": 2, \"applications\": [{\"name\": \"Oracle home x\", \"version\": \"11.2.0\"}]}"
    # Two systems: neither is what is looked for, together they would be.
    make two "{$(w2003), \"service_pack\": 1, \"applications\": [$(oracle)]}, {\"type\": \"windows\", \"version\": \"5.2\", \"service_pack\": 2}"
    make web-old "{\"type\": \"linux\", \"distro\": \"debian\", \"product\": \"Debian GNU/Linux 11 (bullseye)\", \"version\": \"11.9\",
        \"applications\": [{\"name\": \"openssl\", \"version\": \"1.1.1w\", \"release\": \"0+deb11u1\"}], \"kernels\": [\"5.10.0-28-amd64\"]}" "{\"type\": \"ext4\", \"label\": \"root\"}"
    make web-new "{\"type\": \"linux\", \"distro\": \"debian\", \"version\": \"12.5\", \"hostname\": \"shop\",
        \"applications\": [{\"name\": \"openssl\", \"version\": \"3.0.11\"}, {\"name\": \"libopenssl-tools\", \"version\": \"1.0\"}],
        \"users\": [{\"name\": \"root\"}, {\"name\": \"oracle\"}], \"services\": [\"nginx.service\"]}" "{\"type\": \"xfs\"}"
    make rhel "{\"type\": \"linux\", \"distro\": \"rhel\", \"version\": \"8.9\",
        \"applications\": [{\"name\": \"openssl\", \"epoch\": 1, \"version\": \"1.1.1k\"}]}" "{\"type\": \"crypto_LUKS\", \"opaque\": true}"
    truncate -s 2M unknown.raw
    vmscm checkin -q unknown vda=unknown.raw -m "nobody looked"'

check 'Windows Server 2003 SP2 and Oracle 10g: exactly the right machine, and why' '
    found "os:windows version:5.2 sp:2 app:\"oracle 10g\"" db-2003
    jq -e ".[0].why == [\"Microsoft Windows Server 2003 SP2\", \"Oracle home OraDb10g_home1 10.2.0\"]" found.json
    found "os:\"windows 2003\" sp:2 and app:\"Oracle 10g\"" db-2003
    found "os:windows sp:4"
    found "patch:kb925902" plain-2003
    jq -e ".[0].why == [\"patch kb925902\"]" found.json
    found "sp:2 not patch:KB925902" db-11g db-2003 two
    vmscm search "os:windows version:5.2 sp:2 app:\"oracle 10g\"" >out
    [ "$(wc -l <out)" = 2 ]
    grep "^MACHINE  *REVISION  *DATE  *WHY" out
    grep "^db-2003 .* Microsoft Windows Server 2003 SP2; Oracle home OraDb10g_home1 10.2.0$" out'

check 'versions' '
    found "distro:debian version>=12" web-new
    found "distro:debian version:11" web-old
    found "version:1"
    found "app:openssl<3" rhel web-old
    jq -e ".[1].why == [\"openssl 1.1.1w-0+deb11u1\"]" found.json
    found "app:openssl<1.1.1l" rhel
    found "app:openssl>=3" web-new
    found "app:*openssl*<=1.0" web-new
    found "app:openssl=3.0.11" web-new
    found "kernel>=5 kernel<6" web-old
    found "build:3790" db-2003
    found "sp<2" db-sp1 two'

check 'names that people use' '
    found "os:\"RHEL 8\"" rhel
    found "\"RHEL 8\"" rhel
    found "os:\"red hat 8\"" rhel
    found "os:\"rhel 7\""
    found "os:\"debian 11\"" web-old
    found "os:\"Windows 2003\" app:\"oracle 11g\"" db-11g'

check 'and, or, not, parentheses' '
    found "fs:xfs or fs:ext4" web-new web-old
    found "os:linux and not distro:debian" rhel
    found "os:linux not (fs:xfs or fs:ext4)" rhel
    found "not os:windows not os:linux" unknown
    found "(user:oracle or app:oracle) os:linux" web-new
    jq -e ".[0].why[0] == \"user oracle\" and (.[0].why | length) == 2" found.json'

check 'the rest of the fields, and words anywhere' '
    found "user:ora*" web-new
    found "service:nginx*" web-new
    found "hostname:SHOP" web-new
    found "shop" web-new
    found "fs:root" web-old
    found "machine:web-*" web-new web-old
    found "fs:crypto_luks" rhel
    found "message:nobody" unknown
    found "bullseye" web-old
    found "nobody looked" unknown
    found "owner:test@example.com machine:two" two
    found "owner:somebody"
    found "status:ok machine:r*" rhel
    found "\" ! \""
    vmscm tag web-old golden
    vmscm comment web-new -m "does not boot with secure boot"
    found "tag:gold*" web-old
    found "comment:\"secure boot\"" web-new
    found "secure" web-new
    found "changed:>2000" db-11g db-2003 db-sp1 plain-2003 rhel two unknown web-new web-old
    found "changed:<2000-06"'

check 'what changes is seen at once; history is looked through when asked' '
    make web-old "{\"type\": \"linux\", \"distro\": \"debian\", \"version\": \"12.5\",
        \"applications\": [{\"name\": \"openssl\", \"version\": \"3.0.11\"}]}"
    found "app:openssl<3" rhel
    vmscm search --json --history "app:openssl<3" >out
    jq -e "[.[].machine] == [\"rhel\", \"web-old\"]" out
    [ "$(jq -r ".[1].id" out)" = "$(git -C repo.vmscm/git rev-parse web-old^)" ]
    vmscm clone two qa/two
    found "machine:qa/*" qa/two
    vmscm rm qa/two
    found "machine:qa/*"
    sed "s/\"version\": \"8.9\"/\"version\": \"9.1\"/; s/11-30/12-01/" rhel.json | vmscm inspect -q --from=- rhel
    found "os:\"rhel 8\""
    found "os:\"rhel 9\"" rhel'

check 'what plain git takes away is gone' '
    key=$(git -C repo.vmscm/git rev-parse refs/heads/rhel:disks)
    git -C repo.vmscm/git -c user.name=x -c user.email=x notes --ref=inspection remove "$key"
    found "os:\"rhel 9\""
    vmscm inspect -q --from=rhel.json rhel
    found "os:\"rhel 8\"" rhel'

check 'a catalog that is missing, damaged, or another is made anew' '
    rm repo.vmscm/catalog.db
    found "os:\"rhel 8\"" rhel
    noise 50000 3 >repo.vmscm/catalog.db
    found "os:\"rhel 8\"" rhel
    dd if=/dev/urandom of=repo.vmscm/catalog.db bs=4096 seek=1 count=20 conv=notrunc status=none
    found "os:\"rhel 8\"" rhel
    rm repo.vmscm/catalog.db
    python3 -c "
import sqlite3
db = sqlite3.connect(\"repo.vmscm/catalog.db\")
db.execute(\"CREATE TABLE machine(x)\")
db.execute(\"PRAGMA user_version = 99\")
db.commit()"
    found "os:\"rhel 8\"" rhel
    : >repo.vmscm/catalog.db
    found "os:\"rhel 8\"" rhel
    rm repo.vmscm/catalog.db
    ln -s /dev/null repo.vmscm/catalog.db
    found "os:\"rhel 8\"" rhel
    rm repo.vmscm/catalog.db'

check 'eight at once make it' '
    pids=
    for i in 1 2 3 4 5 6 7 8; do
        vmscm search --json "os:\"rhel 8\"" >at.$i &
        pids="$pids $!"
    done
    for pid in $pids; do wait $pid; done
    for i in 1 2 3 4 5 6 7 8; do jq -e "length == 1" at.$i; done'

check_fails 2 'a mistake is pointed at' 'vmscm search "os:windows version:"' 'column 20: a value'
check 'by the hint, too' 'grep "^hint: os:windows version: <-- here" "$TEST_DIR/err" || { vmscm search "a )" 2>e || grep "^hint: a  <-- here" e; }'
check_fails 2 'an unknown field' 'vmscm search "colour:red"' 'column 1: there is no such field'
check_fails 2 'a service pack that is no number' 'vmscm search sp:x' 'no number'
check_fails 2 'a date that is none' 'vmscm search changed:soon' 'no date'
check_fails 2 'no query' 'vmscm search'

check 'a line for each, in a form of its own' '
    vmscm search --format="%(machine)|%(inside)|100%%" os:windows >out
    grep "^[a-z0-9/-]*|.*|100%$" out
    [ "$(vmscm search --format="%(machine)" os:windows | sort)" = "$(vmscm search --json os:windows | jq -r ".[].machine" | sort)" ]
    [ "$(vmscm search --format="%(id) %(date)" os:windows | sort)" = "$(vmscm search --json os:windows | jq -r ".[] | .id + \" \" + .time" | sort)" ]'
check_fails 2 'a field that is none' 'vmscm search --format="%(nothing)" os:windows' '"%(nothing)": no field'
check_fails 2 'one form or the other' 'vmscm search --json --format="%(id)" os:windows' 'not together with --json'

check 'guests cannot write on the terminal' '
    make evil "{\"type\": \"linux\", \"product\": \"x\u001b[31m\u202e evil\", \"applications\": [{\"name\": \"a\u0007pp\", \"version\": \"1\"}]}"
    vmscm search os:evil >out
    grep -F "x\\x1b[31m\\u202e evil" out'

done_testing
