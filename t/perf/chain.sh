# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Set B of t/perf/guests: twelve revisions of one guest, a web server with a database. Between two of
# them its logs grow (and are rotated every fourth time), pgbench runs transactions on its database,
# and every other time packages are upgraded, by its own apt, to what Debian's security archive has.
# What is random has the revision's number as seed.

CHAIN_REVISIONS=12
CHAIN_RECIPE=1
CHAIN_PG=/usr/lib/postgresql/15/bin

# What is upgraded at which revision.
chain_upgrades() {
    case $1 in
    3) echo "openssl libssl3" ;;
    5) echo "nginx nginx-common perl-base" ;;
    7) echo "postgresql-15 postgresql-client-15" ;;
    9) echo "linux-image-cloud-amd64" ;;
    11) echo "?upgradable" ;;
    esac
}

# In the guest's own root: as its user postgres, its server listening on a socket only it sees.
chain_postgres() {
    local root=$1
    shift
    LC_ALL=C chroot "$root" runuser -u postgres -- "$@" </dev/null
}

chain_pgbench() {
    local root=$1 number=$2 rc=0
    # The upgrade of a server leaves this undone where no service manager runs.
    mkdir -p "$root/run/postgresql" && chroot "$root" chown postgres:postgres /run/postgresql || return 1
    chain_postgres "$root" "$CHAIN_PG/pg_ctl" -s -w -D /var/lib/postgresql/15/main -l /tmp/pg.log \
        -o "-c config_file=/etc/postgresql/15/main/postgresql.conf -c listen_addresses= -c max_wal_size=128MB" \
        start || return 1
    {
        if [ "$number" = 1 ]; then
            chain_postgres "$root" "$CHAIN_PG/createdb" bench &&
                chain_postgres "$root" "$CHAIN_PG/pgbench" -q -i -s 10 bench
        fi &&
            chain_postgres "$root" env PGOPTIONS="-c synchronous_commit=off" "$CHAIN_PG/pgbench" \
                -n -c 1 -t 6000 --random-seed="$number" bench &&
            chain_postgres "$root" "$CHAIN_PG/psql" -q -c CHECKPOINT bench
    } || rc=1
    chain_postgres "$root" "$CHAIN_PG/pg_ctl" -s -w -m fast -D /var/lib/postgresql/15/main stop || rc=1
    [ $rc = 0 ] || cat "$root/tmp/pg.log"
    rm -f "$root/tmp/pg.log"
    return $rc
}

# Some 10 MB of a day's log, in the form that web servers write.
chain_logs() {
    local root=$1 number=$2 log=$1/var/log/nginx/access.log
    mkdir -p "${log%/*}"
    if [ $((number % 4)) = 0 ]; then
        mv "$log" "$log.$number" && gzip -n "$log.$number" || return 1
    fi
    python3 - "$number" >>"$log" <<'END_LOG'
import random
import sys

rng = random.Random(int(sys.argv[1]))
agents = ["Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/%d.0" % v for v in range(90, 130)]
paths = ["/article/%d" % n for n in range(3000)] + ["/static/%x.css" % n for n in range(200)]
for second in range(60000):
    print('10.%d.%d.%d - - [%02d/Jun/2026:%02d:%02d:%02d +0000] "GET %s HTTP/1.1" %d %d "-" "%s"' % (
        rng.randrange(256), rng.randrange(256), rng.randrange(256), int(sys.argv[1]),
        second // 3600, second // 60 % 60, second % 60, rng.choice(paths),
        rng.choice((200, 200, 200, 304, 404)), rng.randrange(100, 90000), rng.choice(agents)))
END_LOG
}

# One revision: chain_change ROOT NUMBER MIRROR
chain_change() {
    local root=$1 number=$2 upgrades
    upgrades=$(chain_upgrades "$number")
    if [ "$number" = 1 ]; then
        echo "deb ${3%/debian}/debian-security bookworm-security main" \
            >"$root/etc/apt/sources.list.d/security.list"
    fi
    if [ -n "$upgrades" ]; then
        guest_install_in "$root" "--only-upgrade $upgrades" || return 1
    fi
    chain_logs "$root" "$number" && chain_pgbench "$root" "$number"
}

# chain_make BASE: the lines of all revisions, from a guest without a server
chain_make() {
    local path name number
    path=$(guest_install "$1" nginx,postgresql) || return 1
    name=$GUEST_CACHE/chain-$(guest_key "$CHAIN_RECIPE" "$path")
    for number in $(seq "$CHAIN_REVISIONS"); do
        path=$(guest_change "$path" "$(printf '%s-%02d' "$name" "$number")" chain_change "$number" \
            "$(guest_mirror)") || return 1
        printf 'r%02d %s\n' "$number" "$path"
    done
}
