#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Guests inspected with libguestfs: a Debian one as its installer makes it, and Windows ones of what
# inspection looks at; a disk that is encrypted, an empty one, one whose file system is damaged.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-guest.sh
. "$TEST_SOURCE/t/lib-guest.sh"
# shellcheck source=t/lib-phony.sh
. "$TEST_SOURCE/t/lib-phony.sh"

[ -x "$VMSCM_BUILD/vmscm-inspect" ] || skip_all "vmscm-inspect was not built: no libguestfs-dev"
[ -e "$VMSCM_BUILD/nbdkit-vmscm-plugin.so" ] || skip_all "the plugin was not built: no nbdkit-plugin-dev"
why=$(missing ROOT nbdkit qemu-system-x86_64 hivexregedit mkntfs ntfs-3g sfdisk mmdebstrap python3)
[ -z "$why" ] || skip_all "$why"
ls /boot/vmlinuz-* >/dev/null 2>&1 || skip_all "no kernel is installed: libguestfs needs one"
[ -c /dev/fuse ] || skip_all "no /dev/fuse"
# The appliance is made once for all tests.
export LIBGUESTFS_CACHEDIR=${LIBGUESTFS_CACHEDIR:-/var/tmp}

vmscm init -q --bare repo.vmscm
VMSCM_DIR=$PWD/repo.vmscm
export VMSCM_DIR

# windows2003 SERVICE-PACK: its registry
windows2003() {
    cat <<END
[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion]
"ProductName"="Microsoft Windows Server 2003"
"CurrentVersion"="5.2"
"CurrentBuildNumber"="3790"
"CSDVersion"="Service Pack $1"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-21-1-2-3-500]
"ProfileImagePath"="C:\\\\Documents and Settings\\\\Administrator"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\7-Zip]
"DisplayName"="7-Zip 9.20"
"DisplayVersion"="9.20"
"Publisher"="Igor Pavlov"
END
}

check 'guests are made' '
    { windows2003 2; cat <<END
[HKEY_LOCAL_MACHINE\\SOFTWARE\\ORACLE\\KEY_OraDb10g_home1]
"ORACLE_HOME"="C:\\\\oracle\\\\product\\\\10.2.0\\\\db_1"
"ORACLE_HOME_NAME"="OraDb10g_home1"
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
END
    phony_windows oracle.raw software.reg system.reg ORADB
    vmscm checkin oracle vda=oracle.raw -m "with Oracle"
    windows2003 1 >software.reg
    phony_windows plain.raw software.reg system.reg PLAIN
    vmscm checkin plain vda=plain.raw -m plain
    mmdebstrap --quiet --variant=essential --components=main bookworm root "$(guest_mirror)"
    echo guest >root/etc/hostname
    echo "/dev/sda / ext4 defaults 0 1" >root/etc/fstab
    printf "ann:SECRET:1000:1000:Ann:/home/ann:/bin/bash\n" >>root/etc/passwd
    printf "ann:SECRET:19000:0:99999:7:::\n" >>root/etc/shadow
    ln -sf /usr/share/zoneinfo/Europe/Paris root/etc/localtime
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
    jq -e ".users[0].name == \"Administrator\" and .services == [\"OracleServiceORCL\"]" system
    jq -e ".timezone == \"W. Europe Standard Time\"" system
    jq -e ".applications | any(.name == \"7-Zip 9.20\" and .publisher == \"Igor Pavlov\")" system
    jq -e ".applications | any((.name | test(\"Oracle\")) and .version == \"10.2.0\")" system'

check 'Debian: every package, and no other' '
    vmscm inspect debian | grep "^debian .* Debian GNU/Linux 12 (bookworm), x86_64, guest, "
    vmscm show --json debian | jq ".facts.systems[0]" >system
    jq -r ".applications[] | .name + \" \" + (if .epoch then \"\(.epoch):\" else \"\" end) + .version +
        (if .release then \"-\" + .release else \"\" end)" system | sort >found
    cmp packages found
    jq -e ".distro == \"debian\" and .package_format == \"deb\" and .timezone == \"Europe/Paris\"" system
    jq -e ".users | any(.name == \"ann\" and .id == \"1000\" and .shell == \"/bin/bash\")" system
    vmscm show --json debian | jq -e ".facts.filesystems[0].type == \"ext4\""
    vmscm show --json debian >all
    [ "$(grep -c SECRET all)" = 0 ]'

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
