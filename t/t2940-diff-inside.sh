#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What differs inside two revisions, by facts that another program found.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

vmscm init -q --bare repo.vmscm
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
truncate -s 1M disk.raw
# revision MACHINE SYSTEMS [FILESYSTEMS]: another one, with these facts; without, with none
revision() {
    echo "$RANDOM $RANDOM" | dd of=disk.raw conv=notrunc status=none
    vmscm checkin -q "$1" vda=disk.raw -m "one more"
    [ $# = 1 ] || echo "{\"schema\": 1, \"date\": \"2026-11-30T12:00:00Z\", \"status\": \"ok\",
        \"systems\": [$2], \"filesystems\": [${3:-}]}" | vmscm inspect -q --from=- "$1"
}
# changes REV REV: what differs inside, a line a change
changes() {
    local rc=0
    vmscm diff --json "$1" "$2" >diff.json || rc=$?
    [ $rc = 1 ]
    jq -r '.inside.changes[] | [.what, .change, .name, .before // "-", .after // "-"] | join("|")' diff.json
}
deb() {
    echo "{\"root\": \"vda:1\", \"type\": \"linux\", \"distro\": \"debian\", \"package_format\": \"deb\", $1}"
}
rpm_of() {
    echo "{\"root\": \"vda:1\", \"type\": \"linux\", \"distro\": \"fedora\", \"package_format\": \"rpm\", \"applications\": [$1]}"
}
# app NAME VERSION [ARCH [RELEASE]]
app() {
    echo "{\"name\": \"$1\", \"version\": \"$2\", \"arch\": \"${3:-amd64}\" ${4:+, \"release\": \"$4\"}}"
}

check 'a Debian upgrade: packages, users, services, kernels, file systems' '
    revision web "$(deb "\"product\": \"Debian 11\", \"version\": \"11.9\", \"hostname\": \"web\", \"applications\": [
        $(app openssl 1.1.1w amd64 0+deb11u1), $(app libc6 2.31), $(app libc6 2.31 i386), $(app exim4 4.94),
        $(app nginx 1.22.1), $(app same 1.0), $(app tool 2.0)],
        \"users\": [{\"name\": \"ann\", \"id\": \"1000\", \"group\": \"1000\", \"shell\": \"/bin/sh\"}, {\"name\": \"bob\", \"id\": \"1001\"}],
        \"groups\": [{\"name\": \"sudo\", \"id\": \"27\"}],
        \"services\": [\"ssh.service\", \"exim4.service\"], \"kernels\": [\"5.10.0-28-amd64\"]")" "{\"device\": \"vda:1\", \"type\": \"ext4\", \"size\": 900}"
    revision web "$(deb "\"product\": \"Debian 12\", \"version\": \"12.5\", \"hostname\": \"web\", \"applications\": [
        $(app openssl 3.0.11 amd64 1), $(app libc6 2.36), $(app libc6 2.36 i386), $(app nginx 1.22.1~rc1),
        $(app same 1.0), $(app tool 10.0), $(app jq 1.6)],
        \"users\": [{\"name\": \"ann\", \"id\": \"1000\", \"group\": \"1000\", \"shell\": \"/bin/bash\"}],
        \"groups\": [{\"name\": \"sudo\", \"id\": \"27\", \"members\": [\"ann\"]}],
        \"services\": [\"ssh.service\"], \"kernels\": [\"5.10.0-28-amd64\", \"6.1.0-18-amd64\"]")" "{\"device\": \"vda:1\", \"type\": \"ext4\", \"size\": 1800}"
    changes web~1 web >got
    cat >want <<END
system|changed|product|Debian 11|Debian 12
system|changed|version|11.9|12.5
package|removed|exim4|4.94|-
package|added|jq|-|1.6
package|upgraded|libc6|2.31|2.36
package|upgraded|libc6|2.31|2.36
package|downgraded|nginx|1.22.1|1.22.1~rc1
package|upgraded|openssl|1.1.1w-0+deb11u1|3.0.11-1
package|upgraded|tool|2.0|10.0
user|changed|ann|1000:1000 /bin/sh|1000:1000 /bin/bash
user|removed|bob|1001|-
group|changed|sudo|27|27 ann
service|removed|exim4.service||-
kernel|added|6.1.0-18-amd64|-|
filesystem|changed|vda:1|ext4 900 bytes|ext4 1800 bytes
END
    diff want got
    jq -e ".inside.before == \"Debian 11, web\" and .inside.changes[0].system == \"vda:1\"" diff.json'

check 'network, boot entry, swap, agents, licenses and updates' '
    revision net "$(deb "\"default_boot\": \"Debian\", \"swap\": [\"/swapfile\"], \"agents\": [\"cloud-init\"],
        \"last_boot\": \"2026-01-01T00:00:00Z\", \"patches\": [{\"name\": \"KB4012212\", \"date\": \"2017-03-20T08:00:00Z\"}],
        \"licenses\": [{\"name\": \"Windows\", \"channel\": \"Retail\", \"partial_key\": \"HVTHH\"}],
        \"network\": [{\"interface\": \"eth0\", \"method\": \"dhcp\"}, {\"interface\": \"eth1\", \"method\": \"static\"}]")"
    revision net "$(deb "\"default_boot\": \"Debian, old\", \"agents\": [\"cloud-init\", \"open-vm-tools\"],
        \"last_boot\": \"2026-01-02T00:00:00Z\", \"patches\": [{\"name\": \"KB4012212\"}, {\"name\": \"KB5018419\"}],
        \"licenses\": [{\"name\": \"Windows\", \"channel\": \"Volume:GVLK\"}],
        \"nameservers\": [\"10.0.0.53\"], \"network\": [{\"interface\": \"eth0\", \"method\": \"static\",
        \"addresses\": [\"10.0.0.2/24\", \"fd00::2/64\"], \"gateways\": [\"10.0.0.1\"], \"dns\": [\"1.1.1.1\"]}]")"
    changes net~1 net >got
    cat >want <<END
system|changed|default_boot|Debian|Debian, old
network|changed|eth0|dhcp|static 10.0.0.2/24, fd00::2/64 via 10.0.0.1 dns 1.1.1.1
network|removed|eth1|static|-
nameserver|added|10.0.0.53|-|
swap|removed|/swapfile||-
agent|added|open-vm-tools|-|
license|changed|Windows|Retail ...HVTHH|Volume:GVLK
patch|added|KB5018419|-|
END
    diff want got'

check 'the same as a table, with what it comes to, after the disks' '
    rc=0; vmscm diff web~1 web >out || rc=$?
    [ $rc = 1 ]
    grep "^DISK " out
    grep "^INSIDE  *CHANGE  *NAME  *BEFORE  *AFTER" out
    grep "^package  *downgraded  *nginx  *1.22.1  *1.22.1~rc1$" out
    grep "^packages: 1 added, 1 removed, 4 upgraded, 1 downgraded$" out
    vmscm diff -q web~1 web >out || true
    [ ! -s out ]'

check 'RPM has an order of its own, and several versions of one package' '
    revision fed "$(rpm_of "$(app a 1.0.a), $(app b 1.0^git1), $(app kernel 6.1), $(app kernel 6.2), $(app kernel 6.3)")"
    revision fed "$(rpm_of "$(app a 1.0.1), $(app b 1.0.1), $(app kernel 6.2), $(app kernel 6.3), $(app kernel 6.10)")"
    changes fed~1 fed >got
    printf "%s\n" "package|upgraded|a|1.0.a|1.0.1" "package|upgraded|b|1.0^git1|1.0.1" "package|upgraded|kernel|6.1|6.10" >want
    diff want got
    # By the rules of Debian it is the other way round.
    revision deb "$(deb "\"applications\": [$(app a 1.0.a)]")"
    revision deb "$(deb "\"applications\": [$(app a 1.0.1)]")"
    [ "$(changes deb~1 deb)" = "package|downgraded|a|1.0.a|1.0.1" ]'

check 'Windows: a version in the name' '
    win="\"root\": \"vda:1\", \"type\": \"windows\", \"distro\": \"windows\""
    revision win "{$win, \"service_pack_name\": \"Service Pack 1\", \"applications\": [{\"name\": \"7-Zip 9.20\", \"version\": \"9.20\"}, {\"name\": \"Old\"}]}"
    revision win "{$win, \"service_pack_name\": \"Service Pack 2\", \"applications\": [{\"name\": \"7-Zip 19.00 (x64)\", \"version\": \"19.00\"}, {\"name\": \"7-Zip 19.00\", \"version\": \"19.00\"}]}"
    changes win~1 win >got
    cat >want <<END
system|changed|service_pack_name|Service Pack 1|Service Pack 2
package|upgraded|7-Zip 19.00|9.20|19.00
package|added|7-Zip 19.00 (x64)|-|19.00
package|removed|Old||-
END
    diff want got'

check 'several systems: by where they are' '
    two() { echo "{\"root\": \"vda:1\", \"product\": \"one\", \"hostname\": \"$1\"}, {\"root\": \"vda:$2\", \"product\": \"two\"}"; }
    revision two "$(two a 2)"
    revision two "$(two b 3)"
    changes two~1 two >got
    cat >want <<END
system|changed|hostname|a|b
system|removed|product|two|-
system|added|product|-|two
END
    diff want got'

check 'what was not inspected is said, and how it can be' '
    revision web
    rc=0; vmscm diff web~1 web >out || rc=$?
    [ $rc = 1 ]
    grep "^inside $(vmscm show --json web | jq -r .id | cut -c 1-7): not known; .vmscm inspect " out
    [ "$(grep -c INSIDE out)" = 0 ]
    vmscm diff --json web~1 web >diff.json || true
    jq -e ".inside.changes == null and .inside.after == null and .inside.before == \"Debian 12, web\"" diff.json
    echo "{\"schema\": 1, \"date\": \"2026-11-30T12:00:00Z\", \"status\": \"failed\", \"error\": \"it is odd\"}" |
        vmscm inspect -q --from=- web || true
    vmscm diff web~1 web >out || true
    grep "^inside .*: not known, inspection failed: it is odd$" out'

check 'the same disks: nothing is said of what is inside' '
    vmscm clone web other
    vmscm diff web other >out
    [ ! -s out ]
    vmscm diff --json web other | jq -e ".inside == null"'

check 'what a guest says is escaped' '
    revision bad "$(deb "\"applications\": [{\"name\": \"a\u001b[31m\", \"version\": \"1\"}]")"
    revision bad "$(deb "\"applications\": [{\"name\": \"a\u001b[31m\", \"version\": \"2\u202e\"}]")"
    vmscm diff bad~1 bad >out || true
    grep -F "a\\x1b[31m" out
    grep -F "2\\u202e" out'

done_testing
