#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""A user's process waits for the user's next session: how long, how many, and
what must not hold it: reload, stop, kick, another password, another uid or
quota, mail that came meanwhile, and a mailbox that was put in its place."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import PASSWORDS, TIMEOUT, Users  # noqa: E402

NAMES = ["alice", "bob", "carol", "dave", "erin"]
passed = 0


def case(fn):
    global passed
    fn()
    passed += 1
    # The next one finds nobody at rest.
    m.command("mansio", "reload")
    until(lambda: not m.session_pids(), "none left after a reload")


def until(fn, what):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        got = fn()
        if got:
            return got
        time.sleep(0.02)
    raise TimeoutError(what)


def visit(user, password=None):
    """A poll; how many messages there are, and the process that answered."""
    with m.pop3(user, password) as c:
        n = int(c.ok("STAT").split()[0])
        pid = process(user)
        c.ok("QUIT")
        assert c.at_end()
    return n, pid


def process(user):
    out = m.command("mansio", "who", f"{user}@example.test").stdout
    rows = [r.split() for r in out.splitlines() if f"{user}@" in r]
    pids = {int(w) for r in rows for w in r
            if w.isdigit() and int(w) in m.session_pids()}
    assert len(pids) == 1, (out, m.session_pids())
    return pids.pop()


def gone(pid):
    until(lambda: pid not in m.session_pids(), f"process {pid} has gone")


def the_same_again():
    first = visit("alice")[1]
    for _ in range(3):
        assert visit("alice")[1] == first
    m.send("alice", "Subject: new\n\nx\n")      # seen by who rests
    m.wait_idle()
    assert visit("alice") == (1, first)
    with m.pop3("alice") as c:
        c.ok("DELE 1")
        c.ok("QUIT")
    assert visit("alice") == (0, first)
    # It rests in the sandbox, as the user, with no client.
    assert m.command("mansio", "who").stdout.count("alice@") == 0


def the_longest_goes_first():
    pids = {name: visit(name)[1] for name in NAMES[:3]}
    assert visit("alice")[1] == pids["alice"]   # bob has waited longest now
    pids["dave"] = visit("dave")[1]
    gone(pids["bob"])
    assert set(m.session_pids()) == {pids[x] for x in ("alice", "carol",
                                                       "dave")}
    # Who has a session does not count, nor leave.
    with m.pop3("carol") as c:
        visit("erin")
        again = visit("bob")[1]
        gone(pids["alice"])
        c.ok("NOOP")
        assert pids["carol"] in m.session_pids()
        c.ok("QUIT")
    gone(pids["dave"])
    assert again in m.session_pids() and len(m.session_pids()) == 3


def kicked():
    first = visit("alice")[1]
    other = visit("bob")[1]
    r = m.command("mansio", "kick", "Alice@example.test", check=False)
    assert r.returncode == 1, r         # no session; but the process goes
    gone(first)
    assert other in m.session_pids()
    # With a session: it takes its leave after that.
    with m.pop3("bob") as c:
        m.command("mansio", "kick", "bob@example.test")
        assert "administrator" in c.line() and c.at_end()
    gone(other)


def told_to_stop():
    first = visit("alice")[1]
    os.kill(first, signal.SIGTERM)
    gone(first)
    second = visit("alice")[1]
    os.kill(second, signal.SIGKILL)
    gone(second)
    m.wait_log(f"session process {second} of user alice@example.test was "
               "killed by signal 9")
    assert visit("alice")[1] not in (first, second)


def reloaded():
    first = visit("alice")[1]
    m.command("mansio", "reload")
    gone(first)


def another_password():
    first = visit("alice")[1]
    m.command("mansio", "user", "password", "alice@example.test",
              input="looking-glass\n")

    def refused():
        with m.pop3() as c:
            c.ok("USER alice@example.test")
            return c.ask("PASS wonderland").startswith("-ERR [AUTH]")
    until(refused, "the old password is refused")
    assert visit("alice", "looking-glass")[1] == first
    m.command("mansio", "user", "delete", "alice@example.test")

    def unknown():
        with m.pop3() as c:
            c.ok("USER alice@example.test")
            return c.ask("PASS looking-glass").startswith("-ERR [AUTH]")
    until(unknown, "a deleted user is refused")
    m.command("mansio", "user", "add", "alice@example.test",
              input=PASSWORDS["alice"] + "\n")
    until(lambda: visit("alice")[1], "the user is back")


def another_place():
    """A mailbox that was moved away, or put back from a backup: who rests
    could not even see it."""
    home = f"{m.mail}/example.test/alice"
    m.send("alice", "Subject: one\n\nx\n")
    m.wait_idle()
    n, first = visit("alice")
    assert n == 1
    subprocess.run(["cp", "-a", home, home + ".backup"], check=True)
    m.send("alice", "Subject: two\n\nx\n")
    m.wait_idle()
    assert visit("alice") == (2, first)
    os.rename(home, home + ".old")
    os.rename(home + ".backup", home)
    n, second = visit("alice")
    assert n == 1 and second != first, (n, first, second)
    gone(first)
    m.wait_log("the mailbox's directory is another one")
    # All of it gone: an empty one is made, as by a first login.
    shutil.rmtree(home)
    n, third = visit("alice")
    assert n == 0 and third != second
    gone(second)
    m.send("alice", "Subject: three\n\nx\n")
    m.wait_idle()
    assert visit("alice") == (1, third)
    shutil.rmtree(home + ".old")
    # What was pipelined behind the login goes along.
    shutil.rmtree(home)
    with m.pop3() as c:
        c.send("USER alice@example.test\r\nPASS wonderland\r\nSTAT\r\n"
               "NOOP\r\nQUIT\r\n")
        got = [c.line() for _ in range(5)]
        assert got[2] == "+OK 0 0" and got[4].startswith("+OK Logging"), got


def last_words():
    """A client that takes its time gets all of it, though the process is to
    leave."""
    big = "Subject: big\n\n" + "x" * 75 + "\n"
    m.send("erin", big + ("y" * 75 + "\n") * 40000)
    m.wait_idle()
    with m.pop3("erin", rcvbuf=4096) as c:
        pid = process("erin")
        c.send("RETR 1\r\nQUIT\r\n")
        assert c.line().startswith("+OK")
        for name in NAMES[:4]:          # more than may rest
            visit(name)
        text = c.lines()
        assert text.count("y" * 75) == 40000, len(text)
        assert c.line().startswith("+OK Logging out")
        assert c.at_end()
        assert pid


def slowly():
    """A slow line, as far as one can have it here: what neither the client nor
    the kernel takes waits in the process, longer than last words do."""
    m.send("dave", "Subject: slow\n\n" + ("z" * 75 + "\n") * 3200)
    m.wait_idle()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        s.settimeout(TIMEOUT)
        s.connect(("127.0.0.1", m.pop3_port))
        s.sendall(b"USER dave@example.test\r\nPASS secret\r\nRETR 1\r\n"
                  b"QUIT\r\n")
        m.wait_log("logout: user=<dave@example.test>")
        time.sleep(4)
        got = b""
        while data := s.recv(65536):
            got += data
        assert got.count(b"z" * 75) == 3200, len(got)
        assert got.endswith(b"+OK Logging out\r\n"), got[-80:]


def for_a_time():
    m.command("postconf", "-e", "session_max_idle=1s")
    m.command("mansio", "reload")
    until(lambda: visit("alice")[1], "a process")
    until(lambda: not m.session_pids(), "its time is over")
    m.command("postconf", "-e", "session_max_idle=0s")
    m.command("mansio", "reload")
    until(lambda: visit("bob")[1], "a process")
    until(lambda: not m.session_pids(), "none rests")
    m.command("postconf", "-e", "session_max_idle=1h",
              "session_idle_process_limit=0")
    m.command("mansio", "reload")
    until(lambda: visit("bob")[1], "a process")
    until(lambda: not m.session_pids(), "none may rest")
    m.command("postconf", "-e", "session_idle_process_limit=3")


def stopped():
    pids = [visit(name)[1] for name in NAMES[:3]]
    m.stop()
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}") or "session" not in \
            open(f"/proc/{pid}/comm", encoding="ascii").read()


with Users({"session_max_idle": "1h", "session_idle_process_limit": "3"},
           users=NAMES) as m:
    for test in (the_same_again, the_longest_goes_first, kicked, told_to_stop,
                 reloaded, another_password, another_place, last_words,
                 slowly, for_a_time):
        case(test)
    stopped()
    passed += 1
    bad = [x for x in m.log().splitlines() if "panic" in x or "fatal" in x]
    assert not bad, bad
print(f"{passed} passed, 0 failed, 0 skipped")
