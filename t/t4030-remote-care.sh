#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What must not happen when repositories talk: that a failure looks like success, that more is removed than
# was asked for, or that it does not end.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk one.raw 2 1
noise 100000 2 >two.raw
vmscm init -q ann
vmscm -C ann checkin -q web "$PWD/one.raw" -m one
vmscm init -q --bare hub.vmscm
vmscm -C ann remote add origin ../hub.vmscm
vmscm -C ann push -q origin web

check 'what an interrupted fetch left and is no pack is left out' '
    vmscm init -q ben
    vmscm -C ben remote add origin ../hub.vmscm
    mkdir -p ben/.vmscm/quarantine/from-dead/packs
    touch ben/.vmscm/quarantine/from-dead/lock
    noise 4096 3 >ben/.vmscm/quarantine/from-dead/packs/pack-00000000000000000000000000000001.vpk
    vmscm -C ben fetch | grep "^web  new"
    [ ! -e ben/.vmscm/packs/pack-00000000000000000000000000000001.vpk ]
    [ -z "$(ls ben/.vmscm/quarantine)" ]
    vmscm -C ben cat origin/web | cmp - one.raw'
check_fails 3 'what cannot be put in its place is a failure' '
    vmscm init -q dee
    vmscm -C dee remote add origin ../hub.vmscm
    rm -r dee/.vmscm/git/objects/pack
    touch dee/.vmscm/git/objects/pack
    vmscm -C dee fetch' 'objects/pack'
check 'and it is done once that is mended' '
    rm dee/.vmscm/git/objects/pack
    vmscm -C dee fetch | grep "^web  new"
    vmscm -C dee cat origin/web | cmp - one.raw'
check_fails 4 'what an interrupted push left counts as what is sent' '
    vmscm init -q --bare small.vmscm
    vmscm -C small.vmscm config receive.maxSize 100000
    mkdir -p small.vmscm/quarantine/from-dead/packs
    touch small.vmscm/quarantine/from-dead/lock
    cp hub.vmscm/packs/*.vpk small.vmscm/quarantine/from-dead/packs
    vmscm -C ann push "$PWD/small.vmscm" web' 'receive.maxSize'
check 'and nothing of it stays' '[ -z "$(ls small.vmscm/quarantine)" ]'

check 'a tag that somebody moved does not keep anyone from pulling' '
    vmscm -C ann tag -q web v1
    vmscm -C ann push -q origin web:v1
    vmscm clone -q ./hub.vmscm cia
    vmscm -C ann checkin -q web "$PWD/two.raw" -m two
    vmscm -C ann tag -q -f web v1
    vmscm -C ann push -q -f origin web web:v1
    vmscm -C cia pull | tee said
    grep "^web  updated" said
    ! grep "^web:v1  refused" said
    vmscm -C cia cat web:v1 | cmp - one.raw
    vmscm -C cia cat origin/web:v1 | cmp - two.raw
    vmscm -C cia pull -v | grep "^web:v1  unchanged .* another there"'
check_fails 4 'unless it is asked for' 'vmscm -C cia pull origin web:v1' 'another tag'
check 'or taken' 'vmscm -C cia pull -q -f && vmscm -C cia cat web:v1 | cmp - two.raw'

check_fails 1 'a clone of nothing, into a directory that was there' '
    mkdir -m 700 mine empty
    vmscm clone ./empty mine'
check_fails 1 'and a bare one' '
    mkdir -m 700 bare.vmscm
    vmscm clone --bare ./empty bare.vmscm'
check 'leaves it there, empty' '
    for d in mine bare.vmscm; do
        [ -d $d ] && [ -z "$(ls -A $d)" ] && [ "$(stat -c %a $d)" = 700 ]
    done
    rmdir mine bare.vmscm'
for url in ./hub.vmscm/. ./hub.vmscm/.. host:/x/.. /.; do
    check_fails 2 "a URL without a name: $url" "mkdir -p in/it && cd in/it && vmscm clone $url" '^hint: name the directory'
done
check 'no clone was made there' '[ -z "$(ls -A in/it)" ] && [ "$(ls -A in)" = it ]'

check 'pruning leaves alone what others brought there' '
    vmscm init -q --bare team.vmscm
    vmscm -C ann remote add team ../team.vmscm
    vmscm -C ann push -q team web
    vmscm -C cia clone -q web other
    vmscm -C cia clone -q web both
    vmscm -C cia push -q "$PWD/team.vmscm" other both
    vmscm -C ann push --prune --all team >said
    ! grep removed said
    vmscm -C team.vmscm list other'
check_fails 2 'it needs names' 'vmscm -C ann push -p team' 'names'
check_fails 2 'and something that is remembered' 'vmscm -C ann push -p "$PWD/team.vmscm" other' 'remembered'
check_fails 4 'what is named and was never seen is refused' 'vmscm -C ann push -p team other' 'remembered of it'
check 'what has moved since is refused, the rest goes with its tags' '
    vmscm -C ann fetch -q team
    vmscm -C cia tag -q both late
    vmscm -C cia checkin -q other "$PWD/one.raw" -m other
    vmscm -C cia push -q "$PWD/team.vmscm" other both:late
    vmscm -C ann push -p team "o*" "b*" >said && rc=0 || rc=$?
    cat said
    [ $rc = 4 ]
    grep "^other  refused" said
    grep "^both  removed" said
    grep "^both:late  removed" said
    vmscm -C team.vmscm list --json | jq -e "map(.machine) == [\"other\", \"web\"]"
    [ -z "$(vmscm -C team.vmscm tag -l both)" ]'

check_fails -p TMPFS 3 'history is not taken in where space is scarce' '
    mkdir full
    mount -t tmpfs -o size=80m none full
    vmscm init -q --bare full/hub.vmscm
    vmscm -C ann push -q "$PWD/full/hub.vmscm" web
    vmscm -C ann tag -q web late
    head -c 30000000 /dev/zero >full/filler
    vmscm -C ann push "$PWD/full/hub.vmscm" web:late' 'no space left'
mountpoint -q full 2>/dev/null && umount full

# An ssh that does not notice anything.
cat >hangs <<'END'
#!/bin/sh
trap "" TERM
echo $$ >"$HANGS.new"
mv "$HANGS.new" "$HANGS"
while :; do sleep 0.2; done
END
# One that stays after all was said.
cat >stays <<'END'
#!/bin/sh
vmscm remote-serve "$HUB"
exec sleep 30
END
chmod 755 hangs stays
export HANGS=$PWD/pid HUB=$PWD/hub.vmscm
check 'what hangs is ended when the user ends it' '
    VMSCM_SSH=$PWD/hangs vmscm -C ann push far:/x web &
    vmscm=$!
    for _ in $(seq 100); do [ -s pid ] && break || sleep 0.1; done
    begin=$(date +%s)
    kill -TERM $vmscm
    wait $vmscm && rc=0 || rc=$?
    echo "ended with $rc"
    [ $rc != 0 ]
    [ $(($(date +%s) - begin)) -le 5 ]
    ! kill -0 "$(cat pid)"'
check 'and not waited for when all is done' '
    begin=$(date +%s)
    VMSCM_SSH=$PWD/stays vmscm -C ann push -q far:/x web
    [ $(($(date +%s) - begin)) -le 10 ]'

done_testing
