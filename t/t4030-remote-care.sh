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

check_fails 1 'what cannot be put in its place is a failure' '
    vmscm init -q ben
    vmscm -C ben remote add origin ../hub.vmscm
    mkdir -p ben/.vmscm/quarantine/from-dead/packs
    touch ben/.vmscm/quarantine/from-dead/lock
    noise 4096 3 >ben/.vmscm/quarantine/from-dead/packs/pack-00000000000000000000000000000001.vpk
    vmscm -C ben fetch' 'not a pack'
check 'and it is done once that is gone' '
    rm -r ben/.vmscm/packs/pack-00000000000000000000000000000001.vpk ben/.vmscm/quarantine/from-*
    vmscm -C ben fetch | grep "^web  new"
    vmscm -C ben cat origin/web | cmp - one.raw'

check_fails 4 'what an interrupted push left counts as what is sent' '
    vmscm init -q --bare small.vmscm
    vmscm -C small.vmscm config receive.maxSize 100000
    mkdir -p small.vmscm/quarantine/from-dead/packs
    touch small.vmscm/quarantine/from-dead/lock
    cp hub.vmscm/packs/*.vpk small.vmscm/quarantine/from-dead/packs
    vmscm -C ann push "$PWD/small.vmscm" web' 'receive.maxSize'
check 'and nothing of it stays' '[ -z "$(ls small.vmscm/quarantine)" ]'

done_testing
