# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system as POSIX lets it be after a power loss. What was done to it comes from the shim's
record; nothing is durable but what an fsync made so: of a file its bytes, of a directory the names
in it. What was done since may be there or not, each name and each file on its own, in any order; of the
bytes written since, a part or zeros. File systems that order what they write allow less.

A tree is a dict: path -> number of a blob, or DIRECTORY."""

import itertools
import struct

DIRECTORY = -1
HEAD = struct.Struct("<IIIQQ")
IGNORED = {"chmod", "utimes", "close", "sync_file_range"}


def read_log(path):
    """Yields (end in the log, op, path, to, number, data)."""
    with open(path, "rb") as f:
        log = f.read()
    at = 0
    while at < len(log):
        a, b, c, number, size = HEAD.unpack_from(log, at)
        at += HEAD.size
        op, name, to = (x.decode() for x in (log[at:at + a], log[at + a:at + a + b],
                                             log[at + a + b:at + a + b + c]))
        at += a + b + c
        data = log[at:at + size]
        at += size
        yield at, op, name, to, number, data


class Blobs:
    """Contents of files, each once."""

    def __init__(self):
        self.numbers, self.contents = {}, []

    def number(self, content):
        number = self.numbers.setdefault(content, len(self.contents))
        if number == len(self.contents):
            self.contents.append(content)
        return number


class Node:
    """A file: the versions of its bytes, the first durable; a directory: of each name, what it was."""

    def __init__(self, directory):
        self.names = {} if directory else None
        self.bytes = None if directory else [b""]
        self.torn = None  # what tatters() makes of the bytes, once it has

    def change(self, content):
        self.bytes.append(content)
        self.torn = None


class Model:
    def __init__(self, root, blobs):
        self.root, self.blobs = root, blobs
        self.top = Node(True)

    def find(self, path):
        """The node that a path leads to now, or None."""
        node = self.top
        for name in self.parts(path):
            node = node.names.get(name, [None])[-1]
            if node is None:
                return None
        return node

    def parts(self, path):
        return [p for p in path[len(self.root):].split("/") if p]

    def put(self, path, node):
        *where, name = self.parts(path)
        directory = self.top
        for part in where:
            directory = directory.names[part][-1]
        directory.names.setdefault(name, [None]).append(node)

    def apply(self, op, path, to, number, data):
        if op in ("create", "mkdir"):
            self.put(path, Node(op == "mkdir"))
        elif op == "write":
            node = self.find(path)
            old = node.bytes[-1]
            old += b"\0" * (number - len(old))
            node.change(old[:number] + data + old[number + len(data):])
        elif op in ("truncate", "allocate"):
            node = self.find(path)
            old = node.bytes[-1]
            new = old + b"\0" * (number - len(old))
            node.change(new[:number] if op == "truncate" else new)
        elif op == "fsync":
            node = self.find(path)
            if node.names is None:
                node.bytes, node.torn = node.bytes[-1:], None
            else:
                node.names = {n: v[-1:] for n, v in node.names.items() if v[-1] is not None}
        elif op == "rename":
            node = self.find(path)
            if node is not self.find(to):
                self.put(path, None)
                self.put(to, node)
        elif op == "link":
            self.put(to, self.find(path))
        elif op in ("unlink", "rmdir"):
            self.put(path, None)
        elif op not in IGNORED:
            raise ValueError("the model does not know %s" % op)

    def loose(self):
        """What is not durable: [(key, choices)], the last choice being what it is now. A choice of a
        name is a node or None, of a file its bytes."""
        found, seen, todo = [], set(), [self.top]
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.names is None:
                if len(node.bytes) > 1:
                    node.torn = node.torn or self.tatters(node.bytes)
                    found.append((node, node.torn))
                continue
            for name, versions in node.names.items():
                todo += [v for v in versions if v is not None]
                if len(versions) > 1:
                    unique = []
                    for version in reversed(versions):
                        if all(version is not u for u in unique):
                            unique.insert(0, version)
                    if len(unique) > 1:
                        found.append(((node, name), unique))
        return found

    @staticmethod
    def tatters(versions):
        """The bytes that a file may have: what is durable, every version since, the last one in half
        and with zeros for what is not durable."""
        durable, now = versions[0], versions[-1]
        choices = list(versions[:-1])
        same = next((i for i, (a, b) in enumerate(zip(durable, now)) if a != b),
                    min(len(durable), len(now)))
        choices += [now[:same] + b"\0" * (len(now) - same), now[:(same + len(now)) // 2],
                    now[:same] + b"\0" * ((len(now) - same) // 2) + now[(same + len(now)) // 2:],
                    now]
        unique = []
        for choice in reversed(choices):
            if choice not in unique:
                unique.insert(0, choice)
        return unique

    def tree(self, chosen):
        """The files there are if the loose ones are as chosen: {key: choice}."""
        out, todo, homes = {}, [("", self.top)], set()
        while todo:
            path, node = todo.pop()
            if node.names is None:
                content = chosen.get(node, node.bytes[-1])
                out[path] = self.blobs.number(content)
                continue
            # A directory that is renamed is in one place.
            if id(node) in homes:
                continue
            homes.add(id(node))
            if path:
                out[path] = DIRECTORY
            for name, versions in node.names.items():
                what = chosen.get((node, name), versions[-1])
                if what is not None:
                    todo.append((path + "/" + name if path else name, what))
        return out

    def states(self, limit, rng):
        """What a loss of power now may leave, at most about `limit` of it beyond each loose thing on its
        own; each for tree()."""
        loose = self.loose()
        counts = 1
        for _, choices in loose:
            counts *= len(choices)
        if counts <= limit:
            for picked in itertools.product(*(choices for _, choices in loose)):
                yield dict(zip((key for key, _ in loose), picked))
            return
        now = {key: choices[-1] for key, choices in loose}
        old = {key: choices[0] for key, choices in loose}
        yield now
        yield old
        for key, choices in loose:
            for choice in choices[:-1]:
                yield {**now, key: choice}
            for choice in choices[1:]:
                yield {**old, key: choice}
        for _ in range(limit):
            yield {key: rng.choice(choices) for key, choices in loose}
