#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 endpoint that does what real ones do on a bad day.

Usage: fake.py PORT-FILE [--ignore-conditions]

It checks signatures as the specification of AWS Signature Version 4 says, so that a client that signs wrongly is
found out, and knows one bucket, "bucket", the key KEY with the secret SECRET, and the session TOKEN.

PUT /_fake/faults takes a list of rules, of which the first that matches a request and is not used up decides:
  method, match   which requests: a method, and a regular expression for METHOD SPACE PATH?QUERY
  times           how often; absent: always
  after           how many matching requests are let pass before
  action          status     answer so: status, code (XML), headers
                  drop       hang up before anything is done
                  lose       do it, and hang up without an answer
                  repeat     do it twice, and answer as the second time
                  truncate   answer, but with half of the body
                  garbage    answer with a body that is none
                  stray      list keys, too, that were not asked for
                  behind     list without the first key
                  standing   list a key that was not asked for, and say that it goes on there, again and again
                  endless    answer so: status, and a body that has no end
                  headers    answer so: 200, and headers that have no end
                  trickle    answer as usual, a byte every tenth of a second
                  round      the same page of keys below prefix, and that more follows, each time
                  empty      list nothing, and say that more follows, by another token each time
                  many       list keys that are made up below prefix, and say that more follows
                  slow       wait so many seconds first, then answer as usual
GET /_fake/log gives what was asked so far, a line a request: METHOD PATH STATUS BYTES-IN BYTES-OUT; DELETE
empties it. GET /_fake/keys gives the keys there are. PUT /_fake/shorten leaves half of the object
whose key it has. PUT /_fake/object?KEY makes one.
"""
import hashlib
import hmac
import json
import os
import re
import socketserver
import sys
import threading
import time
import urllib.parse
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from xml.sax.saxutils import escape

KEYS = {"KEY": "SECRET/with+signs"}
TOKEN = "session-token"


class World:
    def __init__(self):
        self.lock = threading.Lock()
        self.objects = {}
        self.faults = []
        self.log = []
        self.honour = True
        self.number = 0

    def fault(self, text):
        with self.lock:
            for rule in self.faults:
                if rule.get("method") and not text.startswith(rule["method"] + " "):
                    continue
                if rule.get("match") and not re.search(rule["match"], text):
                    continue
                if rule.get("after", 0) > 0:
                    rule["after"] -= 1
                    continue
                if "times" in rule:
                    if rule["times"] <= 0:
                        continue
                    rule["times"] -= 1
                return rule
        return None


world = World()


def quote(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake"

    def log_message(self, *args):
        pass

    def hang_up(self):
        self.close_connection = True
        try:
            self.connection.shutdown(2)
        except OSError:
            pass

    def answer(self, status, body=b"", headers=None, sent=None):
        self.send_response_only(status)
        self.send_header("Date", formatdate(usegmt=True))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        out = body if sent is None else body[:sent]
        try:
            self.wfile.write(out)
            self.wfile.flush()
        except OSError:
            pass
        if sent is not None:
            self.hang_up()
        with world.lock:
            world.log.append("%s %s %d %d %d" % (self.command, self.path, status, len(self.body), len(out)))

    def error(self, status, code, headers=None):
        body = "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>as told</Message></Error>" % code
        self.answer(status, body.encode(), dict(headers or {}, **{"Content-Type": "application/xml"}))

    # The four tasks of signing, from the specification.
    def check_signature(self):
        auth = self.headers.get("Authorization", "")
        m = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
                     r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$", auth)
        if not m:
            return "AccessDenied"
        key, day, region, signed, signature = m.groups()
        if key not in KEYS:
            return "InvalidAccessKeyId"
        names = signed.split(";")
        if "host" not in names or any(h.lower().startswith("x-amz-") and h.lower() not in names
                                      for h in self.headers):
            return "SignatureDoesNotMatch"
        if self.headers.get("x-amz-content-sha256") != hashlib.sha256(self.body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        token = self.headers.get("x-amz-security-token")
        if token is not None and token != TOKEN:
            return "InvalidToken"
        path, _, query = self.path.partition("?")
        pairs = sorted((quote(k), quote(v)) for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True))
        canonical = "\n".join([
            self.command, quote(urllib.parse.unquote(path), "/-_.~"), "&".join("%s=%s" % p for p in pairs),
            "".join("%s:%s\n" % (n, " ".join((self.headers.get(n) or "").split())) for n in names),
            signed, self.headers["x-amz-content-sha256"]])
        scope = "%s/%s/s3/aws4_request" % (day, region)
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers.get("x-amz-date", ""), scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        k = ("AWS4" + KEYS[key]).encode()
        for part in (day, region, "s3", "aws4_request"):
            k = hmac.new(k, part.encode(), hashlib.sha256).digest()
        if hmac.new(k, text.encode(), hashlib.sha256).hexdigest() != signature:
            return "SignatureDoesNotMatch"
        return None

    def control(self):
        path = urllib.parse.urlparse(self.path).path
        if path == "/_fake/faults":
            with world.lock:
                world.faults = json.loads(self.body or b"[]")
            return b""
        if path == "/_fake/shorten":
            with world.lock:
                body, when = world.objects[self.body.decode()]
                world.objects[self.body.decode()] = (body[:len(body) // 2], when)
            return b""
        if path == "/_fake/object":
            with world.lock:
                world.objects[urllib.parse.unquote(self.path.partition("?")[2])] = (self.body, time.time())
            return b""
        if path == "/_fake/keys":
            return "".join("%s %d\n" % (k, len(v[0])) for k, v in sorted(world.objects.items())).encode()
        with world.lock:
            text = "".join(line + "\n" for line in world.log)
            if self.command == "DELETE":
                world.log = []
        return text.encode()

    def listing(self, query, behind, standing):
        prefix = query.get("prefix", [""])[0]
        most = int(query.get("max-keys", ["1000"])[0])
        after = query.get("continuation-token", [""])[0]
        with world.lock:
            keys = sorted(k for k in world.objects if k.startswith(prefix) and k > after)[behind:]
            items = [(k, len(world.objects[k][0]), world.objects[k][1]) for k in keys[:most]]
        more = len(keys) > most or standing
        if standing:
            items = [("elsewhere", 1, 0)]
        body = ["<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>%s</IsTruncated>" % str(more).lower()]
        for key, size, when in items:
            body.append("<Contents><Key>%s</Key><LastModified>%s</LastModified><Size>%d</Size></Contents>" % (
                escape(key), time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(when)), size))
        if more and items:
            body.append("<NextContinuationToken>%s</NextContinuationToken>" % escape(items[-1][0]))
        body.append("</ListBucketResult>")
        return 200, "".join(body).encode(), {}

    def act(self, behind=0, standing=False):
        """Status, body, headers."""
        url = urllib.parse.urlparse(self.path)
        path = urllib.parse.unquote(url.path)
        bucket, _, key = path.lstrip("/").partition("/")
        if bucket != "bucket":
            return 404, b"<Error><Code>NoSuchBucket</Code></Error>", {}
        if not key:
            return self.listing(urllib.parse.parse_qs(url.query), behind, standing)
        with world.lock:
            there = world.objects.get(key)
            if self.command == "PUT":
                if self.headers.get("If-None-Match") == "*" and there and world.honour:
                    return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
                world.objects[key] = (self.body, time.time())
                return 200, b"", {"ETag": '"x"'}
            if self.command == "DELETE":
                world.objects.pop(key, None)
                return 204, b"", {}
        if not there:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        m = re.match(r"bytes=(\d+)-(\d+)$", self.headers.get("Range", ""))
        if not m:
            return 200, there[0], {}
        first, last = int(m[1]), min(int(m[2]), len(there[0]) - 1)
        if first > last:
            return 416, b"<Error><Code>InvalidRange</Code></Error>", {}
        return 206, there[0][first:last + 1], {"Content-Range": "bytes %d-%d/%d" % (first, last, len(there[0]))}

    def dribble(self, status, body, headers):
        self.send_response_only(status)
        for name, value in dict(headers, **{"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for i in range(len(body)):
                self.wfile.write(body[i:i + 1])
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            self.close_connection = True

    def endless_headers(self):
        self.send_response_only(200)
        self.flush_headers()
        try:
            while True:
                self.wfile.write(b"x-more: %s\r\n" % (b"x" * 4000))
        except OSError:
            self.close_connection = True

    def endless_list(self, action, prefix):
        """A page of it."""
        with world.lock:
            world.number += 1
            number = 1 if action == "round" else world.number
        keys = "".join("<Contents><Key>%s%016x</Key><Size>1</Size></Contents>" % (prefix, number * 1000 + i)
                       for i in range(0 if action == "empty" else 1000))
        return ("<ListBucketResult><IsTruncated>true</IsTruncated>%s<NextContinuationToken>%d"
                "</NextContinuationToken></ListBucketResult>" % (keys, number)).encode()

    def handle_all(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_fake/"):
            body = self.control()
            self.send_response_only(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        wrong = self.check_signature()
        if wrong:
            self.error(403, wrong)
            return
        fault = world.fault("%s %s" % (self.command, self.path)) or {"action": None}
        action = fault["action"]
        if action == "status":
            self.error(fault["status"], fault.get("code", "Told"), fault.get("headers"))
            return
        if action == "drop":
            self.hang_up()
            return
        if action == "endless":
            self.send_response_only(fault["status"])
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                self.close_connection = True
            return
        if action == "headers":
            self.endless_headers()
            return
        if action in ("round", "empty", "many"):
            self.answer(200, self.endless_list(action, fault["prefix"]), {})
            return
        if action == "slow":
            time.sleep(fault["seconds"])
        status, body, headers = self.act(1 if action == "behind" else 0, action == "standing")
        if action == "repeat":
            status, body, headers = self.act()
        if action == "trickle":
            self.dribble(status, body, headers)
            return
        if action == "lose":
            with world.lock:
                world.log.append("%s %s 0 %d 0" % (self.command, self.path, len(self.body)))
            self.hang_up()
        elif action == "stray":
            strays = "".join("<Contents><Key>%s</Key><Size>1</Size></Contents>" % key for key in fault["keys"])
            self.answer(status, body.replace(b"<Contents>", strays.encode() + b"<Contents>", 1), headers)
        elif action == "garbage":
            self.answer(status, b"\0garbage" * 8, headers)
        else:
            self.answer(status, body, headers, sent=len(body) // 2 if action == "truncate" else None)

    do_GET = do_PUT = do_DELETE = do_HEAD = handle_all


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main():
    world.honour = "--ignore-conditions" not in sys.argv
    server = Server(("127.0.0.1", 0), Handler)
    tmp = sys.argv[1] + ".tmp"
    with open(tmp, "w") as f:
        f.write("%d\n" % server.server_address[1])
    os.rename(tmp, sys.argv[1])
    server.serve_forever()


main()
