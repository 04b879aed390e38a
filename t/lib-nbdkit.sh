# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# For tests that look at what nbdkit does, sourced in the test's directory: what it says, its sanitizer
# included, is in nbdkit.log. It is told what is in MORE, too.
mkdir said
cat >said/nbdkit <<END
#!/bin/sh
exec $(command -v nbdkit) -v "\$@" \$MORE 2>>$PWD/nbdkit.log
END
chmod 755 said/nbdkit
PATH=$PWD/said:$PATH
