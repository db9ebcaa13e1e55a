#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""POP3: a mailbox is emptied, and polled, beside Dovecot's mdbox in one run.

usage: tests/bench/pop3.py [messages [bytes [rounds]]]

A poll is measured twice: of a user whose process waits for the next session
(session_max_idle), and of one who needs a new process.  CPU is that of all of
a server's processes, ended ones included; wall clock is the machine's.  Needs
root; Dovecot where it is installed.
"""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../system"))
from bench import cpu_of  # noqa: E402
from dovecot import PASSWORD, Dovecot, have_dovecot  # noqa: E402
from instance import BUILD  # noqa: E402
from mailusers import Users  # noqa: E402

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
SIZE = int(sys.argv[2]) if len(sys.argv) > 2 else 4096
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
LOAD = f"{BUILD}/tests/bench/popload"


def message(n):
    head = (f"From: sender{n}@example.org\r\nTo: alice@example.test\r\n"
            f"Subject: message {n}\r\nMessage-ID: <{n}@example.org>\r\n"
            "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n")
    line = "All work and no play makes a line of seventy-two characters, no.\r\n"
    return head + line * max((SIZE - len(head)) // len(line), 1)


class Mansio:
    name = "mansio (packed)"
    user, password = "alice@example.test", "wonderland"

    def __init__(self):
        self.m = Users(users=["alice"], settings={"session_max_idle": "1h"})
        self.m.start()
        self.port = self.m.pop3_port

    def fill(self):
        done = 0
        with self.m.smtp() as s:
            s.ehlo()
            while done < COUNT:
                n = min(100, COUNT - done)
                s.send(b"".join(
                    b"MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\n"
                    b"BDAT %d LAST\r\n%s" % (len(x), x)
                    for x in (message(done + i).encode() for i in range(n))))
                for _ in range(3 * n):
                    code, text = s.getreply()
                    assert code == 250, text
                done += n
        self.m.wait_idle(120)

    def rest(self, on):
        """Whether processes wait for their user's next session."""
        self.m.command("postconf", "-e",
                       f"session_max_idle={'1h' if on else '0s'}")
        self.m.command("mansio", "reload")
        time.sleep(1)

    def root(self):
        return self.m.master_pid()

    def close(self):
        self.m.__exit__(None, None, None)


class Mdbox(Dovecot):
    name = "dovecot (mdbox)"
    user, password = "alice", PASSWORD

    def __init__(self):
        super().__init__("mdbox:{base}/mail/%n", protocols=("pop3",))
        self.start()
        self.port = self.pop3_port

    def fill(self):
        self.import_messages("alice", (message(n).encode()
                                       for n in range(COUNT)))

    def rest(self, on):
        """Each of its sessions is a process."""


def measure(server, *args):
    """What popload says, and CPU seconds of all of the server's processes."""
    before = cpu_of(server.root())
    out = subprocess.run([LOAD, *args, "127.0.0.1", str(server.port),
                          server.user, server.password], check=True,
                         capture_output=True, text=True).stdout
    time.sleep(1)           # what leaves has gone, and is counted
    return json.loads(out), cpu_of(server.root()) - before


NEW = "poll, new process"
KINDS = (
    ("one by one", ("-k",)),
    ("pipelined", ("-p", "-k")),
    ("poll", ("-P", "200")),
    (NEW, ("-P", "200", "-w", "20")),
    ("pipelined, deleted", ("-p",)),
)


def middle(values):
    return sorted(values)[len(values) // 2]


def show(what, results):
    """results: {server: [(per second, CPU us each)]}; medians."""
    med = {}
    for name, rows in results.items():
        med[name] = [middle(column) for column in zip(*rows)]
        print(f"{what:20}  {name:16} {med[name][0]:9.0f}/s "
              f"{med[name][1]:9.1f} us CPU", flush=True)
    ours, theirs = med.get(Mansio.name), med.get(Mdbox.name)
    if ours and theirs:
        print(f"{'':20}  {ours[0] / theirs[0]:.2f} times the rate, "
              f"1/{theirs[1] / max(ours[1], 0.01):.2f} of the CPU",
              flush=True)


def main():
    """Both servers in turn, ROUNDS times; the last round empties them."""
    os.nice(-10)
    servers = []
    try:
        for kind in [Mansio] + [Mdbox] * have_dovecot("pop3"):
            servers.append(kind())
            servers[-1].fill()
        for what, args in KINDS:
            results = {s.name: [] for s in servers}
            for s in servers:
                s.rest(what != NEW)
            for _ in range(1 if what.endswith("deleted") else ROUNDS):
                for s in servers:
                    # A login's password is hashed once, and then known.
                    measure(s, "-P", "1")
                    got, cpu = measure(s, *args)
                    n = got.get("polls", got["messages"])
                    results[s.name].append((n / got["seconds"],
                                            cpu / max(n, 1) * 1e6))
            show(what, results)
        print(f"({COUNT} messages of {SIZE} bytes; a poll is LOGIN, STAT, "
              f"UIDL, QUIT; load {os.getloadavg()[0]:.1f})")
    finally:
        for s in servers:
            s.close()


main()
