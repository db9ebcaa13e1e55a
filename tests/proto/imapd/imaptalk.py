# SPDX-License-Identifier: ISC
"""A small IMAP client for tests: it shows what came, and hides nothing.

Engine starts tests/imapd/engine on a scratch account; Client is one
connection to it.  Responses are parsed into nested lists: atoms and numbers
are str, strings and literals are bytes, NIL is None.
"""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

BUILD = os.environ.get("BUILD_DIR", "build/opt")
SLOW = float(os.environ.get("TEST_SLOW", "4" if os.environ.get("SAN") else "1"))


class Engine:
    """user: whoever comes is not the owner; see tests/imapd/engine.c."""

    def __init__(self, directory=None, settings=(), program=None, user=None):
        self.dir = directory or tempfile.mkdtemp(prefix="imapd-")
        cf = os.path.join(self.dir, "main.cf")
        if not os.path.exists(cf):
            with open(cf, "w") as f:
                f.write("queue_directory = %s\n" % self.dir)
        self.proc = subprocess.Popen(
            [program or os.environ.get("ENGINE",
                                       BUILD + "/tests/imapd/engine"),
             *(["-u", user] if user else []), self.dir, *settings],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.proc.stdout.readline()
        if not line:
            sys.exit("the engine did not start")
        self.port = int(line)

    def client(self, **kw):
        return Client(self.port, **kw)

    def hibernate(self):
        self.proc.send_signal(signal.SIGUSR1)

    def stop(self):
        self.proc.stdin.close()
        rc = self.proc.wait(60 * SLOW)
        self.proc.stdout.close()
        if rc != 0:
            sys.exit("the engine ended with status %d" % rc)


class Closed(Exception):
    pass


class Parser:
    """One response, with its literals."""

    def __init__(self, data):
        self.d, self.i = data, 0

    def list(self, end):
        out = []
        while True:
            while self.d[self.i:self.i + 1] == b" ":
                self.i += 1
            if self.i >= len(self.d):
                if end is None:
                    return out
                raise ValueError("no end in %r" % self.d)
            c = self.d[self.i:self.i + 1]
            if end and c == end:
                self.i += 1
                return out
            out.append(self.value())

    def value(self):
        c = self.d[self.i:self.i + 1]
        if c == b"(":
            self.i += 1
            return self.list(b")")
        if c == b'"':
            m = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"').match(self.d,
                                                                 self.i)
            if not m:
                raise ValueError("bad string at %r" % self.d[self.i:])
            self.i = m.end()
            return re.sub(rb"\\(.)", rb"\1", m.group(1))
        m = re.compile(rb"~?\{(\d+)\}\r\n").match(self.d, self.i)
        if m:
            n = int(m.group(1))
            self.i = m.end() + n
            return self.d[m.end():self.i]
        # Atoms; a section in brackets belongs to its name.
        m = re.compile(rb'[^ ()"\[\]{]*(\[[^\]]*\](<\d+>)?)?').match(
            self.d, self.i)
        if m.end() == self.i:
            raise ValueError("cannot read %r in %r" % (self.d[self.i:],
                                                       self.d))
        self.i = m.end()
        word = m.group(0).decode()
        return None if word.upper() == "NIL" else word


def parse(data):
    return Parser(data).list(None)


class Client:
    def __init__(self, port, host="127.0.0.1", trace=None, greeting="L0",
                 timeout=30):
        self.sock = socket.create_connection((host, port))
        self.sock.settimeout(timeout * SLOW)
        self.file = self.sock.makefile("rb")
        self.trace = trace if trace is not None else \
            bool(os.environ.get("TRACE"))
        self.n = 0
        self.bye = False
        if greeting:
            self.greeting = self.until(greeting)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        if self.trace:
            print("C:", data[:300], flush=True)
        self.sock.sendall(data)

    def line(self):
        """One response line, with its literals, without the last CRLF."""
        out = b""
        while True:
            l = self.file.readline()
            if not l:
                raise Closed()
            out += l
            m = re.search(rb"\{(\d+)\}\r\n$", l)
            if not m:
                break
            out += self.file.read(int(m.group(1)))
        if self.trace:
            print("S:", out[:300], flush=True)
        if not out.endswith(b"\r\n"):
            raise ValueError("line ends badly: %r" % out)
        return out[:-2]

    def until(self, tag):
        """Lines up to the tagged one, which is the last."""
        lines = []
        while True:
            l = self.line()
            lines.append(l)
            if l.startswith(b"* BYE"):
                self.bye = True
            if l.startswith(tag.encode() + b" "):
                return lines
            if l.startswith(b"+") and tag == "+":
                return lines

    def start(self, command):
        """Send a command without waiting; its tag."""
        self.n += 1
        tag = "a%d" % self.n
        if isinstance(command, str):
            command = command.encode()
        self.send(tag.encode() + b" " + command + b"\r\n")
        return tag

    def cmd(self, command):
        """All lines of the answer."""
        return self.until(self.start(command))

    def ok(self, command):
        lines = self.cmd(command)
        assert lines[-1].split(b" ")[1] == b"OK", (command, lines)
        return lines

    def status(self, command):
        """OK, NO, BAD, and its response code or ''."""
        last = self.cmd(command)[-1]
        m = re.match(rb"\S+ (OK|NO|BAD)(?: \[([^\]]*)\])?", last)
        return m.group(1).decode(), (m.group(2) or b"").decode()

    def append(self, box, message, extra=""):
        return self.ok(b"APPEND %s %s{%d+}\r\n%s" % (
            box.encode(), (extra + " " if extra else "").encode(),
            len(message), message))

    def close(self):
        self.file.close()
        self.sock.close()
