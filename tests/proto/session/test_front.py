#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The session monitor and a front that cannot be trusted."""
import os
import random
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../system"))
sys.path.insert(0, os.path.join(HERE, "../authd"))
from authlib import Client, blob, frame, u32  # noqa: E402
from mailusers import TIMEOUT, Users  # noqa: E402

HELLO, START, STARTED, REFUSED, WHO, KICK = 0, 1, 2, 3, 4, 5
RETURNED = 8
TOO_MANY, FORGED = 2, 4
passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


class Front:
    """Speaks lib/ipc/msg_session.h."""

    def __init__(self):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(TIMEOUT)
        self.s.connect(f"{m.base}/spool/private/session")
        self.s.sendall(frame(HELLO, 0, blob("session") + u32(1)))
        self.tag = 0

    def read(self, n):
        out = b""
        while len(out) < n:
            more = self.s.recv(n - len(out))
            if not more:
                raise EOFError
            out += more
        return out

    def recv(self):
        while True:
            n, kind, _, tag = struct.unpack("<IHHI", self.read(12))
            body = self.read(n)
            if kind != HELLO:
                return kind, tag, body

    def returned(self):
        """Tag, session, what was read of the client, the descriptor."""
        head, fds, _, _ = socket.recv_fds(self.s, 12, 4)
        n, kind, nfds, tag = struct.unpack("<IHHI", head)
        assert (kind, nfds, len(fds)) == (RETURNED, 1, 1), (kind, nfds, fds)
        body = self.read(n)
        a = struct.unpack_from("<I", body)[0]
        b = struct.unpack_from("<I", body, 4 + a)[0]
        assert len(body) == 8 + a + b
        return tag, body[4:4 + a], body[8 + a:], socket.socket(fileno=fds[0])

    def start(self, ticket, service="pop3", text=b"", fd=None, ident="test",
              tls=""):
        """The client's end of what is handed over."""
        ours, theirs = socket.socketpair()
        ours.settimeout(TIMEOUT)
        self.tag += 1
        body = (blob(ticket) + blob(service) + blob(ident) + blob("")
                + blob("192.0.2.1") + u32(1234) + blob("192.0.2.9")
                + u32(110) + blob("PLAIN") + blob(tls) + blob("")
                + blob(text))
        head = struct.pack("<IHHI", len(body), START, 1, self.tag)
        socket.send_fds(self.s, [head + body],
                        [theirs.fileno() if fd is None else fd])
        theirs.close()
        return ours

    def answer(self):
        kind, tag, body = self.recv()
        assert tag == self.tag
        return kind, struct.unpack_from("<I", body)[0] if body else 0


def ticket(user="alice", service="pop3", **kw):
    c = Client(m.base)
    got = c.plain(f"{user}@example.test",
                  {"alice": "wonderland", "bob": "builder"}[user],
                  service=service, ticket=True, **kw)
    assert got[0] == "ok" and len(got[3]) == 32, got
    c.close()
    return got[3]


def the_ticket_decides():
    f = Front()
    good = ticket()
    c = f.start(good, text=b"NOOP\r\nQUIT\r\n")
    assert f.answer()[0] == STARTED
    with c, c.makefile("rb") as r:
        assert r.read() == b"+OK Logged in\r\n+OK\r\n+OK Logging out\r\n"
    # Once only.
    c = f.start(good)
    assert f.answer() == (REFUSED, FORGED)
    assert c.recv(100) == b""
    # Made up, of another service, of none that there is.
    for t in (bytes(32), random.randbytes(32), b"", b"x"):
        f.start(t)
        assert f.answer() == (REFUSED, FORGED), t
    f.start(ticket(service="smtp"))
    assert f.answer() == (REFUSED, FORGED)
    f.start(ticket(), service="smtp")
    assert f.answer()[0] == REFUSED
    f.start(ticket(), service="pop3")
    assert f.answer()[0] == STARTED


def what_breaks_the_conversation():
    monitor = m.monitor_pid()
    bad = [
        frame(START, 1, b"x"),                      # no descriptor
        frame(START, 1, b""),
        frame(STARTED, 1), frame(REFUSED, 1, b""), frame(99, 1, b"x" * 99),
        frame(HELLO, 0, blob("session") + u32(1)),  # twice
        struct.pack("<IHHI", 1 << 30, START, 0, 1),
        struct.pack("<IHHI", 8, WHO, 7, 1),
        os.urandom(4096),
    ]
    for data in bad:
        f = Front()
        f.s.sendall(data)
        try:
            while True:
                f.recv()
        except (EOFError, ConnectionError):
            pass
        f.s.close()
    f = Front()                     # a field that is too long
    f.start(b"t" * 33)
    try:
        f.recv()
        raise AssertionError("a ticket of 33 bytes")
    except (EOFError, ConnectionError):
        pass
    f = Front()                     # descriptors without a frame
    for _ in range(50):
        a, b = socket.socketpair()
        try:
            socket.send_fds(f.s, [b"\0"], [a.fileno(), b.fileno()])
        except OSError:
            pass
        a.close(), b.close()
    f.s.close()
    # A descriptor that is no socket: the session ends, nothing else does.
    f = Front()
    with open("/dev/null", "rb") as null:
        f.start(ticket(), fd=null.fileno())
        f.answer()
    f.s.close()
    assert m.monitor_pid() == monitor
    with m.pop3("alice") as c:
        c.ok("QUIT")


def a_front_that_goes_away():
    for _ in range(20):
        f = Front()
        c = f.start(ticket(), text=b"NOOP\r\n")
        f.s.close()
        c.close()
    with m.pop3("alice") as c:
        c.ok("QUIT")


def only_root_may_ask_who():
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(m.owner.pw_gid)
        os.setuid(m.owner.pw_uid)
        status = 1
        for kind in (WHO, KICK):
            try:
                f = Front()
                f.s.sendall(frame(kind, 1, blob("alice@example.test")))
                f.recv()
                break
            except (EOFError, ConnectionError):
                pass
        else:
            status = 0
        os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def what_a_front_says_cannot_forge_the_log():
    f = Front()
    c = f.start(ticket(), ident="a\r\nNov 22 x\x1b[2J", text=b"QUIT\r\n")
    if f.answer()[0] == STARTED:
        c.recv(1000)
    time.sleep(0.1)
    assert "\x1b" not in m.log() and "\nNov 22 x" not in m.log()


def where_the_client_is_authd_says():
    f = Front()
    c = f.start(ticket(client="198.51.100.7"), ident="elsewhere")
    assert f.answer()[0] == STARTED
    out = m.command("mansio", "who").stdout
    assert "198.51.100.7" in out and "192.0.2.1" not in out, out
    log = m.log()
    assert "its client is 192.0.2.1, but it came from 198.51.100.7" in log
    assert "rip=198.51.100.7, rport=1234" in log
    c.close()
    f.s.close()


def lines(c, n):
    got = b""
    while got.count(b"\n") < n:
        more = c.recv(65536)
        assert more, got
        got += more
    return got


def what_is_given_back():
    """The descriptor, with what was read and no more, to who brought it."""
    f, other = Front(), Front()
    other.start(ticket("bob", "imap"), "imap")
    assert other.answer()[0] == STARTED
    c = f.start(ticket(service="imap"), "imap",
                b"a NOOP\r\nb UNAUTHENTICATE\r\nc LOGIN x y\r\n\0more")
    assert f.answer()[0] == STARTED
    assert lines(c, 3).endswith(b"b OK Unauthenticate completed.\r\n")
    tag, ident, rest, back = f.returned()
    assert (tag, ident, rest) == (f.tag, b"test", b"c LOGIN x y\r\n\0more")
    # What comes later lies in it.
    c.sendall(b"later")
    assert back.recv(100) == b"later"
    back.close()
    assert c.recv(100) == b""
    f.s.close()
    # In the clear it goes to another front of the service when its own has
    # gone, but not to one of another service; with TLS to nobody else.
    pop = Front()
    pop.start(ticket())
    assert pop.answer()[0] == STARTED
    for tls in ("", "TLSv1.3"):
        g = Front()
        c = g.start(ticket(service="imap"), "imap", tls=tls)
        assert g.answer()[0] == STARTED
        lines(c, 1)
        g.s.close()
        time.sleep(0.2)
        c.sendall(b"b UNAUTHENTICATE\r\nrest")
        if not tls:
            assert lines(c, 1).startswith(b"b OK")
            tag, ident, rest, back = other.returned()
            assert (tag, rest) == (0, b"rest")
            back.close()
        else:
            assert b"* BYE" in lines(c, 2)
        assert c.recv(100) == b""
    # POP3 has no such thing, and nothing of it is left anywhere.
    with m.pop3("alice") as c:
        c.err("UNAUTHENTICATE", None)
        c.ok("QUIT")
    other.s.close()


with Users({"pop3d_user_connection_limit": "0"}) as m:
    case(the_ticket_decides)
    case(what_breaks_the_conversation)
    case(a_front_that_goes_away)
    case(only_root_may_ask_who)
    case(what_a_front_says_cannot_forge_the_log)
    case(where_the_client_is_authd_says)
    case(what_is_given_back)
print(f"{passed} passed, 0 failed, 0 skipped")
