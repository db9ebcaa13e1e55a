#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""pop3d: a mailbox that IMAP clients and other POP3 clients have open, too,
and one of 100,000 messages."""
import imaplib
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import TIMEOUT, Users  # noqa: E402

passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


def imap(user="alice", password="wonderland"):
    i = imaplib.IMAP4("127.0.0.1", m.imap_port, TIMEOUT)
    i.login(f"{user}@example.test", password)
    i.select()
    return i


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def refill(n=5):
    with imap() as i:
        ok(i.store("1:*", "+FLAGS", r"\Deleted")) if i.search(
            None, "ALL")[1] != [b""] else None
        ok(i.expunge())
        for k in range(n):
            ok(i.append("INBOX", None, None, b"Subject: %d\r\n\r\n%d\r\n"
                        % (k, k)))


def subjects(i):
    ok(i.noop())
    found = ok(i.search(None, "ALL"))[0].split()
    if not found:
        return []
    rows = ok(i.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    return [(row[1].split()[1].decode(), rb"\Seen" in row[0])
            for row in rows if isinstance(row, tuple)]


def read_gone(c, n, last):
    """A message that others have expunged; a maildir's file is gone."""
    if m.is_maildir:
        c.err(f"RETR {n}", "[SYS/PERM]")
    else:
        assert c.many(f"RETR {n}")[-1] == last


def imap_sees_pop3():
    refill()
    with imap() as i, m.pop3("alice") as c:
        assert [s for s, _ in subjects(i)] == list("01234")
        c.many("RETR 1")
        c.ok("DELE 2")
        c.ok("DELE 4")
        assert len(subjects(i)) == 5        # not before QUIT
        i.send(b"x IDLE\r\n")
        assert i.readline().startswith(b"+")
        c.ok("QUIT")
        told = b""
        while told.count(b"EXPUNGE") < 2 or b"Seen" not in told:
            told += i.readline()            # pushed
        i.send(b"DONE\r\n")
        while not i.readline().startswith(b"x OK"):
            pass
        assert subjects(i) == [("0", True), ("2", False), ("4", False)]


def pop3_keeps_its_view():
    refill()
    with imap() as i, m.pop3("alice") as c:
        listed, ids = c.many("LIST"), c.many("UIDL")
        ok(i.store("2:3", "+FLAGS", r"\Deleted"))
        ok(i.expunge())
        ok(i.append("INBOX", None, None, b"Subject: new\r\n\r\n"))
        assert c.many("LIST") == listed and c.many("UIDL") == ids
        assert c.ok("STAT").split()[0] == "5"
        for n in (1, 4, 5):
            assert c.many(f"RETR {n}")[-1] == str(n - 1)
        for n in (2, 3):
            read_gone(c, n, str(n - 1))
        c.ok("DELE 2")                      # gone already
        c.ok("DELE 4")
        c.ok("QUIT")
        assert [s for s, _ in subjects(i)] == ["0", "4", "new"]
    with m.pop3("alice") as c:
        again = [x.split()[1] for x in c.many("UIDL")]
        assert again[:2] == [ids[0].split()[1], ids[4].split()[1]]
        assert again[2] not in ids


def two_delete_the_same():
    refill()
    with m.pop3("alice") as a, m.pop3("alice") as b:
        for n in (1, 2, 3):
            a.ok(f"DELE {n}")
        for n in (3, 4):
            b.ok(f"DELE {n}")
        a.ok("QUIT")
        read_gone(b, 2, "1")
        b.ok("QUIT")
    with imap() as i:
        assert [s for s, _ in subjects(i)] == ["4"]


def many_at_once():
    """Each message goes to somebody, none is lost."""
    refill(60)
    got, lock = [], threading.Lock()

    def client(part):
        with m.pop3("alice") as c:
            count = int(c.ok("STAT").split()[0])
            assert count == 60
            for n in range(part + 1, count + 1, 3):
                with lock:
                    got.append(c.many(f"RETR {n}")[-1])
                c.ok(f"DELE {n}")
            barrier.wait()
            c.ok("QUIT")

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=client, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(got, key=int) == [str(n) for n in range(60)]
    with m.pop3("alice") as c:
        assert c.ok("STAT") == "0 0"


def the_mailbox_goes():
    """Messages that are gone for good are an error each, nothing more."""
    refill(3)
    with m.pop3("alice") as c, imap() as i:
        ok(i.create("Elsewhere"))
        ok(i._simple_command("MOVE", "1:3", "Elsewhere"))
        for n in (1, 2, 3):
            read_gone(c, n, str(n - 1))
            c.ok(f"DELE {n}")
        c.ok("QUIT")
        ok(i.select("Elsewhere"))
        assert len(subjects(i)) == 3        # they were not its any more
        ok(i.select())


def a_hundred_thousand():
    doublings, first = (10, 100) if not m.is_maildir else (3, 50)
    with imap("bob", "builder") as i:
        for n in range(first):
            ok(i.append("INBOX", None, None, b"Subject: %d\r\n\r\nbody"
                        % n))
        for _ in range(doublings):
            ok(i.copy("1:*", "INBOX"))
            ok(i.noop())
    count = first << doublings
    with m.pop3("bob") as c:
        stat = c.ok("STAT").split()
        assert int(stat[0]) == count
        sizes = [int(x.split()[1]) for x in c.many("LIST")]
        assert len(sizes) == count and sum(sizes) == int(stat[1])
        ids = [x.split()[1] for x in c.many("UIDL")]
        assert len(set(ids)) == count
        assert c.many(f"RETR {count}") == ["Subject: 99" if first == 100
                                           else "Subject: 49", "", "body"]
        # All of it in one go, from a client that reads only afterwards.
        sender = threading.Thread(target=c.send, args=(
            "".join(f"DELE {n}\r\n" for n in range(1, count + 1)) +
            "STAT\r\nRSET\r\n",))
        sender.start()
        for _ in range(count):
            assert c.line().startswith("+OK")
        assert c.line() == "+OK 0 0" and c.line().startswith("+OK")
        sender.join()
        for n in range(1, count // 2 + 1):
            c.send(f"DELE {n}\r\n")
        for n in range(1, count // 2 + 1):
            c.line()
        c.ok("QUIT")
    with m.pop3("bob") as c:
        assert int(c.ok("STAT").split()[0]) == count - count // 2
        left = [x.split()[1] for x in c.many("UIDL")]
        assert left == ids[count // 2:]


for maildir in (False, True):
    with Users(maildir=maildir) as m:
        case(imap_sees_pop3)
        case(pop3_keeps_its_view)
        case(two_delete_the_same)
        case(many_at_once)
        case(the_mailbox_goes)
        case(a_hundred_thousand)
        dead = re.search(r"(panic|killed by signal|fatal).*", m.log())
        assert not dead, dead
print(f"{passed} passed, 0 failed, 0 skipped")
