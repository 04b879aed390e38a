#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# What differs in the files of two revisions, with libguestfs.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-appliance.sh
. "$TEST_SOURCE/t/lib-appliance.sh"

appliance_needs jq

check 'two revisions of a guest' '
    mkdir -p root/etc root/bin root/srv
    echo "/dev/sda / ext4 defaults 0 1" >root/etc/fstab
    printf "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n" >root/etc/os-release
    printf "one\ntwo\nthree" >root/etc/conf
    noise 200000 1 >root/srv/same
    noise 5000 2 >root/srv/content
    noise 5000 3 >root/srv/longer
    echo a >root/srv/mode
    echo b >root/srv/owner
    echo c >root/srv/gone
    echo d >root/srv/kind
    printf "e" >"root/srv/$(printf "odd\033[31m\nname")"
    ln -s here root/srv/link
    truncate -s 32M guest.raw
    mke2fs -q -t ext4 -d root guest.raw
    vmscm checkin guest vda=guest.raw -m first
    printf "one\nTWO\nthree\n" >root/etc/conf
    noise 5000 4 >root/srv/content
    echo more >>root/srv/longer
    chmod 4750 root/srv/mode
    chown 12:34 root/srv/owner
    rm root/srv/gone root/srv/kind root/srv/odd*
    mkdir root/srv/kind
    ln -sfn there root/srv/link
    touch root/srv/same
    echo new >root/srv/a-new
    rm guest.raw
    truncate -s 32M guest.raw
    mke2fs -q -t ext4 -d root guest.raw
    vmscm checkin guest vda=guest.raw -m second'

check 'its files: added, removed, changed, other attributes; what was only touched is the same' '
    rc=0
    vmscm diff --files --json guest~1 guest >out.json || rc=$?
    [ $rc = 1 ]
    jq -r ".[] | [.change, (.path | @json), .before.size // \"-\", .after.size // \"-\"] | map(tostring) | join(\" \")" out.json >got
    cat >want <<\END
changed "/etc/conf" 13 14
added "/srv/a-new" - 4
changed "/srv/content" 5000 5000
removed "/srv/gone" 2 -
changed "/srv/kind" 2 1024
changed "/srv/link" 4 5
changed "/srv/longer" 5000 5005
attributes "/srv/mode" 2 2
removed "/srv/odd\u001b[31m\nname" 1 -
attributes "/srv/owner" 2 2
END
    diff want got
    jq -e ".[] | select(.path == \"/srv/mode\") | .before.mode == 33188 and .after.mode == 35304" out.json
    jq -e ".[] | select(.path == \"/srv/owner\") | .after.uid == 12 and .after.gid == 34" out.json
    jq -e ".[] | select(.path == \"/srv/link\") | .before.target == \"here\" and .after.target == \"there\"" out.json'

check 'as a table, names escaped' '
    rc=0
    vmscm diff --files --device=vda guest~1 guest >out || rc=$?
    [ $rc = 1 ]
    grep -e "^attributes  *-rw-r--r-- -> -rwsr-x---  *0:0  *2  */srv/mode$" out
    grep -e "^changed  *-rw-r--r-- -> drwxr-xr-x  *0:0  *2 -> -  */srv/kind$" out
    grep -F "/srv/odd\\x1b[31m\\nname" out
    grep "^files: 1 added, 2 removed, 5 changed, 2 attributes$" out'

check 'what differs in one of them' '
    rc=0
    vmscm diff --content=/etc/conf guest~1 guest >out || rc=$?
    [ $rc = 1 ]
    printf "one\ntwo\nthree" >before
    diff -u before root/etc/conf | sed -n "3,\$p" >want
    sed -n "3,\$p" out | cmp - want
    head -n 2 out | grep -c ":/etc/conf$" | grep -x 2'

check 'the same disks are not looked into' '
    vmscm clone -q guest copy
    LIBGUESTFS_PATH=/nowhere vmscm diff --files guest copy >out
    [ ! -s out ]'

check_fails 2 'one of these' 'vmscm diff --files --ranges guest~1 guest' 'exclude each other'
check_fails 2 'no path' 'vmscm diff --content=etc/conf guest~1 guest' 'begins with a slash'
check_fails 2 'no files' 'vmscm diff --device=vda guest~1 guest' '--device'

done_testing
