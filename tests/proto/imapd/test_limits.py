#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd: MESSAGELIMIT and SAVELIMIT (RFC 9738)."""
import re
import shutil

from imaptalk import Engine

passed = 0


def case(fn):
    global passed
    c = e.client()
    fn(c)
    c.close()
    passed += 1


def code(c, command):
    """OK, NO or BAD, and the code, of the tagged answer."""
    return c.status(command)


def fill(c, box, n):
    """UIDs 11 to 10 + n."""
    c.ok("CREATE " + box)
    c.ok("APPEND " + box + " (\\Deleted) {4+}\r\nA: b" * 10)
    c.ok("SELECT " + box)
    c.ok("EXPUNGE")
    for i in range(0, n, 5):
        c.ok("APPEND " + box + " {4+}\r\nA: b" * min(5, n - i))
    c.ok("SELECT " + box)


def capability(c):
    assert b" MESSAGELIMIT=8 " in c.ok("CAPABILITY")[0] + b" "


def fetch_goes_down(c):
    fill(c, "f", 20)
    lines = c.ok("FETCH 1:15 UID")
    assert [int(l.split()[1]) for l in lines[:-1]] == list(range(15, 7, -1))
    assert b" OK [MESSAGELIMIT 8 18] " in lines[-1], lines[-1]
    # What is left.
    lines = c.ok("UID FETCH 11:17 UID")
    assert [int(l.split()[1]) for l in lines[:-1]] == list(range(1, 8))
    assert b"MESSAGELIMIT" not in lines[-1]
    assert code(c, "FETCH 1:8 UID") == ("OK", "")
    assert code(c, "FETCH 1,3,5,7,9,11,13,15,17 UID") == \
        ("OK", "MESSAGELIMIT 8 13")
    assert code(c, "UID FETCH 1:* UID (PARTIAL -1:-9)") == \
        ("NO", "MESSAGELIMIT 8")
    assert code(c, "UID FETCH 1:* UID (PARTIAL -1:-8)") == ("OK", "")
    assert code(c, "UID FETCH 1:* UID (PARTIAL 10:17)") == ("OK", "")


def search(c):
    fill(c, "s", 20)
    lines = c.ok("UID SEARCH UNSEEN")
    assert lines[0] == b"* SEARCH 23 24 25 26 27 28 29 30", lines
    assert b" OK [MESSAGELIMIT 8 23] " in lines[-1], lines
    # It is what was looked at that counts.
    assert code(c, "SEARCH SEEN") == ("OK", "MESSAGELIMIT 8 23")
    assert code(c, "SEARCH 3:10 SEEN") == ("OK", "")
    assert code(c, "UID SEARCH RETURN (SAVE) UID 11:25 UNSEEN") == \
        ("OK", "MESSAGELIMIT 8 18")
    assert c.ok("UID SEARCH $")[0] == b"* SEARCH 18 19 20 21 22 23 24 25"
    # Half a result is not kept up to date.
    lines = c.ok("SEARCH RETURN (COUNT UPDATE) UNSEEN")
    assert any(b"[NOUPDATE " in l for l in lines), lines
    # Ranges from a single UID (3.2).
    assert c.ok("UID SEARCH UIDAFTER 27")[0] == b"* SEARCH 28 29 30"
    assert c.ok("UID SEARCH UID 1:15 UIDBEFORE 13")[0] == b"* SEARCH 11 12"
    assert c.ok("UID SEARCH UID 1:15 UIDBEFORE 1")[0] == b"* SEARCH"
    assert c.ok("UID SEARCH UIDAFTER 4294967295")[0] == b"* SEARCH"
    for bad in ("UIDAFTER", "UIDAFTER 0", "UIDBEFORE *", "UIDBEFORE 1:2"):
        assert code(c, "SEARCH " + bad)[0] == "BAD", bad


def store(c):
    fill(c, "t", 20)
    lines = c.ok("UID STORE 11:30 +FLAGS (x)")
    assert b"MESSAGELIMIT 8 23" in lines[-1], lines
    assert c.ok("UID SEARCH UID 20:27 KEYWORD x")[0] == \
        b"* SEARCH 23 24 25 26 27"
    # Two codes: one of them comes first.
    lines = c.ok("UID STORE 11:30 (UNCHANGEDSINCE 1) +FLAGS (x)")
    assert lines[-2].startswith(b"* NO [MESSAGELIMIT 8 23] "), lines
    assert b" OK [MODIFIED 23:30] " in lines[-1], lines


def copy_and_move(c):
    fill(c, "c", 20)
    c.ok("CREATE to")
    assert code(c, "UID COPY 11:30 to") == ("NO", "MESSAGELIMIT 8 23")
    assert b"MESSAGES 0" in c.ok("STATUS to (MESSAGES)")[0]
    assert code(c, "COPY 13:20 to")[0] == "OK"
    lines = c.ok("UID MOVE 11:30 to")
    assert b" [COPYUID " in lines[0] and b" 23:30 9:16]" in lines[0], lines
    assert b"MESSAGELIMIT 8 23" in lines[-1], lines
    assert code(c, "UID MOVE 11:30 to")[1] == "MESSAGELIMIT 8 15"
    assert code(c, "UID MOVE 11:30 to") == ("OK", "")


def expunge(c):
    fill(c, "x", 20)
    for uids in ("11:15", "16:20", "21:25"):
        c.ok("UID STORE %s +FLAGS.SILENT (\\Deleted)" % uids)
    lines = c.ok("UID EXPUNGE 11:30")
    assert len([l for l in lines if l.endswith(b"EXPUNGE")]) == 8, lines
    assert b"MESSAGELIMIT 8 18" in lines[-1], lines
    # Never limited (3.1).
    for uids in ("26:30", "16:17"):
        c.ok("UID STORE %s +FLAGS.SILENT (\\Deleted)" % uids)
    lines = c.ok("EXPUNGE")
    assert len([l for l in lines if l.endswith(b"EXPUNGE")]) == 12, lines
    assert b"MESSAGELIMIT" not in lines[-1]
    fill(c, "y", 20)
    for uids in ("11:18", "19:26", "27:30"):
        c.ok("UID STORE %s +FLAGS.SILENT (\\Deleted)" % uids)
    assert b"UNSEEN 20" in c.ok("STATUS y (UNSEEN)")[0]
    assert b"MESSAGELIMIT" not in c.ok("CLOSE")[-1]
    assert b"MESSAGES 0" in c.ok("STATUS y (MESSAGES)")[0]


def append(c):
    assert code(c, "APPEND INBOX" + " {4+}\r\nA: b" * 11) == \
        ("NO", "MESSAGELIMIT 10")
    assert b"MESSAGES 0" in c.ok("STATUS INBOX (MESSAGES)")[0]


def with_uidonly(c):
    fill(c, "u", 20)
    c.ok("ENABLE UIDONLY")
    lines = c.ok("UID FETCH 1:* FLAGS")
    assert re.match(rb"\* 30 UIDFETCH", lines[0]) and len(lines) == 9, lines


e = Engine(settings=("imapd_message_limit=8", "imapd_multiappend_limit=10"))
for fn in (capability, fetch_goes_down, search, store, copy_and_move, expunge,
           append, with_uidonly):
    case(fn)
e.stop()
shutil.rmtree(e.dir)
# Only what saves is limited.
e = Engine(settings=("imapd_message_limit=0", "imapd_save_limit=8"))
c = e.client()
caps = c.ok("CAPABILITY")[0]
assert b" SAVELIMIT=8 " in caps + b" " and b"MESSAGELIMIT" not in caps
fill(c, "c", 20)
c.ok("CREATE to")
assert len(c.ok("FETCH 1:20 UID")) == 21
assert code(c, "COPY 1:20 to") == ("NO", "MESSAGELIMIT 8 23")
assert code(c, "COPY 1:8 to")[0] == "OK"
c.close()
e.stop()
shutil.rmtree(e.dir)
print("%d passed, 0 failed, 0 skipped" % (passed + 1))
