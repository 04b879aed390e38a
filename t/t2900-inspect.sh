#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Facts about what is inside revisions: kept for the content of their disks, checked, shown, and on their way
# to other repositories. Where they come from is t2910's.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk one.raw 8 1
sample_disk two.raw 8 2
vmscm init -q --bare repo.vmscm
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
cat >debian.json <<'END'
{"schema": 1, "date": "2026-11-30T12:00:00Z", "status": "ok", "tool": "an agent",
 "filesystems": [{"device": "vda:1", "type": "ext4", "size": 8388608}],
 "systems": [{"type": "linux", "distro": "debian", "version": "12.5", "hostname": "web\u001b[31m\u202e",
  "applications": [{"name": "openssl", "version": "3.0.11"}], "users": [{"name": "root"}]}]}
END
# status N COMMAND...: it ends with this exit status
status() {
    local want=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" = "$want" ] || fail "status $got: $*"
}
# facts DATE STATUS TOOL
facts() {
    echo "{\"schema\": 1, \"date\": \"$1\", \"status\": \"$2\", \"error\": \"why\", \"tool\": \"$3\"}"
}

check 'machines, none of them inspected' '
    vmscm checkin web vda=one.raw -m first
    vmscm checkin db vda=two.raw -m first
    vmscm show web >out
    [ "$(grep -c Inside out)" = 0 ]
    vmscm show --json web | jq -e ".facts == null"'

check 'facts of another program are kept and shown, escapes as text' '
    vmscm inspect --from=debian.json web >out
    grep -F "debian 12.5, web\\x1b[31m\\u202e" out
    vmscm show web >out
    grep -F "Inside: debian 12.5, web\\x1b[31m\\u202e" out
    grep "applications: 1" out
    grep "vda:1: ext4, 8.0 MiB" out
    vmscm show --json web | jq -e ".facts.systems[0].applications[0].version == \"3.0.11\""'

check 'list -l and log say it in a few words' '
    vmscm list -l >out
    grep "^MACHINE .* INSIDE " out
    grep -F "debian 12.5, web\\x1b[31m\\u202e" out | grep "^web .* first$"
    grep "^db .* -  *first$" out
    vmscm list --json -l | jq -e "map(.inside | type) == [\"null\", \"string\"]"
    vmscm list --json | jq -e "all(.[]; has(\"inside\") | not)"
    vmscm log web >out
    grep -F "Inside: debian 12.5, web\\x1b[31m\\u202e" out
    vmscm log db >out
    [ "$(grep -c Inside: out)" = 0 ]
    vmscm log --oneline web >out
    [ "$(grep -c debian out)" = 0 ]'

check 'the same disks are known: another machine, format, message' '
    vmscm clone web qa/web
    qemu-img convert -O qcow2 one.raw one.qcow2
    vmscm checkin again vda=one.qcow2 -m "in another format"
    vmscm inspect --json qa/web again | jq -e "length == 2 and all(.[]; .known)"
    vmscm show again | grep "Inside: debian"'

check 'a changed disk is not' '
    cp one.raw more.raw
    printf x | dd of=more.raw bs=1 seek=5000000 conv=notrunc status=none
    vmscm checkin web vda=more.raw -m changed
    vmscm show web >out
    [ "$(grep -c Inside out)" = 0 ]
    vmscm show web~1 | grep "Inside: debian"'

check 'the newest counts, but no failure after it' '
    facts 2026-12-01 ok newer | vmscm inspect --from=- web~1
    facts 2026-11-01 ok older | vmscm inspect --from=- web~1
    facts 2026-12-02 failed none | status 1 vmscm inspect --from=- web~1
    vmscm show --json web~1 | jq -e ".facts.tool == \"newer\""
    facts 2026-12-02 failed none | status 1 vmscm inspect --from=- db
    vmscm show db | grep "Inside: failed: why"'

check 'what is no facts is refused, and nothing is kept' '
    before=$(git -C repo.vmscm/git rev-parse refs/notes/inspection)
    echo "{\"schema\": 1}" | status 3 vmscm inspect --from=- db 2>err
    grep "^vmscm: facts: " err
    grep "^hint: vmscm-format-facts(5)" err
    echo "{\"schema\": 2}" | status 3 vmscm inspect --from=- db 2>err
    grep "schema 2" err
    head -c 17000000 /dev/zero | status 3 vmscm inspect --from=- db
    status 3 vmscm inspect --from=nowhere db
    status 1 vmscm inspect --from=debian.json nobody
    [ "$before" = "$(git -C repo.vmscm/git rev-parse refs/notes/inspection)" ]'

check 'a note of a newer schema is passed over, and kept' '
    key=$(git -C repo.vmscm/git rev-parse refs/heads/web^:disks)
    git -C repo.vmscm/git -c user.name=x -c user.email=x notes --ref=inspection append -m "{\"schema\":7}" "$key"
    vmscm show --json web~1 | jq -e ".facts.tool == \"newer\""
    facts 2026-12-05 ok newest | vmscm inspect --from=- web~1
    git -C repo.vmscm/git notes --ref=inspection show "$key" | grep "{\"schema\":7}"
    vmscm show --json web~1 | jq -e ".facts.tool == \"newest\""'

check 'usage' '
    status 2 vmscm inspect
    status 2 vmscm inspect --all web
    status 2 vmscm inspect --all --pending
    status 2 vmscm inspect --from=debian.json web db
    status 2 vmscm inspect --memory=1 web'

check 'facts travel, and stay through gc' '
    vmscm gc -q
    vmscm show web~1 | grep "Inside: "
    (unset VMSCM_DIR; vmscm clone -q "$TEST_DIR/work/repo.vmscm" there)
    VMSCM_DIR=$PWD/there vmscm show --json origin/web~1 >out
    jq -e ".facts.tool == \"newest\"" out'

check 'all is whole' 'vmscm fsck --full; git -C repo.vmscm/git fsck --strict'

done_testing
