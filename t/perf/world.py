# SPDX-License-Identifier: GPL-3.0-or-later
"""What t/perf/remotes and t/perf/boot share: a place to work in, and a server to reach it by."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("VMSCM_BUILD") or os.path.join(TOP, "build"))
VMSCM = os.path.join(BUILD, "vmscm")


def warn(text):
    print("%s: %s" % (os.path.basename(sys.argv[0]), text), file=sys.stderr)


def die(text, status=3):
    warn(text)
    sys.exit(status)


class World:
    """A directory to work in, and what all programs are run with."""

    def __init__(self, work):
        self.work = work
        home = os.path.join(work, "home")
        os.makedirs(os.path.join(home, ".config", "vmscm"))
        with open(os.path.join(home, ".config", "vmscm", "config"), "w", encoding="utf-8") as f:
            f.write("[user]\n\tname = T\n\temail = t@example.com\n[inspect]\n\tauto = false\n"
                    "[remote \"to\"]\n\tprogram = %s\n" % VMSCM)
        self.env = dict(os.environ, HOME=home, XDG_CONFIG_HOME=os.path.join(home, ".config"),
                        XDG_CACHE_HOME=os.path.join(work, "cache"), LC_ALL="C", RESTIC_PASSWORD="none")
        for name in "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "VMSCM_DIR":
            self.env.pop(name, None)

    def at(self, *names):
        return os.path.join(self.work, *names)

    def run(self, *argv):
        """Seconds, and what it said."""
        subprocess.run(["sync", "-f", self.work], check=True)
        start = time.monotonic()
        done = subprocess.run(argv, env=self.env, cwd=self.work, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        seconds = time.monotonic() - start
        if done.returncode:
            die("%s: %s" % (" ".join(argv), (done.stderr or done.stdout).strip()[-500:]))
        return seconds, done.stdout


@contextlib.contextmanager
def sshd(world, address="127.0.0.1", inside=()):
    """A server at an address; yields its port. ssh is world.at("ssh"), a program of that name that finds it.
    inside: what to start the server by, such as in another network namespace."""
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not program or not shutil.which("ssh"):
        die("ssh and sshd are needed: contrib/dependencies test")
    conf = world.at("sshd")
    os.mkdir(conf, 0o700)
    for name in "host", "key":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(conf, name)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(os.path.join(conf, "host.pub"), encoding="utf-8") as pub, \
            open(os.path.join(conf, "known"), "w", encoding="utf-8") as known:
        known.write("[%s]:%d %s" % (address, port, pub.read()))
    with open(os.path.join(conf, "config"), "w", encoding="utf-8") as f:
        f.write("Port %d\nListenAddress %s\nHostKey %s/host\nAuthorizedKeysFile %s/key.pub\n"
                "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
                "PermitRootLogin prohibit-password\nUseDNS no\nSetEnv PATH=%s:/usr/bin:/bin\n" % (
                    port, address, conf, conf, BUILD))
    with open(world.at("ssh"), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nexec %s -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes "
                "-o UserKnownHostsFile=%s/known -i %s/key -p %d \"$@\"\n" % (shutil.which("ssh"), conf, conf, port))
    os.chmod(world.at("ssh"), 0o755)
    world.env.update(VMSCM_SSH=world.at("ssh"), RSYNC_RSH=world.at("ssh"), CASYNC_SSH_PATH=world.at("ssh"))
    os.makedirs("/run/sshd", exist_ok=True)
    log = os.path.join(conf, "log")
    server = subprocess.Popen([*inside, program, "-D", "-f", os.path.join(conf, "config"), "-E", log])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), open(log, encoding="utf-8") as said:
                if "Server listening" in said.read():
                    break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()
