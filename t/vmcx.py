#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes a .vmcx, as Hyper-V's configurations are since 2016, of a JSON object on standard input, by the layout
# that machine/vmcx.h gives:  vmcx.py [KEY=VALUE...] >FILE
# Keys: version, log (entries of the replay log), loop (1: a key is below itself).
import json, struct, sys

options = dict(word.split('=') for word in sys.argv[1:])
table = bytearray(struct.pack('<HHHI', 2, 1, 7, 0))
older = bytearray(struct.pack('<HHHI', 2, 1, 6, 0)) + b'\xff' * 64


def entry(kind, parent, name, value):
    at = len(table)
    name = name.encode() + b'\0'
    if kind == 9:
        value = bytes(12)
    size = 21 + len(name) + len(value)
    table.extend(struct.pack('<BBIHIIIB', kind, 0, size, 1 if parent else 0, parent, 0, 0, len(name)))
    table.extend(name + value)
    return at


def add(parent, name, value):
    if isinstance(value, dict):
        node = entry(9, parent, name, b'')
        if options.get('loop') and parent:
            struct.pack_into('<I', table, node + 8, node)
        for key, below in value.items():
            add(node, key, below)
    elif isinstance(value, bool):
        entry(8, parent, name, struct.pack('<I', value))
    elif isinstance(value, int):
        entry(3 + (value >= 0), parent, name, struct.pack('<q', value))
    else:
        text = value.encode('utf-16-le')
        entry(6, parent, name, struct.pack('<I', len(text)) + text)


entry(1, 0, 'free', b'')
for key, value in json.load(sys.stdin).items():
    add(0, key, value)
table.extend(bytes(21))
log, before, tables = 0x2400, 0x2480, 0x2600
version = int(options.get('version', '0x400'), 0)
out = b''
for number in (1, 2):
    head = struct.pack('<IIHIQIQQI', 0x01282014, 0, number, version, 0, 0x1000, log, 0x1000, 0x1000)
    out += head.ljust(0x1000, b'\0')
objects = [(2, tables, len(table), 1), (2, before, len(older), 1), (3, 0x100, 0x100, 1),
           (2, 0x7fffffff, 0x100, 0)]
out += struct.pack('<II', 0x01110001, len(objects))
for kind, offset, size, used in objects:
    out += struct.pack('<BIQIB', kind, 0, offset, size, used)
out = out.ljust(log, b'\0') + struct.pack('<III', 0x01110003, 0, int(options.get('log', '0')))
out = out.ljust(before, b'\0') + bytes(older)
out = out.ljust(tables, b'\0') + bytes(table)
sys.stdout.buffer.write(out)
