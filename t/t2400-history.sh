#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# valgrind
# History: revisions, names for them, tags, comments, clones; and plain git's view of all that.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

vmscm init >/dev/null 2>&1
git() { command git --git-dir=.vmscm/git "$@"; }
id() { vmscm show --json "$1" | jq -r .id; }

check 'five revisions' '
    for i in 1 2 3 4 5; do
        noise 300000 $i >disk.raw
        vmscm checkin web disk.raw -m "revision $i" -q --date "@170000000$i +0100"
    done'
check 'plain git reads them' '
    [ "$(git log --format=%s web | tr "\n" ,)" = "revision 5,revision 4,revision 3,revision 2,revision 1," ]
    [ "$(git rev-parse web)" = "$(id web)" ]
    git fsck --strict'
check 'plain git finds a history without being told where to start' '
    [ "$(git log --format=%s | wc -l)" = 5 ]
    [ "$(git symbolic-ref HEAD)" = refs/heads/web ]'
check 'log agrees with it' '
    [ "$(vmscm log --json web | jq -r ".[].id")" = "$(git log --format=%H web)" ]
    vmscm log web >text
    grep -q "revision 3" text
    [ "$(vmscm log -n 2 --json web | jq "length")" = 2 ]'

check 'lines in a form of its own' '
    vmscm tag web~2 old -m old
    [ "$(vmscm log --format="%(id) %(date) %(machine)" web)" = "$(vmscm log --json web | jq -r ".[] | .id + \" \" + .time + \" \" + .machine")" ]
    [ "$(vmscm log -n 1 --format="%(subject)|%(author)|%(names)|%(inside)|%(pruned)|100%%|%%(id)")" = \
        "revision 5|Test User <test@example.com>|web|||100%|%(id)" ]
    [ "$(vmscm log --format="%(subject)" | tr "\n" ,)" = "revision 5,revision 4,revision 3,revision 2,revision 1," ]
    [ "$(vmscm show --format="%(names) %(subject)" web:old)" = "web:old revision 3" ]
    vmscm tag -d web:old
    [ "$(vmscm list --format="%(machine) %(id) %(disks) %(size) %(subject)|%(pruned)%(damage)")" = "web $(git rev-parse web) 1 300000 revision 5|" ]
    [ "$(vmscm list --format="%(date)")" = "$(vmscm list --json | jq -r ".[].time")" ]
    echo "{\"schema\": 1, \"date\": \"2026-11-30T12:00:00Z\", \"status\": \"ok\", \"systems\": [{\"product\": \"Plan 9\"}]}" |
        vmscm inspect --from=- web
    [ "$(vmscm list --format="%(inside)"; vmscm log -n 1 --format="%(inside)"; vmscm show --format="%(inside)" web)" = "Plan 9
Plan 9
Plan 9" ]'
for command in list log 'show web'; do
    check_fails 2 "$command: a field that is none" "vmscm $command --format='%(nothing)'" '"%(nothing)": no field'
    check_fails 2 "$command: no two forms" "vmscm $command --json --format='%(id)'" 'not together with --json'
done
check_fails 2 'a percent sign alone' 'vmscm log --format="100%"' 'no field and no'
check_fails 2 'list: nor a third' 'vmscm list -l --format="%(id)"' 'not together with --long'
check_fails 2 'log: nor a third' 'vmscm log --oneline --format="%(id)"' 'not together with --oneline'
check_fails 1 'list: nothing fits' 'vmscm list --format="%(id)" "x*"'

# --- who and when

check 'the author is the one of the configuration' '
    [ "$(git log -1 --format="%an <%ae>" web)" = "Test User <test@example.com>" ]'
check 'the date given is the one recorded' '[ "$(git log -1 --format=%ad --date=raw web)" = "1700000005 +0100" ]'
check '--author' '
    noise 300000 6 >disk.raw
    vmscm checkin web disk.raw -m "revision 6" --author "Grüße <a@example.org>" --date "2024-02-29 12:30:00 +0530"
    [ "$(git log -1 --format="%an <%ae>" web)" = "Grüße <a@example.org>" ]
    [ "$(git log -1 --format=%ai web)" = "2024-02-29 12:30:00 +0530" ]'
check 'the repository'"'"'s configuration comes before the user'"'"'s, and git'"'"'s after' '
    vmscm init own
    printf "[user]\n\tname = From Git\n\temail = git@example.com\n" >"$HOME/.gitconfig"
    vmscm -C own checkin m "$PWD/disk.raw" -m x
    [ "$(command git --git-dir=own/.vmscm/git log -1 --format=%an m)" = "Test User" ]
    vmscm -C own config user.name "This One"
    noise 1000 3 >small.raw
    vmscm -C own checkin m "$PWD/small.raw" -m x
    [ "$(command git --git-dir=own/.vmscm/git log -1 --format=%an m)" = "This One" ]
    XDG_CONFIG_HOME=$PWD/none vmscm -C own checkin --inspect=no n "$PWD/disk.raw" -m x
    [ "$(command git --git-dir=own/.vmscm/git log -1 --format=%ae n)" = git@example.com ]'
for author in 'nobody' '<>' 'a <b' $'a\nb <c@d>' 'a <b@c> d'; do
    check_fails 2 "author $(printf %q "$author")" 'vmscm checkin web disk.raw -m x --author "$author"'
done
for date in '' yesterday 2024-13-01 2024-02-30 '2024-01-01 25:00' '@x' '@99999999999999999999' \
    '2024-01-01 10:00 +9999'; do
    check_fails 2 "date '$date'" 'vmscm checkin web disk.raw -m x --date "$date"'
done

# --- revision grammar

check 'MACHINE, ~N, ^ and @{N}' '
    [ "$(id web~0)" = "$(git rev-parse web)" ]
    [ "$(id web~)" = "$(git rev-parse web~1)" ]
    [ "$(id web~3)" = "$(git rev-parse web~3)" ]
    [ "$(id web^)" = "$(git rev-parse web^)" ]
    [ "$(id web^^)" = "$(git rev-parse web~2)" ]
    [ "$(id web~1^)" = "$(git rev-parse web~2)" ]
    [ "$(id "web@{0}")" = "$(git rev-parse web)" ]
    [ "$(id "web@{2}")" = "$(git rev-parse "web@{2}")" ]'
check 'ids and their prefixes' '
    full=$(git rev-parse web~2)
    [ "$(id "$full")" = "$full" ]
    [ "$(id "$(echo "$full" | cut -c 1-12)")" = "$full" ]
    [ "$(id "$full~1")" = "$(git rev-parse web~3)" ]'
check_fails 1 'before the first revision' 'vmscm show web~99' 'web~99'
check_fails 1 'an id that is not there' 'vmscm show 0123456789'
check_fails 1 'an unknown machine: the nearest names' 'vmscm show wbe' '^hint: .*web'
check_fails 1 'an unknown tag: the tags there are' 'vmscm tag web golden && vmscm show web:godlen' '^hint: .*golden'
for spec in 'web~x' 'web@{' 'web@{99999999999999999999}' 'web~99999999999999999999' '~1' ':x' 'web:' ''; do
    check "'$spec' is no revision" '
        rc=0
        vmscm show -- "$spec" 2>said || rc=$?
        case $rc in 1 | 2) ;; *) fail "exit status $rc" ;; esac
        [ "$(grep -c "^vmscm: " said)" = 1 ]'
done
check 'an ambiguous prefix: the candidates' '
    # By birthday, seven hundred commits have two that share their first four digits.
    tree=$(git rev-parse web^{tree})
    for i in $(seq 1500); do
        printf "commit refs/heads/many\ncommitter x <x@example.com> %s +0000\ndata 1\nx\n" $((1600000000 + i))
        [ $i != 1 ] || printf "M 040000 %s \n\n" "$tree"
    done | git fast-import --quiet
    prefix=$(git rev-list many | cut -c 1-4 | sort | uniq -d | head -n 1)
    [ -n "$prefix" ]
    rc=0
    vmscm show "$prefix" 2>said || rc=$?
    [ $rc = 2 ]
    for candidate in $(git rev-list many | grep "^$prefix" | cut -c 1-7); do
        grep -q "^hint: .*$candidate" said
    done
    git update-ref -d refs/heads/many'

# --- tags

check 'a tag belongs to its machine' '
    vmscm tag web~2 released -m "sent to customers"
    [ "$(id web:released)" = "$(git rev-parse web~2)" ]
    [ "$(git rev-parse refs/tags/web/released^{commit})" = "$(git rev-parse web~2)" ]
    [ "$(git cat-file -t refs/tags/web/released)" = tag ]
    vmscm clone web other
    vmscm tag other released
    [ "$(id other:released)" = "$(git rev-parse web)" ]'
check_fails 3 'a tag is not moved silently' 'vmscm tag web released' 'released'
check 'but with --force' '
    vmscm tag --force web~1 released
    [ "$(id web:released)" = "$(git rev-parse web~1)" ]'
check 'tags are listed' '
    [ "$(vmscm tag -l --json web | jq -r ".[].tag" | sort | tr "\n" ,)" = golden,released, ]
    vmscm tag -l >all
    grep -q "other:released\|other.*released" all'
check 'web:tag~1' '[ "$(id web:released~1)" = "$(git rev-parse web~2)" ]'
check 'a tag is removed' '
    vmscm tag -d web:golden
    ! vmscm show web:golden 2>said'
check_fails 1 'only once' 'vmscm tag -d web:golden' 'golden'

# --- comments

check 'comments are kept in order, by anyone' '
    vmscm comment web~1 -m "does not boot with 1 GiB"
    vmscm comment web~1 -m "fixed in the next
with two lines" --author "Another <o@example.com>"
    vmscm show --json web~1 >shown
    [ "$(jq ".comments | length" shown)" = 2 ]
    [ "$(jq -r ".comments[0].text" shown)" = "does not boot with 1 GiB" ]
    [ "$(jq -r ".comments[1].author.name // .comments[1].author" shown | cut -d" " -f1)" = Another ]
    [ "$(jq -r ".comments[1].text" shown | wc -l)" = 2 ]
    git notes --ref comments show web~1
    vmscm show web~1 >text
    grep -q "does not boot" text'
check 'the revision itself is the same' '[ "$(id web~1)" = "$(git rev-parse web~1)" ]'
check_fails 2 'an empty comment' 'vmscm comment web -m "  "'

# --- clone, rename, rm

check 'a clone has the history, and costs nothing' '
    before=$(stored .vmscm)
    vmscm clone web~1 qa/copy
    [ "$(id qa/copy)" = "$(id web~1)" ]
    [ "$(id qa/copy~2)" = "$(id web~3)" ]
    [ "$(stored .vmscm)" = "$before" ]'
check_fails 3 'not onto a name that is taken' 'vmscm clone web qa/copy' 'qa/copy'
check_fails 3 'nor below a name that is a machine' 'vmscm clone web web/inner' 'web'
check 'rename takes the tags along' '
    before=$(id web)
    vmscm rename web server
    [ "$(id server)" = "$before" ]
    [ "$(id server:released)" = "$(git rev-parse server~1)" ]
    ! vmscm show web 2>said
    [ "$(id "server@{2}")" = "$(git rev-parse "server@{2}")" ]'
check_fails 3 'rename does not overwrite' 'vmscm rename server other' 'other'
check_fails 1 'rename of nothing' 'vmscm rename nothing something' 'nothing'
check 'rm removes a machine and its tags, and says how to get it back' '
    before=$(id other)
    vmscm rm other >said 2>&1
    grep -q "$(echo "$before" | cut -c 1-7)" said
    ! vmscm show other 2>err
    [ "$(vmscm tag -l --json | jq "[.[] | select(.machine == \"other\")] | length")" = 0 ]
    vmscm clone "$before" other
    [ "$(id other)" = "$before" ]'
check_fails 1 'rm of nothing' 'vmscm rm nothing' 'nothing'
check 'list shows every machine; a pattern selects' '
    [ "$(vmscm list --json | jq -r ".[].machine" | tr "\n" ,)" = other,qa/copy,server, ]
    [ "$(vmscm list --json "qa/*" | jq -r ".[].machine")" = qa/copy ]'

# --- what is printed

check '--json is JSON wherever data is printed' '
    for command in "list" "log server" "show server" "tag -l" "stats" "config -l" "fsck" "version"; do
        # shellcheck disable=SC2086 # words
        vmscm $command --json >out.json || fail "$command"
        jq -e . out.json >/dev/null || fail "$command"
    done'
check 'output to a pipe has no colour; --color=always has' '
    ! vmscm log server | grep -q "$(printf "\033")"
    vmscm log --color=always server | grep -q "$(printf "\033")"'
check '-q prints nothing when all is well' '
    noise 5000 50 >small.raw
    [ -z "$(vmscm checkin quiet small.raw -q -m x 2>&1)" ]'
check 'the closing line of a check-in says what it cost' '
    noise 5000 51 >small.raw
    vmscm checkin quiet small.raw -m x >said 2>&1
    grep -q "quiet .*read.*new.*stored" said'
check 'VMSCM_DIR and -C name the repository' '
    mkdir -p elsewhere
    cd elsewhere
    VMSCM_DIR=../.vmscm vmscm show server
    cd /
    vmscm -C "$TEST_DIR/work" show server'
check 'vmscm-foo on the PATH is vmscm foo' '
    mkdir -p bin
    printf "#!/bin/sh\necho foo \"\$@\"\n" >bin/vmscm-foo
    chmod 755 bin/vmscm-foo
    [ "$(PATH=$PWD/bin:$PATH vmscm foo a b)" = "foo a b" ]'
check_fails 3 'a write error on standard output is an error' 'vmscm list >/dev/full' 'No space left'

check 'names are told alike whether refs are files or packed' '
    vmscm log >loose.log
    vmscm list >loose.list
    vmscm tag -l >loose.tags
    grep -q "(.*:.*)" loose.log
    git pack-refs --all
    [ -z "$(find .vmscm/git/refs -type f)" ]
    vmscm log | cmp - loose.log
    vmscm list | cmp - loose.list
    vmscm tag -l | cmp - loose.tags'

done_testing
