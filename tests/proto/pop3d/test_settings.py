#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pop3d: what its settings do: ids, deletion, expiry, delays, mailboxes."""
import os
import re
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


def use(probe, **settings):
    """Reload with these, and look whether sessions have them."""
    m.reload(*(f"{k}={v}" for k, v in settings.items()))
    with m.pop3("bob") as c:
        assert probe(c), settings


def ids(c):
    return [line.split()[1] for line in c.many("UIDL")]


def fill(n=2):
    for i in range(n):
        m.send("alice", f"Subject: {i}\r\n\r\nbody\r\n")
    m.wait_idle()


def unique_ids():
    fill()
    m.send("bob", "Subject: bob\r\n\r\nx\r\n")
    m.wait_idle()
    with m.pop3("alice") as c:
        default = ids(c)
        assert all(re.fullmatch("[0-9a-f]{32}", i) for i in default)
    for compat, form in (("dovecot", "[0-9a-f]{16}"),
                         ("courier", r"UID\d+-\d+"), ("cyrus", r"\d+\.\d+")):
        use(lambda c, f=form: re.fullmatch(f, ids(c)[0]),
            pop3d_uidl_compat=compat)
        with m.pop3("alice") as c:
            got = ids(c)
            assert len(set(got)) == 2, got
            assert all(re.fullmatch(form, i) for i in got), got
            if compat == "dovecot":         # UID, then UIDVALIDITY
                assert got[0][8:] == got[1][8:]
                assert int(got[0][:8], 16) < int(got[1][:8], 16)
    use(lambda c: ids(c)[0].startswith("x-"), pop3d_uidl_compat="none",
        pop3d_uidl_format="x-%u-%08Xv")
    with m.pop3("alice") as c:
        halves = [(i.split("-")[2], int(i.split("-")[1])) for i in ids(c)]
    use(lambda c: re.fullmatch("[0-9a-f]{16}", ids(c)[0]),
        pop3d_uidl_format="%08Xv%08Xu")
    with m.pop3("alice") as c:
        assert ids(c) == [f"{v}{u:08x}" for v, u in halves]
    use(lambda c: re.fullmatch("[0-9a-f]{32}", ids(c)[0]),
        pop3d_uidl_format="%f")             # there are no files
    use(lambda c: re.fullmatch("[0-9a-f]{32}", ids(c)[0]),
        pop3d_uidl_format="%i")
    with m.pop3("alice") as c:              # the same ones again
        assert ids(c) == default
    for bad in ("same", "x%f", "%q", "a b%u", "%i%i%i", ""):
        m.command("postconf", "-e", f"pop3d_uidl_format={bad}")
        assert m.command("mansio", "check",
                         check=False).returncode != 0, bad
    m.command("postconf", "-e", "pop3d_uidl_format=%i")
    m.command("mansio", "check")


def to_the_trash():
    use(lambda c: True, pop3d_delete_action="trash")
    with m.pop3("alice") as c:
        assert c.ok("STAT").split()[0] == "2"
        c.ok("DELE 1")
        c.ok("QUIT")
    use(lambda c: True, pop3d_mailbox="Trash")
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        with m.pop3("alice") as c:
            got = c.ok("STAT").split()[0], ids(c)
        if got[0] == "1":
            break
        time.sleep(0.1)
    assert got[0] == "1" and got[1][0].startswith(first_id + "-"), got
    with m.pop3("alice") as c:              # there, deleted is deleted
        c.ok("DELE 1")
        c.ok("QUIT")
    with m.pop3("alice") as c:
        assert c.ok("STAT") == "0 0"
    m.command("postconf", "-e", "pop3d_mailbox=INBOX",
              "pop3d_delete_action=expunge")


def expiry():
    use(lambda c: "EXPIRE 0" in c.many("CAPA"), pop3d_expire="0")
    fill(1)
    with m.pop3("alice") as c:
        n = int(c.ok("STAT").split()[0])
        c.many("RETR 1")
        c.ok("QUIT")                        # what was retrieved goes
    with m.pop3("alice") as c:
        assert int(c.ok("STAT").split()[0]) == n - 1
        c.many("RETR 1")                    # but not without QUIT
    use(lambda c: "EXPIRE 30" in c.many("CAPA"), pop3d_expire="30")
    with m.pop3("alice") as c:
        assert int(c.ok("STAT").split()[0]) == n - 1
        c.many("RETR 1")
        c.ok("QUIT")
    with m.pop3("alice") as c:              # not old enough
        assert int(c.ok("STAT").split()[0]) == n - 1
    for bad in ("soon", "-1", "1d"):
        m.command("postconf", "-e", f"pop3d_expire={bad}")
        assert m.command("mansio", "check", check=False).returncode != 0
    m.command("postconf", "-e", "pop3d_expire=never")


def strict_utf8():
    """RFC 6856 2.1, 5."""
    def last(c):
        return c.ok("STAT").split()[0]

    m.send("bob", "Subject: \u00fcber\r\n\r\nx\r\n")
    m.send("bob", "Subject: body\r\n\r\n\u00fc\r\n")
    m.wait_idle()
    with m.pop3("bob") as c:
        found = [n for n in range(1, int(last(c)) + 1)
                 if "Subject: \u00fcber" in c.many(f"RETR {n}")]
        assert len(found) == 1
    n = found[0]
    use(lambda c: "[UTF8]" in c.ask(f"TOP {n} 0"), pop3d_utf8_strict="yes")
    with m.pop3("bob") as c:
        c.err(f"RETR {n}", "[UTF8]")
        c.ok("NOOP")
        for other in range(1, int(last(c)) + 1):
            if other != n:
                c.many(f"RETR {other}")
    with m.pop3() as c:
        c.ok("UTF8")
        c.login("bob")
        assert "Subject: \u00fcber" in c.many(f"RETR {n}")
    m.command("postconf", "-e", "pop3d_utf8_strict=no")


def no_utf8():
    use(lambda c: "LANG" not in c.many("CAPA"), pop3d_utf8_enable="no")
    with m.pop3() as c:
        c.err("UTF8")
        c.err("LANG")
        assert "UTF8 USER" not in c.many("CAPA")


def login_delay():
    m.reload("pop3d_login_delay=1h")
    with m.pop3() as c:
        assert "LOGIN-DELAY 3600" in c.many("CAPA")
        c.ok("USER carol@example.test")
        c.ok("PASS christmas")
        c.ok("QUIT")
    with m.pop3() as c:
        c.ok("USER carol@example.test")
        c.err("PASS christmas", "[LOGIN-DELAY]")
        c.ok("QUIT")


with Users({"pop3d_user_connection_limit": "0"}) as m:
    case(unique_ids)
    with m.pop3("alice") as client:
        first_id = ids(client)[0]
    case(to_the_trash)
    case(expiry)
    case(strict_utf8)
    case(no_utf8)
    case(login_delay)
print(f"{passed} passed, 0 failed, 0 skipped")
