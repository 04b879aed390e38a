#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets allocations of commands fail, each in turn, once and from then on: no crash, nothing said that is
not so, nothing lost.

Usage: memory.py [--every N] [COMMAND...]"""

import argparse
import sys

import commands
import lab as labs
from pool import run_all


def starve(lab, command, done, point, times):
    """None, or what went wrong."""
    lab.fresh(done.base)
    got = lab.run(command, mode="memory", point=point, times=times, preload=labs.SHIM_MEMORY)
    where = "%s at %s" % ("once" if times else "on", " ".join(lab.logged()))
    if got.crashed():
        return "%s: %s" % (where, got)
    why = done.wrong(lab, command) if got.code == 0 else lab.wrong(done.before, done.state)
    return "%s: %s; %s" % (where, got, why) if why else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("commands", nargs="*")
    options = parser.parse_args()
    wanted = commands.named(options.commands)
    base = labs.Base(labs.scratch())
    lab = labs.Lab(base, 0)
    tasks = []
    for command in wanted:
        count = int(lab.count(command, mode="memory", point=0, preload=labs.SHIM_MEMORY)[-1])
        print("# %s: %d allocations" % (command.name, count))
        tasks += [(command.name, n, t) for n in range(1, count + 1) for t in (1, 0)]
    tasks = tasks[::options.every]
    bad = 0
    for task, why in run_all(base, starve, tasks):
        if why:
            bad += 1
            print("%s: %s" % (task[0], why), flush=True)
    print("%d allocations of %d commands failed, %d wrong" % (len(tasks), len(wanted), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
