# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# XVA archives for tests, made by the format's description and not by vmscm.

# What has the module; empty: none.
xva_python=$(python_with xxhash)

# xva FILE RAW [CODE]: a machine of two CPUs whose disk is RAW. CODE is run for it, and may change what will be
# written: blocks, a list of (number, bytes), the digest's kind `sum`, the text `ova`, the list `extra` of
# (name, bytes) that come after ova.xml; or call, for each member, a function `hook(name, bytes)`, whose list
# of members is put instead.
xva() {
    "$xva_python" - "$1" "$2" <<END
import hashlib, io, sys, tarfile
import xxhash
data = open(sys.argv[2], 'rb').read()
BLOCK = 1 << 20
sum, extra, hook = 'xxhash', [], lambda name, bytes: [(name, bytes)]
blocks = []
for n, at in enumerate(range(0, len(data), BLOCK)):
    piece = data[at:at + BLOCK]
    if piece.strip(b'\0') or at == 0 or at + BLOCK >= len(data):
        blocks.append((n, piece))
def member(name, value):
    return '<member><name>%s</name><value>%s</value></member>' % (name, value)
def struct(*members):
    return '<struct>' + ''.join(members) + '</struct>'
def obj(kind, id, *fields):
    return '<value>' + struct(member('class', kind), member('id', id), member('snapshot', struct(*fields))) + '</value>'
size = len(data)
objects = [
    obj('VM', 'Ref:0', member('name_label', 'xen &amp; box'), member('VCPUs_max', '4'), member('VCPUs_at_startup', '2'),
        member('memory_dynamic_max', '<string>2147483648</string>'), member('is_a_snapshot', '<boolean>0</boolean>'),
        member('HVM_boot_params', struct(member('firmware', 'uefi'))),
        member('platform', struct(member('secureboot', 'true'))), member('other_config', struct())),
    obj('VM', 'Ref:1', member('name_label', 'old'), member('is_a_snapshot', '<boolean>1</boolean>')),
    obj('VBD', 'Ref:2', member('VM', 'Ref:0'), member('VDI', 'OpaqueRef:NULL'), member('type', 'CD'), member('userdevice', '3')),
    obj('VBD', 'Ref:3', member('VM', 'Ref:0'), member('VDI', 'Ref:7'), member('type', 'Disk'), member('userdevice', '1')),
    obj('VDI', 'Ref:7', member('virtual_size', str(size)), member('name_label', 'disk')),
    obj('VIF', 'Ref:4', member('VM', 'Ref:0'), member('device', '0'), member('MAC', '52:54:00:AB:00:01'), member('network', 'Ref:5')),
    obj('network', 'Ref:5', member('name_label', 'LAN')),
]
ova = '<value>' + struct(member('version', struct(member('export_vsn', '2'))),
    member('objects', '<array><data>' + ''.join(objects) + '</data></array>')) + '</value>'
${3:-}
out = tarfile.open(sys.argv[1], 'w', format=tarfile.USTAR_FORMAT)
def put(name, bytes):
    for n, b in hook(name, bytes):
        info = tarfile.TarInfo(n)
        info.size = len(b)
        out.addfile(info, io.BytesIO(b))
put('ova.xml', ova.encode())
for name, bytes in extra:
    put(name, bytes)
for n, piece in blocks:
    name = 'Ref:7/%08d' % n
    put(name, piece)
    if sum == 'xxhash':
        put(name + '.xxhash', xxhash.xxh64(piece).hexdigest().upper().encode())
    elif sum:
        put(name + '.checksum', hashlib.sha1(piece).hexdigest().encode())
out.close()
END
}
