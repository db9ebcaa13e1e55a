#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""RFC 5530: which response code comes when; RFC 2971 (ID), 4978 (COMPRESS).

Those of the login are in system/test_imap.py, those of a full disk and of
damage in test_full.py and test_damage.py.
"""
import shutil
import zlib

from clauses import clause, e, engine_of, run_all, untagged
from imaptalk import Engine

guest = engine_of("guest")
MSG = b"From: a@example.org\r\n\r\nbody\r\n"
THERE = "Other Users/tester/"
IMPOSSIBLE = ("a//b", "/a", "a/../b", "..", ".", '"x\ty"', '"&bad"',
              '"&AGE-"', '""', '"' + "x" * 5000 + '"')


def literal(m):
    return "{%d+}\r\n%s" % (len(m), m.decode())


@clause("3 NONEXISTENT, ALREADYEXISTS")
def there_or_not(c, d):
    c.ok("CREATE a1")
    c.ok("CREATE a1/child")
    c.ok("CREATE a2/child")
    for command in ("SELECT %s", "EXAMINE %s", "STATUS %s (MESSAGES)",
                    "DELETE %s", "RENAME %s a9", "SUBSCRIBE %s", "GETACL %s",
                    "SETACL %s x l", "DELETEACL %s x", "MYRIGHTS %s",
                    "LISTRIGHTS %s x",
                    "GETMETADATA %s /private/comment",
                    'SETMETADATA %s (/private/comment "x")'):
        assert c.status(command % "a0") == ("NO", "NONEXISTENT"), command
        # A name that has children, and is none.
        got = c.status(command % "a2")
        assert got == ("NO", "NONEXISTENT") or \
            (command == "DELETE %s" and got == ("NO", "HASCHILDREN")) or \
            command.split()[0] in ("RENAME", "SUBSCRIBE"), (command, got)
        c.cmd("RENAME a9 a2")
    for command in ("CREATE a1", "CREATE a1/", "CREATE INBOX", "CREATE inbox",
                    "RENAME a1 a1/child", "RENAME a1/child a1",
                    "RENAME a1 INBOX", "RENAME INBOX a1", "RENAME a1 a1"):
        got = c.status(command)
        assert got == ("NO", "ALREADYEXISTS") or \
            (command == "RENAME a1 a1/child" and got == ("NO", "CANNOT")), \
            (command, got)
    # Where CREATE would help, that is said instead (RFC 9051 6.3.12, 6.4.7).
    c.append("a1", MSG)
    c.ok("SELECT a1")
    for command in ("COPY 1 %s", "MOVE 1 %s", "UID COPY 1 %s", "UID MOVE 1 %s",
                    "APPEND %s " + literal(MSG),
                    "REPLACE 1 %s " + literal(MSG)):
        for name in ("a0", "a2"):
            assert c.status(command % name) == ("NO", "TRYCREATE"), command


@clause("3 CANNOT")
def what_can_never_be(c, d):
    c.ok("CREATE b1")
    c.append("b1", MSG)
    c.ok("SELECT b1")
    for name in IMPOSSIBLE:
        for command in ("CREATE %s", "RENAME b1 %s", "COPY 1 %s", "MOVE 1 %s",
                        "APPEND %s " + literal(MSG), "STATUS %s (MESSAGES)",
                        "REPLACE 1 %s " + literal(MSG)):
            got = c.status(command % name)
            assert got == ("NO", "CANNOT"), (command, name, got)
    for command in ("DELETE INBOX", "DELETE inBox", "RENAME b1 b1/x"):
        assert c.status(command) == ("NO", "CANNOT"), command
    assert c.ok("FETCH 1 UID")[0] == b"* 1 FETCH (UID 1)", "still selected"


@clause("3 NOPERM; 5; 4314 6")
def what_may_not_be(c, d):
    """Who may not look does not learn from a code that it is there."""
    g = guest.client()
    c.ok("CREATE c1")
    c.append("c1", MSG)
    commands = ("SELECT %s", "STATUS %s (MESSAGES)", "DELETE %s",
                "GETACL %s", "CREATE %s/x", "APPEND %s " + literal(MSG))
    c.ok("SETACL c1 guest l")
    for command in commands:
        assert g.status(command % f'"{THERE}c1"' if "/x" not in command else
                        f'CREATE "{THERE}c1/x"') == ("NO", "NOPERM"), command
    c.ok("DELETEACL c1 guest")
    for command in commands[:4] + commands[5:]:
        hidden = g.status(command % f'"{THERE}c1"')
        assert hidden == g.status(command % f'"{THERE}none"'), command
        assert hidden[0] == "NO" and hidden[1] != "NOPERM", (command, hidden)
    g.close()


@clause("3 NOPERM; 9051 6.3.5")
def a_refused_delete_changes_nothing(c, d):
    """Also not that the mailbox is selected."""
    g = guest.client()
    c.ok("CREATE c2")
    c.append("c2", MSG)
    c.ok("SETACL c2 guest lrs")
    g.ok(f'SELECT "{THERE}c2"')
    got = g.cmd(f'DELETE "{THERE}c2"')
    assert b" NO [NOPERM] " in got[-1] and len(got) == 1, got
    assert g.ok("FETCH 1 UID")[0] == b"* 1 FETCH (UID 1)"
    c.ok("SETACL c2 guest +x")
    got = g.ok(f'DELETE "{THERE}c2"')
    assert any(b"[CLOSED]" in x for x in got), got
    assert g.status("FETCH 1 UID")[0] == "BAD"
    g.close()


@clause("3 LIMIT, OVERQUOTA")
def limits(c, d):
    small = Engine(settings=("quota_message_limit=2",
                             "quota_mailbox_limit=8"))
    try:
        x = small.client()
        for _ in range(2):
            x.append("INBOX", MSG)
        x.ok("SELECT INBOX")
        for command in ("APPEND INBOX " + literal(MSG), "COPY 1 INBOX",
                        "APPEND INBOX %s %s" % (literal(MSG), literal(MSG))):
            assert x.status(command) == ("NO", "OVERQUOTA"), command
        got = [x.status(f"CREATE m{i}") for i in range(20)]
        assert got[0] == ("OK", got[0][1]) and \
            got[-1] == ("NO", "OVERQUOTA"), got
        assert x.status("CREATE " + "x" * 300)[0] == "NO"
        x.close()
    finally:
        small.stop()
        shutil.rmtree(small.dir)


@clause("3 EXPUNGEISSUED")
def expunged_by_others(c, d):
    c.ok("CREATE d1")
    for _ in range(3):
        c.append("d1", MSG)
    c.ok("SELECT d1")
    d.ok("SELECT d1")
    d.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    d.ok("EXPUNGE")
    got = c.cmd("COPY 1:3 INBOX")
    assert b" NO [EXPUNGEISSUED] " in got[-1], got
    assert b"* 2 EXPUNGE" in got + c.ok("NOOP")


# --- RFC 2971 --------------------------------------------------------------------------

@clause("2971 3.1, 3.2, 4")
def identification(c, d):
    many = " ".join('"f%d" "v"' % i for i in range(40))
    for good in ("NIL", "()", '("name" "x")', '("name" NIL)', "nil",
                 '("name" "x" "name" "y")', "({4+}\r\nname {1+}\r\nx)",
                 '("%s" "%s")' % ("n" * 31, "v" * 1025), f"({many})"):
        for _ in range(2):
            got = untagged(c.ok(f"ID {good}"), b"ID")
            assert got == [b'* ID ("name" "Mansio")'], (good, got)
    for bad in ("", " x", " ()x", ' ("name")', ' ("name" "x"', ' "name" "x"',
                ' (name "x")', ' (NIL "x")', ' ("a" "b" "c")', " NIL NIL"):
        assert c.status("ID" + bad)[0] == "BAD", bad
        c.ok("NOOP")


# --- RFC 4978 ----------------------------------------------------------------------------

@clause("4978 3")
def compression(c, d):
    for bad in ("COMPRESS", "COMPRESS GZIP", "COMPRESS DEFLATE x",
                "COMPRESS deflated"):
        assert c.status(bad)[0] == "BAD", bad
        c.ok("NOOP")
    c.ok("ID NIL")
    x = e.client()
    # The OK is the last that is not compressed.
    x.ok("compress deflate")
    out = zlib.compressobj(9, zlib.DEFLATED, -15)
    back = zlib.decompressobj(-15)

    def say(text):
        x.sock.sendall(out.compress(text) + out.flush(zlib.Z_SYNC_FLUSH))
        tag, got = text.split()[0] + b" ", b""
        while not any(line.startswith(tag) for line in got.split(b"\r\n")):
            data = x.sock.recv(65536)
            assert data, got
            got += back.decompress(data)
        return got

    assert say(b"z1 NOOP\r\n").startswith(b"z1 OK ")
    assert say(b"z2 COMPRESS DEFLATE\r\n").startswith(
        b"z2 BAD [COMPRESSIONACTIVE] ")
    # And it goes on as before.
    assert b"* CAPABILITY " in say(b"z3 CAPABILITY\r\n")
    assert say(b"z4 APPEND INBOX {%d+}\r\n%s\r\n" % (
        100000, b"x" * 100000)).endswith(b"Append completed.\r\n")
    assert b"* BYE" in say(b"z5 LOGOUT\r\n")
    x.close()


run_all("RFC 5530")
