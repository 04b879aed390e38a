# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what t/perf/run measured. A figure of a step is the median over the runs, of each image by
itself; images are then added up. A ratio is the median of the runs' own ratios, so that what
slows the machine for a while slows both sides of it."""

from statistics import median

import tools

STEPS = ("new", "same", "more", "out")


class Figures:
    def __init__(self, result, name):
        self.rows = [f for f in result["figures"] if f["set"] == name]
        self.runs = sorted({f["run"] for f in self.rows})

    def tools(self):
        found = []
        for row in self.rows:
            if row["tool"] not in found:
                found.append(row["tool"])
        return found

    def of(self, tool, steps, key):
        """Of each image and step, its values by run."""
        found = {}
        for row in self.rows:
            if row["tool"] == tool and row["step"] in steps and key in row:
                found.setdefault((row["step"], row["image"]), {})[row["run"]] = row[key]
        return found

    def total(self, tool, steps, key):
        """The sum of the images' medians; None without figures."""
        found = self.of(tool, steps, key)
        return sum(median(v.values()) for v in found.values()) if found else None

    def most(self, tool, steps, key):
        found = self.of(tool, steps, key)
        return max(max(v.values()) for v in found.values()) if found else None

    def ratio(self, tool, other, steps, key="seconds"):
        """How much more `other` takes than `tool`: of the runs and images that both have."""
        mine, theirs, found = self.of(tool, steps, key), self.of(other, steps, key), []
        if not mine or set(mine) != set(theirs):
            return None
        for run in self.runs:
            if all(run in mine[k] and run in theirs[k] for k in mine):
                below = sum(mine[k][run] for k in mine)
                if below:
                    found.append(sum(theirs[k][run] for k in mine) / below)
        return median(found) if found else None


def cell(value, form, width):
    return ("-" if value is None else form % value).rjust(width)


def mega(value):
    return None if value is None else value / 1e6


def show_table(f, result, name):
    print("%-10s %8s | %7s %7s %7s %7s | %7s %7s %7s %7s | %5s %5s" % (
        "", "stored", "new", "same", "more", "out", "new", "same", "more", "out", "in", "out"))
    print("%-10s %8s | %31s | %31s | %11s" % (
        "", "MB", "seconds".center(31), "CPU seconds".center(31), "peak MB"))
    for tool in f.tools():
        line = "%-10s %s |" % (tool, cell(mega(f.total(tool, ("stored",), "bytes")), "%.1f", 8))
        for key in ("seconds", "cpu"):
            for step in STEPS:
                line += " " + cell(f.total(tool, (step,), key), "%.2f", 7)
            line += " |"
        line += " " + cell(mega(f.most(tool, STEPS[:3], "memory")), "%.0f", 5)
        line += " " + cell(mega(f.most(tool, ("out",), "memory")), "%.0f", 5)
        print(line)
    for note in result["notes"]:
        if note["set"] in (None, name):
            print("%-10s %s" % (note["tool"], note["note"]))


def show_ratios(f, result):
    """Each of what was built, beside everything else."""
    own = [t for t in f.tools() if t in result["versions"] and t not in tools.PEERS]
    groups = (("new", ("new",)), ("same", ("same",)), ("more", ("more",)),
              ("new+more", ("new", "more")), ("out", ("out",)))
    for tool in own:
        if "bound" in f.tools():
            for key, what in (("seconds", "time"), ("cpu", "CPU")):
                line = "%s, of the bound's speed by %s:" % (tool, what)
                for label, steps in groups:
                    line += "  %s %s" % (label, cell(f.ratio(tool, "bound", steps, key), "%.2f", 4))
                print(line)
        for other in f.tools():
            if other in ("bound", tool) or (other in own and own.index(other) > own.index(tool)):
                continue
            line = "%s beside %s: stored %s of it; times as fast:" % (tool, other, cell(
                inverse(f.ratio(tool, other, ("stored",), "bytes")), "%.3f", 5))
            for label, steps in groups:
                line += "  %s %s" % (label, cell(f.ratio(tool, other, steps), "%.2f", 4))
            print(line)
            if other in own:
                line = "%s beside %s: times less CPU:" % (tool, other)
                for label, steps in groups:
                    line += "  %s %s" % (
                        label, cell(f.ratio(tool, other, steps, "cpu"), "%.2f", 4))
                print(line)


def inverse(value):
    return 1 / value if value else None


def show(result):
    m = result["machine"]
    print("%s; %d cores of %s, %.0f GB of memory; %s, Linux %s; %s, written at %d MB/s" % (
        result["date"], m["cores"], m["cpu"], m["memory"] / 1e9, m["system"], m["kernel"],
        m["filesystem"], m["disk"]))
    print("; ".join("%s %s" % pair for pair in result["versions"].items()))
    print("Medians of %d runs, caches %s. MB are 10^6 bytes.%s" % (
        result["runs"], "dropped before each step" if result["cold"] else "warm",
        " The bound compresses groups of %d bytes." % result["group"] if result["group"] else ""))
    for name, images in result["sets"].items():
        print("\nSet %s: %s; %.1f GB, %.1f GB of it not holes" % (
            name, " ".join(i["name"] for i in images), sum(i["size"] for i in images) / 1e9,
            sum(i["data"] for i in images) / 1e9))
        f = Figures(result, name)
        show_table(f, result, name)
        show_ratios(f, result)
    for row in result["figures"]:
        if row["step"] == "wrong":
            print("WRONG: set %s: %s did not give %s back as it was" % (
                row["set"], row["tool"], row["image"]))
