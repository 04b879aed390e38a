# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Bundles for tests, made by other programs than vmscm: qemu-img, tar, python3.

# ovf_text NAME DISK...: a descriptor as VMware writes it; DISK: FILE=CAPACITY-IN-BYTES
ovf_text() {
    local name=$1 n=0 disk
    shift
    cat <<END
<?xml version="1.0" encoding="UTF-8"?>
<Envelope vmw:buildId="build-1" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
END
    for disk in "$@"; do
        n=$((n + 1))
        echo "    <File ovf:href=\"${disk%%=*}\" ovf:id=\"file$n\" ${OVF_FILE:-}/>"
    done
    echo '  </References><DiskSection><Info>Disks</Info>'
    n=0
    for disk in "$@"; do
        n=$((n + 1))
        echo "    <Disk ovf:capacity=\"${disk#*=}\" ovf:diskId=\"vmdisk$n\" ovf:fileRef=\"file$n\" ovf:format=\"${OVF_FORMAT:-http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized}\"/>"
    done
    cat <<END
  </DiskSection><NetworkSection><Info>Networks</Info><Network ovf:name="VM Network"/></NetworkSection>
  <VirtualSystem ovf:id="$name"><Info>A machine</Info><Name>$name</Name>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian10_64Guest"><Info>OS</Info></OperatingSystemSection>
    <VirtualHardwareSection><Info>Hardware</Info>
      <Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits><rasd:ElementName>2 CPUs</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:ElementName>SCSI 0</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
END
    n=0
    for disk in "$@"; do
        n=$((n + 1))
        echo "      <Item><rasd:AddressOnParent>$n</rasd:AddressOnParent><rasd:ElementName>disk $n</rasd:ElementName><rasd:HostResource>ovf:/disk/vmdisk$n</rasd:HostResource><rasd:InstanceID>$((10 + n))</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>"
    done
    cat <<END
      <Item><rasd:Address>00:50:56:01:02:03</rasd:Address><rasd:Connection>VM Network</rasd:Connection><rasd:ElementName>NIC</rasd:ElementName><rasd:InstanceID>7</rasd:InstanceID><rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
END
}

# manifest ALGORITHM FILE...: in the form that everyone accepts
manifest() {
    local sum=$1 file
    shift
    for file in "$@"; do
        echo "${sum^^}($file)= $("${sum}sum" <"$file" | cut -d' ' -f1)"
    done
}

# package DIR RAW: an OVF package of one streamOptimized disk there, DIR/box.ovf, box.mf, box-disk1.vmdk
package() {
    mkdir -p "$1"
    qemu-img convert -q -O vmdk -o subformat=streamOptimized "$2" "$1/box-disk1.vmdk"
    ovf_text box "box-disk1.vmdk=$(stat -c %s "$2")" >"$1/box.ovf"
    (cd "$1" && manifest sha256 box.ovf box-disk1.vmdk >box.mf)
}

# tarball FILE CODE: a tar archive that python makes; CODE calls add(name, data, **fields)
tarball() {
    python3 - "$1" <<END
import io, sys, tarfile
out = tarfile.open(sys.argv[1], 'w', format=tarfile.GNU_FORMAT)
def add(name, data=b'', **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    out.addfile(info, io.BytesIO(data))
def read(name):
    return open(name, 'rb').read()
$2
out.close()
END
}

# odd_machine: a libvirt domain with what other formats have no words for, of the disks vda, nvme0n1 and
# sda; makes the third disk, c.img beside raw.img
odd_machine() {
    noise 1000000 >../c.img
    truncate -s 1049088 ../c.img
    cat <<'END'
<domain type='kvm'>
  <name>web &amp; "more"</name><memory unit='b'>1234567890</memory><vcpu>3</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><loader secure='yes'/></os>
  <devices>
    <disk type='file' device='disk'><driver type='raw'/><source file='raw.img'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver type='raw'/><source file='data.img'/><target dev='nvme0n1' bus='nvme'/></disk>
    <disk type='file' device='disk'><driver type='raw'/><source file='c.img'/><target dev='sda' bus='usb'/></disk>
    <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
    <interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/><model type='e1000'/></interface>
    <interface type='network'><source network='default'/><model type='rtl8139'/></interface>
  </devices>
</domain>
END
}

# machine NAME: its configuration, but for what its image files were
machine() {
    git -C .vmscm/git cat-file blob "$1:machine.json" | jq -S 'del(.disks[].format, .disks[].options)'
}

# same_machine NAME NAME: field by field
same_machine() {
    diff <(machine "$1") <(machine "$2")
}
