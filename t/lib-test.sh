# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What every shell test needs. A test sources this, calls check, check_fails and skip, and ends with
# done_testing; its output is TAP. It runs in a scratch directory of its own, which is removed at
# the end (kept if VMSCM_TEST_KEEP is set), with HOME and the user's configuration private.
#
# Each check runs in a subshell with `set -eu`: files last from one check to the next,
# variables do not. What it printed is shown only if it failed.
#
# Environment: VMSCM_BUILD, where the build is (default: build beside t); VMSCM_TEST_CACHE.

set -u
TEST_NAME=$(basename "$0" .sh)
TEST_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VMSCM_BUILD=${VMSCM_BUILD:-$TEST_SOURCE/build}
test_number=0
test_at_exit=
test_unchecked=()

if [ ! -x "$VMSCM_BUILD/vmscm" ]; then
    echo "Bail out! $VMSCM_BUILD/vmscm is not there: build first, or set VMSCM_BUILD"
    exit 1
fi
VMSCM_BUILD=$(cd "$VMSCM_BUILD" && pwd)
TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/vmscm-$TEST_NAME.XXXXXX") || exit 1
TEST_DIR=$(cd "$TEST_DIR" && pwd -P)
mkdir -p "$TEST_DIR/home/.config/vmscm" "$TEST_DIR/tmp" "$TEST_DIR/work"

# VMSCM_WRAP: a directory with another vmscm to test, such as one that runs it under valgrind.
PATH=${VMSCM_WRAP:+$VMSCM_WRAP:}$VMSCM_BUILD:$PATH
HOME=$TEST_DIR/home
XDG_CONFIG_HOME=$HOME/.config
XDG_RUNTIME_DIR=$TEST_DIR/tmp
VMSCM_TEST_CACHE=${VMSCM_TEST_CACHE:-${TMPDIR:-/tmp}/vmscm-test-cache}
TMPDIR=$TEST_DIR/tmp
LC_ALL=C.UTF-8
TZ=UTC
GIT_CONFIG_NOSYSTEM=1
ASAN_OPTIONS=exitcode=99:detect_leaks=1:allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
UBSAN_OPTIONS=print_stacktrace=1:exitcode=99
export PATH HOME XDG_CONFIG_HOME XDG_RUNTIME_DIR VMSCM_TEST_CACHE TMPDIR LC_ALL TZ \
    GIT_CONFIG_NOSYSTEM ASAN_OPTIONS UBSAN_OPTIONS VMSCM_BUILD TEST_DIR TEST_SOURCE
unset VMSCM_DIR NO_COLOR PAGER GIT_PAGER VMSCM_PAGER GIT_DIR GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL \
    GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
# What works in the background would outlive the test.
printf '[user]\n\tname = Test User\n\temail = test@example.com\n[gc]\n\tauto = false\n[inspect]\n\tauto = false\n' >"$XDG_CONFIG_HOME/vmscm/config"
if [ "${VMSCM_TEST_VARIANT:-}" = asan ] && command -v nbdkit >/dev/null; then
    # The plugin's sanitizer has to be in nbdkit before all else; what nbdkit itself leaks is its own.
    mkdir "$TEST_DIR/bin"
    cat >"$TEST_DIR/bin/nbdkit" <<END
#!/bin/sh
LD_PRELOAD=$(ldd "$VMSCM_BUILD/vmscm" | awk '$1 ~ /^libasan/ { print $3 }')
ASAN_OPTIONS=\$ASAN_OPTIONS:detect_leaks=0
export LD_PRELOAD ASAN_OPTIONS
exec $(command -v nbdkit) "\$@"
END
    chmod 755 "$TEST_DIR/bin/nbdkit"
    PATH=$TEST_DIR/bin:$PATH
fi
cd "$TEST_DIR/work" || exit 1

test_cleanup() {
    local rc=$? m
    trap - EXIT
    [ -n "$test_at_exit" ] && eval "$test_at_exit"
    cd /
    # A test that failed half-way may have left something mounted.
    awk -v dir="$TEST_DIR/" 'index($2, dir) == 1 { print $2 }' /proc/mounts 2>/dev/null | sort -r |
        while read -r m; do umount "$m"; done
    if [ -n "${VMSCM_TEST_KEEP:-}" ]; then
        echo "# kept $TEST_DIR"
    else
        chmod -R u+rwX "$TEST_DIR" 2>/dev/null
        rm -rf "$TEST_DIR"
    fi
    exit $rc
}
trap test_cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# at_exit COMMANDS: run them when the test ends, however it ends; the last given come first
at_exit() {
    test_at_exit="$1
$test_at_exit"
}

# skip_all WHY: the whole file cannot run here
skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

# python_with MODULE...: prints the name of a python3 that has them; nothing, if there is none. The one on the PATH
# may be another than the system's, which has what Debian's packages bring.
python_with() {
    local candidate modules="$*"
    for candidate in python3 /usr/bin/python3; do
        "$candidate" -c "import ${modules// /, }" 2>/dev/null && echo "$candidate" && break
    done
    return 0
}

# skip WHAT WHY
skip() {
    test_number=$((test_number + 1))
    echo "ok $test_number - $1 # SKIP $2"
}

# missing PREREQUISITE...: says what is not there; nothing if all is. A prerequisite is ROOT, LOOP,
# TMPFS or the name of a program.
missing() {
    local need
    for need in "$@"; do
        case $need in
        ROOT) [ "$(id -u)" = 0 ] || echo "needs root" ;;
        LOOP) [ "$(id -u)" = 0 ] && losetup -f >/dev/null 2>&1 || echo "needs loop devices" ;;
        TMPFS)
            mkdir -p "$TEST_DIR/tmpfs"
            if mount -t tmpfs -o size=1m none "$TEST_DIR/tmpfs" 2>/dev/null; then
                umount "$TEST_DIR/tmpfs"
            else
                echo "cannot mount a tmpfs"
            fi
            ;;
        *) command -v "$need" >/dev/null || echo "$need is not installed" ;;
        esac
    done | head -n 1
}

test_report() { # RC WHAT LOG
    test_number=$((test_number + 1))
    if [ "$1" = 0 ]; then
        echo "ok $test_number - $2"
    else
        echo "not ok $test_number - $2"
        sed 's/^/# /' "$3" | tail -n 100
    fi
}

test_run() { # COMMANDS: their status; what they print in out, err and log
    (
        exec </dev/null >"$TEST_DIR/out" 2>"$TEST_DIR/err" 9>"$TEST_DIR/log"
        BASH_XTRACEFD=9
        PS4='+ '
        set -eux
        eval "$1"
    )
}

test_show() {
    sed 's/^/out: /' "$TEST_DIR/out" >>"$TEST_DIR/log"
    sed 's/^/err: /' "$TEST_DIR/err" >>"$TEST_DIR/log"
}

# check [-p PREREQUISITES] WHAT COMMANDS: every command succeeds
check() {
    local rc why
    if [ "$1" = -p ]; then
        # shellcheck disable=SC2086 # a list of words
        why=$(missing $2)
        shift 2
        if [ -n "$why" ]; then
            skip "$1" "$why"
            return
        fi
    fi
    test_run "$2"
    rc=$?
    if [ $rc != 0 ]; then
        test_show
        echo "exit status $rc" >>"$TEST_DIR/log"
    fi
    test_report $rc "$1" "$TEST_DIR/log"
}

# check_fails [-p PREREQUISITES] CODE WHAT COMMANDS [TEXT]: the commands end with this status. With
# a status of 2 or more, or with a TEXT, standard error holds exactly one line "vmscm: WHAT: WHY"
# besides warnings and hints, and TEXT (a basic regular expression) is in it.
check_fails() {
    local rc why bad=0 lines
    if [ "$1" = -p ]; then
        # shellcheck disable=SC2086 # a list of words
        why=$(missing $2)
        shift 2
        if [ -n "$why" ]; then
            skip "$2" "$why"
            return
        fi
    fi
    test_run "$3"
    rc=$?
    if [ $rc != "$1" ]; then
        echo "exit status $rc instead of $1" >>"$TEST_DIR/log"
        bad=1
    fi
    if [ "$1" -ge 2 ] || [ $# -ge 4 ]; then
        lines=$(grep -cv -e '^hint: ' -e '^vmscm: warning: ' -e '^warning: ' "$TEST_DIR/err")
        if [ "$lines" != 1 ] || ! grep -q '^vmscm: ..*: ..*' "$TEST_DIR/err"; then
            echo "standard error is not one line 'vmscm: WHAT: WHY'" >>"$TEST_DIR/log"
            bad=1
        fi
    fi
    if [ $# -ge 4 ] && ! grep -q -e "$4" "$TEST_DIR/err"; then
        echo "standard error does not say: $4" >>"$TEST_DIR/log"
        bad=1
    fi
    [ $bad = 0 ] || test_show
    test_report $bad "$2" "$TEST_DIR/log"
}

# no_fsck REPOSITORY: this one is damaged on purpose
no_fsck() {
    test_unchecked+=("$(cd "$1" && pwd -P)")
}

# Every repository below the scratch directory, one a line.
test_repositories() {
    find "$TEST_DIR" -xdev -type d -name packs -prune 2>/dev/null | while read -r packs; do
        [ -d "${packs%/packs}/git" ] && echo "${packs%/packs}"
    done
}

# The last line of every test: all repositories it made are whole, and the plan.
done_testing() {
    local repo other skipit
    while read -r repo; do
        skipit=
        for other in ${test_unchecked[@]+"${test_unchecked[@]}"}; do
            case $repo in "$other" | "$other"/*) skipit=1 ;; esac
        done
        [ -n "$skipit" ] ||
            check "fsck: ${repo#"$TEST_DIR"/}" "vmscm -C '$repo' fsck --full"
    done < <(test_repositories)
    echo "1..$test_number"
}

# Helpers for the commands of checks.

# fail WORDS: end this check with a message
fail() {
    echo "$*" >&2
    return 1
}

# noise BYTES [SEED]: the same incompressible bytes every time
noise() {
    openssl enc -aes-128-ctr -K "$(printf '%032x' "${2:-1}")" -iv 00000000000000000000000000000000 \
        </dev/zero 2>/dev/null | head -c "$1" || true
}

# text BYTES [SEED]: the same compressible bytes every time
text() {
    noise $(($1 / 2)) "${2:-1}" | od -An -v -tx1 | head -c "$1" || true
}

# put FILE OFFSET: standard input into FILE at OFFSET, changing nothing else
put() {
    dd of="$1" bs=64k oflag=seek_bytes seek="$2" conv=notrunc status=none
}

# sample_disk FILE [MIB] [SEED]: a raw disk with an ext4 file system that has files of several kinds
# and holes in it, 24 MiB unless told
sample_disk() {
    local mib=${2:-24} seed=${3:-1} dir
    dir=$(mktemp -d "$TMPDIR/disk.XXXXXX")
    noise $((mib * 125000)) "$seed" >"$dir/noise"
    text $((mib * 170000)) "$seed" >"$dir/text"
    for i in 1 2 3 4 5 6 7 8 9; do echo "small file $i of $seed" >"$dir/small$i"; done
    truncate -s 0 "$1" && truncate -s "${mib}M" "$1"
    E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -t ext4 -F \
        -U 6d5c1f5e-0c55-4a43-9d0b-4f7d5a0f2b11 \
        -E hash_seed=6d5c1f5e-0c55-4a43-9d0b-4f7d5a0f2b12 -d "$dir" "$1"
    rm -rf "$dir"
}

# stored REPOSITORY: bytes its packs take
stored() {
    find "$1/packs" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}
