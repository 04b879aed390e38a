#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Bundles of history, carried by hand; and mirrors.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

noise 20000000 1 >one.raw
cp one.raw two.raw
noise 300000 2 | dd of=two.raw bs=4096 seek=3000 conv=notrunc status=none
tip() { vmscm -C "$1" log --json "$2" 2>/dev/null | jq -r ".[0].id"; }

vmscm init -q ann
vmscm -C ann checkin -q web "$PWD/one.raw" -m one
vmscm -C ann tag -q web first -m good
vmscm -C ann comment web -m "tested"

check 'a bundle has what is named, and is seen without a repository' '
    vmscm -C ann bundle create "$PWD/one.vb" web
    mkdir -p empty && (cd empty && vmscm bundle list ../one.vb) >list
    grep "^web  " list
    grep "^web:first  " list
    (cd empty && vmscm bundle verify ../one.vb) | grep whole
    vmscm -C ann bundle list --json "$PWD/one.vb" | jq -e "(.needs | length) == 0 and (.refs | length) == 2"'

check 'it is cloned, fetched and pulled as a remote is' '
    vmscm clone -q ./one.vb bob
    vmscm -C bob cat web | cmp - one.raw
    [ "$(tip bob web)" = "$(tip ann web)" ]
    vmscm -C bob show web:first
    vmscm -C bob log web | grep tested
    vmscm init -q cat
    cp one.vb cat/
    (cd cat && vmscm fetch -q one.vb && vmscm list -r --json | jq -e ".[0].machine == \"bundle/web\"")
    (cd cat && vmscm pull -q one.vb web && vmscm cat web) | cmp - one.raw
    vmscm -C cat fsck -q --full
    (cd cat && vmscm fetch one.vb) | grep "nothing to be fetched"'

check 'what is known there is left out' '
    vmscm -C ann checkin -q web "$PWD/two.raw" -m two
    vmscm -C ann comment web -m "better"
    vmscm -C ann bundle create -q "$PWD/two.vb" web "^web~1"
    vmscm -C ann bundle create -q --since web~1 "$PWD/since.vb" web
    [ "$(stat -c %s two.vb)" -lt 500000 ]
    [ "$(stat -c %s two.vb)" = "$(stat -c %s since.vb)" ]
    vmscm -C bob bundle verify "$PWD/two.vb" | grep "^builds on"
    vmscm -C bob pull -q "$PWD/two.vb" web
    vmscm -C bob cat web | cmp - two.raw
    vmscm -C bob log web | grep better
    vmscm -C bob fsck -q --full'

# touch_up FROM TO SEED: 300 places of 180 bytes are changed, as a database does
touch_up() {
    python3 - "$@" <<END
import random, shutil, sys
shutil.copy(sys.argv[1], sys.argv[2])
random.seed(int(sys.argv[3]))
with open(sys.argv[2], "r+b") as f:
    for _ in range(300):
        f.seek(random.randrange(900) * 4096 + random.randrange(3900))
        f.write(random.randbytes(180))
END
}
stored() { vmscm -C "$1" stats --json | jq .pack_bytes; }
check 'what is stored against what is there is carried so' '
    noise 4000000 5 >base.raw
    touch_up base.raw small.raw 1
    touch_up small.raw smaller.raw 2
    vmscm init -q pat && vmscm -C pat checkin -q db "$PWD/base.raw" -m base
    vmscm -C pat bundle create -q "$PWD/base.vb" db
    vmscm clone -q ./base.vb quin
    before=$(stored pat)
    vmscm -C pat checkin -q db "$PWD/small.raw" -m small
    new=$(($(stored pat) - before))
    echo "$new new" && [ "$new" -lt 500000 ]
    vmscm -C pat bundle create -q "$PWD/small.vb" db "^db~1"
    ls -l small.vb
    [ "$(stat -c %s small.vb)" -le $((new * 102 / 100 + 65536)) ]
    vmscm -C quin pull -q "$PWD/small.vb" db
    vmscm -C quin cat db | cmp - small.raw'
check 'so is what is stored against what that is stored against, which need not be there' '
    vmscm -C quin prune -q --keep-last 1 db && vmscm -C quin gc -q --aggressive --grace 0
    before=$(stored pat)
    vmscm -C pat checkin -q db "$PWD/smaller.raw" -m smaller
    new=$(($(stored pat) - before))
    echo "$new new" && [ "$new" -lt 500000 ]
    vmscm -C pat bundle create -q "$PWD/smaller.vb" db "^db~1"
    [ "$(stat -c %s smaller.vb)" -le $((new * 102 / 100 + 65536)) ]
    vmscm -C quin pull -q "$PWD/smaller.vb" db
    [ "$(stored quin)" -lt 4700000 ]
    vmscm -C quin cat db | cmp - smaller.raw
    vmscm -C quin fsck -q --full'

check 'what is remembered of a remote is left out' '
    vmscm init -q --bare far.vmscm
    vmscm -C ann remote add far "$PWD/far.vmscm"
    vmscm -C ann push -q far web:first web
    noise 4000000 7 >three.raw
    vmscm -C ann checkin -q db "$PWD/three.raw" -m three
    vmscm -C ann bundle create -q --known-by far "$PWD/known.vb"
    [ "$(stat -c %s known.vb)" -lt 4300000 ]
    vmscm -C far.vmscm pull -q "$PWD/known.vb" db
    vmscm -C far.vmscm cat db | cmp - three.raw'

check 'to standard output, and through a pipe' '
    vmscm -C ann bundle create - db >piped.vb
    vmscm bundle verify piped.vb 2>/dev/null || vmscm -C ann bundle verify "$PWD/piped.vb"
    vmscm init -q dan && vmscm -C dan pull -q "$PWD/piped.vb" db
    vmscm -C dan cat db | cmp - three.raw'

check 'one that builds on what is not here brings nothing' '
    vmscm init -q eve
    ! vmscm -C eve pull "$PWD/two.vb" web 2>said
    grep "builds on revision" said
    ! vmscm -C eve bundle verify "$PWD/two.vb"
    [ -z "$(ls eve/.vmscm/packs)" ]
    [ "$(vmscm -C eve list --json)" = "[]" ]'

check 'a damaged bundle brings nothing, wherever the damage is' '
    size=$(stat -c %s two.vb)
    for at in 3 8 20 40 60 200 $((size / 3)) $((size / 2)) $((size - 20)) $((size - 3)); do
        cp two.vb bad.vb
        was=$(od -An -tu1 -j $at -N 1 bad.vb)
        printf "\\$(printf %o $(((was + 1) % 256)))" | dd of=bad.vb bs=1 seek=$at conv=notrunc status=none
        ! vmscm -C bob bundle verify "$PWD/bad.vb" >/dev/null 2>&1 || fail "byte $at is not seen"
    done
    for len in 0 10 16 50 $((size / 2)) $((size - 1)); do
        head -c $len two.vb >bad.vb
        ! vmscm -C bob bundle verify "$PWD/bad.vb" >/dev/null 2>&1 || fail "length $len is not seen"
        vmscm clone -q ./one.vb fay
        ! vmscm -C fay pull -q "$PWD/bad.vb" web 2>/dev/null || fail "length $len is pulled"
        [ "$(vmscm -C fay log --json web | jq length)" = 1 ]
        rm -rf fay
    done
    (cat two.vb; echo more) >bad.vb
    ! vmscm -C bob bundle verify "$PWD/bad.vb"'

check 'one that was interrupted leaves no file' '
    ! vmscm -C ann bundle create "$PWD/no/such/dir.vb" web
    ! vmscm -C ann bundle create "$PWD/none.vb" nobody
    ! ls none.vb* 2>/dev/null'

check 'a lazy repository makes one, too' '
    vmscm clone -q --lazy ./ann lazy
    vmscm -C lazy bundle create -q "$PWD/lazy.vb" web
    vmscm clone -q ./lazy.vb gus
    vmscm -C gus cat web~1 | cmp - one.raw
    vmscm -C gus fsck -q --full'

check 'a mirror has all as it is there, and follows' '
    vmscm clone -q --mirror ./ann mirror.vmscm
    [ -d mirror.vmscm/packs ]
    [ "$(vmscm -C mirror.vmscm config remote.origin.mirror)" = true ]
    vmscm -C ann rm -q db
    noise 1000000 8 >eight.raw
    vmscm -C ann checkin -q other "$PWD/eight.raw" -m eight
    vmscm -C ann tag -d web:first
    vmscm -C mirror.vmscm fetch -q
    [ "$(vmscm -C mirror.vmscm list --json | jq -c "[.[].machine]")" = "[\"other\",\"web\"]" ]
    [ "$(vmscm -C mirror.vmscm tag -l --json | jq length)" = 0 ]
    [ "$(tip mirror.vmscm web)" = "$(tip ann web)" ]
    vmscm -C mirror.vmscm fsck -q --full
    vmscm -C mirror.vmscm fetch | grep "nothing to be fetched"'

check_fails 3 'what is no bundle is told' 'vmscm bundle list one.raw' 'no bundle'
check_fails 2 'prune means nothing with a bundle' 'vmscm -C bob fetch --prune "$PWD/one.vb"' 'a bundle does not say'
check_fails 4 'nothing is pushed into one' 'vmscm -C bob push "$PWD/one.vb" web' 'read-only'
check_fails 1 'a machine that is not there' 'vmscm -C ann bundle create "$PWD/x.vb" nobody' 'no machine or tag'
check_fails 2 'an action that is none' 'vmscm bundle eat one.vb' 'no such action'

done_testing
