# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# For the tests of bit rot: small repositories that have a bit of everything, and the run.

# rot_repositories: loose.vmscm, and packed.vmscm whose git objects and refs are packed
rot_repositories() {
    check 'a small repository with a bit of everything' '
        echo "<domain type=\"kvm\"><name>web</name><memory>1048576</memory><vcpu>2</vcpu></domain>" >web.xml
        noise 4000 1 >a.raw
        text 2000 2 >>a.raw
        truncate -s 20480 a.raw
        text 1000 3 >>a.raw
        noise 3000 4 >b.raw
        vmscm init --bare loose.vmscm
        cd loose.vmscm
        vmscm checkin qa/web sda=../a.raw sdb=../b.raw --config ../web.xml -m first
        cp ../a.raw ../a2.raw
        noise 90 5 | put ../a2.raw 3000
        cp ../b.raw ../b2.raw
        noise 90 6 | put ../b2.raw 1000
        vmscm checkin qa/web sda=../a2.raw sdb=../b2.raw --config ../web.xml -m second
        vmscm tag qa/web~1 golden -m "it works"
        vmscm comment qa/web:golden -m "seen by many"
        vmscm clone qa/web:golden other
        for n in 1 2 3 4 5 6; do
            noise 40 1$n | put ../b.raw $((n * 400))
            vmscm checkin other sda=../a.raw sdb=../b.raw -m "again $n"
        done
        cd ..
        ls loose.vmscm/packs/midx-*.vmx
        cp -r loose.vmscm packed.vmscm
        git --git-dir packed.vmscm/git repack -q -a -d -f
        git --git-dir packed.vmscm/git pack-refs --all
        du -sb loose.vmscm packed.vmscm'
}

# rot REPOSITORY OPTION...: on copies of it, one a core
rot() {
    local n copies=()
    for n in $(seq "$(nproc)"); do
        rm -rf "$1.$n"
        cp -r "$1" "$1.$n"
        copies+=("$1.$n")
    done
    "$VMSCM_BUILD/durability/bitrot" "${@:2}" "${copies[@]}"
    for n in "${copies[@]}"; do
        diff -r "$1" "$n"
        rm -r "$n"
    done
}
