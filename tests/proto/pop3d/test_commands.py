#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pop3d: every command in every state (RFC 1939, 2449, 5034, 6856)."""
import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import Users  # noqa: E402

passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


def mail(n, body="body\r\n"):
    return f"Subject: {n}\r\nMessage-ID: <{n}@x>\r\nX-Dot: .\r\n\r\n{body}"


def before_the_login():
    with m.pop3() as c:
        assert c.greeting == "+OK mail.example.test POP3 ready", c.greeting
        capa = c.many("capa")
        for word in ("TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE",
                     "PIPELINING", "EXPIRE NEVER", "USER", "UTF8 USER",
                     "LANG"):
            assert word in capa, (word, capa)
        assert any(line.startswith("SASL ") and "PLAIN" in line.split()
                   for line in capa)
        # No TLS is configured, and no delay.
        assert "STLS" not in capa
        assert not any(line.startswith("LOGIN-DELAY") for line in capa)
        for command in ("STAT", "LIST", "LIST 1", "RETR 1", "DELE 1",
                        "NOOP", "RSET", "TOP 1 0", "UIDL"):
            c.err(command)
        c.err("APOP alice c4c9334bac560ecc979e58001b3e22fb")
        c.err("STLS", "[SYS/TEMP]")
        c.err("")
        c.err("XYZZY")
        c.err("PASS early")
        c.err("USER")
        assert c.many("LANG")[0].startswith("en ")
        c.ok("LANG en")
        c.err("LANG tlh")
        c.ok("UTF8")
        c.ok("QUIT")
        assert c.at_end()


def logins():
    with m.pop3() as c:
        c.ok("user alice@example.test")
        c.err("pass wrong", "[AUTH]")
        c.err("PASS wonderland")        # USER once more, after a failure
        c.ok("USER bob@example.test")
        c.ok("USER alice@example.test")
        c.ok("PASS wonderland")
        c.ok("QUIT")
    plain = base64.b64encode(b"\0alice@example.test\0wonderland").decode()
    with m.pop3() as c:
        assert "PLAIN" in c.many("AUTH")
        c.ok(f"AUTH PLAIN {plain}")
        c.ok("QUIT")
    with m.pop3() as c:                 # no initial response
        assert c.ask("AUTH plain") == "+ "
        c.ok(plain)
        c.ok("QUIT")
    with m.pop3() as c:
        assert c.ask("AUTH LOGIN").startswith("+ ")
        assert c.ask(base64.b64encode(b"bob@example.test").decode()) \
            .startswith("+ ")
        c.ok(base64.b64encode(b"builder").decode())
        c.ok("QUIT")
    with m.pop3() as c:                 # cancelled, malformed, unknown
        assert c.ask("AUTH PLAIN") == "+ "
        c.err("*", None)       # nothing is wrong
        assert c.ask("AUTH PLAIN") == "+ "
        c.err("no base64!")
        c.err("AUTH PLAIN no+base64!")
        c.err("AUTH PLAIN =")
        c.err("AUTH NOSUCH")
        c.err("AUTH " + "A" * 100)
        c.ok(f"AUTH PLAIN {plain}")
        c.ok("QUIT")


def in_the_session():
    for n in range(3):
        m.send("alice", mail(n))
    m.wait_idle()
    with m.pop3("alice") as c:
        count, size = map(int, c.ok("STAT").split())
        assert count == 3
        listed = dict(map(int, line.split()) for line in c.many("LIST"))
        assert sorted(listed) == [1, 2, 3] and sum(listed.values()) == size
        assert c.ok("LIST 2") == f"2 {listed[2]}"
        ids = dict(line.split() for line in c.many("UIDL"))
        assert len(set(ids.values())) == 3
        assert all(1 <= len(i) <= 70 and all("!" <= ch <= "~" for ch in i)
                   for i in ids.values())
        assert c.ok("UIDL 3") == f"3 {ids['3']}"
        for n in (1, 2, 3):
            text = c.many(f"RETR {n}")
            assert sum(len(line) + 2 for line in text) == listed[n]
            assert text[-1] == "body" and "X-Dot: ." in text, text
        top = c.many("TOP 1 0")
        assert top[-1] == "" and "body" not in top
        assert c.many("TOP 1 1")[-1] == "body"
        assert c.many("TOP 1 100000")[-1] == "body"
        for bad in ("LIST 0", "LIST 4", "LIST x", "LIST -1", "LIST 1 2",
                    "LIST 4294967296", "LIST 99999999999999999999",
                    "RETR", "RETR 0", "RETR 4", "RETR 1 2", "RETR 1x",
                    "DELE", "DELE 0", "DELE 4", "TOP", "TOP 1", "TOP 1 x",
                    "TOP 1 -1", "TOP 9 1", "TOP 1 1 1", "UIDL 4", "UIDL 0",
                    "STAT 1", "NOOP x"):
            c.err(bad)
    with m.pop3("alice") as c:
        for wrong in ("USER x", "PASS x", "AUTH PLAIN", "AUTH", "STLS",
                      "UTF8", "APOP a b", "BOGUS", ""):
            c.err(wrong)
        assert "TOP" in c.many("CAPA")
        c.ok("LANG *")
        c.ok("DELE 2")
        c.err("DELE 2")
        c.err("RETR 2")
        c.err("LIST 2")
        c.err("UIDL 2")
        assert c.ok("STAT").split()[0] == "2"
        assert [line.split()[0] for line in c.many("LIST")] == ["1", "3"]
        assert [line.split()[0] for line in c.many("UIDL")] == ["1", "3"]
        c.ok("RSET")
        assert c.ok("STAT").split()[0] == "3"
        c.ok("DELE 1")
        # Without QUIT nothing goes.
    with m.pop3("alice") as c:
        assert c.ok("STAT").split()[0] == "3"
        c.ok("DELE 1")
        c.ok("QUIT")
        assert c.at_end()
    with m.pop3("alice") as c:
        assert dict(line.split() for line in c.many("UIDL")) == \
            {"1": ids["2"], "2": ids["3"]}
        c.ok("QUIT")


def empty_mailbox():
    with m.pop3("carol") as c:
        assert c.ok("STAT") == "0 0"
        assert c.many("LIST") == [] and c.many("UIDL") == []
        c.err("RETR 1")
        c.ok("QUIT")


def pipelined():
    m.send("bob", mail("p"))
    m.wait_idle()
    with m.pop3() as c:
        c.send("CAPA\r\nUSER bob@example.test\r\nPASS builder\r\nSTAT\r\n"
               "LIST\r\nRETR 1\r\nNOOP\r\nQUIT\r\n")
        c.line(), c.lines()
        assert c.line() == "+OK" and c.line() == "+OK Logged in"
        assert c.line().startswith("+OK 1 ")
        c.line(), c.lines(), c.line(), c.lines()
        assert c.line() == "+OK" and c.line() == "+OK Logging out"
        assert c.at_end()


for maildir in (False, True):
    with Users({"pop3d_hard_error_limit": "1000"}, maildir=maildir) as m:
        case(before_the_login)
        case(logins)
        case(in_the_session)
        case(empty_mailbox)
        case(pipelined)
        log = m.log()
        assert "wonderland" not in log and "builder" not in log
        assert "pop3: login: user=<alice@example.test>, method=PLAIN, " \
            "rip=127.0.0.1" in log
        assert "pop3: logout: user=<alice@example.test>, Logged out, in=" in log
        warnings = [line for line in log.splitlines() if "warning: " in line
                    and "no certificate is configured" not in line
                    and "running as mail_owner" not in line]
        assert not warnings, warnings
print(f"{passed} passed, 0 failed, 0 skipped")
