#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Inspection by itself after check-ins: what is looked into, by whom, and what is left when it is killed.
# Another program stands where vmscm-inspect is, so that it can be held; t2910 has the real one.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

why=$(missing nbdkit jq)
[ -z "$why" ] || skip_all "$why"
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"
if [ "$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)" -lt 2300 ]; then
    skip_all "inspection does not begin by itself with less than 2 GiB of memory"
fi

mkdir bin
cp "$VMSCM_BUILD/vmscm" bin
ln -s "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" bin
cat >bin/vmscm-inspect <<'END'
#!/bin/sh
# As vmscm-inspect: how it is to end is in the file `how`, and it is held while there is a file `hold`.
cd "$TEST_DIR/work" || exit 9
mkdir busy || touch overlap
size=$(nbdinfo --size "nbd+unix:///vda?socket=$1") || exit 9
echo "$size $PPID" >>log
while [ -e hold ]; do sleep 0.05; done
rmdir busy
case $(cat how) in
ok) status=ok ;;
failed) status=failed ;;
*) echo "vmscm-inspect: the appliance does not start" >&2; exit 3 ;;
esac
echo "{\"schema\": 1, \"date\": \"2026-11-30T12:00:00Z\", \"status\": \"$status\", \"error\": \"why\",
    \"accelerator\": \"tcg\", \"systems\": [{\"type\": \"linux\", \"product\": \"of $size\"}]}"
END
chmod 755 bin/vmscm-inspect
PATH=$PWD/bin:$PATH
vmscm init -q --bare repo.vmscm
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR
echo ok >how
: >log

# disk MIB: another one for each size
disk() {
    truncate -s "${1}M" "$1.raw"
    echo "$1" | dd of="$1.raw" conv=notrunc status=none
}
# inside REV: what is known of it
inside() {
    vmscm show --json "$1" | jq -r '.facts | if .status == "failed" then .error else .systems[0].product end'
}
# until_true COMMAND...: it succeeds, within a minute
until_true() {
    for _ in $(seq 1200); do
        ! "$@" || return 0
        sleep 0.05
    done
    return 1
}
looked() {
    [ "$(wc -l <log)" = "$1" ]
}
for n in 1 2 3 4 5 6 7 8; do disk $n; done

check 'not if it is not wanted' '
    vmscm checkin a vda=1.raw -m 1
    vmscm config inspect.auto true
    vmscm checkin --inspect=no b vda=1.raw -m 1
    looked 0
    rc=0; vmscm inspect --wait || rc=$?
    [ $rc = 1 ]
    rc=0; vmscm config inspect.auto perhaps 2>err || rc=$?
    [ $rc = 2 ]
    grep "inspect.auto: perhaps: not true or false" err'

check 'a check-in begins it; what was left is looked into, too, identical disks once' '
    vmscm checkin a vda=2.raw -m 2
    vmscm inspect --wait a
    [ "$(inside a)" = "of 2097152" ]
    vmscm inspect --wait
    [ "$(inside b)" = "of 1048576" ]
    looked 2
    vmscm checkin c vda=2.raw -m "the same disk"
    vmscm inspect --wait
    looked 2'

check 'one at a time, what comes meanwhile is not forgotten, the newest first' '
    : >log; : >hold
    vmscm checkin a vda=3.raw -m 3 --date "2026-01-03 00:00 Z"
    until_true looked 1
    vmscm checkin a vda=4.raw -m 4 --date "2026-01-04 00:00 Z"
    vmscm checkin a vda=5.raw -m 5 --date "2026-01-05 00:00 Z"
    rm hold
    vmscm inspect --wait
    [ "$(cut -d " " -f 1 log | tr "\n" " ")" = "3145728 5242880 4194304 " ]
    [ "$(inside a~1)" = "of 4194304" ]'

check 'killed, it leaves what it had not looked into; the next check-in goes on' '
    : >log; : >hold
    vmscm checkin a vda=6.raw -m 6
    until_true looked 1
    kill -9 "$(cut -d " " -f 2 log)"
    rc=0; vmscm inspect --wait a || rc=$?
    [ $rc = 1 ]
    rm -f hold; rmdir busy || true
    : >log
    vmscm checkin a vda=7.raw -m 7
    vmscm inspect --wait
    [ "$(inside a~1)" = "of 6291456" ]
    [ "$(inside a)" = "of 7340032" ]
    looked 2'

check 'who asks for it gets what another is looking into, once' '
    : >log; : >hold
    cp 8.raw 9.raw; echo 9 >>9.raw; truncate -s 9M 9.raw
    vmscm checkin --inspect=later d vda=9.raw -m 9
    until_true looked 1
    vmscm inspect --pending >out &
    vmscm inspect d >out2 &
    rm hold
    wait
    looked 1
    grep "of 9437184, known" out2'

check 'now: told with the check-in' '
    : >log
    vmscm checkin --inspect=now e vda=8.raw -m 8 >out
    grep "^e .* read, " out
    grep "^e .*  of 8388608, " out
    vmscm checkin --json --inspect=now f vda=8.raw -m "the same" | jq -e ".facts.systems[0].product == \"of 8388608\""
    vmscm inspect -v e | grep "of 8388608, known, by tcg"
    looked 1'

check 'a guest that cannot be inspected is not tried again and again' '
    : >log; echo failed >how
    echo more >>1.raw
    vmscm checkin a vda=1.raw -m more
    vmscm inspect --wait
    [ "$(inside a)" = why ]
    vmscm checkin --inspect=later a vda=1.raw -m unchanged
    vmscm inspect --wait
    looked 1
    echo ok >how
    vmscm inspect --all
    [ "$(inside a)" = "of $(stat -c %s 1.raw)" ]
    looked 2'

check 'where nothing can be inspected, nothing is said, but to who asks' '
    : >log; echo no >how
    echo more >>2.raw
    vmscm checkin a vda=2.raw -m more >out 2>&1
    [ "$(wc -l <out)" = 1 ]
    until_true looked 1
    rc=0; vmscm inspect --wait a || rc=$?
    [ $rc = 1 ]
    rc=0; vmscm inspect a 2>err || rc=$?
    [ $rc = 3 ]
    grep "^vmscm: vmscm-inspect: the appliance does not start" err
    vmscm checkin --inspect=now g vda=2.raw -m now >out 2>err
    grep "^g " out
    grep "^vmscm: warning: vmscm-inspect: the appliance does not start" err
    vmscm checkin --inspect=now --json h vda=2.raw -m now 2>err | jq -e ".facts == null and .machine == \"h\""'

check 'nothing is begun where the program is not installed' '
    : >log; echo ok >how
    mv bin/vmscm-inspect elsewhere
    vmscm checkin --inspect=later a vda=3.raw -m 3 >out 2>&1
    [ "$(wc -l <out)" = 1 ]
    mv elsewhere bin/vmscm-inspect
    looked 0'

check 'all of it anew: each content once' '
    : >log
    vmscm inspect --all --force --json >out
    jq -e "length == ([.[].id] | unique | length)" out
    [ "$(jq length out)" = "$(wc -l <log)" ]
    [ "$(jq length out)" -gt 8 ]'

check 'nothing overlapped' '
    [ ! -e overlap ]
    [ ! -e busy ]'

check_fails 2 'not both' 'vmscm inspect --auto --pending' 'one of them'
check_fails 2 '--force of what is pending' 'vmscm inspect --pending --force' 'with revisions or --all'
check_fails 2 'no such time' 'vmscm checkin --inspect=soon a vda=1.raw' 'soon'

done_testing
