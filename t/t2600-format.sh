#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A second reader and writer, made from vmscm-format-pack(5), -leaf(5) and -repository(5) alone: it
# restores what vmscm stored, and vmscm restores what it stored. The rules are named where they hold.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

python=
for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import zstandard, xxhash' 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || skip_all "python3-zstandard or python3-xxhash is not installed"

cat >second.py <<'END'
import glob, hashlib, json, os, struct, subprocess, sys
import xxhash, zstandard

BLOCK, SEGMENT, MIB = 4096, 1 << 24, 1 << 20

def need(holds, rule):
    if not holds:
        sys.exit("does not hold: " + rule)

def xxh3(data, seed=0):                                                                 # P2
    return xxhash.xxh3_64_intdigest(data, seed)

def git(repo, *args, data=None):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    return subprocess.run(["git", *who, "--git-dir", repo + "/git", *args], input=data, check=True,
                          stdout=subprocess.PIPE).stdout

class Pack:
    def __init__(self, path):
        self.name = bytes.fromhex(os.path.basename(path)[5:37])                         # P20
        self.bytes = b = open(path, "rb").read()
        need(b[:16] == b"VMSCMPAK\2\1" + bytes(6), "P4")
        trailer = b[-64:]
        self.end, count, index_sum = struct.unpack("<QI4xQ", trailer[:24])              # P17
        need(trailer[56:] == b"VMSCMEND" and trailer[12:16] + trailer[24:48] == bytes(28), "P3")
        need(struct.unpack("<Q", trailer[48:56])[0] == xxh3(trailer[:48]), "P17")
        need(self.end >= 16 and self.end + 48 * count + 64 == len(b), "P18")
        need(index_sum == xxh3(b[self.end:-64]), "P17")
        self.raw = [b[at:at + 48] for at in range(self.end, len(b) - 64, 48)]
        need(self.raw == sorted(set(self.raw)), "P15")

    def entries(self):
        for raw in self.raw:
            number, offset, length, rest = struct.unpack("<IIII", raw[32:])
            yield (raw[:32], offset, length, (rest & 0xfffff) + 1, rest >> 29 & 3, rest >> 20 & 511,
                   rest >> 31)

class Store:
    def __init__(self, repo):
        self.packs = [Pack(p) for p in sorted(glob.glob(repo + "/packs/pack-*.vpk"))]
        every = [(p, e) for p in self.packs for e in p.entries()]
        self.where = {e[0]: (p, e) for p, e in sorted(every, key=lambda x: -x[1][6])}    # P11, P22

    def record(self, pack, entry):
        ident, offset, length, plain_len, kind, part, has_base = entry
        r = pack.bytes[offset:offset + length]
        need(offset >= 16 and offset + length <= pack.end, "P16")
        magic, typ, how, alg, nbases, plain, stored, nparts, rest, check = struct.unpack(
            "<4s4BIIIIQ", r[:32])                                                       # P9
        need(magic == b"VREC" and typ in (1, 2) and alg == 1 and nbases <= 8 and rest == 0, "P9")
        tables = 32 * nbases + (4 * nparts if nparts > 1 else 0)
        bases = [r[at:at + 32] for at in range(32, 32 + 32 * nbases, 32)]               # P11
        parts = struct.unpack(f"<{nparts}I", r[32 + 32 * nbases:32 + tables]) if nparts > 1 else (plain,)
        need(1 <= nparts <= 512 and all(1 <= p <= MIB for p in parts) and sum(parts) == plain, "P10")
        need((parts[part], typ, nbases > 0, 32 + tables + stored)
             == (plain_len, kind, has_base == 1, length), "P16")
        need(1 <= stored <= plain <= 4 * MIB and (how or stored == plain), "P10")
        total = xxh3(r[:24])                                                            # P12
        if tables:
            total = xxh3(r[32:32 + tables], total)
        need(check == xxh3(r[32 + tables:], total), "P12")
        return how, bases, parts, r[32 + tables:]

    def get(self, ident, is_base=False):
        pack, entry = self.where[ident]
        how, bases, parts, data = self.record(pack, entry)
        if how:
            prefix = None
            if bases:
                need(not is_base, "P11")
                prefix = zstandard.ZstdCompressionDict(b"".join(self.get(i, True) for i in bases),
                                                       dict_type=zstandard.DICT_TYPE_RAWCONTENT)
            data = zstandard.ZstdDecompressor(dict_data=prefix).decompress(data, sum(parts))  # P7
        need(len(data) == sum(parts), "P7")
        at = sum(parts[:entry[5]])
        data = data[at:at + parts[entry[5]]]
        need(hashlib.sha256(data).digest() == ident, "P13")
        return data

def leaf_entries(leaf):
    magic, alg, length, count = struct.unpack("<6sHII", leaf[:16])                      # L3
    need(magic == b"VLEF\1\1" and alg == 12 and 1 <= length <= SEGMENT, "L3")
    at, offset = 16, 0
    for n in range(count):
        word, = struct.unpack("<H", leaf[at:at + 2])                                    # L4
        ident = leaf[at + 2:at + 34] if word & 0x8000 else None
        size = min((word & 0x7fff) * BLOCK, length - offset)                            # L5
        yield offset, size, ident
        at, offset = at + (34 if ident else 2), offset + size
    need(at == len(leaf) and offset == length, "L6")

def map_runs(blob):
    magic, log, size, count, rest = struct.unpack("<6sHQII", blob[:24])                 # L10
    need(magic == b"VMAP\1\1" and log == 24 and rest == 0, "L10")
    at, segment = 24, 0
    for n in range(count):
        word, = struct.unpack("<Q", blob[at:at + 8])                                    # L11
        need(word & 0xff < 2, "L11")
        yield segment, word >> 8, blob[at + 8:at + 40] if word & 1 else None
        at, segment = at + (40 if word & 1 else 8), segment + (word >> 8)
    need(at == len(blob) and segment == -(-size // SEGMENT), "L12")

def check_cut(data, offset, size, segment_end):
    """L18, for one chunk of a segment's bytes."""
    for n in range(1, 65):
        block = data[offset + (n - 1) * BLOCK:offset + n * BLOCK]
        after = data[offset + n * BLOCK:offset + (n + 1) * BLOCK]
        if n == 64 or offset + n * BLOCK >= segment_end or not any(after) or (
                n >= 4 and xxh3(block) <= 1537228672809129301):
            need(min(n * BLOCK, segment_end - offset) == size, "L18")
            return

def restore(repo, revision, disk, to):
    store = Store(repo)
    blob = git(repo, "cat-file", "blob", f"{revision}:disks/{disk}")                    # R6
    machine = json.loads(git(repo, "cat-file", "blob", revision + ":machine.json"))
    size, = struct.unpack("<Q", blob[8:16])
    need(size == [d["size"] for d in machine["disks"] if d["id"] == disk][0], "L13")
    with open(to, "wb") as out:
        out.truncate(size)
        for first, count, leaf in map_runs(blob):
            for n in range(first, first + count) if leaf else ():
                end = min(SEGMENT, size - n * SEGMENT)
                entries = list(leaf_entries(store.get(leaf)))
                need(entries[-1][0] + entries[-1][1] == end, "L14")
                data = b"".join(store.get(i) if i else bytes(s) for _, s, i in entries)  # L16
                need(len(data) == end, "L9")
                for offset, length, ident in entries:
                    if ident:
                        need(any(data[offset:offset + BLOCK]), "L17")
                        check_cut(data, offset, length, end)
                out.seek(n * SEGMENT)
                out.write(data)

def check(repo):
    store = Store(repo)
    for pack in store.packs:
        at = 16
        entries = sorted(pack.entries(), key=lambda e: (e[1], e[5]))
        while entries:
            need(entries[0][1] == at, "P14")
            parts = store.record(pack, entries[0])[2]
            need([(e[1], e[5]) for e in entries[:len(parts)]]
                 == [(at, n) for n in range(len(parts))], "P15")
            at += entries[0][2]
            entries = entries[len(parts):]
        need(at == pack.end, "P14")
    by_name = {p.name: p for p in store.packs}
    files = glob.glob(repo + "/packs/midx-*.vmx")
    for path in files:
        b = open(path, "rb").read()
        magic, bits, rest, packs, count, zero, total = struct.unpack("<10sBBIIIQ", b[:32])  # P23
        need(magic == b"VMSCMIDX\2\1" and total == xxh3(b[:24]) and 4 <= bits <= 28, "P23")
        need(rest == zero == 0, "P3")
        sizes = (32 + 16 * packs, 4 << bits, 2 * count, 8 * count)
        need(len(b) == sum(sizes) + 32, "P23")
        starts = [sum(sizes[:n]) for n in range(5)]
        head, ends, prints, words = (b[starts[n]:starts[n + 1]] for n in range(4))
        names = [head[32 + 16 * n:48 + 16 * n] for n in range(packs)]                   # P24
        ends = struct.unpack(f"<{1 << bits}I", ends)
        found = []
        for n, (fp, word) in enumerate(zip(struct.unpack(f"<{count}H", prints),
                                           struct.unpack(f"<{count}Q", words))):
            bucket = sum(end <= n for end in ends)                                      # P25
            first = (bucket << 16 | fp) >> (bits + 16 - 20)
            key = first << 44 | word >> 20
            need(key >> (64 - bits) == bucket and key >> (48 - bits) & 0xffff == fp, "P25")
            found.append((key, word & 0xfffff))
        want = [(int.from_bytes(e[:8], "big"), n) for n in range(packs)
                for e in by_name[names[n]].raw]
        need(sorted(found) == sorted(want) and [f[0] for f in found] == sorted(f[0] for f in found),
             "P25")
        for n, table in enumerate((head, b[starts[1]:starts[2]], prints, words)):       # P26
            total = 0
            for at in range(0, len(table), MIB):
                total = xxh3(table[at:at + MIB], total)
            need(struct.unpack("<Q", b[starts[4] + 8 * n:starts[4] + 8 * n + 8])[0] == total, "P26")
    print(len(store.packs), len(files))

def make(repo, like, machine, disk, source):
    """A revision of a new machine, its second chunk stored against its first."""
    data = open(source, "rb").read()
    cut = len(data) // 2 // BLOCK * BLOCK
    out, index, ids = b"VMSCMPAK\2\1" + bytes(6), [], []

    def add(typ, plain, how, stored, base=b""):
        nonlocal out
        ident = hashlib.sha256(plain).digest()
        head = b"VREC" + struct.pack("<4BIIII", typ, how, 1, 1 if base else 0, len(plain),
                                     len(stored), 1, 0)
        total = xxh3(base, xxh3(head)) if base else xxh3(head)
        record = head + struct.pack("<Q", xxh3(stored, total)) + base + stored
        index.append(ident + struct.pack("<IIII", 0, len(out), len(record),
                                         len(plain) - 1 | typ << 29 | (1 if base else 0) << 31))
        out += record
        return ident
    first, second = data[:cut], data[cut:]
    ids.append(add(1, first, 0, first))
    prefix = zstandard.ZstdCompressionDict(first, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    frame = zstandard.ZstdCompressor(dict_data=prefix, write_dict_id=False).compress(second)
    need(len(frame) < len(second) // 8, "a base helps")
    ids.append(add(1, second, 1, frame, ids[0]))
    leaf = b"VLEF\1\1\14\0" + struct.pack("<II", len(data), 2) + b"".join(
        struct.pack("<H", -(-len(d) // BLOCK) | 0x8000) + i
        for d, i in zip((first, second), ids))
    top = add(2, leaf, 0, leaf)
    offset, index = len(out), b"".join(sorted(index))
    trailer = struct.pack("<QI4xQ24x", offset, len(index) // 48, xxh3(index))
    out += index + trailer + struct.pack("<Q", xxh3(trailer)) + b"VMSCMEND"
    with open(f"{repo}/packs/pack-{os.urandom(16).hex()}.vpk", "xb") as f:
        f.write(out)
    about = json.loads(git(repo, "cat-file", "blob", like + ":machine.json"))
    about["name"] = machine
    about["disks"][0].update(id=disk, size=len(data))
    put = lambda blob: git(repo, "hash-object", "-w", "--stdin", data=blob).decode().strip()
    tree = lambda text: git(repo, "mktree", data=text.encode()).decode().strip()
    disks = put(b"VMAP\1\1\x18\0" + struct.pack("<QIIQ", len(data), 1, 0, 1 << 8 | 1) + top)
    root = tree(f"040000 tree {tree(f'100644 blob {disks}{chr(9)}{disk}{chr(10)}')}\tdisks\n"
                f"100644 blob {put(json.dumps(about).encode())}\tmachine.json\n")
    commit = git(repo, "commit-tree", "-m", "made by another", root).decode().strip()
    git(repo, "update-ref", "refs/heads/" + machine, commit)                            # R8

def leaf_of(source, to):
    """The leaf of a disk of noise that is one chunk."""
    data = open(source, "rb").read()
    need(len(data) < 4 * BLOCK, "one chunk")
    open(to, "wb").write(b"VLEF\1\1\14\0" + struct.pack("<IIH", len(data), 1,
        -(-len(data) // BLOCK) | 0x8000) + hashlib.sha256(data).digest())

globals()[sys.argv[1]](*sys.argv[2:])
END

sample_disk one.raw 24 1
truncate -s $((24 * 1048576 + 512)) one.raw
noise 700 3 | put one.raw $((24 * 1048576 - 188))
check 'a disk of an odd size, in two revisions, and a qcow2' '
    vmscm init --bare repo.vmscm
    vmscm -C repo.vmscm checkin web "$PWD/one.raw" -m first
    cp one.raw two.raw
    noise 300000 5 | put two.raw 9000001
    vmscm -C repo.vmscm checkin web "$PWD/two.raw" -m second
    qemu-img convert -O qcow2 two.raw three.qcow2
    vmscm -C repo.vmscm checkin copy "$PWD/three.qcow2"
    vmscm -C repo.vmscm show --json web | jq -r ".hardware.disks[0].id" >id
    vmscm -C repo.vmscm show --json copy | jq -r ".hardware.disks[0].id" >copy-id'
check 'a reader made from the pages restores both revisions, byte by byte' '
    "$python" second.py restore repo.vmscm web~1 "$(cat id)" back.raw
    cmp back.raw one.raw
    "$python" second.py restore repo.vmscm web "$(cat id)" back.raw
    cmp back.raw two.raw
    "$python" second.py restore repo.vmscm copy "$(cat copy-id)" back.raw
    cmp back.raw two.raw'
check 'packs and a multi-pack index are as the pages say, checksums included' '
    for n in 1 2 3 4 5 6 7 8 9; do
        noise 200000 1$n | put two.raw $((n * 1000000))
        vmscm -C repo.vmscm checkin web "$PWD/two.raw" -m "change $n"
    done
    read -r packs indexes < <("$python" second.py check repo.vmscm)
    [ "$packs" -ge 9 ] && [ "$indexes" -ge 1 ]'
check 'a writer made from the pages, with a chunk stored against another' '
    noise 60000 20 >half
    { cat half && head -c 1440 /dev/zero && cat half && echo end; } >made.raw
    truncate -s 123000 made.raw
    "$python" second.py make repo.vmscm web made sda made.raw
    vmscm -C repo.vmscm cat made | cmp - made.raw
    "$python" second.py check repo.vmscm
    vmscm -C repo.vmscm fsck --full'
check 'a disk with the very bytes of a leaf, before and after there is such a leaf' '
    for n in 1 2; do
        noise 5000 3$n >disk$n.raw
        "$python" second.py leaf_of disk$n.raw leaf$n.raw
    done
    vmscm -C repo.vmscm checkin before "$PWD/leaf1.raw"
    vmscm -C repo.vmscm checkin disk1 "$PWD/disk1.raw"
    vmscm -C repo.vmscm checkin disk2 "$PWD/disk2.raw"
    vmscm -C repo.vmscm checkin --json after "$PWD/leaf2.raw" >result
    [ "$(jq .new result)" = 0 ] || fail "not the bytes of the leaf"
    vmscm -C repo.vmscm cat before | cmp - leaf1.raw
    vmscm -C repo.vmscm cat disk1 | cmp - disk1.raw
    vmscm -C repo.vmscm cat disk2 | cmp - disk2.raw
    vmscm -C repo.vmscm cat after | cmp - leaf2.raw'

done_testing
