#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""rewrite: look-ups, what may be asked for, changes of tables, reload."""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from instance import Instance, need_root  # noqa: E402

RESOLVE, RESOLVED, LOOKUP, FOUND = range(1, 5)
OK, TEMPFAIL, INVALID = range(3)


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<I", len(s)) + s


def frame(kind, tag, body=b""):
    return struct.pack("<IHHI", len(body), kind, 0, tag) + body


class Client:
    def __init__(self, m):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(20)
        self.s.connect(f"{m.base}/spool/private/rewrite")
        self.s.sendall(frame(0, 0, text("rewrite") + struct.pack("<I", 1)))
        self.tag = 0

    def read(self, n):
        out = b""
        while len(out) < n:
            more = self.s.recv(n - len(out))
            if not more:
                raise EOFError
            out += more
        return out

    def ask(self, kind, body):
        self.tag += 1
        self.s.sendall(frame(kind, self.tag, body))
        while True:
            n, kind, _, tag = struct.unpack("<IHHI", self.read(12))
            body = self.read(n)
            if kind != 0:
                assert tag == self.tag
                return body

    def lookup(self, table, *keys, nwhole=1):
        body = self.ask(LOOKUP, text(table) + struct.pack("<I", nwhole)
                        + text(b"".join(text(k) for k in keys)))
        status, found, key, size = struct.unpack_from("<I?II", body)
        value = body[13:13 + size].decode()
        return status, (key, value) if found else None

    def resolve(self, address, listed=True):
        body = self.ask(RESOLVE, text(address) + text("") + text("")
                        + bytes([listed, False]))
        status, kind = struct.unpack_from("<II", body)
        at, strings = 8, []
        for _ in range(3):
            size = struct.unpack_from("<I", body, at)[0]
            strings.append(body[at + 4:at + 4 + size].decode())
            at += 4 + size
        return status, kind, *strings, bool(body[at])

    def breaks(self, data):
        self.s.sendall(data)
        try:
            while self.s.recv(65536):
                pass
        except ConnectionResetError:
            pass


def lookups(m):
    c = Client(m)
    table = f"hash:{m.etc}/access"
    assert c.lookup(table, "Joe@x.test", "x.test") == (OK, (1, "REJECT no"))
    assert c.lookup(table, "y.test") == (OK, None)
    assert c.lookup("inline:{{in = OK}}", "in") == (OK, (0, "OK"))
    pattern = f"regexp:{m.etc}/re"
    assert c.lookup(pattern, "no", "abc") == (OK, None)
    assert c.lookup(pattern, "no", "abc", nwhole=2) == (OK, (1, "HOLD"))
    # named by a class, a service's -o, and within braces
    for spec in ("inline:{{cls = 1}}", "inline:{{svc = 1}}"):
        assert c.lookup(spec, spec[9:12]) == (OK, (0, "1")), spec
    # not named by anything, or cannot be opened
    assert c.lookup("texthash:/etc/passwd", "root") == (INVALID, None)
    assert c.lookup(f"hash:{m.etc}/vmailbox2", "x") == (INVALID, None)
    assert c.lookup(f"hash:{m.etc}/missing", "x") == (TEMPFAIL, None)


def broken(m):
    for data in (frame(99, 1), frame(RESOLVE, 1, b"x"),
                 frame(LOOKUP, 1, b"\xff" * 20), frame(RESOLVED, 1)):
        Client(m).breaks(data)
    c = Client(m)
    body = text("hash:" + m.etc + "/access") + struct.pack("<I", 1)
    for keys in (b"\1\0\0", struct.pack("<I", 500) + b"x",
                 text("k") * 65):
        assert struct.unpack_from("<I", c.ask(
            LOOKUP, body + text(keys)))[0] == INVALID


def changes(m):
    c = Client(m)
    assert c.resolve("carol@example.test")[5]
    assert not c.resolve("new@example.test")[5]
    with open(f"{m.etc}/vmailbox", "a", encoding="ascii") as f:
        f.write("new@example.test example.test/new/\n")
    m.command("postmap", f"hash:{m.etc}/vmailbox")
    end = time.monotonic() + 10
    while not c.resolve("new@example.test")[5]:
        assert time.monotonic() < end
        time.sleep(0.1)
    # A missing table appears; nothing is restarted.
    with open(f"{m.etc}/missing", "w", encoding="ascii") as f:
        f.write("x OK\n")
    m.command("postmap", f"hash:{m.etc}/missing")
    while c.lookup(f"hash:{m.etc}/missing", "x")[0] != OK:
        assert time.monotonic() < end
        time.sleep(0.1)
    # Settings, by reload, on the same connection.
    assert c.resolve("x@else.test")[2:4] == ("smtp", "else.test")
    m.command("postconf", "-e", "relayhost=[gw.test]")
    m.command("mansio", "reload")
    while c.resolve("x@else.test")[3] != "[gw.test]":
        assert time.monotonic() < end
        time.sleep(0.1)


need_root()
inst = Instance(settings={
    "smtpd_restriction_classes": "cls",
    "cls": "check_client_access inline:{{{{cls = 1}}}}",
    "smtpd_client_restrictions":
        "check_client_access hash:{base}/etc/access, "
        "{{ check_client_access inline:{{{{in = OK}}}} }}, "
        "check_client_access hash:{base}/etc/missing",
    "smtpd_helo_restrictions": "check_helo_access regexp:{base}/etc/re",
})
with open(f"{inst.etc}/access", "w", encoding="ascii") as out:
    out.write("x.test REJECT no\n")
with open(f"{inst.etc}/re", "w", encoding="ascii") as out:
    out.write("/^abc/ HOLD\n")
with open(f"{inst.etc}/master.cf", "a", encoding="ascii") as out:
    out.write("svc unix - - - - - error\n"
              "  -o { smtpd_client_restrictions = "
              "check_client_access inline:{{svc = 1}} }\n")
inst.command("postmap", f"{inst.etc}/access")
with inst:
    PID = [p for p, name in inst.children().items() if name == "rewrite"]
    lookups(inst)
    broken(inst)
    changes(inst)
    assert PID == [p for p, name in inst.children().items()
                   if name == "rewrite"]
print("3 passed, 0 failed, 0 skipped")
