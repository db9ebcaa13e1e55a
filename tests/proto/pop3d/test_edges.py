#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 200
"""pop3d where two features meet: UTF8 and STLS, a pipeline behind STLS, initial
responses at their edges, headers without an end, lists around each power of
ten, and a QUIT that cannot delete."""
import base64
import imaplib
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from instance import need_root, skip  # noqa: E402
from mailusers import PASSWORDS, Users  # noqa: E402

PLAIN = base64.b64encode(b"\0alice@example.test\0wonderland").decode()
passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


class Edges(Users):
    def fill(self, user, count):
        """So many messages, in a few commands."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port) as i:
            i.login(f"{user}@example.test", PASSWORDS[user])
            i.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")
            i.select("INBOX")
            have = 1
            while have < count:
                i.copy(f"1:{min(have, count - have)}", "INBOX")
                i.noop()
                have += min(have, count - have)


def utf8_before_stls():
    """RFC 2595 4: what was said before TLS is void, the mode as well."""
    with m.pop3() as c:
        c.ok("UTF8")
        c.ok("STLS")
        c.tls(m.ca)
        assert "UTF8 USER" in c.many("CAPA")
        c.login("alice")
        c.err("RETR 1", "[UTF8]")
        c.err("TOP 1 0", "[UTF8]")
        c.ok("QUIT")
    with m.pop3() as c:
        c.ok("STLS")
        c.tls(m.ca)
        c.ok("UTF8")
        c.login("alice")
        assert "Subject: \u00fcber" in c.many("RETR 1")
        c.err("UTF8")               # RFC 6856 2.1: before the login only
        c.ok("QUIT")


def user_before_stls():
    with m.pop3() as c:
        c.ok("USER alice@example.test")
        c.ok("STLS")
        c.tls(m.ca)
        c.err("PASS wonderland")
        c.login("alice")
        c.ok("QUIT")


def pipeline_behind_stls():
    with m.pop3() as c:
        c.ok("STLS")
        c.tls(m.ca)
        c.send("CAPA\r\nUTF8\r\nLANG\r\nUSER alice@example.test\r\n"
               "PASS wonderland\r\nSTAT\r\nRETR 1\r\nNOSUCH\r\nLIST 1\r\n"
               "QUIT\r\n")
        assert c.line().startswith("+OK") and c.lines()
        assert c.line().startswith("+OK")
        assert c.line().startswith("+OK") and c.lines()
        assert c.line().startswith("+OK")
        assert c.line() == "+OK Logged in"
        assert c.line().startswith("+OK 3 ")
        assert c.line().startswith("+OK") and c.lines()
        assert c.line().startswith("-ERR [SYS/PERM]")
        assert c.line().startswith("+OK 1 ")
        assert c.line().startswith("+OK Logging out")
        assert c.at_end()


def initial_responses():
    """RFC 5034 4: one, "=" for an empty one, none; and what is neither."""
    for words in (PLAIN + " ", " " + PLAIN):
        with m.pop3() as c:
            got = c.ask(f"AUTH PLAIN {words}")
            assert got.startswith(("+OK", "-ERR")), got
    for bad in (PLAIN[:-1], PLAIN + "=", PLAIN + "AAAA", "====", "=A", "A",
                PLAIN[:8] + "\0" + PLAIN[8:], PLAIN + " " + PLAIN):
        with m.pop3() as c:
            c.err(f"AUTH PLAIN {bad}")
            c.login("alice")
            c.ok("QUIT")
    with m.pop3() as c:
        assert c.ask("auth plain") == "+ "
        c.ok(PLAIN)
        c.ok("QUIT")
    with m.pop3() as c:         # the empty one; and what follows it
        assert c.ask("AUTH PLAIN =").startswith("-ERR")
        c.send(f"AUTH PLAIN {PLAIN}\r\nSTAT\r\nAUTH PLAIN\r\n")
        assert c.line().startswith("+OK") and c.line().startswith("+OK 3")
        assert c.line().startswith("-ERR")
        c.ok("QUIT")
    with m.pop3() as c:         # as long as it may be, and longer
        c.err("AUTH PLAIN " + "A" * 20000)
        c.err("AUTH PLAIN " + "A" * 40000)
        c.login("alice")
        c.ok("QUIT")


def huge_headers():
    """TOP of a header without an end; one line of 100,000 bytes."""
    with m.pop3("alice") as c:
        full = c.many("RETR 2")
        at = full.index("")
        assert at > 20000, at
        assert c.many("TOP 2 0") == full[:at + 1]
        assert c.many("TOP 2 1") == full[:at + 2]
        assert c.many("TOP 2 4294967295") == full
        text = c.many("TOP 3 0")
        assert any(len(line) > 90000 for line in text)
        c.ok("QUIT")


def numbers():
    """Lists count as text: each number once, in order, also where one more
    digit is needed, and where messages in between are deleted."""
    m.fill("carol", 1103)
    with m.pop3("carol") as c:
        for verb in ("LIST", "UIDL"):
            got = [r.split()[0] for r in c.many(verb)]
            assert got == [str(n) for n in range(1, 1104)]
        gone = {1, 9, 10, 11, 99, 100, 999, 1000, 1001, 1103}
        for n in gone:
            c.ok(f"DELE {n}")
        for verb in ("LIST", "UIDL"):
            got = [r.split()[0] for r in c.many(verb)]
            assert got == [str(n) for n in range(1, 1104) if n not in gone]
        c.ok("RSET")
        c.ok("QUIT")


def full_disk():
    """RFC 1939 6: QUIT that cannot delete says so, and nothing is gone."""
    need_root()
    base = tempfile.mkdtemp(prefix="mansio-test-")
    os.chmod(base, 0o755)
    os.mkdir(f"{base}/mail")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=755",
                       "none", f"{base}/mail"], check=False).returncode:
        skip("no tmpfs")
    try:
        with Edges(base=base) as d:
            # What is said of every other message is longer than the pages
            # that the files have.
            d.fill("alice", 4000)
            with d.pop3("alice") as c:
                before = c.many("UIDL")
                for n in range(1, 4001, 2):
                    c.ok(f"DELE {n}")
                with open(f"{base}/mail/fill", "wb", buffering=0) as f:
                    for size in (1 << 16, 1):
                        try:
                            while f.write(b"x" * size) == size:
                                pass
                        except OSError:
                            continue
                c.err("QUIT", "[SYS/TEMP]")
                assert c.at_end()
            d.wait_log("cannot delete")
            os.unlink(f"{base}/mail/fill")
            with d.pop3("alice") as c:
                assert c.many("UIDL") == before
                c.ok("DELE 1")
                c.ok("QUIT")
            with d.pop3("alice") as c:
                assert [r.split()[1] for r in c.many("UIDL")] == \
                    [r.split()[1] for r in before[1:]]
                c.ok("QUIT")
    finally:
        subprocess.run(["umount", "-l", f"{base}/mail"], check=False)


with Edges({"pop3d_utf8_strict": "yes"}, users=["alice", "bob", "carol"],
           tls=True) as m:
    m.send("alice", "Subject: \u00fcber\r\n\r\n\u00e4\r\n")
    m.wait_idle()
    m.send("alice", "Subject: long\r\n" + "".join(
        f"X-{n}: {n}\r\n" for n in range(20001)) + "\r\nfirst\r\nsecond\r\n")
    m.wait_idle()
    m.send("alice", "Subject: wide\r\nX-Wide: " + "w " * 50000 +
           "\r\n\r\nx\r\n")
    m.wait_idle()
    for test in (utf8_before_stls, user_before_stls, pipeline_behind_stls,
                 initial_responses, huge_headers, numbers):
        case(test)
    bad = [x for x in m.log().splitlines() if "panic" in x or "fatal" in x]
    assert not bad, bad
case(full_disk)
print(f"{passed} passed, 0 failed, 0 skipped")
