# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Small disks that have of an operating system what inspection looks at.

# phony_hive FILE: an empty registry hive
phony_hive() {
    python3 - "$1" <<'END'
import struct, sys
base = bytearray(4096)
base[0:4] = b"regf"
struct.pack_into("<IIQIIIIIII", base, 4, 1, 1, 0, 1, 3, 0, 1, 32, 4096, 1)
check = 0
for n in struct.unpack_from("<127I", base):
    check ^= n
struct.pack_into("<I", base, 508, check)
page = bytearray(4096)
page[0:4] = b"hbin"
struct.pack_into("<II", page, 4, 0, 4096)
name = b"ROOT"
struct.pack_into("<i2sH", page, 32, -96, b"nk", 0x2c)
struct.pack_into("<IIIIIIIII", page, 32 + 4 + 16, 0, 0, 0, 0xffffffff, 0xffffffff, 0,
                 0xffffffff, 128, 0xffffffff)
struct.pack_into("<IIIIIHH", page, 32 + 4 + 52, 0, 0, 0, 0, 0, len(name), 0)
page[32 + 4 + 76:32 + 4 + 76 + len(name)] = name
# The security descriptor that all keys share; its neighbours are itself.
desc = struct.pack("<BBHIIII", 1, 0, 0x8000, 0, 0, 0, 0)
struct.pack_into("<i2sHIIII", page, 32 + 96, -48, b"sk", 0, 128, 128, 1, len(desc))
page[32 + 96 + 24:32 + 96 + 24 + len(desc)] = desc
struct.pack_into("<i", page, 32 + 96 + 48, 4096 - 32 - 96 - 48)
open(sys.argv[1], "wb").write(base + page)
END
}

# phony_merge HIVE PREFIX <REG: what regedit would export, without its first line. hivexregedit makes no
# parents, and wants empty lines: both come before each key.
phony_merge() {
    PREFIX=$2 awk '
        BEGIN { prefix = ENVIRON["PREFIX"]; print "Windows Registry Editor Version 5.00\n"; depth = split(prefix, part, /\\/) }
        /^\[/ {
            print ""
            n = split(substr($0, 2, length($0) - 2), part, /\\/)
            path = prefix
            for (i = depth + 1; i < n; i++) {
                path = path "\\" part[i]
                if (!seen[path]++)
                    print "[" path "]\n"
            }
        }
        { print }' >"$1.reg" &&
        hivexregedit --merge --prefix "$2" "$1" "$1.reg" && rm "$1.reg"
}

# phony_windows DISK SOFTWARE-REG SYSTEM-REG HOSTNAME [DIR]: a disk with one NTFS partition. The two files are
# added to what every Windows has, and what is in DIR to its files. PHONY_BOOTED: when the key PrefetchParameters,
# which there has to be then, was last written.
phony_windows() {
    local disk=$1 dir system
    dir=$(mktemp -d "$PWD/phony.XXXXXX") || return 1
    phony_hive "$dir/SOFTWARE" && phony_hive "$dir/SYSTEM" &&
        phony_merge "$dir/SOFTWARE" 'HKEY_LOCAL_MACHINE\SOFTWARE' <"$2" &&
        phony_merge "$dir/SYSTEM" 'HKEY_LOCAL_MACHINE\SYSTEM' <<END &&
[HKEY_LOCAL_MACHINE\\SYSTEM\\Select]
"Current"=dword:00000001
"Default"=dword:00000001

[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters]
"Hostname"="$4"

[HKEY_LOCAL_MACHINE\\SYSTEM\\MountedDevices]
END
        phony_merge "$dir/SYSTEM" 'HKEY_LOCAL_MACHINE\SYSTEM' <"$3" &&
        { [ -z "${PHONY_BOOTED:-}" ] || phony_written "$dir/SYSTEM" PrefetchParameters "$PHONY_BOOTED"; } &&
        truncate -s 63M "$dir/ntfs" && mkntfs -q -F -f "$dir/ntfs" >/dev/null 2>&1 &&
        mkdir "$dir/mnt" && ntfs-3g "$dir/ntfs" "$dir/mnt" || return 1
    system=$dir/mnt/WINDOWS/system32
    mkdir -p "$system/config" "$dir/mnt/Documents and Settings" "$dir/mnt/Program Files" &&
        cp "$dir/SOFTWARE" "$dir/SYSTEM" "$system/config" &&
        phony_program >"$system/cmd.exe" &&
        touch "$dir/mnt/autoexec.bat" && { [ $# -lt 5 ] || cp -r "$5/." "$dir/mnt"; }
    umount "$dir/mnt" || return 1
    truncate -s 64M "$disk" && echo '2048,,7,*' | sfdisk -q "$disk" &&
        dd if="$dir/ntfs" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
    rm -rf "$dir"
}

# phony_time DATE: as Windows keeps it, 100 ns since 1601, in hexadecimal bytes
phony_time() {
    local ticks bytes
    ticks=$((($(date -d "$1" +%s) + 11644473600) * 10000000))
    printf -v bytes %016x $ticks
    echo "${bytes:14:2},${bytes:12:2},${bytes:10:2},${bytes:8:2},${bytes:6:2},${bytes:4:2},${bytes:2:2},${bytes:0:2}"
}

# phony_halves DATE: the same as servicing keeps it, two values of a package
phony_halves() {
    local ticks=$((($(date -d "$1" +%s) + 11644473600) * 10000000))
    printf '"InstallTimeHigh"=dword:%08x\n"InstallTimeLow"=dword:%08x\n' $((ticks >> 32)) $((ticks & 0xffffffff))
}

# phony_written HIVE KEY DATE: when a key of this name was last written, which no tool sets
phony_written() {
    python3 - "$1" "$2" "$(phony_time "$3")" <<'END'
import struct, sys
hive = bytearray(open(sys.argv[1], "rb").read())
name = sys.argv[2].encode()
at = -1
while True:
    at = hive.index(b"nk", at + 1)
    if struct.unpack_from("<H", hive, at + 72)[0] == len(name) and hive[at + 76:at + 76 + len(name)] == name:
        break
hive[at + 4:at + 12] = bytes.fromhex(sys.argv[3].replace(",", ""))
open(sys.argv[1], "wb").write(hive)
END
}

# phony_user HIVE <REG: a user's hive with these keys of HKEY_CURRENT_USER
phony_user() {
    phony_hive "$1" && phony_merge "$1" 'HKEY_CURRENT_USER'
}

# phony_accounts HIVE: a hive SAM with Administrator, who came at 2026-02-03 04:05:06, and a disabled Guest
phony_accounts() {
    phony_hive "$1" && phony_merge "$1" 'HKEY_LOCAL_MACHINE\SAM' <<'END'
[HKEY_LOCAL_MACHINE\SAM\SAM\Domains\Account]
"V"=hex:00,00,00,00,01,00,00,00,02,00,00,00,03,00,00,00

[HKEY_LOCAL_MACHINE\SAM\SAM\Domains\Account\Users\000001F4]
"F"=hex:02,00,01,00,00,00,00,00,00,45,98,47,c2,94,dc,01,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,f4,01,00,00,01,02,00,00,10,02,00,00,00,00,00,00
"V"=hex:53,45,43,52,45,54

[HKEY_LOCAL_MACHINE\SAM\SAM\Domains\Account\Users\000001F5]
"F"=hex:02,00,01,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,f5,01,00,00,01,02,00,00,11,02,00,00,00,00,00,00

[HKEY_LOCAL_MACHINE\SAM\SAM\Domains\Account\Users\Names\Administrator]
@=hex(1f4):

[HKEY_LOCAL_MACHINE\SAM\SAM\Domains\Account\Users\Names\Guest]
@=hex(1f5):

[HKEY_LOCAL_MACHINE\SAM\SAM\Domains\Builtin\Aliases\Names\Administrators]
@=hex(220):
END
}

# A program for Windows that `file` tells as such, of which nothing runs: for 32 bits, or those of PHONY_BITS.
phony_program() {
    python3 -c '
import struct, sys
wide = sys.argv[1] == "64"
dos = bytearray(128)
dos[0:2] = b"MZ"
struct.pack_into("<I", dos, 0x3c, 128)
size = 240 if wide else 224
coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664 if wide else 0x14c, 1, 0, 0, 0, size, 0x10f)
optional = bytearray(size)
struct.pack_into("<H", optional, 0, 0x20b if wide else 0x10b)
struct.pack_into("<H", optional, 68, 3)
sys.stdout.buffer.write(bytes(dos) + coff + bytes(optional) + bytes(512))' "${PHONY_BITS:-32}"
}

# phony_linux ROOT FSTAB-DEVICE NAME <OS-RELEASE: what is looked at of a Linux
phony_linux() {
    mkdir -p "$1/etc" "$1/bin" "$1/dev" "$1/usr/lib" &&
        cat >"$1/etc/os-release" &&
        echo "$2 / auto defaults 0 1" >"$1/etc/fstab" &&
        echo "$3" >"$1/etc/hostname" &&
        cp /bin/true "$1/bin/ls" && cp /bin/true "$1/bin/bash"
}

# phony_hash SQLITE FILE, phony_ndb SQLITE FILE: a database that rpm made, as Berkeley DB's and as an ndb. Debian's rpm
# can write neither: the one is made by db_load; of the other there is no tool, it is written by rpm's description.
phony_hash() {
    python3 - "$1" <<'END' | "$(command -v db5.3_load || command -v db_load)" "$2"
import sqlite3, struct, sys
print("VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END")
rows = list(sqlite3.connect(sys.argv[1]).execute("SELECT hnum, blob FROM Packages"))
# Under 0 rpm has the last number that it gave.
for number, blob in [(0, struct.pack("<I", len(rows)))] + rows:
    print(" " + struct.pack("<I", number).hex() + "\n " + blob.hex())
print("DATA=END")
END
}
phony_ndb() {
    python3 - "$1" "$2" <<'END'
import sqlite3, struct, sys, zlib
slots, blobs, block = b"", b"", 256
rows = list(sqlite3.connect(sys.argv[1]).execute("SELECT hnum, blob FROM Packages"))
for number, blob in rows:
    whole = b"BlbS" + struct.pack("<III", number, 0, len(blob)) + blob
    whole += bytes(-(len(whole) + 12) % 16)
    whole += struct.pack("<II", zlib.adler32(whole), len(blob)) + b"BlbE"
    slots += b"Slot" + struct.pack("<III", number, block, len(whole) // 16)
    block += len(whole) // 16
    blobs += whole
head = b"RpmP" + struct.pack("<IIII", 0, 1, 1, len(rows) + 1)
head += bytes(32 - len(head)) + slots
while len(head) < 4096:
    head += b"Slot" + bytes(12)
open(sys.argv[2], "wb").write(head + blobs)
END
}
