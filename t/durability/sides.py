#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers of which either side is killed at a random moment. After each death both repositories pass
fsck, every name is what it was or what it was to become, and the same command again succeeds and brings
what is missing; what the dead transfer brought is not sent again but for what was in flight.

Usage: sides.py [--count N] [--seed S]
The last line says how many deaths there were, of which the transfer had ended before some; the one before
it how much the worst of them lost of what had come, beside what may be in flight and what all of it takes."""

import argparse
import fcntl
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import lab as labs

PACK = 1 << 20   # receive.packSize: what may be in flight
WAITING = 6 << 20  # what waits to be verified: VMSCM_VERIFY_WAITING
SLACK = 1 << 20  # what waits in pipes and buffers, and history
BIG = 40_000_000  # bytes, far more than may be lost
NEAR = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
tee --output-error=exit "$SEEN_IN" | sh -c 'echo $$ >"$NEAR_PID"; eval "exec $0"' "$1" | tee --output-error=exit "$SEEN_OUT"
"""


class World:
    """ann has two machines, of which the hub has one, in an older revision; ben is to get all of the hub."""

    def __init__(self, top):
        self.top = top
        self.env = dict(os.environ, HOME=top, XDG_CONFIG_HOME=os.path.join(top, ".config"),
                        VMSCM_SSH=os.path.join(top, "near"), NEAR_PID=os.path.join(top, "pid"),
                        SEEN_IN=os.path.join(top, "in"), SEEN_OUT=os.path.join(top, "out"))
        self.env.pop("LD_PRELOAD", None)
        self.base = os.path.join(top, "base")
        self.work = os.path.join(top, "work")
        os.makedirs(os.path.join(top, ".config", "vmscm"))
        os.makedirs(self.base)
        with open(os.path.join(top, ".config", "vmscm", "config"), "w") as f:
            f.write("[user]\n\tname = T\n\temail = t@example.com\n[gc]\n\tauto = false\n[inspect]\n\tauto = false\n"
                    "[receive]\n\tpackSize = 1m\n[core]\n\tjobs = 2\n"
                    "[remote \"hub\"]\n\tprogram = %s\n" % labs.VMSCM)
        with open(self.env["VMSCM_SSH"], "w") as f:
            f.write(NEAR)
        os.chmod(self.env["VMSCM_SSH"], 0o755)
        rng = random.Random(5)
        old = rng.randbytes(4_000_000)
        new = old[:700_000] + rng.randbytes(2_800_000) + old[3_500_000:]
        url = "here:" + os.path.join(self.work, "hub.vmscm")
        self.at = self.base
        for name, data in ("old", old), ("new", new), ("big", rng.randbytes(BIG)):
            with open(os.path.join(self.base, name), "wb") as f:
                f.write(data)
        self.must("init", "-q", "ann.vmscm", "--bare", where="")
        self.must("init", "-q", "hub.vmscm", "--bare", where="")
        self.must("init", "-q", "ben.vmscm", "--bare", where="")
        self.must("checkin", "-q", "web", os.path.join(self.base, "old"), "-m", "one")
        self.must("push", "-q", os.path.join(self.base, "hub.vmscm"), "web")
        self.must("checkin", "-q", "web", os.path.join(self.base, "new"), "-m", "two")
        self.must("checkin", "-q", "big", os.path.join(self.base, "big"), "-m", "three")
        self.must("tag", "-q", "web", "golden", "-m", "a tag")
        self.must("comment", "-q", "web", "-m", "a remark")
        for repo in "ann", "ben":
            self.must("remote", "add", "hub", url, where=repo)
        self.at = self.work

    def argv(self, words, where):
        at = ["-C", os.path.join(self.at, where + ".vmscm")] if where else []
        return [labs.VMSCM] + at + list(words)

    def run(self, *words, where="ann"):
        return subprocess.run(self.argv(words, where), env=self.env, cwd=self.at, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def must(self, *words, where="ann"):
        got = self.run(*words, where=where)
        if got.returncode:
            raise labs.Failed("vmscm %s: %d: %s" % (" ".join(words), got.returncode, got.stderr))
        return got.stdout

    def fresh(self, filled):
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.base, self.work, symlinks=True)
        if filled:
            self.must("push", "-q", "--all", "--tags", "hub")

    def refs(self, repo):
        got = subprocess.run(
            ["git", "--git-dir=" + os.path.join(self.work, repo + ".vmscm", "git"), "for-each-ref",
             "--format=%(refname) %(objectname)"], check=True, capture_output=True, text=True)
        return dict(line.split() for line in got.stdout.splitlines())

    def kept(self, repo):
        """Bytes of packs that are whole, wherever."""
        top = os.path.join(self.work, repo + ".vmscm")
        return sum(os.path.getsize(p) for p in glob.glob(top + "/quarantine/*/packs/*.vpk") +
                   glob.glob(top + "/packs/*.vpk"))

    def alone(self, repo):
        """Wait until nobody is at work there."""
        end = time.monotonic() + labs.TIMEOUT
        for path in glob.glob(os.path.join(self.work, repo + ".vmscm", "quarantine", "*", "lock")):
            while time.monotonic() < end:
                try:
                    with open(path) as lock:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.01)
                except FileNotFoundError:
                    break


# Words, who runs it, who receives, whether the hub has all before.
OPERATIONS = {
    "push": (("push", "--json", "--all", "--tags", "hub"), "ann", "hub", False),
    "push-atomic": (("push", "--json", "--atomic", "--all", "--tags", "hub"), "ann", "hub", False),
    "fetch": (("fetch", "--json", "--tags", "hub"), "ben", "ben", True),
    "pull": (("pull", "--json", "hub", "*"), "ben", "ben", True),
}


def start(world, words, who):
    for name in "in", "out", "pid":
        try:
            os.unlink(os.path.join(world.top, name))
        except FileNotFoundError:
            pass
    return subprocess.Popen(world.argv(words, who), env=world.env, cwd=world.work,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def kill_server(world):
    try:
        with open(os.path.join(world.top, "pid")) as f:
            os.kill(int(f.read()), signal.SIGKILL)
    except (OSError, ValueError):
        pass  # not yet, or not any more


def try_once(world, name, side, delay, done, losses):
    """None, or what is wrong; and whether it had ended before. What had come and was not kept is added to
    losses, if some of it was not to be had when it died."""
    words, who, receiver, filled = OPERATIONS[name]
    world.fresh(filled)
    before, there = world.refs(receiver), world.kept(receiver)
    child = start(world, words, who)
    time.sleep(delay)
    over = child.poll() is not None
    if side == "far":
        kill_server(world)
    else:
        child.kill()
    rc = child.wait()
    time.sleep(0.02)
    world.alone(receiver)
    for repo in {who, "hub"}:
        got = world.run("fsck", "-q", where=repo)
        if got.returncode:
            return "fsck of %s: %s%s" % (repo, got.stdout, got.stderr), over
    now = world.refs(receiver)
    for ref in set(before) | set(now) | set(done):
        if now.get(ref) not in (before.get(ref), done.get(ref)) and "/notes/" not in ref:
            return "%s is %s" % (ref, now.get(ref)), over
    if rc == 0 and any(now.get(ref) != value for ref, value in done.items()):
        return "it said it was done, and is not", over
    kept = world.kept(receiver) - there
    seen = os.path.join(world.top, "in" if receiver == "hub" else "out")
    came = os.path.getsize(seen) if os.path.exists(seen) else 0
    if rc and came < done.bytes:
        losses.append((came - kept, came))
    if came - kept > PACK + WAITING + SLACK:
        return "%d bytes came, and %d were kept" % (came, kept), over
    got = world.run(*words, where=who)
    if got.returncode:
        return "again: %d: %s" % (got.returncode, got.stderr), over
    again = json.loads(got.stdout)["sent" if receiver == "hub" else "received"]
    if again > max(done.bytes - kept, 0) + SLACK:
        return "%d bytes again, though %d were kept" % (again, kept), over
    if any(world.refs(receiver).get(ref) != value for ref, value in done.items()):
        return "again: not all is there", over
    got = world.run("fsck", "-q", "--full", where=receiver)
    return ("in the end: %s%s" % (got.stdout, got.stderr) if got.returncode else None), over


class Done(dict):
    """What the receiver's refs are after it, undisturbed; the bytes it took and the time."""


def undisturbed(world, name):
    words, who, receiver, filled = OPERATIONS[name]
    world.fresh(filled)
    begin = time.monotonic()
    said = json.loads(world.must(*words, where=who))
    done = Done(world.refs(receiver))
    done.seconds = time.monotonic() - begin
    done.bytes = said["sent" if receiver == "hub" else "received"]
    return done


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    world = World(labs.scratch())
    done = {name: undisturbed(world, name) for name in OPERATIONS}
    for name, what in done.items():
        print("# %s: %d bytes, %.2f s" % (name, what.bytes, what.seconds))
    rng = random.Random(options.seed)
    bad = late = 0
    losses = []
    for n in range(options.count):
        name = rng.choice(sorted(OPERATIONS))
        side = rng.choice(["far", "near"])
        delay = rng.uniform(0, done[name].seconds * 1.05)
        why, over = try_once(world, name, side, delay, done[name], losses)
        late += over
        if why:
            bad += 1
            print("%d: %s, the %s side killed after %.3f s: %s" % (n, name, side, delay, why), flush=True)
    if losses:
        print("# %d died while bytes came; at most %d of those were lost, %d may be" % (
            len(losses), max(lost for lost, _ in losses), PACK + WAITING + SLACK))
        print("# after that much had come: " + ", ".join(
            "%d MB in %d" % (low // 10**6, sum(low <= came < low + 10**7 for _, came in losses))
            for low in range(0, BIG + 10**7, 10**7)))
    print("%d deaths, of which %d came too late, %d failures" % (options.count, late, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
