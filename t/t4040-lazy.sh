#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Lazy repositories: history is here, data comes when it is read; what may be relied on; a bounded cache.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

noise 40000000 1 >one.raw
cp one.raw two.raw
noise 300000 2 | dd of=two.raw bs=4096 seek=3000 conv=notrunc status=none
cp two.raw three.raw
noise 200000 3 | dd of=three.raw bs=4096 seek=6000 conv=notrunc status=none
tip() { vmscm -C "$1" log --json "$2" 2>/dev/null | jq -r ".[0].id"; }
cached() { find "$1/.vmscm/cache" -name '*.vpk' -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }
own() { find "$1/.vmscm/packs" -name '*.vpk' -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

vmscm init -q hub
vmscm -C hub checkin -q web "$PWD/one.raw" -m one
vmscm -C hub checkin -q web "$PWD/two.raw" -m two
vmscm -C hub checkin -q db "$PWD/three.raw" -m db
vmscm -C hub tag web golden -m good

check 'a lazy clone has all history, and no data' '
    vmscm clone --json --lazy ./hub lazy >j
    [ "$(jq .received j)" -lt 40000 ]
    [ "$(own lazy)" = 0 ]
    [ "$(tip lazy web)" = "$(tip hub web)" ]
    [ "$(vmscm -C lazy list --json | jq -c "[.[].machine]")" = "[\"db\",\"web\"]" ]
    [ "$(vmscm -C lazy config core.repositoryFormatVersion)" = 2 ]
    [ "$(vmscm -C lazy config extensions.lazy)" = origin ]
    vmscm -C lazy fsck
    vmscm -C lazy fsck --json | jq -e ".elsewhere > 0 and (.findings | length) == 0"
    vmscm -C lazy stats --json | jq -e ".elsewhere_leaves > 0 and .cache_bytes == 0 and .packs == 0"'

check 'what is here is told: nothing, a part, all' '
    vmscm clone -q --lazy ./hub part
    vmscm -C part list -l | grep "^web .* none  *two"
    vmscm -C part show web | grep "data: up to 38.1 MiB, all of it only at origin"
    vmscm -C part show --json web | jq -e ".here == {bytes: 0, away: 40000000, at_most: true}"
    vmscm -C part cat web~1 >/dev/null
    vmscm -C part list -l | grep "^web .* 58%  *two"
    vmscm -C part show web | grep "data: 22.1 MiB is here, up to 16.0 MiB only at origin"
    vmscm -C part checkout -q web ../part-co
    vmscm -C part list --json -l | jq -e ".[1].here == {bytes: 40000000, away: 0, at_most: false}"
    vmscm status part-co | grep "all of it is here"
    rm -rf part/.vmscm/cache
    vmscm status part-co --json | jq -e ".here.bytes == 0 and .here.at_most"
    vmscm -C hub list --json -l | jq -e ".[0].here == null"
    vmscm -C hub list --json | jq -e ".[0] | has(\"here\") | not"
    ! vmscm -C hub show web | grep "data:"
    rm -rf part part-co'

check 'what is read comes, in few requests, and comes once' '
    vmscm -C lazy cat web | cmp - two.raw
    was=$(cached lazy)
    [ "$was" -gt 30000000 ]
    vmscm -C lazy checkout -v web ../co 2>log
    ! grep brought log
    cmp co/*.img two.raw || cmp co/*.raw two.raw
    [ "$(own lazy)" = 0 ]
    vmscm -C lazy checkout -v db ../co-db 2>log
    grep "origin: brought [0-9]* bytes in [1-6] requests" log
    cmp co-db/*.img three.raw || cmp co-db/*.raw three.raw
    [ $(($(cached lazy) - was)) -lt 4000000 ]'

check 'what was brought needs no connection, and what was not says where it is' '
    vmscm clone -q --lazy ./hub offline
    vmscm -C offline cat web:golden >/dev/null
    mv hub gone
    vmscm -C offline cat web | cmp - two.raw
    vmscm -C offline log web
    ! vmscm -C offline cat web~1 >x 2>said
    cat said
    grep "only at origin" said
    [ "$(wc -l <said)" -le 2 ]
    vmscm -C offline fsck -q
    mv gone hub
    vmscm -C offline cat web~1 | cmp - one.raw'

check 'differences of revisions that are not here' '
    rm -rf offline/.vmscm/cache
    vmscm -C offline diff web~1 web --json >a || [ $? = 1 ]
    vmscm -C hub diff web~1 web --json >b || [ $? = 1 ]
    [ "$(jq -c ".disks[0] | [.id, .changed]" a)" = "$(jq -c ".disks[0] | [.id, .changed]" b)" ]
    [ "$(cached offline)" -lt 200000 ]'

check 'a check-in stores what is new, and relies on no cache' '
    noise 100000 4 | dd of="$(ls co/*.img co/*.raw 2>/dev/null)" bs=4096 seek=1000 conv=notrunc status=none
    cp "$(ls co/*.img co/*.raw 2>/dev/null)" want.raw
    (cd co && vmscm checkin -q -m three)
    [ "$(own lazy)" -lt 400000 ]
    rm -rf lazy/.vmscm/cache
    vmscm -C lazy fsck -q
    vmscm -C lazy gc -q
    vmscm -C lazy fsck -q --full
    vmscm -C lazy cat web | cmp - want.raw
    vmscm -C lazy fsck -q'

check 'without a connection a check-in stores more, and all is right' '
    rm -rf offline/.vmscm/cache
    mv hub gone
    vmscm -C offline checkin -q web "$PWD/want.raw" -m offline 2>said
    grep "stored anew" said
    vmscm -C offline cat web | cmp - want.raw
    mv gone hub
    vmscm -C offline fsck -q'

check 'a machine that nobody else has is all here' '
    noise 5000000 9 >own.raw
    vmscm -C lazy checkin -q own "$PWD/own.raw" -m own
    mv hub gone
    vmscm -C lazy cat own | cmp - own.raw
    mv gone hub'

check 'a lost pack of its own is damage, what is elsewhere is not' '
    cp -a lazy hurt
    vmscm -C hurt fsck -q
    rm hurt/.vmscm/packs/*.vpk
    ! vmscm -C hurt fsck >f
    cat f
    grep "missing" f
    ! vmscm -C hurt gc -q
    rm -rf hurt'

check 'a push to where it came from sends what is new' '
    vmscm -C lazy push -q origin own
    vmscm -C lazy push --json origin web >j
    [ "$(jq .sent j)" -lt 400000 ]
    vmscm -C hub cat web | cmp - want.raw
    vmscm -C hub fsck -q --full
    vmscm -C lazy gc -q
    vmscm -C lazy fsck -q'

check 'a push to elsewhere, and who fetches from it, get all' '
    vmscm init -q --bare other.vmscm
    vmscm clone -q --lazy ./hub giver
    vmscm -C giver remote add other "$PWD/other.vmscm"
    vmscm -C giver config cache.size 8m
    vmscm -C giver push -q other web db
    vmscm -C other.vmscm cat web | cmp - want.raw
    vmscm -C other.vmscm cat web~2 | cmp - one.raw
    vmscm -C other.vmscm fsck -q --full
    vmscm clone -q ./giver taker
    vmscm -C taker fsck -q --full
    vmscm -C taker cat db | cmp - three.raw
    rm -rf other.vmscm taker giver'

check 'a fetch stays lazy; one of all data makes it stay' '
    vmscm clone -q --lazy ./hub follower
    cp want.raw four.raw
    noise 50000 5 | dd of=four.raw bs=4096 seek=5000 conv=notrunc status=none
    vmscm -C hub checkin -q web "$PWD/four.raw" -m four
    vmscm -C follower pull --json >j
    [ "$(jq .received j)" -lt 40000 ]
    [ "$(own follower)" = 0 ]
    vmscm -C follower fetch --progress --full web 2>line
    tr "\r" "\n" <line
    tr "\r" "\n" <line | grep -E "receiving [0-9]+%, [0-9.]+( .iB|)/[0-9.]+ .iB"
    vmscm -C follower fsck -q
    rm -rf follower/.vmscm/cache
    mv hub gone
    vmscm -C follower cat web | cmp - four.raw
    mv gone hub
    vmscm -C follower fetch -q --full
    vmscm -C follower gc -q
    vmscm -C follower stats --json | jq -e ".elsewhere_leaves == 0"
    mv hub gone
    vmscm -C follower cat web~3 | cmp - one.raw
    mv gone hub
    vmscm -C follower fsck -q --full
    vmscm -C follower fsck --json | jq -e ".elsewhere == 0"'

check 'the cache stays small, and what is read is whole all the same' '
    vmscm clone -q --lazy ./hub small
    vmscm -C small config cache.size 1m
    vmscm -C small cat web | cmp - four.raw
    vmscm -C small checkout -q web~3 ../co-small
    cmp co-small/*.img one.raw || cmp co-small/*.raw one.raw
    vmscm -C small diff web~3 web || [ $? = 1 ]
    [ "$(cached small)" -lt 6000000 ]
    vmscm -C small config cache.size 0
    vmscm -C small cat web | cmp - four.raw'

check 'two processes at once share one cache' '
    vmscm clone -q --lazy ./hub both
    vmscm -C both config cache.size 4m
    (vmscm -C both cat web | cmp - four.raw || echo bad >bad1) &
    (vmscm -C both checkout -q web ../co-both && { cmp co-both/*.img four.raw || cmp co-both/*.raw four.raw; } || echo bad >bad2) &
    (vmscm -C both cat db | cmp - three.raw || echo bad >bad3) &
    wait
    ! ls bad? 2>/dev/null'

check 'damage in the cache is brought anew' '
    vmscm clone -q --lazy ./hub rot
    vmscm -C rot cat web | cmp - four.raw
    for f in rot/.vmscm/cache/packs/*.vpk; do
        chmod u+w "$f"
        for at in 100 100000 3000000; do
            printf damaged | dd of="$f" bs=1 seek=$at conv=notrunc status=none
        done
    done
    vmscm -C rot cat web | cmp - four.raw
    for f in rot/.vmscm/cache/packs/*.vpk; do chmod u+w "$f"; truncate -s 5000 "$f"; done
    vmscm -C rot cat web | cmp - four.raw
    for f in rot/.vmscm/cache/packs/*.vpk; do chmod u+w "$f"; : >"$f"; done
    vmscm -C rot checkout -q web ../co-rot
    cmp co-rot/*.img four.raw || cmp co-rot/*.raw four.raw'

check 'one that was killed while it brought leaves nothing wrong' '
    vmscm clone -q --lazy ./hub killed
    for i in $(seq 1 12); do
        vmscm -C killed cat web >x 2>/dev/null &
        sleep "0.0$i"
        kill -9 $! 2>/dev/null || true
        wait $! 2>/dev/null || true
    done
    vmscm -C killed cat web | cmp - four.raw
    vmscm -C killed fsck -q'

check 'what the remote no longer has is told' '
    vmscm init -q fickle
    vmscm -C fickle checkin -q a "$PWD/own.raw" -m a
    vmscm -C fickle checkin -q b "$PWD/one.raw" -m b
    vmscm clone -q --lazy ./fickle trusting
    vmscm -C fickle rm -q a
    ! vmscm -C trusting cat a >x 2>said
    cat said
    grep "only at origin" said
    vmscm -C trusting cat b | cmp - one.raw
    rm -rf trusting fickle'

check 'what the remote let go of is lost, but keeps no gc from its work' '
    vmscm init -q fickle
    vmscm -C fickle checkin -q a "$PWD/own.raw" -m a
    vmscm clone -q --lazy ./fickle trusting
    was=$(tip trusting a)
    vmscm -C fickle rm -q a
    vmscm -C fickle checkin -q a "$PWD/one.raw" -m other
    vmscm -C trusting fetch -q
    ! vmscm -C trusting fsck >f
    grep "$was: leaf .* missing" f
    vmscm -C trusting gc -q
    vmscm -C trusting checkin -q a "$PWD/own.raw" -m again
    vmscm -C trusting cat a | cmp - own.raw
    vmscm -C trusting pull -q --force
    vmscm -C trusting cat a | cmp - one.raw
    vmscm -C trusting fsck -q
    vmscm -C trusting gc -q
    rm -rf trusting fickle'

check 'gc says what to do where a remote let go of a machine that is still here' '
    vmscm init -q gone
    vmscm -C gone checkin -q web "$PWD/one.raw" -m one
    vmscm -C gone checkin -q db "$PWD/two.raw" -m two
    vmscm clone -q --lazy ./gone left
    vmscm -C gone rm -q web
    vmscm -C gone gc -q --grace 0
    vmscm -C left fetch -q --prune
    ! vmscm -C left gc 2>err
    grep "^vmscm: refs/heads/web: .* missing$" err
    grep "^hint: nothing was removed; vmscm fsck lists what is missing" err
    vmscm -C left rm -q web
    vmscm -C left gc -q
    vmscm -C left fsck -q
    vmscm -C left cat db | cmp - two.raw'

check 'what was pruned is in nobody'\''s way' '
    vmscm init -q old
    for n in one two three; do vmscm -C old checkin -q web "$PWD/$n.raw" -m $n; done
    vmscm -C old prune -q --keep-last 1 web
    vmscm -C old gc -q --grace 0
    vmscm clone -q --lazy ./old young
    [ "$(vmscm -C young log --oneline web | grep -c "\[pruned\]")" = 2 ]
    vmscm -C young fsck -q
    ! vmscm -C young cat web~1 >/dev/null 2>err
    grep "pruned on" err
    vmscm -C young checkout -q web ../young-co
    printf changed | dd of=young-co/vda.img bs=1 seek=1000000 conv=notrunc status=none
    (cd young-co && vmscm checkin -q -m four)
    vmscm -C young push -q
    [ "$(tip old web)" = "$(tip young web)" ]
    vmscm -C old cat web | cmp - young-co/vda.img
    vmscm -C old fsck -q --full
    vmscm -C young gc -q --grace 0
    vmscm -C young fetch -q --full
    vmscm -C young fsck -q --full'

check 'a lazy mirror follows, and is whole' '
    vmscm init -q fickle
    vmscm -C fickle checkin -q a "$PWD/own.raw" -m a
    vmscm -C fickle tag a t
    vmscm -C fickle checkin -q b "$PWD/one.raw" -m b
    vmscm clone -q --lazy --mirror ./fickle mirror
    vmscm -C mirror clone -q a own
    vmscm -C fickle rm -q a
    vmscm -C mirror fetch >said
    cat said
    [ "$(vmscm -C mirror list --json | jq -c "[.[].machine]")" = "[\"b\"]" ]
    [ "$(git --git-dir=mirror/git for-each-ref | wc -l)" = 2 ]
    vmscm -C mirror fsck -q
    vmscm -C mirror gc -q
    rm -rf mirror fickle'

check 'an unknown extension is refused, and so is letting go of the remote' '
    cp -a small odd
    vmscm -C odd config extensions.later yes
    ! vmscm -C odd log 2>said
    grep "extensions.later" said
    rm -rf odd
    ! vmscm -C small remote remove origin 2>said
    cat said
    vmscm -C small remote rename origin upstream
    [ "$(vmscm -C small config extensions.lazy)" = upstream ]
    vmscm -C small cat web | cmp - four.raw
    vmscm -C small fsck -q'

check_fails 2 'only a repository that is lazy is completed' 'vmscm -C hub fetch --full' 'not lazy'
check_fails 2 'a machine is not cloned lazily' 'vmscm -C hub clone --lazy web web2' 'only a repository'

done_testing
