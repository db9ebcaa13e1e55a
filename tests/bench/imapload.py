#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What IMAP commands take, at any server: seconds for each step.

usage: imapload.py HOST:PORT USER PASSWORD [MESSAGES]

Works in a mailbox "bench-N" that it makes and deletes.  The commands that
touch all messages are measured twice: the first time a server may have to
look into them.  Trust ratios between two servers on one machine only.
"""
import random
import socket
import sys
import time

WORDS = [w.strip() for w in (
    "invoice meeting project report holiday weather train station garden "
    "letter window kitchen morning evening summer winter budget contract "
    "travel ticket").split()]


class Client:
    def __init__(self, host, port):
        self.s = socket.create_connection((host, port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        self.n = 0
        self.until(b"* OK")

    def until(self, mark):
        """Read on until a line begins with mark; how many bytes."""
        total = 0
        tail = self.buf
        self.buf = b""
        while True:
            at = 0 if tail.startswith(mark) else tail.find(b"\n" + mark)
            if at >= 0:
                end = tail.find(b"\n", at + 1)
                if end >= 0:
                    self.buf = tail[end + 1:]
                    line = tail[at:end].strip()
                    if b" OK" not in line[:len(mark) + 6]:
                        sys.exit("%r" % line[:300])
                    return total + end
            keep = tail[-4096:] if at < 0 else tail[at:]
            total += len(tail) - len(keep)
            got = self.s.recv(1 << 20)
            if not got:
                sys.exit("the server has closed the connection")
            tail = keep + got

    def cmd(self, text):
        self.n += 1
        tag = b"t%d" % self.n
        self.s.sendall(tag + b" " + text + b"\r\n")
        return self.until(tag + b" ")


def message(rnd, i):
    body = "\r\n".join(" ".join(rnd.choice(WORDS) for _ in range(10))
                       for _ in range(rnd.choice([5, 20, 60])))
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


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    n = int(sys.argv[4]) if len(sys.argv) > 4 else 5000
    rnd = random.Random(1)
    c = Client(host, int(port))
    c.cmd(b"LOGIN %s %s" % (sys.argv[2].encode(), sys.argv[3].encode()))
    box = b"bench-%d" % time.time()
    c.cmd(b"CREATE " + box)
    c.cmd(b"CREATE " + box + b"-copy")

    def step(name, fn):
        start = time.monotonic()
        fn()
        print("%-34s %9.3f s" % (name, time.monotonic() - start), flush=True)

    def appends():
        data = []
        for i in range(n):
            m = message(rnd, i)
            data.append(b"p%d APPEND %s {%d+}\r\n%s\r\n" % (i, box, len(m), m))
        # A thread would be fairer to servers that answer each one.
        import threading
        t = threading.Thread(target=lambda: c.s.sendall(b"".join(data)))
        t.start()
        c.until(b"p%d " % (n - 1))
        t.join()

    step("%d APPENDs, pipelined" % n, appends)
    step("SELECT", lambda: c.cmd(b"SELECT " + box))
    for turn in ("first", "again"):
        for name, text in (
                ("FETCH ENVELOPE BODYSTRUCTURE",
                 b"FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)"),
                ("SORT SUBJECT", b"SORT (SUBJECT) UTF-8 ALL"),
                ("SORT REVERSE DATE", b"SORT (REVERSE DATE) UTF-8 ALL"),
                ("THREAD REFERENCES", b"THREAD REFERENCES UTF-8 ALL"),
                ("SEARCH TEXT, found", b"SEARCH TEXT garden"),
                ("SEARCH TEXT, not found", b"SEARCH TEXT zebra"),
                ("FETCH BODY[]", b"FETCH 1:* BODY.PEEK[]"),
                ("SELECT again", b"SELECT " + box)):
            step("%s, %s" % (name, turn), lambda t=text: c.cmd(t))
    step("STORE +FLAGS", lambda: c.cmd(b"STORE 1:* +FLAGS (\\Seen)"))
    step("COPY", lambda: c.cmd(b"COPY 1:* " + box + b"-copy"))
    step("STORE +FLAGS.SILENT \\Deleted",
         lambda: c.cmd(b"STORE 1:* +FLAGS.SILENT (\\Deleted)"))
    step("EXPUNGE", lambda: c.cmd(b"EXPUNGE"))
    c.cmd(b"UNSELECT")
    c.cmd(b"DELETE " + box)
    c.cmd(b"DELETE " + box + b"-copy")
    c.cmd(b"LOGOUT")


main()
