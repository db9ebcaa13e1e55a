#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pickup: clients that break the conversation, leave, or stay too long."""
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from instance import Instance, need_root  # noqa: E402

BEGIN, RCPT, CONTENT, END, RESULT, VERIFY, VERIFIED = range(1, 8)


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<I", len(s)) + s


def frame(kind, tag, body=b""):
    return struct.pack("<IHHI", len(body), kind, 0, tag) + body


def begin(tag, own=True, sender="", report=0):
    return frame(BEGIN, tag, bytes([own]) + text(sender) + text("Name")
                 + b"\0\0\0" + struct.pack("<II", 0, report) + text(""))


def rcpt(tag, address, kind=RCPT):
    return frame(kind, tag, text(address) + text("")
                 + struct.pack("<I", 0))


class Client:
    def __init__(self, m):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(20)
        self.s.connect(f"{m.base}/spool/public/pickup")
        self.send(frame(0, 0, text("submit") + struct.pack("<I", 1)))

    def send(self, data):
        try:
            self.s.sendall(data)
        except BrokenPipeError:
            pass			# refused already: ended() sees it

    def read(self, n):
        out = b""
        while len(out) < n:
            more = self.s.recv(n - len(out))
            if not more:
                raise EOFError
            out += more
        return out

    def recv(self):
        """(kind, tag, first string), HELLO passed over."""
        while True:
            n, kind, _, tag = struct.unpack("<IHHI", self.read(12))
            body = self.read(n)
            if kind != 0:
                size = struct.unpack_from("<I", body)[0]
                return kind, tag, body[4:4 + size].decode()

    def ended(self):
        """The other end has hung up."""
        try:
            while self.s.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def works(m):
    c = Client(m)
    c.send(begin(7) + rcpt(7, "alice@example.test")
           + frame(CONTENT, 7, b"Subject: x\n\nx\n") + frame(END, 7))
    kind, tag, code = c.recv()
    assert (kind, tag) == (RESULT, 7) and code.startswith("2."), code
    return c


def breaks(m):
    for name, data in {
        "content first": frame(CONTENT, 1, b"x"),
        "end first": frame(END, 1),
        "rcpt first": rcpt(1, "a@b"),
        "unknown type": frame(99, 1),
        "short begin": frame(BEGIN, 1, b"\1"),
        "long begin": frame(BEGIN, 1, begin(1)[12:] + b"x"),
        "a report of no kind": begin(1, report=3),
        "bad bool": frame(BEGIN, 1, b"\7" + begin(1)[13:]),
        "NUL in an address": begin(1) + rcpt(1, b"a\0b@c"),
        "another tag": begin(1) + rcpt(2, "a@b"),
        "begin twice": begin(1) + begin(2),
        "a frame over the limit":
            begin(1) + struct.pack("<IHHI", 1 << 20, CONTENT, 0, 1),
        "rcpt after content": begin(1) + rcpt(1, "alice@example.test")
            + frame(CONTENT, 1, b"x") + rcpt(1, "a@b"),
        "hello again": frame(0, 0, text("submit") + struct.pack("<I", 1)),
        "verify within a message": begin(1) + rcpt(1, "a@b", VERIFY),
    }.items():
        c = Client(m)
        c.send(data)
        assert c.ended(), name


def refused(m):
    c = Client(m)
    for tag, (what, data) in enumerate({
        "5.1.0": b"",
        "5.1.3": rcpt(0, "a\nb@c"),
        "5.1.3 ": rcpt(0, ""),
        "5.1.3  ": rcpt(0, "-x@c"),
        "5.1.3   ": rcpt(0, b"\xff@c"),
    }.items(), 1):
        data = data[:8] + struct.pack("<I", tag) + data[12:] if data else b""
        c.send(begin(tag) + data + frame(CONTENT, tag, b"x")
               + frame(END, tag))
        kind, got, code = c.recv()
        assert (kind, got, code) == (RESULT, tag, what.strip()), (what, code)
    # After a refusal the connection goes on, END or not.
    c.send(begin(50) + rcpt(50, "") + begin(51)
           + rcpt(51, "alice@example.test") + frame(CONTENT, 51, b"S: x\n\n")
           + frame(END, 51))
    assert c.recv()[1:] == (50, "5.1.3")
    assert c.recv()[1:] == (51, "2.0.0")
    # A bad sender.
    c.send(begin(60, False, "a\rb@c") + frame(END, 60))
    assert c.recv()[1:] == (60, "5.1.3")
    # Too big: told before the end.
    c.send(begin(61) + rcpt(61, "alice@example.test"))
    for _ in range(20):
        c.send(frame(CONTENT, 61, b"x" * 65536))
    assert c.recv()[1:] == (61, "5.3.4")
    c.send(frame(END, 61) + rcpt(62, "alice@example.test", VERIFY))
    kind, tag, code = c.recv()
    assert (kind, tag) == (VERIFIED, 62) and code.startswith("2."), code


def disconnects(m):
    data = (frame(0, 0, text("submit") + struct.pack("<I", 1)) + begin(1)
            + rcpt(1, "bob@example.test") + frame(CONTENT, 1, b"S: y\n\ny\n"))
    for n in range(0, len(data) + 1, 3):
        s = socket.socket(socket.AF_UNIX)
        s.connect(f"{m.base}/spool/public/pickup")
        s.sendall(data[:n])
        s.close()
    random.seed(1)
    for _ in range(200):
        c = Client(m)
        c.send(random.randbytes(random.randrange(200)))
        c.s.close()
    time.sleep(0.3)
    assert m.maildir("bob") == []


def limits(m):
    held = [Client(m) for _ in range(20)]
    for c in held:
        c.send(rcpt(1, "alice@example.test", VERIFY))
        c.recv()
    extra = Client(m)
    assert extra.ended()
    m.wait_log("too many connections (pickup_user_session_limit)")
    held[0].s.close()
    for c in held[1:]:
        assert c.ended()		# pickup_timeout
    works(m)


need_root()
with Instance(settings={"pickup_timeout": "3s", "message_size_limit":
                        "1000000", "pickup_user_session_limit": "20"}) as i:
    works(i)
    pid = [p for p, name in i.children().items() if name == "pickup"]
    breaks(i)
    refused(i)
    disconnects(i)
    works(i)
    limits(i)
    assert pid == [p for p, name in i.children().items() if name == "pickup"]
print("6 passed, 0 failed, 0 skipped")
