#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Guests inspected with libguestfs: a Debian one as its installer makes it, and Windows ones of what
# inspection looks at; a disk that is encrypted, an empty one, one whose file system is damaged.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-appliance.sh
. "$TEST_SOURCE/t/lib-appliance.sh"
# shellcheck source=t/lib-guest.sh
. "$TEST_SOURCE/t/lib-guest.sh"
# shellcheck source=t/lib-phony.sh
. "$TEST_SOURCE/t/lib-phony.sh"

[ -c /dev/fuse ] || skip_all "no /dev/fuse"
appliance_needs hivexregedit mkntfs ntfs-3g sfdisk mmdebstrap python3

# windows2003 SERVICE-PACK: its registry
windows2003() {
    cat <<END
[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion]
"ProductName"="Microsoft Windows Server 2003"
"CurrentVersion"="5.2"
"CurrentBuildNumber"="3790"
"CSDVersion"="Service Pack $1"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion]
"InstallDate"=dword:4b3d3b00
"ProductId"="55274-OEM-0011903-00102"
"DigitalProductId"=hex:$(printf '00,%.0s' {1..52})7d,29,d9,af,2c,54,91,7d,d6,ec,d2,33,11,d2,04

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-21-1-2-3-500]
"ProfileImagePath"="C:\\\\Documents and Settings\\\\Administrator"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\HotFix\\KB925902]
"Installed"=dword:00000001

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\HotFix\\Q147222]
"Installed"=dword:00000001

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\HotFix\\KB999999]
"Installed"=dword:00000000

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Updates\\Windows Server 2003\\SP3\\KB925902]
"InstalledDate"="4/12/2007"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Updates\\Windows Server 2003\\SP3\\KB956802-v2]
"InstalledDate"="13/1/2009"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\7-Zip]
"DisplayName"="7-Zip 9.20"
"DisplayVersion"="9.20"
"Publisher"="Igor Pavlov"
"InstallDate"="20100203"
END
}

# What a hive is in the test beside the registry: of an installer of Oracle, a profile, the boot menu.
windows_files() {
    local home=$1/oracle/product/10.2.0/db_1 inventory="$1/Program Files/Oracle/Inventory"
    mkdir -p "$1/WINDOWS/system32/config" "$1/Documents and Settings/Administrator" \
        "$home/inventory/ContentsXML" "$inventory/ContentsXML"
    cat >"$inventory/ContentsXML/inventory.xml" <<'END'
<?xml version="1.0" standalone="yes" ?>
<INVENTORY><VERSION_INFO><SAVED_WITH>10.2.0.1.0</SAVED_WITH></VERSION_INFO>
<HOME_LIST><HOME NAME="OraDb10g_home1" LOC="C:\oracle\product\10.2.0\db_1" TYPE="O" IDX="1"/>
<HOME NAME="gone" LOC="C:\oracle\gone" TYPE="O" IDX="2" REMOVED="T"/></HOME_LIST></INVENTORY>
END
    cat >"$home/inventory/ContentsXML/comps.xml" <<'END'
<?xml version="1.0" standalone="yes" ?>
<PRD_LIST><TL_LIST><COMP NAME="oracle.server" VER="10.2.0.1.0" INSTALL_TIME="2010.Feb.03 04:05:06 CET">
<EXT_NAME>Oracle Database 10g</EXT_NAME></COMP></TL_LIST>
<COMP_LIST><COMP NAME="oracle.jdk" VER="1.4.2"><EXT_NAME>part of it</EXT_NAME></COMP></COMP_LIST></PRD_LIST>
END
    phony_accounts "$1/WINDOWS/system32/config/SAM"
    phony_user "$1/Documents and Settings/Administrator/NTUSER.DAT" <<'END'
[HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Uninstall\Chrome]
"DisplayName"="Google Chrome"
"DisplayVersion"="49.0"
END
    printf '[boot loader]\r\ndefault=multi(0)disk(0)rdisk(0)partition(1)\\WINDOWS\r\n[operating systems]\r\n' >"$1/boot.ini"
    printf 'multi(0)disk(0)rdisk(0)partition(1)\\WINDOWS="Windows Server 2003, Standard" /fastdetect\r\n' >>"$1/boot.ini"
}

# What a Debian guest has beside its packages: as installers, pip, npm, flatpak and snap leave it.
debian_files() {
    local root=$1 local=$1/usr/local/lib
    echo guest >"$root/etc/hostname"
    printf "/dev/sda / ext4 defaults 0 1\n/dev/vg/swap none swap sw 0 0\n/swapfile none swap sw 0 0\n" >"$root/etc/fstab"
    printf "ann:SECRET:1000:1000:Ann:/home/ann:/bin/bash\n" >>"$root/etc/passwd"
    printf "ann:SECRET:19000:0:99999:7:::\n" >>"$root/etc/shadow"
    ln -sf /usr/share/zoneinfo/Europe/Paris "$root/etc/localtime"
    mkdir -p "$root/etc/network" "$root/etc/netplan" "$root/etc/NetworkManager/system-connections"
    printf "iface eth0 inet static\n  address 10.0.0.2/24\n  gateway 10.0.0.1\n" >"$root/etc/network/interfaces"
    printf "network: {wifis: {wlan0: {dhcp4: true, access-points: {home: {password: SECRET}}}}}\n" >"$root/etc/netplan/a.yaml"
    printf "[connection]\ninterface-name=wlan1\n[wifi-security]\npsk=SECRET\n[ipv4]\nmethod=auto\n" \
        >"$root/etc/NetworkManager/system-connections/home.nmconnection"
    echo "nameserver 10.0.0.53" >"$root/etc/resolv.conf"
    utmpdump -r >"$root/var/log/wtmp" 2>/dev/null <<'END'
[2] [00000] [~~  ] [reboot  ] [~           ] [6.1.0-18-amd64      ] [0.0.0.0        ] [2026-02-03T04:05:06,000000+00:00]
[7] [00500] [ts/0] [ann     ] [pts/0       ] [10.0.0.9            ] [10.0.0.9       ] [2026-02-03T05:00:00,000000+00:00]
[1] [00000] [~~  ] [shutdown] [~           ] [6.1.0-18-amd64      ] [0.0.0.0        ] [2026-02-03T06:00:00,000000+00:00]
END
    mkdir -p "$root/boot/grub" "$root/usr/bin" "$local/python3.11/dist-packages/Flask_Cors-4.0.0.dist-info" \
        "$local/node_modules/@vue/cli" "$root/var/lib/snapd/snaps" \
        "$root/var/lib/flatpak/runtime/org.freedesktop.Platform/x86_64/22.08/active"
    printf "menuentry 'Debian GNU/Linux' {\n\tlinux /boot/vmlinuz-6.1.0-18-amd64 ro\n}\n" >"$root/boot/grub/grub.cfg"
    touch "$root/boot/vmlinuz-6.1.0-18-amd64" "$root/usr/bin/cloud-init" "$root/var/lib/snapd/snaps/firefox_3779.snap"
    echo '{"name": "@vue/cli", "version": "5.0.8", "license": "MIT"}' >"$local/node_modules/@vue/cli/package.json"
    mkdir -p "$root/u01/inventory/ContentsXML" "$root/etc/systemd/system/multi-user.target.wants"
    echo "inventory_loc=/u01/inventory" >"$root/etc/oraInst.loc"
    echo '<INVENTORY><HOME_LIST><HOME NAME="OraDB19Home1" LOC="/u01/product/19.0.0/dbhome_1"/></HOME_LIST></INVENTORY>' \
        >"$root/u01/inventory/ContentsXML/inventory.xml"
    echo "OLD:/u01/product/11.2.0/db:N" >"$root/etc/oratab"
    ln -s /lib/systemd/system/cron.service "$root/etc/systemd/system/multi-user.target.wants/cron.service"
    mkdir -p "$root/etc/pki/consumer" "$root/var/lib/ubuntu-advantage/private"
    echo '{"token": "SECRET"}' >"$root/var/lib/ubuntu-advantage/private/machine-token.json"
    touch -d "2026-02-03 04:05:06 Z" "$root/var/lib/dpkg/info/dpkg.list"
    lastlog2 "$root/var/lib/lastlog"
}

# lastlog2 DIR: as pam_lastlog2 keeps it; what came last is still in the log beside it.
lastlog2() {
    mkdir -p "$1" && python3 - "$1" <<'END'
import shutil, sqlite3, sys
new = sqlite3.connect("lastlog2.db")
new.execute("PRAGMA journal_mode = WAL")
new.execute("CREATE TABLE Lastlog2(Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)")
new.execute("INSERT INTO Lastlog2 VALUES ('ann', 1000000000, 'tty1', '', 'login'), ('root', 1000000000, 'tty1', '', 'login')")
new.execute("INSERT INTO Lastlog2 VALUES ('gone', 1000000000, 'tty1', '', 'login'), (x'00ff', 1000000000, '', '', '')")
new.commit()
new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
new.execute("REPLACE INTO Lastlog2 VALUES ('root', 1770181506, 'pts/0', '10.0.0.9', 'sshd')")
new.commit()
for end in "", "-wal":
    shutil.copy("lastlog2.db" + end, sys.argv[1])
END
}

# licenses DOC: files about some packages, whatever they say themselves; some as an attacker would make them
licenses() {
    printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n text\n
Files: x\nLicense: Expat or own\n' >"$1/hostname/copyright"
    rm -r "$1/grep" "$1/gzip/copyright" "$1/sed/copyright" "$1/tar/copyright"
    ln -s hostname "$1/grep"
    ln -s ../hostname/copyright "$1/gzip/copyright"
    truncate -s 1M "$1/sed/copyright"
    mkfifo "$1/tar/copyright"
    echo "This is free software." >"$1/bash/copyright"
}

check 'guests are made' '
    { windows2003 2; cat <<END
[HKEY_LOCAL_MACHINE\\SOFTWARE\\ORACLE\\KEY_OraDb10g_home1]
"ORACLE_HOME"="C:\\\\oracle\\\\product\\\\10.2.0\\\\db_1"
"ORACLE_HOME_NAME"="OraDb10g_home1"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\ORACLE]
"inst_loc"="C:\\\\Program Files\\\\Oracle\\\\Inventory"
END
    } >software.reg
    cat >system.reg <<END
[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Control\\TimeZoneInformation]
"StandardName"="W. Europe Standard Time"

[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\OracleServiceORCL]
"Start"=dword:00000002
"Type"=dword:00000010

[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\Fips]
"Start"=dword:00000001
"Type"=dword:00000001

[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\VMTools]
"Start"=dword:00000002
"Type"=dword:00000010

[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters\\Interfaces\\{1}]
"EnableDHCP"=dword:00000000
"IPAddress"=hex(7):31,00,30,00,2e,00,31,00,2e,00,30,00,2e,00,35,00,00,00,00,00
"SubnetMask"=hex(7):32,00,35,00,35,00,2e,00,30,00,2e,00,30,00,2e,00,30,00,00,00,00,00
"NameServer"="10.1.0.1,10.1.0.2"

[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Control\\Windows]
"ShutdownTime"=hex:$(phony_time "2026-02-03 04:05:06 Z")

[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Control\\Session Manager\\Memory Management\\PrefetchParameters]
"BootId"=dword:00000007

[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Control\\ProductOptions]
"ProductSuite"=hex(7):45,00,6e,00,74,00,65,00,72,00,70,00,72,00,69,00,73,00,65,00,00,00,00,00
END
    windows_files files
    PHONY_BOOTED="2026-02-03 01:02:03 Z" phony_windows oracle.raw software.reg system.reg ORADB files
    vmscm checkin oracle vda=oracle.raw -m "with Oracle"
    windows2003 1 >software.reg
    phony_windows plain.raw software.reg system.reg PLAIN
    vmscm checkin plain vda=plain.raw -m plain
    mmdebstrap --quiet --variant=essential --components=main bookworm root "$(guest_mirror)"
    debian_files root
    licenses root/usr/share/doc
    chroot root dpkg-query -W -f "\${Package} \${Version}\n" | sort >packages
    truncate -s 900M debian.raw
    mke2fs -q -t ext4 -d root debian.raw
    vmscm checkin debian vda=debian.raw -m essential'

check 'Windows Server 2003 SP2 with Oracle 10g' '
    vmscm inspect oracle | grep "^oracle .* Microsoft Windows Server 2003 SP2, i386, ORADB, "
    vmscm show --json oracle | jq .facts >facts
    jq -e ".status == \"ok\" and .schema == 1 and .disks[0].id == \"vda\"" facts
    jq -e ".filesystems == [.filesystems[0]] and .filesystems[0].type == \"ntfs\"" facts
    jq .systems[0] facts >system
    jq -e ".type == \"windows\" and .version == \"5.2\" and .service_pack == 2" system
    jq -e ".build == \"3790\" and .hostname == \"ORADB\" and .arch == \"i386\"" system
    jq -e ".users[0].name == \"Administrator\" and .services == [\"OracleServiceORCL\", \"VMTools\"]" system
    jq -e ".timezone == \"W. Europe Standard Time\"" system
    jq -e ".applications | any(.name == \"7-Zip 9.20\" and .publisher == \"Igor Pavlov\")" system
    jq -e ".applications | any((.name | test(\"Oracle\")) and .version == \"10.2.0\")" system
    [ "$(vmscm search "os:windows version:5.2 sp:2 app:\"oracle 10g\"" --json | jq -r ".[].machine")" = oracle ]'

check 'Windows: accounts, installs of one user, inventory, network, license, dates' '
    cat >want <<END
7-Zip 9.20|9.20|2010-02-03T00:00:00+00:00||
Google Chrome|49.0|||Administrator
Oracle Database 10g|10.2.0.1.0|2010-02-03T04:05:06+00:00|oracle inventory|
Oracle home OraDb10g_home1|10.2.0||registry|
END
    jq -r ".applications[] | [.name, .version, .date, .origin, .user] | map(. // \"\") | join(\"|\")" system | sort >got
    diff want got
    jq -e ".users[0] == {name: \"Administrator\", id: \"S-1-5-21-1-2-3-500\", home: \"C:\\\\Documents and Settings\\\\Administrator\",
        last_login: \"2026-02-03T04:05:06+00:00\"}" system
    jq -e ".users[1] == {name: \"Guest\", id: \"S-1-5-21-1-2-3-501\", disabled: true} and (.users | length) == 2" system
    jq -e ".groups == [{name: \"Administrators\", id: \"S-1-5-32-544\"}]" system
    jq -e ".network == [{interface: \"{1}\", method: \"static\", addresses: [\"10.1.0.5/8\"],
        dns: [\"10.1.0.1\", \"10.1.0.2\"], source: \"registry\"}] and .agents == [\"open-vm-tools\"]" system
    jq -e ".licenses == [{name: \"Windows\", partial_key: \"HVTHH\", product_id: \"55274-OEM-0011903-00102\"}]" system
    jq -e ".edition == \"Enterprise\" and .default_boot == \"Windows Server 2003, Standard\" and .boot_loader == \"ntldr\"" system
    jq -e ".last_boot == \"2026-02-03T01:02:03+00:00\" and .last_patch == \"2007-04-12T00:00:00+00:00\"" system
    jq -e ".patches == [{name: \"KB925902\", date: \"2007-04-12T00:00:00+00:00\"}, {name: \"KB956802\"}, {name: \"Q147222\"}]" system
    [ "$(vmscm search --format="%(machine): %(why)" patch:KB9259\*)" = "oracle: patch kb925902" ]
    jq -e ".installed == \"2010-01-01T00:00:00+00:00\" and .last_shutdown == \"2026-02-03T04:05:06+00:00\"" system
    [ "$(grep -c -e 33PXH -e SECRET facts)" = 0 ]
    vmscm show oracle | grep "  network: {1}, static, 10.1.0.5/8"
    [ "$(vmscm search --json address:10.1.0.\* agent:open-vm-tools | jq -r ".[].machine")" = oracle ]'

check 'Debian: every package, and no other' '
    vmscm inspect debian | grep "^debian .* Debian GNU/Linux 12 (bookworm), x86_64, guest, "
    vmscm show --json debian | jq ".facts.systems[0]" >system
    jq -r ".applications[] | select(.origin == null) | .name + \" \" + (if .epoch then \"\(.epoch):\" else \"\" end) + .version +
        (if .release then \"-\" + .release else \"\" end)" system | sort >found
    cmp packages found
    jq -e ".distro == \"debian\" and .package_format == \"deb\" and .timezone == \"Europe/Paris\"" system
    jq -e ".users | any(.name == \"ann\" and .id == \"1000\" and .shell == \"/bin/bash\")" system
    vmscm show --json debian | jq -e ".facts.filesystems[0].type == \"ext4\""
    vmscm show --json debian >all
    [ "$(grep -c SECRET all)" = 0 ]'

check 'Debian: licences, as far as packages tell them in a form that can be read' '
    of() { jq -r --arg name "$1" ".applications[] | select(.name == \$name).license" system; }
    for name in hostname grep gzip; do [ "$(of $name)" = "GPL-2.0-or-later AND (MIT OR LicenseRef-deb-own)" ]; done
    for name in sed tar bash; do [ "$(of $name)" = null ]; done
    [ "$(jq "[.applications[] | select(.license)] | length" system)" -gt 20 ]
    vmscm sbom debian | jq -e ".components | any(.name == \"hostname\" and .licenses == [{expression: \"GPL-2.0-or-later AND (MIT OR LicenseRef-deb-own)\"}])"
    vmscm sbom --format spdx debian | jq -e ".hasExtractedLicensingInfos | any(.licenseId == \"LicenseRef-deb-own\")"'

check 'Debian: what else is installed, logins, network, boot, rights' '
    cat >want <<END
@vue/cli|5.0.8||npm|MIT
Flask_Cors|4.0.0||pip|
Oracle home OraDB19Home1|19.0.0||oracle inventory|
Oracle home|11.2.0||oratab|
firefox||3779|snap|
org.freedesktop.Platform|22.08||flatpak|
END
    jq -r ".applications[] | select(.origin) | [.name, .version, .release, .origin, .license] |
        map(. // \"\") | join(\"|\")" system | LC_ALL=C sort >got
    diff want got
    jq -e ".applications | all(.origin or .date)" system
    jq -e ".applications | any(.name == \"dpkg\" and .date == \"2026-02-03T04:05:06+00:00\")" system
    jq -e ".users | map(select(.last_login)) | map([.name, .last_login]) ==
        [[\"root\", \"2026-02-04T05:05:06+00:00\"], [\"ann\", \"2026-02-03T05:00:00+00:00\"]]" system
    jq -e ".last_boot == \"2026-02-03T04:05:06+00:00\" and .last_shutdown == \"2026-02-03T06:00:00+00:00\" and (.last_patch | test(\"^20\"))" system
    jq -e ".network | map([.interface, .method, .addresses[]?]) == [[\"eth0\", \"static\", \"10.0.0.2/24\"],
        [\"wlan1\", \"dhcp\"], [\"wlan0\", \"dhcp\"]]" system
    jq -e ".nameservers == [\"10.0.0.53\"] and .swap == [\"/dev/vg/swap\", \"/swapfile\"]" system
    jq -e ".boot_loader == \"grub\" and .default_boot == \"Debian GNU/Linux\" and .default_kernel == \"6.1.0-18-amd64\"" system
    jq -e ".agents == [\"cloud-init\"] and .licenses == [{name: \"Ubuntu Pro\"}]" system
    jq -e ".services | index(\"cron.service\")" system'

check 'only what is pending is looked into, and disks without a system are no failure' '
    truncate -s 64M empty.raw damaged.raw data.raw
    mke2fs -q -t ext4 data.raw
    cp --sparse=always data.raw damaged.raw
    # A superblock that says it is ext4 and is nonsense behind that.
    noise 65536 9 >junk
    dd if=junk of=damaged.raw bs=1 skip=0 seek=1084 count=900 conv=notrunc status=none
    dd if=junk of=damaged.raw bs=4096 seek=1 conv=notrunc status=none
    # In the background, which takes plain, too.
    vmscm checkin --inspect=later odd vda=empty.raw vdb=data.raw vdc=damaged.raw -m "three disks"
    vmscm inspect --wait odd plain
    vmscm show plain | grep "Inside: .* SP1, i386, PLAIN"
    vmscm show odd | grep "Inside: no operating system"
    vmscm show --json odd | jq -e "[.facts.disks[].id] == [\"vda\", \"vdb\", \"vdc\"]"
    vmscm show --json odd | jq -e ".facts.filesystems | any(.device == \"vdb\" and .type == \"ext4\")"
    [ -z "$(vmscm inspect --pending)" ]'

check 'an encrypted disk is opaque' '
    command -v cryptsetup || exit 0
    truncate -s 64M luks.raw
    echo secret | cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 luks.raw
    vmscm checkin --format raw luks vda=luks.raw -m luks
    vmscm inspect luks | grep "no operating system; crypto_LUKS (opaque)"'

check 'what takes too long is recorded as a failure, and tried again when asked' '
    printf x | dd of=empty.raw bs=1 seek=70000 conv=notrunc status=none
    vmscm checkin slow vda=empty.raw -m slow
    rc=0; vmscm inspect --timeout=1 slow >out || rc=$?
    [ $rc = 1 ]
    grep "failed: it took too long: over 1 seconds" out
    [ -z "$(vmscm inspect --pending)" ]
    vmscm inspect slow | grep "no operating system"
    vmscm show slow | grep "Inside: no operating system"'

check 'killed, it leaves no process, no socket and no facts' '
    printf y | dd of=empty.raw bs=1 seek=90000 conv=notrunc status=none
    vmscm checkin killed vda=empty.raw -m killed
    vmscm inspect killed >out 2>&1 &
    pid=$!
    for _ in $(seq 200); do
        ! ls "$TMPDIR"/vmscm-*/libguestfs* >/dev/null 2>&1 || break
        sleep 0.1
    done
    # What looks has a filter for its calls, and gains no rights.
    for looking in $(pgrep -x vmscm-inspect); do
        ! grep -q "$TMPDIR/" /proc/$looking/cmdline || cat /proc/$looking/status
    done >status
    grep "^Seccomp:.2$" status
    grep "^NoNewPrivs:.1$" status
    kill -9 $pid
    wait $pid || true
    for _ in $(seq 200); do
        pgrep -f "$TMPDIR/vmscm-" >/dev/null || break
        sleep 0.1
    done
    [ -z "$(pgrep -f "$TMPDIR/vmscm-")" ]
    vmscm show --json killed | jq -e ".facts == null"'

check_fails 3 'without a kernel for the appliance it says what to install' '
    mkdir none
    LIBGUESTFS_PATH=$PWD/none vmscm inspect killed' 'the appliance does not start'

done_testing
