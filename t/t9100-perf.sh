#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What measures: the bound does the work it says, and t/perf/run says what it could not measure.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

bound=$VMSCM_BUILD/perf/bound
perf=$TEST_SOURCE/t/perf
[ -x "$bound" ] || skip_all "the bound is not built"

# Noise, text and holes; more: the same with another piece of noise.
truncate -s 40000000 one.raw
"$perf/scatter" one.raw 20 150000 seed text
"$perf/scatter" one.raw 5 700000 other
cp --sparse=always one.raw more.raw
"$perf/scatter" more.raw 1 500000 third

check 'scatter gives the same bytes again' '
    truncate -s 40000000 again.raw
    "$perf/scatter" again.raw 20 150000 seed text
    "$perf/scatter" again.raw 5 700000 other
    cmp one.raw again.raw
    rm again.raw'
check 'the bound: all is new, then nothing, then what differs' '
    "$bound" one=one.raw more=more.raw >lines
    cut -d" " -f1,2 lines | tr "\n" ";" | grep -qx "new one;same one;more more;"
    read -r _ _ _ _ read new stored < <(grep "^new" lines)
    [ "$new" -gt 5000000 ] && [ "$new" -le "$read" ] && [ "$stored" -lt "$new" ]
    [ "$(grep "^same" lines | cut -d" " -f5-7)" = "$read 0 0" ]
    read -r _ _ _ _ read new stored < <(grep "^more" lines)
    [ "$new" -ge 490000 ] && [ "$new" -lt 2000000 ]'
check 'the bound stores what a check-in does' '
    vmscm init --bare r
    vmscm -C r checkin -m x m "$PWD/one.raw"
    new=$("$bound" one=one.raw | awk "/^new/ { print \$6 }")
    vmscm -C r stats --json >stats
    cat stats
    [ "$(jq .unique_bytes stats)" = "$new" ]'
for group in 0 4096 262144 8000000; do
    check "the bound gives images back; groups of $group bytes" '
        mkdir out
        "$bound" -g '$group' -j 3 -o out one=one.raw more=more.raw >lines
        cut -d" " -f1,2 lines | tr "\n" ";" | grep -qx "out one;out more;"
        cmp out/one one.raw
        cmp out/more more.raw
        rm out/*
        "$bound" -u -o out one=one.raw
        rmdir out'
done
check 'larger groups compress better' '
    tar -cf source.raw -C "$TEST_SOURCE" lib man
    small=$("$bound" -g 0 one=source.raw | awk "/^new/ { print \$7 }")
    large=$("$bound" -g 1000000 one=source.raw | awk "/^new/ { print \$7 }")
    [ "$large" -lt "$small" ]'
check 'large repositories: generated, checked into, and measured' '
    VMSCM_BUILD=$VMSCM_BUILD "$perf/scale" -w . -n 1 -g 3 -g 12 one.raw >table
    cat table
    [ "$(wc -l <table)" = 16 ]
    [ "$(awk "/all new/ && \$6 > 0 && \$NF > 1" table | wc -l)" = 2 ]
    rc=0; "$perf/scale" -w . -g 99999999 one.raw 2>said || rc=$?
    [ $rc = 3 ] && grep "^scale: .* are needed, .* are free" said'
check 'the bound refuses what it cannot do' '
    for arguments in "" "one.raw" "-g x one=one.raw" "-g 99999999999 one=one.raw" \
        "-j 0 one=one.raw" "-l 20 one=one.raw"; do
        rc=0; "$bound" $arguments || rc=$?
        [ $rc = 2 ]
    done
    rc=0; "$bound" one=none.raw 2>said || rc=$?
    [ $rc = 1 ] && grep "^bound: none.raw: No such file" said'

# A PATH without a peer.
mkdir bin
for tool in sync findmnt mkdir cat; do ln -s "$(command -v $tool)" bin; done
python=$(python3 -c 'import sys; print(sys.executable)')
check 'run measures images of one'\''s own, and says what is not installed' '
    PATH=$PWD/bin "$python" "$perf/run" -f one.raw -f more.raw -n 2 -t bound,vmscm,qemu-img -o figures >table
    cat table
    grep "^vmscm .* | .* | " table
    grep "^bound .* | .* | " table
    grep "^qemu-img  *not installed" table
    grep "^vmscm beside .*stored" table
    grep "^bound, by CPU " table
    jq -e ".figures | map(select(.tool == \"vmscm\" and .step == \"out\")) | length == 4" figures
    jq -e ".figures | map(select(.tool == \"vmscm\" and .step == \"more\" and .seconds > 0 and .cpu > 0 and .memory > 0)) | length == 2" figures
    jq -e ".figures | map(select(.step == \"wrong\")) | length == 0" figures'
check 'the tables can be printed again' '
    "$perf/run" -r figures | cmp - table'
check 'a step that fails is said so' '
    mkdir broken
    printf "#!/bin/sh\ncase \$1 in --version) echo 1 ;; init) ;; *) echo so it is >&2; exit 3 ;; esac\n" >broken/vmscm
    chmod 755 broken/vmscm
    "$perf/run" -b sick=broken -f one.raw -n 1 -t sick -o figures >table 2>said
    grep "^sick  *failed" table
    grep "so it is" said'
check 'a disk that comes back different is found' '
    mkdir liar
    printf "#!/bin/sh\ncase \$3 in checkout) mkdir \"\$6\" && echo >\"\$6/disk\" ;; *) exec vmscm \"\$@\" ;; esac\n" >liar/vmscm
    chmod 755 liar/vmscm
    rc=0; "$perf/run" -b liar=liar -f one.raw -n 1 -t liar >table || rc=$?
    cat table
    [ $rc = 1 ] && grep "^WRONG: .*liar did not give one back" table'
check 'a step that takes too long is ended' '
    mkdir slow
    printf "#!/bin/sh\ncase \$3 in checkin) exec sleep 100 ;; *) exec vmscm \"\$@\" ;; esac\n" >slow/vmscm
    chmod 755 slow/vmscm
    "$perf/run" -b slow=slow -f one.raw -n 1 -t slow -T 1 >table
    grep "^slow  *over 1 s" table'
check 'unknown sets, tools and revisions are refused' '
    rc=0; "$perf/run" -s Z || rc=$?; [ $rc = 2 ]
    rc=0; "$perf/run" -f one.raw -t nothing || rc=$?; [ $rc = 2 ]
    rc=0; "$perf/run" -f one.raw -f ./one.raw || rc=$?; [ $rc = 2 ]
    rc=0; "$perf/guests" Z || rc=$?; [ $rc = 2 ]
    rc=0; "$perf/compare" HEAD || rc=$?; [ $rc = 2 ]'
check -p 'TMPFS' 'no space for a set: what it needs is said' '
    mkdir small
    mount -t tmpfs -o size=1m none small
    rc=0; VMSCM_GUESTS=$PWD/small "$perf/guests" D 2>said || rc=$?
    umount small
    [ $rc = 3 ] && grep "^guests: set D needs about [0-9]* GB in .*, where 0 GB are free" said'

done_testing
