# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that are killed and failed, each on a fresh copy of the base."""

import glob
import os
import re
import shutil
import subprocess

import after
from lab import REPO, VMSCM, Failed, State, plain, read_pruned, read_state, run, sha_file


class Command:
    """words: its arguments. output: a directory it makes, which is compared. before: commands, or
    functions of a lab, that prepare its base. collects: revisions that no name leads to are none of its
    concern. harm: a function that damages the lab's repository, which the command is to mend. other: the
    path of another repository, which it makes or which is the other side: that must be whole as well."""

    def __init__(self, name, *words, repo=True, output=None, before=(), collects=False, harm=None,
                 other=None):
        self.name, self.words, self.repo, self.output = name, words, repo, output
        self.before, self.collects, self.harm, self.other = before, collects, harm, other

    def argv(self, lab):
        at = ["-C", os.path.join(lab.path, REPO)] if self.repo else []
        return at + [os.path.join(lab.path, w[1:]) if w.startswith("@") else w for w in self.words]


# A machine goes, and a part of what another's check-in brought.
GARBAGE = (
    ("checkin", "gone", "@new.raw", "@vda.raw", "-m", "m"),
    ("rm", "gone"),
    ("rm", "db"),
    ("config", "gc.auto", "false"),
)
# Revisions that only their machine and a tag lead to, one of which has much that no other has; pruned.
ALONE = (
    ("config", "gc.auto", "false"),
    ("rm", "qa/test"),
    ("checkin", "web", "@new.raw", "@vdb.raw", "-m", "m"),
    ("checkin", "web", "@vda.raw", "@vdb.raw", "-m", "m"),
)
PRUNE = ("prune", "--keep-last", "1", "--no-keep-tagged", "web")
# Several packs, none of them large.
SMALL = (
    (("config", "gc.auto", "false"),) +
    tuple(("checkin", "many%d" % n, "@many%d.raw" % n, "-m", "m") for n in range(6)) +
    (("config", "gc.auto", "true"),))


def qemu(lab, *argv):
    subprocess.run(argv, cwd=lab.path, check=True, capture_output=True)


def make_qcow2(lab):
    qemu(lab, "qemu-img", "convert", "-O", "qcow2", "vda.raw", "q.qcow2")


def write_qcow2(lab):
    """As a guest would, whose hypervisor keeps the bitmap that the checkout has."""
    image, = glob.glob(os.path.join(lab.path, "workq", "*.qcow2"))
    qemu(lab, "qemu-io", "-f", "qcow2", "-c", "write -P 7 64k 8k", "-c", "write -P 9 300k 4k", image)


def flip(path, *places):
    os.chmod(path, 0o644)
    with open(path, "r+b") as f:
        for place in places:
            f.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 0xff]))


def packs(lab):
    """The oldest first."""
    return sorted(glob.glob(os.path.join(lab.repo, "packs", "pack-*")), key=os.path.getmtime)


def pack_git(lab):
    subprocess.run(["git", "--git-dir=" + os.path.join(lab.repo, "git"), "repack", "-adq"], check=True)


def harm_indexes(lab):
    """Nothing is lost: what leads to it is."""
    old, new, _ = packs(lab)
    flip(old, 2, -100)
    flip(new, -100)
    index, = glob.glob(os.path.join(lab.repo, "git", "objects", "pack", "*.idx"))
    flip(index, 1100)


def make_trace(lab):
    """As after a boot that read three places of a disk, the last of them first."""
    git = ["git", "--git-dir=" + os.path.join(lab.repo, "git"), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "notes", "--ref=traces", "add", "-m", "2 1764547200 :vda 30+8 :vdb 0+4 :vda 0", "web^{tree}:disks"],
                   env=dict(lab.env, GIT_AUTHOR_DATE="1764547200 +0000", GIT_COMMITTER_DATE="1764547200 +0000"),
                   check=True, capture_output=True)


def keep_copy(lab):
    shutil.copytree(lab.repo, os.path.join(lab.path, "copy.vmscm"))


def harm_data(lab):
    """Chunks and an object of history are lost; one machine is as it was."""
    old, new, _ = packs(lab)
    for pack in old, new:
        flip(pack, *range(1000, os.path.getsize(pack) - 2000, 3000))
    tree = subprocess.run(
        ["git", "--git-dir=" + os.path.join(lab.repo, "git"), "rev-parse", "web~1^{tree}:disks/vda"],
        check=True, capture_output=True, text=True).stdout.strip()
    flip(os.path.join(lab.repo, "git", "objects", tree[:2], tree[2:]), 20)


def make_other(lab):
    """Another repository, with a machine of its own and one that goes on from what is here."""
    other = os.path.join(lab.path, "other.vmscm")

    def do(*words):
        got = run([VMSCM, "-C", other] + list(words), lab.env, lab.path)
        if got.code != 0:
            raise Failed("preparing: vmscm %s: %s" % (" ".join(words), got))

    got = run([VMSCM, "clone", "-q", "--bare", lab.repo, other], lab.env, lab.path)
    if got.code != 0:
        raise Failed("preparing: clone %s" % got)
    do("config", "core.jobs", "1")
    do("config", "gc.auto", "false")
    do("remote", "set-url", "origin", lab.repo)
    do("checkin", "mail", os.path.join(lab.path, "new.raw"), "-m", "m")
    do("tag", "mail", "first", "-m", "a tag")
    do("checkin", "web", os.path.join(lab.path, "vda.raw"), os.path.join(lab.path, "vdb.raw"), "-m", "m")
    do("comment", "web", "-m", "a remark from elsewhere")


# A word that begins with "@" is a path in the lab.
COMMANDS = [
    Command("checkin-new", "checkin", "mail", "@new.raw", "-m", "m"),
    Command("checkin-known", "checkin", "web", "@vda.raw", "@vdb.raw", "-m", "m"),
    Command("checkin-work", "-C", "@work", "checkin", "-m", "m", repo=False),
    Command("checkin-bitmap", "-C", "@workq", "checkin", "-m", "m", repo=False,
            before=(make_qcow2, ("checkin", "vm", "@q.qcow2", "-m", "m"),
                    ("checkout", "vm", "@workq"), write_qcow2)),
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
    Command("gc", "gc", "--grace", "0", "--threshold", "1", before=GARBAGE, collects=True),
    Command("gc-trash", "gc", "--grace", "1h", "--threshold", "1", before=GARBAGE, collects=True),
    Command("gc-auto", "gc", "--auto", before=SMALL, collects=True),
    Command("gc-aggressive", "gc", "--aggressive", "--grace", "0", before=GARBAGE + (make_trace,), collects=True),
    Command("prune", *PRUNE, before=ALONE),
    Command("prune-undo", "prune", "--undo", "web:first", before=ALONE + (PRUNE,)),
    Command("gc-pruned", "gc", "--grace", "0", "--threshold", "1", before=ALONE + (PRUNE,),
            collects=True),
    Command("repair", "fsck", "--repair", before=(pack_git,), harm=harm_indexes),
    Command("repair-from", "fsck", "--repair", "--from", "@vda.raw", "--from", "@copy.vmscm",
            before=(keep_copy,), harm=harm_data),
    Command("init", "init", "--bare", "@fresh.vmscm", repo=False, output="fresh.vmscm"),
]


# To and from another repository: the lab's receives, but for clones of it. One process is both sides.
REMOTES = [
    Command("push", "-C", "@other.vmscm", "push", "--tags", "@r.vmscm", "mail", "web", repo=False,
            before=(make_other,), other="other.vmscm"),
    Command("push-atomic", "-C", "@other.vmscm", "push", "--atomic", "--tags", "@r.vmscm", "mail",
            "web", repo=False, before=(make_other,), other="other.vmscm"),
    Command("fetch", "fetch", "other", other="other.vmscm",
            before=(make_other, ("remote", "add", "other", "@other.vmscm"))),
    Command("pull", "pull", "other", "mail", "web", other="other.vmscm",
            before=(make_other, ("remote", "add", "other", "@other.vmscm"))),
    Command("clone-url", "clone", "@r.vmscm", "@cloned", repo=False, other="cloned/.vmscm"),
    Command("clone-lazy", "clone", "--bare", "--lazy", "@r.vmscm", "@cloned.vmscm", repo=False,
            other="cloned.vmscm"),
]


ALL = COMMANDS + REMOTES


def named(names):
    wanted = [c for c in ALL if not names or c.name in names]
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


# What no command leaves behind once gc has run.
LEFTOVERS = re.compile(r"\.lock$|\.tmp-|/tmp_|/(tmp|trash|quarantine|damaged)/|\.vmscm-partial")
# But for this, which a repair sets aside: only people remove it.
ASIDE = "/damaged/"


def garbage(lab, command):
    """None, or what is left after a gc that no revision needs; and, of a repair, that it did not set
    aside."""
    repos = [lab.repo] + ([os.path.join(lab.path, command.other)] if command.other else [])
    for repo in repos:
        got = run([VMSCM, "-C", repo, "gc", "--grace", "0", "-q"], lab.env, lab.path)
        if got.code != 0:
            return "%s: gc %s" % (repo, got)
    left = [f for f in listing(lab.path)
            if LEFTOVERS.search("/" + f) and not (command.harm and ASIDE in f)]
    if left:
        return "gc leaves %s" % " ".join(left[:5])
    for repo in repos:
        fsck = run(["git", "--git-dir=" + os.path.join(repo, "git"), "fsck", "--unreachable",
                    "--no-progress", "--no-dangling"], plain(lab.env), lab.path)
        said = [line for line in fsck.said.splitlines() if not line.startswith("notice:")]
        if fsck.code != 0 or said:
            return "%s: git fsck after gc %s" % (repo, fsck)
    return None


def is_repository(lab, command):
    """Whether the command's other repository is one yet."""
    got = run([VMSCM, "-C", os.path.join(lab.path, command.other), "list", "-q"], plain(lab.env),
              lab.home)
    return got.code == 0


def read_other(lab, command):
    if not command.other or not is_repository(lab, command):
        return State()
    return read_state(os.path.join(lab.path, command.other), plain(lab.env))


class Done:
    """What a command makes of its base when nothing goes wrong, and the base."""

    def __init__(self, lab, command):
        self.base = lab.prepare(command)
        self.before = lab.base.state
        lab.fresh(self.base)
        self.untouched = after.digest(lab)
        self.seen = {}  # After by digest
        self.again = 0  # times that one of them was met again
        self.other_before = read_other(lab, command)
        if command.harm:
            self.before = lab.harmed
        elif command.before:
            self.before = read_state(lab.repo, plain(lab.env))
        got = lab.run(command)
        if got.code != 0:
            raise Failed("%s, undisturbed, %s" % (command.name, got))
        self.state = read_state(lab.repo, plain(lab.env))
        if not command.collects:
            # A revision that no name leads to any more is still to be had by its id.
            for rev, disks in self.before.revisions.items():
                self.state.revisions.setdefault(rev, disks)
            self.state.comments |= self.before.comments
        for name in self.before.names:
            self.state.names.setdefault(name, "-")
        self.other = read_other(lab, command)
        self.output = listing(os.path.join(lab.path, command.output)) if command.output else None
        self.names = sorted(os.listdir(lab.path))

    def lost(self, lab, command):
        """None, or what is not as it must be before or after the command."""
        why = lab.wrong(self.before, self.state)
        if not why and command.other and is_repository(lab, command):
            why = lab.wrong(self.other_before, self.other, command.other)
        return why

    def wrong(self, lab, command):
        """None, or what is not as it must be after the command."""
        why = lab.wrong(self.state)
        if not why and command.other:
            why = lab.wrong(self.other, where=command.other)
        if not why and read_pruned(lab.repo, plain(lab.env)) != self.state.pruned:
            why = "not what must be is pruned"
        if not why and command.output:
            made = listing(os.path.join(lab.path, command.output))
            if made != self.output:
                names = sorted(set(made.items()) ^ set(self.output.items()))
                why = "%s: not what it must be: %s" % (command.output, names[:6])
        return why

    def left(self, lab, command):
        """None, or what is there in the end that should not be, or is missing."""
        kept = self.state.copy()
        if command.name in ("rm", "tag-move", "untag"):
            # A gc may take what they let go of.
            kept = read_state(lab.repo, plain(lab.env))
        names = sorted(os.listdir(lab.path))
        if names != self.names:
            return "left behind: %s" % " ".join(set(names) ^ set(self.names))
        why = garbage(lab, command) or lab.wrong(kept)
        if not why and command.other:
            why = lab.wrong(self.other, where=command.other)
        return why
