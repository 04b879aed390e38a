# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that are killed and failed, each on a fresh copy of the base."""

import os

from lab import REPO, Failed, read_state, plain, sha_file


class Command:
    def __init__(self, name, *words, repo=True, output=None, before=()):
        self.name, self.words, self.repo, self.output = name, words, repo, output
        self.before = before  # commands that prepare its base

    def argv(self, lab):
        at = ["-C", os.path.join(lab.path, REPO)] if self.repo else []
        return at + [os.path.join(lab.path, w[1:]) if w.startswith("@") else w for w in self.words]


# A word that begins with "@" is a path in the lab.
COMMANDS = [
    Command("checkin-new", "checkin", "mail", "@new.raw", "-m", "m"),
    Command("checkin-known", "checkin", "web", "@vda.raw", "@vdb.raw", "-m", "m"),
    Command("checkin-work", "-C", "@work", "checkin", "-m", "m", repo=False),
    Command("tag", "tag", "web", "golden", "-m", "m"),
    Command("tag-move", "tag", "--force", "web", "first"),
    Command("untag", "tag", "-d", "web:first"),
    Command("comment", "comment", "web", "-m", "a new remark"),
    Command("clone", "clone", "web:first", "copy"),
    Command("rename", "rename", "qa/test", "qa/other"),
    Command("rm", "rm", "qa/test"),
    Command("checkout", "checkout", "web", "@out", output="out"),
    Command("checkout-over", "checkout", "--force", "web:first", "@work", output="work"),
    Command("config", "config", "core.compression", "5"),
    Command("init", "init", "--bare", "@fresh.vmscm", repo=False, output="fresh.vmscm"),
]


def named(names):
    wanted = [c for c in COMMANDS if not names or c.name in names]
    if len(wanted) < len(names):
        raise Failed("no such command among %s" % " ".join(names))
    return wanted


def listing(top):
    """Files below a directory and what is in them, but for what depends on the time or the place."""
    found = {}
    for where, _, files in os.walk(top):
        for name in files:
            path = os.path.join(where, name)
            if name != ".vmscm-checkout":
                found[os.path.relpath(path, top)] = sha_file(path)
    return found


class Done:
    """What a command makes of its base when nothing goes wrong."""

    def __init__(self, lab, command):
        lab.fresh()
        got = lab.run(command)
        if got.code != 0:
            raise Failed("%s, undisturbed, %s" % (command.name, got))
        self.state = read_state(lab.repo, plain(lab.env))
        # A revision that no name leads to any more is still to be had by its id.
        for rev, disks in lab.base.state.revisions.items():
            self.state.revisions.setdefault(rev, disks)
        self.state.comments |= lab.base.state.comments
        self.output = listing(os.path.join(lab.path, command.output)) if command.output else None

    def wrong(self, lab, command):
        """None, or what is not as it must be after the command."""
        why = lab.wrong(self.state)
        if not why and command.output:
            made = listing(os.path.join(lab.path, command.output))
            if made != self.output:
                names = sorted(set(made.items()) ^ set(self.output.items()))
                why = "%s: not what it must be: %s" % (command.output, names[:6])
        return why
