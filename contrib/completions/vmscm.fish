# SPDX-License-Identifier: GPL-3.0-or-later
# For fish's vendor_completions.d. The script comes from the vmscm that is installed.
command vmscm completions fish 2>/dev/null | source
