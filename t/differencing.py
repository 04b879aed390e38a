#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes a differencing image, as no program of Debian's does, from the formats' specifications:
#   differencing.py vhd|vhdx|vdi|hds CHILD PARENT OLD NEW
# PARENT is an image of the same format (made by qemu-img, or by this) of the raw disk OLD; CHILD becomes the
# difference to it of the raw disk NEW, of the same size. In vhd and vhdx single sectors are the parent's, and
# a block that has become zeros is said to be that in vhdx and vdi. hds is Parallels' and OpenVZ's format.
import os, struct, sys, uuid

SECTOR = 512


def crc32c(data):
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def sealed(data):
    return data[:4] + struct.pack('<I', crc32c(data[:4] + bytes(4) + data[8:])) + data[8:]


def blocks(old, new, size):
    for at in range(0, len(new), size):
        a, b = old[at:at + size], new[at:at + size]
        yield a.ljust(size, b'\0'), b.ljust(size, b'\0')


def changed(a, b):
    return [a[i:i + SECTOR] != b[i:i + SECTOR] for i in range(0, len(a), SECTOR)]


def vhd(parent, name, old, new):
    footer = parent[:512]
    if footer[:8] != b'conectix':
        footer = parent[-512:]
    size = 2 << 20
    header, table, data = 512, 512 + 1024, bytearray()
    count = (len(new) + size - 1) // size
    start = (table + 4 * count + 511) // 512 * 512
    bat = []
    for a, b in blocks(old, new, size):
        bits = changed(a, b)
        if not any(bits):
            bat.append(0xFFFFFFFF)
            continue
        bat.append((start + len(data)) // 512)
        bitmap = bytearray(size // SECTOR // 8)
        for i, bit in enumerate(bits):
            bitmap[i // 8] |= bit << 7 - i % 8
        # What is the parent's may be anything here.
        data += bytes(bitmap) + b''.join(
            b[i * 512:i * 512 + 512] if bit else b'\xee' * 512 for i, bit in enumerate(bits))

    def summed(text, at):
        text = text[:at] + bytes(4) + text[at + 4:]
        return text[:at] + struct.pack('>I', ~sum(text) & 0xFFFFFFFF) + text[at + 4:]
    own = bytearray(footer)
    own[16:24] = struct.pack('>Q', header)
    own[60:64] = struct.pack('>I', 4)
    own[68:84] = uuid.uuid4().bytes
    own = summed(bytes(own), 64)
    sparse = struct.pack('>8sQQIII', b'cxsparse', 0xFFFFFFFFFFFFFFFF, table, 0x10000, count, size)
    sparse += bytes(4) + footer[68:84] + bytes(8) + name.encode('utf-16-be').ljust(512, b'\0')
    sparse = summed(sparse.ljust(1024, b'\0'), 36)
    out = own + sparse + struct.pack('>%dI' % count, *bat)
    return out.ljust(start, b'\xff') + bytes(data) + own


def vhdx(parent, name, old, new):
    size, mib = 2 << 20, 1 << 20
    heads = [parent[at:at + 4096] for at in (65536, 131072)]
    current = max(heads, key=lambda h: struct.unpack('<Q', h[8:16])[0])
    linkage = uuid.UUID(bytes_le=current[32:48])

    def guid(text):
        return uuid.UUID(text).bytes_le
    ratio = (1 << 23) * SECTOR // size
    count = (len(new) + size - 1) // size
    chunks = (count + ratio - 1) // ratio
    bat = [0] * (chunks * (ratio + 1))
    bitmaps = [bytearray(mib) for _ in range(chunks)]
    data, start = bytearray(), 4 * mib + chunks * mib
    for n, (a, b) in enumerate(blocks(old, new, size)):
        chunk, entry = n // ratio, n + n // ratio
        bits = changed(a, b)
        if not any(bits):
            continue
        if not any(b):
            bat[entry] = 2
            continue
        whole = all(bits)
        bat[entry] = start + len(data) | (6 if whole else 7)
        for i, bit in enumerate(bits):
            k = n % ratio * (size // SECTOR) + i
            bitmaps[chunk][k // 8] |= bit << k % 8
        data += b if whole else b''.join(
            b[i * 512:i * 512 + 512] if bit else b'\xee' * 512 for i, bit in enumerate(bits))
    for chunk in range(chunks):
        bat[(chunk + 1) * ratio + chunk] = 4 * mib + chunk * mib | 6
    entries = [('relative_path', '.\\' + name), ('parent_linkage', '{%s}' % linkage),
               ('absolute_win32_path', 'C:\\VMs\\Virtual Hard Disks\\' + name)]
    texts, table = b'', b''
    for key, value in entries:
        key, value = key.encode('utf-16-le'), value.encode('utf-16-le')
        at = 20 + 12 * len(entries) + len(texts)
        table += struct.pack('<IIHH', at, at + len(key), len(key), len(value))
        texts += key + value
    locator = guid('b04aefb7-d19e-4a81-b789-25b8e9445913') + struct.pack('<HH', 0, len(entries))
    locator += table + texts
    items = [('caa16737-fa36-4d43-b3b6-33f0aa44e76b', struct.pack('<II', size, 2), 4),
             ('2fa54224-cd1b-4876-b211-5dbed83bf4b8', struct.pack('<Q', len(new)), 6),
             ('beca12ab-b2e6-4523-93ef-c309e000c746', uuid.uuid4().bytes, 6),
             ('8141bf1d-a96f-4709-ba47-f233a8faab5f', struct.pack('<I', 512), 6),
             ('cda348c7-445d-4471-9cc9-e9885251c556', struct.pack('<I', 4096), 6),
             ('a8d35f2d-b30b-454d-abf7-d3d84834ab0c', locator, 4)]
    meta, values, at = b'metadata' + struct.pack('<HH', 0, len(items)) + bytes(20), b'', 65536
    for kind, value, flags in items:
        meta += guid(kind) + struct.pack('<IIII', at + len(values), len(value), flags, 0)
        values += value
    meta = meta.ljust(65536, b'\0') + values
    regions = b'regi' + struct.pack('<III', 0, 2, 0)
    regions += guid('2dc27766-f623-4200-9d64-115e9bfd4a08') + struct.pack('<QII', 3 * mib, mib, 1)
    regions += guid('8b7ca206-4790-4b9a-b8fe-575f050f886e') + struct.pack('<QII', 2 * mib, mib, 1)
    regions = sealed(regions.ljust(65536, b'\0'))
    header = b'head' + struct.pack('<IQ', 0, 1) + uuid.uuid4().bytes + uuid.uuid4().bytes + bytes(16)
    header += struct.pack('<HHIQ', 0, 1, mib, mib)
    header = sealed(header.ljust(4096, b'\0'))
    out = b'vhdxfile' + 'by hand'.encode('utf-16-le')
    for at, piece in ((65536, header), (131072, header), (196608, regions), (262144, regions),
                      (2 * mib, meta), (3 * mib, struct.pack('<%dQ' % len(bat), *bat))):
        out = out.ljust(at, b'\0') + piece
    return out.ljust(4 * mib, b'\0') + b''.join(bitmaps) + bytes(data)


def vdi(parent, name, old, new):
    size = 1 << 20
    count = (len(new) + size - 1) // size
    start = (512 + 4 * count + 511) // 512 * 512
    table, data = [], bytearray()
    for a, b in blocks(old, new, size):
        if a == b:
            table.append(0xFFFFFFFF)
        elif not any(b):
            table.append(0xFFFFFFFE)
        else:
            table.append(len(data) // size)
            data += b
    head = bytearray(parent[:512])
    struct.pack_into('<I', head, 0x4C, 4)
    struct.pack_into('<II', head, 0x154, 512, start)
    struct.pack_into('<II', head, 0x180, count, len(data) // size)
    head[0x1A8:0x1B8] = parent[0x188:0x198]
    head[0x1B8:0x1C8] = parent[0x198:0x1A8]
    head[0x188:0x198] = uuid.uuid4().bytes_le
    head[0x198:0x1A8] = uuid.uuid4().bytes_le
    out = bytes(head) + struct.pack('<%dI' % count, *table)
    return out.ljust(start, b'\0') + bytes(data)


def hds(parent, name, old, new):
    size = struct.unpack_from('<I', parent, 28)[0] * SECTOR
    count = (len(new) + size - 1) // size
    first = (64 + 4 * count + size - 1) // size
    table, data = [], bytearray()
    for a, b in blocks(old, new, size):
        if a == b:
            table.append(0)
        else:
            table.append(first + len(data) // size)
            data += b
    head = bytearray(parent[:64])
    struct.pack_into('<I', head, 32, count)
    struct.pack_into('<I', head, 44, 0)
    struct.pack_into('<I', head, 48, first * size // SECTOR)
    out = bytes(head) + struct.pack('<%dI' % count, *table)
    return out.ljust(first * size, b'\0') + bytes(data)


form, child, parent, old, new = sys.argv[1:]
make = {'vhd': vhd, 'vhdx': vhdx, 'vdi': vdi, 'hds': hds}[form]
image = make(open(parent, "rb").read(), os.path.basename(parent),
             open(old, 'rb').read(), open(new, 'rb').read())
with open(child, 'wb') as out:
    out.write(image)
