# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what t/perf/run measured. A figure of a step is the median over the runs, of each image by
itself; images are then added up. A ratio is the median of the runs' own ratios, so that what
slows the machine for a while slows both sides of it."""

import contextlib
import io
import textwrap
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
    print("%-9s %8s | %31s | %13s | %9s" % (
        "", "stored", "seconds".center(31), "CPU seconds".center(13), "peak MB"))
    print("%-9s %8s | %7s %7s %7s %7s | %6s %6s | %4s %4s" % (
        "", "MB", "new", "same", "more", "out", "in", "out", "in", "out"))
    for tool in f.tools():
        line = "%-9s %s |" % (tool, cell(mega(f.total(tool, ("stored",), "bytes")), "%.1f", 8))
        for step in STEPS:
            line += " " + cell(f.total(tool, (step,), "seconds"), "%.2f", 7)
        line += " |"
        for steps in (STEPS[:3], STEPS[3:]):
            line += " " + cell(f.total(tool, steps, "cpu"), "%.1f", 6)
        line += " |"
        for steps in (STEPS[:3], STEPS[3:]):
            line += " " + cell(mega(f.most(tool, steps, "memory")), "%.0f", 4)
        print(line)
    for note in result["notes"]:
        if note["set"] in (None, name):
            print("%-9s %s" % (note["tool"], note["note"]))


def show_ratios(f, result):
    """How fast each vmscm is beside everything else, and what part of the other's bytes it stores."""
    own = [t for t in f.tools() if t in result["versions"] and t not in tools.PEERS]
    groups = (("new",), ("same",), ("more",), ("new", "more"), ("out",))
    for tool in own:
        rows = []
        for other in f.tools():
            if other == tool or (other in own and own.index(other) > own.index(tool)):
                continue
            rows.append((other, other, "seconds"))
            if other == "bound" or other in own:
                rows.append((other + ", by CPU", other, "cpu"))
        if not rows:
            continue
        print("\n%-22s %7s %7s %7s %8s %7s | %s" % (
            tool + " beside", "new", "same", "more", "new+more", "out", "stored"))
        for label, other, key in rows:
            line = "%-22s" % label
            for steps in groups:
                line += " " + cell(
                    f.ratio(tool, other, steps, key), "%.2f", 8 if len(steps) > 1 else 7)
            stored = f.ratio(tool, other, ("stored",), "bytes") if key == "seconds" else None
            print(line + " | " + cell(inverse(stored), "%.3f", 6))


def inverse(value):
    return 1 / value if value else None


def show_in_page(results, page):
    """Puts the tables in the place of those that a manual page has in its section FIGURES."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for result in results:
            show(result)
            print()
    lines = [".Bd -literal"]
    for line in said.getvalue().strip().replace("\\", "\\e").splitlines():
        lines.append("\\&" + line if line[:1] in (".", "'") else line)
    with open(page, encoding="utf-8") as old:
        head, found, rest = old.read().partition(".Sh FIGURES\n")
    tail = rest[rest.index(".Sh "):] if ".Sh " in rest else ""
    if not found:
        raise ValueError(page + ": has no section FIGURES")
    with open(page, "w", encoding="utf-8") as new:
        new.write(head + found + "\n".join(lines + [".Ed"]) + "\n" + tail)


def show(result):
    m = result["machine"]
    print("%s; %d cores of %s; %.0f GB of memory" % (
        result["date"], m["cores"], m["cpu"], m["memory"] / 1e9))
    print("%s, Linux %s; %s, written at %d MB/s" % (
        m["system"], m["kernel"], m["filesystem"], m["disk"]))
    print("\n".join(textwrap.wrap("; ".join("%s %s" % p for p in result["versions"].items()), 80)))
    print("%s, caches %s" % (
        "one run" if result["runs"] == 1 else "medians of %d runs" % result["runs"],
        "dropped before each step" if result["cold"] else "warm"))
    if result["group"] is not None:
        print("the bound compresses groups of %d bytes" % result["group"])
    for name, images in result["sets"].items():
        print("\n" + "\n".join(textwrap.wrap("set %s: %s: %.1f GB, %.1f GB of it not holes" % (
            name, " ".join(i["name"] for i in images), sum(i["size"] for i in images) / 1e9,
            sum(i["data"] for i in images) / 1e9), 80)))
        f = Figures(result, name)
        show_table(f, result, name)
        show_ratios(f, result)
    for row in result["figures"]:
        if row["step"] == "wrong":
            print("WRONG: set %s: %s did not give %s back as it was" % (
                row["set"], row["tool"], row["image"]))
