# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What the lints share: one TAP test a rule, the offending lines as its diagnosis.
set -u
# The last part of a pipe runs here, so that `... | rule` can count.
shopt -s lastpipe
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
LC_ALL=C.UTF-8
export LC_ALL
lint_count=0
lint_failed=0

# rule NAME: standard input holds the offenders, one a line; it must be empty
rule() {
    local found
    found=$(cat)
    lint_count=$((lint_count + 1))
    if [ -z "$found" ]; then
        echo "ok $lint_count - $1"
    else
        echo "not ok $lint_count - $1"
        printf '%s\n' "$found" | sed 's/^/# /'
        lint_failed=1
    fi
}

# lint_skip NAME WHY
lint_skip() {
    lint_count=$((lint_count + 1))
    echo "ok $lint_count - $1 # SKIP $2"
}

# The tree's files: what git tracks and what it would, so that a tarball works too.
lint_files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -co --exclude-standard -- "$@" | while read -r f; do [ -e "$f" ] && echo "$f"; done
    else
        find . -type f -not -path './build*' | sed 's/^\.\///' | while read -r f; do
            for p in "$@"; do
                # shellcheck disable=SC2254 # a pattern on purpose
                case $f in $p | $p/*) echo "$f" ;; esac
            done
        done
    fi | sort -u
}

lint_done() {
    echo "1..$lint_count"
    exit $lint_failed
}
