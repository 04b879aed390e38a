#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The rules of vmscm-format-pack(5), -leaf(5) and -repository(5) that the reader in contrib/readers has
# no need of, and a writer made from them: vmscm restores what it stored. The rules are named where
# they hold.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

export PYTHONDONTWRITEBYTECODE=1
python=$(python_with zstandard xxhash)
[ -n "$python" ] || skip_all "python3-zstandard or python3-xxhash is not installed"

cat >second.py <<'END'
import glob, hashlib, json, os, struct, subprocess, sys
import xxhash, zstandard

sys.path.insert(0, os.environ["TEST_SOURCE"] + "/contrib/readers")
import vmscm_read

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

def check_cut(data, offset, size):
    """L17 and L18, for one chunk of a segment's bytes."""
    need(any(data[offset:offset + BLOCK]), "L17")
    for n in range(1, 65):
        block = data[offset + (n - 1) * BLOCK:offset + n * BLOCK]
        after = data[offset + n * BLOCK:offset + (n + 1) * BLOCK]
        if n == 64 or offset + n * BLOCK >= len(data) or not any(after) or (
                n >= 4 and xxh3(block) <= 1537228672809129301):
            need(min(n * BLOCK, len(data) - offset) == size, "L18")
            return

def cuts(repo, revision, name):
    repo = vmscm_read.Repository(repo)
    files, _, disks = repo.contents(repo.find(revision))
    disk, chunks, at = repo.disk(files, disks, name), 0, 0
    for count, leaf in disk.runs:
        for _ in range(count):
            length = min(SEGMENT, disk.size - at)
            entries = list(vmscm_read.leaf_entries(repo.store.get(leaf), length)) if leaf else ()
            data = b"".join(repo.store.get(i) if i else bytes(s) for s, i in entries)
            offset = 0
            for size, ident in entries:
                if ident:
                    check_cut(data, offset, size)
                    chunks += 1
                offset += size
            at += length
    need(chunks > 99, "some chunks")

def check(repo):
    """All that a reader need not look at: checksums, order, gaps, multi-pack indexes."""
    by_name = {}
    for path in glob.glob(repo + "/packs/pack-*.vpk"):
        pack = vmscm_read.Pack(path)
        b = pack.data[:]
        need(struct.unpack("<Q", b[-16:-8])[0] == xxh3(b[-64:-16]), "P17")
        need(struct.unpack("<Q", b[-48:-40])[0] == xxh3(b[pack.end:-64]), "P17")
        ids = [pack.ids[n] for n in range(len(pack.ids))]
        need(ids == sorted(set(ids)), "P15")
        by_name[bytes.fromhex(os.path.basename(path)[5:37])] = ids                      # P20
        at, entries = 16, sorted(map(pack.find, ids), key=lambda e: (e.offset, e.part))
        while entries:
            how, bases, parts, stored = pack.record(entries[0])
            need([(e.offset, e.part) for e in entries[:len(parts)]]
                 == [(at, n) for n in range(len(parts))], "P14, P15")
            end = at + entries[0].length
            total, tables = xxh3(b[at:at + 24]), b[at + 32:end - len(stored)]            # P12
            if tables:
                total = xxh3(tables, total)
            need(struct.unpack("<Q", b[at + 24:at + 32])[0] == xxh3(stored, total), "P12")
            at, entries = end, entries[len(parts):]
        need(at == pack.end, "P14")
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
                for e in by_name[names[n]]]
        need(sorted(found) == sorted(want) and [f[0] for f in found] == sorted(f[0] for f in found),
             "P25")
        for n, table in enumerate((head, b[starts[1]:starts[2]], prints, words)):       # P26
            total = 0
            for at in range(0, len(table), MIB):
                total = xxh3(table[at:at + MIB], total)
            need(struct.unpack("<Q", b[starts[4] + 8 * n:starts[4] + 8 * n + 8])[0] == total, "P26")
    print(len(by_name), len(files))

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
check 'disks are cut as the pages say' '
    "$python" second.py cuts repo.vmscm web~1 "$(cat id)"
    "$python" second.py cuts repo.vmscm web "$(cat id)"
    "$python" second.py cuts repo.vmscm copy "$(cat copy-id)"'
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
    "$python" "$TEST_SOURCE/contrib/readers/vmscm_read.py" repo.vmscm cat made | cmp - made.raw
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
