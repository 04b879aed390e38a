#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a vmscm repository without vmscm and without git.

usage: vmscm_read.py REPOSITORY list
       vmscm_read.py REPOSITORY log REV
       vmscm_read.py REPOSITORY show REV            machine.json
       vmscm_read.py REPOSITORY cat REV[:DISK]      a disk, raw, to standard output
       vmscm_read.py REPOSITORY restore REV DIR     all disks, machine.json and config/ into a new DIR
       vmscm_read.py REPOSITORY verify [REV]        reads every disk of REV, or of every revision

REPOSITORY is a directory with git and packs in it. REV is MACHINE, MACHINE:TAG or at least four
digits of a revision's id, followed by any number of ^ and ~N. Exit status: 0, done; 1, something is
not there or damaged; 2, usage.

Written from vmscm-format-repository(5), -pack(5), -leaf(5) and -machine(5), whose rules are named
where they hold, and from git's gitrepository-layout(5) and gitformat-pack(5). Every git object,
leaf and chunk is compared with its hash before it is used. XXH3 checksums, which guard against
accidents where there is no hash, are not compared, and multi-pack indexes not used.
"""
import bisect
import collections
import datetime
import hashlib
import json
import mmap
import os
import re
import resource
import stat
import struct
import sys
import zlib

import zstandard

BLOCK, SEGMENT, MIB = 4096, 1 << 24, 1 << 20
CHUNK, LEAF = 1, 2


class Bad(Exception):
    """What is damaged, or not there, and why."""


def need(holds, why):
    if not holds:
        raise Bad(why)


def mapped(path):
    with open(path, "rb") as f:
        return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(f.fileno()).st_size else b""


class Table:
    """Sorted keys of equal length at equal distances in a file, for bisect."""

    def __init__(self, data, start, step, width, count):
        self.data, self.start, self.step, self.width, self.count = data, start, step, width, count

    def __len__(self):
        return self.count

    def __getitem__(self, n):
        at = self.start + n * self.step
        return self.data[at:at + self.width]

    def find(self, key):
        n = bisect.bisect_left(self, key)
        return n if n < self.count and self[n] == key else None


# Git


class GitPack:
    KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}

    def __init__(self, path):
        self.name = os.path.basename(path)
        self.idx, self.data = mapped(path[:-5] + ".idx"), mapped(path)
        need(self.data[:4] == b"PACK" and self.data[4:8] in (b"\0\0\0\2", b"\0\0\0\3"), "not a git pack")
        need(self.idx[:8] == b"\377tOc\0\0\0\2" and len(self.idx) >= 1072, "not an index of version 2")
        count, = struct.unpack(">I", self.idx[1028:1032])
        need(len(self.idx) >= 1072 + 28 * count, "the index is too short")
        self.ids = Table(self.idx, 1032, 20, 20, count)

    def find(self, ident):
        n = self.ids.find(ident)
        if n is None:
            return None
        at = 1032 + 24 * self.ids.count + 4 * n
        offset, = struct.unpack(">I", self.idx[at:at + 4])
        if offset >> 31:
            at = 1032 + 28 * self.ids.count + 8 * (offset & 0x7fffffff)
            need(at + 8 <= len(self.idx), "the index is too short")
            offset, = struct.unpack(">Q", self.idx[at:at + 8])
        return offset

    def read(self, offset, limit):
        """The kind and bytes of the object at this offset."""
        deltas = []
        while True:
            need(12 <= offset < len(self.data) - 20, f"no object at {offset}")
            at, byte = offset + 1, self.data[offset]
            kind, size, shift = byte >> 4 & 7, byte & 15, 4
            while byte & 128:
                byte, at = self.data[at], at + 1
                size, shift = size | (byte & 127) << shift, shift + 7
            need(size <= limit, f"the object at {offset} is too large")
            base = None
            if kind == 6:
                byte, at = self.data[at], at + 1
                back = byte & 127
                while byte & 128:
                    byte, at = self.data[at], at + 1
                    back = (back + 1) << 7 | byte & 127
                base = offset - back
            elif kind == 7:
                base, at = self.find(self.data[at:at + 20]), at + 20
                need(base is not None, "a delta's base is not in its pack")
            z = zlib.decompressobj()
            plain = z.decompress(self.data[at:at + size + size // 100 + 1024], size or 1)
            need(len(plain) == size, f"the object at {offset} has another length")
            if base is None:
                need(kind in self.KINDS, f"the object at {offset} has an unknown type")
                break
            deltas.append(plain)
            need(len(deltas) <= 4096 and base != offset, "a chain of deltas does not end")
            offset = base
        for delta in reversed(deltas):
            plain = self.apply(plain, delta, limit)
        return self.KINDS[kind], plain

    @staticmethod
    def apply(base, delta, limit):
        at = 0

        def number():
            nonlocal at
            value = shift = 0
            while True:
                byte, at = delta[at], at + 1
                value, shift = value | (byte & 127) << shift, shift + 7
                if not byte & 128:
                    return value
        need(number() == len(base), "a delta is of another base")
        size = number()
        need(size <= limit, "a delta makes an object that is too large")
        out = bytearray()
        while at < len(delta):
            op, at = delta[at], at + 1
            if op & 128:
                offset = length = 0
                for n in range(7):
                    if op >> n & 1:
                        if n < 4:
                            offset |= delta[at] << 8 * n
                        else:
                            length |= delta[at] << 8 * (n - 4)
                        at += 1
                length = length or 65536
                need(offset + length <= len(base), "a delta copies what is not in its base")
                out += base[offset:offset + length]
            else:
                need(op and at + op <= len(delta), "a delta ends too early")
                out += delta[at:at + op]
                at += op
            need(len(out) <= size, "a delta makes too much")
        need(len(out) == size, "a delta makes too little")
        return bytes(out)


class Git:
    """A bare git repository with SHA-1 ids (R5): objects, loose and packed, and refs."""
    LIMIT = 1 << 28                                                                     # L12

    def __init__(self, path):
        self.path = path
        self.packs = []
        folder = path + "/objects/pack"
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.startswith("pack-") and name.endswith(".pack"):
                try:
                    self.packs.append(GitPack(f"{folder}/{name}"))
                except (Bad, OSError) as e:
                    print(f"warning: {name}: {e}", file=sys.stderr)

    def loose(self, ident):
        """The kind and bytes of a loose object; None if there is none."""
        try:
            with open(f"{self.path}/objects/{ident[:2]}/{ident[2:]}", "rb") as f:
                stored = f.read(self.LIMIT + self.LIMIT // 64)
        except FileNotFoundError:
            return None
        plain = zlib.decompressobj().decompress(stored, self.LIMIT + 64)
        head, found, rest = plain.partition(b"\0")
        kind, _, size = head.partition(b" ")
        need(found and size.isdigit() and int(size) == len(rest), "not an object")
        return kind.decode(), rest

    def object(self, ident, kind=None):
        """The kind and bytes of an object, which is this kind if one is given."""
        why = []
        for place in [None, *self.packs]:
            try:
                if place is None:
                    found = self.loose(ident)
                else:
                    at = place.find(bytes.fromhex(ident))
                    found = None if at is None else place.read(at, self.LIMIT)
                if found is None:
                    continue
                head = f"{found[0]} {len(found[1])}\0".encode()
                need(hashlib.sha1(head + found[1]).hexdigest() == ident, "the hash does not match")
            except (Bad, OSError, zlib.error, IndexError, ValueError) as e:
                why.append(f"{place.name if place else 'loose'}: {e}")
                continue
            need(kind in (None, found[0]), f"git object {ident}: not a {kind}")
            return found
        raise Bad(f"git object {ident}: " + ("; ".join(why) or "not there"))

    def refs(self):
        """The refs and the ids they lead to."""
        found = {}
        try:
            with open(self.path + "/packed-refs", encoding="utf-8", errors="surrogateescape") as f:
                for line in f:
                    if re.match(r"[0-9a-f]{40} refs/", line):
                        found[line[41:].rstrip("\n")] = line[:40]
        except FileNotFoundError:
            pass
        for folder, _, names in os.walk(self.path + "/refs"):
            for name in names:
                if not name.endswith(".lock"):                                          # R16
                    with open(os.path.join(folder, name), "rb") as f:
                        text = f.read(4096).decode("utf-8", "surrogateescape").rstrip()
                    found[os.path.relpath(os.path.join(folder, name), self.path)] = text
        for name, text in list(found.items()):
            for _ in range(5):
                text = found.get(text[5:], "") if text.startswith("ref: ") else text
            if re.fullmatch("[0-9a-f]{40}", text):
                found[name] = text
            else:
                print(f"warning: {printable(name)}: not a ref that can be read", file=sys.stderr)
                del found[name]
        return found

    def peel(self, ident):
        """The commit that this commit or annotated tag leads to."""
        for _ in range(10):
            kind, data = self.object(ident)
            if kind == "commit":
                return ident
            need(kind == "tag" and re.match(rb"object [0-9a-f]{40}\n", data), f"{ident}: not a commit")
            ident = data[7:47].decode()
        raise Bad("a tag of a tag of a tag and so on")

    def commit(self, ident):
        """tree, parents, author, time and message."""
        head, _, message = self.object(ident, "commit")[1].partition(b"\n\n")
        tree = re.match(rb"tree ([0-9a-f]{40})(?:\n|$)", head)
        author = re.search(rb"^author (.*) (-?\d{1,18}) [+-]\d{4}$", head, re.M)
        need(tree and author, f"commit {ident}: not a commit")
        parents = re.findall(rb"^parent ([0-9a-f]{40})$", head, re.M)
        return (tree[1].decode(), [p.decode() for p in parents],
                author[1].decode("utf-8", "replace"), int(author[2]),
                message.decode("utf-8", "replace"))

    def tree(self, ident):
        """The entries of a tree: name, mode, id."""
        data, at = self.object(ident, "tree")[1], 0
        while at < len(data):
            space, zero = data.find(b" ", at), data.find(b"\0", at)
            need(at < space < zero <= len(data) - 21, f"tree {ident}: not a tree")
            yield (data[space + 1:zero].decode("utf-8", "surrogateescape"), int(data[at:space], 8),
                   data[zero + 1:zero + 21].hex())
            at = zero + 21

    def files(self, ident, above="", depth=1):
        """The paths and blobs of a tree (R6)."""
        need(depth <= 64, "a tree is too deep")
        for name, mode, item in self.tree(ident):
            need(name not in ("", ".", "..") and not re.search("[\0-\x1f\x7f/]", name)
                 and len(os.fsencode(name)) <= 255, f"tree {ident}: a name that is not allowed")
            if stat.S_ISDIR(mode):
                yield from self.files(item, above + name + "/", depth + 1)
            else:
                need(stat.S_ISREG(mode), f"{printable(above + name)}: neither a file nor a directory")
                yield above + name, item


# Packs


Entry = collections.namedtuple("Entry", "ident offset length plain_len part kind has_base")


class Pack:
    def __init__(self, path):
        self.name, self.data = os.path.basename(path), mapped(path)
        size = len(self.data)
        need(80 <= size <= 0xffffffff, "not a pack")                                    # P14
        need(self.data[:8] == b"VMSCMPAK" and self.data[10:16] == bytes(6), "not a pack")  # P4
        need(self.data[8:10] == b"\2\1", "a version that this reader does not know")    # P5
        self.end, count, rest = struct.unpack("<QII", self.data[-64:-48])               # P17
        need(self.data[-8:] == b"VMSCMEND" and rest == 0 and self.data[-40:-16] == bytes(24)
             and self.end >= 16 and count <= 1 << 24 and self.end + 48 * count + 64 == size,
             "the trailer is damaged")                                                  # P18
        self.ids = Table(self.data, self.end, 48, 32, count)

    def find(self, ident):
        n = self.ids.find(ident)
        if n is None:
            return None
        at = self.end + 48 * n                                                          # P15
        offset, length, rest = struct.unpack("<III", self.data[at + 36:at + 48])
        return Entry(ident, offset, length, (rest & 0xfffff) + 1, rest >> 20 & 511, rest >> 29 & 3,
                     rest >> 31 == 1)

    def record(self, entry):
        """Compression, bases' ids, lengths of the parts, and stored bytes of an entry's record."""
        offset, length = entry.offset, entry.length
        need(offset >= 16 and length >= 32 and offset + length <= self.end, "not a record")  # P16
        magic, kind, how, alg, nbases, plain, stored, nparts, rest = struct.unpack(
            "<4s4BIIII", self.data[offset:offset + 24])                                 # P9
        need(magic == b"VREC" and kind in (CHUNK, LEAF) and rest == 0 and nbases <= 8
             and 1 <= nparts <= 512, "not a record")
        need(alg == 1 and how in (0, 1), "an algorithm that this reader does not know")  # P8
        tables = 32 * nbases + (4 * nparts if nparts > 1 else 0)
        need(32 + tables + stored == length, "the record has another length")           # P16
        at = offset + 32
        bases = [self.data[n:n + 32] for n in range(at, at + 32 * nbases, 32)]
        at += 32 * nbases
        parts = struct.unpack(f"<{nparts}I", self.data[at:offset + 32 + tables]) if nparts > 1 else (plain,)
        need(all(1 <= n <= MIB for n in parts) and sum(parts) == plain <= 4 * MIB
             and 1 <= stored <= plain and (how == 1 or stored == plain), "wrong lengths")  # P10
        need(entry.part < nparts and parts[entry.part] == entry.plain_len and kind == entry.kind
             and bool(nbases) == entry.has_base, "the record is not what the index says")  # P16
        return how, bases, parts, self.data[offset + 32 + tables:offset + length]


def decompress(frame, length, prefix):
    need(frame[:4] == b"\x28\xb5\x2f\xfd", "not a Zstandard frame")                     # P7
    about = zstandard.get_frame_parameters(frame)
    need(about.dict_id == 0 and about.content_size in (length, zstandard.CONTENTSIZE_UNKNOWN),
         "the frame has another length")
    dictionary = zstandard.ZstdCompressionDict(
        prefix, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if prefix else None           # P11
    plain = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(
        frame, max_output_size=length, allow_extra_data=False)
    need(len(plain) == length, "the frame has another length")
    return plain


class Store:
    """Finds parts by id in all packs."""

    def __init__(self, repository):
        self.repository, self.packs, self.recent = repository, {}, collections.OrderedDict()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # a pack is a descriptor
        self.reload(["packs"])

    def reload(self, folders):
        known, self.packs = self.packs, {}
        for folder in folders:
            folder = f"{self.repository}/{folder}"
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                if re.fullmatch(r"pack-[0-9a-f]{32}\.vpk", name) and name not in self.packs:  # P20
                    try:
                        self.packs[name] = known.get(name) or Pack(f"{folder}/{name}")
                    except (Bad, OSError) as e:
                        print(f"warning: {name}: {e}", file=sys.stderr)

    def plain(self, pack, entry):
        """The plain bytes of an entry's record, and where its parts are."""
        how, bases, parts, data = pack.record(entry)
        key = pack.name, entry.offset
        if key in self.recent:
            self.recent.move_to_end(key)
            return self.recent[key], parts
        if how:
            prefix = b"".join(self.get(i, as_base=True) for i in bases)
            data = decompress(data, sum(parts), prefix)
        self.recent[key] = data
        if len(self.recent) > 16:                                                       # 64 MiB at most
            self.recent.popitem(last=False)
        return data, parts

    def get(self, ident, length=None, as_base=False):
        """The bytes with this id: the length, if it is known, is compared with theirs (P13)."""
        why = []
        for again in (False, True):
            if again:
                self.reload(["packs", "trash"])                                         # P22, R24
            for pack in list(self.packs.values()):
                entry = pack.find(ident)
                if entry is None or as_base and entry.has_base:                         # P11
                    continue
                try:
                    data, parts = self.plain(pack, entry)
                    start = sum(parts[:entry.part])
                    data = data[start:start + entry.plain_len]
                    need(hashlib.sha256(data).digest() == ident, "the hash does not match")
                    need(length in (None, len(data)), "it has another length")
                except (Bad, zstandard.ZstdError) as e:
                    why.append(f"{pack.name}: {e}")
                    continue
                self.packs = {pack.name: pack, **self.packs}  # what follows is likely there too
                return data
        raise Bad(f"{ident.hex()}: " + ("; ".join(dict.fromkeys(why)) or "not there"))


# Disks


def leaf_entries(leaf, length):
    """The lengths and chunks' ids, None for zeros, of a leaf of a segment of this length."""
    need(len(leaf) >= 16, "a leaf is too short")
    magic, version, alg, log, rest, covers, count = struct.unpack("<4s4BII", leaf[:16])  # L3
    need(magic == b"VLEF" and rest == 0, "not a leaf")
    need((version, alg, log) == (1, 1, 12), "a leaf of a version that this reader does not know")
    need(covers == length and 1 <= count <= 4096, "a leaf of another segment")          # L14
    at, left, zeros = 16, length, False
    for _ in range(count):
        need(at + 2 <= len(leaf) and left > 0, "a leaf is damaged")                     # L6
        word, = struct.unpack("<H", leaf[at:at + 2])                                    # L4
        blocks, ident, at = word & 0x7fff, None, at + 2
        if word & 0x8000:
            ident, at = leaf[at:at + 32], at + 32
        need(1 <= blocks <= (256 if ident else 4096), "a leaf is damaged")
        need(ident is not None or not zeros, "a leaf has zeros after zeros")            # L7
        need(blocks * BLOCK < left + BLOCK, "a leaf goes beyond its segment")           # L5
        zeros, size = ident is None, min(blocks * BLOCK, left)
        yield size, ident
        left -= size
    need(at == len(leaf) and left == 0, "a leaf does not end with its segment")         # L6


class Disk:
    def __init__(self, store, blob):
        need(len(blob) >= 24, "the disk map is too short")
        magic, version, alg, log, rest, size, count, rest2 = struct.unpack("<4s4BQII", blob[:24])  # L10
        need(magic == b"VMAP" and rest == rest2 == 0 and size <= 1 << 62, "not a disk map")
        need((version, alg, log) == (1, 1, 24), "a disk map of a version that this reader does not know")
        self.store, self.size, self.runs = store, size, []
        at, left = 24, -(-size // SEGMENT)
        for _ in range(count):
            need(at + 8 <= len(blob), "the disk map is too short")
            word, = struct.unpack("<Q", blob[at:at + 8])                                # L11
            kind, segments, leaf, at = word & 255, word >> 8, None, at + 8
            if kind == 1:
                leaf, at = blob[at:at + 32], at + 32
            need(kind < 2 and 1 <= segments <= left, "the disk map is damaged")
            need(not self.runs or self.runs[-1][1] != leaf, "two runs could be one")    # L12
            self.runs.append((segments, leaf))
            left -= segments
        need(at == len(blob) and left == 0, "the disk map does not end with the disk")

    def pieces(self, seen=None):
        """In the order of addresses, bytes, or a number of zeros. With a set, leaves and chunks
        that are in it are passed over as if they were zeros, and the others come into it."""
        at = 0
        for segments, leaf in self.runs:
            if leaf is None:
                length = min(segments * SEGMENT, self.size - at)
                yield length
                at += length
                continue
            for _ in range(segments):
                length, start = min(SEGMENT, self.size - at), at
                at += length
                if seen is not None and (leaf, length) in seen:
                    yield length
                    continue
                try:
                    for size, ident in leaf_entries(self.store.get(leaf), length):      # L16
                        if ident is None or seen is not None and (ident, size) in seen:
                            yield size
                        else:
                            yield self.store.get(ident, size)                           # L9
                        if ident and seen is not None:
                            seen.add((ident, size))
                        start += size
                except Bad as e:
                    raise Bad(f"at byte {start}: {e}") from None
                if seen is not None:
                    seen.add((leaf, length))

    def write(self, out):
        """To a file; where it has holes, to holes."""
        sparse = stat.S_ISREG(os.fstat(out.fileno()).st_mode) and "a" not in out.mode and out.tell() == 0 \
            and os.fstat(out.fileno()).st_size == 0
        for piece in self.pieces():
            if not isinstance(piece, int):
                out.write(piece)
            elif sparse:
                out.seek(piece, os.SEEK_CUR)
            else:
                for at in range(0, piece, MIB):
                    out.write(bytes(min(MIB, piece - at)))
        if sparse:
            out.truncate(self.size)
        out.flush()


# Revisions


def printable(text):
    return re.sub("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "?", text)


def no_twins(pairs):
    need(len(dict(pairs)) == len(pairs), "machine.json has a key twice")                # M1
    return dict(pairs)


class Repository:
    def __init__(self, path):
        need(os.path.isdir(path + "/git") and os.path.isdir(path + "/packs"),
             f"{path}: not a repository")                                               # R1
        with open(path + "/config", encoding="utf-8", errors="replace") as f:
            version = re.search(r"(?:^|\])\s*repositoryformatversion\s*=\s*(.*?)\s*$", f.read(), re.M | re.I)
        need(version and version[1] == "1", f"{path}: a layout that this reader does not know")  # R3
        self.git, self.store = Git(path + "/git"), Store(path)
        self.refs = self.git.refs()
        self.machines = {n[11:]: i for n, i in self.refs.items() if n.startswith("refs/heads/")}  # R8
        self.tags = {":".join(n[10:].rsplit("/", 1)): i for n, i in self.refs.items()
                     if n.startswith("refs/tags/") and "/" in n[10:]}                   # R9

    def history(self, *tips):
        """All revisions that lead to these, each before its parents' parents."""
        seen, todo = set(), collections.deque(tips)
        while todo:
            ident = todo.popleft()
            if ident not in seen:
                seen.add(ident)
                yield ident
                todo.extend(self.git.commit(ident)[1])

    def every(self):
        return self.history(*self.machines.values(), *(self.git.peel(i) for i in self.tags.values()))

    def revision(self, rev):
        """The commit that REV is, or None."""
        name, steps = re.fullmatch(r"(.*?)((?:\^|~\d*)*)", rev, re.S).groups()
        if name in self.machines or name in self.tags:
            ident = self.git.peel(self.machines.get(name) or self.tags[name])
        elif re.fullmatch("[0-9a-f]{40}", name):
            ident = self.git.peel(name)
        elif re.fullmatch("[0-9a-f]{4,39}", name):
            found = [i for i in self.every() if i.startswith(name)]
            need(len(found) < 2, f"{name}: several revisions begin with this")
            if not found:
                return None
            ident, = found
        else:
            return None
        for step in re.findall(r"\^|~\d*", steps):
            for _ in range(int(step[1:] or 1) if step != "^" else 1):
                parents = self.git.commit(ident)[1]
                need(parents, f"{rev}: there are not so many before it")
                ident = parents[0]                                                      # R7
        return ident

    def find(self, rev):
        ident = self.revision(rev)
        need(ident, f"{printable(rev)}: no such revision")
        return ident

    def contents(self, ident):
        """Files of a revision, by path, and its machine.json."""
        files = dict(self.git.files(self.git.commit(ident)[0]))
        need("machine.json" in files, f"{ident}: no machine.json")
        text = self.git.object(files["machine.json"], "blob")[1]
        need(len(text) <= MIB, "machine.json is too large")                             # M1
        try:
            machine = json.loads(text.decode("utf-8"), object_pairs_hook=no_twins)
            need(machine["version"] == 1, "machine.json is of a version that this reader does not know")
            disks = [(d["id"], d["size"]) for d in machine["disks"]]
            need(all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", i) and isinstance(s, int)
                     for i, s in disks) and len(dict(disks)) == len(disks), "machine.json is damaged")
        except (KeyError, TypeError, ValueError, RecursionError) as e:
            raise Bad(f"machine.json is damaged: {e!r}") from None
        return files, text, dict(disks)

    def disk(self, files, disks, name):
        need("disks/" + name in files, f"disk {name}: no disk map")                     # R6
        disk = Disk(self.store, self.git.object(files["disks/" + name], "blob")[1])
        need(disk.size == disks[name], f"disk {name}: the disk map is of another size")  # L13
        return disk

    def notes(self, ref, ident):
        """The blobs of the notes on a revision in a ref (R10)."""
        def look(tree, rest):
            for name, mode, item in self.git.tree(tree):
                if stat.S_ISDIR(mode) and len(name) == 2 and rest.startswith(name):
                    yield from look(item, rest[2:])
                elif name == rest:
                    yield self.git.object(item, "blob")[1]
        if ref in self.refs:
            yield from look(self.git.commit(self.refs[ref])[0], ident)

    def comments(self, ident):
        """The comments on a revision, oldest first."""
        found = []
        for note in self.notes("refs/notes/comments", ident):
            for line in note.splitlines():
                try:
                    c = json.loads(line.decode("utf-8"))
                    c = [c[k] for k in ("date", "author", "email", "text")]
                except (KeyError, TypeError, ValueError, RecursionError):
                    continue
                if all(isinstance(v, str) for v in c) and c[3]:
                    found.append(c)
        return sorted(found, key=lambda c: c[0])

    def is_pruned(self, ident):
        return any(True for _ in self.notes("refs/notes/pruned", ident))


# Commands


def do_list(repo):
    for name, ident in sorted({**repo.machines, **repo.tags}.items()):
        print(repo.git.peel(ident), printable(name))


def do_log(repo, rev):
    tags = collections.defaultdict(list)
    for name, ident in sorted(repo.tags.items()):
        tags[repo.git.peel(ident)].append(name)
    for ident in repo.history(repo.find(rev)):
        _, _, author, when, message = repo.git.commit(ident)
        when = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(0, when)
        print("revision", ident, *map(printable, tags[ident]))
        print(f"Author: {printable(author)}\nDate:   {when.isoformat()}\n")
        for line in message.splitlines():
            print("    " + printable(line))
        for date, author, email, text in repo.comments(ident):
            print(printable(f"\n    {author} <{email}> on {date}:"))
            for line in text.splitlines():
                print("    " + printable(line))
        print()


def do_show(repo, rev):
    sys.stdout.buffer.write(repo.contents(repo.find(rev))[1])


def do_cat(repo, what):
    rev, name = what, None
    ident = repo.revision(rev)
    if ident is None and ":" in what:
        rev, name = what.rsplit(":", 1)
        ident = repo.revision(rev)
    need(ident, f"{printable(what)}: no such revision")
    files, _, disks = repo.contents(ident)
    if name is None:
        need(len(disks) == 1, f"{printable(what)}: which disk? " + " ".join(disks))
        name, = disks
    need(name in disks, f"{printable(what)}: no such disk; there are: " + " ".join(disks))
    need(not sys.stdout.isatty(), "standard output is a terminal")
    try:
        repo.disk(files, disks, name).write(sys.stdout.buffer)
    except Bad as e:
        raise Bad(f"{e} (the revision was pruned)" if repo.is_pruned(ident) else str(e)) from None


def do_restore(repo, rev, folder):
    files, text, disks = repo.contents(repo.find(rev))
    os.mkdir(folder)
    for path, ident in files.items():
        if path.startswith("config/"):
            os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
            with open(f"{folder}/{path}", "xb") as f:
                f.write(repo.git.object(ident, "blob")[1])
    with open(folder + "/machine.json", "xb") as f:
        f.write(text)
    for name in disks:
        with open(f"{folder}/{name}.raw", "xb") as f:
            repo.disk(files, disks, name).write(f)


def do_verify(repo, rev=None):
    bad, seen = 0, set()
    for ident in [repo.find(rev)] if rev else repo.every():
        try:
            files, _, disks = repo.contents(ident)
            for name in disks:
                for _ in repo.disk(files, disks, name).pieces(seen):
                    pass
        except Bad as e:
            if repo.is_pruned(ident):
                print(ident, "pruned")
                continue
            bad += 1
            print(f"{ident}: {e}")
        else:
            print(ident, "ok")
    need(not bad, f"{bad} revisions are damaged")


COMMANDS = {"list": (do_list, 0, 0), "log": (do_log, 1, 1), "show": (do_show, 1, 1), "cat": (do_cat, 1, 1),
            "restore": (do_restore, 2, 2), "verify": (do_verify, 0, 1)}


def main(args):
    run, least, most = COMMANDS.get(args[1] if len(args) > 1 else "", (None, 0, 0))
    if run is None or not least <= len(args) - 2 <= most:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    try:
        run(Repository(args[0]), *args[2:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (Bad, OSError) as e:
        print(f"vmscm_read.py: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
