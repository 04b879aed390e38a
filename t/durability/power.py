#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loses power at every point of a scenario of many commands: what they do to files is recorded, and done
again up to each point in turn, and of what no fsync had made durable by then some is left out, as
POSIX allows (model.py). In each state, fsck --full is clean and all that was acknowledged by then is
there and right. From some of them work goes on: the command that was under way, and a gc, succeed.

Usage: power.py [--limit N] [--resume N] [--every N]
  --limit N   states at one point, beyond the first few (default 16)
  --resume N  go on from every Nth state (default 200)
  --every N   only every Nth of these
The last line says how many states there were: a state is a tree of files, counted once however often
and after however many commands it comes up."""

import argparse
import glob
import json
import multiprocessing
import multiprocessing.queues
import os
import random
import shutil
import sys

import lab as labs
from commands import ASIDE, LEFTOVERS, listing
from model import DIRECTORY, Blobs, Model, read_log

JOBS = 2  # processes
REPO = labs.REPO
IMAGE = "work/vda.img"
FLIP = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(fd).st_size
for at in (int(a) for a in sys.argv[2:]):
    at += size if at < 0 else 0
    if at < size:
        os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 0xff]), at)
os.fsync(fd)
os.close(fd)
"""


class Change:
    """Of the largest file of a pattern the bytes at these places change, as a guest or bad storage does."""

    def __init__(self, pattern, *places):
        self.pattern, self.places = pattern, places

    def argv(self, root):
        path = max(glob.glob(os.path.join(root, self.pattern)), key=os.path.getsize)
        return [sys.executable, "-c", FLIP, path] + [str(p) for p in self.places]

    def __str__(self):
        return "a change of " + self.pattern


SCENARIO = (
    ("init", "--bare", "@" + REPO),
    ("config", "core.jobs", "1"),
    ("config", "gc.auto", "false"),
    ("checkin", "web", "@a.raw", "-m", "one"),
    ("checkin", "web", "@b.raw", "-m", "two"),
    ("tag", "web", "first", "-m", "a tag"),
    ("comment", "web", "-m", "a remark"),
    ("checkin", "db", "@c.raw", "-m", "three"),
    ("clone", "web:first", "qa/test"),
    ("tag", "qa/test", "kept"),
    ("checkin", "web", "@c.raw", "-m", "four"),
    ("gc", "--grace", "0"),
    ("comment", "db", "-m", "another remark"),
    ("tag", "--force", "web", "first"),
    ("rename", "qa/test", "qa/other"),
    ("checkin", "qa/other", "@d.raw", "-m", "five"),
    ("rm", "db"),
    ("checkin", "web", "@a.raw", "-m", "six"),
    ("gc", "--grace", "0", "--threshold", "1"),
    ("tag", "-d", "web:first"),
    ("checkin", "mail", "@d.raw", "-m", "seven"),
    ("rm", "qa/other"),
    ("gc", "--grace", "1h", "--threshold", "1"),
    ("gc", "--aggressive", "--grace", "0"),
    ("checkin", "mail", "@b.raw", "-m", "eight"),
    ("tag", "web", "last"),
    ("checkin", "web", "@d.raw", "-m", "nine"),
    ("prune", "--keep-last", "1", "--no-keep-tagged", "web"),
    ("prune", "--undo", "web~2"),
    ("gc", "--grace", "0", "--threshold", "1"),
    ("rm", "mail"),
    ("config", "core.compression", "5"),
    ("gc", "--auto"),
    ("checkin", "web", "@a.raw", "-m", "ten"),
    ("checkout", "web", "@work"),
    Change("work/*.img", 8192, 40960),
    ("-C", "@work", "checkin", "-m", "eleven"),
    ("comment", "web", "-m", "from a checkout"),
    Change(REPO + "/packs/pack-*", 2, -100),
    ("fsck", "--repair"),
    ("tag", "web", "mended"),
    Change(REPO + "/packs/pack-*", *range(500, 40000, 7000)),
    ("fsck", "--repair", "--from", "@a.raw", "--from", "@b.raw", "--from", "@c.raw", "--from",
     "@d.raw", "--from", "@" + IMAGE),
    ("checkin", "web", "@b.raw", "-m", "twelve"),
)


def name_of(n):
    return str(SCENARIO[n]) if isinstance(SCENARIO[n], Change) else " ".join(SCENARIO[n])


class Record:
    """The scenario, done once: the log, and after which of its bytes which state was acknowledged."""

    def __init__(self, top):
        self.home, self.root = os.path.join(top, "home"), os.path.join(top, "recorded")
        self.sources, self.log = os.path.join(top, "sources"), os.path.join(top, "log")
        os.makedirs(os.path.join(self.home, "vmscm"))
        for path in (self.root, self.sources):
            os.makedirs(path)
        with open(os.path.join(self.home, "vmscm", "config"), "w") as f:
            f.write("[user]\n\tname = Test User\n\temail = test@example.com\n[inspect]\n\tauto = false\n")
        disks = {"a": labs.disk(1, 100_000, 60_000), "d": labs.disk(2, 60_000, 30_000)}
        disks["b"] = disks["a"][:20480] + b"x" * 5000 + disks["a"][25480:]
        disks["c"] = disks["b"][:40960] + disks["d"][:8192] + disks["b"][49152:]
        for name, data in disks.items():
            with open(os.path.join(self.sources, name + ".raw"), "wb") as f:
                f.write(data)
        self.acknowledged = [(0, labs.State())]
        self.images = [None]  # what is in the checkout's image then
        repo = os.path.join(self.root, REPO)
        for n, words in enumerate(SCENARIO):
            env = self.environment(n)
            env.update(VMSCM_SHIM_MODE="record", VMSCM_SHIM_ROOT=self.root, VMSCM_SHIM_LOG=self.log)
            got = labs.run(self.argv(n, self.root), env, self.root)
            if got.code != 0:
                raise labs.Failed("%s %s" % (name_of(n), got))
            if isinstance(words, Change) and words.pattern.startswith(REPO):
                state = self.acknowledged[-1][1].copy()
                labs.damage(state, repo, labs.plain(env))
            else:
                derived = os.path.join(repo, "catalog.db")
                kept = os.path.exists(derived)
                state = labs.read_state(repo, labs.plain(env))
                # What that look, which is not recorded, has derived: commands do not find it.
                if not kept and os.path.exists(derived):
                    os.unlink(derived)
            self.acknowledged.append((os.path.getsize(self.log), state))
            image = os.path.join(self.root, IMAGE)
            self.images.append(labs.sha_file(image) if os.path.exists(image) else None)

    def environment(self, n):
        return labs.environment(self.home, 1_700_000_000 + 60 * n)

    def argv(self, n, root):
        words = SCENARIO[n]
        if isinstance(words, Change):
            return words.argv(root)
        argv = []
        for word in words:
            path = word[1:] if word.startswith("@") else None
            argv.append(word if not path else
                        os.path.join(self.sources if path.endswith(".raw") else root, path))
        at = [] if words[0] in ("init", "-C") else ["-C", os.path.join(root, REPO)]
        return [labs.VMSCM] + at + argv


class Disk:
    """A directory that is made to be one tree after another."""

    def __init__(self, path, blobs):
        self.path, self.blobs, self.tree = path, blobs, {}
        self.store = path + ".blobs"
        for directory in (self.path, self.store):
            os.makedirs(directory)
        self.stored = set()

    def blob(self, number):
        path = os.path.join(self.store, str(number))
        if number not in self.stored:
            with open(path, "wb") as f:
                f.write(self.blobs.contents[number])
            self.stored.add(number)
        return path

    def show(self, tree):
        """Only what differs from the tree before is touched. Files are links: nobody may change them."""
        locks = os.path.join(self.path, REPO, "locks")
        for name in os.listdir(locks) if os.path.isdir(locks) else ():
            # Whoever looks makes the locks that are not there yet.
            if os.path.join(REPO, "locks", name) not in self.tree:
                os.unlink(os.path.join(locks, name))
        gone = [p for p, what in self.tree.items() if tree.get(p) != what]
        for path in sorted(gone, key=len, reverse=True):
            full = os.path.join(self.path, path)
            if self.tree[path] == DIRECTORY:
                os.rmdir(full)
            else:
                os.unlink(full)
        fresh = [p for p, what in tree.items() if self.tree.get(p) != what]
        for path in sorted(fresh, key=len):
            full = os.path.join(self.path, path)
            if tree[path] == DIRECTORY:
                os.mkdir(full)
            else:
                os.link(self.blob(tree[path]), full)
        self.tree = tree


def keep_times(work):
    """What nobody has written to since a checkout has the times that it had then."""
    path = os.path.join(work, ".vmscm-checkout")
    if os.path.exists(path):
        with open(path) as f:
            disks = json.load(f)["disks"]
        for entry in (e for d in disks for e in d["files"]):
            os.utime(os.path.join(work, entry["name"]), ns=(entry["mtime"], entry["mtime"]))


def resume(record, disk, place, checker, n):
    """None, or what goes wrong when work goes on from the state on the disk with command n."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(disk.path, place)
    repo = os.path.join(place, REPO)
    if os.path.isdir(os.path.join(place, "work")):
        if n < len(SCENARIO) and name_of(n).startswith("checkout"):
            keep_times(os.path.join(place, "work"))
        labs.adopt(os.path.join(place, "work"), repo)
    if n < len(SCENARIO):
        after = record.acknowledged[n + 1][1]
        done = checker.ask(repo, labs.expectation(after)) is None and after.names
        got = labs.run(record.argv(n, place), record.environment(n), place)
        if got.code != 0 and not (done and got.code in (1, 3)):
            return "going on: %s" % got
    else:
        after = record.acknowledged[n][1]
    if after.damaged is None:
        got = labs.run([labs.VMSCM, "-C", repo, "gc", "--grace", "0", "-q"], record.environment(n),
                       place)
        if got.code != 0:
            return "gc %s" % got
        left = [f for f in listing(place) if LEFTOVERS.search("/" + f) and ASIDE not in f]
        if left:
            return "gc leaves %s" % " ".join(left[:5])
    return checker.ask(repo, labs.expectation(after))


def lose(record, top, number, options, out):
    """One process's share of the states."""
    blobs, rng = Blobs(), random.Random(1)
    model = Model(record.root, blobs)
    disk = Disk(os.path.join(top, "disk%d" % number), blobs)
    checker = labs.Checker(os.path.join(top, "home%d" % number))
    repo = os.path.join(disk.path, REPO)
    # A tree is looked at again when it must hold more.
    trees, seen, bad, resumed, points, n, turn = set(), set(), 0, 0, 0, 0, 0
    expected = None
    for end, op, path, to, value, data in read_log(record.log):
        model.apply(op, path, to, value, data)
        points += 1
        # Acknowledged is what ended before this was done.
        while n < len(SCENARIO) and record.acknowledged[n + 1][0] < end:
            n, expected = n + 1, None
        for chosen in model.states(options.limit, rng):
            turn += 1
            if turn % options.every:
                continue
            tree = model.tree(chosen)
            key = hash(frozenset(tree.items()))
            if key % JOBS != number or (n, key) in seen:
                continue
            trees.add(key)
            seen.add((n, key))
            if expected is None:
                expected = labs.expectation(record.acknowledged[n][1], record.acknowledged[n + 1][1])
            disk.show(tree)
            why = None
            image = record.images[n]
            # What a guest is writing is its own business.
            if image and image in record.images[n + 1:n + 2] and (
                    IMAGE not in tree or labs.sha(blobs.contents[tree[IMAGE]]) != image):
                why = "the checkout's image is lost"
            elif n or REPO in tree:
                why = checker.ask(repo, expected)
            if not why and len(seen) % options.resume == 0:
                resumed += 1
                why = resume(record, disk, os.path.join(top, "place%d" % number), checker, n)
            if why:
                bad += 1
                out.put("%s %s, in %s: %s" % (op, path[len(record.root) + 1:],
                                              name_of(min(n, len(SCENARIO) - 1)), why))
    if number == 0:
        now = {p: blobs.contents[b] for p, b in model.tree({}).items() if b != DIRECTORY}
        real = {}
        for where, _, files in os.walk(record.root):
            for name in files:
                full = os.path.join(where, name)
                with open(full, "rb") as f:
                    real[os.path.relpath(full, record.root)] = f.read()
        if now != real:
            bad += 1
            out.put("the model is not what was done: %s" %
                    [p for p in set(now) | set(real) if now.get(p) != real.get(p)][:5])
    out.put((len(trees), bad, resumed, points))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--resume", type=int, default=200)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    top = labs.scratch()
    record = Record(top)
    out = multiprocessing.Queue()
    workers = []
    for number in range(JOBS):
        shutil.copytree(record.home, os.path.join(top, "home%d" % number))
        worker = multiprocessing.Process(target=lose, args=(record, top, number, options, out))
        worker.start()
        workers.append(worker)
    total, ended, shown = [0, 0, 0], 0, 0
    while ended < JOBS:
        try:
            said = out.get(timeout=10)
        except multiprocessing.queues.Empty:
            if any(w.exitcode not in (None, 0) for w in workers):
                raise labs.Failed("a process died")
            continue
        if isinstance(said, str):
            shown += 1
            if shown <= 40:
                print(said, flush=True)
        else:
            ended += 1
            total = [a + b for a, b in zip(total, said)]
            points = said[3]
    for worker in workers:
        worker.join()
    print("%d points of %d commands, %d states, %d of them gone on from, %d wrong" %
          (points, len(SCENARIO), total[0], total[2], total[1]))
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
