#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""session: more users than there may be processes; who and kick of many."""
import imaplib
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import TIMEOUT, Users  # noqa: E402

COUNT, LIMIT = 24, 6
passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


def until(fn, what):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if fn():
            return
        time.sleep(0.05)
    raise TimeoutError(what)


def who(*args):
    out = m.command("mansio", "who", "--json", *args).stdout
    return [json.loads(line) for line in out.splitlines()]


def log_in(n):
    """As clients do: once more when the server has no room."""
    end = time.monotonic() + TIMEOUT
    while True:
        i = imaplib.IMAP4("127.0.0.1", m.imap_port, TIMEOUT)
        try:
            i.login(f"u{n}@example.test", "secret")
            return i
        except imaplib.IMAP4.error as e:
            assert re.search("UNAVAILABLE|EOF", str(e)), e
            i.shutdown()
            assert time.monotonic() < end, f"no room for u{n}"
            time.sleep(0.1)


def idle_users_make_room():
    for n in range(COUNT):
        i = log_in(n)
        i.select()
        i.send(b"x IDLE\r\n")
        assert i.readline().startswith(b"+")
        clients.append(i)
        assert len(m.session_pids()) <= LIMIT
    rows = who()
    assert len({r["user"] for r in rows}) == COUNT, rows
    assert sum(1 for r in rows if r["pid"] == 0) >= COUNT - LIMIT


def they_wake_in_turns():
    for n, i in enumerate(clients):
        m.send(f"u{n}", "Subject: x\r\n\r\nx\r\n")
    for i in clients:
        while b"EXISTS" not in i.readline():
            pass
    for i in clients:
        i.send(b"DONE\r\n")
        while not i.readline().startswith(b"x OK"):
            pass
        assert i.noop()[0] == "OK"


def pop3_log_in():
    """The same over POP3."""
    end = time.monotonic() + TIMEOUT
    while True:
        c = m.pop3()
        c.ok("USER u0@example.test")
        got = c.ask("PASS secret")
        if got.startswith("+OK"):
            return c
        assert "[SYS/TEMP]" in got, got
        c.close()
        assert time.monotonic() < end, "no room for POP3"
        time.sleep(0.1)


def pop3_has_room_too():
    with pop3_log_in() as c:
        assert c.ok("STAT").split()[0] == "1"
        kinds = {(r["service"], r["user"]) for r in who("u0@example.test")}
        assert kinds == {("imap", "u0@example.test"),
                         ("pop3", "u0@example.test")}, kinds
        c.ok("QUIT")


def kicked():
    for n in (1, 2):
        out = m.command("mansio", "kick", f"u{n}@example.test").stdout
        assert out == "1 session ended\n", out
    until(lambda: len(who()) == COUNT - 2, "two sessions less")
    for i in clients[1:3]:
        assert b"BYE" in i.readline()


def the_monitor_dies():
    """Who hibernates sees a clean end, and gets in again."""
    asleep = next(r["user"] for r in who() if r["pid"] == 0)
    n = int(asleep.partition("@")[0][1:])
    i = clients[n]
    os.kill(m.monitor_pid(), signal.SIGKILL)
    assert i.readline() == b""
    log_in(n).logout()


clients = []
with Users({"session_process_limit": str(LIMIT), "imapd_hibernate_time": "1h"},
           users=[f"u{n}" for n in range(COUNT)]) as m:
    case(idle_users_make_room)
    case(they_wake_in_turns)
    case(pop3_has_room_too)
    case(kicked)
    case(the_monitor_dies)
    for i in clients:
        i.shutdown()
    assert not re.search("session process .* killed by signal|panic", m.log())
print(f"{passed} passed, 0 failed, 0 skipped")
