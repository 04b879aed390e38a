#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What garbage collection may rely on: no git object is written without the commit lock, and no ref
# is made to a revision of which parts may be gone.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

vmscm init >/dev/null 2>&1
# Packs are looked into here; nobody else is to move them.
vmscm config gc.auto false
id() { vmscm show --json "$1" | jq -r .id; }
objects() { find .vmscm/git/objects -type f | sort; }

# locked COMMAND: run it, and meanwhile hold the commit lock as gc does, until it waits for that
locked() {
    local pid before
    before=$(objects)
    (
        flock -x 7
        "$@" 7>&- >said 2>&1 &
        echo $! >pid
        pid=$!
        until grep -q "^[0-9]*: -> FLOCK .* $pid " /proc/locks; do
            kill -0 $pid || exit 1
            sleep 0.02
        done
        [ "$(objects)" = "$before" ]
    ) 7<>.vmscm/locks/commit
    pid=$(cat pid)
    # It is no child of this shell.
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}

noise 600000 1 >disk.raw
vmscm checkin web disk.raw -m one -q
noise 600000 2 >disk2.raw
check -p flock 'check-in writes no git object before it has the lock' '
    locked vmscm checkin web disk2.raw -m two -q
    [ "$(vmscm log --json web | jq length)" = 2 ]'
check -p flock 'nor does a tag' '
    locked vmscm tag web golden -m words
    [ "$(id web:golden)" = "$(id web)" ]'
check -p flock 'nor a comment' '
    locked vmscm comment web -m words
    [ "$(vmscm show --json web | jq ".comments | length")" = 1 ]'
check -p flock 'a clone, a new name and a removal wait for it' '
    locked vmscm clone web other
    locked vmscm rename other third
    locked vmscm rm third
    [ "$(vmscm list --json | jq length)" = 1 ]'

vmscm clone web lost >/dev/null
noise 600000 3 >disk3.raw
vmscm checkin lost disk3.raw -m three -q
gone=$(id lost)
vmscm rm lost >/dev/null
check 'a removed machine comes back, whole' '
    vmscm clone $gone back
    vmscm cat back | cmp - disk3.raw
    vmscm clone back~1 older
    [ "$(id older)" = "$(id web)" ]
    vmscm rm back older'
check 'also as parent of a check-in' '
    mkdir c
    vmscm clone $gone back
    vmscm checkout back c/d
    vmscm rm back
    noise 4096 9 | put "$(find c/d -type f -size +500k)" 8192
    vmscm -C c/d checkin --onto again -m four
    [ "$(vmscm log --json again | jq -r ".[1].id")" = $gone ]
    vmscm rm again
    rm -rf c'

cp -r .vmscm damaged.vmscm
no_fsck damaged.vmscm
check_fails 1 'not one whose data is gone' '
    export VMSCM_DIR=$PWD/damaged.vmscm
    vmscm cat $gone >/dev/null
    for pack in damaged.vmscm/packs/*; do
        mv $pack hidden
        vmscm cat web >/dev/null 2>&1 && ! vmscm cat $gone >/dev/null 2>&1 && break
        mv hidden $pack
    done
    [ -e hidden ]
    vmscm clone web fine
    vmscm clone $gone back' 'in no machine.s history, and gc has removed parts of it'
check_fails 1 'not one whose history is gone' '
    export VMSCM_DIR=$PWD/.vmscm
    noise 600000 4 >disk4.raw
    vmscm checkin short disk4.raw -m a -q
    first=$(id short)
    vmscm checkin short disk.raw -m b -q
    second=$(id short)
    vmscm rm short
    rm -f .vmscm/git/objects/${first%${first#??}}/${first#??}
    vmscm clone $second back' 'gc has removed parts of it'
check 'which harms nobody else' '
    vmscm clone web~1 older
    vmscm fsck'

done_testing
