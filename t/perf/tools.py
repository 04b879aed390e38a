# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that t/perf/run measures: what each is called with to store an image and to give it
back. All of them read an image again whenever they are asked to store it, whatever they know of
its name or time; fixed or variable chunks, levels and threads are their own defaults, but zstd is
asked for where there is a choice."""

import os
import re
import shutil
import subprocess


class Command:
    """What to run; the files may be None."""

    def __init__(self, *argv, cwd=None, stdin=None, stdout=None):
        self.argv, self.cwd, self.stdin, self.stdout = list(argv), cwd, stdin, stdout


class Tool:
    """A program with a repository in self.repo. save() gets the image's name and path; load() makes
    the directory `out` or puts a file in it."""

    program = None

    def __init__(self, work):
        self.work, self.repo, self.format = work, os.path.join(work, "repo"), "raw"
        home = os.path.join(work, "home")
        self.env = dict(
            os.environ, HOME=home, XDG_CONFIG_HOME=home, XDG_CACHE_HOME=os.path.join(work, "cache"),
            LC_ALL="C", TZ="UTC", BORG_BASE_DIR=os.path.join(work, "borg"), RESTIC_PASSWORD="none",
            BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
            BORG_RELOCATED_REPO_ACCESS_IS_OK="yes", BUP_DIR=self.repo,
            RESTIC_CACHE_DIR=os.path.join(work, "cache"))

    def path(self):
        return shutil.which(self.program)

    def version(self):
        done = subprocess.run([self.path(), "--version"], capture_output=True, text=True,
                              check=False, env=self.env)
        lines = (done.stdout or done.stderr).strip().splitlines()
        return lines[0].removeprefix(self.program).strip() if lines else "?"


class Vmscm(Tool):
    program = "vmscm"

    def __init__(self, work, build):
        super().__init__(work)
        self.build = build
        self.chain = []

    def path(self):
        path = os.path.join(self.build, "vmscm")
        return path if os.access(path, os.X_OK) else None

    def init(self):
        self.chain = []
        return Command(self.path(), "init", "--bare", self.repo)

    def save(self, name, path, chain):
        """In a chain, images are the revisions of one machine; the last that was saved is ~0."""
        if chain:
            self.chain.append(name)
        return Command(self.path(), "-C", self.repo, "checkin", "--inspect=no", "-q", "-m", name,
                       "guest" if chain else name, path)

    def load(self, name, out):
        rev = name
        if name in self.chain:
            rev = "guest~%d" % (len(self.chain) - 1 - self.chain.index(name))
        return Command(self.path(), "-C", self.repo, "checkout", "-q", rev, out)


class Borg(Tool):
    program = "borg"
    chunker = ["--chunker-params", "fixed,65536", "--sparse"]

    def init(self):
        return Command("borg", "init", "-e", "none", self.repo)

    def save(self, name, path, _chain):
        return Command("borg", "create", *self.chunker, "--files-cache", "disabled",
                       "--compression", "zstd,3", self.repo + "::" + name, path)

    def load(self, name, out):
        os.mkdir(out)
        return Command("borg", "extract", "--sparse", self.repo + "::" + name, cwd=out)


class BorgDefault(Borg):
    chunker = []


class Restic(Tool):
    program = "restic"

    def version(self):
        done = subprocess.run(["restic", "version"], capture_output=True, text=True, check=False)
        return done.stdout.split()[1] if done.stdout else "?"

    def init(self):
        return Command("restic", "init", "-q", "-r", self.repo)

    def save(self, name, path, _chain):
        return Command("restic", "-q", "-r", self.repo, "backup", "--force", "--tag", name, path)

    def load(self, name, out):
        return Command("restic", "-q", "-r", self.repo, "restore", "latest", "--tag", name,
                       "--target", out)


class Casync(Tool):
    program = "casync"

    def init(self):
        return Command("mkdir", self.repo)

    def save(self, name, path, _chain):
        return Command("casync", "make", "--store=" + self.repo + "/store.castr",
                       "--compression=zstd", self.repo + "/" + name + ".caibx", path)

    def load(self, name, out):
        os.mkdir(out)
        return Command("casync", "extract", "--store=" + self.repo + "/store.castr",
                       self.repo + "/" + name + ".caibx", out + "/disk")


class QemuImg(Tool):
    """Each image compressed by itself: what many do without a tool for it."""

    program = "qemu-img"

    def init(self):
        return Command("mkdir", self.repo)

    def save(self, name, path, _chain):
        return Command("qemu-img", "convert", "-c", "-f", self.format, "-O", "qcow2", path,
                       self.repo + "/" + name + ".qcow2")

    def load(self, name, out):
        os.mkdir(out)
        return Command("qemu-img", "convert", "-f", "qcow2", "-O", "raw",
                       self.repo + "/" + name + ".qcow2", out + "/disk")


class Zbackup(Tool):
    program = "zbackup"

    def version(self):
        done = subprocess.run(["zbackup", "--help"], capture_output=True, text=True, check=False)
        return (re.findall(r"version ([0-9][0-9.]*)", done.stderr + done.stdout) or ["?"])[0]

    def call(self, *what, **files):
        return Command("zbackup", "--non-encrypted", "--silent", *what, **files)

    def init(self):
        return self.call("init", self.repo)

    def save(self, name, path, _chain):
        return self.call("backup", self.repo + "/backups/" + name, stdin=path)

    def load(self, name, out):
        os.mkdir(out)
        return self.call("restore", self.repo + "/backups/" + name, stdout=out + "/disk")


class Bup(Tool):
    program = "bup"

    def init(self):
        return Command("bup", "init")

    def save(self, name, path, _chain):
        return Command("bup", "split", "-q", "-n", name, path)

    def load(self, name, out):
        os.mkdir(out)
        return Command("bup", "join", name, stdout=out + "/disk")


PEERS = {"borg-64k": Borg, "borg": BorgDefault, "restic": Restic, "casync": Casync,
         "qemu-img": QemuImg, "zbackup": Zbackup, "bup": Bup}
