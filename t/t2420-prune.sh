#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# vmscm prune: lets go of what the rules say and of nothing else, wherever history is shared; what was
# let go says so; undo; names that others give meanwhile; and gc gives the space back.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

# record MACHINE N DAY [ARGUMENT...]: revision N, whose disk has something that only it has
record() {
    local machine=$1 n=$2 day=$3
    shift 3
    noise 200000 "$n" | put disk.raw 65536
    vmscm checkin -q --date "$day 12:00 +0000" -m "number $n" "$@" "$machine" disk.raw
}

# kept MACHINE RULE...: the numbers of the revisions that the rules would keep, newest first
kept() {
    local machine=$1
    shift
    vmscm prune -n --json "$@" "$machine" |
        jq -r '[.machines[].revisions[] | select(.pruned | not) | .message | ltrimstr("number ")] | join(" ")'
}

# are_pruned MACHINE: the numbers of those that were pruned, newest first
are_pruned() {
    vmscm log --json "$1" |
        jq -r '[.[] | select(.pruned) | .message | ltrimstr("number ")] | join(" ")'
}

check "a repository with a machine of ten days" '
    vmscm init -q
    truncate -s 1M disk.raw
    for n in 1 2 3 4 5 6 7 8 9 10; do record web $n 2026-11-$((n + 10)); done
    for n in 1 2 3 4 5 6 7 8 9 10; do vmscm cat web~$((10 - n)) | sha256sum; done >sums'

check "the rules" '
    [ "$(kept web --keep-last 3)" = "10 9 8" ]
    [ "$(kept web --keep-last unlimited)" = "10 9 8 7 6 5 4 3 2 1" ]
    [ "$(kept web --keep-daily 2)" = "10 9" ]
    [ "$(kept web --keep-weekly 2)" = "10 5" ] # the 15th is a Sunday
    [ "$(kept web --keep-monthly 1)" = "10" ]
    [ "$(kept web --keep-yearly 2)" = "10 1" ]
    [ "$(kept web --keep-within 3d)" = "10 9 8" ]
    [ "$(kept web --keep-last 1 --keep-weekly 2 --keep-within 49h)" = "10 9 8 5" ]
    [ -z "$(are_pruned web)" ]'

check "-n says why" '
    vmscm tag -q web~6 v1
    vmscm prune -n --keep-last 2 --keep-weekly 1 web >said
    grep "last, weekly, current *number 10$" said
    grep "last *number 9$" said
    grep "pruned *number 8$" said
    grep "tag *number 4$" said
    grep "^would prune 7 revisions of 1 machine, 3 kept$" said
    vmscm tag -q -d web:v1'

check_fails 2 "no machine: refused" 'vmscm prune --keep-last 1' 'no machine is named'
check_fails 2 "no rule: refused" 'vmscm prune web' 'nothing says what to keep'
check_fails 2 "a rule of none: refused" 'vmscm prune --keep-last 0 web' 'nothing says what to keep'
check_fails 2 "a switch is no rule" 'vmscm prune --no-keep-tagged --all' 'nothing says what to keep'
check_fails 2 "all, and one of them" 'vmscm prune --keep-last 1 --all web' 'all machines'
check_fails 2 "no number" 'vmscm prune --keep-daily -3 web' 'not a number'
check_fails 2 "no duration" 'vmscm prune --keep-within 3w web' 'not a duration'
check_fails 2 "undo with a rule" 'vmscm prune --undo --keep-last 1 web' '--undo'
check_fails 1 "no such machine, and the nearest" 'vmscm prune --keep-last 1 wep' 'wep: no such machine'
check_fails 1 "no machine of the pattern" 'vmscm prune --keep-last 1 "x*"' 'no machine is named so'
check_fails 1 "one name of two is wrong: nothing goes" 'vmscm prune --keep-last 1 web "x*"' 'x\*'
check_fails 1 "a revision is no machine" 'vmscm prune --keep-last 1 web~1' 'not a machine'
check "nothing was pruned so far" '[ -z "$(are_pruned web)" ]; [ ! -e .vmscm/git/refs/notes/pruned ]'

check "prune" '
    vmscm tag -q web~6 v1
    vmscm tag -q web~7 w1
    vmscm clone -q web~8 copy
    git --git-dir=.vmscm/git update-ref refs/remotes/there/web "$(git --git-dir=.vmscm/git rev-parse web~5)"
    vmscm prune --keep-last 2 web >said
    grep "^pruned 3 revisions of 1 machine, 7 kept; vmscm gc gives their space back$" said
    [ "$(are_pruned web)" = "8 7 6" ]
    [ "$(git --git-dir=.vmscm/git rev-list --count refs/notes/pruned)" = 1 ]
    vmscm fsck --full
    vmscm prune -q --keep-last 2 web
    [ "$(git --git-dir=.vmscm/git rev-list --count refs/notes/pruned)" = 1 ]'

check "what was kept is what it was" '
    for n in 1 2 3 4 5 9 10; do
        vmscm cat web~$((10 - n)) | sha256sum | cmp - <(sed -n ${n}p sums)
    done'

why='pruned on [0-9-]*: its disks. data is no longer kept'
check_fails 1 "cat of a pruned revision" 'vmscm cat web~2' "$why"
check_fails 1 "checkout" 'vmscm checkout web~2 there' "$why"
check_fails 1 "diff of it" 'vmscm diff web~2 web' "$why"
check_fails 1 "diff with it" 'vmscm diff web web~2' "$why"
check_fails 1 "tag" 'vmscm tag web~2 old' "$why"
check_fails 1 "clone" 'vmscm clone web~2 old' "$why"
check "nothing was made" '
    [ ! -e there ]
    [ "$(vmscm list --json | jq length)" = 2 ]
    [ "$(vmscm tag -l --json | jq length)" = 2 ]'

check "diff with itself needs no data" 'vmscm diff web~2 web~2'

check "log, show and stats say it" '
    vmscm log web >said
    [ "$(grep -c "^Pruned: 20.* by Test User <test@example.com>, --keep-last 2$" said)" = 3 ]
    [ "$(vmscm log --oneline web | grep -c "\[pruned\]")" = 3 ]
    vmscm show web~2 | grep "^Pruned: "
    vmscm show --json web~2 | jq -e ".pruned.rule == \"--keep-last 2\" and .pruned.by.name == \"Test User\""
    vmscm show --json web | jq -e ".pruned == null"
    vmscm comment -m "still here" web~2
    vmscm stats --json | jq -e ".pruned == 3 and .revisions == 10 and .guest_bytes == 7 * 1048576"'

check "undo" '
    vmscm prune --undo web~2 web~3 | grep -c "^took back" | grep -x 2
    [ "$(are_pruned web)" = 6 ]
    for n in 7 8; do vmscm cat web~$((10 - n)) | sha256sum | cmp - <(sed -n ${n}p sums); done'
check_fails 1 "undo of what was not pruned" 'vmscm prune --undo web~2' 'was not pruned'
check "undo of two, of which one was not" '
    vmscm prune -q --undo web~2 web~4 && exit 1
    [ -z "$(are_pruned web)" ]'

check "tags that keep" '
    [ "$(kept web --keep-tagged)" = "10 5 4 3 2 1" ]
    [ "$(kept web --keep-last 1 --keep-tag "v*")" = "10 5 4 3 2 1" ]
    [ "$(kept web --keep-tag "v*" --no-keep-tagged)" = "10 5 4 2 1" ]
    [ "$(kept web --keep-last 1 --no-keep-tagged)" = "10 5 2 1" ]'

check "a tag that keeps nothing stays, and says so" '
    vmscm prune -q --no-keep-tagged --keep-tag "v*" --keep-last 3 web
    [ "$(are_pruned web)" = "7 6 3" ]
    vmscm tag -l | grep "^web:w1 .*(pruned)"
    vmscm tag -l --json | jq -e ".[] | select(.tag == \"w1\") | .pruned"
    vmscm tag -l --json | jq -e ".[] | select(.tag == \"v1\") | .pruned | not"'
check_fails 1 "what it names cannot be had" 'vmscm cat web:w1' "$why"

check "a machine that was not named keeps its history; named, the stricter gives way" '
    [ "$(kept copy --keep-last 1)" = "2 1" ] # shared with web
    vmscm clone -q web two
    record two 11 2026-11-25
    [ "$(kept two --keep-last 1)" = "11 10 9 8 5 4 2 1" ]
    vmscm prune -n --json --keep-daily 2 --all >all
    jq -e ".pruned == 1 and .kept == 7 and .pruned_before == 3" all
    [ "$(jq -r ".machines[] | select(.machine == \"web\") | [.revisions[] | select(.pruned | not) | .message | ltrimstr(\"number \")] | join(\" \")" all)" = "10 9 5 4 2 1" ] ||
        fail "$(cat all)"'

check "what a removed machine had is pruned like any other" '
    vmscm rm -q copy
    git --git-dir=.vmscm/git update-ref -d refs/remotes/there/web
    vmscm prune -q --keep-last 1 --no-keep-tagged web two
    [ "$(are_pruned web)" = "9 8 7 6 5 4 3 2 1" ]
    [ "$(are_pruned two)" = "9 8 7 6 5 4 3 2 1" ]
    vmscm cat web | sha256sum | cmp - <(sed -n 10p sums)
    vmscm fsck'

check "a check-in on a pruned revision relies on nothing of it" '
    vmscm init -q other
    cd other
    truncate -s 1M disk.raw
    record m 1 2026-01-01
    vmscm checkout -q m old
    for n in 2 3; do record m $n 2026-01-0$n; done
    vmscm prune -q --keep-last 1 m
    [ "$(are_pruned m)" = "2 1" ]
    echo changed | put old/vda.img 500000
    (cd old && vmscm checkin -q --onto side -m "from old")
    cp old/vda.img expected.raw
    vmscm cat side | cmp - expected.raw
    vmscm log --json side | jq -e "length == 2 and .[0].pruned == null and .[1].pruned != null"
    vmscm fsck'

check "one that changed nothing makes it whole again" '
    cd other
    vmscm checkout -q side again
    noise 200000 77 | put disk.raw 65536
    vmscm checkin -q side disk.raw
    noise 200000 78 | put disk.raw 65536
    vmscm checkin -q side disk.raw
    vmscm prune -q --keep-last 1 side
    [ "$(vmscm log --json side | jq -r "[.[].pruned != null] | join(\" \")")" = "false true true true" ]
    (cd again && vmscm checkin -v --onto same 2>&1) | grep "read whole: its checkout.s revision was pruned"
    [ "$(vmscm show --json same | jq -r .id)" = "$(vmscm show --json side~2 | jq -r .id)" ]
    vmscm cat same | cmp - expected.raw
    vmscm tag -q same works'

check "the same commit made again is not pruned" '
    cd other
    noise 200000 1 | put disk.raw 65536
    vmscm checkin -q --date "2026-02-01 00:00 +0000" one disk.raw
    id=$(vmscm show --json one | jq -r .id)
    noise 200000 5 | put disk.raw 65536
    vmscm checkin -q one disk.raw
    vmscm prune -q --keep-last 1 one
    vmscm rm -q one
    noise 200000 1 | put disk.raw 65536
    vmscm checkin -q --date "2026-02-01 00:00 +0000" one disk.raw
    vmscm show --json one | jq -e --arg id "$id" ".id == \$id and .pruned == null"
    vmscm clone -q one two
    vmscm cat two | cmp - disk.raw'

check "a checkout over one of a pruned revision" '
    cd other
    vmscm checkout -q one was
    noise 200000 6 | put disk.raw 65536
    vmscm checkin -q one disk.raw
    vmscm rm -q two
    vmscm prune -q --keep-last 1 one
    vmscm checkout -q one was
    cmp was/vda.img disk.raw'

check "both sides of a merge" '
    cd other
    record mine 1 2026-03-01
    vmscm clone -q mine theirs
    record mine 2 2026-03-02
    record theirs 3 2026-03-03
    export GIT_DIR=.vmscm/git GIT_AUTHOR_NAME=g GIT_AUTHOR_EMAIL=g@g GIT_COMMITTER_NAME=g \
        GIT_COMMITTER_EMAIL=g@g GIT_AUTHOR_DATE="2026-03-04 12:00 +0000"
    git update-ref refs/heads/mine "$(git commit-tree -m "number 4" -p mine -p theirs "mine^{tree}")"
    vmscm rm -q theirs
    [ "$(kept mine --keep-last 4)" = "4 3 2 1" ]
    vmscm prune -q --keep-last 2 mine
    [ "$(kept mine --keep-last 9)" = "4 3" ]'

# same N...: these revisions are what they were
same() {
    local n
    for n; do vmscm cat web~$((6 - n)) | sha256sum | cmp - <(sed -n "${n}p" sums) || return 1; done
}

check "gc does not keep what was pruned; as long as it is in the trash it can be had back" '
    vmscm init -q space
    cd space
    truncate -s 8M disk.raw
    for n in 1 2 3 4 5 6; do
        noise 2000000 $n | put disk.raw 65536
        vmscm checkin -q --date 2026-01-0$n -m "number $n" web disk.raw
    done
    for n in 1 2 3 4 5 6; do vmscm cat web~$((6 - n)) | sha256sum; done >sums
    vmscm gc -q --grace 0
    stored .vmscm >all
    vmscm clone -q web~3 copy # number 3, with 2 and 1
    vmscm prune -q --keep-last 1 web
    [ "$(are_pruned web)" = "5 4" ]
    vmscm gc -q
    [ "$(stored .vmscm)" -lt $(($(cat all) * 9 / 12)) ]
    vmscm prune -q --undo web~1
    same 1 2 3 5 6
    vmscm fsck --full
    vmscm gc -q --grace 0
    same 1 2 3 5 6
    [ "$(stored .vmscm)" -gt $(($(cat all) * 9 / 12)) ]
    [ "$(stored .vmscm)" -lt $(($(cat all) * 11 / 12)) ]'

check "gone is gone" '
    cd space
    vmscm prune -q --keep-last 1 web
    vmscm gc -q --grace 0
    [ "$(stored .vmscm)" -lt $(($(cat all) * 9 / 12)) ]
    [ "$(stored .vmscm)" -gt $(($(cat all) * 7 / 12)) ]
    same 1 2 3 6
    vmscm cat copy | cmp - <(vmscm cat web~3)
    vmscm diff web~2 web~2
    vmscm fsck --full
    vmscm checkout -q web one
    vmscm checkout -q web~3 one'
check_fails 1 "undo of what is gone" 'cd space && vmscm prune --undo web~1' 'is gone'
check_fails 1 "diff with it" 'cd space && vmscm diff web~1 web' "$why"

check "who reads a revision while it is pruned and collected reads it to the end" '
    cd space
    vmscm init -q reading
    cd reading
    truncate -s 8M disk.raw
    for n in 1 2; do
        noise 6000000 $n | put disk.raw 65536
        vmscm checkin -q web disk.raw
    done
    vmscm gc -q --grace 0
    vmscm cat web~1 | sha256sum >sum
    mkfifo pipe
    vmscm cat web~1 >pipe &
    exec 7<pipe
    head -c 65536 <&7 >got # it is at it
    vmscm prune -q --keep-last 1 web
    vmscm gc -q --grace 0
    [ "$(stored .vmscm)" -gt 11000000 ]
    cat <&7 >>got
    wait $!
    sha256sum <got | cmp - sum
    vmscm gc -q --grace 0
    [ "$(stored .vmscm)" -lt 7000000 ]'

check "machines that share history, once removed, keep nothing" '
    cd space
    vmscm checkout -q web~5 old
    vmscm rm -q copy
    vmscm prune -q --keep-last 1 web
    vmscm gc -q --grace 0
    [ "$(stored .vmscm)" -lt $(($(cat all) * 3 / 12)) ]
    same 6
    vmscm log --json web | jq -e "length == 6"
    vmscm show web~4 | grep "^Pruned: "'

check "a checkout of what is gone is checked in whole, and can become another" '
    cd space
    cp old/vda.img expected.raw
    (cd old && vmscm checkin -q --onto back)
    vmscm cat back | cmp - expected.raw
    vmscm gc -q --grace 0
    vmscm cat back | cmp - expected.raw
    vmscm checkout -q web one
    cd old
    vmscm checkout -q web .
    vmscm cat web | cmp - vda.img'

check "no ref, nothing read: other commands do not mind" '
    vmscm init -q plain
    cd plain
    truncate -s 64k disk.raw
    vmscm checkin -q web disk.raw
    vmscm prune -q --all --keep-last 3
    [ ! -e .vmscm/git/refs/notes/pruned ]
    vmscm prune --all --keep-last 3 --json |
        jq -e ".pruned == 0 and .kept == 1 and .pruned_before == 0 and (.dry_run | not)"'

check "nobody is waited for when it only looks, and nothing is written" '
    cd plain
    find .vmscm -type f -exec sha256sum {} + | sort >before
    (
        flock 8
        vmscm prune -n --all --keep-last 1 >/dev/null
    ) 8>.vmscm/locks/commit
    find .vmscm -type f -exec sha256sum {} + | sort | cmp - before'

check "a ref that cannot be read: nothing goes" '
    vmscm init -q torn
    cd torn
    truncate -s 1M disk.raw
    for n in 1 2 3; do record web $n 2026-01-0$n; done
    echo junk >.vmscm/git/refs/heads/other
    vmscm prune --keep-last 1 web 2>said && exit 1
    grep "refs/heads/other: cannot be read" said
    rm .vmscm/git/refs/heads/other
    [ -z "$(are_pruned web)" ]'

check "notes that cannot be read: told, and what is whole can be read" '
    cd torn
    vmscm prune -q --keep-last 1 web
    echo junk >.vmscm/git/refs/notes/pruned
    vmscm cat web >/dev/null
    vmscm checkout -q web whole
    vmscm list | grep "number 3$"
    vmscm log web | grep "number 1$"
    vmscm show --json web | jq -e .hardware
    record web 4 2026-01-04
    vmscm cat web | cmp - disk.raw
    vmscm fsck >said && exit 1
    grep "^refs/notes/pruned: " said
    vmscm tag web x && exit 1
    vmscm prune --keep-last 1 web && exit 1
    vmscm gc && exit 1
    rm .vmscm/git/refs/notes/pruned
    vmscm fsck'

check "what is checked in meanwhile is kept when they can be read again" '
    vmscm init -q doubt
    cd doubt
    truncate -s 1M disk.raw
    record web 1 2026-01-01
    vmscm checkout -q web old
    for n in 2 3; do record web $n 2026-01-0$n; done
    vmscm prune -q --keep-last 1 web
    mv .vmscm/git/refs/notes/pruned notes
    echo junk >.vmscm/git/refs/notes/pruned
    (cd old && vmscm checkin -v --onto new) 2>&1 | grep "recorded as a new revision"
    mv notes .vmscm/git/refs/notes/pruned
    [ "$(are_pruned web)" = "2 1" ]
    vmscm gc -q --grace 0
    vmscm cat new | cmp - old/vda.img
    # Nothing is in doubt now.
    vmscm checkin --json new old/vda.img | jq -e .unchanged
    vmscm fsck --full'

# While one prunes again and again, others name what it is about to let go. Whoever was told that it
# worked has a revision that can be read.
check "names that are given meanwhile" '
    vmscm init -q race
    cd race
    truncate -s 1M disk.raw
    for n in $(seq 30); do record web $n 2026-01-$(printf %02d $n); done
    for n in $(seq 29 -1 1); do vmscm clone -q web~$n keep$n; done
    for n in $(seq 29 -1 1); do
        (
            vmscm rm -q keep$n
            if vmscm tag -q web~$n t$n 2>/dev/null; then echo t$n; fi
        ) >>tagged &
        vmscm prune -q --keep-last 1 web || echo failed >>tagged
        wait
    done
    vmscm prune -q --keep-last 1 web
    sort tagged >told
    vmscm tag -l --json | jq -r ".[].tag" | sort | cmp - told
    while read -r tag; do vmscm cat "web:$tag" >/dev/null; done <told
    vmscm log --json web | jq -e "[.[] | select(.pruned and (.names | length > 0))] == []"
    vmscm fsck'

done_testing
