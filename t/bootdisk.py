#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes a raw disk of 16 MiB in place that boots by BIOS:  bootdisk.py FILE SECTOR TEXT
# Its boot sector reads SECTOR through the BIOS, writes the TEXT that is there to the first serial port, and
# ends the emulator by its isa-debug-exit device at port 0xf4, with status 33.
import struct, sys

path, sector, text = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
code = bytes.fromhex(
    '31c0 8ed8 8ec0 8ed0 bc007c'      # no segments, a stack
    ' be407c b442 cd13 7212'          # read what the packet at 0x7c40 says, or stop
    ' be0080 ac 84c0 7406'            # each byte from 0x8000 up to a zero
    ' baf803 ee ebf5'                 # to the serial port
    ' baf400 b010 ee f4 ebfd')        # the end
jump = code.index(b'\x72\x12') + 2
stop = code.index(b'\xf4\xeb')
code = code[:jump - 1] + bytes([stop - jump]) + code[jump:]
packet = struct.pack('<BBHHHQ', 16, 0, 1, 0x8000, 0, sector)
boot = code.ljust(0x40, b'\0') + packet
with open(path, 'wb') as out:
    out.truncate(16 << 20)
    out.write(boot.ljust(510, b'\0') + b'\x55\xaa')
    out.seek(sector * 512)
    out.write(text + b'\r\n\0')
