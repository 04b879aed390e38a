#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every disk format, in and out: the same disk in each of them is the same disk to the store, comes
# back as it was recorded, and in every other format without a difference.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

# NAME  FORMAT  qemu-img's options (besides -o ones: -c)
variants='
raw raw
qcow2 qcow2
qcow2-compat010 qcow2 compat=0.10
qcow2-cluster512 qcow2 cluster_size=512
qcow2-cluster2M qcow2 cluster_size=2M
qcow2-zlib qcow2 -c
qcow2-zstd qcow2 compression_type=zstd -c
qcow2-extl2 qcow2 extended_l2=on,cluster_size=128k
qcow2-lazy qcow2 lazy_refcounts=on
vmdk-sparse vmdk subformat=monolithicSparse
vmdk-flat vmdk subformat=monolithicFlat
vmdk-split vmdk subformat=twoGbMaxExtentSparse
vmdk-splitflat vmdk subformat=twoGbMaxExtentFlat
vmdk-stream vmdk subformat=streamOptimized
vdi vdi
vdi-static vdi static=on
vpc vpc force_size=on
vpc-fixed vpc subformat=fixed,force_size=on
vhdx vhdx
vhdx-fixed vhdx subformat=fixed
parallels parallels
'
formats='raw qcow2 vmdk vdi vpc vhdx parallels'

# make_image NAME FORMAT [OPTIONS] [-c]: $NAME/disk.FORMAT from base.raw
make_image() {
    local name=$1 format=$2 options=() arg
    shift 2
    for arg; do
        case $arg in
        -c) options+=(-c) ;;
        *) options+=(-o "$arg") ;;
        esac
    done
    mkdir -p "in/$name"
    qemu-img convert -f raw -O "$format" ${options[@]+"${options[@]}"} base.raw \
        "in/$name/disk.$format" >/dev/null
}

# disk_of DIR: the first image of a checkout
disk_of() {
    local file
    file=$(vmscm status --json "$1" | jq -r '.disks[0].file')
    echo "$1/$file"
}

# kind FORMAT FILE: what qemu says of an image that an owner would notice
kind() {
    # shellcheck disable=SC2016 # jq's variables
    qemu-img info --output json -f "$1" "$2" | jq -cS '
        { f: .format, v: ."virtual-size", c: ."cluster-size" }
        + ((."format-specific".data // {})
            | { compat, "compression-type": ."compression-type", ext: ."extended-l2",
                lazy: ."lazy-refcounts", create: ."create-type",
                raw: ."data-file-raw" })'
}

sample_disk base.raw 24
vmscm init >/dev/null 2>&1

check 'the disk is checked in as raw' '
    make_image raw raw
    vmscm checkin reference in/raw/disk.raw -m raw
    vmscm cat reference >out.raw
    cmp base.raw out.raw'
first=$(stored .vmscm)

echo "$variants" | while read -r name format options; do
    [ -n "$name" ] || continue
    echo "$name $format $options"
done >table

while read -r name format options; do
    check "$name: checked in, stores under 1 % more" '
        # shellcheck disable=SC2086 # options are words
        make_image "$name" "$format" $options
        before=$(stored .vmscm)
        vmscm checkin "$name" "in/$name/disk.$format" -m "$name"
        more=$(($(stored .vmscm) - before))
        [ $((more * 100)) -lt "$first" ] || fail "$more bytes more than $first"
        [ "$(vmscm show --json "$name" | jq -r ".hardware.disks[0].format")" = "$format" ]'
    check "$name: comes back in its own format, with its options" '
        vmscm checkout "$name" "back/$name"
        disk=$(disk_of "back/$name")
        qemu-img compare -f "$format" -F raw "$disk" base.raw
        [ "$(kind "$format" "$disk")" = "$(kind "$format" "in/$name/disk.$format")" ]
        rm -r "back/$name"'
done <table

# Every pair; quick runs take an eighth of them, each source and each target at least once.
n=0
while read -r name format options; do
    for target in $formats; do
        n=$((n + 1))
        case ${VMSCM_TEST_VARIANT:-default} in
        quick | asan) [ $((n % 8)) = 0 ] || continue ;;
        esac
        check "$name: comes out as $target" '
            vmscm checkout "$name" pair --format "$target"
            disk=$(disk_of pair)
            qemu-img compare -f "$target" -F raw "$disk" base.raw
            # What it comes out of is not what is compared with: the original itself.
            qemu-img compare -f "$target" -F "$format" "$disk" "in/$name/disk.$format"
            rm -r pair'
        rm -rf pair
    done
done <table

while read -r name format options; do
    case $options in *=*) ;; *) continue ;; esac
    check "raw: comes out as $format with -o ${options%% *}" '
        vmscm checkout raw given --format "$format" -o "${options%% *}"
        disk=$(disk_of given)
        qemu-img compare -f "$format" -F raw "$disk" base.raw
        [ "$(kind "$format" "$disk")" = "$(kind "$format" "in/$name/disk.$format")" ]
        rm -r given'
    rm -rf given
done <table

check 'a backing chain is read through' '
    mkdir chain
    cp base.raw chain/bottom.raw
    (cd chain && qemu-img create -q -f qcow2 -b bottom.raw -F raw middle.qcow2 &&
        qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2)
    qemu-io -f qcow2 -c "write -P 17 1M 64k" chain/middle.qcow2
    qemu-io -f qcow2 -c "write -P 34 2M 64k" -c "write -z 3M 64k" chain/top.qcow2
    qemu-img convert -O raw chain/top.qcow2 chain.raw
    vmscm checkin chain chain/top.qcow2 -m chain
    vmscm cat chain >out.raw
    cmp chain.raw out.raw'
check 'what comes out of a chain stands alone' '
    vmscm checkout chain chain-out
    disk=$(disk_of chain-out)
    qemu-img info --output json "$disk" | jq -e "has(\"backing-filename\") | not"
    qemu-img compare -f qcow2 -F raw "$disk" chain.raw'

check 'an external data file is read' '
    mkdir datafile
    (cd datafile && qemu-img convert -O qcow2 -o data_file=disk.data ../base.raw disk.qcow2)
    (cd datafile && qemu-img compare -F raw disk.qcow2 ../base.raw)
    vmscm checkin datafile datafile/disk.qcow2 -m "data file"
    vmscm cat datafile >out.raw
    cmp base.raw out.raw'

check 'internal snapshots are warned about and left out' '
    qemu-img convert -O qcow2 base.raw snap.qcow2
    qemu-img snapshot -c before snap.qcow2
    qemu-io -f qcow2 -c "write -P 51 0 64k" snap.qcow2
    qemu-img convert -O raw snap.qcow2 snap.raw
    vmscm checkin snap snap.qcow2 -m snapshot 2>warning
    grep -i snapshot warning
    vmscm cat snap >out.raw
    cmp snap.raw out.raw
    vmscm checkout snap snap-out
    [ -z "$(qemu-img snapshot -l "$(disk_of snap-out)")" ]'

check 'a size that is no multiple of a sector comes back as it was' '
    head -c 1000003 base.raw >odd.raw
    vmscm checkin odd odd.raw -m odd
    vmscm checkout odd odd-out
    cmp odd.raw "$(disk_of odd-out)"'
check 'a format that cannot hold the size says so, and holds the next one' '
    vmscm checkout odd odd-vpc --format vpc 2>warned
    grep "^vmscm: warning: .*1000003 bytes become 1000448" warned
    qemu-img compare -f vpc -F raw "$(disk_of odd-vpc)" odd.raw'

check 'a vpc image that qemu rounded keeps the size the guest sees' '
    qemu-img convert -O vpc base.raw rounded.vpc
    size=$(qemu-img info --output json -f vpc rounded.vpc | jq ".\"virtual-size\"")
    vmscm checkin rounded rounded.vpc -m rounded
    [ "$(vmscm cat rounded | wc -c)" = "$size" ]
    vmscm checkout rounded rounded-out
    qemu-img compare -f vpc -F vpc "$(disk_of rounded-out)" rounded.vpc'

check 'an empty disk of 1 TiB is stored in next to nothing' '
    truncate -s 1T huge.raw
    before=$(stored .vmscm)
    vmscm checkin huge huge.raw -m huge
    [ $(($(stored .vmscm) - before)) -lt 65536 ]
    vmscm checkout huge huge-out --format qcow2
    [ "$(qemu-img info --output json "$(disk_of huge-out)" | jq ".\"virtual-size\"")" = 1099511627776 ]'

check 'several disks make one machine' '
    qemu-img convert -O qcow2 base.raw two.qcow2
    vmscm checkin pair in/raw/disk.raw two.qcow2 -m "two disks"
    vmscm checkout pair pair-out
    [ "$(vmscm status --json pair-out | jq ".disks | length")" = 2 ]
    for file in $(vmscm status --json pair-out | jq -r ".disks[].file"); do
        qemu-img compare -F raw "pair-out/$file" base.raw
    done'

done_testing
