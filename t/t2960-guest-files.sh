#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Directories and files of a guest, with libguestfs: links that lead out, names that are hostile, what is
# no file.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-appliance.sh
. "$TEST_SOURCE/t/lib-appliance.sh"

appliance_needs jq

check 'a guest' '
    mkdir -p root/etc root/bin root/dev root/srv
    echo "/dev/sda / ext4 defaults 0 1" >root/etc/fstab
    printf "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n" >root/etc/os-release
    echo "of the guest" >root/etc/vmscm-secret
    echo "of the host" >secret
    ln -s "../../../../../../../../../../etc/vmscm-secret" root/srv/up
    ln -s "$PWD/secret" root/srv/host
    noise 3000000 1 >root/srv/big
    chown 12:34 root/srv/big
    chmod 4750 root/srv/big
    touch -d "2026-01-02 03:04:05 Z" root/srv/big
    mkfifo root/srv/pipe
    touch "root/srv/$(printf "a\033[31m\nb")"
    truncate -s 32M guest.raw
    mke2fs -q -t ext4 -d root guest.raw
    vmscm checkin guest vda=guest.raw -m m'

check 'a directory, in a file system; names escaped' '
    vmscm ls --device=vda guest:/srv >out
    grep "^-rwsr-x---  *12  *34  *3000000  *2026-01-02 03:04  *big$" out
    grep "^p" out | grep "pipe$"
    grep "^l.* up -> ../../../../../../../../../../etc/vmscm-secret$" out
    grep -F "a\\x1b[31m\\nb" out
    [ "$(wc -l <out)" = 5 ]'

check 'a file of the operating system, byte for byte' '
    vmscm cat guest:/srv/big >big
    cmp big root/srv/big'

check 'a link that goes up leads to what is in the guest' '
    [ "$(vmscm cat guest:/srv/up)" = "of the guest" ]'

check_fails 1 'a link to a file of the host leads nowhere' 'vmscm cat guest:/srv/host' '/srv/host: no regular file'
check_fails 2 'no path' 'vmscm ls guest' 'not REV:/PATH'
check_fails 2 'no format' 'vmscm cat --format=qcow2 guest:/etc' 'of a disk'
check_fails 2 'no file' 'vmscm cat --device=vda guest:vda' 'of a file'
check_fails 1 'no revision' 'vmscm ls nobody:/' 'nobody'

done_testing
