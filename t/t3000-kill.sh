#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Commands that are killed at each of the points at which they change files: nothing acknowledged is
# lost, and running them again succeeds.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
[ -e "$VMSCM_BUILD/durability/shim.so" ] || skip_all "the shim was not built"

case ${VMSCM_TEST_VARIANT:-default} in
durability) points= ;;
quick) points='--distinct --every 15' ;;
asan) points='--distinct --every 75' ;;
*) points='--distinct --every 6' ;;
esac

check 'the shim sees every call that changes a file' '
    vmscm init --bare r.vmscm
    vmscm -C r.vmscm config core.jobs 1
    noise 300000 >disk.raw
    calls=openat,creat,write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2
    calls=$calls,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,fallocate
    calls=$calls,copy_file_range,symlink,symlinkat
    for command in "checkin web $PWD/disk.raw -m m" "tag web a" "comment web -m m" "clone web copy" \
        "rename copy other" "rm other" "config core.compression 4"; do
        rm -f log trace
        strace -f -y -o trace -e "trace=$calls" -E "LD_PRELOAD=$VMSCM_BUILD/durability/shim.so" \
            -E "VMSCM_SHIM_ROOT=$PWD/r.vmscm" -E VMSCM_SHIM_MODE=count -E "VMSCM_SHIM_LOG=$PWD/log" \
            -E "ASAN_OPTIONS=exitcode=99:detect_leaks=0:verify_asan_link_order=0" \
            vmscm -C r.vmscm $command
        sed -i "s/AT_FDCWD<[^>]*>//g" trace
        grep -c -e "openat(.*r\.vmscm.*O_\(WRONLY\|RDWR\|CREAT\)" \
            -e "^[0-9]* *\(write\|pwrite64\|fsync\|ftruncate\)([0-9]*<[^>]*r\.vmscm" \
            -e "^[0-9]* *\(rename\|link\|unlink\|mkdir\|rmdir\)[a-z0-9]*(.*r\.vmscm" \
            trace >seen || true
        grep -vc -e " close " -e " utimes " log >counted || true
        [ "$(cat seen)" -gt 5 ]
        cmp seen counted || fail "$command: $(cat log)"
    done'
# shellcheck disable=SC2086 # a list of words
check 'killed at every point' '
    "$TEST_SOURCE/t/durability/kill.py" $points >said || { cat said; exit 1; }'
sed 's/^#*/# /' said
done_testing
