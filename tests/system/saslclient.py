# SPDX-License-Identifier: ISC
"""A client of any protocol that logs in by SASL, for tests of logins."""
import base64
import socket

from mailusers import TIMEOUT


def b64(data):
    return base64.b64encode(data)


class Sasl:
    """A client of any protocol, as authlib's of authd."""

    def __init__(self, m, protocol, tls=True, source="127.0.0.1",
                 context=None):
        self.protocol = protocol
        port = (m.implicit if tls else m.plain)[protocol]
        self.s = socket.create_connection(("127.0.0.1", port), TIMEOUT,
                                          (source, 0))
        if tls:
            self.s = (context or m.context).wrap_socket(
                self.s, server_hostname=m.name)
        self.f = self.s.makefile("rb")
        self.line()
        if protocol == "smtp":
            self.s.sendall(b"EHLO x.example\r\n")
            while self.line()[3:4] == b"-":
                pass

    def capabilities(self):
        """What it offers."""
        self.send({"smtp": b"EHLO x.example", "imap": b"c CAPABILITY",
                   "pop3": b"CAPA"}[self.protocol])
        end = {"smtp": b"250 ", "imap": b"c OK", "pop3": b"."}[self.protocol]
        text = b""
        while not (got := self.line()).startswith(end):
            text += got
        return text + got

    def line(self):
        got = self.f.readline()
        if not got.endswith(b"\r\n"):
            raise EOFError(got)
        return got

    def send(self, line):
        self.s.sendall(line + b"\r\n")

    def begin(self, mechanism, initial):
        name = mechanism.encode("latin-1")
        command = {"smtp": b"AUTH ", "imap": b"a AUTHENTICATE ",
                   "pop3": b"AUTH "}[self.protocol]
        self.send(command + name + (b"" if initial is None else
                                    b" " + initial))

    def answer(self):
        """("challenge", data), ("ok",), ("fail", line), ("later", line)."""
        while (got := self.line()).startswith(b"* "):
            if got.startswith(b"* BYE"):
                return "fail", got
        if got.startswith((b"334 ", b"+ ")):
            return "challenge", base64.b64decode(got.partition(b" ")[2])
        if got.startswith((b"235 ", b"a OK", b"+OK")):
            return ("ok",)
        if got.startswith(b"4") or b"[UNAVAILABLE]" in got or \
                b"[SYS/TEMP]" in got:
            return "later", got
        assert got[:1] == b"5" or got.startswith(
            (b"a NO", b"a BAD", b"* BAD", b"-ERR")), got
        return "fail", got

    # What authlib's mechanisms want.
    def start(self, mechanism, initial, **_):
        self.begin(mechanism, None if initial is None else
                   b64(initial) or b"=")

    def respond(self, data):
        self.send(b64(data))

    def plain(self, user, password):
        self.start("PLAIN", f"\0{user}@example.test\0{password}".encode())
        return self.answer()

    def close(self):
        self.f.close()
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
