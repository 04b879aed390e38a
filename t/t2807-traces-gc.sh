#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# gc --aggressive lays what boot traces name together, in their order, and a lazy clone that follows a trace
# then fetches less, and nothing beside it.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

for need in nbdkit qemu-io; do
    why=$(missing $need)
    [ -z "$why" ] || skip_all "$why"
done
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"
export PYTHONDONTWRITEBYTECODE=1
python=$(python_with zstandard)
[ -n "$python" ] || skip_all "python3-zstandard is not installed"

# shellcheck source=t/lib-nbdkit.sh
. "$TEST_SOURCE/t/lib-nbdkit.sh"

# places REPO REV PLACE...: where the records lie that hold these bytes of vda, one "PACK OFFSET LENGTH" for each in
# the places' order, what is in the one before left out
cat >places.py <<'END'
import sys

sys.path.insert(0, sys.argv[1])
from vmscm_read import SEGMENT, Repository, leaf_entries

repo = Repository(sys.argv[2])
files, _, disks = repo.contents(repo.find(sys.argv[3]))
disk = repo.disk(files, disks, "vda")
leaves = [leaf for count, leaf in disk.runs for _ in range(count)]
before = None
for place in map(int, sys.argv[4:]):
    at = place // SEGMENT * SEGMENT
    for size, ident in leaf_entries(repo.store.get(leaves[place // SEGMENT]), min(SEGMENT, disk.size - at)):
        if at <= place < at + size:
            pack, entry = next((p, e) for p in repo.store.packs.values() if (e := p.find(ident)))
            if (pack.name, entry.offset) != before:
                print(pack.name, entry.offset, entry.length)
            before = pack.name, entry.offset
        at += size
END
places() { "$python" places.py "$TEST_SOURCE/contrib/readers" "$@"; }

# One disk of text, and reads of it that jump to and fro, as a boot's
text $((40 << 20)) 1 >one.raw
cp one.raw two.raw
noise 2000000 2 | put two.raw 20000000
vmscm init --bare repo.vmscm >/dev/null 2>&1
check 'a machine with two revisions, another, and a trace of the first' '
    vmscm -C repo.vmscm checkin web vda="$PWD/one.raw" -m first
    vmscm -C repo.vmscm checkin web vda="$PWD/two.raw" -m second
    vmscm -C repo.vmscm checkin db vda="$PWD/one.raw" vdb="$PWD/two.raw"
    vmscm -C repo.vmscm tag db kept'
wanted=
for n in $(seq 40); do wanted="$wanted $((n * 17 % 40 * 1048576 + 300000))"; done
export reads MORE=
reads=$(for at in $wanted; do printf " -c 'read %s 4k'" "$at"; done)
check 'it is recorded to 4 KiB' '
    vmscm -C repo.vmscm nbd --record --run "qemu-io -r -f raw $reads nbd+unix:///?socket=\$socket >/dev/null" web~1
    git --git-dir=repo.vmscm/git notes --ref=traces list | cut -d " " -f 1 |
        xargs git --git-dir=repo.vmscm/git cat-file blob >trace
    grep -E "^2 [0-9]+ :vda " trace
    for at in $wanted; do grep -q "$(printf " %x" $((at / 4096)))" trace; done'

# lazily REPO: bytes and requests of a clone that is read by the trace, by none other
lazily() {
    rm -rf lazy
    vmscm clone -q --lazy "$PWD/$1" lazy &&
        : >nbdkit.log &&
        (cd lazy && MORE=$2 vmscm nbd --run "qemu-io -r -f raw $reads nbd+unix:///?socket=\$socket >/dev/null &&
            qemu-io -r -f raw $reads nbd+unix:///?socket=\$socket >/dev/null" origin/web~1) &&
        sed -n "s/.*: brought \([0-9]*\) bytes in \([0-9]*\) requests.*/\1 \2/p" nbdkit.log | tail -n 1
}
# chunks CLONE: how many it has in its cache
chunks() {
    "$python" - "$TEST_SOURCE/contrib/readers" "$1" <<'END'
import glob
import sys

sys.path.insert(0, sys.argv[1])
from vmscm_read import CHUNK, Pack

packs = [Pack(path) for path in glob.glob(sys.argv[2] + "/.vmscm/cache/packs/*.vpk")]
print(sum(pack.find(pack.ids[n]).kind == CHUNK for pack in packs for n in range(len(pack.ids))))
END
}

check 'a lazy clone that follows it fetches these chunks and no others' '
    cp -r repo.vmscm before.vmscm
    lazily repo.vmscm trace=always >with
    chunks lazy >chunks.with
    lazily repo.vmscm trace=never >without
    chunks lazy >chunks.without
    cat with without chunks.*
    read -r bytes requests <with
    read -r bytes_without requests_without <without
    [ "$bytes" -lt "$bytes_without" ]
    [ "$requests" -lt "$requests_without" ]
    [ "$(cat chunks.with)" -le 60 ]
    [ "$(cat chunks.without)" -gt 60 ]'

# What the trace names, in its order, which need not be that of the reads.
traced=$(cut -d " " -f 4- trace | tr " " "\n" | while read -r at; do echo $((16#${at%+*} * 4096)); done)
# together FILE: places that are a few records of one pack, one after the other, in order
together() {
    local pack offset length end=
    cat "$1"
    [ "$(wc -l <"$1")" -le 5 ] && [ "$(cut -d " " -f 1 "$1" | sort -u | wc -l)" = 1 ] || return 1
    while read -r pack offset length; do
        [ -z "$end" ] || { [ "$offset" -ge "$end" ] && [ $((offset - end)) -lt 20000 ]; } || return 1
        end=$((offset + length))
    done <"$1"
}

check 'before gc what it names lies apart' '
    places repo.vmscm web~1 $wanted >lies
    [ $(wc -l <lies) -gt 30 ]'
check 'gc --aggressive lays it together, in the order of the trace' '
    vmscm -C repo.vmscm gc --aggressive --grace 0
    places repo.vmscm web~1 $traced >lies
    together lies'
check 'then a clone that follows it fetches about as little, in few requests' '
    lazily repo.vmscm trace=always >after
    cat with after
    read -r bytes requests <after
    read -r bytes_with requests_with <with
    read -r bytes_without requests_without <without
    # A reader that is ahead of the trace asks by itself: how often is up to time, and requests cost bytes.
    [ "$bytes" -le $((bytes_with + bytes_with / 10)) ]
    [ "$bytes" -lt "$bytes_without" ]
    [ "$requests" -lt "$requests_without" ]'
check 'all revisions are what they were' '
    for rev in web~1:one web:two db:kept:one; do
        vmscm -C repo.vmscm cat "${rev%:*}:vda" >got
        cmp got "${rev##*:}.raw"
    done
    vmscm -C repo.vmscm fsck --full'
check 'once more: the order stays' '
    vmscm -C repo.vmscm gc --aggressive --grace 0
    places repo.vmscm web~1 $traced >again
    cut -d " " -f 2,3 lies >one
    cut -d " " -f 2,3 again | diff one -'

check 'a trace that names what no disk has, and one that is none, are passed over' '
    tree=$(git --git-dir=repo.vmscm/git rev-parse "$(vmscm -C repo.vmscm show --json web | jq -r .id):disks")
    echo "2 99 :vda 3ffffffffffff 27ff+4000 fffff :none 0+fffff :vda 5" >odd
    git --git-dir=repo.vmscm/git -c user.name=x -c user.email=x@x notes --ref=traces add -f -F odd "$tree"
    tree=$(git --git-dir=repo.vmscm/git rev-parse "$(vmscm -C repo.vmscm show --json db | jq -r .id):disks")
    echo "nonsense" | git --git-dir=repo.vmscm/git -c user.name=x -c user.email=x@x notes --ref=traces add -f -F - "$tree"
    vmscm -C repo.vmscm gc --aggressive --grace 0
    vmscm -C repo.vmscm fsck --full
    vmscm -C repo.vmscm cat web~1:vda | cmp - one.raw'
check 'in a lazy clone, too, with what it has' '
    rm -rf lazy
    vmscm clone -q --lazy "$PWD/repo.vmscm" lazy
    cd lazy
    vmscm gc --aggressive --grace 0
    vmscm cat origin/web~1:vda | cmp - ../one.raw
    vmscm gc --aggressive --grace 0
    cd ..'
done_testing
