#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""pop3d: a user's process keeps the mailbox, and UIDL's answer, for the next
session (pop3d/keep.c): what is the same comes again, byte by byte, and
whatever has happened shows in the very next session."""
import glob
import imaplib
import os
import shutil
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import TIMEOUT, Users  # noqa: E402

COUNT = 4000            # so many that the answer is kept (READY_MIN)
BOX = "alice@example.test"
passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


def imap():
    i = imaplib.IMAP4("127.0.0.1", m.imap_port, TIMEOUT)
    i.login(BOX, "wonderland")
    assert i.select()[0] == "OK"
    return i


def fill():
    with imap() as i:
        i.send(b"".join(
            b"a%d APPEND INBOX {%d+}\r\nSubject: %4d\r\n\r\nbody\r\n\r\n"
            % (n, 23, n) for n in range(250)))
        for n in range(250):
            while not (line := i.readline()).startswith(b"a%d " % n):
                assert line, n
            assert b" OK " in line, line
        have = 250
        while have < COUNT:
            assert i.copy(f"1:{min(have, COUNT - have)}", "INBOX")[0] == "OK"
            i.noop()
            have = min(2 * have, COUNT)


def pid():
    rows = [r.split() for r in m.command("mansio", "who", BOX).stdout
            .splitlines() if BOX in r]
    found = {int(w) for r in rows for w in r if w.isdigit()
             and int(w) in m.session_pids()}
    assert len(found) == 1, rows
    return found.pop()


def poll(tls=False):
    """(STAT, UIDL) of a session."""
    with m.pop3() as c:
        if tls:
            c.ok("STLS")
            c.tls(m.ca)
        c.login("alice")
        stat, ids = c.ok("STAT"), c.many("UIDL")
        assert len(ids) == int(stat.split()[0])
        c.ok("QUIT")
    return stat, ids


def files(process):
    """How many descriptors it has, and how many of them are kept answers."""
    found = []
    for fd in glob.glob(f"/proc/{process}/fd/*"):
        try:
            found.append(os.readlink(fd))
        except FileNotFoundError:
            pass
    return len(found), sum("memfd:uidl" in x for x in found)


def settled(process):
    """The same, once the process has closed what it does not keep."""
    end = time.monotonic() + TIMEOUT
    while True:
        now = files(process)
        time.sleep(0.1)
        if files(process) == now:
            return now
        assert time.monotonic() < end


def the_same():
    first = poll()
    with m.pop3("alice") as c:
        process = pid()
        assert (c.ok("STAT"), c.many("UIDL")) == first
        c.ok("QUIT")
    for tls in (False, True, False):
        assert poll(tls) == first
    have = settled(process)
    assert have[1] == 1, have
    for _ in range(5):
        assert poll() == first
    assert settled(process) == have
    # LIST, TOP and RETR of what is kept.
    with m.pop3("alice") as c:
        assert pid() == process
        assert len(c.many("LIST")) == COUNT
        assert c.many("TOP 2 0") == ["Subject:    1", ""]
        c.many("RETR 3")        # becomes \Seen: no poll any more
        c.ok("QUIT")
    assert poll() == first


def marked():
    """Deletions of this session are not in what was kept."""
    stat, ids = poll()
    with m.pop3("alice") as c:
        c.ok("DELE 2")
        assert c.many("UIDL") == ids[:1] + ids[2:]
        c.ok("RSET")
        assert c.many("UIDL") == ids
        c.ok("DELE 2")
        c.close()               # RFC 1939 6: nothing is deleted
    assert poll() == (stat, ids)


def arrival():
    stat, ids = poll()
    m.send("alice", "Subject: new\n\nbody\n")
    m.wait_idle()
    now, more = poll()
    assert int(now.split()[0]) == len(ids) + 1 and more[:-1] == ids
    assert more[-1].split()[1] not in {x.split()[1] for x in ids}
    assert int(now.split()[1]) > int(stat.split()[1])
    assert poll() == (now, more)


def others_delete():
    """By IMAP, in the same process and in another; by a session that began
    before ours; and at QUIT of our own."""
    ids = [x.split()[1] for x in poll()[1]]

    def now(want):
        for _ in range(3):
            got = [x.split()[1] for x in poll()[1]]
            assert got == want, (len(got), len(want))

    with imap() as i:
        now(ids)
        i.store("1", "+FLAGS", r"\Deleted")
        i.expunge()
        now(ids[1:])
        i.store("1", "+FLAGS", r"\Deleted")
        i.expunge()
        now(ids[2:])
    with m.pop3("alice") as a:
        now(ids[2:])
        with m.pop3("alice") as b:
            b.ok("DELE 1")
            b.ok("QUIT")
        now(ids[3:])
        assert len(a.many("UIDL")) == len(ids) - 2      # as at its login
        a.ok("QUIT")
    now(ids[3:])
    with m.pop3("alice") as c:
        c.ok("DELE 1")
        c.ok("QUIT")
    now(ids[4:])


def another_format():
    ids = [x.split()[1] for x in poll()[1]]
    for name, value, want in (
            ("pop3d_uidl_format", "%v.%u", lambda x: "." in x),
            ("pop3d_uidl_format", "%i", lambda x: "." not in x)):
        m.command("postconf", "-e", f"{name}={value}")
        m.command("mansio", "reload")
        end = time.monotonic() + TIMEOUT
        while True:
            now = poll()[1]
            if all(want(x.split()[1]) for x in now):
                break
            assert time.monotonic() < end
    assert [x.split()[1] for x in now] == ids


def imported_ids():
    """Ids of another server, which an import puts beside the messages."""
    before = poll()[1]
    assert poll()[1] == before
    with imap() as i:
        validity = int(i.response("UIDVALIDITY")[1][0])
        uids = i.uid("SEARCH", "ALL")[1][0].split()[:2]
    assert poll()[1] == before
    path = f"{m.mail}/example.test/alice/00000001.uidl"
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(f"mansio-uidl 1 {validity}\n{int(uids[0])} from-elsewhere\n")
    shutil.chown(path + ".new", m.vmail.pw_uid, m.vmail.pw_gid)
    os.rename(path + ".new", path)
    for _ in range(3):
        assert poll()[1] == ["1 from-elsewhere"] + before[1:]
    with open(path, "a", encoding="ascii") as f:
        f.write(f"{int(uids[1])} 2nd\n")
    for _ in range(3):
        assert poll()[1] == ["1 from-elsewhere", "2 2nd"] + before[2:]
    os.remove(path)
    for _ in range(2):
        assert poll()[1] == before


def slowly():
    """What the kernel does not take waits, and what was pipelined behind it
    comes behind it; a client may also go away."""
    stat, ids = poll()
    assert poll() == (stat, ids)
    for how in (1, 2, 3):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            s.settimeout(TIMEOUT)
            s.connect(("127.0.0.1", m.pop3_port))
            s.sendall(b"USER alice@example.test\r\nPASS wonderland\r\n" +
                      b"UIDL\r\nSTAT\r\n" * how + b"QUIT\r\n")
            if how == 2:
                s.shutdown(socket.SHUT_WR)
            time.sleep(0.3)
            if how == 3:
                s.recv(1000)
                continue                # with all of it on its way
            got = b""
            while data := s.recv(4096):
                got += data
            lines = got.decode().split("\r\n")
            answer = ["+OK"] + ids + [".", "+OK " + stat]
            assert lines[3:] == answer * how + ["+OK Logging out", ""], (
                how, len(lines))
    assert poll() == (stat, ids)


def gone():
    """A process that leaves has closed what it kept, and purges after that."""
    poll()
    process = min(m.session_pids())
    m.command("mansio", "kick", BOX, check=False)
    end = time.monotonic() + TIMEOUT
    while process in m.session_pids():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert poll()[0].split()[0]


with Users({"session_max_idle": "1h"}, users=["alice"], tls=True) as m:
    fill()
    for test in (the_same, marked, arrival, others_delete, another_format,
                 imported_ids, slowly, gone):
        case(test)
    bad = [x for x in m.log().splitlines() if "panic" in x or "fatal" in x
           or "killed by signal" in x or "sandbox" in x]
    assert not bad, bad
print(f"{passed} passed, 0 failed, 0 skipped")
