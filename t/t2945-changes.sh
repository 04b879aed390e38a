#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What changed in a revision, in a line: log, list and show.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

vmscm init -q --bare repo.vmscm
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
vmscm config inspect.auto false
truncate -s 64M disk.raw
# revision [OPTION...]: another state of web, of which a mebibyte differs
revision() {
    dd if=/dev/urandom of=disk.raw bs=1M seek=5 count=1 conv=notrunc status=none
    vmscm checkin -q "$@" web vda=disk.raw -m "one more"
}
# facts REV VERSION NAMES: of packages
facts() {
    local name apps=
    for name in $3; do apps="$apps${apps:+,}{\"name\": \"${name%=*}\", \"version\": \"${name#*=}\"}"; done
    echo "{\"schema\": 1, \"date\": \"${4:-2026-11-30}T12:00:00Z\", \"status\": \"ok\", \"systems\": [{\"type\": \"linux\",
        \"distro\": \"debian\", \"product\": \"Debian GNU/Linux ${2%.*} (x)\", \"version\": \"$2\", \"package_format\": \"deb\",
        \"applications\": [$apps]}]}" | vmscm inspect -q --from=- "$1"
}
# changes REV: what is said of it
changes() {
    vmscm show --format="%(changes)" "$1"
}

check 'the first revision goes on from none' '
    revision
    [ -z "$(changes web)" ]
    vmscm show --json web | jq -e "has(\"changes\") and .changes == null"
    vmscm log web >out
    ! grep Change: out
    vmscm list -l | grep " -  *one more$"'

check 'of what was not inspected, bytes' '
    revision
    [[ "$(changes web)" =~ ^1\.0\ MiB\ changed$ ]]'

check 'with facts of both, what is inside' '
    facts web~1 12.4 "a=1 b=1 c=1"
    facts web 12.5 "a=2 b=2 d=1"
    [ "$(changes web)" = "Debian GNU/Linux 12.4 -> 12.5, package d added, package c removed, 2 packages upgraded, 1.0 MiB changed" ]'

check 'show, log, list, as text, JSON and a line of its own' '
    line="Debian GNU/Linux 12.4 -> 12.5, package d added, package c removed, 2 packages upgraded, 1.0 MiB changed"
    vmscm show web >out
    grep -Fx "Change: $line" out
    [ "$(vmscm show --json web | jq -r .changes)" = "$line" ]
    vmscm log web >out
    grep -Fx "Change: $line" out
    [ "$(grep -c Change: out)" = 1 ]
    [ "$(vmscm log --json web | jq -r ".[0].changes, .[0].inside, .[1].changes" | tr "\n" "|")" = "$line|Debian GNU/Linux 12 (x)|null|" ]
    [ "$(vmscm log --format="%(changes)" -n 1)" = "$line" ]
    vmscm list -l >out
    grep "^MACHINE .* CHANGE " out
    grep -F "$line" out
    [ "$(vmscm list --json -l | jq -r ".[].changes")" = "$line" ]
    [ "$(vmscm list --format="%(changes)|%(inside)")" = "$line|Debian GNU/Linux 12 (x)" ]
    vmscm list --json | jq -e "all(.[]; has(\"changes\") | not)"'

check 'but not in one line' '
    vmscm log --oneline web >out
    ! grep -i change out
    vmscm list >out
    ! grep -i change out'

check 'other facts, another line; and it is kept' '
    facts web 12.6 "a=2" 2026-12-01
    [ "$(changes web)" = "Debian GNU/Linux 12.4 -> 12.6, 2 packages removed, package a upgraded, 1.0 MiB changed" ]
    [ "$(changes web)" = "Debian GNU/Linux 12.4 -> 12.6, 2 packages removed, package a upgraded, 1.0 MiB changed" ]
    [ "$(python3 -c "
import sqlite3
db = sqlite3.connect(\"repo.vmscm/catalog.db\")
print(db.execute(\"SELECT count(*), max(bytes) FROM change\").fetchone())")" = "(1, 1048576)" ]'

check 'an inspection that failed says nothing' '
    revision
    echo "{\"schema\": 1, \"date\": \"2026-11-30T12:00:00Z\", \"status\": \"failed\", \"error\": \"why\"}" >bad.json
    vmscm inspect -q --from=bad.json web && false
    [ "$(changes web)" = "1.0 MiB changed" ]'

check 'configuration, disks that come, go and grow' '
    truncate -s 4M data.raw
    noise 4194304 9 >data.raw
    vmscm checkin -q web vda=disk.raw vdb=data.raw -m more
    [ "$(changes web)" = "disk vdb added, 4.0 MiB changed" ]
    truncate -s 128M disk.raw
    vmscm checkin -q web vda=disk.raw -m less
    changes web
    [ "$(changes web)" = "disk vda 64.0 MiB -> 128 MiB, disk vdb removed" ]
    cat >one.xml <<END
<domain type="kvm"><name>w</name><memory unit="MiB">512</memory><vcpu>1</vcpu><os><type arch="x86_64">hvm</type></os>
<devices><disk type="file" device="disk"><driver name="qemu" type="raw"/><source file="$PWD/disk.raw"/><target dev="vda" bus="virtio"/></disk>
<interface type="network"><mac address="52:54:00:00:00:01"/><source network="default"/><model type="virtio"/></interface></devices></domain>
END
    sed "s/>512</>2048</; s/>1<.vcpu/>4<\/vcpu/; s/:01/:02/; s/\"virtio\"/\"scsi\"/" one.xml >two.xml
    vmscm checkin -q set one.xml -m one
    vmscm checkin -q set two.xml -m two
    changes set
    [[ "$(changes set)" = "1 -> 4 CPUs, memory 512 MiB -> 2.0 GiB, "*"1 network interface changed"* ]]'

check 'nothing, too' '
    vmscm checkin -q still vda=disk.raw -m one
    git -C repo.vmscm/git -c user.name=x -c user.email=x commit-tree "still^{tree}" -p still -m two >id
    git -C repo.vmscm/git update-ref refs/heads/still "$(cat id)"
    [ "$(changes still)" = nothing ]'

check 'in a clone that is lazy, at most what its remote knows' '
    vmscm clone -q --lazy "$PWD/repo.vmscm" lazy
    of_lazy() { VMSCM_DIR=$PWD/lazy/.vmscm vmscm "$@"; }
    mv repo.vmscm away
    of_lazy log --format="%(changes)" origin/web >got
    of_lazy log --format="%(changes)" origin/web >again
    mv away repo.vmscm
    cat got
    cmp got again
    grep "Debian GNU/Linux 12.4 -> 12.6, 2 packages removed, package a upgraded, at most 16.0 MiB changed" got
    of_lazy cat origin/web~3 >/dev/null
    of_lazy cat origin/web~4 >/dev/null
    [ "$(of_lazy show --format="%(changes)" origin/web~3)" = "$(changes web~3)" ]'

check 'of a pruned revision too' '
    id=$(vmscm show --json web~3 | jq -r .id)
    vmscm prune -q --keep-last=1 web
    vmscm show "$id" | grep ^Pruned:
    [ "$(changes "$id")" = "Debian GNU/Linux 12.4 -> 12.6, 2 packages removed, package a upgraded, 1.0 MiB changed" ]
    rm repo.vmscm/catalog.db
    [[ "$(changes "$id")" = "Debian GNU/Linux 12.4 -> 12.6, 2 packages removed, package a upgraded, "*" MiB changed" ]]'

check 'a catalog that is damaged, of another version, or not to be had' '
    was=$(vmscm log --format="%(changes)" web)
    noise 50000 3 >repo.vmscm/catalog.db
    [ "$(vmscm log --format="%(changes)" web)" = "$was" ]
    python3 -c "
import os, sqlite3
os.remove(\"repo.vmscm/catalog.db\")
db = sqlite3.connect(\"repo.vmscm/catalog.db\")
db.execute(\"CREATE TABLE machine(x)\")
db.execute(\"PRAGMA user_version = 99\")
db.commit()"
    [ "$(vmscm log --format="%(changes)" web)" = "$was" ]
    [ "$(vmscm search --format="%(machine)" machine:web)" = web ]
    python3 - <<END
import sqlite3, subprocess
db = sqlite3.connect("repo.vmscm/catalog.db")
db.execute("DELETE FROM change")
db.commit()
db.execute("BEGIN EXCLUSIVE")
out = subprocess.run(["vmscm", "log", "--format=%(changes)", "web"], stdout=subprocess.PIPE, check=True)
assert out.stdout.decode().rstrip("\n") == """$was""", out.stdout
END
    rm -f repo.vmscm/catalog.db
    mkdir repo.vmscm/catalog.db
    [ "$(vmscm log --format="%(changes)" web)" = "$was" ]
    rmdir repo.vmscm/catalog.db'

check 'guests cannot write on the terminal' '
    revision
    facts web 12.6 "a=2"
    revision
    facts web 12.6 "x\\u001b[31m=2 a=2"
    vmscm log -n 1 web >out
    grep -F "package x\\x1b[31m added" out'

done_testing
