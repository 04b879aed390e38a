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

# phony_windows DISK SOFTWARE-REG SYSTEM-REG HOSTNAME: a disk with one NTFS partition. The two files are
# added to what every Windows has.
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
        truncate -s 63M "$dir/ntfs" && mkntfs -q -F -f "$dir/ntfs" >/dev/null 2>&1 &&
        mkdir "$dir/mnt" && ntfs-3g "$dir/ntfs" "$dir/mnt" || return 1
    system=$dir/mnt/WINDOWS/system32
    mkdir -p "$system/config" "$dir/mnt/Documents and Settings" "$dir/mnt/Program Files" &&
        cp "$dir/SOFTWARE" "$dir/SYSTEM" "$system/config" &&
        phony_program >"$system/cmd.exe" &&
        touch "$dir/mnt/autoexec.bat"
    umount "$dir/mnt" || return 1
    truncate -s 64M "$disk" && echo '2048,,7,*' | sfdisk -q "$disk" &&
        dd if="$dir/ntfs" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
    rm -rf "$dir"
}

# A program for 32-bit Windows that `file` tells as such, of which nothing runs.
phony_program() {
    python3 -c '
import struct, sys
dos = bytearray(128)
dos[0:2] = b"MZ"
struct.pack_into("<I", dos, 0x3c, 128)
coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x14c, 1, 0, 0, 0, 224, 0x10f)
optional = bytearray(224)
struct.pack_into("<H", optional, 0, 0x10b)
struct.pack_into("<H", optional, 68, 3)
sys.stdout.buffer.write(bytes(dos) + coff + bytes(optional) + bytes(512))'
}
