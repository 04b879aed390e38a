#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The command line: options, usage, help, exit codes, -C, VMSCM_DIR, colour, pager, other people's
# commands, --json, pipes that break, signals.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

commands=(init checkin checkout status cat list clone rename rm log show diff tag comment stats fsck
    config help version)

# terminal COMMAND: run it on a terminal of its own, which shows what it prints
terminal() {
    script -qec "$1" /dev/null
}

# --- without a repository

check 'a command is needed' '
    rc=0; vmscm 2>said || rc=$?
    [ $rc = 2 ] && grep -q "^usage: vmscm" said'
check '-h lists every command, and so does help' '
    vmscm -h >list
    for c in "${commands[@]}"; do grep -q "^  $c  *[a-z]" list; done
    vmscm help | cmp - list'
check '-h of every command begins with its usage' '
    for c in "${commands[@]}"; do
        vmscm "$c" -h >usage
        head -n 1 usage | grep "^usage: vmscm $c"
    done'
check '--version and version' '
    [ "$(vmscm --version)" = "$(vmscm version -q)" ]
    vmscm version --json | jq -e "(.version | length > 0) and (.libraries | length > 0)"'
check 'the hidden commands are not listed' '
    if vmscm help -a | grep -e "^  complet"; then exit 1; fi'

check_fails 2 'an unknown command' 'vmscm frobnicate' 'frobnicate: no such command'
check_fails 2 'the nearest command is suggested' 'vmscm chekcin' "did you mean 'checkin'"
check_fails 2 'nothing is suggested where nothing is near' '
    vmscm xyzzy 2>said || { rc=$?; grep -q "^hint:.*mean" said && exit 9; cat said >&2; exit $rc; }' xyzzy
check_fails 1 'help on an unknown command suggests too' 'vmscm help lgo' "did you mean 'log'"
check_fails 2 'an unknown letter' 'vmscm log -x' '-x: unknown option'
check_fails 2 'an unknown letter in a cluster' 'vmscm log -qx' '-x: unknown option'
check_fails 2 'an unknown long option' 'vmscm log --nope' '--nope: unknown option'
check_fails 2 'an unknown option before the command' 'vmscm --nope log' '--nope: unknown option'
check_fails 2 'a prefix of two options' 'vmscm checkin --allow' 'more than one option begins so'
check_fails 2 'a value is missing' 'vmscm log -n' '-n: a value is missing'
check_fails 2 'a value is missing, long' 'vmscm checkin --format' 'a value is missing'
check_fails 2 'a value is not wanted' 'vmscm log --oneline=3' 'takes no value'
check_fails 2 'a number is wanted' 'vmscm log -n many' 'many: not a number'
check_fails 2 'a number is not negative' 'vmscm log -n -1' '-1: not a number'
check_fails 2 'a number is not huge' 'vmscm log -n 4294967296' 'not a number'
check_fails 2 'one of some values is wanted' 'vmscm checkin m x --format qcow3' 'one of raw|qcow2'
check_fails 2 'a piece of the values is none' 'vmscm checkin m x --format "w|q"' 'not one of'
check_fails 2 'too few arguments' 'vmscm clone web' 'too few arguments'
check_fails 2 'too many arguments' 'vmscm show a b' 'too many arguments'
check_fails 2 'tag: too few arguments' 'vmscm tag web' 'too few arguments'
check_fails 2 'a machine without a source' 'vmscm checkin web' 'no SOURCE'
check_fails 2 'a level that zstd has but a check-in has not' 'vmscm checkin web x --level 20' 'between 1 and 19'
check_fails 2 'diff of one, outside a checkout' 'vmscm diff web' 'two revisions'
check_fails 2 'a URL of a kind that is not known' 'vmscm clone gopher://example.com/r.vmscm here' 'not known'
check_fails 3 '-C to nowhere' 'vmscm -C nowhere list' 'nowhere: No such file'
check_fails 1 'no repository' 'vmscm list'
check_fails 1 'no checkout' 'vmscm checkin' 'checkin MACHINE SOURCE'

check 'vmscm-foo on the PATH is vmscm foo' '
    mkdir bin
    printf "#!/bin/sh\necho \"foo: \$*\"\nexit 7\n" >bin/vmscm-foo
    chmod +x bin/vmscm-foo
    rc=0; said=$(PATH=$PWD/bin:$PATH vmscm foo -x --json "a b") || rc=$?
    [ "$said" = "foo: -x --json a b" ] && [ $rc = 7 ]
    PATH=$PWD/bin:$PATH vmscm help -a | grep "^  foo  .*/bin/vmscm-foo"'
check 'but a path is not' '
    rc=0; PATH=$PWD/bin:$PATH vmscm ../work/bin/vmscm-foo 2>/dev/null || rc=$?; [ $rc = 2 ]'
check '-C comes before other people'"'"'s commands too' '
    mkdir there
    printf "#!/bin/sh\npwd\n" >bin/vmscm-where
    chmod +x bin/vmscm-where
    [ "$(PATH=$PWD/bin:$PATH vmscm -C there where)" = "$PWD/there" ]'

for shell in bash zsh fish; do
    check -p "$shell" "completions for $shell are valid" "
        vmscm completions $shell >script
        $shell -n script
        for c in \"\${commands[@]}\"; do grep -q \"\\b\$c\\b\" script; done
        grep -qe 'allow-outside' script"
done
check_fails 2 'no other shell' 'vmscm completions tcsh' 'no such shell'

# --- a repository

check 'init' '
    vmscm init repo >said
    grep -q "$PWD/repo/.vmscm" said'
check_fails 3 'init again' 'vmscm init repo'
check 'init --json, --bare, -q' '
    vmscm init --bare --json bare.vmscm | jq -e ".bare == true and .path == \"$PWD/bare.vmscm\""
    [ -z "$(vmscm init -q quiet)" ]'
check 'VMSCM_DIR names the repository, for init too' '
    VMSCM_DIR=$PWD/own.vmscm vmscm init -q
    VMSCM_DIR=own.vmscm vmscm stats --json | jq -e ".machines == 0"
    rm -r own.vmscm'

check 'a disk to work with' '
    sample_disk disk.raw 16 1
    sample_disk disk2.raw 16 2
    vmscm -C repo checkin web ../disk.raw -m "one" -m "with a
second paragraph" --date "@1700000000 +0100" --author "Ada <ada@example.com>" >line
    grep -Eq "^web [0-9a-f]{7}  [0-9.]+ [KM]iB read, [0-9.]+ [KM]iB new, [0-9.]+ [KM]iB stored, [0-9.]+ s$" line
    vmscm -C repo checkin web ../disk2.raw -q --date "@1700000100 +0000"
    vmscm -C repo checkin web ../disk2.raw | grep "unchanged"
    vmscm -C repo tag web golden -m "as it should be" >/dev/null
    vmscm -C repo comment web~1 -m "a remark"
    vmscm -C repo clone web qa/other | grep "^qa/other [0-9a-f]*$"'

check '-m twice is two paragraphs, -F reads a file' '
    cd repo
    vmscm show --json web~1 | jq -r .message | head -n 3 >message
    printf "one\n\nwith a\n" | cmp - message
    printf "from a file\n\n\n" | vmscm tag web filed -F -
    vmscm tag -l web --json | jq -e ".[] | select(.tag == \"filed\") | .message | rtrimstr(\"\n\") == \"from a file\""
    vmscm tag -d web:filed'
check_fails 2 '-m and -F' 'echo x >x; vmscm -C repo tag web both -m a -F ../x' 'not together'
check_fails 3 '-F of what is not there' 'vmscm -C repo tag web no -F nofile' 'nofile'
check_fails 3 '-F of what is not text' 'vmscm -C repo tag web no -F /dev/zero' '/dev/zero'
check_fails 2 'comment without a text, and without a terminal' 'vmscm -C repo comment web' 'no text'

check -p script 'comment asks an editor on a terminal; its remarks are left out' '
    cd repo
    printf "#!/bin/sh\ngrep ^# \"\$2\" >>asked; printf \"edited by hand\\n# not this\\n\" >>\"\$2\"\n" >../bin/editor
    chmod +x ../bin/editor
    VISUAL="$PWD/../bin/editor -x" terminal "vmscm comment web~1"
    grep "^# A comment on revision [0-9a-f]\{40\}" asked
    [ "$(vmscm show --json web~1 | jq -r ".comments[-1].text | rtrimstr(\"\n\")")" = "edited by hand" ]
    [ -z "$(find "$TMPDIR" -name "vmscm-message*")" ]
    rc=0; EDITOR=true VISUAL="" terminal "vmscm comment web" >said || rc=$?
    [ $rc = 2 ] && grep "no text" said
    rc=0; VISUAL=false terminal "vmscm comment web" >said || rc=$?
    [ $rc = 3 ] && grep "editor ended with status 1" said'

check 'options stand anywhere, in clusters, and end at --' '
    cd repo
    vmscm log web --oneline -n1 >a
    vmscm log -n 1 --one web >b
    vmscm log --max-count=1 --oneline -- web >c
    [ "$(wc -l <a)" = 1 ]
    cmp a b
    cmp a c
    [ "$(vmscm -C .. -C repo log --oneline -qvn1 web | wc -l)" = 1 ]'
check '-C and VMSCM_DIR' '
    vmscm -C repo list >a
    mkdir -p repo/deep/down
    vmscm -C repo -C deep/down list >b
    VMSCM_DIR=$PWD/repo/.vmscm vmscm list >c
    VMSCM_DIR=repo vmscm -C . list >d
    cmp a b
    cmp a c
    cmp a d'

check 'what others wrote is made safe' '
    cd repo
    git=.vmscm/git
    evil=$(printf "\033[31mred\033[0m\n\n\tand \302\233 more \342\200\256\n" |
        git -c user.name="$(printf "E\033vil")" -c user.email=e@example.com --git-dir=$git \
            commit-tree -p refs/heads/web "refs/heads/web^{tree}" 2>/dev/null)
    git --git-dir=$git update-ref refs/heads/evil "$evil"
    for command in log "log --oneline" show list; do
        vmscm $command $([ "$command" = list ] || echo evil) >said
        if LC_ALL=C grep -q "$(printf "[\033\302]")" said; then exit 1; fi
        grep -qF "\x1b[31mred" said
    done
    vmscm log evil >said
    grep -qF "and \x9b more \u202e" said
    vmscm log --json evil | jq -e ".[0].message | startswith(\"\u001b[31mred\")"
    git --git-dir=$git update-ref -d refs/heads/evil
    rc=0; vmscm show "$(printf "a\033b")" 2>said || rc=$?
    [ $rc != 0 ]
    if grep -q "$(printf "\033")" said; then exit 1; fi'
check 'colour: not into a pipe, but when asked for' '
    cd repo
    escape=$(printf "\033")
    if vmscm log web | grep "$escape"; then exit 1; fi
    vmscm log --color=always web | grep "$escape"
    vmscm --color=always log web | grep "$escape"
    NO_COLOR=1 vmscm log --color=always web | grep "$escape"'
check -p script 'colour: on a terminal, unless NO_COLOR' '
    cd repo
    escape=$(printf "\033")
    export TERM=xterm
    terminal "vmscm --no-pager log web" | grep "$escape"
    if NO_COLOR=1 terminal "vmscm --no-pager log web" | grep "$escape"; then exit 1; fi
    if TERM=dumb terminal "vmscm --no-pager log web" | grep "$escape"; then exit 1; fi'

check -p script 'a pager on a terminal: VMSCM_PAGER, core.pager, PAGER, in this order' '
    cd repo
    export TERM=dumb PAGER="sed s/^/P:/"
    terminal "vmscm log web" | grep "^P:revision"
    vmscm config --user core.pager "sed s/^/C:/"
    terminal "vmscm log web" | grep "^C:revision"
    VMSCM_PAGER="sed s/^/V:/" terminal "vmscm log web" | grep "^V:revision"
    VMSCM_PAGER=cat terminal "vmscm log web" | grep "^revision"
    VMSCM_PAGER= terminal "vmscm log web" | grep "^revision"
    terminal "vmscm log --no-pager web" | grep "^revision"
    terminal "vmscm --no-pager log web" | grep "^revision"
    vmscm log web | grep "^revision"
    terminal "vmscm list" | grep "^web "
    vmscm config core.pager "touch ran"
    vmscm config --user --unset core.pager
    PAGER=cat terminal "vmscm log web" >/dev/null
    [ ! -e ran ]
    vmscm config --unset core.pager'
check -p script 'a pager that is left at once is no error' '
    cd repo
    export TERM=dumb VMSCM_PAGER=true
    terminal "vmscm log web" >said
    [ ! -s said ]'

check 'a pipe that breaks is no error, but ends the command' '
    cd repo
    set +e
    { vmscm cat web 2>said; echo $? >status; } | head -c 100 >/dev/null
    set -e
    [ "$(cat status)" = 141 ]
    [ ! -s said ]'
check_fails 3 'a full disk is an error' 'vmscm -C repo log web >/dev/full' 'standard output: No space'
check -p script 'cat refuses a terminal' '
    cd repo
    rc=0; terminal "vmscm cat web" >said || rc=$?
    [ $rc = 4 ] && grep -q "a terminal" said'

# --- --json: valid, and every field is in the manual

# documented NAME: every key of the JSON on standard input is in vmscm-NAME(1), or what it refers to
documented() {
    local key pages=("$TEST_SOURCE/man/vmscm-$1.1")
    [ "$1" != show ] || pages+=("$TEST_SOURCE/man/vmscm-log.1")
    tee json | jq -e . >/dev/null || return 1
    jq -r '[paths | map(select(type == "string"))[-1]] | unique[] | select(. != null)' json |
        while read -r key; do
            grep -hE '^\.(It )?Va ' "${pages[@]}" |
                grep -qE "[ ,]$key( |$)" || { echo "$1: $key is not documented"; return 1; }
        done
}
check 'fields of --json are documented' '
    vmscm init --json third | documented init
    cd repo
    vmscm checkin new ../disk.raw --json | documented checkin
    vmscm checkout new out --json | documented checkout
    vmscm status out --json | documented status
    vmscm clone new newer --json | documented clone
    vmscm rm newer --json | documented rm
    vmscm list --json | documented list
    vmscm log --json | documented log
    vmscm tag new mark -m x --json | documented tag
    vmscm tag -l --json | documented tag
    vmscm stats --json | documented stats
    vmscm fsck --json | documented fsck
    vmscm config -l --json | documented config
    rc=0; vmscm diff --json --ranges web~1 web >diff || rc=$?
    [ $rc = 1 ] && documented diff <diff
    vmscm show --json web~1 | jq "del(.hardware.disks[].options)" | documented show'
check 'times have a zone, ids are whole' '
    cd repo
    vmscm log --json web | jq -e "all(.[]; (.time | test(\"^[0-9-]+T[0-9:]+[+-][0-9]{2}:[0-9]{2}$\")) and (.id | length == 40))"
    vmscm show --json web~1 | jq -e ".time == \"2023-11-14T23:13:20+01:00\" and .author.name == \"Ada\""'
check '--json is one value even where there is nothing' '
    vmscm -C third list --json | jq -e ". == []"
    vmscm -C third log --json | jq -e ". == []"
    vmscm -C third tag -l --json | jq -e ". == []"'

# --- answers

check 'diff: 0 and nothing for the same, 1 if it differs' '
    cd repo
    [ -z "$(vmscm diff web qa/other)" ]
    rc=0; vmscm diff web~1 web >said || rc=$?
    [ $rc = 1 ] && grep -q "changed" said
    rc=0; said=$(vmscm diff -q web~1 web) || rc=$?
    [ $rc = 1 ] && [ -z "$said" ]'
check 'list: a pattern, and 1 if none fits' '
    cd repo
    [ "$(vmscm list "qa/*" --json | jq -r ".[].machine")" = qa/other ]
    vmscm list -l | grep "16.0 MiB"
    rc=0; said=$(vmscm list "nothing*") || rc=$?
    [ $rc = 1 ] && [ -z "$said" ]'
check 'log: all machines, merged by date, each revision once' '
    cd repo
    vmscm log --json >all
    [ "$(jq -r ".[].id" all | sort | uniq -d | wc -l)" = 0 ]
    jq -e "[.[].time | sub(\"[+-]..:..$\"; \"Z\")] | length >= 3" all
    [ "$(vmscm log --oneline -n 2 | wc -l)" = 2 ]
    for i in 1 2 3 4 5; do
        echo "$i" | put ../disk.raw $((i * 65536))
        vmscm checkin quick ../disk.raw -q --date @1800000000
        [ $i != 2 ] || vmscm clone quick quicker
    done
    vmscm log --json >all
    for parent in $(jq -r ".[] | select(.machine | startswith(\"quick\")) | .parents[]" all); do
        jq -e --arg p "$parent" "(map(.id) | index(\$p)) > (map(.parents | index(\$p)) | index(0))" all
    done'
check 'log and show tell names and comments' '
    cd repo
    vmscm log web >said
    grep -q "^revision [0-9a-f]\{40\} (.*web:golden" said
    grep -q "a remark" said
    vmscm show web | grep "CPU"'
check 'status --exit-code' '
    cd repo
    vmscm status --exit-code out
    printf x | put "$(find out -type f -size +1M | head -n 1)" 5000
    rc=0; vmscm status --exit-code out >said || rc=$?
    [ $rc = 1 ] && grep -q touched said
    vmscm status out'
check 'cat: REV, REV:DISK, MACHINE:TAG, MACHINE:TAG:DISK' '
    cd repo
    disk=$(vmscm show --json web | jq -r ".hardware.disks[0].id")
    for spec in web "web:$disk" web:golden "web:golden:$disk" "web@{0}:$disk"; do
        vmscm cat "$spec" | cmp - ../disk2.raw
    done'
check_fails 1 'cat of what is neither tag nor disk' 'vmscm -C repo cat web:nope >nope' 'nope'
check 'config' '
    cd repo
    rc=0; said=$(vmscm config no.such 2>&1) || rc=$?
    [ $rc = 1 ] && [ -z "$said" ]
    vmscm config core.compression 5
    [ "$(vmscm config core.compression)" = 5 ]
    vmscm config -l | grep -qx "core.compression=5"
    vmscm config --unset core.compression
    rc=0; vmscm config core.compression || rc=$?
    [ $rc = 1 ]
    vmscm config --user some.key value
    cd / && [ "$(vmscm config --user some.key)" = value ]
    [ "$(vmscm config some.key)" = value ]'
check_fails 1 'config: nothing to set outside a repository' 'cd / && vmscm config a.b c' 'repository'
check_fails 1 'rm goes on to the others, and says how to bring one back' '
    cd repo
    rc=0; vmscm rm nobody new >said || rc=$?
    back=$(sed -n "s/^removed new.*: //p" said)
    PS4= eval "$back" >&9 && vmscm show new >&9
    exit $rc' nobody
check 'SOURCE may carry a disk id, but a file of that name comes first' '
    cd repo
    cp ../disk.raw "a=b.raw"
    vmscm checkin ids vdx=../disk.raw -q
    [ "$(vmscm show --json ids | jq -r ".hardware.disks[0].id")" = vdx ]
    vmscm checkin file a=b.raw -q
    [ "$(vmscm show --json file | jq -r ".hardware.disks[0].id")" != a ]'
check 'words for the completions' '
    cd repo
    vmscm complete-words revision | grep -qx web:golden
    vmscm complete-words machine | grep -qx qa/other
    vmscm complete-words config-key | grep -qx core.jobs
    cd / && [ -z "$(vmscm complete-words machine 2>&1)" ]'
check 'bash completes commands, options, values, machines and tags' '
    cd repo
    cat >complete.bash <<"END"
source <(vmscm completions bash)
complete_line() {
    COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
    compopt() { :; }
    _vmscm
    printf "%s\n" "${COMPREPLY[@]}"
}
COMP_WORDBREAKS=" "
complete_line "$1"
END
    try() { bash complete.bash "$1"; }
    try "vmscm check" | grep -qx checkout
    try "vmscm checkin --f" | grep -qx -e --force-parent
    try "vmscm checkout --format vm" | grep -qx vmdk
    try "vmscm checkout --format=vm" | grep -qx -e --format=vmdk
    for command in list log search show; do
        try "vmscm $command --fo" | grep -x -e --format -e --format=
    done
    try "vmscm show web:" | grep -qx web:golden
    try "vmscm -C ../repo log qa" | grep -qx qa/other
    try "vmscm checkin -m hello we" | grep -qx web
    try "vmscm checkin web ../disk2" | grep -qx ../disk2.raw'
check -p script '--progress draws a line and takes it away, --no-progress and -q do not' '
    cd repo
    export TERM=xterm
    terminal "vmscm cat web >/dev/null" >said
    vmscm fsck --full --progress 2>said >/dev/null
    tail -c 4 said | od -An -c | grep "\\\\r 033" || [ ! -s said ]
    [ -z "$(vmscm fsck --full 2>&1 >/dev/null)" ]
    terminal "vmscm fsck --full --no-progress -q" >said
    [ ! -s said ]'
check 'what was read of standard output is what there is: -v adds to standard error only' '
    cd repo
    vmscm cat -v web 2>/dev/null | cmp - ../disk2.raw'

done_testing
