#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Packs that lie about sizes, with right checksums: refused where they lie, never more memory than is there to be
# read, never wrong bytes, and what does not lie is read.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

python=$(python_with xxhash)
[ -n "$python" ] || skip_all "python3-xxhash is not installed"

# lie PACK WHERE FIELD VALUE: puts a number of 4 bytes into the header of the first record with more than one part,
# into the index's entry of its first part, or into the trailer, and mends the checksums
lie() {
    "$python" - "$@" <<'END'
import struct, sys
import xxhash

path, where, at, value = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4], 0)
pack = bytearray(open(path, "rb").read())
index, count = struct.unpack_from("<QI", pack, len(pack) - 64)
record, entry = 16, None
while record < index:
    bases, _, stored, parts = struct.unpack_from("<xxxxxxxBIII", pack, record)
    tables = 32 * bases + (4 * parts if parts > 1 else 0)
    if parts > 1:
        break
    record += 32 + tables + stored
assert record < index, "no record with parts"
for n in range(count):
    if struct.unpack_from("<I", pack, index + 48 * n + 36)[0] == record:
        entry = index + 48 * n
        break
start = {"header": record, "table": record + 32 + 32 * bases, "entry": entry, "trailer": len(pack) - 64}[where]
struct.pack_into("<I", pack, start + at, value)
seed = xxhash.xxh3_64_intdigest(bytes(pack[record:record + 24]))
if tables:
    seed = xxhash.xxh3_64_intdigest(bytes(pack[record + 32:record + 32 + tables]), seed)
body = record + 32 + tables
struct.pack_into("<Q", pack, record + 24, xxhash.xxh3_64_intdigest(bytes(pack[body:body + stored]), seed))
struct.pack_into("<Q", pack, len(pack) - 48, xxhash.xxh3_64_intdigest(bytes(pack[index:len(pack) - 64])))
struct.pack_into("<Q", pack, len(pack) - 16, xxhash.xxh3_64_intdigest(bytes(pack[-64:-16])))
open(path, "wb").write(pack)
END
}

text 3000000 1 >one.raw
text 3000000 2 >two.raw
vmscm init whole.vmscm --bare >/dev/null 2>&1
check 'two machines, in a pack each' '
    vmscm -C whole.vmscm checkin one "$PWD/one.raw" -m "one"
    ls whole.vmscm/packs/*.vpk >first
    vmscm -C whole.vmscm checkin two "$PWD/two.raw" -m "two"
    [ "$(wc -l <first)" = 1 ] && [ "$(ls whole.vmscm/packs/*.vpk | wc -l)" = 2 ]'
mkdir bad.vmscm
no_fsck bad.vmscm

# WHERE FIELD VALUE WHAT
while read -r where at value what; do
    check "$what: found, not followed" '
        rm -rf bad.vmscm
        cp -r whole.vmscm bad.vmscm
        pack=bad.vmscm/packs/$(basename "$(cat first)")
        chmod u+w "$pack"
        lie "$pack" $where $at $value
        # What it asks for is not there to be had.
        [ "${VMSCM_TEST_VARIANT:-default}" = asan ] || ulimit -v 1000000
        rc=0
        vmscm -C bad.vmscm fsck --full >said 2>&1 || rc=$?
        [ $rc = 1 ] || fail "fsck ended with $rc: $(cat said)"
        grep -q one said || fail "fsck does not say what it touches: $(cat said)"
        ! grep "out of memory" said
        rc=0
        vmscm -C bad.vmscm cat one >got 2>said || rc=$?
        case $rc in
        0) cmp got one.raw ;;
        1 | 3) [ "$(grep -c "^vmscm: " said)" = 1 ] || fail "$(cat said)" ;;
        *) fail "cat ended with $rc: $(cat said)" ;;
        esac
        ! grep "out of memory" said
        cp "$pack" lying.vpk
        vmscm -C bad.vmscm gc >said 2>&1 || [ $? -le 4 ] || fail "gc: $(cat said)"
        vmscm -C bad.vmscm cat two | cmp - two.raw
        # gc takes nothing away that could still be mended by hand.
        find bad.vmscm -name "*.vpk" -exec cmp -s {} lying.vpk \; -print | grep .'
done <<'END'
header 8 0xffffffff a plain length of 4 GiB
header 8 1 a plain length of one byte
header 8 4194305 a plain length over the limit
header 12 0xffffffff a stored length of 4 GiB
header 12 1 a stored length of one byte
header 16 0 no parts
header 16 0xffffffff four billion parts
header 16 2 fewer parts
table 0 0xffffffff a part of 4 GiB
table 0 0 a part without bytes
entry 36 0xfffffff0 an entry that is far outside
entry 40 0xffffffff an entry of 4 GiB
entry 44 0x000fffff an entry with another plain length
trailer 0 0xffffffff an index far outside
trailer 8 0xffffffff four billion entries
trailer 8 0 an index without entries
END
done_testing
