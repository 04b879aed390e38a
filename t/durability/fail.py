#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the calls of commands fail, each in turn: those that change files and those that read them, with
every error that such a call can have, once and from then on. A command that says it did it has; one
that says it failed has done it whole or not at all; none crashes or hangs; all that was acknowledged
before is there; and run again it succeeds.

Usage: fail.py [--at TEXT] [--every N] [COMMAND...]
  --at TEXT  only at calls that have this in their names and paths
  --every N  only every Nth failure
The last line says how many there were."""

import argparse
import errno
import re
import sys

import after
import commands
import lab as labs
from pool import run_all

CHANGES = {"open", "write", "fsync", "close", "rename", "link", "unlink", "mkdir", "rmdir", "truncate",
           "allocate", "punch", "chmod", "utimes", "symlink", "copy_file_range", "clone",
           "sync_file_range"}
SPACE = {"open", "write", "fsync", "close", "rename", "link", "mkdir", "symlink", "allocate",
         "copy_file_range"}
# A call may be interrupted a few times; not forever.
WAITS = {"open", "write", "read", "fsync", "close", "flock", "copy_file_range"}
# What it says then, if a name was moved.
ADMITS = re.compile("may not survive a power cut|it may be done all the same|is recorded, but"
                    "|though another was not, and cannot be undone")


def ways(call):
    """What may befall a call: an errno (-1: half of it is done), and how many calls from there on."""
    yield errno.EIO, 1
    yield errno.EIO, 0
    if call in SPACE:
        yield errno.ENOSPC, 1
        yield errno.ENOSPC, 0
    if call in WAITS:
        yield errno.EINTR, 3
    if call == "write":
        yield -1, 1
        yield -1, 0
    if call in ("open", "opendir"):
        yield errno.EMFILE, 1
    if call in ("open", "mkdir", "rename", "unlink"):
        yield errno.EACCES, 0


def tells(said, done):
    """Whether it says of each name that has moved what became of it."""
    before, after = done.before.names, done.state.names
    return all(re.search(r"^%s +(?!refused)\w" % re.escape(name), said, re.MULTILINE)
               for name in after if after[name] != before.get(name, "-"))


def fail_at(lab, command, done, point, error, times):
    """None, or what went wrong; and whether names had moved though it said that it failed."""
    lab.fresh(done.base)
    got = lab.run(command, mode="fail", reads=1, point=point, errno=error, times=times)
    name = "half done" if error < 0 else errno.errorcode[error]
    where = "%s %s at %s" % (name, "x%d" % times if times else "on",
                             " ".join(lab.logged()) or "a point that was not reached")
    if got.crashed():
        return "%s: %s" % (where, got), False
    then = after.look(lab, command, done)
    why = then.lost or (then.wrong if got.code == 0 else None)
    if why:
        return "%s: %s; %s" % (where, got, why), False
    if got.code != 0 and not got.said.strip():
        return "%s: %s, and said nothing" % (where, got), False
    was_done = got.code == 0 or not then.wrong
    if then.again.code != 0 and not (was_done and then.again.code in (1, 3)):
        return "%s: %s; run again it %s" % (where, got, then.again), False
    if then.still:
        return "%s: run again: %s" % (where, then.still), False
    told = was_done and got.code != 0 and done.state.names != done.before.names
    if told and not ADMITS.search(got.said) and not tells(got.said, done):
        return "%s: %s, though it was done" % (where, got), False
    return ("%s: in the end: %s" % (where, then.left) if then.left else None), told


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("commands", nargs="*")
    options = parser.parse_args()
    wanted = commands.named(options.commands)
    base = labs.Base(labs.scratch())
    lab = labs.Lab(base, 0)
    tasks, count = [], 0
    for command in wanted:
        points = lab.count(command, mode="count", reads=1)
        print("# %s: %d points" % (command.name, len(points)))
        count += len(points)
        for line in points:
            number, call = line.split()[:2]
            for error, times in ways(call) if options.at in line else ():
                tasks.append((command.name, int(number), error, times))
    tasks = tasks[::options.every]
    bad = done = 0
    for task, (why, was_done) in run_all(base, fail_at, tasks):
        done += was_done
        if why:
            bad += 1
            print("%s: %s" % (task[0], why), flush=True)
    print("%d points of %d commands, %d failures injected; %d times a name had moved though it said "
          "that it failed; %d wrong" % (count, len(wanted), len(tasks), done, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
