#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets allocations fail: in the programs of t/unit, the first that is asked for by each place in the
library, by the way that led there; in commands, the first of each call stack, once and from then on.
Nothing crashes or hangs, nothing is said that is not so, nothing is lost.

Usage: memory.py [--every N] [--seconds N] units|commands [NAME...]
  --every N    only every Nth of them
  --seconds N  of units, none is begun after that; the tests that ask least often come first

A crash is none of ours only if it is within another library and the last allocation that failed was
that library's own, or within the very call of the C library that asked for memory. These are counted, and
told by library. The last line says how many allocations failed."""

import argparse
import collections
import ctypes
import glob
import itertools
import multiprocessing
import os
import shutil
import subprocess
import sys
import time

import commands
import lab as labs
from pool import JOBS, run_all

C = ("libc.so", "ld-linux", "shim-memory.so", "libpthread", "?")
WAY = 3  # functions of ours that tell places apart
NEWNS = 0x20000


class Failure:
    """What the shim logged of a run."""

    def __init__(self, log):
        self.failed, self.crash, self.within_c = [], None, False
        for line in log:
            what, *frames = line.split()
            if what == "crash":
                frames = [f for f in frames if not f.startswith("shim-memory")]
                # The signal's own frame, then where it came from.
                self.within_c = len(frames) > 1 and frames[1].startswith("libc.so")
            frames = [f for f in frames if not f.startswith(C)]
            if what == "crash":
                self.crash = frames
            else:
                self.failed.append(frames)

    def library(self, ours):
        """The library whose own fault a crash was, or None."""
        if not self.crash or not self.failed or not self.failed[-1]:
            return None
        # Within the very call of the C library that asked.
        if self.within_c and self.crash[0] == self.failed[-1][0]:
            return "libc"
        where, asked = (frames[0].split("+")[0] for frames in (self.crash, self.failed[-1]))
        return where if where == asked and not where.startswith(ours) else None

    def __str__(self):
        return "failed: %s; crash: %s" % (" ".join(self.failed[-1][:6]) if self.failed else "?",
                                          " ".join(self.crash[:8]) if self.crash else "none")


def read_log(path):
    try:
        with open(path) as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


# Commands

def starve(lab, command, done, point, times):
    """(None or what went wrong, None or the library that crashed)."""
    lab.fresh(done.base)
    got = lab.run(command, mode="memory", point=point, times=times, preload=labs.SHIM_MEMORY)
    failure = Failure(lab.logged())
    where = "%s from %d, %s" % ("once" if times else "on", point, failure)
    library = failure.library(("vmscm", "libvmscm"))
    if got.crashed() and not library:
        return "%s: %s" % (where, got), None
    why = done.wrong(lab, command) if got.code == 0 else done.lost(lab, command)
    return "%s: %s; %s" % (where, got, why) if why else None, library


def run_commands(options):
    wanted = commands.named(options.names)
    base = labs.Base(labs.scratch())
    lab = labs.Lab(base, 0)
    tasks = []
    for command in wanted:
        points = [int(line.split()[0]) for line in
                  lab.count(command, mode="memory", point=0, preload=labs.SHIM_MEMORY)]
        print("# %s: %d call stacks" % (command.name, len(points)))
        tasks += [(command.name, n, t) for n in points for t in (1, 0)]
    tasks = tasks[::options.every]
    return len(tasks), ((task[0],) + said for task, said in run_all(base, starve, tasks))


# Units

def own_tmp():
    """A /tmp of this process and its children: tests that die clean nothing up."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEWNS) != 0:
        raise labs.Failed("no mounts of our own: %s" % os.strerror(ctypes.get_errno()))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/tmp"], check=True)


def clean_tmp():
    for name in os.listdir("/tmp"):
        path = os.path.join("/tmp", name)
        shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.unlink(path)


def run_unit(program, test, point):
    """(result, log) of one test, from 1, with one allocation failing; point 0: with none."""
    clean_tmp()
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("VMSCM_SHIM", "LD_"))}
    env.update(LD_PRELOAD=labs.SHIM_MEMORY, VMSCM_SHIM_MODE="memory", VMSCM_SHIM_ROOT="/tmp",
               VMSCM_SHIM_POINT=str(point), VMSCM_SHIM_TIMES="1", VMSCM_SHIM_LOG="/tmp/log",
               VMSCM_SHIM_TEST=str(test), TMPDIR="/tmp", ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0")
    got = labs.run([program], env, "/tmp")
    return got, read_log("/tmp/log")


def resolve(program, addresses):
    """FUNCTION FILE of each address in a program."""
    text = "\n".join(hex(int(a.split("+")[1], 16) - 1) for a in addresses)
    said = subprocess.run(["addr2line", "-f", "-e", program], input=text, check=True,
                          capture_output=True, text=True).stdout.splitlines()
    return {a: (said[2 * i], said[2 * i + 1].split(" ")[0]) for i, a in enumerate(addresses)}


def places(program, test):
    """{place: number of its first allocation} of a test, and about how many there are: as a power of two, so
    that it is the same in each run. None: the program has no such test."""
    name = os.path.basename(program)
    got, log = run_unit(program, test, 0)
    if got.crashed() or not log:
        raise labs.Failed("%s, test %d, counted, %s" % (name, test, got))
    if log[-1] == "none":
        return None
    stacks = []
    for line in log:
        number, *frames = line.split()
        stacks.append((int(number), [f for f in frames if not f.startswith(C)]))
    mine = sorted({f for _, frames in stacks for f in frames if f.startswith(name + "+")})
    known = resolve(program, mine)
    found = {}
    for number, frames in stacks:
        way = [known[f] for f in frames if f in known]
        # What the test itself asks for is not looked into.
        if not way or "/lib/" not in way[0][1] or frames[0].startswith("libcmocka"):
            continue
        place = (known.get(frames[0], frames[0]), tuple(w for w in way[:WAY] if "/lib/" in w[1]))
        found.setdefault(place, number)
    return found, stacks[-1][0].bit_length()


def list_places(program):
    """[(places, about how many, program, number)] for each test of a program."""
    listed = []
    for test in itertools.count(1):
        found = places(program, test)
        if not found:
            return listed
        listed.append(found + (program, test))


def is_tests_own(program, failure):
    """Whether what failed was asked for by the test itself. With threads the numbers of allocations are not
    the same in each run, so that it may be another one that fails than was meant."""
    name = os.path.basename(program)
    for frames in failure.failed:
        mine = [f for f in frames if f.startswith(name + "+")]
        if mine and "/lib/" not in resolve(program, mine[:1])[mine[0]][1]:
            return True
    return False


def starve_unit(task):
    """None: it is too late."""
    program, test, point, deadline = task
    if not labs.until(deadline):
        return None
    name = os.path.basename(program)
    got, log = run_unit(program, test, point)
    failure = Failure(log)
    library = failure.library((name,))
    why = None
    if (got.timed_out or (failure.crash and not library) or (got.signal and not failure.crash)) and \
            not is_tests_own(program, failure):
        why = "test %d at %d, %s: %s" % (test, point, failure, str(got)[-300:])
    return name, why, library


def run_units(options):
    programs = sorted(glob.glob(os.path.join(labs.BUILD, "unit", "test_*")))
    if options.names:
        programs = [p for p in programs if os.path.basename(p) in options.names]
    labs.TIMEOUT = 600  # whole programs, slowed down by a look at each allocation's stack
    pool = multiprocessing.Pool(JOBS, own_tmp)
    seen, tasks = set(), []
    tests = list(itertools.chain.from_iterable(pool.imap_unordered(list_places, programs)))
    # A place is tried in the test that gets there with the least, and with --every in the same one each time.
    for found, _, program, test in sorted(tests, key=lambda item: item[1:]):
        fresh = {place: n for place, n in found.items() if place not in seen}
        seen.update(fresh)
        tasks += [(program, test, n) for n in sorted(set(fresh.values()))]
    print("# %d places in %d tests of %d programs" % (len(tasks), len(tests), len(programs)), flush=True)
    tasks = tasks[::options.every]
    deadline = time.monotonic() + options.seconds if options.seconds else None

    def results():
        yield from pool.imap_unordered(starve_unit, [task + (deadline,) for task in tasks], 4)
        # To terminate workers that are at work can wait for ever.
        pool.close()
        pool.join()

    return len(tasks), results()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("units", "commands"))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    count, results = (run_units if options.what == "units" else run_commands)(options)
    bad, done, theirs = 0, 0, collections.Counter()
    for result in results:
        if not result:
            continue
        name, why, library = result
        done += 1
        if library:
            theirs[library] += 1
        if why:
            bad += 1
            print("%s: %s" % (name, why), flush=True)
    for library, times in sorted(theirs.items()):
        print("# %s crashed by itself %d times" % (library, times))
    print("%d allocations of %d failed, %d wrong" % (done, count, bad), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
