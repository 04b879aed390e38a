#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Push, fetch, pull and clone between repositories on one machine.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

sample_disk one.raw 24 1
cp one.raw two.raw
noise 300000 7 | put two.raw 5000000
cp two.raw three.raw
noise 200000 8 | put three.raw 9000000

# pushed REMOTE-JSON FIELD
figure() { jq ".$2" "$1"; }
tip() { vmscm -C "$1" log --json "$2" | jq -r ".[0].id"; }

vmscm init -q ann
vmscm -C ann checkin -q web "$PWD/one.raw" -m one
vmscm init -q --bare hub.vmscm

check 'remotes are named, listed, renamed and removed' '
    vmscm -C ann remote add origin ../hub.vmscm
    vmscm -C ann remote add other ssh://host/path
    [ "$(vmscm -C ann remote list --json | jq -r ".[] | .name + \" \" + .url" | tr "\n" ,)" = \
        "origin $PWD/hub.vmscm,other ssh://host/path," ]
    vmscm -C ann remote set-url other host:path
    vmscm -C ann remote rename other another
    [ "$(vmscm -C ann config remote.another.url)" = host:path ]
    vmscm -C ann remote remove another
    [ "$(vmscm -C ann remote --json | jq length)" = 1 ]'
check_fails 3 'no two of a name' 'vmscm -C ann remote add origin /x' 'there is a remote of that name'
check_fails 1 'no such remote' 'vmscm -C ann remote remove nobody' 'no such remote'
check_fails 2 'a name that is none' 'vmscm -C ann remote add a/b /x' 'not a name of a remote'
check_fails 2 'a URL that is none' 'vmscm -C ann remote add x gopher://host/x' 'not known'
check_fails 4 'a password is refused' 'vmscm -C ann remote add x ssh://me:secret@host/x' 'password'
check 'and is neither told nor kept' '
    ! grep -q secret "$TEST_DIR/err"
    ! grep -rq secret ann/.vmscm/config'
check_fails 2 'an unknown action' 'vmscm -C ann remote frobnicate' 'no such action'
check_fails 1 'nothing there' 'vmscm -C ann push ./nowhere web' 'nowhere'

check 'a dry run changes nothing' '
    vmscm -C ann push -n origin web | grep "^web  new"
    [ -z "$(vmscm -C hub.vmscm list --json | jq -r ".[].machine")" ]'
check 'a first push' '
    vmscm -C ann push --json origin web >said
    [ "$(figure said round_trips)" -le 5 ]
    [ "$(jq -r ".items[0].change" said)" = new ]
    [ "$(tip ann web)" = "$(tip hub.vmscm web)" ]
    vmscm -C hub.vmscm cat web | cmp - one.raw
    stored=$(stored hub.vmscm)
    [ "$(figure said sent)" -le $((stored * 102 / 100 + 65536)) ]
    vmscm -C ann list -r | grep "^origin/web "
    [ -z "$(ls hub.vmscm/quarantine)" ]'
check 'a second sends what changed, about as many bytes as it takes there' '
    vmscm -C ann checkin -q web "$PWD/two.raw" -m two
    before=$(stored hub.vmscm)
    vmscm -C ann push --json >said
    [ "$(figure said round_trips)" -le 5 ]
    new=$(($(stored hub.vmscm) - before))
    [ "$(figure said sent)" -le $((new * 102 / 100 + 65536)) ]
    vmscm -C hub.vmscm cat web | cmp - two.raw
    vmscm -C hub.vmscm cat web~1 | cmp - one.raw'
check 'a clone and a tag cost next to nothing' '
    vmscm -C ann clone -q web copy
    vmscm -C ann push --json origin copy >said
    [ "$(figure said sent)" -lt 16384 ]
    vmscm -C ann tag -q web v1 -m "first"
    vmscm -C ann push --json origin web:v1 >said
    [ "$(figure said sent)" -lt 16384 ]
    vmscm -C hub.vmscm tag -l --json web | jq -e ".[0].tag == \"v1\" and .[0].message == \"first\""
    vmscm -C hub.vmscm list --json | jq -e "map(.machine) == [\"copy\", \"web\"]"'
check 'nothing to push is said so' '
    vmscm -C ann push origin web | grep "^nothing to be pushed"'

check 'a clone of a repository has all of it' '
    vmscm clone ./hub.vmscm ben --json >said
    [ "$(figure said round_trips)" -le 5 ]
    [ "$(tip ben web)" = "$(tip ann web)" ]
    vmscm -C ben cat web:v1 | cmp - two.raw
    [ "$(vmscm -C ben config remote.origin.url)" = "$PWD/hub.vmscm" ]
    [ "$(jq -r .repository said)" = "$PWD/ben/.vmscm" ]
    vmscm -C ben fsck --full -q'
check 'by its default name' 'mkdir here && cd here && vmscm clone -q ../hub.vmscm && [ -d hub/.vmscm ]'
check 'and a bare one' 'vmscm clone -q --bare ./hub.vmscm mirror.vmscm && [ -d mirror.vmscm/packs ]'
check_fails 3 'not over another' 'vmscm clone ./hub.vmscm ann' 'there is a repository already'
check_fails 1 'not of nothing' 'vmscm clone ./nowhere new'
check 'which leaves nothing' '[ ! -e new ]'
check_fails 2 'a machine is cloned with two names' 'vmscm -C ann clone web' 'too few'

check 'what another pushed is fetched, and pulled' '
    vmscm -C ben checkin -q web "$PWD/three.raw" -m three
    vmscm -C ben push -q
    vmscm -C ann fetch --json >said
    [ "$(figure said round_trips)" -le 5 ]
    [ "$(jq -r ".items[] | select(.machine == \"web\" and .tag == null) | .change" said)" = updated ]
    vmscm -C ann cat origin/web | cmp - three.raw
    vmscm -C ann cat web | cmp - two.raw
    vmscm -C ann cat origin/web~2 | cmp - one.raw
    vmscm -C ann cat origin/web:v1 | cmp - two.raw
    vmscm -C ann diff web origin/web >/dev/null || [ $? = 1 ]
    vmscm -C ann pull -q
    vmscm -C ann cat web | cmp - three.raw'
check 'a machine that is here comes before what a remote has' '
    vmscm -C ann clone -q web~2 origin/web
    vmscm -C ann cat origin/web | cmp - one.raw
    vmscm -C ann rm -q origin/web'

check 'two went different ways' '
    vmscm -C ann checkin -q web "$PWD/one.raw" -m "by ann"
    vmscm -C ben checkin -q web "$PWD/two.raw" -m "by ben"
    vmscm -C ann push -q'
check_fails 4 'the second is refused' 'vmscm -C ben push' 'revisions there that are not here'
check_fails 4 'with a hint' 'vmscm -C ben push' '^hint: vmscm pull'
check 'and nothing is lost' '
    [ "$(tip hub.vmscm web)" = "$(tip ann web)" ]'
check_fails 4 'so is pulling' 'vmscm -C ben pull' 'would be lost'
check_fails 4 'which says how to go on' 'vmscm -C ben pull' '^hint: .*origin/web'
check 'and has fetched' '
    [ "$(tip ben origin/web)" = "$(tip ann web)" ]
    vmscm -C ben cat web | cmp - two.raw'
check_fails 4 'even now that it is here' 'vmscm -C ben push origin web'
check 'force, of one name or of all' '
    vmscm -C ben push origin +web | grep "^web  forced"
    [ "$(tip hub.vmscm web)" = "$(tip ben web)" ]
    vmscm -C ann pull -f -q origin web
    vmscm -C ann cat web | cmp - two.raw'
check 'all or nothing' '
    vmscm -C ben clone -q web fresh
    vmscm -C ann clone -q web~1 fresh2
    vmscm -C ann checkin -q web "$PWD/three.raw" -m "by ann again"
    vmscm -C ann push -q
    vmscm -C ben checkin -q web "$PWD/one.raw" -m "by ben again"
    ! vmscm -C ben push --atomic origin web fresh 2>/dev/null
    ! vmscm -C hub.vmscm list fresh >/dev/null
    ! vmscm -C ben push origin web fresh 2>/dev/null
    vmscm -C hub.vmscm list fresh'
check 'removing there, by name and by what is not here' '
    vmscm -C ann push -d origin copy | grep "^copy  removed"
    ! vmscm -C hub.vmscm list copy >/dev/null
    vmscm -C ann rm -q fresh2
    vmscm -C hub.vmscm clone -q web stale
    vmscm -C ann fetch -q
    vmscm -C ann push --prune --all -n | grep "^stale  removed"
    vmscm -C ann push --prune origin "stale*" | grep "^stale  removed"
    vmscm -C ben fetch -q
    vmscm -C ben list -r "origin/copy" >/dev/null
    vmscm -C ben fetch --prune | grep "^copy  removed"
    ! vmscm -C ben list -r "origin/copy" >/dev/null'
check 'all machines, with their tags' '
    vmscm -C ann push -q -f --all --tags
    vmscm -C hub.vmscm tag -l --json | jq -e "map(.machine + \":\" + .tag) | index(\"copy:x\") == null"
    vmscm -C ann tag -q web v2
    vmscm -C ann push -q -t origin web
    vmscm -C hub.vmscm tag -l web | grep -q "web:v2"'
check_fails 4 'a tag is not moved' '
    vmscm -C ben fetch -q
    vmscm -C ben tag -q web v2 2>/dev/null
    vmscm -C ben push origin web:v2' 'another tag'
check 'unless that is asked for' 'vmscm -C ben push -f -q origin web:v2'
check_fails 1 'a machine that is not here' 'vmscm -C ben push origin wbe' 'wbe'
check_fails 1 'or there' 'vmscm -C ben fetch origin nobody' 'no machine or tag of that name'
check_fails 2 'a rate that is none' 'vmscm -C ben push --limit=fast origin' 'bytes a second'

check 'comments of both are merged, and none is lost' '
    vmscm -C ann pull -q -f origin web
    vmscm -C ben pull -q -f origin web
    vmscm -C ann comment -q web -m "from ann"
    vmscm -C ben comment -q web -m "from ben"
    vmscm -C ann push -q
    vmscm -C ben push -q
    vmscm -C ann comment -q web -m "from ann, again"
    vmscm -C ann push -q
    vmscm -C ann fetch -q
    vmscm -C ben fetch -q
    for who in ann ben hub.vmscm; do
        vmscm -C $who log --json web | jq -e ".[0].comments | map(.text) | sort ==
            [\"from ann\", \"from ann, again\", \"from ben\"]"
    done
    [ "$(git --git-dir=ann/.vmscm/git rev-parse refs/notes/comments)" = \
        "$(git --git-dir=hub.vmscm/git rev-parse refs/notes/comments)" ]
    vmscm -C ann fetch --json | jq -e ".comments == false"'

# odd REPOSITORY: comments there of which one is a link, on no others
odd() {
    git --git-dir="$1" update-ref refs/notes/comments "$(
        blob=$(echo text | git --git-dir="$1" hash-object -w --stdin)
        tree=$(printf '120000 blob %s\t0123456789012345678901234567890123456789\n' "$blob" |
            git --git-dir="$1" mktree)
        git --git-dir="$1" -c user.name=x -c user.email=x commit-tree -m odd "$tree")"
}
check 'comments that cannot be merged are told, and the rest is done' '
    vmscm clone -q ./hub.vmscm pat
    git --git-dir=pat/.vmscm/git rev-parse refs/notes/comments >kept
    odd pat/.vmscm/git'
check_fails 3 'by push' 'vmscm -C pat push -q origin web' 'comments were not merged: .*neither file'
check 'beside what else is refused' '
    vmscm -C pat tag -q web v9
    vmscm -C pat push -q origin web:v9 || [ $? = 3 ]
    vmscm -C pat clone -q web~1 mine
    vmscm -C hub.vmscm clone -q web mine
    ! vmscm -C pat push -q origin mine web 2>told
    grep "^vmscm: mine: has revisions" told
    grep "warning: comments were not merged: " told
    [ "$(git --git-dir=hub.vmscm/git rev-parse refs/notes/comments)" = "$(cat kept)" ]
    vmscm -C hub.vmscm rm -q mine
    vmscm -C hub.vmscm tag -l web | grep -q web:v9'
check 'a remote has such' '
    git --git-dir=pat/.vmscm/git update-ref refs/notes/comments "$(cat kept)"
    odd hub.vmscm/git
    vmscm -C hub.vmscm clone -q web news'
check_fails 3 'by fetch' 'vmscm -C pat fetch -q' 'comments were not merged: .*neither file'
check 'which fetched all the same' '
    [ "$(tip pat origin/news)" = "$(tip hub.vmscm web)" ]
    ! vmscm -C pat fetch --json >said 2>/dev/null
    jq -e ".comments == false" said
    [ "$(git --git-dir=pat/.vmscm/git rev-parse refs/notes/comments)" = "$(cat kept)" ]
    git --git-dir=hub.vmscm/git update-ref refs/notes/comments "$(cat kept)"
    vmscm -C pat fetch -q'

check 'a machine is no tag object, on either side; a light tag is a tag' '
    vmscm init -q kim
    vmscm -C kim checkin -q one "$PWD/one.raw" -m one
    vmscm -C kim tag -q one v1
    vmscm -C kim clone -q one fine
    vmscm init -q --bare strict.vmscm
    git=kim/.vmscm/git
    git --git-dir=$git tag one/light "$(tip kim one)"
    git --git-dir=$git rev-parse refs/tags/one/v1 >$git/refs/heads/odd
    ! vmscm -C kim push "$PWD/strict.vmscm" --all --tags >said
    grep "^odd  refused .*no machine can be$" said
    [ "$(vmscm -C strict.vmscm list --json | jq -r ".[].machine" | sort | tr "\n" " ")" = "fine one " ]
    vmscm -C strict.vmscm tag -l one | grep one:light
    cp $git/refs/heads/odd strict.vmscm/git/refs/heads/odd
    rm $git/refs/heads/odd
    vmscm -C kim remote add origin ../strict.vmscm
    vmscm -C strict.vmscm clone -q one later
    ! vmscm -C kim fetch >said
    grep "^odd  refused .*no machine can be$" said
    vmscm -C kim cat origin/later | cmp - one.raw
    rm strict.vmscm/git/refs/heads/odd'

# The names that a repository has.
names() { vmscm -C "$1" list --json | jq -r '.[].machine' | sort | tr '\n' ' '; }
check 'names that cannot be beside each other' '
    vmscm init -q --bare names.vmscm
    vmscm init -q sue
    vmscm -C sue checkin -q aaa "$PWD/one.raw" -m one
    vmscm -C sue clone -q aaa web/sub
    vmscm -C names.vmscm checkin -q web "$PWD/two.raw" -m two
    vmscm -C sue remote add origin ../names.vmscm
    ! vmscm -C sue push --atomic --all origin >said
    grep "^web/sub  refused .* cannot be beside machine web$" said
    [ "$(names names.vmscm)" = "web " ]
    ! vmscm -C sue push -q --all origin 2>told
    grep "^vmscm: web/sub: cannot be beside machine web$" told
    grep "^hint: of two names" told
    [ "$(names names.vmscm)" = "aaa web " ]'
check 'nor is anything noted of what is refused' '
    vmscm -C sue checkin -q web/sub "$PWD/two.raw" -m two
    vmscm -C sue checkin -q web/sub "$PWD/three.raw" -m three
    vmscm -C sue prune -q --keep-last 1 web/sub
    vmscm -C sue clone -q aaa bbb
    ! vmscm -C sue push -q origin bbb web/sub
    [ "$(names names.vmscm)" = "aaa bbb web " ]
    ! git --git-dir=names.vmscm/git rev-parse -q --verify refs/notes/pruned'
check 'of which one goes' '
    vmscm -C sue rm -q bbb
    vmscm -C sue fetch -q
    vmscm -C sue push --atomic --prune --all origin
    [ "$(names names.vmscm)" = "aaa web/sub " ]
    vmscm -C names.vmscm cat web/sub | cmp - three.raw
    vmscm -C sue clone -q web/sub other
    vmscm -C sue rm -q web/sub
    vmscm -C sue clone -q other web
    vmscm -C sue push -q --prune --all origin
    [ "$(names names.vmscm)" = "aaa other web " ]'
check 'what is remembered follows' '
    vmscm clone -q ./names.vmscm kit
    vmscm -C sue clone -q web spare
    vmscm -C sue rm -q web
    vmscm -C sue clone -q spare web/prod
    vmscm -C sue push -q --prune --all origin
    ! vmscm -C kit fetch -q 2>told
    grep "^hint: --prune lets go" told
    vmscm -C kit fetch -q --prune
    vmscm -C kit cat origin/web/prod | cmp - three.raw'
check 'all or nothing, even if the last of them fails' '
    vmscm -C sue comment -q aaa -m "by sue"
    vmscm -C sue push -q origin aaa
    cp -r sue tom
    odd tom/.vmscm/git
    vmscm -C tom checkin -q aaa "$PWD/two.raw" -m more
    vmscm -C tom clone -q aaa fresh
    vmscm -C tom rm -q spare
    git --git-dir=names.vmscm/git for-each-ref >before
    ! vmscm -C tom push --atomic --prune --all origin >said 2>told
    grep "^fresh  refused .*not done, since another was not" said
    grep "^spare  refused .*not done, since another was not" said
    grep "comments were not merged" told
    git --git-dir=names.vmscm/git for-each-ref | cmp - before
    rm -r tom'

check 'what is pruned here goes without its data, and is pruned there' '
    vmscm init -q eve
    for i in one two three; do vmscm -C eve checkin -q db "$PWD/$i.raw" -m $i; done
    vmscm -C eve prune -q --keep-last 1 db
    vmscm -C eve gc -q --grace 0
    vmscm init -q --bare far.vmscm
    vmscm -C eve push -q "$PWD/far.vmscm" db
    vmscm -C far.vmscm cat db | cmp - three.raw
    ! vmscm -C far.vmscm cat db~1 >/dev/null 2>&1
    vmscm -C far.vmscm fsck --full -q'
check 'and comes back when another has it' '
    vmscm init -q eva
    cp three.raw base.raw
    vmscm -C eva remote add origin ../far.vmscm
    vmscm -C eva fetch -q
    vmscm -C eva fsck --full -q'
check_fails 1 'what has no data is not pushed by name' '
    vmscm -C eva pull -q origin db
    vmscm -C eva clone db~1 old' 'pruned'

check 'a revision that was pruned here and is a machine there comes with its data' '
    vmscm init -q --bare origin.vmscm
    cp one.raw own.raw
    noise 4000000 11 | put own.raw 6000000
    for i in one own three; do vmscm -C origin.vmscm checkin -q db "$PWD/$i.raw" -m $i; done
    vmscm clone -q ./origin.vmscm thrifty
    vmscm -C thrifty prune -q --keep-last 1 db
    vmscm -C thrifty gc -q --grace 0
    ! vmscm -C thrifty cat db~1 >/dev/null
    vmscm -C origin.vmscm clone -q db~1 old
    vmscm -C thrifty fetch --json >said
    [ "$(figure said round_trips)" -le 5 ]
    vmscm -C thrifty cat origin/old | cmp - own.raw
    vmscm -C thrifty cat db~1 | cmp - own.raw
    ! vmscm -C thrifty cat db~2 >/dev/null
    vmscm -C thrifty fsck --full -q
    vmscm -C thrifty fetch | grep "^nothing to be fetched"'
check 'and goes with it, where it was pruned there' '
    vmscm clone -q --bare ./origin.vmscm hub2.vmscm
    vmscm -C hub2.vmscm rm -q old
    vmscm -C hub2.vmscm remote remove origin
    vmscm -C hub2.vmscm prune -q --keep-last 1 db
    vmscm -C hub2.vmscm gc -q --grace 0
    ! vmscm -C hub2.vmscm cat db~1 >/dev/null
    vmscm -C origin.vmscm push --json "$PWD/hub2.vmscm" old >said
    [ "$(figure said round_trips)" -le 5 ]
    vmscm -C hub2.vmscm cat old | cmp - own.raw
    ! vmscm -C hub2.vmscm cat db~2 >/dev/null
    vmscm -C hub2.vmscm fsck --full -q'

check 'what was pruned there and let go of comes back whole with a push' '
    vmscm init -q full
    for i in one two three; do vmscm -C full checkin -q db "$PWD/$i.raw" -m $i; done
    vmscm init -q --bare again.vmscm
    vmscm -C full push -q "$PWD/again.vmscm" db
    vmscm -C again.vmscm prune -q --keep-last 1 db
    vmscm -C again.vmscm rm -q db
    vmscm -C again.vmscm gc -q --grace 0
    vmscm -C full push -q "$PWD/again.vmscm" db
    vmscm -C again.vmscm gc -q --grace 0
    vmscm -C again.vmscm cat db~1 | cmp - two.raw
    vmscm -C again.vmscm cat db~2 | cmp - one.raw
    vmscm -C again.vmscm fsck --full -q'

check 'a chunk stored against others goes with them' '
    vmscm init -q deltas
    cp one.raw d.raw
    vmscm -C deltas checkin -q web "$PWD/d.raw" -m base
    for i in 1 2 3 4 5 6 7 8; do
        noise 100 $i | put d.raw $((2000000 + i * 90000))
    done
    vmscm -C deltas checkin -q web "$PWD/d.raw" -m changed
    vmscm clone -q ./deltas all
    vmscm -C all cat web | cmp - d.raw
    vmscm -C all fsck --full -q
    before=$(stored all/.vmscm)
    noise 100 9 | put d.raw 2000000
    vmscm -C deltas checkin -q web "$PWD/d.raw" -m "changed again"
    vmscm -C all pull --json >said
    [ "$(figure said received)" -le $((($(stored all/.vmscm) - before) * 102 / 100 + 65536)) ]
    vmscm -C all cat web | cmp - d.raw
    vmscm -C all fsck --full -q'
check 'nor does a receiver that has lost the base take it' '
    vmscm init -q --bare thin.vmscm
    vmscm -C deltas clone -q web~2 first
    vmscm -C deltas push -q "$PWD/thin.vmscm" first
    vmscm -C thin.vmscm checkin -q first "$PWD/d.raw" -m other
    vmscm -C thin.vmscm prune -q --keep-last 1 first
    vmscm -C thin.vmscm gc -q --grace 0
    vmscm -C deltas push --json "$PWD/thin.vmscm" web >said
    [ "$(figure said round_trips)" -le 5 ]
    vmscm -C thin.vmscm cat web | cmp - d.raw
    vmscm -C thin.vmscm fsck --full -q'

check 'a limit is kept to' '
    vmscm init -q --bare slow.vmscm
    begin=$(date +%s%N)
    vmscm -C ann push -q --limit=6M "$PWD/slow.vmscm" web
    took=$((($(date +%s%N) - begin) / 1000000))
    bytes=$(stored slow.vmscm)
    [ $took -ge $((bytes * 1000 / 6291456 * 8 / 10)) ]'

check 'gc leaves alone what is coming, and removes what was left' '
    vmscm init -q --bare big.vmscm
    mkdir -p big.vmscm/quarantine/from-live/packs big.vmscm/quarantine/from-dead/packs
    touch big.vmscm/quarantine/from-live/lock big.vmscm/quarantine/from-dead/lock
    flock big.vmscm/quarantine/from-live/lock vmscm -C big.vmscm gc -q
    [ -d big.vmscm/quarantine/from-live ]
    [ ! -d big.vmscm/quarantine/from-dead ]'

check 'history is whole to plain git' '
    for who in ann/.vmscm ben/.vmscm hub.vmscm; do
        git --git-dir=$who/git fsck --strict --full --no-dangling --no-progress
    done'

check 'who one is may be known to git alone' '
    mkdir plain
    printf "[user]\n\tname = G\n\temail = g@example.com\n" >plain/.gitconfig
    vmscm init -q gits
    vmscm -C gits remote add origin ../gits-hub.vmscm
    vmscm init -q --bare gits-hub.vmscm
    (
        export HOME=$PWD/plain XDG_CONFIG_HOME=$PWD/plain/.config
        vmscm -C gits checkin -q --inspect=no web "$PWD/one.raw" -m m
        vmscm -C gits push -q origin web 2>err
    )
    cat err
    [ ! -s err ]
    [ "$(vmscm -C gits-hub.vmscm log --json web | jq -r ".[0].author.email")" = g@example.com ]
    [ "$(git -C gits/.vmscm/git rev-parse refs/remotes/origin/web)" = "$(tip gits web)" ]'

done_testing
