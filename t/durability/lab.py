# SPDX-License-Identifier: GPL-3.0-or-later
"""A small repository to break, over and over: made once, copied for each try, looked at by the checker
after it. What runs under the shim has one thread, the same names each time, and a clock that stands."""

import atexit
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("VMSCM_BUILD") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")
BUILD = os.path.realpath(BUILD)
VMSCM = os.path.join(BUILD, "vmscm")
SHIM = os.path.join(BUILD, "durability", "shim.so")
SHIM_MEMORY = os.path.join(BUILD, "durability", "shim-memory.so")
CHECKER = os.path.join(BUILD, "durability", "checker")
REPO = "r.vmscm"
TIMEOUT = 60  # seconds that any command here may take, on a busy machine


class Failed(Exception):
    """Something is not as it must be."""


def scratch():
    """A directory of this run, in memory if there is some; removed at the end."""
    parent = os.environ.get("TMPDIR", "/tmp")
    memory = "/dev/shm"
    if os.access(memory, os.W_OK):
        st = os.statvfs(memory)
        if st.f_bavail * st.f_frsize > 1 << 30:
            parent = memory
    path = os.path.realpath(tempfile.mkdtemp(prefix="vmscm-durability.", dir=parent))
    owner = os.getpid()

    def remove():
        if os.getpid() == owner:
            shutil.rmtree(path, ignore_errors=True)

    atexit.register(remove)
    # Killed by its test's time limit it still cleans up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return path


def disk(seed, size=400_000, data=260_000, changes=()):
    """A disk of pages that compress and pages that do not, then zeros; the same for the same seed."""
    rng = random.Random(seed)
    out = bytearray()
    while len(out) < data:
        out += rng.randbytes(4096) if rng.random() < 0.5 else (b"%08x " % rng.getrandbits(32)) * 455
        out += b"\0" * (-len(out) % 4096)
    for at, what in changes:
        out[at:at + len(what)] = what
    out += b"\0" * (size // 4096 * 4096 - len(out))
    return bytes(out)


def environment(home, when=1_700_000_000):
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("VMSCM_", "GIT_", "LD_"))}
    env.update(HOME=home, XDG_CONFIG_HOME=home, TMPDIR=home, TZ="UTC", LC_ALL="C.UTF-8",
               GIT_CONFIG_NOSYSTEM="1")
    env["ASAN_OPTIONS"] = "exitcode=99:detect_leaks=0:verify_asan_link_order=0"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:exitcode=99"
    env["VMSCM_SHIM_TIME"] = str(when)
    env["LD_PRELOAD"] = SHIM
    return env


class Result:
    def __init__(self, status, said, timed_out):
        self.said, self.timed_out = said, timed_out
        self.signal = -status if status < 0 else 0
        self.code = status if status >= 0 else None

    def __str__(self):
        how = "hung" if self.timed_out else \
            "died of signal %d" % self.signal if self.signal else "ended with %d" % self.code
        return "%s: %s" % (how, self.said.strip())

    def crashed(self):
        """Ended as no program should, sanitizers' reports among that."""
        return self.timed_out or (self.code is None and self.signal != signal.SIGKILL) or \
            self.code in (98, 99, 97)


def run(argv, env, cwd):
    """argv to its end; what it says is kept."""
    process = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=False)
    late = False
    # Time for which this process was stopped as well does not count.
    for _ in range(TIMEOUT):
        try:
            said, _ = process.communicate(timeout=1)
            break
        except subprocess.TimeoutExpired:
            pass
    else:
        process.kill()
        said, _ = process.communicate()
        late = True
    return Result(process.returncode, said.decode(errors="replace"), late)


class Checker:
    """checker.c, which stays."""

    def __init__(self, home):
        env = environment(home)
        del env["LD_PRELOAD"]
        self.list = os.path.join(home, "expected")
        self.start = lambda: subprocess.Popen([CHECKER], env=env, stdin=subprocess.PIPE,
                                              stdout=subprocess.PIPE, text=True)
        self.process = self.start()

    def ask(self, repo, expected):
        """None, or what is wrong."""
        with open(self.list, "w") as out:
            out.write(expected)
        self.process.stdin.write("%s\t%s\n" % (repo, self.list))
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            status = self.process.wait()
            self.process = self.start()
            return "the checker died: %d" % status
        return None if answer == "ok\n" else answer.strip()


class State:
    """What a repository must hold: names, revisions, comments; of pruned revisions no disk. Damaged:
    fsck finds that, and some disks of it cannot be read."""

    def __init__(self):
        self.names = {}  # "web", "web:tag" -> id
        self.revisions = {}  # id -> {disk: hash}
        self.comments = set()  # (id, text)
        self.pruned = set()  # ids
        self.damaged = None  # ids

    def copy(self):
        new = State()
        new.names, new.revisions = dict(self.names), dict(self.revisions)
        new.comments, new.pruned = set(self.comments), set(self.pruned)
        return new


def expectation(before, after=None):
    """What must be so between two states: everything of the first, and of each name what it is in
    either. Of what is damaged it is enough that nobody reads it wrong."""
    damaged = before.damaged if before.damaged is not None or not after else after.damaged
    lines = ["damaged"] if damaged is not None else []
    damaged = damaged or set()

    def add(rev, *words):
        lines.append(("may " if rev in damaged else "") + "\t".join(words))

    for rev, disks in sorted(before.revisions.items()):
        if after and rev in after.pruned:
            continue
        for name, digest in sorted(disks.items()):
            add(rev, "rev", rev, name, digest)
    both = set(before.names) | set(after.names if after else ())
    for name in sorted(both):
        ids = {s.names.get(name, "-") for s in (before, after) if s}
        add(before.names.get(name), "at", name, ",".join(sorted(ids)))
    for rev, text in sorted(before.comments):
        add(rev, "comment", rev, text)
    return "".join(line + "\n" for line in lines)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def sha_file(path):
    with open(path, "rb") as f:
        return sha(f.read())


def plain(env):
    """The environment without the shim; its clock stays."""
    env = dict(env)
    env.pop("VMSCM_SHIM_MODE", None)
    return env


def read_pruned(repo, env):
    """The ids of the revisions that were pruned, from git."""
    found = subprocess.run(
        ["git", "--git-dir=" + os.path.join(repo, "git"), "ls-tree", "-r", "--name-only",
         "refs/notes/pruned"], env=env, check=False, capture_output=True, text=True)
    return {line.replace("/", "") for line in found.stdout.split()}


def read_state(repo, env):
    """What a repository holds, from git and vmscm."""
    state = State()
    state.pruned = read_pruned(repo, env)
    git = ["git", "--git-dir=" + os.path.join(repo, "git")]
    refs = subprocess.run(
        git + ["for-each-ref", "--format=%(refname) %(objectname) %(*objectname)"], env=env,
        check=True, capture_output=True, text=True).stdout.split("\n")
    for line in refs:
        name, *ids = line.split() or [""]
        if name.startswith("refs/heads/"):
            state.names[name[11:]] = ids[-1]
        elif name.startswith("refs/tags/"):
            machine, _, tag = name[10:].rpartition("/")
            state.names[machine + ":" + tag] = ids[-1]
    log = subprocess.run(git + ["log", "--format=%H", "--branches", "--tags"], env=env, check=True,
                         capture_output=True, text=True).stdout.split()
    for rev in log:
        show = json.loads(subprocess.run([VMSCM, "-C", repo, "show", "--json", rev], env=env,
                                         check=True, capture_output=True).stdout)
        state.revisions[rev] = {
            d["id"]: sha(subprocess.run([VMSCM, "-C", repo, "cat", "%s:%s" % (rev, d["id"])],
                                        env=env, check=True, capture_output=True).stdout)
            for d in show["hardware"]["disks"] if rev not in state.pruned}
        for comment in show["comments"]:
            state.comments.add((rev, comment["text"]))
    return state


def damage(state, repo, env):
    """Tell the state which of its revisions can no longer be read."""
    state.damaged = set()
    for rev, disks in state.revisions.items():
        for name, digest in disks.items():
            got = subprocess.run([VMSCM, "-C", repo, "cat", "%s:%s" % (rev, name)], env=env,
                                 check=False, capture_output=True)
            if got.returncode != 0:
                state.damaged.add(rev)
            elif sha(got.stdout) != digest:
                raise Failed("%s:%s is wrong" % (rev, name))


class Base:
    """The repository as it is before each command, the checkout and the disks beside it."""

    def __init__(self, top):
        self.top = top
        self.home = os.path.join(top, "home")
        self.path = os.path.join(top, "base")
        os.makedirs(os.path.join(self.home, "vmscm"))
        os.makedirs(self.path)
        with open(os.path.join(self.home, "vmscm", "config"), "w") as f:
            f.write("[user]\n\tname = Test User\n\temail = test@example.com\n[inspect]\n\tauto = false\n")
        self.when = 1_700_000_000
        self.write("vda.raw", disk(1))
        self.write("vdb.raw", disk(2, 200_000, 100_000))
        self.vmscm("init", "--bare", REPO, repo=False)
        self.vmscm("config", "core.jobs", "1")
        self.vmscm("checkin", "web", "vda.raw", "vdb.raw", "-m", "one")
        self.vmscm("tag", "web", "first", "-m", "a tag")
        self.vmscm("comment", "web", "-m", "a remark")
        self.write("vda.raw", disk(1, changes=[(40960, b"x" * 9000)]))
        self.vmscm("checkin", "web", "vda.raw", "vdb.raw", "-m", "two")
        self.vmscm("clone", "web:first", "qa/test")
        self.vmscm("tag", "qa/test", "kept")
        self.vmscm("tag", "qa/test", "also")
        self.write("db.raw", disk(3, 300_000, 150_000))
        self.vmscm("checkin", "db", "db.raw", "-m", "three")
        self.vmscm("comment", "db", "-m", "another remark")
        self.vmscm("checkout", "web", os.path.join(self.path, "work"))
        # Changed in the checkout: one disk of two.
        with open(os.path.join(self.path, "work", "vda.img"), "r+b") as f:
            f.seek(81920)
            f.write(b"y" * 5000)
        self.write("vda.raw", disk(1, changes=[(20480, b"z" * 9000)]))
        self.write("new.raw", disk(4, 500_000, 200_000))
        for n in range(6):
            self.write("many%d.raw" % n, disk(10 + n, 100_000, 50_000))
        self.state = read_state(os.path.join(self.path, REPO), plain(environment(self.home)))

    def write(self, name, data):
        with open(os.path.join(self.path, name), "wb") as f:
            f.write(data)

    def vmscm(self, *argv, repo=True):
        self.when += 60
        if argv[0] in ("checkin",):
            argv = tuple(os.path.join(self.path, a) if a.endswith(".raw") else a for a in argv)
        where = ["-C", os.path.join(self.path, REPO)] if repo else []
        got = run([VMSCM] + where + list(argv), environment(self.home, self.when), self.path)
        if got.code != 0:
            raise Failed("preparing: vmscm %s: %s" % (" ".join(argv), got))


def change(path, how):
    """Change what a JSON file holds, and not its time."""
    st = os.stat(path)
    with open(path) as f:
        info = json.load(f)
    how(info)
    with open(path, "w") as f:
        json.dump(info, f)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def adopt(work, repo):
    """Make a copied checkout the copied repository's, unchanged where it was unchanged."""
    def move(info):
        info["repository"] = repo

    def take(info):
        move(info)
        clock = 0
        for entry in info["disks"]:
            for file in entry["files"]:
                st = os.stat(os.path.join(work, file["name"]))
                # What was written to after the checkout is not to look clean.
                if file["mtime"] == st.st_mtime_ns:
                    file.update(ctime=st.st_ctime_ns, inode=st.st_ino)
                    clock = max(clock, st.st_ctime_ns)
        info["clock"] = clock + 1

    begun = os.path.join(work, ".vmscm-partial", "checkout")
    if os.path.exists(begun):
        change(begun, move)
    path = os.path.join(work, ".vmscm-checkout")
    if os.path.exists(path):
        change(path, take)


class Lab:
    """One worker's place: a copy of the base, the commands run in it, a checker."""

    def __init__(self, base, number):
        self.base = base
        self.path = os.path.join(base.top, "lab%d" % number)
        self.home = os.path.join(base.top, "home%d" % number)
        shutil.copytree(base.home, self.home)
        self.repo = os.path.join(self.path, REPO)
        self.log = os.path.join(self.home, "log")
        self.checker = Checker(self.home)
        self.env = environment(self.home, base.when + 3600)
        self.env["VMSCM_SHIM_ROOT"] = self.path
        self.env["VMSCM_SHIM_LOG"] = self.log
        self.harmed = None  # the state that the last harm was done to
        self.turn = 0  # commands run since it was fresh
        self.begun = 0  # when it was, ns
        self.intact = None  # the base of which it is known to be a copy still

    def fresh(self, source=None):
        source = source or self.base.path
        self.turn = 0
        if self.intact == source:
            self.intact = None
            return
        self.intact = None
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(source, self.path, symlinks=True)
        for name in os.listdir(self.path):
            work = os.path.join(self.path, name)
            if os.path.exists(os.path.join(work, ".vmscm-checkout")):
                adopt(work, self.repo)
        # By the clock of the file system, which lags behind others.
        mark = os.path.join(self.home, "mark")
        with open(mark, "w") as f:
            os.utime(mark)
            self.begun = os.fstat(f.fileno()).st_mtime_ns

    def prepare(self, command):
        """Where the command's base is, made now if it was not yet."""
        if not command.before and not command.harm:
            return self.base.path
        path = os.path.join(self.home, "base-" + command.name)
        if not os.path.exists(path):
            self.fresh()
            for words in command.before:
                if callable(words):
                    words(self)
                    continue
                argv = [os.path.join(self.path, w[1:]) if w.startswith("@") else w for w in words]
                got = run([VMSCM, "-C", self.repo] + argv, self.env, self.path)
                if got.code != 0:
                    raise Failed("preparing %s: vmscm %s: %s" % (command.name, " ".join(words), got))
            if command.harm:
                self.harmed = read_state(self.repo, plain(self.env))
                command.harm(self)
                damage(self.harmed, self.repo, plain(self.env))
            shutil.copytree(self.path, path, symlinks=True)
        return path

    def run(self, command, preload=SHIM, **shim):
        """A command of commands.py, under the shim if it is told something; the log is emptied."""
        if os.path.exists(self.log):
            os.unlink(self.log)
        self.turn += 1
        env = dict(self.env, LD_PRELOAD=preload, VMSCM_SHIM_RANDOM=str(self.turn))
        for key, value in shim.items():
            env["VMSCM_SHIM_" + key.upper()] = str(value)
        return run([VMSCM] + command.argv(self), env, self.path)

    def count(self, command, **how):
        """What the shim logs of a run that it leaves alone: a line a point."""
        self.fresh(self.prepare(command))
        got = self.run(command, **how)
        points = self.logged()
        if got.code != 0 or not points:
            raise Failed("%s, counted, %s" % (command.name, got))
        return points

    def logged(self):
        try:
            with open(self.log) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def wrong(self, before, after=None, where=REPO):
        return self.checker.ask(os.path.join(self.path, where), expectation(before, after))


def until(deadline):
    return deadline is None or time.monotonic() < deadline
