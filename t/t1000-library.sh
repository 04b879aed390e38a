#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The library as others use it: installed, found through pkg-config, from C and from C++.
# shellcheck source=t/lib-test.sh
. "$(dirname "$0")/lib-test.sh"

prefix=$TEST_DIR/prefix
check 'it is installed under a prefix' '
    cmake --install "$VMSCM_BUILD" --prefix "$prefix"
    [ -x "$prefix/bin/vmscm" ]
    [ -e "$(find "$prefix" -name libvmscm.so)" ]
    [ -e "$prefix/include/vmscm/repo.h" ]'
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name vmscm.pc 2>/dev/null | head -n 1)")
LD_LIBRARY_PATH=$(dirname "$(find "$prefix" -name libvmscm.so 2>/dev/null | head -n 1)")
export PKG_CONFIG_PATH

check 'the installed program finds its library' '
    [ "$("$prefix/bin/vmscm" version | head -n 1)" = "$(vmscm version | head -n 1)" ]'
check 'pkg-config knows it' '
    [ "$(vmscm version --json | jq -r .version)" = "$(pkg-config --modversion vmscm)" ]
    [ "$(realpath "$(pkg-config --variable=includedir vmscm)")" = "$prefix/include" ]'
check 'its soname is versioned, and it exports nothing but vmscm_' '
    library=$(find "$prefix" -name libvmscm.so)
    objdump -p "$library" | grep -q "SONAME *libvmscm.so.[0-9]"
    ! nm -D --defined-only "$library" | awk "{ print \$3 }" | grep -v -e "^vmscm_" -e "^VMSCM_"'
check 'two revisions of a machine' '
    vmscm init
    noise 100000 1 >disk.raw
    vmscm checkin web disk.raw -m "first"
    noise 100000 2 >disk.raw
    vmscm checkin web disk.raw -m "second"'

sanitize=$(sed -n 's/^VMSCM_SANITIZE:[A-Z]*=//p' "$VMSCM_BUILD/CMakeCache.txt")
check 'the example builds, and prints the history' '
    cc -std=c11 -Wall -Wextra -Werror ${sanitize:+-fsanitize=$sanitize} \
        "$TEST_SOURCE/contrib/example/history.c" $(pkg-config --cflags --libs vmscm) -o history
    LD_LIBRARY_PATH=$LD_LIBRARY_PATH ./history . web >printed
    [ "$(cut -d" " -f2- printed)" = "Test User: second
Test User: first" ]'
check 'its errors are the library'"'"'s' '
    rc=0
    LD_LIBRARY_PATH=$LD_LIBRARY_PATH ./history . wbe 2>said || rc=$?
    [ $rc = 1 ] && grep -q wbe said'
check 'the example is short' '[ "$(grep -vc "^$" "$TEST_SOURCE/contrib/example/history.c")" -le 36 ]'
check -p c++ 'C++ programs link with it' '
    printf "#include <vmscm/version.h>\n#include <cstdio>\nint main() { std::puts(vmscm_version()); }\n" >v.cc
    c++ -Wall -Wextra -Werror ${sanitize:+-fsanitize=$sanitize} v.cc \
        $(pkg-config --cflags --libs vmscm) -o v
    [ "$(LD_LIBRARY_PATH=$LD_LIBRARY_PATH ./v)" = "$(pkg-config --modversion vmscm)" ]'
check 'manual pages are installed' '
    [ -n "$(find "$prefix" -name vmscm.1)" ]
    [ -n "$(find "$prefix" -name "vmscm-format-pack.5")" ]'

done_testing
