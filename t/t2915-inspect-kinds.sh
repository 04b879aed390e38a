#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# slow
# Kinds of guests that t2910 has not, all on the disks of one machine, so that one appliance looks into them:
# btrfs, XFS on LVM, packages of RPM in each of its databases and of Alpine, Windows 7 and 2019. The databases
# of packages are made by dpkg, rpm and db_load; of Alpine's and ndb there is no tool in Debian.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"
# shellcheck source=t/lib-appliance.sh
. "$TEST_SOURCE/t/lib-appliance.sh"
# shellcheck source=t/lib-phony.sh
. "$TEST_SOURCE/t/lib-phony.sh"

[ -c /dev/fuse ] || skip_all "no /dev/fuse"
losetup -f >/dev/null 2>&1 || skip_all "no loop devices"
appliance_needs hivexregedit mkntfs ntfs-3g sfdisk python3 mkfs.btrfs mkfs.xfs \
    rpmbuild pvcreate losetup jq
[ -n "$(command -v db5.3_load || command -v db_load)" ] || skip_all "db_load is missing"

# By names such as /dev/sda each would mean the first disk.
uuid=6d5c1f5e-0c55-4a43-9d0b-4f7d5a0f2b1

# deb ROOT: a package installed there by dpkg
deb() {
    mkdir -p pkg/DEBIAN pkg/usr/share/hello "$1"/var/lib/dpkg/{info,updates,triggers} &&
        touch "$1/var/lib/dpkg/status" &&
        printf 'Package: hello\nVersion: 1:2.10-3\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: d\n' >pkg/DEBIAN/control &&
        dpkg-deb --root-owner-group --build pkg hello.deb &&
        dpkg --root="$1" --force-all --log=/dev/null -i hello.deb
}

# rpm_of ROOT: a package installed there by rpm
rpm_of() {
    mkdir -p "$1/var/lib/rpm" rpms &&
        printf 'Name: hello\nEpoch: 2\nVersion: 2.12\nRelease: 4.fc39\nSummary: s\nLicense: GPLv3+\nVendor: A Project\nBuildArch: noarch\n%%description\nd\n%%files\n' >hello.spec &&
        rpmbuild --quiet -bb --define "_topdir $PWD/rpms" hello.spec &&
        rpm --root "$1" --dbpath /var/lib/rpm --define '_db_backend sqlite' --initdb &&
        rpm --root "$1" --dbpath /var/lib/rpm --define '_db_backend sqlite' --nodeps --noscripts --justdb \
            --nosignature -i rpms/RPMS/noarch/hello-2.12-4.fc39.noarch.rpm
}

# servicing PACKAGE STATE DATE [FROM]: a package of updates in the registry
servicing() {
    printf '\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages\\%s]\n' "$1"
    printf '"CurrentState"=dword:000000%s\n' "$2"
    phony_halves "$3"
    [ $# -lt 4 ] || printf '"InstallLocation"="%s"\n' "$4"
}

# xfs_on_lvm DISK ROOT: the volume vg/root. The device mapper, without which lvcreate makes none, is not everywhere:
# LVM writes it as if restored from a backup.
xfs_on_lvm() {
    local loop rc=0
    cat >proto <<END
/
0 0
d--755 0 0
etc d--755 0 0
os-release ---644 0 0 $2/etc/os-release
fstab ---644 0 0 $2/etc/fstab
hostname ---644 0 0 $2/etc/hostname
redhat-release ---644 0 0 $2/etc/redhat-release
$
bin d--755 0 0
ls ---755 0 0 $2/bin/ls
bash ---755 0 0 $2/bin/bash
$
dev d--755 0 0
$
$
END
    truncate -s 400M "$1" && truncate -s 320M xfs.img && mkfs.xfs -q -p proto xfs.img || return 1
    loop=$(losetup -f --show "$1") || return 1
    mkdir -p lvm
    export LVM_SYSTEM_DIR=$PWD/lvm LVM_SUPPRESS_FD_WARNINGS=1
    local only="devices { filter = [ \"a|^$loop\$|\", \"r|.*|\" ] use_devicesfile = 0 } activation { udev_sync = 0 udev_rules = 0 }"
    { pvcreate -q --config "$only" --dataalignment 1m "$loop" &&
        vgcreate -q --config "$only" vg "$loop" &&
        vgcfgbackup -q --config "$only" -f group vg &&
        awk '$0 == "}" && !done++ {
            print "logical_volumes { root { id = \"aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa\" status = [\"READ\", \"WRITE\", \"VISIBLE\"]"
            print "segment_count = 1 segment1 { start_extent = 0 extent_count = 80 type = \"striped\" stripe_count = 1"
            print "stripes = [\"pv0\", 0] } } }" }
            { print }' group >with &&
        vgcfgrestore -q --config "$only" -f with vg; } >&2 || rc=1
    losetup -d "$loop"
    [ $rc = 0 ] && dd if=xfs.img of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
}

check 'disks are made' '
    phony_linux btrfs UUID=${uuid}1 deb-btrfs <<END
ID=debian
VERSION_ID="11"
PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"
END
    echo 11.9 >btrfs/etc/debian_version
    deb "$PWD/btrfs"
    truncate -s 150M a.raw
    mkfs.btrfs -q -U ${uuid}1 --rootdir btrfs a.raw

    phony_linux xfs /dev/vg/root el-xfs <<END
ID="rhel"
VERSION_ID="8.9"
PRETTY_NAME="Red Hat Enterprise Linux 8.9 (Ootpa)"
END
    echo "Red Hat Enterprise Linux release 8.9 (Ootpa)" >xfs/etc/redhat-release
    xfs_on_lvm b.raw "$PWD/xfs"

    phony_linux fedora UUID=${uuid}2 fed <<END
ID=fedora
VERSION_ID=39
PRETTY_NAME="Fedora Linux 39 (Server Edition)"
END
    echo "Fedora release 39 (Thirty Nine)" >fedora/etc/fedora-release
    rpm_of "$PWD/fedora"
    truncate -s 40M c.raw
    mke2fs -q -F -t ext4 -U ${uuid}2 -d fedora c.raw

    phony_linux alpine UUID=${uuid}3 alp <<END
ID=alpine
VERSION_ID=3.18.4
PRETTY_NAME="Alpine Linux v3.18"
END
    echo 3.18.4 >alpine/etc/alpine-release
    mkdir -p alpine/lib/apk/db alpine/etc/runlevels/default
    printf "P:musl\nV:1.2.4-r2\nA:x86_64\nS:1\nI:1\nT:libc\nU:u\nL:MIT\no:musl\n\nP:busybox\nV:1.36.1-r4\nA:x86_64\nS:1\nI:1\nT:t\nU:u\nL:GPL-2.0-only\no:busybox\n\n" >alpine/lib/apk/db/installed
    touch alpine/etc/runlevels/default/sshd
    truncate -s 16M d.raw
    mke2fs -q -F -t ext4 -U ${uuid}3 -d alpine d.raw'

check 'disks with the older databases of rpm are made' '
    phony_linux suse UUID=${uuid}4 leap <<END
ID="opensuse-leap"
VERSION_ID="15.5"
PRETTY_NAME="openSUSE Leap 15.5"
END
    mkdir -p suse/usr/lib/sysimage/rpm suse/var/lib
    ln -s ../../usr/lib/sysimage/rpm suse/var/lib/rpm
    phony_ndb fedora/var/lib/rpm/rpmdb.sqlite suse/usr/lib/sysimage/rpm/Packages.db
    truncate -s 16M g.raw
    mke2fs -q -F -t ext4 -U ${uuid}4 -d suse g.raw
    phony_linux centos UUID=${uuid}5 el7 <<END
ID="centos"
VERSION_ID="7"
PRETTY_NAME="CentOS Linux 7 (Core)"
END
    echo "CentOS Linux release 7.9.2009 (Core)" >centos/etc/centos-release
    mkdir -p centos/var/lib/rpm
    phony_hash fedora/var/lib/rpm/rpmdb.sqlite centos/var/lib/rpm/Packages
    truncate -s 16M h.raw
    mke2fs -q -F -t ext4 -U ${uuid}5 -d centos h.raw'

check 'a disk with a system in a subvolume is made' '
    phony_linux volumes UUID=${uuid}6 vols <<END
ID=debian
VERSION_ID="12"
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
END
    echo 12.4 >volumes/etc/debian_version
    echo "UUID=${uuid}6 / btrfs subvol=@ 0 1" >volumes/etc/fstab
    truncate -s 120M i.raw
    mkfs.btrfs -q -U ${uuid}6 i.raw
    mkdir mnt
    # Subvolumes are made by the kernel alone, which has not everywhere got btrfs.
    mount -o loop i.raw mnt || exit 0
    btrfs -q subvolume create mnt/@ && cp -a volumes/. mnt/@ && touch subvolumes
    umount mnt
    [ -e subvolumes ]'

check 'Windows disks are made' '
    cat >7.reg <<END
[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion]
"ProductName"="Windows 7 Professional"
"CurrentVersion"="6.1"
"CurrentBuildNumber"="7601"
"CSDVersion"="Service Pack 1"
"EditionID"="Professional"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-21-1-2-3-1001]
"ProfileImagePath"="%SystemDrive%\\\\Users\\\\ann"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\Results\\Install]
"LastSuccessTime"="2019-05-01 12:00:00"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Wow6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Npp]
"DisplayName"="Notepad++ (32-bit x86)"
"DisplayVersion"="7.9"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Git]
"DisplayName"="Git"
"DisplayVersion"="2.30"
END
    {
        servicing Package_for_KB4012212~31bf3856ad364e35~amd64~~6.1.1.0 70 "2017-03-20 08:00:00 Z"
        servicing Package_for_KB976902~31bf3856ad364e35~amd64~~6.1.1.17514 50 "2011-02-22 08:00:00 Z"
    } >>7.reg
    mkdir -p files/Users/ann
    phony_user files/Users/ann/NTUSER.DAT <<END
[HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Code]
"DisplayName"="Visual Studio Code (User)"
"DisplayVersion"="1.60"
END
    : >none.reg
    PHONY_BITS=64 phony_windows e.raw 7.reg none.reg WIN7 files
    cat >2019.reg <<END
[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion]
"ProductName"="Windows Server 2019 Standard"
"CurrentVersion"="6.3"
"CurrentMajorVersionNumber"=dword:0000000a
"CurrentMinorVersionNumber"=dword:00000000
"CurrentBuildNumber"="17763"
"UBR"=dword:00000dd5
"EditionID"="ServerStandard"
"InstallationType"="Server"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Microsoft SQL Server\\Instance Names\\SQL]
"MSSQLSERVER"="MSSQL15.MSSQLSERVER"

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Microsoft SQL Server\\MSSQL15.MSSQLSERVER\\Setup]
"Edition"="Standard Edition"
"Version"="15.0.2000.5"
"PatchLevel"="15.0.4198.2"
END
    {
        servicing Package_for_RollupFix~31bf3856ad364e35~amd64~~17763.3541.1.9 70 "2022-10-15 08:00:00 Z" \
            "\\\\\\\\?\\\\C:\\\\Windows\\\\CbsTemp\\\\30990_1\\\\Windows10.0-KB5018419-x64.cab\\\\"
        servicing Package_1_for_KB4512577~31bf3856ad364e35~amd64~~10.0.1.1 70 "2023-01-01 08:00:00 Z"
        servicing Package_for_KB4512577~31bf3856ad364e35~amd64~~10.0.1.1 70 "2019-09-15 08:00:00 Z"
        servicing Package_for_KB4999999~31bf3856ad364e35~amd64~~10.0.1.1 40 "2023-01-01 08:00:00 Z"
    } >>2019.reg
    PHONY_BITS=64 phony_windows f.raw 2019.reg none.reg SQL19'

check 'all are told, by their file systems' '
    vmscm checkin --inspect=no many a=a.raw b=b.raw c=c.raw d=d.raw e=e.raw f=f.raw g=g.raw h=h.raw i=i.raw -m many
    vmscm inspect many >out
    vmscm show --json many | jq .facts >facts
    jq -r ".systems[] | [.root, .distro, .version, .arch, .hostname, .package_format] | map(. // \"-\") | join(\" \")" facts | sort >got
    cat >want <<END
/dev/vg/root rhel 8.9 x86_64 el-xfs rpm
a debian 11.9 x86_64 deb-btrfs deb
c fedora 39.0 x86_64 fed rpm
d alpinelinux 3.18 x86_64 alp apk
e:1 windows 6.1 x86_64 WIN7 -
f:1 windows 10.0 x86_64 SQL19 -
g opensuse 15.5 x86_64 leap rpm
h centos 7.9 x86_64 el7 rpm
END
    [ ! -e subvolumes ] || echo "i/@ debian 12.4 x86_64 vols deb" >>want
    diff want got'

check 'file systems and volumes' '
    jq -e ".filesystems | any(.device == \"a\" and .type == \"btrfs\") and any(.device == \"/dev/vg/root\" and .type == \"xfs\")" facts
    jq -e ".volumes == [{device: \"/dev/vg/root\", kind: \"lvm\", size: 335544320, members: [\"b\"]}]" facts
    [ ! -e subvolumes ] || jq -e ".filesystems | any(.device == \"i\" and .subvolume == \"@\" and .size == 125829120 and
        .uuid == \"${uuid}6\")" facts
    [ ! -e subvolumes ] || jq -e ".systems[] | select(.root == \"i/@\").mounts == [{path: \"/\", device: \"i/@\"}]" facts'

# apps ROOT: what is installed in the system there
apps() {
    jq -r --arg root "$1" '.systems[] | select(.root == $root).applications[] |
        [.name, .epoch, .version, .release, .arch, .user] | map(. // "" | tostring) | join("|")' facts | sort
}

check 'packages of dpkg, rpm and apk, and programs of Windows' '
    [ "$(apps a)" = "hello|1|2.10|3|all|" ]
    for root in c g h; do
        [ "$(apps $root)" = "hello|2|2.12|4.fc39|noarch|" ]
    done
    [ "$(apps d)" = "busybox||1.36.1|r4|x86_64|
musl||1.2.4|r2|x86_64|" ]
    [ "$(apps e:1)" = "Git||2.30|||
Notepad++ (32-bit x86)||7.9||i386|
Visual Studio Code (User)||1.60|||ann" ]
    [ "$(apps f:1)" = "Microsoft SQL Server 2019 Standard Edition, instance MSSQLSERVER||15.0.4198.2|||" ]
    jq -e ".systems[] | select(.root == \"c\").applications[0] | .license == \"GPLv3+\" and .publisher == \"A Project\" and (.date | test(\"^20\"))" facts
    jq -e ".systems[] | select(.root == \"d\").applications[0] | .license == \"MIT\" and .source == \"musl\"" facts
    jq -e ".systems[] | select(.root == \"d\").services == [\"sshd\"]" facts
    jq -e ".systems[] | select(.root == \"e:1\") | .service_pack == 1 and .edition == \"Professional\"" facts
    jq -e ".systems[] | select(.root == \"f:1\") | .build == \"17763\" and .build_revision == 3541" facts'

check 'updates of Windows' '
    jq -e ".systems[] | select(.root == \"e:1\") | .last_patch == \"2019-05-01T12:00:00+00:00\" and
        .patches == [{name: \"KB4012212\", date: \"2017-03-20T08:00:00+00:00\"}]" facts
    jq -e ".systems[] | select(.root == \"f:1\") | .last_patch == \"2022-10-15T08:00:00+00:00\" and
        .patches == [{name: \"KB4512577\", date: \"2019-09-15T08:00:00+00:00\"}, {name: \"KB5018419\", date: \"2022-10-15T08:00:00+00:00\"}]" facts'

check 'they are found as people call them' '
    for query in "os:\"windows 7\" sp:1 app:notepad" "os:\"windows server 2019\" app:\"sql server 2019\"" "os:\"RHEL 8\"" \
        "distro:alpinelinux app:musl" "fs:btrfs" "app:hello<2.11" "os:\"CentOS 7\" app:hello" "os:\"windows 7\" patch:KB4012212"; do
        [ "$(vmscm search --format="%(machine)" "$query")" = many ]
    done
    rc=0; vmscm search "os:\"windows 7\" app:\"sql server 2019\"" || rc=$?
    [ $rc = 1 ]'

done_testing
