# SPDX-License-Identifier: GPL-3.0-or-later
# For bash-completion's directory, as "vmscm". The script comes from the vmscm that is installed.
eval "$(command vmscm completions bash 2>/dev/null)"
