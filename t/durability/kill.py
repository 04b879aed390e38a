#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills commands at every point at which they change files, in turn, each on a fresh repository.
After each death: fsck --full is clean, all that was acknowledged before is there and right, and the
command succeeds when it is run again; after a gc there is nothing that no revision needs. Where it
wrote, it also dies with half of the bytes written.

Usage: kill.py [--distinct] [--every N] [COMMAND...]
  --distinct  leave out points where the disk is as it was at the point before (fsync, close)
  --every N   only every Nth point of those
The last line says how many points there were."""

import argparse
import signal
import sys

import after
import commands
import lab as labs
from pool import run_all

SAME = ("fsync", "close", "sync_file_range")


def kill_at(lab, command, done, mode, point):
    """None, or what went wrong."""
    # One call more or less, as threads meet, and the last point is not always reached.
    for _ in range(3):
        lab.fresh(done.base)
        got = lab.run(command, mode=mode, point=point)
        if got.signal == signal.SIGKILL or got.code != 0 or lab.logged():
            break
    else:
        return done.wrong(lab, command)
    where = "%s at %s" % (mode, " ".join(lab.logged()) or "a point that was not reached")
    if got.signal != signal.SIGKILL:
        return "%s: %s" % (where, got)
    then = after.look(lab, command, done)
    if then.lost:
        return "%s: %s" % (where, then.lost)
    # What had come into force may say so when it is asked for again.
    if then.again.code != 0 and (then.wrong or then.again.code not in (1, 3)):
        return "%s: run again it %s" % (where, then.again)
    if then.still:
        return "%s: run again: %s" % (where, then.still)
    return "%s: in the end: %s" % (where, then.left) if then.left else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--distinct", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("commands", nargs="*")
    options = parser.parse_args()
    wanted = commands.named(options.commands)
    base = labs.Base(labs.scratch())
    lab = labs.Lab(base, 0)
    tasks, count = [], 0
    for command in wanted:
        points = lab.count(command, mode="count")
        print("# %s: %d points" % (command.name, len(points)))
        for line in points:
            number, call = line.split()[:2]
            if not (options.distinct and call in SAME):
                tasks.append((command.name, "kill", int(number)))
            if call == "write":
                tasks.append((command.name, "tear", int(number)))
        count += len(points)
    tasks = tasks[::options.every]
    bad = 0
    for task, why in run_all(base, kill_at, tasks):
        if why:
            bad += 1
            print("%s: %s" % (task[0], why), flush=True)
    print("%d points of %d commands, %d deaths, %d failures" %
          (count, len(wanted), len(tasks), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
