#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""resolver: kinds of answers and of failures, TCP, names, hosts, hostile
clients, a change of servers."""
import contextlib
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../system")]
from dnslib import DNS  # noqa: E402
from ports import free_port  # noqa: E402

BUILD = os.environ["BUILD_DIR"]
ASK, ANSWER, CANCEL = 1, 2, 3
(OK, NODATA, NXDOMAIN, INVALID, SERVFAIL, REFUSED, BOGUS, TIMEOUT,
 AWAY) = range(9)
A, CNAME, PTR, MX, TXT, AAAA, SRV, TLSA = 1, 5, 12, 15, 16, 28, 33, 52


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<I", len(s)) + s


def frame(kind, tag, body=b""):
    return struct.pack("<IHHI", len(body), kind, 0, tag) + body


class Client:
    def __init__(self, path):
        end = time.monotonic() + 20
        while True:
            self.s = socket.socket(socket.AF_UNIX)
            self.s.settimeout(60)
            try:
                self.s.connect(path)
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.02)
        self.s.sendall(frame(0, 0, text("resolver") + struct.pack("<I", 1)))
        self.tag = 0

    def read(self, n):
        out = b""
        while len(out) < n:
            more = self.s.recv(n - len(out))
            if not more:
                raise EOFError
            out += more
        return out

    def put(self, name, kind, flags=0):
        self.tag += 1
        self.s.sendall(frame(ASK, self.tag, text(name)
                             + struct.pack("<II", kind, flags)))
        return self.tag

    def answer(self):
        while True:
            n, kind, _, tag = struct.unpack("<IHHI", self.read(12))
            body = self.read(n)
            if kind == ANSWER:
                break
        status, secure, ttl, n = struct.unpack_from("<I?II", body)
        name, at = body[13:13 + n].decode(), 13 + n
        n, = struct.unpack_from("<I", body, at)
        raw, records = body[at + 4:at + 4 + n], []
        self.text = body[at + 8 + n:].decode()
        while raw:
            n, = struct.unpack_from("<I", raw)
            records.append(raw[4:4 + n])
            raw = raw[4 + n:]
        return tag, status, name, sorted(records), secure, ttl

    def ask(self, name, kind, flags=0):
        tag = self.put(name, kind, flags)
        got = self.answer()
        assert got[0] == tag
        return got[1:4]


    def ask_text(self, name, kind):
        return self.ask(name, kind)[0], self.text


ZONES = {
    "a.test": {"A": ["192.0.2.1", "192.0.2.2"], "AAAA": ["2001:db8::1"]},
    "mx.test": {"MX": ["10 a.test", "20 b.test"]},
    "nullmx.test": {"MX": ["0 ."]},
    "nodata.test": {"TXT": ["x"]},
    "alias.test": {"CNAME": ["a.test"]},
    "loop.test": {"CNAME": ["loop2.test"]},
    "loop2.test": {"CNAME": ["loop.test"]},
    "servfail.test": "SERVFAIL",
    "refused.test": "REFUSED",
    "drop.test": "DROP",
    "tcp.test": {"A": "TC"},
    "long.test": {"TXT": ["y" * 3000]},
    "_25._tcp.a.test": {"TLSA": ["3 1 1 " + "ab" * 32]},
    "xn--bcher-kva.test": {"A": ["192.0.2.9"]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["a.test"]},
    "_smtp._tcp.a.test": {"SRV": ["1 2 2525 a.test"]},
}


def test_answers(c):
    assert c.ask("a.test", A) == (OK, "a.test", [b"\xc0\0\2\1",
                                                 b"\xc0\0\2\2"])
    assert c.ask("A.Test.", AAAA)[2] == [bytes.fromhex("20010db8" + "0" * 23
                                                       + "1")]
    assert c.ask("mx.test", MX)[2] == [b"\0\x0a\1a\4test\0",
                                       b"\0\x14\1b\4test\0"]
    assert c.ask("nullmx.test", MX)[2] == [b"\0\0\0"]
    assert c.ask("alias.test", A)[:2] == (OK, "a.test")
    assert c.ask("nodata.test", A)[0] == NODATA
    assert c.ask("nothing.test", A)[0] == NXDOMAIN
    assert c.ask("nothing.invalid", A)[0] == NXDOMAIN
    assert c.ask("_25._tcp.a.test", TLSA)[2] == [b"\3\1\1" + b"\xab" * 32]
    assert c.ask("1.2.0.192.in-addr.arpa", PTR)[2] == [b"\1a\4test\0"]
    assert c.ask("_smtp._tcp.a.test", SRV)[2] == [
        b"\0\1\0\2\x09\xdd\1a\4test\0"]


def test_failures(c):
    assert c.ask("servfail.test", A)[0] == SERVFAIL
    assert c.ask("refused.test", A)[0] in (SERVFAIL, REFUSED)
    assert c.ask("loop.test", A)[0] == SERVFAIL
    # Others go on while one waits.
    slow = c.put("drop.test", A)
    assert c.ask("alias.test", AAAA)[0] == OK
    got = c.answer()
    assert got[0] == slow and got[1] in (TIMEOUT, SERVFAIL), got


def test_tcp(c):
    assert c.ask("tcp.test", A)[2] == [bytes([192, 0, 2, 77])]
    got = c.ask("long.test", TXT)[2][0]
    assert got.replace(b"\xff", b"").count(b"y") == 3000


def test_names(c):
    assert c.ask("b\u00fccher.test", A) == (OK, "xn--bcher-kva.test",
                                            [bytes([192, 0, 2, 9])])
    for bad in ("", ".", "a..test", "a b.test", "x" * 64 + ".test",
                "a." * 127 + "test", "\u0660\u06f0.\u202e"):
        assert c.ask(bad, A)[0] == INVALID, bad


def has_localhost():
    try:
        with open("/etc/hosts", "rb") as f:
            return b"localhost" in f.read()
    except FileNotFoundError:
        return False


def test_hosts(c):
    status, _, records = c.ask("localhost", A, 1)
    if not has_localhost():
        print("skip: no localhost in /etc/hosts")
        return
    assert status == OK and bytes([127, 0, 0, 1]) in records
    assert c.ask("a.test", A, 3)[0] == NXDOMAIN
    assert c.ask("a.test", A, 1)[0] == OK


def test_hostile(path):
    for junk in (frame(ASK, 1, b"\xff" * 9), frame(9, 1),
                 frame(ASK, 1, text("a\0b") + struct.pack("<II", 1, 0)),
                 struct.pack("<IHHI", 1 << 30, ASK, 0, 1)):
        c = Client(path)
        c.s.sendall(junk)
        try:
            while c.s.recv(4096):
                pass
        except ConnectionError:
            pass
    c = Client(path)
    # Taken back, and a client that goes away.
    tag = c.put("drop.test", MX)
    c.s.sendall(frame(CANCEL, tag) + frame(CANCEL, 77))
    assert c.ask("a.test", A)[0] == OK
    c.put("drop.test", SRV)
    c.s.close()


class Swallow(DNS):
    """Answers nothing while mute."""
    mute = False

    def answer(self, data, tcp):
        return None if self.mute else super().answer(data, tcp)


@contextlib.contextmanager
def resolver(servers, timeout):
    base = tempfile.mkdtemp()
    os.chmod(base, 0o755)
    for d in ("etc", "spool/private"):
        os.makedirs(f"{base}/{d}")
    with open(f"{base}/etc/main.cf", "w", encoding="ascii") as f:
        f.write(f"queue_directory = {base}/spool\n"
                f"data_directory = {base}\n"
                "myhostname = mail.example.test\n"
                "mail_owner = daemon\n"
                f"resolver_timeout = {timeout}\n"
                f"resolver_servers = {servers}\n")
    open(f"{base}/etc/master.cf", "w", encoding="ascii").close()
    path = f"{base}/spool/private/resolver"
    # Started by root it becomes mail_owner, which may not end by then.
    p = subprocess.Popen([f"{BUILD}/bin/resolver", "-c", f"{base}/etc",
                          "-L", f"unix:{path}", "-f"])
    try:
        yield path
        assert p.poll() is None
        p.terminate()
        assert p.wait(20) == 0
    finally:
        p.kill()
        p.wait()


def test_silent(mute):
    """Nobody answers: each question is told so long before its time is up,
    but not while it is one domain's servers that are slow.  Who refuses is
    known at once, who swallows all after a look."""
    with Swallow(dict(ZONES), ttl=3600) as dns:
        servers = f"127.0.0.1:{dns.port}"
        if not mute:
            servers += f" 127.0.0.1:{free_port()}"
        with resolver(servers, "300s") as path:
            c = Client(path)
            assert c.ask("a.test", A)[0] == OK
            slow = c.put("drop.test", A)
            end = time.monotonic() + 2
            while time.monotonic() < end:
                assert c.ask("a.test", A)[0] == OK
                time.sleep(0.1)
            c.s.sendall(frame(CANCEL, slow))
            if mute:
                dns.mute = True
            else:
                dns.close()
            for name in ("mx.test", "x.test", "y.test"):
                got = c.ask_text(name, MX)
                assert got == (TIMEOUT, "no name server answers"), got
            # What is kept is answered all the same.
            assert c.ask("a.test", A)[0] == OK
            dns.mute = False
            if not mute:
                dns.open(dns.port)
            end = time.monotonic() + 60
            while c.ask("mx.test", MX)[0] != OK:
                assert time.monotonic() < end
                time.sleep(0.2)


def main():
    with DNS(ZONES) as dns, \
            resolver(f"127.0.0.1:{dns.port}", "3s") as path:
        c = Client(path)
        for test in (test_answers, test_failures, test_tcp, test_names,
                     test_hosts):
            test(c)
        test_hostile(path)
    test_silent(True)
    test_silent(False)
    print("9 passed, 0 failed, 0 skipped")


main()
