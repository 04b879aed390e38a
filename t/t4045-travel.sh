#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# What travels beside machines: notes of inspections and tags as plain git makes them; and what is remembered
# of a remote afterwards.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

noise 300000 1 >one.raw
vmscm init -q --bare hub.vmscm
vmscm init -q ann
vmscm -C ann checkin -q web "$PWD/one.raw" -m one
vmscm -C ann remote add origin ../hub.vmscm
vmscm -C ann push -q origin web
vmscm clone -q ./hub.vmscm ben
hub() { git --git-dir=hub.vmscm/git "$@"; }
in_git() { # REPOSITORY ARGUMENT...: plain git there
    local dir=$1/.vmscm/git
    shift
    git --git-dir="$dir" -c user.name=x -c user.email=x@example.org "$@"
}

check 'notes of inspections of both are merged' '
    in_git ann notes --ref=inspection append -m "{\"by\":\"ann\"}" refs/heads/web
    in_git ben notes --ref=inspection append -m "{\"by\":\"ben\"}" refs/heads/web
    vmscm -C ann push -q
    [ "$(hub rev-parse refs/notes/inspection)" = "$(in_git ann rev-parse refs/notes/inspection)" ]
    vmscm -C ben push --json >said
    jq -e .comments said
    hub notes --ref=inspection show refs/heads/web >notes
    grep "by.*ann" notes
    grep "by.*ben" notes
    vmscm -C ann fetch -q
    [ "$(hub rev-parse refs/notes/inspection)" = "$(in_git ann rev-parse refs/notes/inspection)" ]
    vmscm -C ann push --json | jq -e ".comments == false"'
check 'beside comments, in one push' '
    in_git ann notes --ref=inspection append -m "{\"by\":\"eve\"}" refs/heads/web
    vmscm -C ann comment -q web -m "a remark"
    vmscm -C ann push -q
    for kind in comments inspection; do
        [ "$(hub rev-parse refs/notes/$kind)" = "$(in_git ann rev-parse refs/notes/$kind)" ]
    done'
check 'a clone has them' '
    vmscm clone -q ./hub.vmscm pat
    in_git pat notes --ref=inspection show refs/heads/web | grep eve'

check 'a tag without an object of its own travels as it is' '
    in_git ann update-ref refs/tags/web/light refs/heads/web
    vmscm -C ann push -q origin web:light
    [ "$(hub rev-parse refs/tags/web/light)" = "$(in_git ann rev-parse refs/heads/web)" ]
    vmscm -C ben pull -q
    [ "$(in_git ben cat-file -t refs/tags/web/light)" = commit ]
    vmscm -C ben cat web:light | cmp - one.raw
    vmscm -C ben tag -l web | grep light
    vmscm -C ben show web:light
    vmscm -C ben tag -d web:light'
check_fails 4 'and does not move unless that is asked for' '
    noise 300000 2 >two.raw
    vmscm -C ann checkin -q web "$PWD/two.raw" -m two
    in_git ann update-ref refs/tags/web/light refs/heads/web
    vmscm -C ann push -q origin web:light' 'another tag of that name'
check 'then it does' '
    vmscm -C ann push -q --force origin web:light
    [ "$(hub rev-parse refs/tags/web/light)" = "$(in_git ann rev-parse refs/heads/web)" ]'

check 'what is remembered of what is gone there is in nobody'"'"'s way' '
    vmscm -C ann clone -q web qa
    vmscm -C ann push -q origin qa
    vmscm -C hub.vmscm rm -q qa
    vmscm -C ann rename qa other
    vmscm -C ann rename other qa/one
    vmscm -C ann push origin qa/one >out 2>&1
    ! grep -i warning out
    [ "$(in_git ann for-each-ref --format="%(refname)" refs/remotes | tr "\n" " ")" = \
        "refs/remotes/origin/qa/one refs/remotes/origin/web " ]
    vmscm -C hub.vmscm rm -q qa/one
    vmscm -C ann rename qa/one other
    vmscm -C ann rename other qa
    vmscm -C ann tag -q qa v1
    vmscm -C ann push -q --tags origin qa
    in_git ann rev-parse refs/remotes/origin/qa refs/remote-tags/origin/qa/v1'
check 'where it cannot be remembered, the push is done all the same, with a warning' '
    vmscm -C ann clone -q web more
    mv ann/.vmscm/git/refs/remotes/origin kept
    echo odd >ann/.vmscm/git/refs/remotes/origin
    vmscm -C ann push origin more 2>said
    grep "warning: pushed, but what is remembered of origin" said
    hub rev-parse refs/heads/more
    rm ann/.vmscm/git/refs/remotes/origin
    mv kept ann/.vmscm/git/refs/remotes/origin
    vmscm -C ann fetch -q
    [ "$(in_git ann rev-parse refs/remotes/origin/more)" = "$(hub rev-parse refs/heads/more)" ]'

for repo in hub.vmscm ann ben pat; do
    check "$repo is whole" "vmscm -C $repo fsck --full -q"
done
done_testing
