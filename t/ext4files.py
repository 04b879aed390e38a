#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Usage: ext4files.py ARCHIVE IMAGE: hold an ext4 file system, through debugfs, against a tar archive whose members are
# there once each: names, types, modes, owners, times, links, devices, attributes, content, holes. Prints what differs.
import hashlib, os, re, subprocess, sys, tarfile, tempfile

archive, image = sys.argv[1:3]


def debugfs(commands):
    with tempfile.NamedTemporaryFile("w", encoding="latin-1") as script:
        script.write("\n".join(commands) + "\n")
        script.flush()
        out = subprocess.run(["debugfs", "-f", script.name, image], capture_output=True, check=True).stdout
    return out.decode("latin-1").split("debugfs: ")[1:]


def quoted(name):
    return '"/' + name.replace('"', '""') + '"'


def plain(name):
    name = re.sub(r"^(\./+)+", "", name + "/").rstrip("/")
    return ("" if name == "." else name).encode("utf-8", "surrogateescape").decode("latin-1")


tar = tarfile.open(archive, encoding="utf-8", errors="surrogateescape")
members = {}
for m in tar:
    members[plain(m.name)] = m
names = sorted(members)
stats = dict(zip(names, debugfs([f"stat {quoted(n)}" for n in names])))
attributes = dict(zip(names, debugfs([f"ea_list {quoted(n)}" for n in names])))
wrong = []


def field(name, pattern, text):
    found = re.search(pattern, text)
    return found.group(1) if found else None


def expect(name, what, is_, should):
    if is_ != should:
        wrong.append(f"{name or '.'}: {what} is {is_}, not {should}")


types = {tarfile.REGTYPE: "regular", tarfile.AREGTYPE: "regular", tarfile.GNUTYPE_SPARSE: "regular",
         tarfile.SYMTYPE: "symlink", tarfile.DIRTYPE: "directory", tarfile.FIFOTYPE: "FIFO",
         tarfile.CHRTYPE: "character special", tarfile.BLKTYPE: "block special"}
with tempfile.TemporaryDirectory() as scratch:
    regular = [n for n in names if members[n].isreg()]
    debugfs([f"dump {quoted(n)} {scratch}/{i}" for i, n in enumerate(regular)])
    for i, n in enumerate(regular):
        with tar.extractfile(members[n]) as should, open(f"{scratch}/{i}", "rb") as is_:
            expect(n, "content", hashlib.sha256(is_.read()).hexdigest(), hashlib.sha256(should.read()).hexdigest())
for n in names:
    m, text = members[n], stats[n]
    inode = field(n, r"Inode: (\d+)", text)
    if m.islnk():
        expect(n, "hard link", inode, field(n, r"Inode: (\d+)", stats[plain(m.linkname)]))
        continue
    expect(n, "type", field(n, r"Type: (.*?)\s+Mode", text), types[m.type])
    expect(n, "mode", int(field(n, r"Mode:\s+(\d+)", text) or "0", 8), m.mode & 0o7777)
    expect(n, "owner", int(field(n, r"User:\s+(-?\d+)", text)) & 0xffffffff, m.uid)
    expect(n, "group", int(field(n, r"Group:\s+(-?\d+)", text)) & 0xffffffff, m.gid)
    seconds, extra = re.search(r"mtime: 0x([0-9a-f]+):([0-9a-f]+)", text).groups()
    low, extra = int(seconds, 16), int(extra, 16)
    low -= (low >> 31) << 32
    time = m.pax_headers.get("mtime", str(m.mtime))
    whole, _, part = time.partition(".")
    expect(n, "time", (low + ((extra & 3) << 32), extra >> 2), (int(whole), int((part + "000000000")[:9])))
    if m.isreg():
        expect(n, "size", field(n, r"Size: (\d+)", text), str(m.size))
        if m.issparse():
            stored = sum(length // 4096 + 2 for _, length in m.sparse) * 8
            expect(n, "sparse", int(field(n, r"Blockcount: (\d+)", text)) <= stored, True)
    if m.issym():
        long = len(m.linkname) >= 60
        expect(n, "target", None if long else field(n, r'Fast link dest: "(.*)"', text), None if long else m.linkname)
        expect(n, "target's length", field(n, r"Size: (\d+)", text), str(len(m.linkname)))
    if m.ischr() or m.isblk():
        expect(n, "device", tuple(int(d) for d in re.search(r"number: (\d+):(\d+)", text).groups()), (m.devmajor, m.devminor))
    for key in m.pax_headers:
        if key.startswith("SCHILY.xattr."):
            expect(n, key[13:], key[13:] + " (" in attributes[n], True)

# Nothing else is there.
listed = {""}
todo = [n for n in names if members[n].isdir()] + ([] if "" in members else [""])
for directory, text in zip(todo, debugfs([f"ls -p {quoted(n)}" for n in todo])):
    for line in text.splitlines():
        part = line.split("/")
        if len(part) > 5 and part[1] != "0" and part[5] not in (".", ".."):
            listed.add((directory + "/" if directory else "") + part[5])
for n in sorted(listed - set(names) - {"", "lost+found"}):
    wrong.append(f"{n}: is no member")
for n in sorted(set(names) - listed):
    wrong.append(f"{n}: is not listed")
print("\n".join(wrong[:40]) or f"{len(names)} members are there")
sys.exit(bool(wrong))
