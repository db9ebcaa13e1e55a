# SPDX-License-Identifier: ISC
"""
peerlib - servers for the SMTP client to talk to, polite and otherwise, and an
instance that sends to them.

    with Peer() as p:            an SMTP server on a port of its own
        p.on["RCPT"] = "450 4.2.0 later"
        p.on["DOT"] = lambda s, arg: s.close()

An answer is text (one or more lines, CR LF is added), bytes (as they are), a
function (session, argument) -> answer, or a list of answers, one for each
time; CLOSE ends the connection, HANG says nothing for ever.  What was
accepted is in p.messages, all commands are in p.commands.
"""
import os
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../resolver"))
sys.path.insert(0, os.path.join(HERE, "../../system"))
from dnslib import DNS  # noqa: E402
from instance import Instance, free_port, need_root, skip  # noqa: E402

__all__ = ("CLOSE", "DEFAULT", "DNS", "HANG", "Instance", "Peer", "SERVICES",
           "free_port", "need_root", "rcpt_lines", "sender", "skip", "wait_rcpt")

CLOSE, HANG = object(), object()

SERVICES = """\
smtp unix - - - - - smtp
relay unix - - - - - smtp
lmtp unix - - - - - lmtp
resolver unix - - - - 1 resolver
"""

DEFAULT = {
    "GREETING": "220 peer.test ESMTP",
    "EHLO": "250-peer.test\n250-PIPELINING\n250-SIZE 10000000\n250-8BITMIME\n"
            "250-DSN\n250-SMTPUTF8\n250 ENHANCEDSTATUSCODES",
    "LHLO": "250-peer.test\n250-PIPELINING\n250-8BITMIME\n"
            "250 ENHANCEDSTATUSCODES",
    "HELO": "250 peer.test",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 go on",
    "BDAT": "250 2.0.0 Ok",
    "DOT": "250 2.0.0 Ok: queued as ABC",
    "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


class Message:
    def __init__(self, mail):
        self.mail, self.rcpts, self.data = mail, [], b""
        self.chunks = []        # their sizes, when it came by BDAT


class Session:
    def __init__(self, peer, sock):
        self.peer, self.s, self.message = peer, sock, None
        self.f = sock.makefile("rb")
        self.commands = []

    def close(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()
        return CLOSE

    def answer(self, verb, arg=""):
        """False: the session is over."""
        a = self.peer.on.get(verb, DEFAULT.get(verb, "500 5.5.2 what?"))
        if isinstance(a, list):
            a = a.pop(0) if a else DEFAULT[verb]
        if callable(a):
            a = a(self, arg)
        if a is HANG:
            self.peer.stop.wait(60)
            a = CLOSE
        if a is CLOSE:
            self.close()
            return None
        if isinstance(a, str):
            a = (a.replace("\n", "\r\n") + "\r\n").encode()
        self.s.sendall(a)
        return a

    def run(self):
        if self.answer("GREETING") is None:
            return
        while True:
            line = self.f.readline()
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self.commands.append(text)
            self.peer.commands.append(text)
            verb = text.split(" ")[0].split(":")[0].upper()
            arg = text[len(verb):].strip()
            a = b"" if verb == "BDAT" else self.answer(verb, arg)
            if a is None:
                return
            good = a[:1] == b"2"
            if verb == "MAIL" and good:
                self.message = Message(text)
            elif verb == "RCPT" and good and self.message:
                self.message.rcpts.append(text)
            elif verb == "DATA" and a[:1] == b"3":
                if not self.body():
                    return
            elif verb == "BDAT":
                if not self.chunk(arg):
                    return
            elif verb == "RSET" and good:
                self.message = None
            elif verb == "QUIT":
                self.close()
                return

    def chunk(self, arg):
        """RFC 3030: the answer comes after the bytes.  One that is not
        the last is answered as BDAT, the last as DOT."""
        n, _, last = arg.partition(" ")
        data = self.f.read(int(n))
        if len(data) < int(n):
            return False
        m = self.message
        if m is None:
            self.s.sendall(b"503 5.5.1 no transaction\r\n")
            return True
        m.data += data
        m.chunks.append(len(data))
        if last.upper() == "LAST":
            return self.ended(m)
        a = self.answer("BDAT", arg)
        if a is not None and a[:1] != b"2":
            self.message = None
        return a is not None

    def body(self):
        data = b""
        while True:
            line = self.f.readline()
            if not line:
                return False
            if line == b".\r\n":
                break
            data += line[1:] if line.startswith(b".") else line
            if "BODY" in self.peer.on:
                a = self.peer.on["BODY"](self, data)
                if a is CLOSE:
                    return False
        m = self.message or Message("")
        m.data = data
        return self.ended(m)

    def ended(self, m):
        """The message is complete; LMTP: an answer for each recipient."""
        if not self.peer.lmtp:
            a = self.answer("DOT")
            if a is None:
                return False
            if a[:1] == b"2":
                self.peer.messages.append(m)
            return True
        for r in m.rcpts:
            a = self.answer("DOT", r)
            if a is None:
                return False
            if a[:1] == b"2":
                self.peer.messages.append((r, m))
        return True


class Peer:
    def __init__(self, host="127.0.0.1", port=0, lmtp=False, path=None):
        self.on, self.messages, self.commands = {}, [], []
        self.sessions, self.lmtp = [], lmtp
        self.stop = threading.Event()
        if path:
            self.s = socket.socket(socket.AF_UNIX)
            self.s.bind(path)
            os.chmod(path, 0o666)
            self.port = None
        else:
            v6 = ":" in host
            self.s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.port = port or free_port()
            self.s.bind((host, self.port))
        self.s.listen(128)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            x = Session(self, c)
            self.sessions.append(x)
            threading.Thread(target=self.one, args=(x,), daemon=True).start()

    def one(self, x):
        try:
            x.run()
        except (OSError, ValueError):
            pass

    def wait(self, n=1, timeout=20):
        end = time.monotonic() + timeout
        while len(self.messages) < n:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.messages)} of {n} messages; "
                                   f"{self.commands[-10:]}")
            time.sleep(0.02)
        return self.messages

    def forget(self):
        self.on.clear()
        self.messages.clear()
        self.commands.clear()
        self.sessions.clear()

    def close(self):
        self.stop.set()
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()
        for x in self.sessions:
            x.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def sender(dns, port, settings=None, services="", **kw):
    """An instance whose mail for elsewhere goes to port, asking dns."""
    base = {
        "resolver_servers": f"127.0.0.1:{dns.port}",
        "resolver_timeout": "5s",
        "smtp_tcp_port": str(port),
        "smtp_address_preference": "any",
        "smtp_randomize_addresses": "no",
        "default_transport": "smtp",
        "minimal_backoff_time": "300s",
        "default_destination_concurrency_failed_cohort_limit": "0",
    }
    base.update(settings or {})
    return Instance(settings=base, services=SERVICES + services, **kw)


def rcpt_lines(m, to):
    """The log's lines about a recipient's fate."""
    return [line for line in m.log().splitlines()
            if f"to=<{to}>" in line and " status=" in line]


def wait_rcpt(m, to, n=1, timeout=30):
    end = time.monotonic() + timeout
    while True:
        lines = rcpt_lines(m, to)
        if len(lines) >= n:
            return lines[n - 1]
        if time.monotonic() > end:
            raise TimeoutError(f"nothing about {to}:\n" + m.log()[-3000:])
        time.sleep(0.03)
