# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a lab once a command in it was killed or has failed: whether all that must be there
is, what the command does when it is run again, and what is there in the end.

With the shim's names and clock that follows from the files alone. Most failures leave the same few
states of them, so each is looked at once and what was found is remembered, by a hash of all names,
modes, contents and of the times that are older than the failure. Now and then one is looked at again,
to see that it is so."""

import collections
import hashlib
import json
import os
import re
import stat

import lab as labs

# lost: None, or what is not as it must be before or after the command. wrong: None, or what is not as
# it must be after it. again: the Result of running it again. still: the same as wrong, after that.
# left: None, or what should not be there in the end. What follows something lost was not looked at.
After = collections.namedtuple("After", "lost wrong again still left", defaults=(None,) * 4)

PROBE = 40  # Every such time a state is looked at all the same.

# The last part of a temporary name, which libgit2 and the C library make up by themselves.
MADE_UP = re.compile(r"((?:^|/)tmp_[a-z0-9_]*_|\.tmp-|/pack_git2_)[0-9A-Za-z]{6,}$")


def checkout_facts(path):
    """What is in a checkout's description, with the times and inodes told by whether they fit."""
    with open(path, "rb") as f:
        data = f.read()
    try:
        info = json.loads(data)
        for entry in info["disks"]:
            for file in entry["files"]:
                st = os.stat(os.path.join(os.path.dirname(path), file["name"]))
                file["later"] = info["clock"] > st.st_ctime_ns
                file["mtime"] = file["mtime"] == st.st_mtime_ns
                file["ctime"] = file["ctime"] == st.st_ctime_ns
                file["inode"] = file["inode"] == st.st_ino
        del info["clock"]
        return json.dumps(info, sort_keys=True).encode()
    except (ValueError, KeyError, TypeError, OSError):
        return data


def contents(path, mode):
    if stat.S_ISLNK(mode):
        return os.readlink(path).encode()
    if stat.S_ISDIR(mode):
        return b""
    if os.path.basename(path) == ".vmscm-checkout":
        return checkout_facts(path)
    with open(path, "rb") as f:
        return f.read()


def digest(lab):
    """A hash of all in a lab that a command can tell apart."""
    entries = []
    for where, names, files in os.walk(lab.path):
        for name in names + files:
            path = os.path.join(where, name)
            st = os.lstat(path)
            when = st.st_mtime_ns if st.st_mtime_ns < lab.begun and not stat.S_ISDIR(st.st_mode) else 0
            entries.append((MADE_UP.sub(r"\1", os.path.relpath(path, lab.path)), st.st_mode, when, st.st_nlink,
                            hashlib.sha256(contents(path, st.st_mode)).digest()))
    return hashlib.sha256(repr(sorted(entries)).encode()).digest()


def find_out(lab, command, done):
    lost = done.lost(lab, command)
    if lost:
        return After(lost, lost)
    wrong = done.wrong(lab, command)
    again = lab.run(command)
    still = done.wrong(lab, command)
    return After(None, wrong, again, still, done.left(lab, command))


def outcome(then):
    return then.lost, then.wrong, then.again and then.again.code, then.still, then.left


def look(lab, command, done):
    """The After of what is in the lab now, where one command has run since it was fresh."""
    key = digest(lab)
    if key not in done.seen:
        done.seen[key] = find_out(lab, command, done)
        return done.seen[key]
    done.again += 1
    if done.again % PROBE == 0:
        then = find_out(lab, command, done)
        if outcome(then) != outcome(done.seen[key]):
            raise labs.Failed("%s: the same files led to %s and then to %s" %
                              (command.name, outcome(done.seen[key]), outcome(then)))
    elif key == done.untouched:
        lab.intact = done.base
    return done.seen[key]
