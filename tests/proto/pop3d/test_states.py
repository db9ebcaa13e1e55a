#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""pop3d: each command in each state of a session, and what each clause asks.

States: AUTHORIZATION in the clear ("clear"), behind USER ("user"), behind TLS
("tls"), behind UTF8 ("utf8"), in the middle of an AUTH ("auth"); TRANSACTION in
the clear ("open"), with TLS ("opentls"), in UTF-8 mode ("openutf8"), and with
a message deleted ("deleted").  COMMANDS is the table of what is allowed where;
the clauses that are not about one command are functions below, and elsewhere:

RFC 1939 3  case, line lengths, -ERR for the unknown	COMMANDS, answers_fit
	    ten minutes of patience			timers
	    dot-stuffing, CRLF, final "."		stuffing, test_sizes
RFC 1939 4  USER again after a failure, QUIT		COMMANDS, test_commands
	    exclusive lock or not			test_hostile (locked)
RFC 1939 5  STAT LIST RETR DELE NOOP RSET		COMMANDS, deletions
	    the format of the scan listing		listings
RFC 1939 6  UPDATE only by QUIT after a login		updates, test_together
RFC 1939 7  TOP UIDL USER PASS; APOP is off		COMMANDS, listings
RFC 1939 8  sizes as sent				test_sizes
RFC 1734, RFC 5034  AUTH				COMMANDS, sasl
RFC 2449 4  lines of 255 octets are taken		long_commands
RFC 2449 5  CAPA in both states				COMMANDS, capabilities
RFC 2449 6  each capability does what it says		capabilities, test_settings
RFC 2449 6.6  PIPELINING				pipelines, test_commands
RFC 2449 8, RFC 3206  response codes			Pop3.err, test_hostile
RFC 2595 4  STLS, once, what was said before is void	COMMANDS, test_tls
RFC 6856 2  UTF8					COMMANDS, utf8, test_settings
RFC 6856 3  LANG					COMMANDS, languages
"""
import base64
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import Users  # noqa: E402

PLAIN = base64.b64encode(b"\0alice@example.test\0wonderland").decode()
BEFORE = ("clear", "user", "tls", "utf8")
AFTER = ("open", "opentls", "openutf8", "deleted")
NO = "-"		# refused
YES = "+"		# one line
MANY = "*"		# +OK and more lines
passed = 0

# Command, in AUTHORIZATION, in TRANSACTION, {state: where it is another way}.
COMMANDS = (
    ("CAPA", MANY, MANY, {}),				# RFC 2449 5
    ("STLS", YES, NO, {"tls": NO}),			# RFC 2595 4
    ("USER alice@example.test", YES, NO, {}),		# RFC 1939 7
    ("USER", NO, NO, {}),
    ("PASS wonderland", NO, NO, {"user": YES}),
    ("PASS", NO, NO, {}),
    ("APOP alice c4c9334bac560ecc979e58001b3e22fb", NO, NO, {}),
    ("AUTH", MANY, NO, {}),				# RFC 1734
    ("AUTH PLAIN", "+ ", NO, {}),			# RFC 5034 4
    (f"AUTH PLAIN {PLAIN}", YES, NO, {}),
    ("AUTH PLAIN =", NO, NO, {}),
    ("AUTH PLAIN !", NO, NO, {}),
    ("AUTH NOSUCH", NO, NO, {}),
    ("UTF8", YES, NO, {}),				# RFC 6856 2.1
    ("UTF8 x", NO, NO, {}),
    ("LANG", MANY, MANY, {}),				# RFC 6856 3
    ("LANG en", YES, YES, {}),
    ("LANG *", YES, YES, {}),
    ("LANG tlh", NO, NO, {}),
    ("STAT", NO, YES, {}),				# RFC 1939 5
    ("STAT x", NO, NO, {}),
    ("LIST", NO, MANY, {}),
    ("LIST 1", NO, YES, {}),
    ("LIST 2", NO, YES, {"deleted": NO}),
    ("LIST 0", NO, NO, {}),
    ("LIST 4", NO, NO, {}),
    ("LIST x", NO, NO, {}),
    ("RETR 1", NO, MANY, {}),
    ("RETR 2", NO, MANY, {"deleted": NO}),
    ("RETR", NO, NO, {}),
    ("RETR 4", NO, NO, {}),
    ("RETR 1 1", NO, NO, {}),
    ("DELE 1", NO, YES, {}),
    ("DELE 2", NO, YES, {"deleted": NO}),
    ("DELE", NO, NO, {}),
    ("DELE -1", NO, NO, {}),
    ("DELE 18446744073709551617", NO, NO, {}),
    ("NOOP", NO, YES, {}),
    ("NOOP x", NO, NO, {}),
    ("RSET", NO, YES, {}),
    ("RSET 1", NO, NO, {}),
    ("TOP 1 0", NO, MANY, {}),				# RFC 1939 7
    ("TOP 1 99999", NO, MANY, {}),
    ("TOP 2 1", NO, MANY, {"deleted": NO}),
    ("TOP 1", NO, NO, {}),
    ("TOP 1 -1", NO, NO, {}),
    ("TOP", NO, NO, {}),
    ("UIDL", NO, MANY, {}),
    ("UIDL 1", NO, YES, {}),
    ("UIDL 2", NO, YES, {"deleted": NO}),
    ("UIDL 4", NO, NO, {}),
    ("XYZZY", NO, NO, {}),
    ("XTND XMIT", NO, NO, {}),
    ("", NO, NO, {}),
    (" STAT", NO, NO, {}),
    ("QUIT", YES, YES, {}),				# RFC 1939 4, 6
)
ENDS = ("QUIT", "STLS", "AUTH PLAIN", "PASS wonderland")


def case(fn):
    global passed
    fn()
    passed += 1


def enter(state):
    """A client in that state."""
    c = m.pop3()
    if state in ("tls", "opentls"):
        c.ok("STLS")
        c.tls(m.ca)
    if state in ("utf8", "openutf8"):
        c.ok("UTF8")
    if state == "user":
        c.ok("USER alice@example.test")
    if state == "auth":
        assert c.ask("AUTH PLAIN") == "+ "
    if state in AFTER:
        c.login("alice")
    if state == "deleted":
        c.ok("DELE 2")
    return c


def check(c, command, want):
    if want == NO:
        c.err(command)
    elif want == MANY:
        c.many(command)
    elif want == YES:
        c.ok(command)
    else:
        assert c.ask(command) == want, (command, want)


def still_there(c, state, command):
    """The session is in the state it was in."""
    if command in ENDS or command.startswith("AUTH PLAIN A"):
        return
    if state in AFTER:
        c.ok("NOOP")
    else:
        c.err("NOOP")


def table():
    for state in BEFORE + AFTER:
        with enter(state) as c:
            for command, before, after, odd in COMMANDS:
                if (state, command) == ("deleted", "QUIT"):
                    continue        # test_commands, test_together
                want = odd.get(state, before if state in BEFORE else after)
                # What changes the state gets a session of its own.
                if want != NO or "PASS" in command:
                    with enter(state) as other:
                        check(other, command, want)
                        still_there(other, state, command)
                    verb, _, rest = command.partition(" ")
                    with enter(state) as other:
                        check(other, f"{verb.swapcase()} {rest}".rstrip(" ")
                              if rest else verb.swapcase(), want)
                    continue
                check(c, command, want)
                still_there(c, state, command)


def sasl():
    """RFC 5034 4: in the middle of an exchange there are no commands."""
    for command, *_ in COMMANDS:
        with enter("auth") as c:
            c.err(command)
            c.err("NOOP")		# AUTHORIZATION, as before
            c.login("alice")
    with enter("auth") as c:
        c.err("*", None)
        c.login("alice")
        c.err(f"AUTH PLAIN {PLAIN}")	# only once
        c.ok("NOOP")
    # 255 octets are no limit here.
    with m.pop3() as c:
        c.err("AUTH PLAIN " + base64.b64encode(
            b"\0alice@example.test\0" + b"x" * 900).decode(), "[AUTH]")


def answers_fit():
    """RFC 1939 3: 512 octets at most, with CRLF (of multi-line ones the first
    and, but for messages, the others)."""
    with enter("open") as c:
        for command in ("CAPA", "LIST", "UIDL", "LANG", "X" * 900,
                        "LIST " + "9" * 900, "LANG " + "x" * 900):
            c.send(command + "\r\n")
            first = c.line()
            assert len(first) <= 510, first
            if first.startswith("+OK") and command in ("CAPA", "LIST", "UIDL",
                                                       "LANG"):
                assert all(len(line) <= 510 for line in c.lines())


def timers():
    """RFC 1939 3: not less than ten minutes, of their default."""
    got = m.command("postconf", "-d", "-h", "pop3d_timeout").stdout.strip()
    n, unit = re.fullmatch(r"(\d+)([smhd]?)", got).groups()
    assert int(n) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit] \
        >= 600, got


def stuffing():
    with enter("open") as c:
        for command in ("RETR 3", "TOP 3 99"):
            c.ok(command)
            raw = []
            while (line := c.line()) != ".":
                raw.append(line)
            assert raw[-4:] == ["..", "...x", "", "last"], raw


def listings():
    """RFC 1939 5, 7: number, one blank, size or id; ids of 1 to 70 printable
    characters, the same in each session."""
    with enter("open") as c, enter("open") as d:
        rows = c.many("LIST")
        assert [re.fullmatch(r"(\d+) (\d+)", r)[1] for r in rows] == \
            ["1", "2", "3"]
        ids = c.many("UIDL")
        assert all(re.fullmatch(r"[1-3] [!-~]{1,70}", r) for r in ids), ids
        assert len({r.split()[1] for r in ids}) == 3
        assert ids == d.many("UIDL")
        for n in range(3):
            assert c.ok(f"LIST {n + 1}") == rows[n]
            assert c.ok(f"UIDL {n + 1}") == ids[n]
        assert re.fullmatch(r"3 \d+", c.ok("STAT"))


def deletions():
    """RFC 1939 5: a number is that message's to the end of the session."""
    with enter("open") as c:
        before = c.many("UIDL")
        c.ok("DELE 1")
        assert c.many("UIDL") == before[1:]
        assert [r.split()[0] for r in c.many("LIST")] == ["2", "3"]
        assert c.ok("STAT").split()[0] == "2"
        c.ok("DELE 3")
        c.ok("DELE 2")
        assert c.many("LIST") == [] and c.ok("STAT") == "0 0"
        c.ok("RSET")
        assert c.many("UIDL") == before


def updates():
    """RFC 1939 6: nothing goes but by QUIT, and not by one before a login."""
    with enter("deleted"):
        pass
    with enter("deleted") as c:
        c.ok("RSET")
        c.ok("QUIT")
    with enter("user") as c:
        c.ok("QUIT")
        assert c.at_end()
    with enter("open") as c:
        assert c.ok("STAT").split()[0] == "3"


def long_commands():
    """RFC 2449 4: 255 octets with CRLF are taken, and more."""
    with enter("open") as c:
        c.ok("LIST " + "0" * 247 + "1")
    with m.pop3() as c:
        c.ok("USER " + "x" * 248)


def capabilities():
    """RFC 2449 6: those that are the same in both states."""
    with enter("clear") as c:
        before = c.many("CAPA")
    with enter("tls") as c:
        secure = c.many("CAPA")
    with enter("open") as c:
        after = c.many("CAPA")
    for word in ("TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING",
                 "EXPIRE NEVER", "LANG", "UTF8 USER"):
        assert word in before and word in secure and word in after, word
    assert "STLS" in before and "STLS" not in secure and "STLS" not in after
    for found in (before, secure, after):
        tags = [line.split()[0] for line in found]
        assert len(set(tags)) == len(tags), tags
        assert all(re.fullmatch(r"[!-~]+( [!-~]+)*", x) for x in found)
    assert any("PLAIN" in x.split() for x in before if x.startswith("SASL "))
    assert after[-1].startswith("IMPLEMENTATION "), after


def pipelines():
    """RFC 2449 6.6: answers come in order, across the login, and errors do
    not end it."""
    with m.pop3() as c:
        c.send("CAPA\r\nXYZZY\r\nUSER alice@example.test\r\nPASS wrong\r\n"
               f"AUTH PLAIN {PLAIN}\r\nSTAT\r\nRETR 9\r\nLIST 1\r\nRSET\r\n"
               "QUIT\r\n")
        c.line(), c.lines()
        want = ("-ERR [SYS/PERM]", "+OK", "-ERR [AUTH]", "+OK Logged in",
                "+OK 3 ", "-ERR [SYS/PERM]", "+OK 1 ", "+OK", "+OK Logging")
        for w in want:
            got = c.line()
            assert got.startswith(w), (w, got)
        assert c.at_end()


def utf8():
    """RFC 6856 2: names in UTF-8; a mode of the session; a message is sent as
    it is."""
    with enter("utf8") as c:
        c.ok("USER j\u00f6rg@example.test")
        c.err("PASS w\u00f6rt", "[AUTH]")
        c.login("bob")
        text = c.many("RETR 1")
        assert "Subject: \u00fcber" in text, text
        size = int(c.ok("LIST 1").split()[1])
        assert sum(len(x.encode()) + 2 for x in text) == size


def languages():
    """RFC 6856 3: what is listed can be chosen, in both states."""
    for state in ("clear", "open"):
        with enter(state) as c:
            tags = [line.split()[0] for line in c.many("LANG")]
            assert "i-default" in tags or "en" in tags
            for tag in tags:
                c.ok(f"LANG {tag}")
                c.ok(f"LANG {tag.upper()}")


with Users({"pop3d_hard_error_limit": "1000",
            "pop3d_user_connection_limit": "0"}, tls=True) as m:
    for text in ("one", "two", ".\r\n..x\r\n\r\nlast"):
        m.send("alice", f"Subject: x\r\n\r\n{text}\r\n")
        m.wait_idle()           # they come in this order
    m.send("bob", "Subject: \u00fcber\r\n\r\n\u00e4\r\n")
    m.wait_idle()
    for fn in (table, sasl, answers_fit, timers, stuffing, listings, deletions,
               updates, long_commands, capabilities, pipelines, utf8,
               languages):
        case(fn)
    bad = [x for x in m.log().splitlines() if "panic" in x or "fatal" in x]
    assert not bad, bad
print(f"{passed} passed, 0 failed, 0 skipped")
