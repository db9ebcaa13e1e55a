#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""IMAP: what a client does to a large mailbox, beside Dovecot's mdbox in one run.

usage: tests/bench/imap.py [messages [rounds [appends]]]

The same messages are delivered to both.  A table shows wall clock and CPU of
the server's processes that were there all the time for each command, less what
NOOP takes; the last column is how many times as long Dovecot takes, by wall
clock and by CPU.  Trust CPU where the machine is busy.  Needs root; Dovecot
where it is installed.
"""
import os
import random
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../system"))
from bench import cpu_of  # noqa: E402
from dovecot import Dovecot, have_dovecot  # noqa: E402
from mailusers import PASSWORDS, Users  # noqa: E402

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 1
APPENDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
CLIENTS, TURNS = 50, 40
WORDS = ("invoice meeting project report holiday weather train station garden "
         "letter window kitchen morning evening summer winter budget contract "
         "travel ticket").split()


def message(rnd, i):
    body = "\r\n".join(" ".join(rnd.choice(WORDS) for _ in range(10))
                       for _ in range(rnd.choice([5, 20, 60])))
    if i % 50 == 0:
        body += "\r\nneedle"
    return (f"From: User {i % 97} <u{i % 97}@example.org>\r\n"
            f"To: bench@example.test\r\nSubject: "
            f"{'Re: ' if i % 3 else ''}{rnd.choice(WORDS)} {i // 3}\r\n"
            f"Date: Mon, {i % 28 + 1} Mar 2026 10:00:{i % 60:02d} +0000\r\n"
            f"Message-ID: <{i}@bench>\r\n"
            + (f"References: <{i - 1}@bench>\r\n" if i % 3 else "")
            + "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; "
            f"boundary=b{i}\r\n\r\n--b{i}\r\nContent-Type: text/plain; "
            f"charset=utf-8\r\n\r\n{body}\r\n--b{i}\r\n"
            f"Content-Type: text/html\r\n\r\n<p>{body}</p>\r\n--b{i}--\r\n"
            ).encode()


def messages(n):
    rnd = random.Random(1)
    return (message(rnd, i) for i in range(n))


USERS = ("alice", "bob", "carol", "dave")


class Client:
    """Reads answers as fast as Python can: only their ends are looked at."""

    room = bytearray(1 << 20)

    def __init__(self, server, user=USERS[0]):
        self.s = socket.create_connection(("127.0.0.1", server.port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.n = 0
        while b"\n" not in self.s.recv(4096):
            pass
        self.cmd(b"LOGIN %s wonderland" % (user + server.domain).encode())

    def start(self, text):
        self.n += 1
        self.tag = b"t%d " % self.n
        self.s.sendall(self.tag + text + b"\r\n")

    def wait(self, tag=None):
        mark, tail = b"\n" + (tag or self.tag), b"\n"
        while True:
            got = self.s.recv_into(self.room)
            if got == 0:
                sys.exit("the server has closed the connection")
            tail = (tail + bytes(memoryview(self.room)[:got]))[-65536:] \
                if got < 65536 else bytes(memoryview(self.room)[got - 65536:
                                                                got])
            at = tail.rfind(mark)
            if at >= 0 and tail.endswith(b"\n"):
                if not tail[at + len(mark):].startswith(b"OK"):
                    sys.exit("%r" % tail[at:])
                return

    def cmd(self, text):
        self.start(text)
        self.wait()


class Mansio:
    name = "mansio"
    domain = "@example.test"

    def __init__(self):
        for name in USERS:
            PASSWORDS[name] = "wonderland"
        self.m = Users(users=list(USERS), settings={
            "imapd_user_connection_limit": "100"})
        self.m.start()
        self.port = self.m.imap_port

    def fill(self):
        todo = list(messages(COUNT))
        with self.m.smtp() as s:
            s.ehlo()
            for at in range(0, COUNT, 100):
                part = todo[at:at + 100]
                rcpts = b"".join(b"RCPT TO:<%s@example.test>\r\n" %
                                 u.encode() for u in USERS)
                s.send(b"".join(
                    b"MAIL FROM:<>\r\n%sBDAT %d LAST\r\n%s" %
                    (rcpts, len(x), x) for x in part))
                for _ in range((2 + len(USERS)) * len(part)):
                    code, text = s.getreply()
                    assert code == 250, text
        self.m.wait_idle(300)
        time.sleep(2.5)     # session processes of before have gone

    def root(self):
        return self.m.master_pid()

    def close(self):
        self.m.__exit__(None, None, None)


class Mdbox(Dovecot):
    name = "dovecot"
    domain = ""

    def __init__(self):
        super().__init__("mdbox:{base}/mail/%n", protocols=("imap",))
        self.start()
        self.port = self.imap_port

    def fill(self):
        for user in USERS:
            self.import_messages(user, messages(COUNT))


class Meter:
    def __init__(self, server):
        self.root = server.root()
        self.base = (0.0, 0.0)
        self.found = {}

    def step(self, name, fn):
        before, start = cpu_of(self.root), time.monotonic()
        fn()
        wall = time.monotonic() - start
        used = cpu_of(self.root) - before
        if name:
            self.found[name] = (max(wall - self.base[0], 1e-6),
                                max(used - self.base[1], 1e-6))
        return wall, used


def appends(server):
    """Pipelined; all are answered, so all are durable."""
    c = Client(server)
    c.cmd(b"CREATE appended")
    data = b"".join(b"p%d APPEND appended {%d+}\r\n%s\r\n" % (i, len(m), m)
                    for i, m in enumerate(messages(APPENDS)))

    def run():
        t = threading.Thread(target=c.s.sendall, args=(data,))
        t.start()
        c.wait(b"p%d " % (APPENDS - 1))
        t.join()
    return run


def mixed(server):
    """Many clients that do what mail programs do, in turns."""
    rnd = random.Random(7)
    clients = [Client(server) for _ in range(CLIENTS)]
    for c in clients:
        c.cmd(b"SELECT appended")

    def command():
        a = rnd.randrange(1, APPENDS - 60)
        b = a + rnd.randrange(50)
        return rnd.choice((
            b"NOOP", b"UID FETCH %d:%d (FLAGS)" % (a, b),
            b"UID FETCH %d:%d (UID FLAGS ENVELOPE BODYSTRUCTURE)" % (a, b),
            b"UID FETCH %d BODY.PEEK[]" % a,
            b"UID STORE %d:%d +FLAGS.SILENT (\\Seen)" % (a, a + 5),
            b"UID STORE %d -FLAGS (\\Seen)" % a,
            b"UID SEARCH UNSEEN UID %d:%d" % (a, b),
            b"UID SEARCH SUBJECT ticket UID %d:%d" % (a, b),
            b"STATUS INBOX (MESSAGES UNSEEN)", b"LIST \"\" *",
            b"APPEND appended {41+}\r\nSubject: new\r\n\r\n"
            b"of the mixed load, short", b"UID COPY %d copied" % a))
    clients[0].cmd(b"CREATE copied")

    def run():
        for _ in range(TURNS):
            for c in clients:
                c.start(command())
            for c in clients:
                c.wait()
    return run


def measure(server):
    m = Meter(server)
    c = Client(server)
    n = COUNT
    for _ in range(20):
        c.cmd(b"NOOP")
    noop = [m.step(None, lambda: c.cmd(b"NOOP")) for _ in range(20)]
    m.base = (statistics.median(x[0] for x in noop),
              statistics.median(x[1] for x in noop))
    # The first thing after delivery, each in an account of its own; SELECT in
    # each, for it is so short that one look at it says little.
    selects = []
    for user, name, text in (
            ("bob", "SORT SUBJECT", b"SORT (SUBJECT) UTF-8 ALL"),
            ("carol", "SORT REVERSE DATE", b"SORT (REVERSE DATE) UTF-8 ALL"),
            ("dave", "THREAD REFERENCES", b"THREAD REFERENCES UTF-8 ALL")):
        d = Client(server, user)
        for _ in range(20):     # what goes on behind a login is over
            d.cmd(b"NOOP")
        m.step("SELECT, first", lambda: d.cmd(b"SELECT INBOX"))
        selects.append(m.found["SELECT, first"])
        m.step(f"{name}, first", lambda t=text: d.cmd(t))
        d.s.close()
    m.found["SELECT, first"] = tuple(statistics.median(x) for x in
                                     zip(*selects))
    for turn in ("first", "again"):
        for name, text in (
                ("SELECT", b"SELECT INBOX"),
                ("FETCH ENVELOPE BODYSTRUCTURE",
                 b"FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)"),
                ("SORT SUBJECT", b"SORT (SUBJECT) UTF-8 ALL"),
                ("SORT REVERSE DATE", b"SORT (REVERSE DATE) UTF-8 ALL"),
                ("THREAD REFERENCES", b"THREAD REFERENCES UTF-8 ALL"),
                ("SEARCH TEXT, found in 2 %", b"SEARCH TEXT needle"),
                ("SEARCH TEXT, found in most", b"SEARCH TEXT garden"),
                ("SEARCH TEXT, not found", b"SEARCH TEXT zebra"),
                ("FETCH BODY[]", b"FETCH 1:* BODY.PEEK[]"),
                ("FETCH FLAGS", b"FETCH 1:* FLAGS"),
                ("SEARCH UNSEEN", b"SEARCH UNSEEN")):
            key = f"{name}, {turn}"
            # (Known already: then this is no first time.)
            m.step(None if key in m.found else key,
                   lambda t=text: c.cmd(t))
        if turn == "first":
            c.cmd(b"UNSELECT")
    c.cmd(b"CREATE copy")
    k = min(10000, n)
    m.step(f"STORE +FLAGS of {k}",
           lambda: c.cmd(b"STORE 1:%d +FLAGS (\\Flagged)" % k))
    m.step(f"COPY of {k}", lambda: c.cmd(b"COPY 1:%d copy" % k))
    m.step(f"STORE +FLAGS.SILENT of {k}",
           lambda: c.cmd(b"STORE 1:%d +FLAGS.SILENT (\\Deleted)" % k))
    m.step(f"EXPUNGE of {k}", lambda: c.cmd(b"EXPUNGE"))
    m.step(f"{APPENDS} APPENDs, pipelined", appends(server))
    m.step(f"{CLIENTS * TURNS} commands of {CLIENTS} clients", mixed(server))
    return m.found


def main():
    servers = [Mansio]
    if have_dovecot("imap"):
        servers.append(Mdbox)
    rounds = {kind.name: [] for kind in servers}
    for _ in range(ROUNDS):
        for kind in servers:
            s = kind()
            try:
                s.fill()
                rounds[kind.name].append(measure(s))
            finally:
                s.close()
    print(f"{COUNT} messages, {ROUNDS} rounds, load "
          f"{os.getloadavg()[0]:.1f}; seconds, wall clock and CPU")
    for name in rounds["mansio"][0]:
        row, values = f"{name:36}", []
        for kind in servers:
            v = [statistics.median(r[name][i] for r in rounds[kind.name])
                 for i in (0, 1)]
            values.append(v)
            row += f"  {kind.name} {v[0]:8.4f} {v[1]:8.4f}"
        if len(values) == 2:
            row += "  x %7.1f %7.1f" % tuple(
                values[1][i] / values[0][i] for i in (0, 1))
        print(row, flush=True)


main()
