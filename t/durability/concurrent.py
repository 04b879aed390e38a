#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight processes check in, clone, tag, comment, read and remove, while gc runs again and again, for some
seconds; each notes what it was told. Then the history must hold all of that.

Usage: concurrent.py SECONDS"""

import json
import multiprocessing
import os
import random
import sys
import time

import lab as labs

WORKERS = 8


def work(base, number, deadline, out):
    rng = random.Random(number)
    home = base.home
    repo = os.path.join(base.path, labs.REPO)
    told = {"revisions": {}, "names": {}, "comments": [], "wrong": [], "count": 0}

    def vmscm(*argv):
        env = labs.environment(home, int(time.time()))
        del env["VMSCM_SHIM_TIME"], env["LD_PRELOAD"]
        got = labs.run([labs.VMSCM, "-C", repo] + list(argv), env, base.path)
        told["count"] += 1
        # After a check-in there may be a gc already.
        if got.code != 0 and not (argv[0] == "gc" and "another gc" in got.said):
            told["wrong"].append("vmscm %s: %s" % (" ".join(argv), got))
        return got

    machine, turn, last = "own%d" % number, 0, None
    path = os.path.join(base.path, "disk%d.raw" % number)
    while time.monotonic() < deadline and not told["wrong"]:
        turn += 1
        if number == 0:
            vmscm("gc", "--grace", "0", "--threshold", str(rng.choice((0, 10, 25))), "-q")
            continue
        data = labs.disk(number, changes=[(4096 * rng.randrange(60), rng.randbytes(3000))])
        with open(path, "wb") as f:
            f.write(data)
        got = vmscm("checkin", machine, path, "-m", str(turn), "--json")
        if got.code != 0:
            break
        last = json.loads(got.said)["id"]
        told["revisions"][last] = labs.sha(data)
        told["names"][machine] = last
        if rng.random() < 0.4 and vmscm("tag", machine, "t%d" % turn).code == 0:
            told["names"]["%s:t%d" % (machine, turn)] = last
        if rng.random() < 0.4 and vmscm("comment", machine, "-m", "c%d" % turn).code == 0:
            told["comments"].append((last, "c%d" % turn))
        if rng.random() < 0.3:
            name = "copy%d-%d" % (number, turn)
            if vmscm("clone", machine, name).code == 0 and rng.random() < 0.5:
                vmscm("rm", name)
                told["names"][name] = "-"
            else:
                told["names"][name] = last
        vmscm("show", "--json", machine)
    out.put(told)


def main():
    base = labs.Base(labs.scratch())
    deadline = time.monotonic() + float(sys.argv[1])
    out = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(base, n, deadline, out))
               for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    told = [out.get() for _ in workers]
    for worker in workers:
        worker.join()
    lines = []
    for one in told:
        lines += ["rev\t%s\tvda\t%s\n" % pair for pair in one["revisions"].items()]
        lines += ["at\t%s\t%s\n" % pair for pair in one["names"].items()]
        lines += ["comment\t%s\t%s\n" % pair for pair in one["comments"]]
    wrong = [w for one in told for w in one["wrong"]]
    why = labs.Checker(base.home).ask(os.path.join(base.path, labs.REPO), "".join(lines))
    if why:
        wrong.append(why)
    for line in wrong[:10]:
        print(line)
    print("%d commands of %d processes, %d things to hold, %d wrong" %
          (sum(one["count"] for one in told), WORKERS, len(lines), len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
