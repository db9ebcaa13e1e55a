#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""UNAUTHENTICATE (RFC 8437): one connection, one user after the other.

What the first one leaves is nothing: no mailbox, no state, no compression, no
place among his connections; and what is pipelined behind is not lost.
"""
import base64
import json
import os
import signal
import socket
import ssl
import sys
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../proto/imapd"))
from imaptalk import Client, Closed  # noqa: E402
from mailusers import PASSWORDS, TIMEOUT, Users  # noqa: E402

passed = 0


class Wire:
    """A connection byte by byte: a file for Client, and DEFLATE at need."""

    def __init__(self, sock):
        self.sock, self.buf, self.eof = sock, b"", False
        self.inflate = self.deflate = None

    def more(self):
        got = self.sock.recv(65536)
        self.eof = not got
        if self.inflate:
            plain = self.inflate.decompress(got)
            if self.inflate.eof:        # ended: the rest is plain
                plain += self.inflate.unused_data
                self.inflate = None
            got = plain
        self.buf += got

    def readline(self):
        while b"\n" not in self.buf and not self.eof:
            self.more()
        line, nl, self.buf = self.buf.partition(b"\n")
        return line + nl

    def read(self, n):
        while len(self.buf) < n and not self.eof:
            self.more()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def close(self):
        pass

    def compress(self):
        self.inflate = zlib.decompressobj(-15)
        self.deflate = zlib.compressobj(wbits=-15)

    def sendall(self, data):
        if self.deflate:
            data = self.deflate.compress(data) + \
                self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self.sock.sendall(data)


class Conn(Client):
    def __init__(self, how="clear"):
        port = m.imaps_port if how == "tls" else m.imap_port
        sock = socket.create_connection(("127.0.0.1", port))
        sock.settimeout(TIMEOUT)
        ctx = ssl.create_default_context(cafile=m.ca)
        if how == "tls":
            sock = ctx.wrap_socket(sock, server_hostname="localhost")
        self.trace = bool(os.environ.get("TRACE"))
        self.n, self.bye = 0, False
        self.wire(sock)
        assert self.line().startswith(b"* OK [CAPABILITY ")
        if how == "starttls":
            self.ok("STARTTLS")
            self.wire(ctx.wrap_socket(sock, server_hostname="localhost"))

    def wire(self, sock):
        self.raw = sock
        self.sock = self.file = Wire(sock)

    def login(self, user):
        return self.ok(f"LOGIN {user}@example.test {PASSWORDS[user]}")

    def close(self):
        self.raw.close()


def case(fn, *args):
    global passed
    fn(*args)
    passed += 1


def who(*args):
    out = m.command("mansio", "who", "--json", *args).stdout
    return [json.loads(line) for line in out.splitlines()]


def until(fn, what):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        got = fn()
        if got:
            return got
        time.sleep(0.02)
    raise TimeoutError(what)


def users():
    return sorted(row["user"].partition("@")[0] for row in who())


def plain(user):
    return base64.b64encode(f"\0{user}@example.test\0{PASSWORDS[user]}"
                            .encode()).decode()


def nobody(c):
    """c is in the not authenticated state, and nothing else."""
    for command in ("SELECT INBOX", 'LIST "" *', "FETCH 1 FLAGS",
                    "ENABLE CONDSTORE", "UNAUTHENTICATE", "IDLE"):
        assert c.status(command)[0] == "BAD", command
    caps = c.cmd("CAPABILITY")[0].split()
    assert b"AUTH=PLAIN" in caps and b"UNAUTHENTICATE" not in caps, caps
    assert c.status("NOOP")[0] == "OK"


def one_after_the_other(how):
    c = Conn(how)
    caps = c.cmd("CAPABILITY")[0]
    first = c.login("alice")
    assert b" UNAUTHENTICATE" in first[-1]
    c.ok("SELECT INBOX")
    c.append("INBOX", b"Subject: alice's\r\n\r\nx\r\n", "(\\Deleted)")
    c.ok("NOOP")
    assert users() == ["alice"]
    assert c.status("UNAUTHENTICATE now")[0] == "BAD"
    lines = c.ok("unauthenticate")
    assert len(lines) == 1, lines       # no EXPUNGE, nothing else
    until(lambda: not who(), "nobody's sessions")
    assert c.cmd("CAPABILITY")[0] == caps
    nobody(c)
    assert c.status("LOGIN bob@example.test wrong") == \
        ("NO", "AUTHENTICATIONFAILED")
    c.ok("AUTHENTICATE PLAIN " + plain("bob"))
    assert users() == ["bob"]
    assert c.ok("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 0)"
    assert c.status("FETCH 1 FLAGS")[0] == "BAD"        # none selected
    c.append("INBOX", b"Subject: bob's\r\n\r\n")
    # Once more, to where it began: what was deleted is still there.
    c.ok("UNAUTHENTICATE")
    c.login("alice")
    assert c.ok("STATUS INBOX (MESSAGES DELETED)")[0] == \
        b"* STATUS INBOX (MESSAGES 1 DELETED 1)"
    c.ok("SELECT INBOX")
    c.ok("EXPUNGE")
    lines = c.cmd("LOGOUT")
    assert lines[0].startswith(b"* BYE") and b" OK " in lines[-1]
    c.close()
    c = Conn(how)
    c.login("bob")
    c.ok("SELECT INBOX")
    c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    c.ok("EXPUNGE")
    c.close()
    until(lambda: not who(), "the end")


def state_is_gone(how):
    c = Conn(how)
    c.login("alice")
    c.ok("ENABLE UTF8=ACCEPT CONDSTORE QRESYNC UIDONLY IMAP4rev2")
    c.ok("NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange)) "
         "(PERSONAL (MessageNew MessageExpunge))")
    for i in range(3):
        c.append("INBOX", b"Subject: %d\r\n\r\n" % i)
    c.ok("SELECT INBOX")
    c.ok("UID SEARCH RETURN (SAVE UPDATE) ALL")
    c.ok("UNAUTHENTICATE")
    c.login("bob")
    # UTF8=ACCEPT is off: names are in modified UTF-7 again.
    c.ok("CREATE &AOQ-")
    assert any(b"&AOQ-" in line for line in c.ok('LIST "" *'))
    c.append("INBOX", b"Subject: b\r\n\r\n")
    lines = c.ok("SELECT INBOX")
    assert b"* 1 RECENT" in lines, lines        # not IMAP4rev2
    # Sequence numbers are allowed, "$" is empty, MODSEQ is not told.
    assert c.ok("STORE 1 +FLAGS (\\Seen)")[0] == \
        b"* 1 FETCH (FLAGS (\\Seen \\Recent))"
    assert c.ok("SEARCH $")[0] == b"* SEARCH"
    with Alice() as a:
        a.append("INBOX", b"Subject: not bob's\r\n\r\n")
    lines = c.ok("NOOP")
    assert len(lines) == 1, lines
    c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert c.ok("EXPUNGE")[0] == b"* 1 EXPUNGE"         # not VANISHED
    c.ok("DELETE &AOQ-")
    c.close()
    with Alice() as a:
        a.ok("SELECT INBOX")
        a.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        a.ok("EXPUNGE")


class Alice:
    def __enter__(self):
        self.c = Conn()
        self.c.login("alice")
        return self.c

    def __exit__(self, *_):
        self.c.close()


def pipelined(how):
    """All in one write: who comes next, with literals, and his commands."""
    c = Conn(how)
    text = b"Subject: piped\r\n\r\n" + b"x" * 1000 + b"\r\n"
    out = b"1 LOGIN alice@example.test wonderland\r\n2 SELECT INBOX\r\n" \
        b"3 UNAUTHENTICATE\r\n" \
        b"4 LOGIN {16+}\r\nbob@example.test {7+}\r\nbuilder\r\n" \
        b"5 APPEND INBOX {%d+}\r\n%s\r\n6 SELECT INBOX\r\n" \
        b"7 FETCH 1 BODY[]\r\n8 STORE 1 +FLAGS.SILENT (\\Deleted)\r\n" \
        b"9 CLOSE\r\n10 UNAUTHENTICATE\r\n11 CAPABILITY\r\n" \
        b"12 AUTHENTICATE PLAIN %s\r\n13 LIST \"\" INBOX\r\n14 LOGOUT\r\n" % (
            len(text), text, plain("alice").encode())
    c.send(out)
    for i in range(1, 15):
        lines = c.until(str(i))
        assert lines[-1].split()[1] == b"OK", lines
        if i == 7:
            assert text in lines[0], lines
    assert c.file.readline() == b""
    c.close()


def much_pipelined(how):
    """More behind it than one read brings, or a frame takes."""
    c = Conn(how)
    c.login("alice")
    n, text = 60, b"Subject: much\r\n\r\n" + b"y" * 20000 + b"\r\n"
    out = b"".join(b"m%d APPEND INBOX {%d+}\r\n%s\r\n" % (i, len(text), text)
                   for i in range(n))
    c.send(b"u UNAUTHENTICATE\r\nl LOGIN bob@example.test builder\r\n" + out +
           b"s SELECT INBOX\r\nd STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n"
           b"c CLOSE\r\n")
    for t in ["u", "l"] + ["m%d" % i for i in range(n)] + ["s", "d", "c"]:
        lines = c.until(t)
        assert lines[-1].split()[1] == b"OK", lines
        if t == "s":
            assert b"* %d EXISTS" % n in lines
    c.close()


def one_byte_at_a_time(how):
    c = Conn(how)
    c.login("alice")
    for b in b"u UNAUTHENTICATE\r\nl LOGIN bob@example.test builder\r\n" \
            b"n NOOP\r\n":
        c.send(bytes([b]))
        if b == 10:
            time.sleep(0.02)
    for t in "uln":
        assert c.until(t)[-1].split()[1] == b"OK"
    assert users() == ["bob"]
    c.close()
    until(lambda: not who(), "the end")


def compressed(how, flush, split):
    """RFC 8437 4.1: the layer ends on both sides, and what is pipelined behind
    is plain."""
    c = Conn(how)
    c.login("alice")
    c.ok("COMPRESS DEFLATE")
    c.file.compress()
    c.ok("SELECT INBOX")
    d = c.file.deflate
    c.file.deflate = None
    data = d.compress(b"n NOOP\r\nu UNAUTHENTICATE\r\n") + d.flush(flush)
    after = b"l LOGIN bob@example.test builder\r\n"
    if split == "at the end":
        c.send(data)
        assert b"u OK" in c.until("u")[-1]
        c.send(after)
    elif split == "in the flush":
        c.send(data[:-2])
        time.sleep(0.1)
        c.send(data[-2:] + after)
        assert b"u OK" in c.until("u")[-1]
    else:
        c.send(data + after)
        assert b"u OK" in c.until("u")[-1]
    assert c.file.inflate is None, "the server's data has an end"
    assert b"l OK" in c.until("l")[-1]
    # Again, from the beginning.
    c.ok("COMPRESS DEFLATE")
    c.file.compress()
    text = os.urandom(300000).hex().encode()
    c.append("INBOX", text)
    c.ok("SELECT INBOX")
    assert text in b"".join(c.ok("FETCH * BODY[]"))
    c.ok("STORE * +FLAGS.SILENT (\\Deleted)")
    c.ok("CLOSE")
    d = c.file.deflate
    c.file.deflate = None
    c.send(d.compress(b"u UNAUTHENTICATE\r\n") + d.flush(flush))
    assert b"u OK" in c.until("u")[-1]
    nobody(c)
    c.close()


def limits_count_right():
    many = [Conn() for _ in range(3)]
    for c in many:
        c.login("alice")
    late = Conn()
    assert late.status("LOGIN alice@example.test wonderland") == \
        ("NO", "LIMIT")
    many[0].ok("UNAUTHENTICATE")
    until(lambda: users() == ["alice", "alice"], "two")
    late.login("alice")
    assert many[0].status("LOGIN alice@example.test wonderland") == \
        ("NO", "LIMIT")
    many[0].login("bob")
    assert users() == ["alice"] * 3 + ["bob"]
    # The name in the log stays the connection's.
    row = who("bob@example.test")[0]
    m.wait_log("logout: user=<alice@example.test>, Unauthenticated, ")
    m.wait_log("login: user=<bob@example.test>")
    m.command("mansio", "kick", row["session"])
    assert many[0].line().startswith(b"* BYE")
    for c in many + [late]:
        c.close()
    until(lambda: not who(), "the end")


def out_of_its_sleep(how):
    """A connection that hibernated knows its front, too."""
    c = Conn(how)
    c.login("alice")
    c.ok("SELECT INBOX")
    until(lambda: not m.session_pids(), "hibernation")
    c.send(b"u UNAUTHENTICATE\r\nl LOGIN bob@example.test builder\r\n"
           b"n LIST \"\" INBOX\r\n")
    for t in "uln":
        assert c.until(t)[-1].split()[1] == b"OK"
    assert users() == ["bob"]
    c.close()
    until(lambda: not who(), "the end")


def errors_have_a_limit_again():
    c = Conn()
    c.login("alice")
    c.ok("UNAUTHENTICATE")
    try:
        for _ in range(50):
            c.status("FOO")
        raise AssertionError("no limit")
    except (Closed, ConnectionError):
        pass
    c.close()


def gone_in_the_middle(how):
    """A client that closes behind it; nothing stays."""
    for text in (b"u UNAUTHENTICATE\r\n", b"u UNAUTHENTICATE\r\nl LOGIN ",
                 b"u UNAUTHENTICATE\r\nl LOGIN bob@example.test builder\r\n"):
        c = Conn(how)
        c.login("alice")
        c.send(text)
        c.close()
    c = Conn(how)
    c.login("alice")
    c.send(b"u UNAUTHENTICATE\r\nn NOOP\r\n")
    if how == "clear":
        c.raw.shutdown(socket.SHUT_WR)
    assert b"u OK" in c.until("u")[-1]
    assert b"n OK" in c.until("n")[-1]
    if how == "clear":
        assert c.file.readline() == b""
    c.close()
    until(lambda: not who(), "the end")


def the_front_is_gone():
    """In the clear another front takes the client; with TLS it went along."""
    c, t = Conn(), Conn("tls")
    c.login("alice")
    t.login("alice")
    for pid, name in m.children().items():
        if name == "imapd":
            os.kill(pid, signal.SIGKILL)
    assert t.file.readline() == b""
    until(lambda: users() == ["alice"], "one session")
    # Who has begun no session of the service gets no client of it.
    c.ok("UNAUTHENTICATE")
    assert c.line().startswith(b"* BYE")
    c.close()
    c = Conn()
    c.login("alice")
    c.ok("UNAUTHENTICATE")
    c.login("bob")
    c.close()
    until(lambda: not who(), "the end")


def after_a_reload():
    c, t = Conn(), Conn("tls")
    for x in (c, t):
        x.login("alice")
    m.command("mansio", "reload")
    x = Conn()
    x.login("bob")
    # Their front takes no new clients any more, once it has heard of it.
    for y in (c, t):
        y.ok("UNAUTHENTICATE")
        try:
            y.ok("NOOP")
        except (Closed, ConnectionError):
            assert y.bye
    for y in (c, t, x):
        y.close()
    until(lambda: not who(), "the end")


def switched_off():
    m.command("postconf", "imapd_unauthenticate=no")
    m.command("mansio", "reload")
    end = time.monotonic() + TIMEOUT
    while True:
        c = Conn()
        if b" UNAUTHENTICATE" not in c.login("alice")[-1]:
            break
        c.close()
        assert time.monotonic() < end
        time.sleep(0.1)
    assert c.status("UNAUTHENTICATE")[0] == "BAD"
    c.ok("SELECT INBOX")
    c.close()


with Users(settings={"imapd_user_connection_limit": "3",
                     "imapd_hibernate_time": "2s"}, tls=True) as m:
    for way in ("clear", "tls", "starttls"):
        case(one_after_the_other, way)
        case(state_is_gone, way)
        case(pipelined, way)
        case(much_pipelined, way)
        case(gone_in_the_middle, way)
    for way in ("clear", "tls"):
        case(out_of_its_sleep, way)
        case(one_byte_at_a_time, way)
        for mode in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH):
            for where in ("at the end", "in the flush", "nowhere"):
                case(compressed, way, mode, where)
    for fn in (limits_count_right, errors_have_a_limit_again,
               the_front_is_gone, after_a_reload, switched_off):
        case(fn)
print(f"{passed} passed, 0 failed, 0 skipped")
