#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pop3d: hostile and clumsy clients, before the login and after it."""
import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import TIMEOUT, Users  # noqa: E402

passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


def long_lines():
    with m.pop3() as c:
        c.send("NOOP " + "x" * 1017 + "\r\n")      # 1024: the limit
        assert c.line() == "-ERR [SYS/PERM] Log in first"
        c.send("NOOP " + "x" * 1018 + "\r\n")
        assert c.line() == "-ERR [SYS/PERM] Line too long"
        c.send("A" * 300000 + "\r\nCAPA\r\n")       # one answer for all of it
        assert c.line() == "-ERR [SYS/PERM] Line too long"
        assert c.line() == "+OK"
        c.lines()
        c.err("AUTH PLAIN " + "A" * 30000, "[SYS/PERM]")
        c.err("AUTH PLAIN " + "A" * 24400)
        c.login("alice")
        c.send("NOOP " + "x" * 100000 + "\r\nNOOP\r\n")
        assert c.line() == "-ERR [SYS/PERM] Line too long"
        assert c.line() == "+OK"
        c.ok("QUIT")
    with m.pop3() as c:                     # no end at all
        try:
            for _ in range(200):
                c.send("B" * 65536)
        except (ConnectionError, TimeoutError):
            pass
        assert c.line() == "-ERR [SYS/PERM] Line too long"


def too_many_errors():
    for user in (None, "alice"):
        with m.pop3(user) as c:
            for _ in range(20):
                c.send("BOGUS\r\n")
            assert c.at_end()
        with m.pop3(user) as c:
            for _ in range(19):
                c.err("BOGUS")
            c.many("CAPA")
            if user:            # now in a row, as in Dovecot
                for _ in range(19):
                    c.err("RETR 99")
                c.ok("NOOP")
                for _ in range(20):
                    c.send("BOGUS\r\n")
                assert c.at_end()


def noise():
    rnd = random.Random(1)
    words = [b"USER alice@example.test", b"PASS wonderland", b"STAT", b"LIST",
             b"UIDL", b"RETR 1", b"TOP 1 1", b"DELE 1", b"RSET", b"NOOP",
             b"CAPA", b"AUTH PLAIN", b"*", b"\0", b"\xff\xfe", b" ", b"\r",
             b"LANG", b"UTF8", b"RETR -1", b"LIST 1 1", b"UIDL 99999999999"]
    for _ in range(60):
        data = b"".join(rnd.choice(words) + rnd.choice(
            [b"\r\n", b"\n", b"\r\r\n", b" \r\n", b""])
            for _ in range(rnd.randrange(40)))
        with m.pop3() as c:
            try:
                c.send(data)
                if rnd.random() < 0.5:
                    c.s.shutdown(socket.SHUT_WR)
                    c.at_end()
            except ConnectionError:
                pass


def vanishing():
    for data in ("", "USER alice@example.test\r\n",
                 "USER alice@example.test\r\nPASS wonderland\r\n",
                 "USER alice@example.test\r\nPASS wonderland\r\nDELE 1\r\n",
                 "USER alice@example.test\r\nPASS wonderland\r\nRETR 1\r\n",
                 "AUTH PLAIN\r\n"):
        for _ in range(4):
            c = m.pop3()
            c.send(data)
            c.close()
    # Those who have gone count for the limit of alice's sessions until the
    # server has seen it.
    end = time.monotonic() + TIMEOUT
    while True:
        with m.pop3() as c:
            c.ok("USER alice@example.test")
            got = c.ask("PASS wonderland")
            if got.startswith("+OK"):
                assert c.ok("STAT").split()[0] == "2"
                c.ok("QUIT")
                return
            assert got.startswith("-ERR [IN-USE]"), got
            assert time.monotonic() < end
            time.sleep(0.05)


def half_closed():
    """A client that says all it has to say, and listens."""
    with m.pop3() as c:
        c.send("USER alice@example.test\r\nPASS wonderland\r\n"
               + "RETR 2\r\n" * 50 + "QUIT\r\n")
        c.s.shutdown(socket.SHUT_WR)
        c.line(), c.line()
        for _ in range(50):
            assert c.line().startswith("+OK ")
            assert len(c.lines()) > 10000
        assert c.line() == "+OK Logging out"
        assert c.at_end()
    with m.pop3() as c:     # no QUIT, and an end in the middle of a command
        c.send("USER alice@example.test\r\nPASS wonderland\r\nRETR 2\r\nDE")
        c.s.shutdown(socket.SHUT_WR)
        c.line(), c.line(), c.line()
        assert len(c.lines()) > 10000
        assert c.at_end()


def process_memory():
    found = 0
    for pid in m.session_pids():
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmRSS"):
                    found += int(line.split()[1])
    return found


def a_huge_pipeline_nobody_reads():
    with m.pop3(rcvbuf=4096) as c:
        c.login("alice")
        c.s.settimeout(1)
        sent = 0
        try:
            for _ in range(300):
                c.s.sendall(b"RETR 2\r\n" * 1000)
                sent += 1000
        except TimeoutError:
            pass
        # 300000 times 800 KiB are not made, and not even read.
        time.sleep(0.2)
        assert process_memory() < 64 * 1024 or "/san-" in \
            os.environ.get("BUILD_DIR", ""), process_memory()
        with m.pop3("alice") as other:      # the same process serves others
            other.ok("STAT")
            other.ok("QUIT")
        c.s.settimeout(TIMEOUT)
        for _ in range(20):
            assert c.line().startswith("+OK ")
            c.lines()


def two_at_once():
    with m.pop3("bob") as a, m.pop3("bob") as b:
        a.ok("DELE 1")
        a.ok("QUIT")
        assert b.ok("STAT").split()[0] == "2"   # its own view
        b.ok("DELE 1")
        b.many("RETR 2")
        b.ok("DELE 2")
        b.ok("QUIT")
    with m.pop3("bob") as c:
        assert c.ok("STAT") == "0 0"
        c.ok("QUIT")


def locked():
    m.reload("pop3d_lock_mailbox=yes", "pop3d_timeout=2s",
             "pop3d_login_timeout=2s")
    with m.pop3("carol") as a, m.pop3() as b:
        b.ok("USER carol@example.test")
        b.err("PASS christmas", "[IN-USE]")
        assert b.at_end()
        a.ok("QUIT")
    with m.pop3("carol") as a:
        a.ok("QUIT")


def silent():
    with m.pop3() as a, m.pop3("alice") as b:
        assert a.line() == "-ERR [SYS/TEMP] Disconnected: no login in time"
        assert a.at_end()
        assert b.line() == "-ERR [SYS/TEMP] Disconnected for inactivity"
        assert b.at_end()


BIG = "Subject: big\r\n\r\n" + (".a line that begins with a dot and goes on"
                               " for a while, as lines do\r\n") * 12000
with Users() as m:
    for who in ("alice", "bob"):
        m.send(who, "Subject: one\r\n\r\nhello\r\n")
        m.send(who, BIG if who == "alice" else "Subject: two\r\n\r\nx\r\n")
    m.wait_idle()
    case(long_lines)
    case(too_many_errors)
    case(noise)
    case(vanishing)
    case(half_closed)
    case(a_huge_pipeline_nobody_reads)
    case(two_at_once)
    case(locked)
    case(silent)
    bad = [x for x in m.log().splitlines() if "panic" in x or "fatal" in x
           or "killed by signal" in x or "broke its conv" in x]
    assert not bad, bad
print(f"{passed} passed, 0 failed, 0 skipped")
