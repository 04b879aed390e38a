#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# valgrind
# Garbage collection: what nothing needs goes, everything else stays as it was, whoever works meanwhile.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

vmscm init >/dev/null 2>&1
packs() { find .vmscm/packs -name '*.vpk' | sort; }
bytes() { find "$1" -name '*.vpk' -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }
same() { vmscm cat "$1" | cmp - "$2"; }
# Overwrite a part of a file: FILE OFFSET BYTES SEED
change() { noise "$3" "$4" | dd of="$1" bs=64k oflag=seek_bytes seek="$2" conv=notrunc status=none; }

check 'a chain of revisions, and another machine' '
    noise 6000000 1 >a0.raw
    noise 3000000 2 >b.raw
    vmscm checkin a a0.raw -q
    vmscm checkin b b.raw -q
    for i in 1 2 3 4 5 6 7 8 9 10; do
        cp a$((i - 1)).raw a$i.raw
        change a$i.raw $((i * 400000)) 60000 1$i
        change a$i.raw $((i * 100000)) 200 2$i
        vmscm checkin a a$i.raw -q
    done'
all_right() { for i in 0 1 2 3 4 5 6 7 8 9 10; do same "a~$((10 - i))" "a$i.raw"; done; }

check 'an automatic one merges small packs, and loses nothing' '
    before=$(packs | wc -l)
    vmscm gc -n --auto --json >told
    [ "$(packs | wc -l)" = "$before" ]
    vmscm gc --auto
    [ "$(jq .repacked_packs told)" = 10 ] # not the two large ones
    [ "$(packs | wc -l)" = 3 ]
    all_right
    same b b.raw
    vmscm fsck --full'
check 'there is nothing to do then' '
    [ "$(vmscm gc --auto --json | jq ".repacked_packs + .dropped_packs")" = 0 ]'
check 'the trash keeps them, until its time of grace is over' '
    [ "$(bytes .vmscm/trash)" -gt 0 ]
    [ "$(vmscm gc --json | jq .freed_bytes)" = 0 ]
    vmscm gc --grace 0 --auto
    [ "$(bytes .vmscm/trash)" = 0 ]
    all_right'

check 'a machine that is removed can be brought back until then' '
    id=$(vmscm show --json b | jq -r .id)
    vmscm rm b
    vmscm gc --auto --grace 0 -q
    vmscm clone $id b
    same b b.raw'
check 'a dry run tells what would come back, and does nothing' '
    vmscm rm b -q
    packs >before
    [ "$(vmscm gc -n --json | jq ".moved_bytes - .written_bytes > 2900000")" = true ]
    packs | cmp - before
    vmscm gc -n | grep "MiB would come back"'
check 'then its space comes back, and no more than that is gone' '
    before=$(bytes .vmscm/packs)
    vmscm gc --grace 0
    after=$(bytes .vmscm)
    [ $((before - after)) -gt 2900000 ]
    all_right
    vmscm fsck --full'
check 'what is left is of use: the same disk adds nothing but what was removed' '
    [ "$(vmscm checkin a2 a3.raw --json | jq .new)" = 0 ]
    [ "$(vmscm checkin b b.raw --json | jq .new)" -gt 2900000 ]'
check 'less garbage than the threshold stays' '
    vmscm gc -q --grace 0
    vmscm rm a2 -q
    vmscm checkin c a5.raw -q
    noise 300000 5 >c.raw
    vmscm checkin c2 c.raw -q
    vmscm gc --grace 0 --threshold 0 -q
    vmscm rm c2 -q
    packs >before
    vmscm gc --threshold 100 --grace 0 -q
    vmscm gc --threshold 0 --grace 0 -q
    [ "$(vmscm gc --threshold 0 -n --json | jq .moved_bytes)" = 0 ]
    all_right'

check 'a chunk that others are stored against stays while they do' '
    vmscm gc -q --grace 0 --threshold 0
    noise 2000000 30 >d0.raw
    cp d0.raw d1.raw
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do change d1.raw $((i * 150000)) 40 4$i; done
    vmscm checkin d d0.raw -q
    vmscm checkin d d1.raw -q
    [ "$(bytes .vmscm/packs)" -lt 12000000 ]
    vmscm clone d e
    vmscm rm d -q
    vmscm prune --help >/dev/null 2>&1 || true
    vmscm gc --grace 0 --threshold 0
    same e d1.raw
    same e~1 d0.raw
    vmscm fsck --full'

check 'nor do chunks that nobody needs, and whose bases are gone, stop small packs from being merged' '
    mkdir bases && cd bases
    vmscm init >/dev/null
    noise 1003520 35 >v0.raw # in blocks
    cp v0.raw v1.raw
    change v1.raw 100000 40 36
    noise 3000000 37 >rest.raw
    noise 1003520 38 >other.raw
    cat rest.raw >>v1.raw
    cat other.raw rest.raw >keep.raw
    vmscm checkin m v0.raw -q
    vmscm checkin m v1.raw -q
    vmscm checkin keep keep.raw -q
    vmscm rm m -q
    [ "$(vmscm gc --grace 0 --json | jq -c "[.dropped_packs, .repacked_packs]")" = "[1,0]" ]
    vmscm fsck --full # nor are they damage
    for i in 1 2 3 4 5 6 7 8 9; do
        noise 100000 39$i >s.raw
        vmscm checkin s$i s.raw -q
    done
    [ "$(packs | wc -l)" = 11 ]
    vmscm gc --auto -q --grace 0
    [ "$(packs | wc -l)" -le 3 ]
    same keep keep.raw
    same s9 s.raw
    vmscm gc -q --grace 0 --threshold 0
    same keep keep.raw
    vmscm fsck --full'

check 'everything is written anew with --aggressive, and is the same' '
    vmscm gc --threshold 0 --grace 0 -q
    packs >before
    before=$(bytes .vmscm/packs)
    vmscm gc --aggressive --grace 0 -q
    [ -z "$(packs | comm -12 - before)" ]
    [ "$(bytes .vmscm/packs)" -le "$before" ]
    all_right
    same e d1.raw
    vmscm fsck --full'
check 'reflogs keep what they name' '
    cp a10.raw x.raw
    id=$(vmscm show --json a | jq -r .id)
    noise 700000 50 >f.raw
    vmscm checkin f f.raw -q
    vmscm checkin f a1.raw -q
    git --git-dir=.vmscm/git update-ref refs/heads/f "$(git --git-dir=.vmscm/git rev-parse f~1)"
    vmscm gc --grace 0 --threshold 0 -q
    same "f@{1}" a1.raw
    same f f.raw'
check 'the history of what was removed goes too, and plain git agrees' '
    vmscm rm f -q
    git --git-dir=.vmscm/git symbolic-ref HEAD refs/heads/a2
    vmscm checkin a2 a4.raw -q
    vmscm rm a2 -q
    vmscm gc --grace 0 --threshold 0 -q
    git --git-dir=.vmscm/git symbolic-ref HEAD refs/heads/a
    [ -z "$(git --git-dir=.vmscm/git fsck --strict --no-dangling --unreachable 2>&1)" ]
    [ "$(git --git-dir=.vmscm/git count-objects)" = "0 objects, 0 kilobytes" ]
    vmscm log a >/dev/null
    vmscm fsck'
check 'what only an old line of a reflog names goes when the line expires' '
    noise 700000 51 >k.raw
    vmscm checkin k k.raw -q
    vmscm checkin k a1.raw -q
    tip=$(git --git-dir=.vmscm/git rev-parse k)
    git --git-dir=.vmscm/git update-ref refs/heads/k k~1
    git --git-dir=.vmscm/git update-ref refs/heads/k "$(git --git-dir=.vmscm/git rev-parse a)"
    vmscm gc --grace 0 --threshold 0 -q
    vmscm cat $tip | cmp - a1.raw
    vmscm config gc.reflogExpire now
    [ "$(vmscm gc -n --json | jq .reflog_entries)" -gt 0 ]
    vmscm gc --grace 0 --threshold 0 -q
    ! vmscm cat $tip >/dev/null 2>&1
    vmscm config --unset gc.reflogExpire
    all_right
    vmscm rm k -q'
check_fails 2 'times of expiry that are none' '
    vmscm config gc.reflogExpire whenever
    vmscm gc' 'gc.reflogExpire'
vmscm config --unset gc.reflogExpire >/dev/null 2>&1
check 'tags and comments stay' '
    vmscm tag a golden -m "the best"
    vmscm comment a -m remark
    vmscm rm c -q
    vmscm gc --grace 0 --threshold 0 -q
    same a:golden a10.raw
    vmscm show a | grep remark'

check 'unfinished packs of dead writers go' '
    pack=$(packs | head -n 1)
    name=pack-00000000000000000000000000000001.vpk
    head -c 100000 "$pack" >.vmscm/tmp/$name
    vmscm gc -q
    [ ! -e .vmscm/tmp/$name ]'
check 'the lease of a process that is gone goes' '
    mkdir -p .vmscm/leases
    : >.vmscm/leases/lease-00000000000000000000000000000001
    vmscm gc -q
    [ -z "$(ls .vmscm/leases)" ]'
check_fails 3 'one at a time' '
    flock .vmscm/locks/gc vmscm gc' 'another gc or a repair is running'
check 'but to find nothing to do, the lock of a dead one is no obstacle' '
    [ -e .vmscm/locks/gc ]
    vmscm gc -q'
check 'what is needed is brought back from the trash' '
    pack=$(packs | head -n 1)
    mv "$pack" .vmscm/trash/
    vmscm gc 2>&1 | grep "brought back"
    all_right
    vmscm fsck'
check 'but nothing new relies on what is in there' '
    head -c 5996544 a10.raw >zeros.raw # whole blocks
    vmscm checkin y zeros.raw -q
    truncate -s +1M zeros.raw # another leaf for the same chunks
    packs >before
    vmscm checkin z zeros.raw -q
    packs | comm -13 before - >leaf
    [ "$(wc -l <leaf)" = 1 ]
    vmscm show --json z | jq -r .id >z.id
    vmscm rm z -q
    mv "$(cat leaf)" .vmscm/trash/'
check_fails 1 'a revision of which a leaf is there is not whole' \
    'vmscm clone "$(cat z.id)" z2' 'gc has removed parts'
check 'but when it is back, it is' '
    mv ".vmscm/trash/$(basename "$(cat leaf)")" .vmscm/packs/
    vmscm clone "$(cat z.id)" z2 -q
    same z2 zeros.raw
    vmscm rm z2 -q
    vmscm gc -q --grace 0'
check 'a pack of which two names are left goes all the same' '
    vmscm checkin z zeros.raw -q
    vmscm rm z -q
    pack=$(packs | comm -13 before -)
    ln "$pack" .vmscm/trash/
    vmscm gc -q --grace 0
    [ ! -e "$pack" ]
    [ ! -e ".vmscm/trash/${pack##*/}" ]'
check 'a reader looks into the trash' '
    pack=$(packs | head -n 1)
    mv "$pack" .vmscm/trash/
    all_right
    mv ".vmscm/trash/${pack##*/}" .vmscm/packs/'

check 'of a damaged repository nothing is removed' '
    cp -a .vmscm damaged.vmscm
    pack=$(find damaged.vmscm/packs -name "*.vpk" | head -n 1)
    chmod u+w "$pack"
    truncate -s -1 "$pack"
    find damaged.vmscm -type f | sort >before'
no_fsck damaged.vmscm
check_fails 1 'and gc says why' '
    vmscm -C damaged.vmscm rm e -q
    find damaged.vmscm/packs | sort >before
    vmscm -C damaged.vmscm gc --grace 0' 'pack-'
check 'nor anything moved' '
    find damaged.vmscm/packs | sort | cmp - before
    [ -z "$(ls damaged.vmscm/trash)" ]'
check 'a pack that is gone stops it, too' '
    cp -a .vmscm gone.vmscm
    rm "$(find gone.vmscm/packs -name "*.vpk" -size +10k | head -n 1)"'
no_fsck gone.vmscm
check_fails 1 'with what misses it' 'vmscm -C gone.vmscm gc' 'refs/.*missing'
check_fails 1 'a ref to a commit that is not there stops it' '
    cp -a .vmscm noref.vmscm
    echo 1111111111111111111111111111111111111111 >noref.vmscm/git/refs/heads/bad
    vmscm -C noref.vmscm gc' 'refs/heads/bad'
no_fsck noref.vmscm

check_fails 2 'wrong times' 'vmscm gc --grace soon' 'not a time'
check_fails 2 'wrong shares' 'vmscm gc --threshold 101' '0 to 100'
check_fails 2 'wrong settings' '
    vmscm config gc.grace 3x
    vmscm gc' 'gc.grace'
vmscm config --unset gc.grace >/dev/null

at_exit 'umount "$TEST_DIR/small" 2>/dev/null; umount "$TEST_DIR/frozen" 2>/dev/null'
check -p "ROOT TMPFS" 'a full disk: gc makes room' '
    mkdir "$TEST_DIR/small"
    mount -t tmpfs -o size=36m none "$TEST_DIR/small"
    vmscm init --bare "$TEST_DIR/small/r.vmscm" >/dev/null
    export VMSCM_DIR="$TEST_DIR/small/r.vmscm"
    noise 8000000 70 >h.raw
    noise 6000000 71 >i.raw
    vmscm checkin h h.raw -q
    vmscm checkin i i.raw -q
    vmscm checkin keep a3.raw -q
    head -c 40m /dev/zero >"$TEST_DIR/small/rest" || true
    [ "$(df --output=avail "$TEST_DIR/small" | tail -n 1)" -eq 0 ]
    vmscm rm h -q || { truncate -s -64k "$TEST_DIR/small/rest"; vmscm rm h -q; }
    vmscm gc -q
    [ "$(df --output=avail -k "$TEST_DIR/small" | tail -n 1)" -gt 7000 ]
    same i i.raw
    same keep a3.raw'
check_fails -p "ROOT TMPFS" 3 'no room to write a pack anew: that is said, and nothing is lost' '
    export VMSCM_DIR="$TEST_DIR/small/r.vmscm"
    rm "$TEST_DIR/small/rest"
    cp a3.raw j.raw
    truncate -s 6004736 j.raw # to a block
    cat h.raw >>j.raw
    vmscm gc -q --grace 0
    vmscm checkin j j.raw -q
    vmscm checkin l h.raw -q
    vmscm rm j -q
    avail=$(df --output=avail -k "$TEST_DIR/small" | tail -n 1)
    head -c $((avail - 3000))k /dev/zero >"$TEST_DIR/small/rest"
    vmscm gc --aggressive -q || { rc=$?; grep "^hint: nothing is lost" "$TEST_DIR/err"; exit $rc; }' 'No space'
check -p "ROOT TMPFS" 'and with room again, it goes on' '
    export VMSCM_DIR="$TEST_DIR/small/r.vmscm"
    same i i.raw
    same l h.raw
    rm "$TEST_DIR/small/rest"
    vmscm gc --grace 0 --threshold 0 -q
    [ "$(vmscm gc -n --threshold 0 --json | jq .moved_bytes)" = 0 ]
    same keep a3.raw
    vmscm fsck --full'
check -p "ROOT TMPFS" 'packs that go make room for those that are written anew' '
    mkdir "$TEST_DIR/small/m" && cd "$TEST_DIR/small/m"
    rm -rf "$TEST_DIR/small/r.vmscm"
    vmscm init >/dev/null
    for i in 1 2 3 4 5 6 7 8 9 10; do
        noise 500000 72$i >d.raw
        vmscm checkin d$i d.raw -q
    done
    noise 2002944 73 >m.raw # in blocks
    noise 1003520 74 >n.raw
    cat n.raw >>m.raw
    vmscm checkin m m.raw -q
    vmscm checkin n n.raw -q
    vmscm rm m -q
    for i in 1 2 3 4 5 6 7 8 9 10; do vmscm rm d$i -q; done
    vmscm gc --json >told
    [ "$(jq -c "[.dropped_packs, .repacked_packs, .trash_bytes]" told)" = "[10,1,0]" ]
    same n n.raw
    vmscm fsck'
check -p "ROOT TMPFS" 'what there is no room for at once is written anew bit by bit' '
    rm -rf "$TEST_DIR/small"/*
    export VMSCM_DIR="$TEST_DIR/small/r.vmscm"
    vmscm init --bare "$VMSCM_DIR" >/dev/null
    vmscm config gc.auto false
    for i in 1 2 3 4 5 6; do
        noise 2002944 75$i >m.raw # in blocks
        noise 1003520 76$i >n$i.raw
        cat n$i.raw >>m.raw
        vmscm checkin m$i m.raw -q
        vmscm checkin n$i n$i.raw -q
        vmscm rm m$i -q
    done
    avail=$(df --output=avail -k "$TEST_DIR/small" | tail -n 1)
    head -c $((avail - 2500))k /dev/zero >"$TEST_DIR/small/rest"
    vmscm gc --json >told
    [ "$(jq -c "[.repacked_packs >= 6, .trash_bytes, .freed_bytes > 11000000]" told)" = "[true,0,true]" ]
    for i in 1 2 3 4 5 6; do same n$i n$i.raw; done
    [ "$(df --output=avail -k "$TEST_DIR/small" | tail -n 1)" -gt 14000 ]
    vmscm fsck'
check -p ROOT 'a file system that is read-only: all can be read' '
    mkdir "$TEST_DIR/frozen"
    mount --bind .vmscm "$TEST_DIR/frozen"
    mount -o remount,bind,ro "$TEST_DIR/frozen"
    export VMSCM_DIR="$TEST_DIR/frozen"
    all_right
    vmscm list | grep -w a
    vmscm log a >/dev/null
    vmscm stats --json | jq -e ".garbage_bytes != null"
    vmscm gc -n -q
    vmscm fsck --full
    vmscm checkout a copy --format raw -q
    cmp copy/vda.img a10.raw'
check_fails -p ROOT 3 'but gc says that it is' 'vmscm -C "$TEST_DIR/frozen" gc' 'Read-only'
check -p ROOT 'it thaws' 'umount "$TEST_DIR/frozen"'

# A check-in of FILE as NAME, and COMMANDS between the moment it has stored all and that it records it.
between() { # NAME FILE COMMANDS
    local pid
    exec 8<.vmscm/locks/commit
    flock 8
    vmscm checkin "$1" "$2" -v 2>said >/dev/null 8<&- &
    pid=$!
    # It waits for the lock then.
    until grep -q -e "-> FLOCK.* READ $pid " /proc/locks; do
        kill -0 $pid
        sleep 0.05
    done
    eval "$3"
    exec 8<&-
    wait $pid
}
check 'a check-in whose packs gc copies elsewhere meanwhile goes on' '
    cp a5.raw m.raw
    change m.raw 900000 5000 80
    between m m.raw "for p in \$(packs); do
        mv \$p .vmscm/packs/pack-\$(od -An -N16 -tx1 /dev/urandom | tr -d \" \n\").vpk; done"
    ! grep "reading again" said
    same m m.raw
    all_right'
check 'and one whose chunks went stores them again' '
    noise 900000 81 >n.raw
    vmscm checkin n0 n.raw -q
    vmscm rm n0 -q
    change n.raw 300000 5000 82
    packs >all
    vmscm fsck -q
    between n n.raw "for p in \$(packs); do mv \$p .vmscm/trash/; done"
    grep "reading again" said
    for p in .vmscm/trash/*.vpk; do
        [ -e ".vmscm/packs/${p##*/}" ] || mv "$p" .vmscm/packs/
    done
    same n n.raw
    all_right'

check 'small packs are merged after check-ins, without being asked' '
    mkdir auto && cd auto
    vmscm init >/dev/null
    vmscm config gc.auto true
    noise 400000 60 >g.raw
    for i in 1 2 3 4 5 6 7 8 9; do
        change g.raw $((i * 30000)) 3000 6$i
        vmscm checkin g g.raw -q
    done
    for i in $(seq 100); do
        [ "$(packs | wc -l)" -gt 3 ] || break
        sleep 0.1
    done
    [ "$(packs | wc -l)" -le 3 ]
    # It may be at the multi-pack index yet.
    flock .vmscm/locks/gc true
    same g g.raw'
check 'and history is packed when it is in many files' '
    cd auto
    loose() { git --git-dir=.vmscm/git count-objects; }
    mkdir many
    for i in $(seq 600); do echo "$i" >many/$i; done
    find many -type f | git --git-dir=.vmscm/git hash-object -w --stdin-paths >ids
    vmscm gc --auto
    [ "$(loose | cut -d" " -f1)" -gt 600 ]
    vmscm config gc.auto 2
    vmscm gc --auto -n
    [ "$(loose | cut -d" " -f1)" -gt 600 ]
    change g.raw 12345 3000 99
    vmscm checkin g g.raw -q
    for i in $(seq 600); do
        loose | grep "^0 " && break
        sleep 0.1
    done
    loose | grep "^0 "
    git --git-dir=.vmscm/git cat-file --batch-check <ids >there
    [ "$(grep -c blob there)" = 600 ]
    same g g.raw
    flock .vmscm/locks/gc true
    vmscm gc --auto
    # Nobody needs these, and a real one takes them away.
    vmscm gc --grace 0
    git --git-dir=.vmscm/git cat-file --batch-check <ids >there
    [ "$(grep -c missing there)" = 600 ]
    same g g.raw
    vmscm fsck --full'
done_testing
